"""The calibration of one camera: its topic, and what is to be thought of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo

from enet_ros.perception.calibration import calibration_problem
from enet_ros.perception.camera_model import CameraModel, UncalibratedError
from enet_ros.ros.messages import camera_model, check_size
from enet_ros.ros.receiver import take_newest


@dataclass(frozen=True)
class Judgement:
    """What is thought of a calibration.

    Attributes:
        info: The message.
        camera: The camera that it describes, or None if it cannot be believed.
        problem: Why it cannot be believed, a sentence, or ''.
        is_publishable: Whether it may be passed on: it is believed, or says by zeros that the
            camera is not calibrated.
        note: What was read differently than it was written, a sentence, or ''.
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


class CalibrationTopic:
    """The camera infos of one camera. The publishing and the executor's thread call it.

    Args:
        subscription: Subscription of the camera infos, which nobody else takes.
    """

    def __init__(self, subscription: Subscription):
        self.subscription = subscription
        self._lock = threading.Lock()
        self._newest: CameraInfo | None = None
        self._judgement: tuple[tuple, Judgement] | None = None
        self._note = ''

    def newest(self) -> CameraInfo | None:
        """Return the newest camera info, or None if none has come."""
        with self._lock:
            self._newest = take_newest(self.subscription) or self._newest
            return self._newest

    def take_note(self) -> str:
        """Return once what was read differently than it was written, a sentence or ''."""
        note, self._note = self._note, ''
        return note

    def judged(self, frame_size: tuple[int, int], *, rectified: bool) -> Judgement | None:
        """Judge the newest camera info. It is judged anew only if something changed.

        Args:
            frame_size: (width, height) of the frames in pixels.
            rectified: Whether the frames are rectified.

        Returns:
            The judgement, or None if no camera info has come.
        """
        info = self.newest()
        if info is None:
            return None
        last = self._judgement
        if last is not None and last[0] == (frame_size, rectified) \
                and (last[1].info is info or _equal(last[1].info, info)):
            return last[1]
        judgement = judge(info, frame_size, rectified=rectified)
        self._judgement, self._note = ((frame_size, rectified), judgement), judgement.note
        return judgement


def judge(info: CameraInfo, frame_size: tuple[int, int], *, rectified: bool) -> Judgement:
    """Judge a camera info for frames of a size."""
    try:
        camera = camera_model(info, rectified=rectified)
        check_size(info, frame_size)
    except UncalibratedError as error:
        return Judgement(info, problem=str(error))
    except ValueError as error:
        return Judgement(info, problem=str(error), is_publishable=False)
    problem = calibration_problem(camera, frame_size)
    return Judgement(info, None if problem else camera, problem, is_publishable=not problem,
                     note=camera.note)


def _equal(one: CameraInfo, other: CameraInfo) -> bool:
    """Tell whether two camera infos differ in their headers alone."""
    return all(getattr(one, name) == getattr(other, name) for name in (
        'height', 'width', 'distortion_model', 'd', 'binning_x', 'binning_y', 'roi')) \
        and all((getattr(one, name) == getattr(other, name)).all() for name in 'krp')
