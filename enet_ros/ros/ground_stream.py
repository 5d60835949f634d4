"""One camera's outputs in metres: points, obstacles, free space, grid.

Everything that depends on camera, pose, size and settings alone is computed once, so that a frame
costs gathers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo

from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.ground import CameraModel, GroundTable, Pose
from enet_ros.perception.planner_outputs import (
    OCCUPIED_CELL,
    GridCells,
    GridSpec,
    RangeBins,
    free_space_scan,
    ground_outlines,
    nearest_edge,
    obstacle_points,
    path_bin,
    rolling_grid,
    scan_bins,
)
from enet_ros.ros.compat import Transforms
from enet_ros.ros.messages import (
    camera_model,
    cloud_message,
    grid_message,
    in_frame,
    scan_message,
)

GROUND_OUTPUTS = frozenset({'points', 'obstacles', 'free_space', 'grid'})


class GroundError(ValueError):
    """There are no outputs in metres for a frame; the message says why."""


@dataclass
class Tables:
    """Lookup tables of one camera, pose and policy, each built when it is first needed."""

    table: GroundTable
    policy: CameraSettings

    @cached_property
    def scan(self) -> RangeBins:
        """Which pixels each ray of the scan sees."""
        return scan_bins(self.table, self.policy.settings.scan)

    @cached_property
    def path(self) -> RangeBins:
        """The pixels straight ahead."""
        return path_bin(self.table, self.policy.settings.ground.path_width / 2)

    @cached_property
    def grid(self) -> GridCells:
        """Which pixels each cell of the grid is seen by."""
        return GridCells(self.table, self.policy.grid)


class GroundStream:
    """Makes the messages in metres of one camera; used by the publishing thread alone.

    Args:
        node: for TF.
    """

    def __init__(self, node):
        self._transforms = Transforms(node)
        self._known: tuple = ()
        self._tables: Tables | None = None
        self._cloud: tuple = ()

    def prepare(self, info: CameraInfo | None, policy: CameraSettings, header,
                size: tuple[int, int]):
        """Find camera and pose of a frame; the tables are made anew when something changed.

        Args:
            info: the camera's calibration, or None if none has come.
            policy: of the frame.
            header: of the frame.
            size: (width, height) of the network.

        Raises:
            GroundError: no calibration, no pose, or values that cannot be used.
        """
        if info is None:
            raise GroundError('no camera info has come, wanted it for outputs in metres')
        try:
            pose = self._pose(policy, header)
            known = info, policy, pose, size
            if self._known and all(a is b or a == b for a, b in zip(known, self._known)):
                return
            table = self._table(camera_model(info, policy.settings.rectified), pose, size,
                                policy.settings.ground.max_range)
            if self._tables is None or (table, policy) != (self._tables.table,
                                                           self._tables.policy):
                self._tables = Tables(table, policy)
            self._known = known
        except (ValueError, LookupError) as error:
            raise GroundError(str(error)) from error

    def _table(self, camera: CameraModel, pose: Pose, size: tuple[int, int],
               max_range_m: float) -> GroundTable:
        """Return the last table if it fits, or one that shares its rays if only the pose moved."""
        last = self._tables.table if self._tables else None
        if last is None or (last.camera, last.size, last.max_range_m) != (camera, size,
                                                                          max_range_m):
            return GroundTable(camera, pose, size, max_range_m)
        return last if last.pose == pose else last.moved_to(pose)

    def _pose(self, policy: CameraSettings, header) -> Pose:
        settings, ground = policy.settings, policy.settings.ground
        if ground.pose == 'tf':
            return Pose.from_quaternion(*self._transforms.lookup(
                settings.base_frame, header.frame_id, header.stamp))
        return Pose.from_mount(ground.height, ground.pitch, ground.roll, ground.yaw, ground.x,
                               ground.y)

    def messages(self, wanted: frozenset, header, mask: np.ndarray, labels: np.ndarray,
                 size: tuple[int, int]) -> tuple[dict[str, object], str]:
        """Make the messages that are wanted; :meth:`prepare` came before.

        The grid alone needs odometry: without it the others go on.

        Args:
            wanted: names of outputs.
            header: of the frame.
            mask: (H, W) uint8 of the network's size, 0 = not drivable.
            labels: (H, W) uint8 of the network's size, 255 = unknown.
            size: (width, height) of the published masks.

        Returns:
            Output -> message, and why the grid is not among them, or ''.
        """
        tables, base_frame = self._tables, self._tables.policy.settings.base_frame
        base, made, problem = in_frame(header, base_frame), {}, ''
        if 'points' in wanted:
            made['points'] = self._points(size)
            made['points'].header = base
        if 'obstacles' in wanted:
            height_m = tables.policy.settings.ground.obstacle_height
            made['obstacles'] = cloud_message(obstacle_points(mask, tables.table, height_m))
            made['obstacles'].header = base
        if 'free_space' in wanted:
            made['free_space'] = scan_message(base, free_space_scan(mask, labels, tables.scan),
                                              tables.policy.settings.scan)
        if 'grid' in wanted:
            try:
                made['grid'] = self._grid(header, mask, labels)
            except LookupError as error:
                problem = str(error)
        return made, problem

    def _points(self, size: tuple[int, int]):
        """Return the ground point of every pixel of the masks; it changes with the pose alone."""
        if self._cloud[:2] != (self._tables, size):
            table = self._tables.table
            if size != table.size:
                table = GroundTable(table.camera, table.pose, size, table.max_range_m)
            self._cloud = self._tables, size, cloud_message(table.points)
        return self._cloud[2]

    def _grid(self, header, mask: np.ndarray, labels: np.ndarray):
        settings, spec = self._tables.policy.settings, self._tables.policy.grid
        place = (self._transforms.lookup(settings.odom_frame, settings.base_frame, header.stamp)
                 if settings.odom_frame else None)
        cells = rolling_grid(mask, labels, self._tables.grid)
        if place is None:
            return grid_message(in_frame(header, settings.base_frame), cells, spec.resolution_m,
                                spec.origin_m)
        (x, y, _), turn = place
        cells, origin = turned_grid(cells, spec, (x, y), yaw_of(turn))
        return grid_message(in_frame(header, settings.odom_frame), cells, spec.resolution_m,
                            origin)

    def forget_transforms(self) -> None:
        """Forget where frames were, after a jump of time."""
        self._transforms.clear()

    def close(self) -> None:
        """Stop listening to TF, for good."""
        self._transforms.close()

    def nearest_edge(self, mask: np.ndarray, labels: np.ndarray) -> float:
        """Return metres to the first ground ahead that is not drivable; NaN if unknown."""
        return nearest_edge(mask, labels, self._tables.path)

    def outlines(self, mask: np.ndarray) -> list[np.ndarray]:
        """Return the drivable regions' outlines on the ground, (N, 2) metres each."""
        return ground_outlines(mask, self._tables.table)


def yaw_of(rotation: tuple[float, float, float, float]) -> float:
    """Return the heading of a quaternion x, y, z, w, radians."""
    x, y, z, w = rotation
    return math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def turned_grid(cells: np.ndarray, spec: GridSpec, position_m: tuple[float, float],
                yaw_rad: float) -> tuple[np.ndarray, tuple[float, float]]:
    """Lay a grid of the base frame over the cells of a fixed frame.

    Readers such as Nav2's StaticLayer ignore a grid's orientation, so the cells themselves are
    turned, by nearest neighbour, onto whole multiples of the resolution. What is occupied grows by
    a cell before, or a thin obstacle could fall between two cells.

    Args:
        cells: (height, width) int8 in the base frame.
        spec: its place and resolution.
        position_m: x and y of the base frame in the fixed frame.
        yaw_rad: its heading there.

    Returns:
        Cells of the fixed frame, int8, -1 where nothing is known, and x and y of the first one's
        corner, metres.
    """
    turn = np.array([[math.cos(yaw_rad), -math.sin(yaw_rad)],
                     [math.sin(yaw_rad), math.cos(yaw_rad)]])
    x, y = spec.origin_m
    length, width = spec.size_m
    corners = np.array([(x, y), (x + length, y), (x, y + width), (x + length, y + width)])
    corners = corners @ turn.T + position_m
    low = np.floor(corners.min(0) / spec.resolution_m)
    columns, rows = (np.ceil(corners.max(0) / spec.resolution_m) - low).astype(int)
    # warpAffine wants the way back: from cells of the result to cells of the source.
    origin = low * spec.resolution_m
    centre = origin + 0.5 * spec.resolution_m - position_m
    shift = ((turn.T @ centre - spec.origin_m) / spec.resolution_m) - 0.5
    matrix = np.hstack((turn.T, shift[:, None]))
    occupied = cv2.dilate((cells == OCCUPIED_CELL).astype(np.uint8), np.ones((2, 2), np.uint8))
    grown = np.where(occupied, np.int8(OCCUPIED_CELL), cells)
    turned = cv2.warpAffine(grown.view(np.uint8), matrix, (int(columns), int(rows)),
                            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
                            borderMode=cv2.BORDER_CONSTANT, borderValue=255)
    return turned.view(np.int8), (float(origin[0]), float(origin[1]))
