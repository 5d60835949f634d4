"""The drawn street's calibration and ground, for tests of outputs in meters."""

from __future__ import annotations

import threading

import numpy as np

from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.ground import GroundTable
from enet_ros.scene.road_scene import RoadScene

NETWORK = (160, 96)
SCENE = RoadScene(320, 192)
GROUND = {'ground__pose': 'parameters', 'ground__height': float(SCENE.camera.height_m),
          'ground__pitch': float(SCENE.camera.pitch_rad)}


def calibration(camera=SCENE.camera):
    """Return the CameraInfo of a drawn camera."""
    from sensor_msgs.msg import CameraInfo
    k = camera.k
    return CameraInfo(width=camera.width, height=camera.height, distortion_model='plumb_bob',
                      d=[0.0] * 5, k=k.ravel(), r=np.eye(3).ravel(),
                      p=np.hstack((k, np.zeros((3, 1)))).ravel())


def table(size=NETWORK, max_range_m=30.0):
    """Return the ground under the pixels of the drawn street."""
    info = calibration()
    camera = CameraModel(info.width, info.height, tuple(info.k), tuple(info.d), tuple(info.r),
                         tuple(info.p), 'plumb_bob')
    pose = Pose.from_mount(SCENE.camera.height_m, SCENE.camera.pitch_rad)
    return GroundTable(camera, pose, size, max_range_m)


def xyz(cloud):
    """Return the points of a cloud, after checking that it is well formed."""
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z']
    assert cloud.row_step == cloud.width * cloud.point_step
    points = np.frombuffer(cloud.data, '<f4').reshape(-1, cloud.point_step // 4)
    return points.reshape(cloud.height, cloud.width, 3)


def hold_rays(monkeypatch, size):
    """Hold up the rays of a size of images until the returned event is set."""
    released, real = threading.Event(), CameraModel.rays

    def rays(self, pixel_xy, of_size):
        assert of_size != size or released.wait(60.)
        return real(self, pixel_xy, of_size)

    monkeypatch.setattr(CameraModel, 'rays', rays)
    return released
