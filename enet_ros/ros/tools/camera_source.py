"""What a replayed camera shows: files, or the synthetic street with its exact truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import count
from typing import Protocol

import numpy as np
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from enet_ros.media import Video, existing, is_video, read_frames
from enet_ros.perception.grid import GridSpec
from enet_ros.perception.parameters.settings import GridSettings
from enet_ros.ros.messages import grid_message
from enet_ros.scene.road_scene import RoadScene
from enet_ros.scene.style import Style
from enet_ros.scene.textures import ROAD

DEFAULT_RATE_HZ = 15.0

#: A frame, (H, W, 3) uint8 RGB, and its true labels, (H, W) uint8, where they are known.
LabeledFrame = tuple[np.ndarray, np.ndarray | None]


class Source(Protocol):
    """What a camera shows.

    Attributes:
        rate_hz: Frames a second where the user does not say them.
        has_truth: Whether labels and ground are known.
    """

    rate_hz: float
    has_truth: bool

    def frames(self, rate_hz: float) -> Iterator[LabeledFrame]:
        """Yield the frames from the first to the last; some sources have no last one."""

    def camera_info(self, width: int, height: int) -> CameraInfo:
        """Return the calibration of frames of a size in pixels."""


class FileSource:
    """A video, an image or a folder of images, as they are shown; see :class:`Source`."""

    has_truth = False

    def __init__(self, source: str, warn: Callable[[str], None],
                 calibration: CameraInfo | None = None):
        """Open the source, so that what cannot be read is said at the start.

        Args:
            source: Path of the file or folder.
            warn: Called once with each sentence about an image, or a part of a video, that
                cannot be read and is skipped.
            calibration: Calibration of the camera that took the images, if it is known.

        Raises:
            SourceError: The source does not exist, or nothing in it can be read.
        """
        self._path = existing(source)
        self._warn, self._warned, self._calibration = warn, set(), calibration
        next(read_frames(self._path, self._skip))
        self.rate_hz = Video(self._path).fps if is_video(self._path) else DEFAULT_RATE_HZ

    def _skip(self, sentence: str) -> None:
        """Warn of what is skipped, but not again each time a loop comes by."""
        if sentence not in self._warned:
            self._warned.add(sentence)
            self._warn(sentence)

    def frames(self, rate_hz: float) -> Iterator[LabeledFrame]:
        """Yield the frames of the files."""
        yield from ((frame, None) for frame in read_frames(self._path, self._skip))

    def camera_info(self, width: int, height: int) -> CameraInfo:
        """Return the calibration, or a message whose K is all zero, which means uncalibrated."""
        return deepcopy(self._calibration) or CameraInfo(height=height, width=width)


class StreetSource:
    """The synthetic street, which has no end; see :class:`Source`."""

    rate_hz = DEFAULT_RATE_HZ
    has_truth = True

    def __init__(self, width: int, height: int, seed: int, style: Style):
        """Make the street.

        Raises:
            ValueError: The size or the slope cannot be rendered.
        """
        self._scene = RoadScene(width, height, seed, style)

    def frames(self, rate_hz: float) -> Iterator[LabeledFrame]:
        """Yield the frames of a drive."""
        yield from (self._scene.render(i / rate_hz) for i in count())

    def camera_info(self, width: int, height: int) -> CameraInfo:
        """Return the calibration of the street's camera."""
        matrix = self._scene.camera.k
        info = CameraInfo(height=height, width=width)
        info.distortion_model, info.d = 'plumb_bob', [0.0] * 5
        info.k, info.r = matrix.ravel(), np.eye(3).ravel()
        info.p = np.hstack((matrix, np.zeros((3, 1)))).ravel()
        return info

    def true_grid(self, stamp, labels: np.ndarray, second: float) -> OccupancyGrid:
        """Return the road's truth in meters, in the cells of the node's default grid.

        Ground that the camera does not see is -1: it is out of view, or something stands before
        it, so that the pixel at its place shows another class than the ground's.

        Args:
            stamp: Stamp of the frame, for the header.
            labels: True labels of the frame, (H, W) uint8.
            second: Time of the frame along the drive.
        """
        spec, camera = GridSpec.of(GridSettings()), self._scene.camera
        x, y = spec.centers().T
        ids = self._scene.ground_truth(x, y, second)
        pixel_xy = camera.project(np.column_stack((x, y, camera.rise(x))))
        column, row = np.nan_to_num(np.rint(pixel_xy), nan=-1.0).clip(-1, 1 << 20).astype(int).T
        inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
        visible = inside & (labels[np.where(inside, row, 0), np.where(inside, column, 0)] == ids)
        cells = np.where(visible, np.where(ids == ROAD, 0, 100), -1).astype(np.int8)
        return grid_message(Header(stamp=stamp, frame_id='base_link'),
                            cells.reshape(spec.cells[::-1]), spec.resolution_m, spec.origin_m)
