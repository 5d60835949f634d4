"""Label maps to drivable masks and their contours. Arrays only."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from enet_ros.network.class_map import UNKNOWN
from enet_ros.perception.parameters.settings import DrivableSettings

#: Contours are simplified by this. Finer detail is noise of the network's own grid.
CONTOUR_TOLERANCE_PX = 1.0
#: Greatest distance of a region from the seed, in heights of the image. It bridges the edge of a
#: bonnet or a stain under the seed, but not a car ahead.
SEED_REACH = 0.05
MAX_GAP_SEC = 1.0   # frames farther apart than this do not vote together


class TemporalMajority:
    """A vote of the last frames on each pixel.

    It spares a planner ground that flickers. Votes only take away: a pixel becomes drivable
    after half of the frames, and is no longer drivable at once. Otherwise an obstacle would
    vanish that moves across the image, as all do while the vehicle turns.

    After a gap of more than ``MAX_GAP_SEC``, or if the stamps jump back, the frames before are
    forgotten.

    Args:
        count: Number of frames that vote, 1 to 255.
    """

    def __init__(self, count: int):
        self.count = count
        self.clear()

    def clear(self) -> None:
        """Forget every frame."""
        self._frames: deque[np.ndarray] = deque()
        self._votes: np.ndarray | None = None
        self._order_sec = math.nan  # of the last frame

    def update(self, mask: np.ndarray, order_sec: float) -> np.ndarray:
        """Add a frame and count the votes.

        A frame with the time of the last one takes its place, so that no frame votes twice. If
        there are fewer than ``count`` frames, all of them vote.

        Args:
            mask: (H, W) uint8: 255 is drivable, 0 is not drivable or unknown.
            order_sec: Time by which the frame votes; see
                :class:`enet_ros.perception.stamps.FramePlace`.

        Returns:
            (H, W) uint8: 255 where ``mask`` and more than half of the frames are drivable, else 0.
        """
        if self.count == 1:
            return mask
        if self._votes is None or self._votes.shape != mask.shape \
                or not 0.0 <= order_sec - self._order_sec <= MAX_GAP_SEC:
            self.clear()
            self._votes = np.zeros_like(mask)
        elif order_sec == self._order_sec:
            cv2.subtract(self._votes, self._frames.pop(), self._votes)
        self._order_sec = order_sec
        self._add(cv2.threshold(mask, 0, 1, cv2.THRESH_BINARY)[1])
        half = len(self._frames) // 2
        most = cv2.threshold(self._votes, half, 255, cv2.THRESH_BINARY)[1]
        return cv2.bitwise_and(most, mask)

    def _add(self, frame: np.ndarray) -> None:
        if len(self._frames) == self.count:
            cv2.subtract(self._votes, self._frames.popleft(), self._votes)
        self._frames.append(frame)
        cv2.add(self._votes, frame, self._votes)


class DrivableFilter:
    """Applies the ``drivable.*`` settings to the masks of one camera, frame by frame.

    The frames vote first, so that holes, regions and areas are those of the published mask.

    Args:
        settings: Which drivable pixels count.

    Attributes:
        majority: The votes of the frames before.
    """

    def __init__(self, settings: DrivableSettings | None = None):
        self._settings = settings or DrivableSettings()
        self.majority = TemporalMajority(self._settings.majority)

    @property
    def settings(self) -> DrivableSettings:
        """Settings that may be replaced between two frames."""
        return self._settings

    @settings.setter
    def settings(self, settings: DrivableSettings) -> None:
        if settings.majority != self._settings.majority:
            self.majority = TemporalMajority(settings.majority)
        self._settings = settings

    def clear(self) -> None:
        """Forget the frames before."""
        self.majority.clear()

    def update(self, mask: np.ndarray, labels: np.ndarray, order_sec: float) -> np.ndarray:
        """Return the pixels of a mask that count.

        Args:
            mask: (H, W) uint8: 255 is drivable, else 0. See :func:`drivable_mask`.
            labels: (H, W) uint8 of the same frame; 255 is unknown. See
                :func:`labels_above_floor`.
            order_sec: Time by which the frame votes; see
                :class:`enet_ros.perception.stamps.FramePlace`.

        Returns:
            (H, W) uint8: 255 is drivable, 0 is not drivable or unknown. It is ``mask`` itself if
            the settings change nothing.
        """
        mask = self.majority.update(mask, order_sec)
        if self._settings.max_hole > 0.0:
            mask = close_holes(mask, labels, self._settings.max_hole)
        if self._settings.connected:
            return seed_region(mask, self._settings.seed, self._settings.min_area)
        if self._settings.min_area > 0.0:
            return large_regions(mask, self._settings.min_area)
        return mask


def labels_above_floor(labels: np.ndarray, confidence: np.ndarray | None,
                       confidence_floor: float) -> np.ndarray:
    """Return labels that are unknown where the confidence is below the floor.

    With them neither votes nor closed holes make such a pixel drivable.

    Args:
        labels: (H, W) uint8; 255 is unknown.
        confidence: (H, W) float32 in [0, 1]. A floor above 0 needs it.
        confidence_floor: Least confidence, 0 to 1.

    Returns:
        (H, W) uint8. It is ``labels`` itself if the floor is 0. A confidence of NaN is below any
        other floor.
    """
    if confidence_floor <= 0.0:
        return labels
    return np.where(confidence >= confidence_floor, labels, np.uint8(UNKNOWN))


def drivable_mask(labels: np.ndarray, lut: np.ndarray) -> np.ndarray:
    """Return which pixels belong to a drivable class.

    Args:
        labels: (H, W) uint8; 255 is unknown.
        lut: (256,) uint8, label -> 255 drivable or 0; see ``ClassMap.drivable_lut``.

    Returns:
        (H, W) uint8: 255 is drivable, 0 is not drivable or unknown.
    """
    return cv2.LUT(labels, lut)


def drivable_fraction(mask: np.ndarray) -> float:
    """Return the share of the image that is drivable, 0 to 1."""
    return cv2.countNonZero(mask) / mask.size


def drivable_confidence(mask: np.ndarray, confidence: np.ndarray) -> float:
    """Return the mean confidence of the drivable pixels, or NaN if there are none.

    Args:
        mask: (H, W) uint8; 0 is not drivable.
        confidence: (H, W) float32 in [0, 1].
    """
    return cv2.mean(confidence, mask)[0] if cv2.countNonZero(mask) else float('nan')


def drivable_contours(mask: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """Trace the outer contours of the drivable regions, largest region first.

    Args:
        mask: (H, W) uint8; 0 is not drivable.
        size: (width, height) of the image in whose pixels the contours are returned.

    Returns:
        Arrays (N, 2) float32 of x and y in pixels of ``size``. (0, 0) is the center of the first
        pixel. Regions of fewer than 3 corners are left out.
    """
    traced, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    traced = sorted(traced, key=cv2.contourArea, reverse=True)
    contours = (cv2.approxPolyDP(contour, CONTOUR_TOLERANCE_PX, True)[:, 0] for contour in traced)
    scale = np.array([size[0] / mask.shape[1], size[1] / mask.shape[0]], np.float32)
    return [((contour + 0.5) * scale - 0.5).astype(np.float32)
            for contour in contours if len(contour) >= 3]


def close_holes(mask: np.ndarray, labels: np.ndarray, max_hole: float) -> np.ndarray:
    """Make small holes drivable.

    A hole is a region that is not drivable and that drivable pixels enclose. Two kinds of holes
    stay: one that reaches the border of the image, since its size is unknown, and one with an
    unknown pixel.

    Args:
        mask: (H, W) uint8; 0 is not drivable.
        labels: (H, W) uint8; 255 is unknown.
        max_hole: Greatest area of a hole that is closed, as a fraction of the image.

    Returns:
        (H, W) uint8: 255 is drivable, 0 is not drivable or unknown.
    """
    # Pixels of a hole are connected across corners. Drivable pixels are not.
    holes = connected_components(enclosed_regions(mask), connectivity=8)
    close = holes.areas <= max_hole * mask.size
    close[holes.components[labels.ravel()[holes.pixel_indices] == UNKNOWN]] = False
    closed = cv2.threshold(mask, 0, 255, cv2.THRESH_BINARY)[1]
    closed.ravel()[holes.pixel_indices[close[holes.components]]] = 255
    return closed


def enclosed_regions(mask: np.ndarray) -> np.ndarray:
    """Return (H, W) uint8: 255 where a region that is not drivable does not reach the border."""
    closed = cv2.threshold(mask, 0, 255, cv2.THRESH_BINARY_INV)[1]
    around = cv2.copyMakeBorder(closed, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    cv2.floodFill(around, None, (0, 0), 0, flags=8)
    return np.ascontiguousarray(around[1:-1, 1:-1])


@dataclass(frozen=True)
class ConnectedComponents:
    """The connected components of a mask.

    Attributes:
        pixel_indices: (N,) flat indices of the pixels that are not background.
        components: (N,) component of each of these pixels.
        areas: (components,) number of pixels of each component. Component 0 is the background,
            and its area is 0.
    """

    pixel_indices: np.ndarray
    components: np.ndarray
    areas: np.ndarray


def connected_components(mask: np.ndarray, connectivity: int) -> ConnectedComponents:
    """Find the connected components of a mask.

    OpenCV's statistics cost five times as much as its components, and few pixels need counting.

    Args:
        mask: (H, W) uint8; 0 is background.
        connectivity: 4 or 8 neighbors.
    """
    _, component_of_pixel = cv2.connectedComponents(mask, connectivity=connectivity)
    pixel_indices = np.flatnonzero(mask != 0)
    components = component_of_pixel.ravel()[pixel_indices]
    return ConnectedComponents(pixel_indices, components, np.bincount(components, minlength=1))


def large_regions(mask: np.ndarray, min_area: float) -> np.ndarray:
    """Keep the regions that are large enough.

    Regions that touch at a corner are two, since nothing drives through a corner.

    Args:
        mask: (H, W) uint8; 0 is not drivable.
        min_area: Least area of a region, as a fraction of the image.

    Returns:
        (H, W) uint8: 255 is kept, else 0.
    """
    regions = connected_components(mask, connectivity=4)
    is_large = regions.areas >= min_area * mask.size
    kept = np.zeros_like(mask)
    kept.ravel()[regions.pixel_indices[is_large[regions.components]]] = 255
    return kept


def seed_region(mask: np.ndarray, seed: tuple[float, float],
                min_area: float = 0.0) -> np.ndarray:
    """Keep the region of the seed, or else the region that is nearest to it.

    A region farther than SEED_REACH from the seed is not kept. A larger reach would connect the
    far side of an obstacle in front of the vehicle.

    Args:
        mask: (H, W) uint8; 0 is not drivable.
        seed: x and y as fractions of the image.
        min_area: Least area of the region, as a fraction of the image.

    Returns:
        (H, W) uint8: 255 is kept, else 0. All of it is 0 if no region is kept.
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
