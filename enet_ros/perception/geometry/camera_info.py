"""Checks of a camera info. No ROS."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from enet_ros.perception.geometry.calibration_check import (
    MOST_FOLDED_FISHEYE,
    calibration_problem,
    unseen_share,
)
from enet_ros.perception.geometry.camera_model import (
    CameraModel,
    UncalibratedError,
    scale_camera_matrix,
)
from enet_ros.perception.message_types import CameraInfo

#: Greatest difference in the height of a frame and its calibration. Drivers round when they scale.
SIZE_TOLERANCE_PX = 2
_SINGLE_FIELDS = ('height', 'width', 'distortion_model', 'binning_x', 'binning_y', 'roi')
_ARRAYS = ('d', 'k', 'r', 'p')


@dataclass(frozen=True)
class CheckedCalibration:
    """The result of checking a calibration.

    Attributes:
        info: The message.
        camera: The camera that it describes, or None if it cannot be believed.
        problem: Why it cannot be believed, a sentence, or ''.
        is_publishable: Whether it may be passed on: it is believed, or says by zeros that the
            camera is not calibrated.
        note: Which fields were corrected while reading, a sentence, or ''.
    """

    info: CameraInfo
    camera: CameraModel | None = None
    problem: str = ''
    is_publishable: bool = True
    note: str = ''

    def __str__(self) -> str:
        """Return what the diagnostics show."""
        if self.problem:
            return self.problem
        name = self.camera.distortion_model or 'no distortion'
        text = f'{self.camera.width}x{self.camera.height} pixels, {name}'
        return f'{text}; {self.note}' if self.note else text


class CalibrationChecker:
    """Checks the camera infos of one camera, anew only if something changed.

    It has no lock: calls must not overlap.
    """

    def __init__(self):
        self._last: tuple[tuple, CheckedCalibration] | None = None
        self._note = ''

    def check(self, info: CameraInfo, frame_size: tuple[int, int], *,
              rectified: bool) -> CheckedCalibration:
        """Check a camera info.

        Args:
            info: The newest calibration.
            frame_size: (width, height) of the frames in pixels.
            rectified: Whether the frames are rectified.
        """
        last = self._last
        if last is not None and last[0] == (frame_size, rectified) \
                and (last[1].info is info or is_same_calibration(last[1].info, info)):
            if last[1].info.header.frame_id != info.header.frame_id:
                self._last = last[0], replace(last[1], info=info)
            return self._last[1]
        calibration = check_calibration(info, frame_size, rectified=rectified)
        self._last, self._note = ((frame_size, rectified), calibration), calibration.note
        return calibration

    def take_note(self) -> str:
        """Return which fields were corrected while reading, a sentence, or ''.

        The next call returns '' until a calibration is corrected anew.
        """
        note, self._note = self._note, ''
        return note


def check_calibration(info: CameraInfo, frame_size: tuple[int, int], *,
                      rectified: bool) -> CheckedCalibration:
    """Check a camera info for frames of a size."""
    try:
        camera = camera_model(info, rectified=rectified)
        check_size(info, frame_size)
    except UncalibratedError as error:
        return CheckedCalibration(info, problem=str(error), is_publishable=_fits(info, frame_size))
    except ValueError as error:
        return CheckedCalibration(info, problem=str(error), is_publishable=False)
    problem = calibration_problem(camera, frame_size)
    if rectified and not problem:
        camera = _with_source(camera, info, frame_size)
    return CheckedCalibration(info, None if problem else camera, problem,
                              is_publishable=not problem, note=camera.note)


def _with_source(camera: CameraModel, info: CameraInfo,
                 frame_size: tuple[int, int]) -> CameraModel:
    """Return the camera of rectified images with that of the raw ones, if K and D tell it."""
    try:
        source = camera_model(info, rectified=False)
    except ValueError:
        return camera
    if not source.d or calibration_problem(source, frame_size):
        return camera
    combined = replace(camera, source=source)
    return camera if unseen_share(combined, frame_size) > MOST_FOLDED_FISHEYE else combined


def is_same_calibration(one: CameraInfo, other: CameraInfo) -> bool:
    """Tell whether two camera infos differ only in their headers."""
    return all(getattr(one, name) == getattr(other, name) for name in _SINGLE_FIELDS) \
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in _ARRAYS)


def _fits(info: CameraInfo, size: tuple[int, int]) -> bool:
    """Tell whether :func:`check_size` accepts a size."""
    try:
        check_size(info, size)
    except ValueError:
        return False
    return True


def check_size(info: CameraInfo, size: tuple[int, int]) -> None:
    """Check that a calibration fits frames of a size, as they are or scaled evenly.

    Args:
        info: Calibration of the camera. Without a matrix it fits all frames.
        size: (width, height) of the frames.

    Raises:
        ValueError: It does not fit. The message names both sizes.
    """
    if not info.k[0] and not info.p[0]:
        return
    crop, binning = _crop_and_binning(info)
    width, height = (length // merged for length, merged in zip(crop, binning))
    whole = info.width // binning[0], info.height // binning[1]
    if size == whole != (width, height):
        roi = info.roi
        raise ValueError(f'roi is {roi.width}x{roi.height} at {roi.x_offset}, {roi.y_offset}, and '
                         f'frames are {size[0]}x{size[1]}, the whole sensor; wanted frames of '
                         'that region, or a roi of zeros')
    if not is_same_aspect(size, (width, height)):
        raise ValueError(f'the camera info is for {width}x{height}, frames are '
                         f'{size[0]}x{size[1]}; wanted the calibration of this camera mode')


def is_same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether an image can be another one that was scaled evenly, by their sizes."""
    return abs(size[1] * other[0] - size[0] * other[1]) <= SIZE_TOLERANCE_PX * max(other[0], 1)


def _crop_and_binning(info: CameraInfo) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the sensor pixels that are read, and how many make one, along x and y."""
    return ((info.roi.width or info.width, info.roi.height or info.height),
            (max(1, info.binning_x), max(1, info.binning_y)))


def scaled_matrices(info: CameraInfo, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return K and P for an image of another size, (9,) and (12,) float64, row by row.

    The region of interest and the binning of ``info`` go into them.

    Args:
        info: Calibration of the camera. A matrix that is all zero or not finite (never filled in)
            gives zeros.
        size: (width, height) of the image.
    """
    roi, (crop, binning) = info.roi, _crop_and_binning(info)
    scaling = (crop, size, (roi.x_offset, roi.y_offset), binning)
    is_croppable = crop[0] >= binning[0] and crop[1] >= binning[1]
    return tuple(
        scale_camera_matrix(matrix.reshape(3, -1), *scaling).ravel()
        if is_croppable and matrix.any() and np.isfinite(matrix).all() else np.zeros(matrix.size)
        for matrix in (info.k, info.p))


def camera_model(info: CameraInfo, *, rectified: bool) -> CameraModel:
    """Return the camera model of a calibration.

    Args:
        info: Calibration of the camera.
        rectified: Whether the images are rectified.

    Raises:
        ValueError: See :class:`enet_ros.perception.geometry.camera_model.CameraModel`.
    """
    return CameraModel(info.width, info.height, tuple(info.k), tuple(info.d), tuple(info.r),
                       tuple(info.p), info.distortion_model,
                       (info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height),
                       (info.binning_x, info.binning_y), rectified)
