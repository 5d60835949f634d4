"""Two sides on the frames of a recording, one after the other on each frame."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from enet_ros.comparison.frames import ComparedRecording, RecordedFrame
from enet_ros.comparison.images import draw_images
from enet_ros.comparison.measures import (
    Difference,
    Overlap,
    SideMeasures,
    Stillness,
    compare_frame,
)
from enet_ros.comparison.sides import Side, SideFrame
from enet_ros.comparison.truth import Truth
from enet_ros.media import SourceError
from enet_ros.perception.resize import resize_labels
from enet_ros.training.labeled_frames import DatasetError

WORST_FRAMES = 8


@dataclass(frozen=True)
class WorstFrame:
    """A frame on which the sides differ much.

    Attributes:
        difference: How they differ there.
        images: JPEG files: the frame, A, B, and where masks or labels differ.
    """

    difference: Difference
    images: tuple[bytes, ...]


@dataclass
class Comparison:
    """The result of a comparison.

    Attributes:
        same_classes: Whether both sides have the same classes, so that labels are compared.
        size: (width, height) at which the sides are compared.
        differences: One for each frame.
        measures: Measures of A and B.
        confusion: (256, 256) pixels by the label of A and of B; only for the same classes.
        truth: Overlap of A and of B with the labels of the recording, empty without labels.
        worst: The frames on which they differ most, the worst first.
        problems: A sentence for each frame that could not be read.
        labeled: Number of frames with labels.
    """

    same_classes: bool
    size: tuple[int, int]
    differences: list[Difference] = field(default_factory=list)
    measures: tuple[SideMeasures, SideMeasures] = field(
        default_factory=lambda: (SideMeasures(), SideMeasures()))
    confusion: np.ndarray = field(default_factory=lambda: np.zeros((256, 256), np.int64))
    truth: tuple[Overlap, Overlap] = field(default_factory=lambda: (Overlap(), Overlap()))
    worst: list[WorstFrame] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    labeled: int = 0

    def class_ious(self) -> np.ndarray:
        """Return the IoU of each label of A against B, (256,) float64; NaN where there is none."""
        both = np.diag(self.confusion)
        either = self.confusion.sum(0) + self.confusion.sum(1) - both
        return np.where(either > 0, both / np.maximum(either, 1), np.nan)


def compare(a: Side, b: Side, recording: ComparedRecording, truth: Truth | None = None,
            progress: Callable[[], object] = lambda: None) -> Comparison:
    """Run two sides on a recording.

    The side that goes first alternates from frame to frame, so that both meet the same machine.

    Args:
        a: First side.
        b: Second side.
        recording: The frames.
        truth: Labels of the frames, or None.
        progress: Called after each frame.

    Raises:
        SourceError: No frame can be read.
    """
    size = max((side.segmenter.resolution for side in (a, b)), key=lambda size: size[0] * size[1])
    result = Comparison(a.class_map.names == b.class_map.names, size)
    result.problems += truth.problems if truth else []
    stillness, worst = Stillness(), Worst(recording.fps)
    for i, frame in enumerate(recording.open(result.problems.append)):
        order = ((0, a), (1, b)) if i % 2 == 0 else ((1, b), (0, a))
        said = {which: side.perceive(side.decoded(frame), frame.time_sec)
                for which, side in order}
        frames = [_resized(said[which], size) for which in (0, 1)]
        small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
        still = stillness.update(small)
        for measures, own in zip(result.measures, frames):
            measures.add(own.labels, own.confidence, own.mask, own.latency_ms, still)
        difference = _compare(result, frame, frames)
        _score(result, truth, frame, frames)
        worst.offer(difference, frame.time_sec, lambda small=small, frames=frames: draw_images(
            small, frames, (a.class_map, b.class_map)))
        progress()
    if not result.differences:
        raise SourceError('; '.join(result.problems) or f"'{recording.path}' has no frames")
    result.worst = worst.sorted()
    _check_labels(result, truth)
    return result


def _resized(frame: SideFrame, size: tuple[int, int]) -> SideFrame:
    if frame.labels.shape == size[::-1]:
        return SideFrame(frame.labels.copy(), frame.confidence, frame.mask, frame.latency_ms)
    return SideFrame(resize_labels(frame.labels, size), resize_labels(frame.confidence, size),
                     resize_labels(frame.mask, size), frame.latency_ms)


def _compare(result: Comparison, frame: RecordedFrame, frames: list[SideFrame]) -> Difference:
    labels = frames[0].labels, frames[1].labels
    difference = compare_frame(frame.name, labels, (frames[0].mask, frames[1].mask),
                               same_classes=result.same_classes)
    result.differences.append(difference)
    if result.same_classes:
        pairs = labels[0].astype(np.int64) << 8 | labels[1]
        result.confusion += np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
    return difference


def _score(result: Comparison, truth: Truth | None, frame: RecordedFrame,
           frames: list[SideFrame]) -> None:
    """Score both masks against the label image of a frame, at the size of that image."""
    if truth is None or frame.path is None:
        return
    size = frame.image.shape[1::-1]
    try:
        labeled = truth.of(frame.path)
    except DatasetError as error:
        result.problems.append(str(error))
        return
    if labeled is not None:
        result.labeled += 1
        truth_mask, known = labeled
        for overlap, own in zip(result.truth, frames):
            overlap.add((resize_labels(own.mask, size) > 0) & known, truth_mask & known)


def _check_labels(result: Comparison, truth: Truth | None) -> None:
    """Take the scores back if the labels mean something else than their values say."""
    if truth is None:
        return
    try:
        truth.check()
    except DatasetError as error:
        result.problems.append(str(error))
        result.truth, result.labeled = (Overlap(), Overlap()), 0


class Worst:
    """Keeps the frames on which the sides differ most: one a second, since neighbors are alike.

    Only their images are kept, as JPEG, so a long recording takes no more memory.

    Args:
        fps: Frames a second; below 1 every frame counts by itself.
    """

    def __init__(self, fps: float):
        self._period_sec = max(1.0, 1.0 / fps)
        self._heap = []

    def offer(self, difference: Difference, time_sec: float,
              draw: Callable[[], tuple[bytes, ...]]) -> None:
        """Keep a frame if it belongs to the worst; its images are drawn only then."""
        second = int(time_sec / self._period_sec)
        same = [item for item in self._heap if item[1] == second]
        if same:
            if same[0][0] >= difference.size:
                return
            self._heap.remove(same[0])
            heapq.heapify(self._heap)
        elif len(self._heap) == WORST_FRAMES and self._heap[0][0] >= difference.size:
            return
        if difference.size > 0:
            heapq.heappush(self._heap, (difference.size, second, WorstFrame(difference, draw())))
        if len(self._heap) > WORST_FRAMES:
            heapq.heappop(self._heap)

    def sorted(self) -> list[WorstFrame]:
        """Return the frames, the worst first."""
        return [item[2] for item in sorted(self._heap, key=lambda item: -item[0])]
