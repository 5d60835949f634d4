"""Frames that a camera sent and that cannot be trusted. Arrays only.

A camera that fails often goes on sending: black, white, the same frame again and again, or a blur.
The network labels such a frame like any other. This module finds it by a few rows of the network's
input, and by how sure the network is. docs/suspect_frames.md explains the limits.
"""

from __future__ import annotations

import math
import zlib
from collections import deque
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from enet_ros.network.class_map import UNKNOWN
from enet_ros.perception.encodings import RawImage
from enet_ros.perception.segmenter import Segmentation

SAMPLED_ROWS = 16
BLOCKS_PER_ROW = 16         # Means over a block show the scene without the noise of the sensor.

DARK, DARK_SHARE = 20, 0.98          # a lens cap with noise and hot pixels is still black
BRIGHT, BRIGHT_SHARE = 245, 0.9      # the brightest road frames have 0.4 of such pixels
LEAST_RANGE = 12            # of the block means, of 255; 2,380 frames of roads have 110 or more
#: Without a tenth of the block means on either side, which may be text or a clock. Frames of roads
#: have 33 or more, and a street in fog has less than LEAST_RANGE.
RANGE_TAIL, LEAST_TRIMMED_RANGE = 0.1, 4
LEAST_STRUCTURE = 0.4       # deviation of block means / of pixels; frames of roads have 0.82
#: Change over 2 pixels / change over 16 pixels, at a width of 640. A linear ramp has 1/8, a camera
#: of 80x60 pixels 0.15 and more, and frames of roads 0.19 and more.
LEAST_SHARPNESS = 0.15
PIXELS_PER_STEP = 320       # The shorter distance is a pixel for each 320 pixels of width.

RING_FRAMES = 8             # A driver that hangs may send its ring of buffers again and again.

LOOK_PERIOD_SEC = 1.0       # between two looks at sharpness and confidence
LOOKS, LEAST_LOOKS = 10, 5  # Both are judged by the median of the last looks, so after 5 s.
FORGET_LOOKS_SEC = 60.0     # without a look, as while nobody subscribes, and it begins anew


class Fault(Enum):
    """What is wrong with a frame. The value is shown in the diagnostics."""

    BLACK = 'black'
    WHITE = 'saturated'
    UNIFORM = 'one color'
    NOISE = 'noise'
    FROZEN = 'frozen'
    BLURRED = 'blurred'
    UNSURE = 'unlike the training images'
    INVALID = 'no probabilities'


@dataclass(frozen=True)
class Suspicion:
    """Why a frame cannot be trusted.

    Attributes:
        fault: What is wrong.
        reason: A sentence for the log and the diagnostics, with what to check.
    """

    fault: Fault
    reason: str


def sampled_rows(height: int) -> slice:
    """Return the rows of the network's input that are judged, for ``height`` rows in all."""
    step = max(1, height // SAMPLED_ROWS)
    return slice(step // 2, None, step)


class FrameJudge:
    """Judges the frames of one camera, one after the other.

    The publishing thread calls :meth:`judge`. The segmenting thread only reads
    ``confidence_due_sec``.

    Args:
        least_confidence: Mean confidence below which a frame is unlike the training images. 0
            turns this judgement off.

    Attributes:
        confidence_due_sec: When the next frame should have its confidence, by
            ``time.perf_counter``.
    """

    def __init__(self, least_confidence: float = 0.0):
        self._least_confidence = least_confidence
        self.confidence_due_sec = 0.0
        self._sample_checksums: deque[int] = deque(maxlen=RING_FRAMES)
        self._image_checksums: deque[int] = deque(maxlen=RING_FRAMES)  # while samples come again
        self._same_since_sec = math.inf
        self._start_looking()

    def _start_looking(self) -> None:
        """Forget the looks at sharpness and confidence."""
        self._looks: deque[tuple[float, float]] = deque(maxlen=LOOKS)
        self._look_due_sec = -math.inf
        self._slow_suspicion: Suspicion | None = None

    def judge(self, sample: np.ndarray, segmentation: Segmentation, image: RawImage | None,
              now_sec: float, frozen_timeout_sec: float) -> Suspicion | None:
        """Judge a frame.

        Args:
            sample: (rows, W, 3) uint8 in C order, the :func:`sampled_rows` of the input.
            segmentation: Result of the network. Its confidence is used if it is there.
            image: Decoded image, which tells whether two frames with one sample are the same.
            now_sec: When the frame was taken, by ``time.perf_counter``.
            frozen_timeout_sec: Time without a new image that is suspect. 0 turns this off.

        Returns:
            The suspicion, or None if there is none.
        """
        if segmentation.invalid_share:
            return self._invalid(segmentation.invalid_share)
        blocks = cv2.resize(sample, (min(BLOCKS_PER_ROW, sample.shape[1]), len(sample)),
                            interpolation=cv2.INTER_AREA)
        (means, deviation), (_, structure) = cv2.meanStdDev(sample), cv2.meanStdDev(blocks)
        suspicion, green = None, np.sort(blocks[..., 1], axis=None)
        tail = int(RANGE_TAIL * green.size)
        # Looser than the rules of fault_of_sample, so that most frames skip those slow rules. A
        # frame that is nearly black or white has a mean nearer to it than twice DARK.
        if structure.max() < 0.5 * deviation.max() or structure.max() < LEAST_RANGE \
                or int(green[-1 - tail]) - green[tail] < LEAST_TRIMMED_RANGE \
                or means.max() < 2 * DARK or means.min() > BRIGHT - 2 * DARK:
            suspicion = fault_of_sample(sample, blocks)
        if suspicion is not None:
            return self._start_anew(suspicion, segmentation, now_sec)
        if self._looks and now_sec >= self._look_due_sec + FORGET_LOOKS_SEC:
            self._start_looking()  # It judges frames of now.
        checksum = zlib.crc32(sample)
        if frozen_timeout_sec and checksum in self._sample_checksums:
            suspicion = self._frozen(image, now_sec, frozen_timeout_sec)
        else:
            self._image_checksums.clear()
        self._sample_checksums.append(checksum)
        if now_sec >= self._look_due_sec and segmentation.confidence is not None:
            self._look(sample, segmentation, now_sec)
        return suspicion or self._slow_suspicion

    def _start_anew(self, suspicion: Suspicion, segmentation: Segmentation,
                    now_sec: float) -> Suspicion:
        """Forget the frames before one that shows nothing, and return what is wrong with it."""
        self._sample_checksums.clear()
        self._start_looking()
        if segmentation.confidence is not None:
            self.confidence_due_sec = now_sec + LOOK_PERIOD_SEC
        return suspicion

    def _invalid(self, share: float) -> Suspicion:
        """Return the suspicion of a frame with pixels that have no probability."""
        self.confidence_due_sec = 0.0  # of the next frame, too
        self._start_looking()
        return Suspicion(Fault.INVALID, (
            f'the network gave no probability for {100 * share:.0f} % of the pixels, so they are '
            'unknown: its numbers overflow, or the device computes wrongly; wanted other weights, '
            'precision float32, or a look at the device'))

    def _frozen(self, image: RawImage, now_sec: float, timeout_sec: float) -> Suspicion | None:
        """Tell whether no new image has come for too long. The sample of this one came before."""
        checksum = zlib.crc32(np.ascontiguousarray(image.pixels))
        if checksum not in self._image_checksums:
            self._same_since_sec = now_sec
        self._image_checksums.append(checksum)
        same_sec = now_sec - self._same_since_sec
        if same_sec < timeout_sec:
            return None
        count = len(set(self._image_checksums))
        what = ('no pixel of the image has changed' if count == 1 else
                f'the same {count} images have come again and again')
        return Suspicion(Fault.FROZEN, (
            f'{what} for {same_sec:.0f} s (frozen_timeout {timeout_sec}): check the camera and '
            'its driver; a still image or a simulator without noise needs a longer '
            'frozen_timeout, or 0'))

    def _look(self, sample: np.ndarray, segmentation: Segmentation, now_sec: float) -> None:
        """Look at sharpness and confidence, and judge them by the last looks together."""
        self._look_due_sec = self.confidence_due_sec = now_sec + LOOK_PERIOD_SEC
        self._looks.append((sharpness(sample), mean_confidence(segmentation)
                            if self._least_confidence else 1.0))
        if len(self._looks) >= LEAST_LOOKS:
            self._slow_suspicion = fault_of_looks(*np.median(self._looks, axis=0),
                                                  self._least_confidence)


def fault_of_sample(sample: np.ndarray, blocks: np.ndarray | None = None) -> Suspicion | None:
    """Tell whether a frame is black, saturated, of one color or noise.

    Args:
        sample: (rows, W, 3) uint8 RGB.
        blocks: (rows, blocks, 3) uint8, the means over blocks of ``sample``, or None.
    """
    if blocks is None:
        blocks = cv2.resize(sample, (min(BLOCKS_PER_ROW, sample.shape[1]), len(sample)),
                            interpolation=cv2.INTER_AREA)
    flat, flat_blocks = sample.reshape(-1, 3), blocks.reshape(-1, 3)
    dark, bright = (flat.max(1) <= DARK).mean(), (flat.min(1) >= BRIGHT).mean()
    if dark >= DARK_SHARE:
        return Suspicion(Fault.BLACK, (
            f'the image is black: {100 * dark:.0f} % of it is at most {DARK} of 255; check the '
            'lens cap, the light, the exposure and, for 16-bit images, bit_depth'))
    if bright >= BRIGHT_SHARE:
        return Suspicion(Fault.WHITE, (
            f'the image is saturated: {100 * bright:.0f} % of it is at least {BRIGHT} of 255; '
            'check the exposure and the gain'))
    last = len(flat_blocks) - 1
    low, median, high = np.sort(flat_blocks, axis=0)[
        [int(share * last) for share in (RANGE_TAIL, 0.5, 1 - RANGE_TAIL)]]
    if np.ptp(flat_blocks, axis=0).max() < LEAST_RANGE \
            or (high.astype(int) - low).max() < LEAST_TRIMMED_RANGE:
        color = ', '.join(map(str, median))
        return Suspicion(Fault.UNIFORM, (
            f'the image has one color, red, green and blue are {color}: check the camera, its '
            'driver and whether something covers the lens'))
    deviation, structure = flat.std(0).max(), flat_blocks.std(0).max()
    if structure < LEAST_STRUCTURE * deviation:
        return Suspicion(Fault.NOISE, (
            'the image is noise without a scene: check the gain, the cable, and the encoding and '
            'step of the messages'))
    return None


def fault_of_looks(sharpness_: float, confidence: float,
                   least_confidence: float) -> Suspicion | None:
    """Tell whether frames are blurred, or unlike what the network was trained on.

    Args:
        sharpness_: See :func:`sharpness`.
        confidence: See :func:`mean_confidence`.
        least_confidence: Limit of the weights, or 0.
    """
    if sharpness_ < LEAST_SHARPNESS:
        return Suspicion(Fault.BLURRED, (
            f'the image is blurred: its sharpness is {sharpness_:.2f}, below {LEAST_SHARPNESS}; '
            'check focus, dirt and water on the lens, and the exposure time'))
    if not confidence >= least_confidence:  # NaN is not.
        return Suspicion(Fault.UNSURE, (
            f'the mean confidence is {confidence:.2f}, below {least_confidence:.2f} of these '
            'weights: check the lens, whether the camera is upside down (rotate), and whether '
            'the weights fit this place'))
    return None


def sharpness(sample: np.ndarray) -> float:
    """Return the mean change over a short distance, divided by that over eight times as much.

    Args:
        sample: (rows, W, 3) uint8 RGB.

    Returns:
        About 1 for noise, 0.125 for a linear ramp, 1 if nothing can be told.
    """
    green = sample[..., 1].astype(np.int16)
    near = max(1, green.shape[1] // PIXELS_PER_STEP)
    if green.shape[1] <= 8 * near:
        return 1.0
    change = [np.abs(green[:, distance:] - green[:, :-distance]).mean()
              for distance in (near, 8 * near)]
    return float(change[0] / change[1]) if change[1] else 1.0


def mean_confidence(segmentation: Segmentation) -> float:
    """Return the mean confidence of every eighth pixel whose class is known, 1 if none is."""
    confidence = segmentation.confidence[4::8, 4::8]
    known = segmentation.labels[4::8, 4::8] != UNKNOWN
    return float(confidence[known].mean()) if known.any() else 1.0
