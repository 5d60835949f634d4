"""Frames to segmentations.

The node, ``enet-ros eval`` and ``enet-ros segment`` all use this module, so a figure that one of
them measures holds for the others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from enet_ros.backends.base import BackendRequest, canonical_precision
from enet_ros.backends.select import open_backend
from enet_ros.network.checkpoint import Checkpoint, read_checkpoint, weights_path
from enet_ros.network.class_map import UNKNOWN
from enet_ros.network.resolution import MAX_PIXELS, check_resolution
from enet_ros.perception.resize import resize_frame, resize_labels

#: The most probable of n classes has at least 1 / n. This much less is left to rounding.
PROBABILITY_TOLERANCE = 0.1


@dataclass(frozen=True)
class Segmentation:
    """The class of every pixel of a frame.

    Attributes:
        labels: (H, W) uint8 class ids; 255 is unknown.
        confidence: (H, W) float32 in [0, 1], the probability of that class and 0 where it is
            unknown. It is None if it was not requested.
        invalid_share: Share of the pixels for which the network gave no probability, such as NaN
            after an overflow. Their label is unknown. It can be told only with the confidence.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None
    invalid_share: float = 0.0


def check_frame(frame: np.ndarray) -> None:
    """Check that a frame is an RGB image.

    Raises:
        ValueError: It is not an (H, W, 3) uint8 array, is empty, or has more than 64 MP.
    """
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 \
            or frame.shape[2] != 3 or not frame.size:
        received = (f'{frame.dtype} {frame.shape}' if isinstance(frame, np.ndarray)
                    else type(frame).__name__)
        raise ValueError(f'frame is {received}, wanted uint8 (height, width, 3) RGB')
    if frame.shape[0] * frame.shape[1] > MAX_PIXELS:
        raise ValueError(f'frame is {frame.shape[1]}x{frame.shape[0]}, wanted at most 64 MP')


class Segmenter:
    """A network that is compiled for one resolution.

    Only the network sees the frames of an upside-down camera rotated. :meth:`infer` rotates them
    before the network, and the results after it. Everything else works in the orientation of the
    camera.

    Attributes:
        checkpoint: Weights and their class map.
        resolution: (width, height) of the network's input.
        backend: The runtime of the network.
        choice: A sentence that says which backend was chosen, and why.
        least_confidence: Mean confidence below which a frame is unlike the training images, or 0
            if it is not judged at this resolution.
        confidence_check: A sentence that says so.
    """

    def __init__(self, checkpoint: Checkpoint, resolution: Sequence[int] = (640, 360),
                 backend: str = 'auto', precision: str = 'auto', threads: int = 0, *,
                 use_cache: bool = True, report: Callable[[str], object] | None = None):
        """Compile the network.

        Args:
            checkpoint: From :func:`enet_ros.network.checkpoint.read_checkpoint`.
            resolution: (width, height), multiples of 8.
            backend: 'auto', 'openvino', 'tensorrt', 'torch' or 'triton'.
            precision: 'auto', 'float32', 'bfloat16', 'float16' or 'int8'.
            threads: Number of CPU threads. 0 leaves it to the backend.
            use_cache: Whether the compiled network is kept on disk.
            report: Receives a sentence when a network must be compiled. OpenVINO then compiles in
                a child process; see :class:`enet_ros.backends.base.BackendRequest`.

        Raises:
            TypeError: The checkpoint is something else, such as the name of weights.
            ValueError: The resolution is refused, or the precision or the backend (BackendError),
                or the weights (CheckpointError).
        """
        if not isinstance(checkpoint, Checkpoint):
            raise TypeError(f'checkpoint is {type(checkpoint).__name__}, wanted a Checkpoint; '
                            "Segmenter.from_file('enet_road') reads weights by name or file")
        self.checkpoint = checkpoint
        self.resolution = check_resolution(resolution)
        request = BackendRequest(checkpoint, self.resolution, canonical_precision(precision),
                                 threads, use_cache, report=report)
        self.backend, self.choice = open_backend(backend, request)
        # Callers may share a segmenter between their threads.
        self._one_at_a_time = threading.Lock()
        self.least_confidence, self.confidence_check = checkpoint.least_confidence_at(
            self.resolution)
        self._label_lut = checkpoint.class_map.label_lut()
        self._least_probability = (1.0 - PROBABILITY_TOLERANCE) / len(checkpoint.class_map)

    @classmethod
    def from_file(cls, weights: str | os.PathLike = '', **options) -> Segmenter:
        """Build a segmenter from a weights file, or from the name of weights that ship."""
        return cls(read_checkpoint(weights_path(os.fspath(weights))), **options)

    def warm_up(self) -> None:
        """Compile with and without confidence, and run each once, so that no frame waits.

        Raises:
            ValueError: The network gives no probabilities.
        """
        batch = self.new_batch(1)
        batch[:] = 0
        self.infer(batch, confidence=False)
        # Every value of a pixel, in stripes: numbers that overflow may do so only at edges.
        batch[:] = (np.arange(batch.shape[2]) * 97 % 256).astype(np.uint8)[:, None]
        invalid_share = self.infer(batch, confidence=True)[0].invalid_share
        if invalid_share:
            raise ValueError(
                f'the network gives no probability for {100 * invalid_share:.0f} % of a test '
                f'image in {self.backend.precision}: its numbers overflow; wanted other weights, '
                'or precision float32')

    def segment(self, frames: Iterable[np.ndarray], *,
                confidence: bool = False) -> list[Segmentation]:
        """Segment frames, each at its own size.

        Args:
            frames: (H, W, 3) uint8 RGB each, in a list or an array. Their sizes may differ.
            confidence: Whether the probability of the class is computed as well.

        Returns:
            One segmentation per frame, of the frame's size.

        Raises:
            ValueError: A frame is not an RGB image.
        """
        frames = list(frames)
        for frame in frames:
            check_frame(frame)
        if not frames:
            return []
        batch = self.new_batch(len(frames))
        for frame, network_input in zip(frames, batch):
            resize_frame(frame, self.resolution, network_input)
        results = self.infer(batch, confidence=confidence)
        return [resize_segmentation(result, frame.shape[1::-1])
                for result, frame in zip(results, frames)]

    def new_batch(self, count: int) -> np.ndarray:
        """Return memory for ``count`` frames of the network's size, (N, H, W, 3) uint8."""
        return self.backend.new_batch(count)

    def infer(self, batch: np.ndarray, *, confidence: bool = False,
              upside_down: Sequence[int] = ()) -> list[Segmentation]:
        """Segment frames that have the network's size already. It may rotate frames in ``batch``.

        Args:
            batch: (N, H, W, 3) uint8 RGB, C-contiguous, H and W of ``resolution``.
            confidence: Whether the probability of the class is computed as well.
            upside_down: Indices of the frames whose camera is mounted upside down. They are
                rotated by 180 degrees in ``batch``.

        Returns:
            One segmentation per frame, at the network's size, in the orientation of the camera.

        Raises:
            Exception: The runtime failed, with an exception of its own.
        """
        for i in upside_down:
            batch[i] = batch[i, ::-1, ::-1].copy()
        with self._one_at_a_time:
            labels, probability = self.backend.infer(batch, confidence=confidence)
        invalid_shares = [0.0] * len(batch)
        if probability is not None and not probability.min() >= self._least_probability:
            valid = probability >= self._least_probability  # NaN is not.
            labels, probability = np.where(valid, labels, UNKNOWN), np.where(valid, probability, 0)
            invalid_shares = [1.0 - float(frame.mean()) for frame in valid]
        if self._label_lut is not None:
            labels = cv2.LUT(labels.reshape(-1, labels.shape[-1]),
                             self._label_lut).reshape(labels.shape)
            if probability is not None:
                probability[labels == UNKNOWN] = 0.0
        for result in (labels, probability):
            if result is not None:
                for i in upside_down:
                    result[i] = result[i, ::-1, ::-1].copy()
        return [Segmentation(labels[i], None if probability is None else probability[i],
                             invalid_shares[i])
                for i in range(len(batch))]


def all_unknown(segmentation: Segmentation) -> Segmentation:
    """Return a segmentation of the same size in which nothing is known."""
    confidence = segmentation.confidence
    return Segmentation(np.full_like(segmentation.labels, UNKNOWN),
                        None if confidence is None else np.zeros_like(confidence),
                        segmentation.invalid_share)


def unknown_where(segmentation: Segmentation, unseen: np.ndarray) -> Segmentation:
    """Return a segmentation that is unknown in some pixels.

    Args:
        segmentation: It stays as it is.
        unseen: (H, W) uint8 of the same size: 255 becomes unknown, 0 stays.
    """
    confidence = segmentation.confidence
    return Segmentation(cv2.bitwise_or(segmentation.labels, unseen),  # UNKNOWN has all bits.
                        None if confidence is None else
                        cv2.copyTo(confidence, cv2.bitwise_not(unseen)),
                        segmentation.invalid_share)


def resize_segmentation(segmentation: Segmentation, size: tuple[int, int]) -> Segmentation:
    """Resize labels and confidence to (width, height) by nearest neighbor."""
    confidence = segmentation.confidence
    return Segmentation(resize_labels(segmentation.labels, size),
                        None if confidence is None else resize_labels(confidence, size),
                        segmentation.invalid_share)
