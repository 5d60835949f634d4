"""Calibration and pose of one camera to the lookup tables of the ground."""

from __future__ import annotations

from std_msgs.msg import Header

from enet_ros.perception.camera_model import CameraModel
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.frame import FrameInFlight
from enet_ros.perception.ground_tables import GroundTables, make_ground_tables
from enet_ros.perception.pose import Pose
from enet_ros.ros.calibration import Judgement
from enet_ros.ros.transforms import Transforms


class GroundLocator:
    """Finds the ground of one camera. The publishing thread calls it.

    Args:
        transforms: Source of the camera pose, with ``ground.pose: tf``.
        size: (width, height) of the network.
    """

    def __init__(self, transforms: Transforms, size: tuple[int, int]):
        self._transforms, self._size = transforms, size
        self._camera: CameraModel | None = None
        self._pose: Pose | None = None
        self._tables: GroundTables | None = None

    def tables(self, judgement: Judgement | None, camera_settings: CameraSettings,
               header: Header) -> GroundTables:
        """Return the tables for a frame. They are made anew only if something changed.

        Args:
            judgement: What is thought of the calibration, or None if none has come.
            camera_settings: Settings of the camera.
            header: Header of the frame.

        Raises:
            ValueError: The calibration or the pose cannot be used.
            LookupError: There is no calibration, or TF does not know the pose.
        """
        if judgement is None:
            raise LookupError('no camera info has come, wanted it for outputs in metres')
        if judgement.camera is None:
            raise ValueError(judgement.problem)
        camera, pose, last = judgement.camera, self._find_pose(camera_settings, header), \
            self._tables
        if last is not None and camera_settings is last.camera_settings and pose == self._pose \
                and camera is self._camera:
            return last
        if last is None:
            self._tables = make_ground_tables(camera, pose, self._size, camera_settings)
        else:
            self._tables = last.updated(camera, pose, camera_settings)
        self._camera, self._pose = camera, pose
        return self._tables

    def _find_pose(self, camera_settings: CameraSettings, header: Header) -> Pose:
        settings, ground = camera_settings.settings, camera_settings.settings.ground
        if ground.pose == 'tf':
            return Pose.from_quaternion(*self._transforms.lookup(
                settings.base_frame, header.frame_id, header.stamp))
        return Pose.from_mount(ground.height, ground.pitch, ground.roll, ground.yaw, ground.x,
                               ground.y)


def no_ground_advice(frame: FrameInFlight) -> str:
    """Return what to look for if no pixel of a frame sees the ground."""
    ground = frame.camera_settings.settings.ground
    start = f'no pixel looks at the ground within ground.max_range ({ground.max_range:g} m)'
    if ground.pose == 'tf':
        return (f"{start}: is '{frame.header.frame_id}' the optical frame, with z forward, x "
                'right and y down (REP 103)?')
    return (f'{start}: the camera has ground.pitch {ground.pitch:g} and ground.roll '
            f'{ground.roll:g} radians, where a positive pitch looks down')
