"""Scores of weights on a split, through the very path the node uses."""

from __future__ import annotations

from typing import Callable

from enet_ros.checkpoint import Checkpoint
from enet_ros.segmenter import Segmenter
from enet_ros.training.datasets import DatasetError, SegmentationData
from enet_ros.training.metrics import CalibrationError, ConfusionMatrix


def evaluate(checkpoint: Checkpoint, data: SegmentationData,
             resolution: tuple[int, int] | None = None, backend: str = 'auto',
             precision: str = 'auto', progress: Callable[[], None] = lambda: None) -> dict:
    """Segment every frame of a split and compare with its labels, at the labels' own size.

    Args:
        checkpoint: the weights.
        data: a split.
        resolution: (width, height) of the network's input; None for the checkpoint's own.
        backend: see :class:`enet_ros.segmenter.Segmenter`.
        precision: likewise.
        progress: called after each frame.

    Returns:
        'images', 'miou', 'class_avg', 'global_avg', 'drivable_iou' in [0, 1], 'per_class': name ->
        {'iou', 'acc'}, and 'ece' in [0, 1].

    Raises:
        ValueError: the weights know other classes than the data set, or one of the arguments is
            refused by the segmenter.
    """
    check_classes(checkpoint, data)
    segmenter = Segmenter(checkpoint, resolution or checkpoint.resolution, backend, precision)
    matrix, calibration = ConfusionMatrix(data.class_map), CalibrationError()
    for frame, truth in data:
        result = segmenter.segment([frame], confidence=True)[0]
        matrix.update(truth, result.labels)
        calibration.update(truth, result.labels, result.confidence)
        progress()
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
