"""What ``enet-ros segment`` and ``enet-ros calibrate`` say of frames that cannot be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from enet_ros.perception.resize import resize_frame
from enet_ros.perception.segmenter import Segmentation, Segmenter
from enet_ros.perception.suspicion import (
    FrameJudge,
    Suspicion,
    fault_of_looks,
    fault_of_sample,
    mean_confidence,
    sampled_rows,
    sharpness,
)


def suspicion_of_image(segmenter: Segmenter, frame: np.ndarray,
                       segmentation: Segmentation) -> Suspicion | None:
    """Tell why a single image cannot be trusted, or return None.

    Args:
        segmenter: The network.
        frame: (H, W, 3) uint8 RGB.
        segmentation: Result of the network, with its confidence.
    """
    sample = sample_frame(segmenter, frame)
    return fault_of_sample(sample) or fault_of_looks(
        sharpness(sample), mean_confidence(segmentation), segmenter.least_confidence)


class SuspectCounter:
    """Judges frames in their order as the node does, but for frozen ones, and counts the suspect.

    Attributes:
        frames: Number of frames.
        alarms: Number of times that frames became suspect.
        faults: Fault -> number of frames with it.
        first: Index of the first suspect frame and the reason, or None.
    """

    def __init__(self, fps: float, least_confidence: float):
        """Begin.

        Args:
            fps: Frames a second.
            least_confidence: Mean confidence below which a frame is suspect.
        """
        self._judge, self._fps = FrameJudge(least_confidence), fps
        self.frames, self.alarms = 0, 0
        self.faults: Counter[str] = Counter()
        self.first: tuple[int, str] | None = None
        self._was_suspect = False

    def add(self, sample: np.ndarray, segmentation: Segmentation) -> None:
        """Judge the next frame by the rows that :func:`sample_frame` returns."""
        suspicion = self._judge.judge(sample, segmentation, None, self.frames / self._fps, 0.0)
        if suspicion is not None:
            self.faults[suspicion.fault.value] += 1
            self.first = self.first or (self.frames, suspicion.reason)
            self.alarms += not self._was_suspect
        self._was_suspect = suspicion is not None
        self.frames += 1

    def describe_video(self) -> str:
        """Return a sentence about the suspect frames of a video, or '' if there are none."""
        if self.first is None:
            return ''
        faults = ', '.join(f'{count} {fault}' for fault, count in self.faults.items())
        index, reason = self.first
        return (f'{self.faults.total()} of {self.frames} frames are suspect ({faults}); the '
                f'first is frame {index}: {reason}')

    def describe_alarms(self) -> str:
        """Return a sentence about the alarms among images that came one a second."""
        faults = ', '.join(f'{fault} {count}' for fault, count in self.faults.items())
        per_hour = 3600 * self.alarms / max(self.frames, 1)
        return (f'{self.frames} images, taken as one a second: {self.alarms} alarms '
                f'({per_hour:.1f} an hour), {self.faults.total()} suspect images'
                + (f': {faults}' if faults else ''))


def count_alarms(segmenter: Segmenter, frames: Iterable[np.ndarray],
                 least_confidence: float) -> SuspectCounter:
    """Judge frames, (H, W, 3) uint8 RGB each, as if they came one a second."""
    # A little more than a second, so that every frame is looked at (LOOK_PERIOD_SEC).
    counter = SuspectCounter(1 / 1.001, least_confidence)
    batch, rows = segmenter.new_batch(1), sampled_rows(segmenter.resolution[1])
    for frame in frames:
        resize_frame(frame, segmenter.resolution, batch[0])
        counter.add(batch[0, rows].copy(), segmenter.infer(batch, confidence=True)[0])
    return counter


def sample_frame(segmenter: Segmenter, frame: np.ndarray) -> np.ndarray:
    """Return the rows of the network's input that a frame is judged by."""
    network_input = resize_frame(frame, segmenter.resolution)
    return network_input[sampled_rows(segmenter.resolution[1])].copy()
