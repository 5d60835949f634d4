"""The fields of ROS messages that are read without ROS. A message is anything that has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Stamp(Protocol):
    """The fields of builtin_interfaces/Time."""

    sec: int
    nanosec: int


class Header(Protocol):
    """The fields of std_msgs/Header."""

    stamp: Stamp
    frame_id: str


class Region(Protocol):
    """The fields of sensor_msgs/RegionOfInterest that are read."""

    x_offset: int
    y_offset: int
    height: int
    width: int


class CameraInfo(Protocol):
    """The fields of sensor_msgs/CameraInfo that are read. Matrices are flat arrays."""

    height: int
    width: int
    distortion_model: str
    d: Sequence[float]
    k: np.ndarray
    r: np.ndarray
    p: np.ndarray
    binning_x: int
    binning_y: int
    roi: Region
    header: Header
