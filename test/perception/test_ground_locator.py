"""When the tables of the ground are made anew."""

import operator
from types import SimpleNamespace

import numpy as np
import pytest

from enet_ros.network.class_map import ClassMap
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.geometry.camera_info import CheckedCalibration
from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.ground_locator import GroundLocator
from enet_ros.perception.parameters.settings import make_settings

CALIBRATION = CheckedCalibration(
    SimpleNamespace(), CameraModel(48, 32, (40, 0, 23.5, 0, 40, 15.5, 0, 0, 1)))
SETTINGS = CameraSettings.of(make_settings({'ground.pose': 'tf'}), ClassMap.from_names(('Road',)))
HEADER = SimpleNamespace(frame_id='camera', stamp=None)


class MovingCamera:
    def __init__(self):
        self.height_m, self.pitch_rad = 1.4, 0.

    def lookup(self, *_):
        rotation = np.array([-.5, .5, -.5, .5]) + self.pitch_rad / 4. * np.array([-1, -1, 1, 1])
        return (0., 0., self.height_m), rotation


@pytest.mark.parametrize(('field', 'noise', 'step'), [
    ('height_m', 1e-12, 2e-4), ('pitch_rad', 1e-12, 4e-5)])
def test_tables_outlive_noise_of_tf_but_no_slow_motion(field, noise, step):
    camera = MovingCamera()
    locator = GroundLocator(camera, None, None, (48, 32))
    first = locator.tables(CALIBRATION, SETTINGS, HEADER)
    for _ in range(10):
        setattr(camera, field, getattr(camera, field) + noise)
        assert locator.tables(CALIBRATION, SETTINGS, HEADER) is first
    made = [first]
    for _ in range(12):
        setattr(camera, field, getattr(camera, field) + step)
        made.append(locator.tables(CALIBRATION, SETTINGS, HEADER))
        assert abs(made[-1].table.pose.position[2] - camera.height_m) <= 5e-4
    assert len(set(map(id, made))) == 5  # one for every third step


def test_a_recording_makes_tables_for_every_pose():
    """Else what comes after a stop would depend on the pose at which the run went on."""
    camera = MovingCamera()
    locator = GroundLocator(camera, None, None, (48, 32), operator.eq)
    first = locator.tables(CALIBRATION, SETTINGS, HEADER)
    assert locator.tables(CALIBRATION, SETTINGS, HEADER) is first
    camera.height_m += 1e-12
    assert locator.tables(CALIBRATION, SETTINGS, HEADER) is not first
