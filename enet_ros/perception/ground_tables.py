"""Lookup tables of the ground for one camera, pose and settings. Arrays only.

Everything that does not depend on the frame is computed once, so that a frame costs only gathers.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.grid import GridCells
from enet_ros.perception.ground import GroundTable
from enet_ros.perception.planner_outputs import RangeBins, path_bin, scan_bins


class BackgroundTable:
    """The last table of another size than the network's, which a thread of its own computes.

    It takes seconds for a large image. One thread calls the methods.
    """

    def __init__(self):
        self.forget()

    def forget(self) -> None:
        """Free the memory, once nobody asks for the table."""
        self._size: tuple[int, int] | None = None
        self._first: Future[GroundTable] | None = None
        self._last: GroundTable | None = None

    def table_for(self, table: GroundTable, size: tuple[int, int],
                  wait_sec: float | None) -> GroundTable | None:
        """Return the table of a size with the pose and range of another one of this camera.

        Args:
            table: The other table.
            size: (width, height) of the images.
            wait_sec: Greatest time to wait in the call that begins with a size, in seconds. Later
                calls do not wait. None waits until the table is there.

        Returns:
            The table, or None if it is not there yet.
        """
        if self._size != size:
            self._size, self._last = size, None
            builder = ThreadPoolExecutor(1)
            self._first = builder.submit(GroundTable, table.camera, table.pose, size,
                                         table.max_range_m, table.valid_mask)
            builder.shutdown(wait=False)
            wait([self._first], wait_sec)
        if self._last is None:
            if wait_sec is not None and not self._first.done():
                return None
            self._last = self._first.result()
            self._first = None
        if (self._last.pose, self._last.max_range_m) != (table.pose, table.max_range_m):
            self._last = self._last.moved_to(table.pose, table.max_range_m)
        return self._last


@dataclass(frozen=True, eq=False)
class GroundTables:
    """The ground under the pixels of the network's size. Each table is built at its first use.

    Attributes:
        table: Ground point of every pixel.
        camera_settings: Settings that the other tables are built with.
    """

    table: GroundTable
    camera_settings: CameraSettings
    _background: BackgroundTable = field(default_factory=BackgroundTable, repr=False)
    """The tables of all poses share it."""

    @cached_property
    def scan(self) -> RangeBins:
        """The pixels of each ray of the scan."""
        return scan_bins(self.table, self.camera_settings.settings.scan)

    @cached_property
    def path(self) -> RangeBins:
        """The pixels of the strip straight ahead."""
        return path_bin(self.table, self.camera_settings.settings.ground.path_width / 2)

    @cached_property
    def grid(self) -> GridCells:
        """The pixels of each cell of the grid."""
        return GridCells(self.table, self.camera_settings.grid)

    def points(self, size: tuple[int, int],
               wait_sec: float | None = None) -> np.ndarray | None:
        """Return the ground point of every pixel of an image of another size.

        Args:
            size: (width, height) of the image.
            wait_sec: See :meth:`BackgroundTable.table_for`.

        Returns:
            (height, width, 3) float32; see :class:`GroundTable`. It is the same array until
            something changes. It is None if it is not there yet.
        """
        table = (self.table if size == self.table.size else
                 self._background.table_for(self.table, size, wait_sec))
        return None if table is None else table.points

    def forget_points(self) -> None:
        """Free the memory of the points of another size."""
        self._background.forget()

    def updated(self, camera: CameraModel, pose: Pose,
                camera_settings: CameraSettings) -> GroundTables:
        """Return tables for another camera, pose or settings. They share what stays the same.

        Args:
            camera: Model of the camera.
            pose: Pose of the camera.
            camera_settings: Settings of the camera.
        """
        table, max_range_m = self.table, camera_settings.settings.ground.max_range
        if table.camera != camera or table.valid_mask is not camera_settings.valid_mask:
            return make_ground_tables(camera, pose, table.size, camera_settings)
        if (table.pose, table.max_range_m) != (pose, max_range_m):
            table = table.moved_to(pose, max_range_m)
        elif camera_settings is self.camera_settings:
            return self
        return GroundTables(table, camera_settings, self._background)


def make_ground_tables(camera: CameraModel, pose: Pose, size: tuple[int, int],
                       camera_settings: CameraSettings) -> GroundTables:
    """Build the tables of a camera.

    Args:
        camera: Model of the camera.
        pose: Pose of the camera.
        size: (width, height) of the network.
        camera_settings: Settings of the camera.

    Raises:
        ValueError: A size or the range is not above 0.
    """
    max_range_m = camera_settings.settings.ground.max_range
    return GroundTables(GroundTable(camera, pose, size, max_range_m, camera_settings.valid_mask),
                        camera_settings)
