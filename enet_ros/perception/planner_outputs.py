"""What a planner reads, in metres: scan, grid, obstacle points, outlines. Arrays only.

Everywhere a mask is (H, W) uint8, 0 = not drivable, and labels are (H, W) uint8, 255 = unknown,
both of the size of a :class:`GroundTable`. What is unknown is never free, whatever the mask says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from enet_ros.network.class_map import UNKNOWN
from enet_ros.perception.drivable import without_unknown
from enet_ros.perception.ground import GroundTable, Pose
from enet_ros.perception.settings import ScanSettings as ScanSpec

FREE_CELL, OCCUPIED_CELL, UNKNOWN_CELL = 0, 100, -1   # nav_msgs/OccupancyGrid
MAX_CELLS = 4_000_000   # 200 m at 0.1 m a cell: more would fill memory before it helps a planner
OUTLINE_TOLERANCE_M = 0.05   # outlines on the ground are simplified by this

#: What a pixel says of its cell. The greatest wins.
FREE, NOT_KNOWN, BLOCKED = 0, 1, 255


class RangeBins:
    """Pixels of the ground sorted into bins, so that a frame costs a gather.

    Args:
        table: where the pixels lie.
        bins: (H, W) int, the bin of each pixel by its ``table.seen``, -1 = none.
        count: of the bins.
        range_min: metres; what is nearer is too close.
        range_max: metres, at most the table's.

    Raises:
        ValueError: if ``range_max`` is beyond the table's.
    """

    def __init__(self, table: GroundTable, bins: np.ndarray, count: int, range_min: float,
                 range_max: float):
        if range_max > table.max_range_m:
            raise ValueError(f'range_max is {range_max}, wanted at most the {table.max_range_m} m '
                             'of the ground table')
        bins, ranges = bins.ravel(), table.seen_range().ravel()
        beyond = np.bincount(bins[(bins >= 0) & (ranges > range_max)], minlength=count) > 0
        pixels = np.flatnonzero((bins >= 0) & (ranges <= range_max))
        self.pixels = pixels[np.argsort(bins[pixels], kind='stable')]
        self.ranges = ranges[self.pixels]
        self.bins, self.starts = np.unique(bins[self.pixels], return_index=True)
        self.seen_to_the_end = beyond[self.bins]
        self.count, self.range_min = count, range_min

    def first_blocked(self, mask: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the range of the nearest ground in each bin that is not known to be drivable.

        Args:
            mask: (H, W) uint8, 0 = not drivable.
            labels: (H, W) uint8, 255 = unknown.

        Returns:
            (count,) float32, metres; -inf, +inf and NaN as in :func:`free_space_scan`.
        """
        found = np.full(self.count, np.nan, np.float32)
        if not self.pixels.size:
            return found
        free = without_unknown(mask, labels).ravel()[self.pixels] != 0
        known = labels.ravel()[self.pixels] != UNKNOWN
        first = np.minimum.reduceat(np.where(free, np.float32(np.inf), self.ranges), self.starts)
        first[first < self.range_min] = -np.inf
        first[np.isposinf(first) & ~self.seen_to_the_end] = np.nan
        first[~np.logical_or.reduceat(known, self.starts)] = np.nan
        found[self.bins] = first
        return found


def scan_bins(table: GroundTable, spec: ScanSpec) -> RangeBins:
    """Return the ray of every pixel, for :func:`free_space_scan`.

    A ray must be as wide as a pixel, or some rays see nothing: NaN.
    """
    bearing = np.arctan2(table.seen[..., 1], table.seen[..., 0])
    return RangeBins(table, spec.ray_of(bearing), spec.count, spec.range_min, spec.range_max)


def path_bin(table: GroundTable, half_width_m: float = 1.) -> RangeBins:
    """Return the pixels of the strip straight ahead, for :func:`nearest_edge`."""
    if not 0. < half_width_m < math.inf:
        raise ValueError(f'half_width_m is {half_width_m}, wanted metres above 0')
    ahead = (table.seen[..., 0] > 0.) & (np.abs(table.seen[..., 1]) <= half_width_m)
    return RangeBins(table, np.where(ahead, 0, -1), 1, 0., table.max_range_m)


def free_space_scan(mask: np.ndarray, labels: np.ndarray, bins: RangeBins) -> np.ndarray:
    """Return the distance to the first ground that is not drivable, by bearing.

    By REP 117, read so that nothing is free that was not seen to be:

    - a number: the nearest ground that is not drivable, or is unknown. All ground that was seen
      nearer than that is drivable.
    - +inf: ground was seen as far as range_max, and all of it is drivable.
    - NaN: no ground was seen, or all of it is unknown, or it is drivable but ends (at the
      picture's border) before range_max.
    - -inf: what is not drivable, or unknown, is nearer than range_min.

    The ground between the vehicle and the picture's lower border is seen by nobody.

    Args:
        mask: (H, W) uint8, 0 = not drivable.
        labels: (H, W) uint8, 255 = unknown.
        bins: from :func:`scan_bins`.

    Returns:
        (rays,) float32, metres from the base frame's origin.
    """
    return bins.first_blocked(mask, labels)


def nearest_edge(mask: np.ndarray, labels: np.ndarray, bins: RangeBins) -> float:
    """Return the distance to the first ground in the vehicle's way that is not drivable.

    Args:
        mask: (H, W) uint8, 0 = not drivable.
        labels: (H, W) uint8, 255 = unknown.
        bins: from :func:`path_bin`.

    Returns:
        Metres from the base frame's origin; +inf and NaN as in :func:`free_space_scan`.
    """
    return float(bins.first_blocked(mask, labels)[0])


@dataclass(frozen=True)
class GridSpec:
    """The place and the cells of a grid in the base frame, as in nav_msgs/MapMetaData.

    Attributes:
        size_m: along x and y, metres; whole cells, rounded.
        resolution_m: side of a cell, metres.
        origin_m: x and y of the corner of the first cell; the default has the vehicle in the
            middle of the near side.

    Raises:
        ValueError: a size or the resolution is not above 0, or there are too many cells.
    """

    size_m: tuple[float, float] = (20., 20.)
    resolution_m: float = .1
    origin_m: tuple[float, float] = (0., -10.)

    def __post_init__(self):
        """Check the fields."""
        if not 0. < self.resolution_m < math.inf:
            raise ValueError(f'resolution_m is {self.resolution_m}, wanted metres above 0')
        if not all(math.isfinite(value) for value in (*self.size_m, *self.origin_m)) \
                or min(self.cells) < 1:
            raise ValueError(f'size_m is {self.size_m} and origin_m {self.origin_m}, wanted '
                             'finite metres and at least one cell')
        if math.prod(self.cells) > MAX_CELLS:
            raise ValueError(f'size_m is {self.size_m} and resolution_m {self.resolution_m}, '
                             f'which are {math.prod(self.cells):,} cells, wanted at most '
                             f'{MAX_CELLS:,}')

    @property
    def cells(self) -> tuple[int, int]:
        """Return (width, height): cells along x and along y."""
        return tuple(round(length / self.resolution_m) for length in self.size_m)

    def cell_of(self, ground: np.ndarray) -> np.ndarray:
        """Return the cell of ground points (N, 2), metres: row * width + column, -1 outside."""
        width, height = self.cells
        place = np.floor((ground - self.origin_m) / self.resolution_m)
        column, row = np.nan_to_num(place, nan=-1.).clip(-1, 1 << 30).astype(np.int64).T
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        return np.where(inside, row * width + column, -1)

    def centers(self) -> np.ndarray:
        """Return the middle of every cell, (cells, 2) metres, in the order of the data."""
        width, height = self.cells
        column, row = np.meshgrid(np.arange(width), np.arange(height))
        place = np.column_stack((column.ravel(), row.ravel())) + .5
        return np.array(self.origin_m) + place * self.resolution_m


class GridCells:
    """Which pixels see which cell, so that a frame costs a gather.

    A cell is seen by the pixels whose centre lies in it, and by the pixel that its own centre
    lies in: near by a cell has many pixels, far away a pixel has many cells.

    Args:
        table: where the pixels lie.
        spec: a :class:`GridSpec`.
    """

    def __init__(self, table: GroundTable, spec: GridSpec):
        self.spec = spec
        hit = spec.cell_of(table.points[..., :2].reshape(-1, 2))
        pixels = np.flatnonzero(hit >= 0)
        seen, under = self._pixels_under_cells(table)
        cells = np.concatenate((hit[pixels], seen))
        order = np.argsort(cells, kind='stable')
        self.pixels = np.concatenate((pixels, under))[order]
        self.cells, self.starts = np.unique(cells[order], return_index=True)

    def _pixels_under_cells(self, table: GroundTable) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells whose centre is in the picture and in range, and its pixel's index."""
        centers, (width, height) = self.spec.centers(), table.size
        place = np.floor(table.to_pixels(centers) + .5)
        near = np.hypot(*centers.T) <= table.max_range_m
        inside = near & np.all((place >= 0) & (place < (width, height)), axis=1)
        column, row = place[inside].astype(np.int64).T
        return np.flatnonzero(inside), row * width + column


def rolling_grid(mask: np.ndarray, labels: np.ndarray, cells: GridCells) -> np.ndarray:
    """Return what is known of the ground around the vehicle.

    Where a cell is hit by several pixels the worst counts: occupied before unknown before free.

    Args:
        mask: (H, W) uint8, 0 = not drivable.
        labels: (H, W) uint8, 255 = unknown.
        cells: which pixels see which cell.

    Returns:
        (height, width) int8 in the order of nav_msgs/OccupancyGrid (rows along y): 0 free, 100
        occupied, -1 unknown or covered by no pixel.
    """
    width, height = cells.spec.cells
    data = np.full(width * height, UNKNOWN_CELL, np.int8)
    if cells.pixels.size:
        state = cv2.threshold(mask, 0, BLOCKED, cv2.THRESH_BINARY_INV)[1]
        state[labels == UNKNOWN] = NOT_KNOWN
        worst = np.maximum.reduceat(state.ravel()[cells.pixels], cells.starts)
        data[cells.cells] = CELL_VALUES[worst]
    return data.reshape(height, width)


def obstacle_points(mask: np.ndarray, table: GroundTable, height_m: float) -> np.ndarray:
    """Return the border of what is not drivable, where it meets drivable ground.

    What stands on the ground hides the ground behind it. Its far side, where ground comes into
    sight again, lies elsewhere than it seems, and is left out. The ground between the vehicle and
    the near border of the picture counts as drivable: a wall that fills the picture begins there.

    Args:
        mask: (H, W) uint8, 0 = not drivable, or unknown: that is a border, too.
        table: where the pixels lie.
        height_m: z of the points, for the height limits of the reader.

    Returns:
        (N, 3) float32 in the base frame, metres.
    """
    down = ground_direction(table.pose)
    sides = top, _, left, _ = [int(part > 0.5) for part in (-down[1], down[1], -down[0], down[0])]
    padded = cv2.copyMakeBorder(mask, *sides, cv2.BORDER_CONSTANT, value=255)
    grown = cv2.dilate(padded, facing_neighbors(table.pose), borderType=cv2.BORDER_CONSTANT)
    height, width = mask.shape
    edge = cv2.subtract(grown[top:top + height, left:left + width], mask)
    points = table.points[edge != 0]
    points = points[np.isfinite(points[:, 0])]
    points[:, 2] = height_m
    return points


def ground_direction(pose: Pose) -> np.ndarray:
    """Return the direction of the ground in the picture, x right and y down, (2,) of length 1."""
    down = -pose.turn[2, :2]
    return down / max(float(np.hypot(*down)), 1e-12)


def facing_neighbors(pose: Pose) -> np.ndarray:
    """Return the pixel's neighbours that do not lie straight above it, (3, 3) uint8.

    Above is where the camera has the sky, whichever way it was mounted.
    """
    down = ground_direction(pose)
    kernel = np.zeros((3, 3), np.uint8)
    for x, y in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        kernel[1 + y, 1 + x] = x * down[0] + y * down[1] > -.5
    return kernel


def ground_outlines(mask: np.ndarray, table: GroundTable,
                    tolerance_m: float = OUTLINE_TOLERANCE_M) -> list[np.ndarray]:
    """Trace the outer outlines of the drivable regions on the ground, largest region first.

    Args:
        mask: (H, W) uint8, 0 = not drivable; what is out of the table's range is cut off.
        table: where the pixels lie.
        tolerance_m: outlines are simplified by this.

    Returns:
        Arrays (N, 2) float32 of x and y in the base frame, metres; regions of fewer than 3
        corners are left out.
    """
    near = np.where(table.inside, mask, np.uint8(0))
    found, _ = cv2.findContours(near, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = sorted(found, key=cv2.contourArea, reverse=True)
    on_ground = (table.points[outline[:, 0, 1], outline[:, 0, 0], :2] for outline in found)
    outlines = [cv2.approxPolyDP(outline, tolerance_m, True)[:, 0] for outline in on_ground]
    return [outline for outline in outlines if len(outline) >= 3]


def cell_values() -> np.ndarray:
    """Return what a pixel's state makes of its cell, (256,) int8."""
    values = np.full(256, UNKNOWN_CELL, np.int8)
    values[[FREE, BLOCKED]] = FREE_CELL, OCCUPIED_CELL
    return values


CELL_VALUES = cell_values()
