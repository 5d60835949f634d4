"""The topic of the calibration of one camera."""

from __future__ import annotations

import threading

from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo

from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.geometry.camera_info import CalibrationChecker, CheckedCalibration
from enet_ros.ros.receiver import take_newest


class CalibrationTopic:
    """The camera infos of one camera. The publishing and the executor's thread call it.

    Args:
        subscription: Subscription of the camera infos, which nobody else takes.
    """

    def __init__(self, subscription: Subscription):
        self.subscription = subscription
        self._lock = threading.Lock()
        self._newest: CameraInfo | None = None
        self._checker = CalibrationChecker()

    def newest(self) -> CameraInfo | None:
        """Return the newest camera info, or None if none has come."""
        with self._lock:
            return self._take_newest()

    def _take_newest(self) -> CameraInfo | None:
        self._newest = take_newest(self.subscription) or self._newest
        return self._newest

    def take_note(self) -> str:
        """Return which fields were corrected while reading, a sentence, or ''.

        The next call returns '' until a calibration is corrected anew.
        """
        with self._lock:
            return self._checker.take_note()

    def newest_checked(self, frame_size: tuple[int, int], *,
                       rectified: bool) -> CheckedCalibration | None:
        """Check the newest camera info. It is checked anew only if something changed.

        Args:
            frame_size: (width, height) of the frames in pixels.
            rectified: Whether the frames are rectified.

        Returns:
            The checked calibration, or None if no camera info has come.
        """
        with self._lock:
            info = self._take_newest()
            return None if info is None else self._checker.check(
                info, frame_size, rectified=rectified)

    def describe(self, frame_size: tuple[int, int], camera_settings: CameraSettings) -> str:
        """Return what the diagnostics show of the newest camera info."""
        return str(self.newest_checked(frame_size, rectified=camera_settings.settings.rectified)
                   or 'none has come')
