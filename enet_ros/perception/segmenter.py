"""Frames in, segmentations out: owns the resize, the batch and the backend.

The node, ``enet-ros eval`` and ``enet-ros segment`` all go through the functions of this module,
so a figure measured by one holds for the others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from enet_ros.backends.base import BackendRequest, canonical_precision
from enet_ros.backends.select import open_backend
from enet_ros.network.checkpoint import Checkpoint, read_checkpoint, weights_path
from enet_ros.network.class_map import UNKNOWN
from enet_ros.perception.encodings import MAX_PIXELS
from enet_ros.perception.resize import resize_frame, resize_labels

STRIDE = 8  # as enet_ros.network.enet.STRIDE, which importing would cost torch


@dataclass(frozen=True)
class Segmentation:
    """What is known about every pixel of a frame.

    Attributes:
        labels: class id, 255 = unknown; (H, W) uint8.
        confidence: probability of that class, 0 where unknown; (H, W) float32 in [0, 1], or None
            if it was not asked for.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None


def check_resolution(resolution: Sequence[int]) -> tuple[int, int]:
    """Return a resolution as (width, height).

    Raises:
        ValueError: no two positive multiples of 8, or more than 64 MP.
    """
    values = list(resolution)
    if len(values) != 2 or any(v < STRIDE or v % STRIDE for v in values):
        text = 'x'.join(str(v) for v in values)
        hint = ''
        if len(values) == 2 and min(values) > 0:
            near = [max(STRIDE, round(v / STRIDE) * STRIDE) for v in values]
            hint = f', such as {near[0]}x{near[1]}'
        raise ValueError(f'resolution is {text}, wanted width and height in '
                         f'multiples of {STRIDE}{hint}')
    width, height = (int(v) for v in values)
    if width * height > MAX_PIXELS:
        raise ValueError(f'resolution is {width}x{height}, wanted at most 64 MP')
    return width, height


def check_frame(frame: np.ndarray) -> None:
    """Check that a frame is a picture.

    Raises:
        ValueError: no (H, W, 3) uint8 array, empty, or of more than 64 MP.
    """
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 \
            or frame.shape[2] != 3 or not frame.size:
        found = (f'{frame.dtype} {frame.shape}' if isinstance(frame, np.ndarray)
                 else type(frame).__name__)
        raise ValueError(f'frame is {found}, wanted uint8 (height, width, 3) RGB')
    if frame.shape[0] * frame.shape[1] > MAX_PIXELS:
        raise ValueError(f'frame is {frame.shape[1]}x{frame.shape[0]}, wanted at most 64 MP')


class Segmenter:
    """A network, compiled for one resolution.

    Attributes:
        checkpoint: the weights and their class map.
        resolution: (width, height) of the network's input.
        backend: what runs it.
        choice: a sentence that says which backend was picked and why.
    """

    def __init__(self, checkpoint: Checkpoint, resolution: Sequence[int] = (640, 360),
                 backend: str = 'auto', precision: str = 'auto', threads: int = 0,
                 use_cache: bool = True):
        """Compile the network.

        Args:
            checkpoint: from :func:`enet_ros.network.checkpoint.read_checkpoint`.
            resolution: (width, height), multiples of 8.
            backend: 'auto', 'openvino' or 'torch'.
            precision: 'auto', 'float32', 'bfloat16', 'float16' or 'int8'.
            threads: of the processor; 0 leaves it to the backend.
            use_cache: whether the compiled network is kept on disk.

        Raises:
            ValueError: a bad resolution, precision (BackendError), backend (BackendError) or
                weights (CheckpointError).
        """
        self.checkpoint = checkpoint
        self.resolution = check_resolution(resolution)
        request = BackendRequest(checkpoint, self.resolution, canonical_precision(precision),
                                 threads, use_cache)
        self.backend, self.choice = open_backend(backend, request)
        self._one_at_a_time = threading.Lock()  # a thread of a former activation may be inside
        self._label_lut = checkpoint.class_map.label_lut()

    @classmethod
    def from_file(cls, weights: str | os.PathLike = '', **options) -> Segmenter:
        """Build a segmenter from a weights file, or from the name of one that ships."""
        return cls(read_checkpoint(weights_path(os.fspath(weights))), **options)

    def warm_up(self) -> None:
        """Compile with and without confidence, and run each once, so that no frame waits."""
        for confidence in (False, True):
            self.infer(np.zeros_like(self.new_batch(1)), confidence)

    def segment(self, frames: Sequence[np.ndarray],
                confidence: bool = False) -> list[Segmentation]:
        """Segment frames, each at its own size.

        Args:
            frames: each (H, W, 3) uint8 RGB; sizes may differ.
            confidence: whether to compute the winning class's probability as well.

        Returns:
            A segmentation a frame, of the frame's size.

        Raises:
            ValueError: a frame is no picture.
        """
        for frame in frames:
            check_frame(frame)
        if not frames:
            return []
        batch = self.new_batch(len(frames))
        for frame, slot in zip(frames, batch):
            resize_frame(frame, self.resolution, slot)
        results = self.infer(batch, confidence)
        return [resize_segmentation(result, frame.shape[1::-1])
                for result, frame in zip(results, frames)]

    def new_batch(self, count: int) -> np.ndarray:
        """Return room for ``count`` frames of the network's size, (N, H, W, 3) uint8."""
        return self.backend.new_batch(count)

    def infer(self, batch: np.ndarray, confidence: bool = False) -> list[Segmentation]:
        """Segment frames that have the network's size already.

        Args:
            batch: (N, H, W, 3) uint8 RGB, C-contiguous, H and W of ``resolution``.
            confidence: whether to compute the winning class's probability as well.

        Returns:
            A segmentation a frame, at the network's size.
        """
        with self._one_at_a_time:
            labels, probability = self.backend.infer(batch, confidence=confidence)
        if self._label_lut is not None:
            labels = cv2.LUT(labels.reshape(-1, labels.shape[-1]),
                             self._label_lut).reshape(labels.shape)
            if probability is not None:
                probability[labels == UNKNOWN] = 0.0
        return [Segmentation(labels[i], None if probability is None else probability[i])
                for i in range(len(batch))]


def resize_segmentation(segmentation: Segmentation, size: tuple[int, int]) -> Segmentation:
    """Stretch labels and confidence to (width, height) by nearest neighbour."""
    confidence = segmentation.confidence
    return Segmentation(resize_labels(segmentation.labels, size),
                        None if confidence is None else resize_labels(confidence, size))
