"""A camera over flat ground: where on it each pixel lies. Arrays only.

The ground is the plane z = 0 of the base frame (REP 103: x forward, y left, z up, metres). A
camera sees it from its optical frame (REP 103: z forward, x right, y down). Pixels are continuous,
(0, 0) is the centre of the first.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

#: Numbers of coefficients that CameraInfo.d has for each CameraInfo.distortion_model.
COEFFICIENTS = {'plumb_bob': (0, 4, 5), 'rational_polynomial': (0, 8, 12, 14),
                'equidistant': (4,)}
IDENTITY = (1., 0., 0., 0., 1., 0., 0., 0., 1.)
INVERSE_TOLERANCE_PX = 0.01    # a pixel whose ray does not come back to it so closely has none
INVERSE_TOLERANCE_RAD = 1e-4   # a ray whose pixel does not come back to it so closely has none
INVERSE_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-6)

#: Optical axes (right, down, forward) in the axes of the camera's body (forward, left, up).
BODY_FROM_OPTICAL = np.array([[0., 0., 1.], [-1., 0., 0.], [0., -1., 0.]])


class UncalibratedError(ValueError):
    """A camera whose calibration was never filled in: the matrix that is needed is all zero."""


def scale_camera_matrix(matrix: np.ndarray, size: tuple[float, float], to_size: tuple[int, int],
                        offset: tuple[int, int] = (0, 0),
                        binning: tuple[int, int] = (1, 1)) -> np.ndarray:
    """Return K or P for a crop that was binned and then stretched to another size.

    Focal lengths and the fourth column of P scale with the picture. The principal point counts
    from the centre of the first pixel, so half a pixel goes in and out:
    ``c' = (c - offset + 0.5) s - 0.5``.

    Args:
        matrix: (3, 3) K or (3, 4) P of the full sensor, in pixels (sensor_msgs/CameraInfo).
        size: (width, height) of the crop in sensor pixels.
        to_size: (width, height) of the picture that the result is for.
        offset: (x, y) of the crop's first pixel on the sensor.
        binning: sensor pixels merged into one, (x, y); it is part of the way from ``size`` to
            ``to_size``, and decides how much of a size that it does not divide was used.

    Returns:
        float64, of the shape of ``matrix``.
    """
    scaled = np.array(matrix, np.float64)
    for axis in (0, 1):
        used = size[axis] // binning[axis] * binning[axis]
        scale = to_size[axis] / used
        scaled[axis] *= scale
        scaled[axis, 2] = (matrix[axis][2] - offset[axis] + 0.5) * scale - 0.5
    return scaled


@dataclass(frozen=True)
class CameraModel:
    """A pinhole camera with distortion, in the words of sensor_msgs/CameraInfo.

    The optical frame is that of the rectified picture, as in image_geometry: R turns the rays of
    raw pixels into it. A fourth column of P (the second camera of a stereo pair) is not used: the
    pose is this camera's own.

    Attributes:
        width: of the full sensor, pixels.
        height: of the full sensor, pixels.
        k: 9 values of K, row by row, or (3, 3).
        d: coefficients of ``distortion_model``; none = no distortion.
        r: 9 values of R; all zero (never filled in) = identity.
        p: 12 values of P; needed for rectified pictures alone.
        distortion_model: plumb_bob, rational_polynomial or equidistant; may be empty where all of
            ``d`` is 0.
        roi: x_offset, y_offset, width and height in sensor pixels; a size of 0 = the sensor's.
        binning: sensor pixels merged into one, x and y; 0 = 1.
        rectified: whether the pictures are: then P says where a ray goes, and nothing else.

    Raises:
        UncalibratedError: K, or the P of a rectified picture, is all zero.
        ValueError: an unknown model, a wrong count of values, a value that is not finite or out of
            range; the message names it.
    """

    width: int
    height: int
    k: Sequence[float]
    d: Sequence[float] = ()
    r: Sequence[float] = IDENTITY
    p: Sequence[float] = (0.,) * 12
    distortion_model: str = 'plumb_bob'
    roi: Sequence[int] = (0, 0, 0, 0)
    binning: Sequence[int] = (1, 1)
    rectified: bool = False

    def __post_init__(self):
        """Check the fields; sequences become tuples, so that cameras compare and hash."""
        for name, count in (('k', 9), ('d', None), ('r', 9), ('p', 12)):
            object.__setattr__(self, name, finite_values(name, getattr(self, name), count))
        if not any(self.r):
            object.__setattr__(self, 'r', IDENTITY)
        object.__setattr__(self, 'roi', tuple(int(value) for value in self.roi))
        object.__setattr__(self, 'binning', tuple(max(1, int(value)) for value in self.binning))
        self._check_matrices()
        self._check_distortion()
        self._check_crop()

    def _check_matrices(self) -> None:
        for name, needed in (('k', True), ('p', self.rectified)):
            values = getattr(self, name)
            if needed and not any(values):
                raise UncalibratedError(f'{name} is all zero: the camera is not calibrated')
            fx, fy = values[0], values[4 if name == 'k' else 5]
            if needed and not min(fx, fy) > 0.:
                raise ValueError(f'{name} has the focal lengths {fx:g} and {fy:g}, wanted '
                                 'pixels above 0')

    def _check_distortion(self) -> None:
        if not self.distortion_model and not any(self.d):
            object.__setattr__(self, 'd', ())
            return
        wanted = COEFFICIENTS.get(self.distortion_model)
        if wanted is None:
            raise ValueError(f"distortion_model is '{self.distortion_model}', wanted one of "
                             f'{", ".join(COEFFICIENTS)}')
        if len(self.d) not in wanted:
            raise ValueError(f'd has {len(self.d)} values, wanted '
                             f'{" or ".join(map(str, wanted))} for {self.distortion_model}')

    def _check_crop(self) -> None:
        x, y, width, height = self.crop
        if min(x, y) < 0 or x + width > self.width or y + height > self.height \
                or width < self.binning[0] or height < self.binning[1]:
            raise ValueError(f'roi is {list(self.roi)} with binning {list(self.binning)}, wanted '
                             f'a part of the sensor, {self.width}x{self.height} pixels')

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """Return x, y, width and height of the region of interest, sensor pixels."""
        x, y, width, height = self.roi
        return x, y, width or self.width, height or self.height

    def matrix(self, size: tuple[int, int]) -> np.ndarray:
        """Return K, or the first columns of P where rectified, of a picture of (width, height)."""
        k, p = np.reshape(self.k, (3, 3)), np.reshape(self.p, (3, 4))
        x, y, width, height = self.crop
        return scale_camera_matrix(p[:, :3] if self.rectified else k, (width, height), size,
                                   (x, y), self.binning)

    def rays(self, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return where pixels look.

        Args:
            pixels: (N, 2) x and y in a picture of ``size``.
            size: (width, height) of the picture: the crop, binned and stretched.

        Returns:
            (N, 3) float64 directions in the optical frame, of length 1; NaN where the distortion
            cannot be undone.
        """
        pixels, matrix = np.asarray(pixels, float).reshape(-1, 2), self.matrix(size)
        flat = self._undistort(pixels, matrix)
        distorted = self._distort(flat, matrix)
        miss = np.hypot(*(distorted - pixels).T)
        # Where the polynomial begins to fold, a pixel may have a ray that has no pixel.
        undone = (miss <= INVERSE_TOLERANCE_PX) & self._comes_back(flat, distorted, matrix)
        rays = cv2.convertPointsToHomogeneous(flat)[:, 0] if len(flat) else np.empty((0, 3))
        rays /= np.sqrt(np.einsum('ij,ij->i', rays, rays))[:, None]
        rays[~undone] = np.nan
        return rays if self.rectified else rays @ np.reshape(self.r, (3, 3)).T

    def project(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return the pixels of points.

        A distortion polynomial folds rays from far outside the picture back into it: what does not
        come back from its pixel has none.

        Args:
            points: (N, 3) in the optical frame, any unit.
            size: (width, height) of the picture.

        Returns:
            (N, 2) float64, not cut to the picture; NaN for what is behind the camera.
        """
        points, matrix = np.asarray(points, float).reshape(-1, 3), self.matrix(size)
        if not self.rectified:
            points = points @ np.reshape(self.r, (3, 3))
        flat = points[:, :2] / np.where(points[:, 2:] > 0., points[:, 2:], np.nan)
        pixels = self._distort(flat, matrix)
        pixels[~self._comes_back(flat, pixels, matrix)] = np.nan
        return pixels

    def _comes_back(self, flat: np.ndarray, pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Tell, (N,) bool, of x/z and y/z and their pixels, both (N, 2), which can be undone."""
        miss = np.hypot(*(self._undistort(pixels, matrix) - flat).T)
        return miss <= INVERSE_TOLERANCE_RAD * (1. + np.sum(flat ** 2, 1))

    def _undistort(self, pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return x/z and y/z, (N, 2), of pixels."""
        coefficients = np.array(self.d)
        if self.rectified or not self.d or not len(pixels):
            return (pixels - matrix[:2, 2]) / matrix.diagonal()[:2]
        if self.distortion_model == 'equidistant':
            return cv2.fisheye.undistortPoints(pixels[:, None], matrix, coefficients)[:, 0]
        # undistortPoints stops after 5 steps, which leaves half a pixel at a wide lens's corners.
        return cv2.undistortPointsIter(pixels[:, None], matrix, coefficients, None, None,
                                       INVERSE_STEPS)[:, 0]

    def _distort(self, flat: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return the pixels, (N, 2), of x/z and y/z."""
        coefficients = np.array(self.d)
        if self.rectified or not self.d or not len(flat):
            return flat * matrix.diagonal()[:2] + matrix[:2, 2]
        if self.distortion_model == 'equidistant':
            return cv2.fisheye.distortPoints(flat[:, None], matrix, coefficients)[:, 0]
        rays, still = cv2.convertPointsToHomogeneous(flat), np.zeros(3)
        return cv2.projectPoints(rays, still, still, matrix, coefficients)[0][:, 0]


@dataclass(frozen=True)
class Pose:
    """Where a camera's optical frame is in the base frame.

    Attributes:
        rotation: 9 values, row by row: takes optical axes to base axes.
        position: x, y and z of the camera, metres; z above 0.

    Raises:
        ValueError: a value is not finite, the rotation is none, or the camera is not above the
            ground.
    """

    rotation: Sequence[float]
    position: Sequence[float]

    def __post_init__(self):
        """Check the fields, which become tuples, so that poses compare and hash."""
        object.__setattr__(self, 'rotation', finite_values('rotation', self.rotation, 9))
        object.__setattr__(self, 'position', finite_values('position', self.position, 3))
        turn = self.turn
        if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-4) or np.linalg.det(turn) < 0.:
            raise ValueError(f'rotation is {list(self.rotation)}, wanted a rotation matrix')
        if not self.position[2] > 0.:
            raise ValueError(f'the camera is {self.position[2]:g} m above the ground, wanted '
                             'more than 0')

    @classmethod
    def from_mount(cls, height_m: float, pitch_rad: float = 0., roll_rad: float = 0.,
                   yaw_rad: float = 0., x_m: float = 0., y_m: float = 0.) -> Pose:
        """Return the pose of a camera that looks forward, then is turned about fixed axes.

        The order is that of URDF and REP 103: roll about x, pitch about y, yaw about z.

        Args:
            height_m: of the camera above the ground.
            pitch_rad: positive looks down.
            roll_rad: positive has its right side down.
            yaw_rad: positive looks to the left.
            x_m: how far in front of the base frame's origin.
            y_m: how far to its left.
        """
        body = about('z', yaw_rad) @ about('y', pitch_rad) @ about('x', roll_rad)
        return cls((body @ BODY_FROM_OPTICAL).ravel(), (x_m, y_m, height_m))

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> Pose:
        """Return the pose of a (4, 4) transform that takes optical to base coordinates."""
        matrix = np.asarray(matrix, float)
        if matrix.shape != (4, 4) or not np.allclose(matrix[3], (0., 0., 0., 1.)):
            raise ValueError(f'the transform is {matrix.tolist()}, wanted 4 rows of 4, the last '
                             '0 0 0 1')
        return cls(matrix[:3, :3].ravel(), matrix[:3, 3])

    @classmethod
    def from_quaternion(cls, translation: Sequence[float], rotation: Sequence[float]) -> Pose:
        """Return the pose that geometry_msgs/Transform gives: x y z, metres, and x y z w."""
        x, y, z, w = finite_values('rotation', rotation, 4)
        if not any((x, y, z, w)):
            raise ValueError('rotation is all zero, wanted a quaternion x y z w')
        x, y, z, w = np.array((x, y, z, w)) / math.hypot(x, y, z, w)
        cross = np.array([[0., -z, y], [z, 0., -x], [-y, x, 0.]])
        turn = np.eye(3) + 2. * w * cross + 2. * cross @ cross
        return cls(turn.ravel(), translation)

    @property
    def turn(self) -> np.ndarray:
        """Return the rotation, (3, 3) float64."""
        return np.reshape(self.rotation, (3, 3))


class GroundView:
    """A camera over the ground: pixels to ground points and back, any number at a time.

    Args:
        camera: a :class:`CameraModel`.
        pose: a :class:`Pose`.
        size: (width, height) of the pictures: the crop, binned and stretched.

    Raises:
        ValueError: if a size is not above 0.
    """

    def __init__(self, camera: CameraModel, pose: Pose, size: tuple[int, int]):
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f'size is {list(size)}, wanted width and height above 0')
        self.camera, self.pose, self.size = camera, pose, (int(size[0]), int(size[1]))

    def to_ground(self, pixels: np.ndarray) -> np.ndarray:
        """Return where the rays of pixels meet the ground.

        ``ground = position + (z of position / drop of ray) ray``, at any range.

        Args:
            pixels: (N, 2) continuous x and y in a picture of ``size``.

        Returns:
            (N, 2) float64 x and y in the base frame, metres; NaN at and above the horizon.
        """
        return self._meet_ground(self.camera.rays(pixels, self.size))

    def _meet_ground(self, rays: np.ndarray) -> np.ndarray:
        """Return where rays (N, 3) of the optical frame meet the ground, (N, 2)."""
        rays = rays @ self.pose.turn.T.astype(rays.dtype)
        length = self.pose.position[2] / np.where(rays[:, 2] < -1e-9, -rays[:, 2], np.nan)
        return np.column_stack([start + length * rays[:, axis]
                                for axis, start in enumerate(self.pose.position[:2])])

    def to_pixels(self, ground: np.ndarray) -> np.ndarray:
        """Return the pixels of ground points.

        Args:
            ground: (N, 2) x and y in the base frame, metres.

        Returns:
            (N, 2) float64 continuous x and y, not cut to the picture; NaN where the camera cannot
            look.
        """
        ground = np.asarray(ground, float).reshape(-1, 2)
        points = np.column_stack((ground, np.zeros(len(ground)))) - self.pose.position
        return self.camera.project(points @ self.pose.turn, self.size)

    def ground_resolution(self, range_m: Sequence[float]) -> np.ndarray:
        """Return how much ground a pixel covers at ranges where the camera looks.

        Args:
            range_m: (N,) distances along the ground from the base frame's origin, metres.

        Returns:
            (N, 2) float64 metres of ground from one column to the next and from one row to the
            next; NaN where a pixel reaches the horizon or the camera does not see.
        """
        pixels = self.to_pixels(self._ahead(np.asarray(range_m, float).ravel()))
        across, along = (np.linalg.norm(self.to_ground(pixels + half) - self.to_ground(
            pixels - half), axis=1) for half in ((.5, 0.), (0., .5)))
        return np.column_stack((across, along))

    def _ahead(self, range_m: np.ndarray) -> np.ndarray:
        """Return the ground points, (N, 2), under the optical axis at ranges from the origin."""
        foot, heading = np.array(self.pose.position[:2]), self.pose.turn[:2, 2]
        heading = heading / max(np.hypot(*heading), 1e-12)
        middle = foot @ heading
        reach = np.maximum(middle ** 2 - foot @ foot + range_m ** 2, 0.)
        return foot + (np.sqrt(reach) - middle)[:, None] * heading


class GroundTable(GroundView):
    """The ground point of every pixel, computed once a camera, pose and size.

    A range is the distance along the ground from the base frame's origin.

    Attributes:
        points: (H, W, 3) float32 x, y and z = 0 in the base frame, metres; NaN at and above the
            horizon, beyond ``max_range_m``, and where the distortion cannot be undone.
        seen: (H, W, 2) float32 x and y without the range limit, for what asks whether a bearing is
            seen as far as a range.

    Args:
        camera: a :class:`CameraModel`.
        pose: a :class:`Pose`.
        size: (width, height) of the masks.
        max_range_m: ground farther away is left out.

    Raises:
        ValueError: if a size or the range is not above 0.
    """

    def __init__(self, camera: CameraModel, pose: Pose, size: tuple[int, int],
                 max_range_m: float = 30.):
        super().__init__(camera, pose, size)
        if not 0. < max_range_m < math.inf:
            raise ValueError(f'max_range_m is {max_range_m}, wanted metres above 0')
        self.max_range_m = float(max_range_m)
        columns, rows = np.meshgrid(np.arange(self.size[0]), np.arange(self.size[1]))
        pixels = np.column_stack((columns.ravel(), rows.ravel()))
        self._rays = camera.rays(pixels, self.size).astype(np.float32)
        self._fill()

    def moved_to(self, pose: Pose) -> GroundTable:
        """Return the table of another pose.

        No distortion is undone anew: for poses from TF that follow a vehicle's suspension.
        """
        table = copy.copy(self)
        table.pose = pose
        table._fill()
        return table

    def _fill(self) -> None:
        self.seen = self._meet_ground(self._rays).astype(np.float32).reshape(*self.shape, 2)
        self.points = np.zeros((*self.shape, 3), np.float32)
        self.points[..., :2] = self.seen
        self.points[~(self.seen_range() <= self.max_range_m)] = np.nan

    @property
    def shape(self) -> tuple[int, int]:
        """Return (height, width) of the masks."""
        return self.size[1], self.size[0]

    @property
    def inside(self) -> np.ndarray:
        """Return which pixels have a point, (H, W) bool."""
        return np.isfinite(self.points[..., 0])

    def seen_range(self) -> np.ndarray:
        """Return the range of every pixel's ground without the limit, (H, W) float32 metres."""
        return np.hypot(self.seen[..., 0], self.seen[..., 1])


def finite_values(name: str, values: Sequence[float], count: int | None) -> tuple[float, ...]:
    """Return values as a flat tuple; ValueError unless there are ``count`` and all are finite."""
    found = tuple(np.asarray(values, float).ravel().tolist())
    if count is not None and len(found) != count:
        raise ValueError(f'{name} has {len(found)} values, wanted {count}')
    if not all(map(math.isfinite, found)):
        raise ValueError(f'{name} is {list(found)}, wanted finite numbers')
    return found


def about(axis: str, angle_rad: float) -> np.ndarray:
    """Return the rotation, (3, 3), by an angle about 'x', 'y' or 'z', right-handed."""
    vector = np.zeros(3)
    vector['xyz'.index(axis)] = angle_rad
    return cv2.Rodrigues(vector)[0]
