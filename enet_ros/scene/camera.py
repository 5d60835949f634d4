"""The pinhole camera of a synthetic street, and the ground that it looks down upon."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

FAR_M = 400.     # ground farther away lies behind the trees and houses on the horizon
MAX_SLOPE = .2   # radians


@dataclass(frozen=True)
class Camera:
    """A pinhole camera above the origin of the base frame that looks ahead, pitched downwards.

    ``width`` and ``height`` are in pixels. ``fx``, ``fy``, ``cx`` and ``cy`` are in pixels as in
    K of sensor_msgs/CameraInfo: the center of the first pixel is (0, 0). ``slope`` and
    ``slope_from_m`` describe the ground, as in :class:`enet_ros.scene.style.Style`.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    height_m: float
    pitch_rad: float
    slope: float = 0.
    slope_from_m: float = 0.

    @property
    def k(self) -> np.ndarray:
        """The camera matrix K, (3, 3) float64."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.]])

    @property
    def horizon_px(self) -> float:
        """Row of the horizon in pixels; it may lie outside the frame."""
        return self.cy - self.fy * math.tan(self.pitch_rad + self.slope)

    def rise(self, x):
        """Return the height in meters of the ground ``x`` meters ahead in the base frame."""
        return math.tan(self.slope) * np.maximum(np.asarray(x, float) - self.slope_from_m, 0.)

    def from_base(self, points: np.ndarray) -> np.ndarray:
        """Convert points from the base frame to the camera frame (x right, y down, z ahead).

        Args:
            points: (N, 3) meters in the base frame.

        Returns:
            (N, 3) float64 meters in the camera frame.
        """
        sin, cos = math.sin(self.pitch_rad), math.cos(self.pitch_rad)
        rotation = np.array([[0, -1, 0], [-sin, 0, -cos], [cos, 0, -sin]])
        return (np.asarray(points, float) - (0, 0, self.height_m)) @ rotation.T

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Project points of the camera frame, (N, 3) meters with z > 0, to (N, 2) pixels."""
        return (points[:, :2] * (self.fx, self.fy)) / points[:, 2:] + (self.cx, self.cy)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project points of the base frame, (N, 3) meters, to (N, 2) pixels; NaN if behind."""
        in_camera = self.from_base(points)
        in_camera[in_camera[:, 2] <= 0] = np.nan
        return self.to_pixels(in_camera)

    def to_ground(self, u, v) -> tuple[np.ndarray, np.ndarray]:
        """Intersect the rays of pixels with the ground.

        Args:
            u: Columns, of any shape.
            v: Rows, of a shape that broadcasts with ``u``.

        Returns:
            x and y in the base frame in meters, where z is ``rise(x)``; NaN at and above the
            horizon.
        """
        sin, cos = math.sin(self.pitch_rad), math.cos(self.pitch_rad)
        right = (np.asarray(u, float) - self.cx) / self.fx
        down = (np.asarray(v, float) - self.cy) / self.fy
        drop, ahead = sin + cos * down, cos - sin * down
        depth = self.height_m / np.where(drop > 1e-12, drop, np.nan)
        if self.slope:
            rise = math.tan(self.slope)
            closing = drop + rise * ahead
            beyond = ((self.height_m + rise * self.slope_from_m)
                      / np.where(closing > 1e-12, closing, np.nan))
            depth = np.where(depth * ahead <= self.slope_from_m, depth, beyond)
        return np.broadcast_arrays(depth * ahead, -right * depth)


def check_slope(camera: Camera) -> None:
    """Check that a camera looks down upon its ground.

    Raises:
        ValueError: The slope is out of range, or hides the ground from the camera.
    """
    slope, start = camera.slope, camera.slope_from_m
    if not -MAX_SLOPE <= slope <= MAX_SLOPE:
        raise ValueError(f'slope is {slope}, wanted -{MAX_SLOPE} to {MAX_SLOPE} radians')
    if not 0. <= start <= FAR_M:
        raise ValueError(f'slope_from_m is {start}, wanted 0 to {FAR_M:g} m')
    above = camera.height_m + math.tan(slope) * start > 0.
    if slope and not (above and camera.to_ground(0, camera.height - 1)[0] <= FAR_M):
        raise ValueError(f'slope is {slope} from {start} m on, wanted one that the camera looks '
                         'down upon')
