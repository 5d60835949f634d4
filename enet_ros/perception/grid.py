"""The occupancy grid of the ground around the vehicle. Arrays only.

A mask is (H, W) uint8, and 0 is not drivable. Labels are (H, W) uint8, and 255 is unknown. Both
have the size of a :class:`GroundTable`. An unknown pixel is never free, whatever the mask says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from enet_ros.network.class_map import UNKNOWN
from enet_ros.perception.ground import GroundTable
from enet_ros.perception.parameters.settings import GridSettings

FREE_CELL, OCCUPIED_CELL, UNKNOWN_CELL = 0, 100, -1   # nav_msgs/OccupancyGrid
#: Cells of 200 m at 0.1 m. More would fill the memory before they help a planner. Where the
#: rotated grid has no more, no side reaches the 32767 cells that OpenCV can rotate.
MAX_CELLS = 4_000_000

#: What a pixel says of its cell. The greatest value wins.
FREE, NOT_KNOWN, BLOCKED = 0, 1, 255


@dataclass(frozen=True)
class GridSpec:
    """The place and the cells of a grid in the base frame, as in nav_msgs/MapMetaData.

    Attributes:
        size_m: Lengths along x and y, in meters. They are rounded to whole cells.
        resolution_m: Side of a cell, in meters.
        origin_m: x and y of the corner of the first cell.

    Raises:
        ValueError: A size or the resolution is not above 0, or there are too many cells.
    """

    size_m: tuple[float, float]
    resolution_m: float
    origin_m: tuple[float, float]

    def __post_init__(self):
        """Check the fields."""
        if not 0. < self.resolution_m < math.inf:
            raise ValueError(f'resolution_m is {self.resolution_m}, wanted meters above 0')
        if not all(math.isfinite(value) for value in (*self.size_m, *self.origin_m)) \
                or min(self.cells) < 1:
            raise ValueError(f'size_m is {self.size_m} and origin_m {self.origin_m}, wanted '
                             'finite meters and at least one cell')
        if math.prod(self.cells) > MAX_CELLS:
            raise ValueError(f'size_m is {self.size_m} and resolution_m {self.resolution_m}, '
                             f'which are {math.prod(self.cells):,} cells, wanted at most '
                             f'{MAX_CELLS:,}')

    @classmethod
    def of(cls, grid: GridSettings) -> GridSpec:
        """Return the grid of settings, whose y is that of its middle."""
        return cls((grid.length, grid.width), grid.resolution, (grid.x, grid.y - grid.width / 2))

    @property
    def cells(self) -> tuple[int, int]:
        """Return (width, height), the numbers of cells along x and y."""
        return tuple(round(length / self.resolution_m) for length in self.size_m)

    @property
    def most_rotated_cells(self) -> int:
        """Return the cells of the grid in a fixed frame, at the heading at which they are most."""
        return sum(self.cells) ** 2 // 2  # 45 degrees

    def cell_of(self, ground: np.ndarray) -> np.ndarray:
        """Return row * width + column of the cells of (N, 2) ground points; -1 is outside."""
        width, height = self.cells
        place = np.floor((ground - self.origin_m) / self.resolution_m)
        column, row = np.nan_to_num(place, nan=-1.).clip(-1, 1 << 30).astype(np.int64).T
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        return np.where(inside, row * width + column, -1)

    def centers(self) -> np.ndarray:
        """Return the center of every cell, (cells, 2) meters, in the order of the data."""
        width, height = self.cells
        column, row = np.meshgrid(np.arange(width), np.arange(height))
        place = np.column_stack((column.ravel(), row.ravel())) + .5
        return np.array(self.origin_m) + place * self.resolution_m


class GridCells:
    """The pixels of each cell, so that a frame costs only a gather.

    A cell has the pixels whose center lies in it, and the pixel in which its own center lies. Near
    the vehicle a cell has many pixels. Far away a pixel has many cells.

    Args:
        table: Ground points of the pixels.
        spec: Place and cells of the grid.
    """

    def __init__(self, table: GroundTable, spec: GridSpec):
        self.spec = spec
        cell_of_pixel = spec.cell_of(table.points[..., :2].reshape(-1, 2))
        inside = np.flatnonzero(cell_of_pixel >= 0)
        visible_cells, center_pixels = self._pixels_of_centers(table)
        cells = np.concatenate((cell_of_pixel[inside], visible_cells))
        order = np.argsort(cells, kind='stable')
        self.pixel_indices = np.concatenate((inside, center_pixels))[order]
        self.cells, self.starts = np.unique(cells[order], return_index=True)

    def _pixels_of_centers(self, table: GroundTable) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells whose center is visible and in range, and the index of its pixel."""
        centers = self.spec.centers()
        pixel_indices = table.pixel_indices_of(centers)
        cells = np.flatnonzero((pixel_indices >= 0)
                               & (np.hypot(*centers.T) <= table.max_range_m))
        return cells, pixel_indices[cells]


def rolling_grid(mask: np.ndarray, labels: np.ndarray, cells: GridCells) -> np.ndarray:
    """Return the occupancy grid of the ground around the vehicle.

    The worst pixel of a cell counts: occupied before unknown before free.

    Args:
        mask: (H, W) uint8; 0 is not drivable.
        labels: (H, W) uint8; 255 is unknown.
        cells: The pixels of each cell.

    Returns:
        (height, width) int8 in the order of nav_msgs/OccupancyGrid (rows along y): 0 is free, 100
        is occupied, and -1 is unknown or has no pixel.
    """
    width, height = cells.spec.cells
    data = np.full(width * height, UNKNOWN_CELL, np.int8)
    if cells.pixel_indices.size:
        state = cv2.threshold(mask, 0, BLOCKED, cv2.THRESH_BINARY_INV)[1]
        state[labels == UNKNOWN] = NOT_KNOWN
        worst = np.maximum.reduceat(state.ravel()[cells.pixel_indices], cells.starts)
        data[cells.cells] = CELL_VALUES[worst]
    return data.reshape(height, width)


def rotated_grid(cells: np.ndarray, spec: GridSpec, position_m: tuple[float, float],
                 yaw_rad: float) -> tuple[np.ndarray, tuple[float, float]]:
    """Resample a grid of the base frame onto the cells of a fixed frame.

    Readers such as Nav2's StaticLayer ignore the orientation of a grid. So the cells themselves
    are rotated, by nearest neighbor, onto whole multiples of the resolution. Unknown cells are
    dilated over free ones by one cell before, and occupied cells over both. Otherwise a single
    cell could fall between two cells. Those of the last row and column need room to grow.

    Args:
        cells: (height, width) int8 in the base frame.
        spec: Place and resolution of ``cells``.
        position_m: x and y of the base frame in the fixed frame.
        yaw_rad: Heading of the base frame in the fixed frame.

    Returns:
        int8 cells of the fixed frame, -1 where nothing is known, and x and y of the corner of the
        first cell, in meters.
    """
    rotation = np.array([[math.cos(yaw_rad), -math.sin(yaw_rad)],
                         [math.sin(yaw_rad), math.cos(yaw_rad)]])
    x, y = spec.origin_m
    # The worst of 2x2 cells grows toward +x and +y.
    state = cv2.copyMakeBorder(cv2.LUT(cells.view(np.uint8), CELL_STATES), 0, 1, 0, 1,
                               cv2.BORDER_CONSTANT, value=NOT_KNOWN)
    worst = cv2.dilate(state, np.ones((2, 2), np.uint8))
    width, length = np.array(worst.shape) * spec.resolution_m
    corners = np.array([(x, y), (x + length, y), (x, y + width), (x + length, y + width)])
    corners = corners @ rotation.T + position_m
    low = np.floor(corners.min(0) / spec.resolution_m)
    columns, rows = (np.ceil(corners.max(0) / spec.resolution_m) - low).astype(int)
    # warpAffine wants the inverse: from cells of the result to cells of the source.
    origin = low * spec.resolution_m
    center = origin + 0.5 * spec.resolution_m - position_m
    shift = ((rotation.T @ center - spec.origin_m) / spec.resolution_m) - 0.5
    matrix = np.hstack((rotation.T, shift[:, None]))
    rotated = cv2.warpAffine(worst, matrix, (int(columns), int(rows)),
                             flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
                             borderMode=cv2.BORDER_CONSTANT, borderValue=NOT_KNOWN)
    return cv2.LUT(rotated, CELL_VALUES), (float(origin[0]), float(origin[1]))


def lookup_table(values: dict[int, int], default: int, dtype: type) -> np.ndarray:
    """Return a table of 256 values, where each key has its own and all others the default."""
    table = np.full(256, default, dtype)
    for key, value in values.items():
        table[key] = value
    return table


#: Value of a cell by the state of its worst pixel.
CELL_VALUES = lookup_table({FREE: FREE_CELL, BLOCKED: OCCUPIED_CELL}, UNKNOWN_CELL, np.int8)
#: State of a cell by its value.
CELL_STATES = lookup_table({FREE_CELL: FREE, OCCUPIED_CELL: BLOCKED}, NOT_KNOWN, np.uint8)
