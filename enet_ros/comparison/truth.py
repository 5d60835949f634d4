"""Labels of a recording that is a split of a data set of folders (docs/training.md).

They are read and judged as ``enet-ros train`` and ``enet-ros eval`` do it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from enet_ros.media import list_images
from enet_ros.network.class_map import UNKNOWN
from enet_ros.training.datasets import CLASS_FILES, in_classes_of_file, pairs_with_labels
from enet_ros.training.label_sets import LabelSets
from enet_ros.training.labeled_frames import DatasetError, SegmentationData, count_values
from enet_ros.training.sources import check_two_classes


class Truth:
    """Drivable masks from label images in ``<folder>annot``.

    Args:
        data: Frames that have labels, and their label images.
        problems: A sentence for each file that cannot be used, known before any is read.
    """

    def __init__(self, data: SegmentationData, problems: list[str]):
        self.problems = problems
        self._data = replace(data, decode=self._decode_and_count)
        self._decode = data.decode
        self._counts: list[tuple[np.ndarray, int]] = []
        self._index = {frame: index for index, (frame, _) in enumerate(data.pairs)}
        self._is_road, self._is_other = (data.sets or LabelSets(data.class_map.names)
                                         ).drivable_labels(data.class_map.drivable)

    def _decode_and_count(self, stored: np.ndarray) -> np.ndarray:
        labels = self._decode(stored)
        self._counts.append((count_values(stored), np.count_nonzero(labels != UNKNOWN)))
        return labels

    def of(self, path: Path) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what is drivable and what is known to be or not to be, or None without labels.

        A label that stands for drivable classes and others tells nothing.

        Args:
            path: Path of the frame.

        Returns:
            Two arrays, (H, W) bool, of the size of the frame as it is shown.

        Raises:
            DatasetError: The label image cannot be read, has another size, or has a value that
                stands for no class.
        """
        if path not in self._index:
            return None
        _, labels = self._data.read(self._index[path])
        road = self._is_road[labels]
        return road, road | self._is_other[labels]

    def check(self) -> None:
        """Check the values of the labels read so far together.

        Raises:
            DatasetError: They mean something else, such as masks of 0 and 255.
        """
        if self._counts:
            self._data.raise_label_problems(self._counts)


def find_truth(path: Path) -> Truth | None:
    """Return the labels beside a folder of frames, or None where there are none.

    Raises:
        DatasetError: The class file cannot be used.
    """
    named = Path(os.path.abspath(path))  # '.' has no name of its own
    labels = named.parent / f'{named.name}annot'
    files = [named.parent / name for name in CLASS_FILES if (named.parent / name).is_file()]
    if not path.is_dir() or not labels.is_dir() or not files:
        return None
    pairs, problems = pairs_with_labels(list_images(path), labels)
    data = in_classes_of_file(files[0], named.name, pairs)
    try:
        check_two_classes(data.class_map, str(files[0]))
        if not any(data.class_map.drivable):
            raise DatasetError(f'{files[0]}: no class is drivable, wanted drivable: true in at '
                               'least one')
    except DatasetError as error:
        return Truth(replace(data, pairs=()), [f'the labels score nothing: {error}'])
    return Truth(data, problems)
