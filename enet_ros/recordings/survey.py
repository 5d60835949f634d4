"""What a recording says about its cameras before the first frame: calibrations and transforms."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enet_ros.perception.geometry.camera_info import (
    CalibrationChecker,
    CheckedCalibration,
    is_same_calibration,
)
from enet_ros.perception.message_types import CameraInfo
from enet_ros.recordings.cameras import IMAGE_TYPES, CameraTopic
from enet_ros.recordings.definitions import typestore
from enet_ros.recordings.reader import Recording
from enet_ros.recordings.transforms import RecordedTransforms

INFO_TYPE, TF_TYPE = 'sensor_msgs/msg/CameraInfo', 'tf2_msgs/msg/TFMessage'
_TF_TOPICS = ('tf', 'tf_static')  # in any namespace
_NO_TF = 'no transforms (TF)'


@dataclass(frozen=True)
class Survey:
    """What a recording says about its cameras before the first frame.

    Attributes:
        transforms: Transforms of each camera, by the name of the camera.
        calibrations: Calibrations of each camera, by its name.
        remarks: Sentences about transforms that are doubtful.
    """

    transforms: dict[str, RecordedTransforms]
    calibrations: dict[str, RecordedCalibrations]
    remarks: list[str]


class RecordedCalibrations:
    """The camera infos of one camera, each from when it was recorded.

    Attributes:
        now_ns: Time of recording of the frame whose calibration is asked for.
    """

    def __init__(self):
        self.now_ns = 0
        self._since_ns: list[int] = []
        self._infos: list[CameraInfo] = []
        self._checker = CalibrationChecker()

    def __len__(self) -> int:
        return len(self._infos)

    def add(self, log_ns: int, info: CameraInfo) -> None:
        """Add a camera info, if it differs from the one before."""
        if not self._infos or not is_same_calibration(self._infos[-1], info):
            self._since_ns.append(log_ns)
            self._infos.append(info)

    def newest_checked(self, frame_size: tuple[int, int], *,
                       rectified: bool) -> CheckedCalibration | None:
        """Check the newest camera info at ``now_ns``, or the first one before that."""
        if not self._infos:
            return None
        at = max(bisect.bisect_right(self._since_ns, self.now_ns) - 1, 0)
        return self._checker.check(self._infos[at], frame_size, rectified=rectified)

    def take_note(self) -> str:
        """Return once which fields were corrected while reading, a sentence, or ''."""
        return self._checker.take_note()


def survey_cameras(recording: Recording, cameras: Sequence[CameraTopic]) -> Survey:
    """Read the transforms and the calibrations of a recording.

    A message that cannot be read is passed over, as rclpy does.
    """
    trees: dict[str, RecordedTransforms] = {}
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
            continue
        namespace, _, name = topic.name.rpartition('/')
        trees.setdefault(namespace, RecordedTransforms()).add(
            message.transforms, is_static=name == 'tf_static', recorded_ns=log_ns)
    trees = {namespace: tree for namespace, tree in trees.items() if len(tree)}
    images = [topic.name for topic in recording.topics if topic.type in IMAGE_TYPES]
    chosen = {camera.name: _tree_for(camera.topic.name, trees, images) for camera in cameras}
    return Survey({name: tree for name, (tree, _) in chosen.items()},
                  {camera.name: calibrations[camera.camera_info] for camera in cameras},
                  [*(remark for _, remark in chosen.values() if remark),
                   *_jumps(trees, [tree for tree, _ in chosen.values()])])


def _tree_for(image: str, trees: Mapping[str, RecordedTransforms],
              images: Sequence[str]) -> tuple[RecordedTransforms, str]:
    """Return the transforms for a camera: those of the nearest namespace around its topic.

    A recording of one robot may have its transforms in a namespace and its camera outside. If
    images are there too, the camera is of another robot.

    Args:
        image: Topic of the camera.
        trees: Transforms by namespace, without those that have none.
        images: All topics of images of the recording.

    Returns:
        The transforms, and a sentence if they are of another namespace, or ''. Without
        transforms, ``missing`` says why.
    """
    around = [namespace for namespace in trees if image.startswith(f'{namespace}/')]
    if around:
        return trees[max(around, key=len)], ''
    names = ', '.join(f'{namespace}/tf' for namespace in trees)
    if len(trees) == 1 and not any(topic.startswith(f'{namespace}/')
                                   for topic in images for namespace in trees):
        return next(iter(trees.values())), (f'{image}: takes the transforms of {names}, the only '
                                            'ones of the recording')
    return RecordedTransforms(
        f'{_NO_TF} for {image}, since {names} may be of another robot' if trees else _NO_TF), ''


def _jumps(trees: Mapping[str, RecordedTransforms],
           used: Sequence[RecordedTransforms]) -> list[str]:
    """Return a sentence for each tree in use whose time jumps back."""
    return [f'{namespace}/tf: stamps fall back ({len(tree.epochs.begins_ns)} times, first those '
            f'of {tree.epochs.frame}), as when a simulator is reset; each image takes the '
            'transforms of its own run'
            for namespace, tree in trees.items()
            if any(tree is each for each in used) and tree.epochs.begins_ns]
