"""Scores of weights on a split, through the very path the node uses."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from enet_ros.network.checkpoint import Checkpoint
from enet_ros.perception.segmenter import Segmentation, Segmenter
from enet_ros.training.datasets import CITYSCAPES_IDS, DatasetError, SegmentationData
from enet_ros.training.metrics import CalibrationError, ConfusionMatrix, format_table
from enet_ros.training.photometric import apply_change

#: The official figures: their key -> ours, and how they are printed.
CITYSCAPES_FIGURES = {
    'averageScoreClasses': ('class_iou', 'class IoU'),
    'averageScoreInstClasses': ('class_iiou', 'class iIoU'),
    'averageScoreCategories': ('category_iou', 'category IoU'),
    'averageScoreInstCategories': ('category_iiou', 'category iIoU'),
}


def evaluate(checkpoint: Checkpoint, data: SegmentationData,
             resolution: tuple[int, int] | None = None, backend: str = 'auto',
             precision: str = 'auto', threads: int = 0, change: str = '',
             each: Callable[[int, Segmentation], None] | None = None) -> dict:
    """Segment every frame of a split and compare with its labels, at the labels' own size.

    Args:
        checkpoint: the weights.
        data: a split.
        resolution: (width, height) of the network's input; None for the checkpoint's own.
        backend: see :class:`enet_ros.perception.segmenter.Segmenter`.
        precision: likewise.
        threads: likewise.
        change: see :func:`enet_ros.training.photometric.apply_change`; empty for nothing.
        each: called with the index of a frame and its segmentation.

    Returns:
        'images', 'miou', 'class_avg', 'global_avg', 'drivable_iou' in [0, 1], 'per_class': name ->
        {'iou', 'acc'}, and 'ece' in [0, 1].

    Raises:
        ValueError: the weights know other classes than the data set, or one of the arguments is
            refused by the segmenter.
    """
    check_classes(checkpoint, data)
    segmenter = Segmenter(checkpoint, resolution or checkpoint.resolution, backend, precision,
                          threads)
    matrix, calibration = ConfusionMatrix(data.class_map), CalibrationError()
    for index, (frame, truth) in enumerate(data):
        if change:
            frame = apply_change(change, frame, index)
        result = segmenter.segment([frame], confidence=True)[0]
        matrix.update(truth, result.labels)
        calibration.update(truth, result.labels, result.confidence)
        if each:
            each(index, result)
    return {'images': len(data), **matrix.compute(), 'ece': calibration.compute()}


def check_classes(checkpoint: Checkpoint, data: SegmentationData) -> None:
    """Check that ids mean the same in the weights and in the data set.

    Raises:
        DatasetError: they do not; the message gives both lists.
    """
    known, wanted = checkpoint.class_map.names, data.class_map.names
    if tuple(n.lower() for n in known) != tuple(n.lower() for n in wanted):
        raise DatasetError(f'the weights know the classes {", ".join(known)}; '
                           f'{data.name} has {", ".join(wanted)}')


def report(checkpoint: Checkpoint, data: SegmentationData,
           resolution: tuple[int, int] | None = None, backend: str = 'auto',
           precision: str = 'auto', threads: int = 0, change: str = '') -> tuple[dict, str]:
    """Evaluate with a progress bar; Cityscapes goes through the official script as well.

    Returns:
        The figures of :func:`evaluate`, for Cityscapes with the official ones under 'cityscapes',
        and the tables to print.

    Raises:
        ValueError: see :func:`evaluate`; or cityscapesscripts is not installed.
    """
    official = None if data.name != 'cityscapes' else _official_script()
    with tempfile.TemporaryDirectory() as folder, \
            tqdm(total=len(data), unit='frame', disable=None) as bar:
        def each(index: int, result: Segmentation) -> None:
            bar.update()
            if official:
                _write_label_ids(_prediction(folder, index), result.labels)
        scores = evaluate(checkpoint, data, resolution, backend, precision, threads, change, each)
        if official:
            scores['cityscapes'] = _official_figures(official, data, Path(folder))
    return scores, _tables(scores, data, change)


def _tables(scores: dict, data: SegmentationData, change: str) -> str:
    title = f'{data.name} {data.split}{f" after {change}" if change else ""}'
    lines = [format_table(scores, f'{title}, {scores["images"]} images')]
    lines += [f'{label:<16}{100 * scores["cityscapes"][key]:>8.1f}  (cityscapesscripts)'
              for key, label in CITYSCAPES_FIGURES.values() if 'cityscapes' in scores]
    return '\n'.join(lines)


def _prediction(folder: str | Path, index: int) -> Path:
    return Path(folder) / f'{index:06}.png'


def _write_label_ids(path: Path, labels: np.ndarray) -> None:
    """Write train ids as Cityscapes' label ids; unknown becomes 0, unlabeled."""
    lut = np.zeros(256, np.uint8)
    lut[:len(CITYSCAPES_IDS)] = CITYSCAPES_IDS
    cv2.imwrite(str(path), lut[labels])


def _official_script():
    """Import the official evaluation.

    Raises:
        DatasetError: it is not installed.
    """
    if not hasattr(np, 'in1d'):
        np.in1d = np.isin  # cityscapesscripts 2.3.0 wants the name NumPy 2.4 dropped
    try:
        from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling
    except ImportError as error:
        raise DatasetError('Cityscapes is scored by its official script: '
                           'pip install cityscapesscripts') from error
    return evalPixelLevelSemanticLabeling


def _official_figures(script, data: SegmentationData, folder: Path) -> dict:
    """Run the official evaluation over predictions on disk.

    Instance-weighted figures need the ``instanceIds`` images beside the labels; NaN without.
    """
    truths = [str(label) for _, label in data.pairs]
    args = script.args
    args.quiet, args.JSONOutput = True, False
    args.evalInstLevelScore = all(
        Path(truth.replace('labelIds', 'instanceIds')).is_file() for truth in truths)
    predictions = [str(_prediction(folder, index)) for index in range(len(data))]
    figures = script.evaluateImgLists(predictions, truths, args)
    return {key: float(figures[theirs]) for theirs, (key, _) in CITYSCAPES_FIGURES.items()}
