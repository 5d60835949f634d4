"""Label maps to drivable masks and their outlines. Arrays only."""

from __future__ import annotations

import math
from collections import deque

import cv2
import numpy as np

from enet_ros.network.class_map import UNKNOWN
from enet_ros.perception.settings import DrivableSettings as DrivablePolicy

#: Outlines are simplified to this many pixels: finer is noise of the network's own grid.
OUTLINE_TOLERANCE_PX = 1.0
#: How far from the seed its region may begin, in heights of the picture: a bonnet's edge or a
#: stain under the seed is bridged, the lane beyond a car ahead is not.
SEED_REACH = 0.05
MAX_GAP_SEC = 1.0   # frames farther apart than this do not vote together


class TemporalMajority:
    """What most of the last frames say.

    Spares a planner the flicker of single frames. What becomes free or blocked is seen after
    half of the frames; what is unknown, at once.

    Args:
        count: frames that vote, 1 to 255.
        max_gap_sec: the longest time from one frame to the next; after a longer one, or when the
            stamps jump back, the frames before are forgotten.
    """

    def __init__(self, count: int, max_gap_sec: float = MAX_GAP_SEC):
        self.count, self.max_gap_sec = count, max_gap_sec
        self.clear()

    def clear(self) -> None:
        """Forget every frame."""
        self._frames: deque[np.ndarray] = deque()
        self._votes: np.ndarray | None = None
        self._stamp_sec = math.nan

    def update(self, mask: np.ndarray, labels: np.ndarray, stamp_sec: float) -> np.ndarray:
        """Add a frame and count the votes.

        A frame with the stamp of the last one takes its place: nobody votes twice. While fewer
        than ``count`` frames are held, those vote.

        Args:
            mask: (H, W) uint8, 0 = not drivable.
            labels: (H, W) uint8 of the same frame, 255 = unknown.
            stamp_sec: its time.

        Returns:
            (H, W) uint8: 255 where more than half of the frames are drivable and the newest is
            not unknown, else 0.
        """
        if self.count == 1:
            return mask
        if self._votes is None or self._votes.shape != mask.shape \
                or not 0.0 <= stamp_sec - self._stamp_sec <= self.max_gap_sec:
            self.clear()
            self._votes = np.zeros_like(mask)
        elif stamp_sec == self._stamp_sec:
            cv2.subtract(self._votes, self._frames.pop(), self._votes)
        self._stamp_sec = stamp_sec
        self._add(cv2.threshold(mask, 0, 1, cv2.THRESH_BINARY)[1])
        half = len(self._frames) // 2
        most = cv2.threshold(self._votes, half, 255, cv2.THRESH_BINARY)[1]
        return without_unknown(most, labels)

    def _add(self, frame: np.ndarray) -> None:
        if len(self._frames) == self.count:
            cv2.subtract(self._votes, self._frames.popleft(), self._votes)
        self._frames.append(frame)
        cv2.add(self._votes, frame, self._votes)


class DrivableFilter:
    """Applies a policy to one camera's masks, frame by frame.

    The frames vote first, so that holes, regions and areas are those of the mask that goes out.

    Args:
        policy: what counts.
        max_gap_sec: see :class:`TemporalMajority`.
    """

    def __init__(self, policy: DrivablePolicy | None = None, max_gap_sec: float = MAX_GAP_SEC):
        self._policy = policy or DrivablePolicy()
        self._majority = TemporalMajority(self._policy.majority, max_gap_sec)

    @property
    def policy(self) -> DrivablePolicy:
        """What counts; may be set between frames."""
        return self._policy

    @policy.setter
    def policy(self, policy: DrivablePolicy) -> None:
        if policy.majority != self._policy.majority:
            self._majority = TemporalMajority(policy.majority, self._majority.max_gap_sec)
        self._policy = policy

    def clear(self) -> None:
        """Forget the frames before."""
        self._majority.clear()

    def update(self, mask: np.ndarray, labels: np.ndarray, stamp_sec: float) -> np.ndarray:
        """Return what the policy leaves of a mask.

        Args:
            mask: (H, W) uint8, 0 = not drivable; see :func:`drivable_mask`.
            labels: (H, W) uint8 of the same frame, 255 = unknown; see :func:`sure_labels`.
            stamp_sec: its time.

        Returns:
            (H, W) uint8: 255 drivable, 0 not or unknown; ``mask`` itself where nothing is asked.
        """
        mask = self._majority.update(mask, labels, stamp_sec)
        if self._policy.max_hole > 0.0:
            mask = close_holes(mask, labels, self._policy.max_hole)
        if self._policy.connected:
            return seed_region(mask, self._policy.seed, self._policy.min_area)
        if self._policy.min_area > 0.0:
            return large_regions(mask, self._policy.min_area)
        return mask


def sure_labels(labels: np.ndarray, confidence: np.ndarray | None,
                confidence_floor: float) -> np.ndarray:
    """Return labels, (H, W) uint8, that are 255 where the confidence is below the floor.

    For :class:`DrivableFilter`, so that neither votes nor closed holes make such a pixel drivable.

    Args:
        labels: (H, W) uint8, 255 = unknown.
        confidence: (H, W) float32 in [0, 1]; needed for a floor above 0.
        confidence_floor: 0 changes nothing, and returns ``labels`` itself.
    """
    if confidence_floor <= 0.0:
        return labels
    return np.where(confidence >= confidence_floor, labels, np.uint8(UNKNOWN))


def drivable_mask(labels: np.ndarray, lut: np.ndarray) -> np.ndarray:
    """Say which pixels may be driven on.

    Args:
        labels: (H, W) uint8, 255 = unknown.
        lut: label -> 255 drivable or 0, (256,) uint8; see ``ClassMap.drivable_lut``.

    Returns:
        (H, W) uint8: 255 drivable, 0 not or unknown.
    """
    return cv2.LUT(labels, lut)


def drivable_fraction(mask: np.ndarray) -> float:
    """Return the share of the picture that is drivable, 0 to 1."""
    return cv2.countNonZero(mask) / mask.size


def drivable_confidence(mask: np.ndarray, confidence: np.ndarray) -> float:
    """Return the mean confidence of the drivable pixels, or NaN if there are none.

    Args:
        mask: (H, W) uint8, 0 = not drivable.
        confidence: (H, W) float32 in [0, 1].
    """
    return cv2.mean(confidence, mask)[0] if cv2.countNonZero(mask) else float('nan')


def drivable_outlines(mask: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """Trace the outer outlines of the drivable regions, largest region first.

    Args:
        mask: (H, W) uint8, 0 = not drivable.
        size: (width, height) of the picture in whose pixels the outlines are wanted.

    Returns:
        Arrays (N, 2) float32 of x and y in pixels of ``size``, (0, 0) the first pixel's centre;
        regions of fewer than 3 corners are left out.
    """
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = sorted(found, key=cv2.contourArea, reverse=True)
    outlines = (cv2.approxPolyDP(outline, OUTLINE_TOLERANCE_PX, True)[:, 0] for outline in found)
    scale = np.array([size[0] / mask.shape[1], size[1] / mask.shape[0]], np.float32)
    return [((outline + 0.5) * scale - 0.5).astype(np.float32)
            for outline in outlines if len(outline) >= 3]


def without_unknown(mask: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return a mask, (H, W) uint8, with 0 where the label is 255."""
    known = cv2.threshold(labels, UNKNOWN - 1, 255, cv2.THRESH_BINARY_INV)[1]
    return cv2.bitwise_and(mask, known)


def close_holes(mask: np.ndarray, labels: np.ndarray, max_hole: float) -> np.ndarray:
    """Make small holes drivable.

    A hole is what is not drivable and is closed in by what is. One that reaches the picture's
    border has a size that nobody saw, and one with anything unknown in it may hold anything:
    both stay.

    Args:
        mask: (H, W) uint8, 0 = not drivable.
        labels: (H, W) uint8, 255 = unknown.
        max_hole: size of the largest hole that is closed, fraction of the picture.

    Returns:
        (H, W) uint8: 255 drivable, 0 not or unknown.
    """
    # Corners join what is not drivable, and do not join what is.
    pixels, part, area = parts_of(holes_of(mask), connectivity=8)
    close = area <= max_hole * mask.size
    close[part[labels.ravel()[pixels] == UNKNOWN]] = False
    closed = cv2.threshold(mask, 0, 255, cv2.THRESH_BINARY)[1]
    closed.ravel()[pixels[close[part]]] = 255
    return closed


def holes_of(mask: np.ndarray) -> np.ndarray:
    """Return 255 where what is not drivable does not reach the border, else 0; (H, W) uint8."""
    closed = cv2.threshold(mask, 0, 255, cv2.THRESH_BINARY_INV)[1]
    around = cv2.copyMakeBorder(closed, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    cv2.floodFill(around, None, (0, 0), 0, flags=8)
    return np.ascontiguousarray(around[1:-1, 1:-1])


def parts_of(mask: np.ndarray, connectivity: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what is connected in a mask.

    OpenCV's statistics cost five times what its components do; few pixels need counting.

    Args:
        mask: (H, W) uint8, 0 = background.
        connectivity: 4 or 8 neighbours.

    Returns:
        Flat indices of the pixels, (N,); the part of each, (N,); and each part's pixels, (parts,),
        where part 0 is the background and empty.
    """
    _, parts = cv2.connectedComponents(mask, connectivity=connectivity)
    pixels = np.flatnonzero(mask != 0)
    part = parts.ravel()[pixels]
    return pixels, part, np.bincount(part, minlength=1)


def large_regions(mask: np.ndarray, min_area: float) -> np.ndarray:
    """Keep the regions that are large enough.

    Regions that touch at a corner are two: nothing drives through a corner.

    Args:
        mask: (H, W) uint8, 0 = not drivable.
        min_area: fraction of the picture.

    Returns:
        (H, W) uint8: 255 kept, else 0.
    """
    pixels, part, area = parts_of(mask, connectivity=4)
    kept = np.zeros_like(mask)
    kept.ravel()[pixels[(area >= min_area * mask.size)[part]]] = 255
    return kept


def seed_region(mask: np.ndarray, seed: tuple[float, float],
                min_area: float = 0.0) -> np.ndarray:
    """Keep the region that the seed lies in, else the one that begins nearest to it.

    Args:
        mask: (H, W) uint8, 0 = not drivable.
        seed: x and y, fractions of the picture.
        min_area: fraction of the picture; a smaller region is not kept.

    Returns:
        (H, W) uint8: 255 kept, else 0; all 0 if no region begins within SEED_REACH of the seed. A
        larger reach would take the far side of whatever stands before the vehicle for connected.
    """
    region = cv2.threshold(mask, 0, 1, cv2.THRESH_BINARY)[1]
    start = drivable_near(region, seed)
    if start is None:
        return np.zeros_like(mask)
    area = cv2.floodFill(region, None, start, 255, flags=4)[0]
    if area < min_area * mask.size:
        return np.zeros_like(mask)
    return cv2.threshold(region, 1, 255, cv2.THRESH_BINARY)[1]


def drivable_near(mask: np.ndarray, seed: tuple[float, float]) -> tuple[int, int] | None:
    """Return column and row of the drivable pixel nearest to the seed, None beyond SEED_REACH."""
    height, width = mask.shape
    column = min(int(seed[0] * width), width - 1)
    row = min(int(seed[1] * height), height - 1)
    reach = max(1, round(SEED_REACH * height))
    top, left = max(0, row - reach), max(0, column - reach)
    rows, columns = np.nonzero(mask[top:row + reach + 1, left:column + reach + 1])
    away = np.hypot(rows + top - row, columns + left - column)
    if not away.size or away.min() > reach:
        return None
    nearest = away.argmin()
    return int(columns[nearest]) + left, int(rows[nearest]) + top
