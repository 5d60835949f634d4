"""Scores of weights on a split, segmented exactly as the node does it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from enet_ros.network.checkpoint import Checkpoint
from enet_ros.network.class_map import ClassMap
from enet_ros.network.class_names import class_key
from enet_ros.network.classes import CITYSCAPES
from enet_ros.perception.segmenter import Segmentation, Segmenter
from enet_ros.training.labeled_frames import DatasetError, SegmentationData
from enet_ros.training.metrics import ConfusionMatrix, ExpectedCalibrationError, format_table
from enet_ros.training.photometric import apply_change
from enet_ros.training.sources import Source, in_one_class_map

#: Keys of the official scores -> keys of ours, and their printed names.
OFFICIAL_SCORES = {
    'averageScoreClasses': ('class_iou', 'class IoU'),
    'averageScoreInstClasses': ('class_iiou', 'class iIoU'),
    'averageScoreCategories': ('category_iou', 'category IoU'),
    'averageScoreInstCategories': ('category_iiou', 'category iIoU'),
}


def evaluate(checkpoint: Checkpoint, data: SegmentationData,
             resolution: tuple[int, int] | None = None, backend: str = 'auto',
             precision: str = 'auto', threads: int = 0, change: str = '',
             each: Callable[[int, np.ndarray, Segmentation], None] | None = None) -> dict:
    """Segment every frame of a split and score it against its labels, at the labels' own size.

    Args:
        checkpoint: The weights.
        data: A split.
        resolution: (width, height) of the network's input; None for the checkpoint's own.
        backend: Backend of :class:`enet_ros.perception.segmenter.Segmenter`.
        precision: Precision of the segmenter.
        threads: Number of CPU threads of the segmenter; 0 for all.
        change: Photometric change of every frame, see
            :func:`enet_ros.training.photometric.apply_change`; empty for none.
        each: Called with the index of each frame, its labels and its segmentation.

    Returns:
        'images', the number of frames; 'ece' in [0, 1]; and the scores of
        :meth:`enet_ros.training.metrics.ConfusionMatrix.compute`.

    Raises:
        ValueError: The classes of the weights and the data set differ, or the segmenter refuses
            an argument.
    """
    check_classes(checkpoint.class_map, data)
    segmenter = Segmenter(checkpoint, resolution or checkpoint.resolution, backend, precision,
                          threads)
    matrix = ConfusionMatrix(data.class_map, data.sets)
    calibration_error = ExpectedCalibrationError(sets=data.sets)
    for index in range(len(data)):
        frame, truth = read_changed(data, index, change)
        result = segmenter.segment([frame], confidence=True)[0]
        matrix.update(truth, result.labels)
        calibration_error.update(truth, result.labels, result.confidence)
        if each:
            each(index, truth, result)
    return {'images': len(data), **matrix.compute(), 'ece': calibration_error.compute()}


def read_changed(data: SegmentationData, index: int, change: str
                 ) -> tuple[np.ndarray, np.ndarray]:
    """Read a frame as :func:`evaluate` segments it, and its labels.

    Args:
        data: A split.
        index: Number of the frame.
        change: Photometric change, or empty for none.
    """
    frame, truth = data.read(index)
    return apply_change(change, frame, index) if change else frame, truth


def names_of(splits: Sequence[SegmentationData], first: int = 1) -> list[str]:
    """Return a name for each split; its number is added where a name occurs twice.

    Args:
        splits: The splits.
        first: Number of the first of them.
    """
    names: list[str] = []
    for number, split in enumerate(splits, start=first):
        name = f'{split.name} {split.split}'
        names.append(f'{name} ({number})' if name in names else name)
    return names


def check_classes(class_map: ClassMap, data: SegmentationData) -> None:
    """Check that the weights and the data set have the same classes in the same order.

    Names are compared as :func:`enet_ros.network.class_names.class_key` does it.

    Raises:
        DatasetError: They differ; the message gives both lists, and says how to go on.
    """
    ours, theirs = class_map.names, data.class_map.names
    keys = [class_key(name) for name in ours]
    if keys != [class_key(name) for name in theirs]:
        lacking = [name for name in data.class_map.labeled.values() if class_key(name) not in keys]
        remedy = (f'Say in a --data file what those are, such as rename: {{{lacking[0]}: '
                  f'{ours[-1]}}}' if lacking else 'A --data file of this data set is scored')
        raise DatasetError(f'the weights know the classes {", ".join(ours)}; '
                           f'{data.name} has {", ".join(theirs)}. {remedy} (docs/training.md)')


def in_classes_of(class_map: ClassMap, data: SegmentationData) -> SegmentationData:
    """Return a split with the ids of the weights.

    Order and spelling of the classes may differ, and either side may have classes that mean "not
    labeled" and that the other lacks, as the weights of ENet's authors do.

    Args:
        class_map: The classes of the weights.
        data: A split.

    Raises:
        DatasetError: The other classes differ; the message gives both lists.
    """
    if _labeled_keys(class_map) != _labeled_keys(data.class_map):
        check_classes(class_map, data)
    if [class_key(name) for name in class_map.names] == [
            class_key(name) for name in data.class_map.names]:
        return replace(data, class_map=class_map)
    return in_one_class_map([data], [Source(data.name, '')], class_map)[0]


def _labeled_keys(class_map: ClassMap) -> set[str]:
    """Return the keys of the classes that do not mean "not labeled"."""
    return set(map(class_key, class_map.labeled.values()))


def report(checkpoint: Checkpoint, data: SegmentationData,
           resolution: tuple[int, int] | None = None, backend: str = 'auto',
           precision: str = 'auto', threads: int = 0, change: str = '',
           each: Callable[[int, np.ndarray, Segmentation], None] | None = None
           ) -> tuple[dict, str]:
    """Evaluate with a progress bar, and score Cityscapes by its official script as well.

    Args:
        checkpoint: The weights.
        data: A split.
        resolution: See :func:`evaluate`, as for the arguments below.
        backend: Backend.
        precision: Precision.
        threads: Number of CPU threads.
        change: Photometric change of every frame.
        each: Called with each frame.

    Returns:
        The scores of :func:`evaluate`, with the official ones of Cityscapes under 'cityscapes',
        and the tables to print. There are no official scores of weights that know a class which is
        none of Cityscapes'; the tables say so.

    Raises:
        ValueError: See :func:`evaluate`; or cityscapesscripts is not installed.
    """
    label_ids = _label_ids(data.class_map) if data.name == 'cityscapes' else None
    official = None if label_ids is None else _official_script()
    with tempfile.TemporaryDirectory() as folder, \
            tqdm(total=len(data), unit='frame', disable=None) as bar:
        def advance(index: int, truth: np.ndarray, result: Segmentation) -> None:
            bar.update()
            if each:
                each(index, truth, result)
            if official:
                cv2.imwrite(str(_prediction(folder, index)), label_ids[result.labels])
        scores = evaluate(checkpoint, data, resolution, backend, precision, threads, change,
                          advance)
        if official:
            scores['cityscapes'] = _official_scores(official, data, Path(folder))
    return scores, _tables(scores, data, change)


def _tables(scores: dict, data: SegmentationData, change: str) -> str:
    title = f'{data.name} {data.split}{f" after {change}" if change else ""}'
    lines = [format_table(scores, f'{title}, {scores["images"]} images')]
    lines += [f'{label:<16}{100 * scores["cityscapes"][key]:>8.1f}  (cityscapesscripts)'
              for key, label in OFFICIAL_SCORES.values() if 'cityscapes' in scores]
    if data.name == 'cityscapes' and 'cityscapes' not in scores:
        lines.append("The official script does not score these weights: their class "
                     f"'{_not_cityscapes(data.class_map)[0]}' is none of Cityscapes'.")
    return '\n'.join(lines)


def _prediction(folder: str | Path, index: int) -> Path:
    return Path(folder) / f'{index:06}.png'


def _label_ids(class_map: ClassMap) -> np.ndarray | None:
    """Return the label id of Cityscapes of each class id, (256,) uint8.

    Unknown and classes that mean "not labeled" become 0, which is unlabeled in Cityscapes.

    Returns:
        None where a class is none of Cityscapes'.
    """
    if _not_cityscapes(class_map):
        return None
    known = {class_key(item.name): item.label_id for item in CITYSCAPES}
    lut = np.zeros(256, np.uint8)
    lut[:len(class_map)] = [known.get(class_key(name), 0) for name in class_map.names]
    return lut


def _not_cityscapes(class_map: ClassMap) -> list[str]:
    """Return the names of the classes that are none of Cityscapes'."""
    known = {class_key(item.name) for item in CITYSCAPES}
    return [name for name in class_map.labeled.values() if class_key(name) not in known]


def _official_script():
    """Import the official evaluation.

    Raises:
        DatasetError: It is not installed.
    """
    if not hasattr(np, 'in1d'):
        np.in1d = np.isin  # cityscapesscripts 2.3.0 uses a name that NumPy 2.4 dropped
    try:
        from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling
    except ImportError as error:
        raise DatasetError('Cityscapes is scored by its official script: '
                           'pip install cityscapesscripts') from error
    return evalPixelLevelSemanticLabeling


def _official_scores(script, data: SegmentationData, folder: Path) -> dict:
    """Run the official evaluation over predictions on disk.

    Instance-weighted scores need the ``instanceIds`` images beside the labels, and are NaN
    without them.
    """
    truths = [str(label) for _, label in data.pairs]
    args = script.args
    args.quiet, args.JSONOutput = True, False
    args.evalInstLevelScore = all(
        Path(truth.replace('labelIds', 'instanceIds')).is_file() for truth in truths)
    predictions = [str(_prediction(folder, index)) for index in range(len(data))]
    scores = script.evaluateImgLists(predictions, truths, args)
    return {key: float(scores[theirs]) for theirs, (key, _) in OFFICIAL_SCORES.items()}
