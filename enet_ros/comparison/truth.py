"""Labels of a recording that is a split of a data set of folders (docs/training.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from enet_ros.media import open_image
from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.training.datasets import read_classes
from enet_ros.training.label_images import read_values

CLASS_FILES = ('classes.yaml', 'classes.yml', 'classes.json')


class Truth:
    """Drivable masks from label images in ``<folder>annot``."""

    def __init__(self, folder: Path, class_map: ClassMap):
        """Remember where the label images lie.

        Args:
            folder: Folder of the label images.
            class_map: Classes of the label images.
        """
        self._folder, self.class_map = folder, class_map
        self._lut = class_map.drivable_lut() > 0
        known = np.zeros(256, bool)
        known[:len(class_map)] = ~np.array(class_map.unlabeled)
        known[UNKNOWN] = False
        self._known = known

    def of(self, path: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what is drivable and what is labelled, (H, W) bool each, or None.

        Args:
            path: Path of the frame.
            size: (width, height) of the frame.

        Raises:
            ValueError: The label image cannot be read, or has another size.
        """
        file = self._folder / f'{path.stem}.png'
        if not file.is_file():
            return None
        values = read_values(open_image(file))
        if values.shape != size[::-1]:
            raise ValueError(f"'{file}' has {values.shape[1]}x{values.shape[0]} pixels, but its "
                             f'frame has {size[0]}x{size[1]}')
        labels = np.minimum(values, UNKNOWN).astype(np.uint8)
        return self._lut[labels], self._known[labels]


def find_truth(path: Path) -> Truth | None:
    """Return the labels beside a folder of frames, or None where there are none."""
    folder = path.parent / f'{path.name}annot'
    if not path.is_dir() or not folder.is_dir():
        return None
    for name in CLASS_FILES:
        if (path.parent / name).is_file():
            return Truth(folder, read_classes(path.parent / name))
    return None
