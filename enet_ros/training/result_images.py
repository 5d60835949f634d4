"""Images of results: curves of a run, samples of labels, and confidence floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.patches import Patch

from enet_ros.network.checkpoint import Checkpoint
from enet_ros.network.class_map import ClassMap
from enet_ros.perception.segmenter import Segmenter
from enet_ros.training.drivable_scores import FloorCurve
from enet_ros.training.labeled_frames import SegmentationData
from enet_ros.training.plots import literal, plt

SAMPLES = 6

#: A frame, (H, W, 3) uint8 RGB, its true labels and the network's labels, both (H, W) uint8.
Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


def draw_curves(path: Path, curves: dict[str, list[tuple[int, float]]]) -> None:
    """Draw the loss and the validation figures over the steps.

    Args:
        path: Path of the PNG.
        curves: (step, value) pairs of 'loss', 'miou' and 'class_avg'.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout='constrained')
    if curves['loss']:
        steps, loss = np.array(curves['loss']).T
        left.plot(steps, loss, alpha=0.3, color='C0')
        window = max(1, len(loss) // 30)
        smooth = np.convolve(loss, np.ones(window) / window, 'valid')
        left.plot(steps[window - 1:], smooth, color='C0')
    for key, label in (('miou', 'class IoU'), ('class_avg', 'class average')):
        if curves[key]:
            steps, values = np.array(curves[key]).T
            right.plot(steps, 100 * values, marker='o', label=label)
            right.legend()
    left.set(title='training loss', xlabel='step')
    right.set(title='validation, percent', xlabel='step')
    figure.savefig(path, dpi=110)
    plt.close(figure)


def segment_samples(checkpoint: Checkpoint, data: SegmentationData) -> list[Sample]:
    """Segment some frames of a split, spread evenly, for :func:`draw_samples`."""
    chosen = np.linspace(0, len(data) - 1, min(SAMPLES, len(data))).astype(int)
    segmenter = Segmenter(checkpoint, checkpoint.resolution, 'torch', 'float32')
    pairs = [data.read(int(index)) for index in chosen]
    return [(frame, truth, segmenter.segment([frame])[0].labels) for frame, truth in pairs]


def draw_samples(path: Path, class_map: ClassMap, samples: Sequence[Sample]) -> None:
    """Draw frames, their true labels and the network's labels, with a legend.

    Args:
        path: Path of the PNG.
        class_map: The classes of the labels.
        samples: The frames and their labels.
    """
    colors = class_map.color_lut()
    figure, axes = plt.subplots(len(samples), 3, figsize=(11, 2.8 * len(samples) + 0.8),
                                squeeze=False, layout='constrained')
    for row, (frame, truth, labels) in zip(axes, samples):
        for axis, image in zip(row, (frame, colors[truth], colors[labels])):
            axis.imshow(image)
            axis.axis('off')
    for axis, title in zip(axes[0], ('frame', 'truth (black: void)', 'ENet')):
        axis.set_title(title)
    patches = [Patch(color=np.array(color) / 255, label=literal(name))
               for name, color in zip(class_map.names, class_map.colors)]
    figure.legend(handles=patches, loc='outside lower center', ncols=6)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_floors(path: Path, curves: Mapping[str, FloorCurve]) -> None:
    """Draw how precise the drivable pixels are, and how many are left, above a confidence.

    Args:
        path: Path of the PNG.
        curves: Name of each data set -> its curve.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout='constrained')
    for name, curve in curves.items():
        left.plot(curve.floors, 100 * curve.precision(), label=literal(name))
        right.plot(curve.floors, 100 * curve.kept(), label=literal(name))
    for axis in (left, right):
        axis.set(xlabel='confidence_floor')
        axis.legend()
        axis.grid(alpha=0.3)
    left.set(title='precision of drivable pixels, percent')
    right.set(title='true drivable pixels that are found, percent')
    figure.savefig(path, dpi=100)
    plt.close(figure)
