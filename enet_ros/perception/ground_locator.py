"""Calibration and pose of one camera to the lookup tables of the ground."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.frame import FrameInFlight
from enet_ros.perception.geometry.camera_info import CheckedCalibration
from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.geometry.transforms import Transforms
from enet_ros.perception.ground import image_rays, unseen_pixels
from enet_ros.perception.ground_tables import GroundTables, make_ground_tables
from enet_ros.perception.ground_warnings import (
    GroundWarning,
    empty_output_warning,
    pose_warning,
)
from enet_ros.perception.message_types import Header
from enet_ros.perception.perceive import Need
from enet_ros.perception.valid_mask import ValidMask


class Calibrations(Protocol):
    """A source of calibrations of one camera."""

    def newest_checked(self, frame_size: tuple[int, int], *,
                       rectified: bool) -> CheckedCalibration | None:
        """Check the newest camera info, or return None if none has come."""

    def take_note(self) -> str:
        """Return once which fields were corrected while reading, a sentence, or ''."""


class Warnings(Protocol):
    """Is told what is missing."""

    def warn(self, effect: str, reason: str) -> None:
        """Take what is missing, and why."""


class GroundLocator:
    """Finds the ground of one camera. The publishing thread calls it.

    Args:
        transforms: Source of the camera pose, with ``ground.pose: tf``.
        calibrations: The camera infos of the camera.
        warnings: Is told what is missing, and why.
        size: (width, height) of the network.
        is_same: Tells whether the tables of one pose serve for another.
    """

    def __init__(self, transforms: Transforms, calibrations: Calibrations, warnings: Warnings,
                 size: tuple[int, int], is_same: Callable[[Pose, Pose], bool] = Pose.is_near):
        self._transforms, self._calibrations = transforms, calibrations
        self._warnings, self._size, self._is_same = warnings, size, is_same
        self._camera: CameraModel | None = None
        self._tables: GroundTables | None = None
        self._pose_warning: GroundWarning | None = None
        self._unseen: np.ndarray | None = None
        self._unseen_of: tuple[CameraModel | None, ValidMask | None] = (None, None)

    def locate(self, frame: FrameInFlight) -> None:
        """Fill in the calibration, the ground and the unseen pixels of a segmented frame.

        What is not there is taken out of ``frame.needs``.
        """
        needs, frame.needs = frame.needs, frame.needs & ~Need.LOCATION
        calibration = self._calibrations.newest_checked(
            frame.image_size, rectified=frame.camera_settings.settings.rectified)
        if needs & (Need.CALIBRATION | Need.GROUND):
            self._locate(frame, needs, calibration)
        if frame.ground is not None:
            frame.unseen = frame.ground.table.unseen
        elif Need.VIEW in needs:
            frame.unseen = self._find_unseen(calibration, frame.camera_settings.valid_mask)

    def _find_unseen(self, calibration: CheckedCalibration | None,
                     valid_mask: ValidMask | None) -> np.ndarray | None:
        """Return the pixels in which the camera does not see the scene, where no ground tells.

        Raw images are not undistorted for this, which takes long.
        """
        camera = calibration.camera if calibration is not None else None
        if camera is not None and camera.source is None:
            camera = None
        if (camera, valid_mask) != self._unseen_of:
            if camera is not None:
                rays = image_rays(camera, self._size)
                self._unseen = unseen_pixels(rays, self._size, valid_mask)
            else:
                self._unseen = valid_mask.unseen(self._size) if valid_mask is not None else None
            self._unseen_of = camera, valid_mask
        return self._unseen

    def _locate(self, frame: FrameInFlight, needs: Need,
                calibration: CheckedCalibration | None) -> None:
        warn = self._warnings.warn
        if note := self._calibrations.take_note():
            warn('calibration', note)
        if calibration is not None and not calibration.is_publishable:
            warn('no ~/camera_info and no outputs in meters', calibration.problem)
            return
        if calibration is not None:
            frame.camera_info = calibration.info
            frame.needs |= needs & Need.CALIBRATION
            of_image, of_info = (header.frame_id.removeprefix('/')
                                 for header in (frame.header, calibration.info.header))
            if of_image and of_info and of_image != of_info:
                warn('camera_info', f"the camera info is of '{of_info}' and the images are of "
                                    f"'{of_image}' (frame_id), wanted the camera info of this "
                                    'camera; look at the remapping of camera_info')
        if Need.GROUND not in needs:
            return
        try:
            frame.ground = self.tables(calibration, frame.camera_settings, frame.header)
        except (ValueError, LookupError) as error:
            warn('no outputs in meters', str(error))
            return
        frame.needs |= Need.GROUND
        warning = self._pose_warning or empty_output_warning(frame.ground, frame.requested_outputs)
        if warning is not None:
            warn(warning.effect, warning.reason)

    def tables(self, calibration: CheckedCalibration | None, camera_settings: CameraSettings,
               header: Header) -> GroundTables:
        """Return the tables for a frame. They are made anew only if something changed.

        A pose counts as changed once it is no longer near the one that the tables are for, so that
        noise of TF costs nothing, and a slow motion is not missed.

        Args:
            calibration: The checked calibration, or None if none has come.
            camera_settings: Settings of the camera.
            header: Header of the frame.

        Raises:
            ValueError: The calibration or the pose cannot be used.
            LookupError: There is no calibration, or TF does not know the pose.
        """
        if calibration is None:
            raise LookupError('no camera info has come, wanted it for outputs in meters')
        if calibration.camera is None:
            raise ValueError(calibration.problem)
        camera, pose, last = calibration.camera, self._find_pose(camera_settings, header), \
            self._tables
        if last is not None and camera_settings is last.camera_settings \
                and camera is self._camera and self._is_same(pose, last.table.pose):
            return last
        if last is None:
            self._tables = make_ground_tables(camera, pose, self._size, camera_settings)
        else:
            self._tables = last.updated(camera, pose, camera_settings)
        self._camera = camera
        self._pose_warning = pose_warning(self._tables.table, camera_settings.settings,
                                          header.frame_id)
        return self._tables

    def forget_points(self) -> None:
        """Free the memory of ``~/points``, which nobody asks for."""
        if self._tables is not None:
            self._tables.forget_points()

    def _find_pose(self, camera_settings: CameraSettings, header: Header) -> Pose:
        settings, ground = camera_settings.settings, camera_settings.settings.ground
        if ground.pose == 'tf':
            return Pose.from_quaternion(*self._transforms.lookup(
                settings.base_frame, header.frame_id, header.stamp, settings.tf_timeout))
        return Pose.from_mount(ground.height, ground.pitch, ground.roll, ground.yaw, ground.x,
                               ground.y)
