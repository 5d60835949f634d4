"""A pose from which no ground is seen, or that contradicts the picture, is named."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.pose import BODY_FROM_OPTICAL, Pose
from enet_ros.perception.ground import GroundTable
from enet_ros.perception.ground_warnings import pose_warning
from enet_ros.perception.parameters.settings import make_settings

SIZE = (64, 40)
CAMERA = CameraModel(64, 40, (55., 0, 31.5, 0, 55., 19.5, 0, 0, 1))


def warning_of(pose, max_range_m=30., **parameters):
    names = {name.replace('__', '.'): value for name, value in parameters.items()}
    node_settings = make_settings({'ground.pose': 'tf', 'ground.max_range': max_range_m, **names})
    table = GroundTable(CAMERA, pose, SIZE, max_range_m)
    return pose_warning(table, node_settings, 'cam')


def body_pose(height_m=1.5, pitch_rad=0., **mount):
    """Return the pose of the camera's body frame: x forward, where optical frames have z."""
    optical = Pose.from_mount(height_m, pitch_rad, **mount)
    return Pose((optical.rotation_matrix @ BODY_FROM_OPTICAL.T).ravel(), optical.position)


@settings(max_examples=60, deadline=None)
@given(st.floats(.2, 4.), st.floats(0., 1.5), st.floats(-math.pi, math.pi), st.floats(-.4, .4))
def test_a_camera_that_sees_the_road_is_not_doubted(height, pitch, yaw, roll):
    assert warning_of(Pose.from_mount(height, pitch, roll, yaw)) is None


@settings(max_examples=60, deadline=None)
@given(st.floats(.2, 4.), st.floats(-.3, .5), st.floats(-math.pi, math.pi), st.floats(-.3, .3))
def test_the_body_frame_is_told_from_the_optical_one(height, pitch, yaw, roll):
    found = warning_of(body_pose(height, pitch, yaw_rad=yaw, roll_rad=roll))
    assert found.effect == 'no ground is seen'
    assert "is 'cam' the optical frame (z forward, x right, y down)?" in found.reason
    assert 'its x axis points forward, as in the body frame' in found.reason


def test_a_camera_that_looks_at_the_sky_is_named_by_its_parameters():
    found = warning_of(Pose.from_mount(1.5, -.8), ground__pose='parameters', ground__pitch=-.8)
    assert found.effect == 'no ground is seen'
    assert 'the camera looks 46 degrees up' in found.reason
    assert 'ground.pitch -0.8' in found.reason and 'positive pitch looks down' in found.reason
    assert 'optical frame' not in found.reason


def test_a_camera_at_the_sky_by_tf_is_asked_for_its_frame_without_a_guess():
    found = warning_of(Pose.from_mount(1.5, -.8))
    assert 'the optical frame' in found.reason
    assert 'body frame' not in found.reason


@pytest.mark.parametrize('height', [15., 1500.])  # the second as if TF were in millimeters
def test_ground_that_is_all_beyond_the_range_says_how_far_it_is(height):
    found = warning_of(Pose.from_mount(height, .05), 20.)
    table = GroundTable(CAMERA, Pose.from_mount(height, .05), SIZE, 1e5)
    nearest = np.nanmin(table.unlimited_range())
    assert f'the nearest ground that it sees is {nearest:.1f} m away' in found.reason
    assert 'ground.max_range is 20' in found.reason
    assert f'{height:g} m above' in found.reason


@pytest.mark.parametrize(('roll', 'rotate', 'parts'), [
    (math.pi, 0, ['upside down', 'rotate is 0', 'set rotate to 180']),
    (0., 180, ['upright', 'rotate is 180', 'ground.roll'])])
def test_a_pose_that_contradicts_the_rotation_is_named_and_meters_go_on(roll, rotate, parts):
    found = warning_of(Pose.from_mount(1.5, .1, roll), rotate=rotate)
    assert found.effect == 'outputs in meters are doubtful'
    assert all(part in found.reason for part in parts), found.reason


@pytest.mark.parametrize(('roll', 'rotate'), [(math.pi, 180), (0., 0), (math.pi / 2, 0),
                                              (-math.pi / 2, 180)])
def test_a_pose_that_agrees_with_the_rotation_is_not_doubted(roll, rotate):
    assert warning_of(Pose.from_mount(1.5, .1, roll), rotate=rotate) is None


def test_a_strip_of_ground_between_the_samples_is_found():
    pose = Pose.from_mount(1.5, -.335)  # only the last row looks down
    inside = GroundTable(CAMERA, pose, SIZE, 1000.).is_inside
    assert 0 < inside.any(axis=1).sum() <= 2
    assert warning_of(pose, 1000.) is None
