"""A camera over flat ground: where on it each pixel lies. Arrays only.

The ground is the plane z = 0 of the base frame (REP 103: x forward, y left, z up, meters). Pixel
coordinates are continuous, and (0, 0) is the center of the first pixel.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import cv2
import numpy as np

from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.valid_mask import ValidMask

ROWS_AT_ONCE = 64  # Undistorting takes 100 bytes and more for each pixel.


def ground_direction(pose: Pose) -> np.ndarray:
    """Return the direction of the ground in the image, x right and y down, (2,) of length 1."""
    down = -pose.rotation_matrix[2, :2]
    return down / max(float(np.hypot(*down)), 1e-12)


class GroundView:
    """A camera over the ground: pixels to ground points and back.

    Args:
        camera: Model of the camera.
        pose: Pose of the camera.
        size: (width, height) of the images: the crop, binned and resized.

    Raises:
        ValueError: A size is not above 0.
    """

    def __init__(self, camera: CameraModel, pose: Pose, size: tuple[int, int]):
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f'size is {list(size)}, wanted width and height above 0')
        self.camera, self.pose, self.size = camera, pose, (int(size[0]), int(size[1]))

    def to_ground(self, pixel_xy: np.ndarray) -> np.ndarray:
        """Return where the rays of pixels meet the ground, at any range.

        ``ground = position + (z of position / drop of ray) ray``

        Args:
            pixel_xy: (N, 2) continuous x and y in an image of ``size``.

        Returns:
            (N, 2) float64 x and y in the base frame, in meters. They are NaN at and above the
            horizon.
        """
        return self._meet_ground(self.camera.rays(pixel_xy, self.size))

    def _meet_ground(self, rays: np.ndarray) -> np.ndarray:
        """Return where rays (N, 3) of the optical frame meet the ground: (N, 2) in their dtype."""
        # Transposed, each axis is contiguous in memory, which is twice as fast.
        x, y, z = self.pose.rotation_matrix.astype(rays.dtype) @ rays.T
        x_start, y_start, height = map(float, self.pose.position)
        length = height / np.where(z < -1e-9, -z, rays.dtype.type(np.nan))
        return np.stack((x_start + length * x, y_start + length * y), axis=-1)

    def to_pixels(self, ground: np.ndarray) -> np.ndarray:
        """Return the pixels of ground points.

        Args:
            ground: (N, 2) x and y in the base frame, in meters.

        Returns:
            (N, 2) float64 continuous x and y, which may lie outside the image. They are NaN where
            the camera cannot look.
        """
        ground = np.asarray(ground, float).reshape(-1, 2)
        points = np.column_stack((ground, np.zeros(len(ground)))) - self.pose.position
        return self.camera.project(points @ self.pose.rotation_matrix, self.size)

    def ground_resolution(self, range_m: Sequence[float]) -> np.ndarray:
        """Return how much ground a pixel covers at ranges where the camera looks.

        Args:
            range_m: (N,) distances along the ground from the origin of the base frame, in meters.

        Returns:
            (N, 2) float64 meters of ground from one column to the next and from one row to the
            next. They are NaN where a pixel reaches the horizon or the camera sees nothing.
        """
        pixel_xy = self.to_pixels(self._ahead(np.asarray(range_m, float).ravel()))
        across, along = (np.linalg.norm(self.to_ground(pixel_xy + half) - self.to_ground(
            pixel_xy - half), axis=1) for half in ((.5, 0.), (0., .5)))
        return np.column_stack((across, along))

    def _ahead(self, range_m: np.ndarray) -> np.ndarray:
        """Return the ground points, (N, 2), under the optical axis at ranges from the origin."""
        foot, heading = np.array(self.pose.position[:2]), self.pose.rotation_matrix[:2, 2]
        heading = heading / max(np.hypot(*heading), 1e-12)
        middle = foot @ heading
        reach = np.maximum(middle ** 2 - foot @ foot + range_m ** 2, 0.)
        return foot + (np.sqrt(reach) - middle)[:, None] * heading


def image_rays(camera: CameraModel, size: tuple[int, int]) -> np.ndarray:
    """Return where the pixels of an image look, (H * W, 3) float32 in the optical frame.

    They are NaN where the camera does not see the scene; see :meth:`CameraModel.rays`.
    """
    width, height = size
    rays = np.empty((width * height, 3), np.float32, order='F')
    for start in range(0, height, ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, height))
        pixel_xy = np.column_stack((np.tile(np.arange(width), len(rows)), np.repeat(rows, width)))
        rays[start * width:start * width + len(pixel_xy)] = camera.rays(pixel_xy, size)
    return rays


def unseen_pixels(rays: np.ndarray, size: tuple[int, int],
                  valid_mask: ValidMask | None = None) -> np.ndarray | None:
    """Return where the camera does not see the scene, (H, W) uint8: 255 there, else 0.

    Args:
        rays: From :func:`image_rays`.
        size: (width, height) of the image.
        valid_mask: Pixels in which the camera sees the scene, or None for all that have a ray.

    Returns:
        The pixels, or None if all are seen.
    """
    unseen = np.isnan(rays[:, 0]).reshape(size[::-1]).astype(np.uint8) * np.uint8(255)
    if valid_mask is not None:
        unseen |= valid_mask.unseen(size)
    return unseen if unseen.any() else None


class GroundTable(GroundView):
    """The ground point of every pixel, computed once per camera, pose and size.

    A range is the distance along the ground from the origin of the base frame.

    Attributes:
        points: (H, W, 3) float32 x, y and z = 0 in the base frame, in meters. They are NaN at and
            above the horizon, beyond ``max_range_m``, and where the camera does not see the scene.
        unlimited: (H, W, 2) float32 x and y without the range limit. They tell whether a bearing
            is visible as far as a range.
        behind_mask: The same, also where the valid mask hides the ground.
        unseen: Pixels in which the camera does not see the scene; see :func:`unseen_pixels`.

    Args:
        camera: Model of the camera.
        pose: Pose of the camera.
        size: (width, height) of the masks.
        max_range_m: Greatest range. Ground farther away is left out.
        valid_mask: Pixels in which the camera sees the scene, or None for all.

    Raises:
        ValueError: A size or the range is not above 0.
    """

    def __init__(self, camera: CameraModel, pose: Pose, size: tuple[int, int],
                 max_range_m: float, valid_mask: ValidMask | None = None):
        super().__init__(camera, pose, size)
        if not 0. < max_range_m < math.inf:
            raise ValueError(f'max_range_m is {max_range_m}, wanted meters above 0')
        self.max_range_m = float(max_range_m)
        self.valid_mask = valid_mask
        self._rays = image_rays(camera, self.size)
        self.unseen = unseen_pixels(self._rays, self.size, valid_mask)
        self._fill()

    def moved_to(self, pose: Pose, max_range_m: float) -> GroundTable:
        """Return the table of another pose and range, which shares the rays of this one.

        It is for poses from TF that follow a vehicle's suspension. No distortion is undone again.

        Args:
            pose: Pose of the camera.
            max_range_m: Greatest range, in meters above 0.
        """
        table = copy.copy(self)
        table.pose, table.max_range_m = pose, max_range_m
        table._fill()
        return table

    def _fill(self) -> None:
        self.unlimited = self.behind_mask = self._meet_ground(self._rays).reshape(*self.shape, 2)
        if self.unseen is not None:
            self.unlimited = np.where(self.unseen[..., None], np.float32('nan'), self.behind_mask)
        self.points = np.zeros((*self.shape, 3), np.float32)
        self.points[..., :2] = self.unlimited
        self.points[~(self.unlimited_range() <= self.max_range_m)] = np.nan
        self._near_border = None

    def pixel_indices_of(self, ground: np.ndarray) -> np.ndarray:
        """Return the flat index of the pixel that shows each ground point, or -1 for none.

        Args:
            ground: (..., 2) x and y in the base frame, in meters.

        Returns:
            (...) int64.
        """
        place = np.floor(self.to_pixels(ground) + .5)
        inside = np.all((place >= 0) & (place < self.size), axis=1)
        column, row = np.where(inside[:, None], place, 0.).astype(np.int64).T
        if self.unseen is not None:
            inside &= self.unseen[row, column] == 0
        return np.where(inside, row * self.size[0] + column, -1).reshape(ground.shape[:-1])

    @property
    def shape(self) -> tuple[int, int]:
        """Return (height, width) of the masks."""
        return self.size[1], self.size[0]

    @property
    def is_inside(self) -> np.ndarray:
        """Tell, (H, W) bool, which pixels have a ground point."""
        return np.isfinite(self.points[..., 0])

    def near_border(self) -> np.ndarray:
        """Return the border of the visible ground on the vehicle's side, (H, W) uint8 of 0 or 255.

        It is the lower border of an upright camera's image, or of the circle that a fisheye lens
        shows in it. What lies behind a hole of unseen pixels has such a border, too. It is
        computed at the first call.
        """
        if self._near_border is None:
            down, kernel = ground_direction(self.pose), np.zeros((3, 3), np.uint8)
            for x, y in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0)):
                kernel[1 + y, 1 + x] = (x, y) == (0, 0) or down @ (x, y) > .5
            unseen = np.isnan(self.unlimited[..., 0]).astype(np.uint8) * 255
            reached = cv2.dilate(unseen, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=255)
            self._near_border = cv2.subtract(reached, unseen)
        return self._near_border

    def unlimited_range(self) -> np.ndarray:
        """Return the range of every pixel without the limit, (H, W) float32 meters."""
        return np.hypot(self.unlimited[..., 0], self.unlimited[..., 1])
