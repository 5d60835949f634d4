"""What ``enet-ros segment`` says of images and videos that cannot be trusted."""

from __future__ import annotations

from collections import Counter

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
    sample = _sample(segmenter, frame)
    return fault_of_sample(sample) or fault_of_looks(
        sharpness(sample), mean_confidence(segmentation), segmenter.least_confidence)


class VideoSuspects:
    """Judges the frames of a video as the node does, but for frozen ones.

    Args:
        segmenter: The network.
        fps: Frames a second.
    """

    def __init__(self, segmenter: Segmenter, fps: float):
        self._segmenter, self._fps = segmenter, fps
        self._judge = FrameJudge(segmenter.least_confidence)
        self._faults: Counter[str] = Counter()
        self._first: tuple[int, str] | None = None
        self._count = 0

    def add(self, frame: np.ndarray, segmentation: Segmentation) -> None:
        """Judge the next frame, (H, W, 3) uint8 RGB."""
        suspicion = self._judge.judge(_sample(self._segmenter, frame), segmentation, None,
                                      self._count / self._fps, 0.0)
        if suspicion is not None:
            self._faults[suspicion.fault.value] += 1
            self._first = self._first or (self._count, suspicion.reason)
        self._count += 1

    def __str__(self) -> str:
        """Return a sentence about the suspect frames, or nothing if there are none."""
        if self._first is None:
            return ''
        faults = ', '.join(f'{count} {fault}' for fault, count in self._faults.items())
        index, reason = self._first
        return (f'{self._faults.total()} of {self._count} frames are suspect ({faults}); the '
                f'first is frame {index}: {reason}')


def _sample(segmenter: Segmenter, frame: np.ndarray) -> np.ndarray:
    """Return the rows of the network's input that are judged."""
    network_input = resize_frame(frame, segmenter.resolution)
    return network_input[sampled_rows(segmenter.resolution[1])].copy()
