"""A camera: where its pixels look, and where points appear in its image. Arrays only.

A camera sees from its optical frame (REP 103: z forward, x right, y down). Pixel coordinates are
continuous, and (0, 0) is the center of the first pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.polynomial.polynomial import polyval

from enet_ros.perception.geometry.distortion import Distortion, read_distortion
from enet_ros.perception.geometry.pose import finite_values

IDENTITY = (1., 0., 0., 0., 1., 0., 0., 0., 1.)
INVERSE_TOLERANCE_PX = 0.01    # A pixel has no ray if its ray returns farther from it than this.
INVERSE_TOLERANCE_RAD = 1e-4   # A ray has no pixel if its pixel returns farther from it than this.
POINTS_AT_ONCE = 8192  # projectPoints also computes 15 derivatives of each coordinate.
FISHEYE_ANGLES = 4097  # at which the polynomial is computed before it is inverted
INVERSE_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-6)


class UncalibratedError(ValueError):
    """A camera whose calibration was never filled in: the matrix it needs is all zero."""


def scale_camera_matrix(matrix: np.ndarray, size: tuple[float, float], to_size: tuple[int, int],
                        offset: tuple[int, int] = (0, 0),
                        binning: tuple[int, int] = (1, 1)) -> np.ndarray:
    """Return K or P for a crop that was binned and then resized.

    The focal lengths and the fourth column of P scale with the image. The principal point counts
    from the center of the first pixel, so half a pixel is added and subtracted:
    ``c' = (c - offset + 0.5) s - 0.5``.

    Args:
        matrix: (3, 3) K or (3, 4) P of the full sensor, in pixels (sensor_msgs/CameraInfo).
        size: (width, height) of the crop in sensor pixels.
        to_size: (width, height) of the image that the result is for.
        offset: (x, y) of the first pixel of the crop on the sensor.
        binning: Numbers of sensor pixels along x and y that are merged into one. Binning is part
            of the way from ``size`` to ``to_size``. A remainder that it does not divide is unused.

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

    The optical frame is that of the rectified image, as in image_geometry: R rotates the rays of
    raw pixels into it. The fourth column of P (the second camera of a stereo pair) is not used,
    since the pose is that of this camera.

    Attributes:
        width: Width of the full sensor, in pixels.
        height: Height of the full sensor, in pixels.
        k: 9 values of K, row by row, or (3, 3). Only images that are not rectified need it.
        d: Coefficients of ``distortion_model``, as :func:`read_distortion` returns them. Without
            any there is no distortion.
        r: 9 values of R. All zero (never filled in) is the identity.
        p: 12 values of P, which only rectified images need.
        distortion_model: plumb_bob, rational_polynomial, equidistant or '', as
            :func:`read_distortion` returns it. Any name that the function reads may be given.
        roi: x_offset, y_offset, width and height in sensor pixels. A size of 0 is the sensor's.
        binning: Numbers of sensor pixels along x and y that are merged into one. 0 means 1.
        rectified: Whether the images are rectified. Then only P says where a ray goes, and the
            distortion is not read.
        source: Model of the raw images that rectified ones are made from, or None if it is not
            known. Where it sees nothing, a rectified image is black and has no ray.
        note: What was read differently than it was written, or ''. It is set here.

    Raises:
        UncalibratedError: K, or for a rectified image P, is all zero.
        ValueError: The model is unknown, a count of values is wrong, or a value is not finite or
            out of range. The message names it.
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
    source: CameraModel | None = None
    note: str = field(default='', init=False, compare=False)

    def __post_init__(self):
        """Check the fields. Sequences become tuples, so that cameras compare and hash."""
        used = 'kp' if self.rectified else 'kdr'
        for name, count in (('k', 9), ('d', None), ('r', 9), ('p', 12)):
            values = getattr(self, name)
            if name not in used and not np.isfinite(np.asarray(values, float)).all():
                values = np.zeros(np.size(values))  # It was never filled in.
            object.__setattr__(self, name, finite_values(name, values, count))
        if not any(self.r):
            object.__setattr__(self, 'r', IDENTITY)
        object.__setattr__(self, 'roi', tuple(int(value) for value in self.roi))
        object.__setattr__(self, 'binning', tuple(max(1, int(value)) for value in self.binning))
        self._check_matrices()
        self._check_distortion()
        self._check_crop()

    def _check_matrices(self) -> None:
        for name, needed in (('k', not self.rectified), ('p', self.rectified)):
            values = getattr(self, name)
            if needed and not any(values):
                raise UncalibratedError(f'{name} is all zero: the camera is not calibrated')
            fx, fy = values[0], values[4 if name == 'k' else 5]
            if needed and not min(fx, fy) > 0.:
                raise ValueError(f'{name} has the focal lengths {fx:g} and {fy:g}, wanted '
                                 'pixels above 0')

    def _check_distortion(self) -> None:
        distortion = Distortion() if self.rectified else read_distortion(self.distortion_model,
                                                                         self.d)
        object.__setattr__(self, 'distortion_model', distortion.model)
        object.__setattr__(self, 'd', distortion.coefficients)
        object.__setattr__(self, 'note', distortion.note)

    def _check_crop(self) -> None:
        if min(self.width, self.height) < 1:
            raise ValueError(f'the camera info has {self.width}x{self.height} pixels, wanted the '
                             'size of the image that it was calibrated for')
        x, y, width, height = self.crop
        if min(x, y) < 0 or x + width > self.width or y + height > self.height \
                or width < self.binning[0] or height < self.binning[1]:
            raise ValueError(f'roi is {list(self.roi)} with binning {list(self.binning)}, wanted '
                             f'a part of the sensor, {self.width}x{self.height} pixels')

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """Return x, y, width and height of the region of interest, in sensor pixels."""
        x, y, width, height = self.roi
        return x, y, width or self.width, height or self.height

    @property
    def _is_distorted(self) -> bool:
        return bool(self.d) and not self.rectified

    def matrix(self, size: tuple[int, int]) -> np.ndarray:
        """Return (3, 3) K, or the first columns of P if rectified, for an image of a size."""
        k, p = np.reshape(self.k, (3, 3)), np.reshape(self.p, (3, 4))
        x, y, width, height = self.crop
        return scale_camera_matrix(p[:, :3] if self.rectified else k, (width, height), size,
                                   (x, y), self.binning)

    def rays(self, pixel_xy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return the directions in which pixels look.

        Args:
            pixel_xy: (N, 2) x and y in an image of ``size``.
            size: (width, height) of the image: the crop, binned and resized.

        Returns:
            (N, 3) float64 directions in the optical frame, of length 1. They are NaN where the
            distortion cannot be undone, and where ``source`` sees nothing.
        """
        pixel_xy, matrix = np.asarray(pixel_xy, float).reshape(-1, 2), self.matrix(size)
        flat = self._undistort(pixel_xy, matrix)
        rays = np.column_stack((flat, np.ones(len(flat))))
        rays /= np.sqrt(np.einsum('ij,ij->i', rays, rays))[:, None]
        if self._is_distorted:
            distorted = self._distort(flat, matrix)
            miss = np.hypot(*(distorted - pixel_xy).T)
            # Where the polynomial begins to fold, a pixel may have a ray that has no pixel.
            undone = (miss <= INVERSE_TOLERANCE_PX) & self._comes_back(flat, distorted, matrix)
            rays[~undone] = np.nan
        if self.source is not None:
            rays[~self.source.sees(rays, size)] = np.nan
        return rays if self.rectified else rays @ np.reshape(self.r, (3, 3)).T

    def sees(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Tell, (N,) bool, which points appear in the image; see :meth:`project`."""
        pixel_xy = self.project(points, size)
        return np.all((pixel_xy >= -.5) & (pixel_xy <= np.subtract(size, .5)), axis=1)

    def project(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return the pixels of points.

        A distortion polynomial folds rays from far outside the image back into it. A point that
        its pixel does not return to has no pixel.

        Args:
            points: (N, 3) in the optical frame, of any unit.
            size: (width, height) of the image.

        Returns:
            (N, 2) float64 x and y, which may lie outside the image. They are NaN for points behind
            the camera, and for points that their pixel does not return to.
        """
        points, matrix = np.asarray(points, float).reshape(-1, 3), self.matrix(size)
        if not self.rectified:
            points = points @ np.reshape(self.r, (3, 3))
        flat = points[:, :2] / np.where(points[:, 2:] > 0., points[:, 2:], np.nan)
        pixel_xy = self._distort(flat, matrix)
        pixel_xy[~self._comes_back(flat, pixel_xy, matrix)] = np.nan
        return pixel_xy

    def _comes_back(self, flat: np.ndarray, pixel_xy: np.ndarray,
                    matrix: np.ndarray) -> np.ndarray:
        """Return a mask (N,): True where undistorting a pixel gives its x/z and y/z back."""
        miss = np.hypot(*(self._undistort(pixel_xy, matrix) - flat).T)
        return miss <= INVERSE_TOLERANCE_RAD * (1. + np.sum(flat ** 2, 1))

    def _undistort(self, pixel_xy: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return x/z and y/z, (N, 2), of pixels."""
        coefficients = np.array(self.d)
        if not self._is_distorted or not len(pixel_xy):
            return (pixel_xy - matrix[:2, 2]) / matrix.diagonal()[:2]
        if self.distortion_model == 'equidistant':
            return self._undistort_fisheye((pixel_xy - matrix[:2, 2]) / matrix.diagonal()[:2])
        # undistortPoints stops after 5 steps. At the corners of a wide lens half a pixel is left.
        return cv2.undistortPointsIter(pixel_xy[:, None], matrix, coefficients, None, None,
                                       INVERSE_STEPS)[:, 0]

    def _undistort_fisheye(self, distorted: np.ndarray) -> np.ndarray:
        """Return x/z and y/z, (N, 2), of distorted ones of the equidistant model.

        They are NaN beyond 90 degrees, and where the polynomial begins to fold. OpenCV's function
        takes no radius above pi/2, which many lenses reach before 90 degrees.
        """
        factors = (1., *self.d)  # radius = angle + k1 angle^3 + k2 angle^5 + ...
        angles = np.linspace(0., np.pi / 2., FISHEYE_ANGLES)
        radii = angles * polyval(angles ** 2, factors)
        rising = np.append(np.diff(radii) > 0., False).argmin() + 1
        radius = np.hypot(*distorted.T)
        angle = np.interp(radius, radii[:rising], angles[:rising], right=np.nan)
        square = angle ** 2  # One step of Newton's method follows, from about 1e-8 away.
        angle -= (angle * polyval(square, factors) - radius) / polyval(
            square, np.multiply(factors, (1, 3, 5, 7, 9)))
        return distorted * (np.tan(angle) / np.maximum(radius, 1e-12))[:, None]

    def _distort(self, flat: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return the pixels, (N, 2), of x/z and y/z."""
        coefficients = np.array(self.d)
        if not self._is_distorted or not len(flat):
            return flat * matrix.diagonal()[:2] + matrix[:2, 2]
        if self.distortion_model == 'equidistant':
            return cv2.fisheye.distortPoints(flat[:, None], matrix, coefficients)[:, 0]
        rays, no_motion = cv2.convertPointsToHomogeneous(flat), np.zeros(3)
        return np.concatenate([
            cv2.projectPoints(rays[start:start + POINTS_AT_ONCE], no_motion, no_motion, matrix,
                              coefficients)[0][:, 0]
            for start in range(0, len(rays), POINTS_AT_ONCE)])
