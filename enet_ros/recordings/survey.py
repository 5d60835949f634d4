"""What a recording says about its cameras before the first frame: calibrations and transforms."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from enet_ros.perception.camera_info import (
    CalibrationJudge,
    CameraInfo,
    Judgement,
    is_same_calibration,
)
from enet_ros.recordings.cameras import CameraTopic
from enet_ros.recordings.definitions import typestore
from enet_ros.recordings.reader import Recording
from enet_ros.recordings.transforms import RecordedTransforms

INFO_TYPE, TF_TYPE = 'sensor_msgs/msg/CameraInfo', 'tf2_msgs/msg/TFMessage'
_TF_TOPICS = ('tf', 'tf_static')  # in any namespace


class RecordedCalibrations:
    """The camera infos of one camera, each from when it was recorded.

    Attributes:
        now_ns: Time of recording of the frame whose calibration is asked for.
    """

    def __init__(self):
        self.now_ns = 0
        self._since_ns: list[int] = []
        self._infos: list[CameraInfo] = []
        self._judge = CalibrationJudge()

    def __len__(self) -> int:
        return len(self._infos)

    def add(self, log_ns: int, info: CameraInfo) -> None:
        """Add a camera info, if it differs from the one before."""
        if not self._infos or not is_same_calibration(self._infos[-1], info):
            self._since_ns.append(log_ns)
            self._infos.append(info)

    def judged(self, frame_size: tuple[int, int], *, rectified: bool) -> Judgement | None:
        """Judge the newest camera info at ``now_ns``, or the first one before that."""
        if not self._infos:
            return None
        at = max(bisect.bisect_right(self._since_ns, self.now_ns) - 1, 0)
        return self._judge.judged(self._infos[at], frame_size, rectified=rectified)

    def take_note(self) -> str:
        """Return once what was read differently than it was written, a sentence or ''."""
        return self._judge.take_note()


def survey(recording: Recording, cameras: Sequence[CameraTopic]
           ) -> tuple[RecordedTransforms, dict[str, RecordedCalibrations]]:
    """Read the transforms and the calibrations of a recording.

    A message that cannot be read is passed over, as rclpy does.

    Returns:
        The transforms, and the calibrations of each camera by its name.
    """
    transforms = RecordedTransforms()
    calibrations = {camera.camera_info: RecordedCalibrations() for camera in cameras}
    topics = [topic for topic in recording.topics
              if topic.type == INFO_TYPE and topic.name in calibrations
              or topic.type == TF_TYPE and topic.name.rpartition('/')[2] in _TF_TOPICS]
    for topic, log_ns, data in recording.messages(topics) if topics else ():
        try:
            message = typestore().deserialize_cdr(data, topic.type)
        except Exception:  # rosbags has no narrower class
            continue
        if topic.type == INFO_TYPE:
            calibrations[topic.name].add(log_ns, message)
        else:
            transforms.add(message.transforms, is_static=topic.name.endswith('static'),
                           recorded_ns=log_ns)
    return transforms, {camera.name: calibrations[camera.camera_info] for camera in cameras}
