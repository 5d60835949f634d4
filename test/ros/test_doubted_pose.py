"""Poses and calibrations that cannot be right, through a real node, and when TF is listened to."""

import math

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.time import Time  # noqa: E402
from support.ground import SCENE, calibration, table, xyz  # noqa: E402
from support.tf2 import Tf2, TimedTf2  # noqa: E402

from enet_ros.ros.transforms import Transforms  # noqa: E402

pytestmark = pytest.mark.ros
SELDOM = {'diagnostics_period': 60.0}  # publishing the health forgets it
IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def health(node):
    return node.camera.health.summary()


def complaint(metric, road_frame, **parameters):
    """Return what the diagnostics say after a frame, and the points of that frame."""
    node = metric('points', **SELDOM, **parameters)
    points = xyz(node.reply(node.image(road_frame), 'points'))
    level, text = health(node)
    return level, text, points


def test_ground_beyond_the_range_is_named_and_costs_no_output(metric, road_frame):
    level, text, points = complaint(metric, road_frame, ground__max_range=0.5)
    assert level == 1 and text.startswith('no ground is seen: the camera is ')
    assert 'ground.max_range is 0.5' in text
    assert np.isnan(points[..., :2]).all()


@pytest.mark.parametrize(('parameters', 'part'), [
    ({'ground__roll': math.pi}, 'upside down, but rotate is 0'),
    ({'rotate': 180}, 'upright, but rotate is 180')])
def test_a_pose_that_contradicts_rotate_is_named_and_meters_go_on(
        metric, road_frame, parameters, part):
    level, text, points = complaint(metric, road_frame, **parameters)
    assert level == 1 and text.startswith('outputs in meters are doubtful: ') and part in text
    assert np.isfinite(points[..., 0]).any()


def test_a_camera_that_is_upside_down_in_all_it_says_is_not_doubted(metric, road_frame):
    level, _, points = complaint(metric, road_frame, rotate=180, ground__roll=math.pi)
    assert level == 0
    assert np.isfinite(points[..., 0]).any()


def test_a_camera_to_the_rear_needs_a_scan_and_a_grid_of_its_own(metric, road_frame):
    node = metric('grid', 'free_space', **SELDOM)
    grid_ahead, scan_ahead = node.reply(node.image(road_frame), 'grid', 'free_space')
    for parameters, said in (
            ({'ground__yaw': math.pi},
             '~/free_space is empty: no ground that is seen lies within its bearings'),
            ({'scan__angle_min': 1.5708, 'scan__angle_max': 4.7124},
             '~/grid is empty: no ground that is seen lies in it, from x 0 to 20 and from y -10'),
            ({'grid__x': -20.0}, '')):
        assert node.set(**parameters).successful
        grid, scan = node.reply(node.image(road_frame), 'grid', 'free_space')
        assert (said in health(node)[1]) if said else (health(node)[0] == 0)
    assert (grid.info.origin.position.x, grid.info.origin.position.y) == (-20.0, -10.0)
    assert 0 in grid.data
    assert scan.angle_min == pytest.approx(1.5708)
    assert np.mean(np.equal(grid.data[::-1], grid_ahead.data)) > 0.999
    # Rays at the very bearing of a pixel may fall to either side.
    assert np.isclose(scan.ranges, scan_ahead.ranges, atol=0.01, equal_nan=True).mean() > 0.95


def test_a_pose_that_is_mended_is_doubted_no_longer(metric, road_frame):
    node = metric('points', ground__pitch=-1.5, **SELDOM)
    node.reply(node.image(road_frame), 'points')
    assert 'the camera looks 86 degrees up' in health(node)[1]
    assert node.set(ground__pitch=float(SCENE.camera.pitch_rad)).successful
    assert np.isfinite(xyz(node.reply(node.image(road_frame), 'points'))).any()
    assert health(node)[0] == 0


def test_the_image_in_the_frame_of_the_vehicle_is_named(metric, road_frame):
    """frame_id base_link: TF knows the pose at once, at height 0."""
    node = metric('points', 'labels', ground__pose='tf', **SELDOM)
    node.camera.transforms.lookup = lambda *frames: ((0.0,) * 3, (0.0, 0.0, 0.0, 1.0))
    node.reply(node.image(road_frame, frame_id='base_link'), 'labels')
    level, text = health(node)
    assert level == 1 and 'the camera is 0 m above the ground' in text
    assert 'origin of base_frame' in text
    assert not node.messages['points']


def test_rectified_frames_with_the_identity_for_k_give_the_meters_of_p(metric, road_frame):
    """The remedy that the message names works."""
    node = metric('points', 'camera_info', 'labels', **SELDOM)
    info = calibration()
    info.k = IDENTITY
    node.send(info, 'camera_info')
    node.wait(lambda: node.camera.calibration.newest().k[0] == 1, 'the camera info')
    node.reply(node.image(road_frame), 'labels')
    assert 'if the images are rectified, set rectified to true' in health(node)[1]
    assert node.set(rectified=True).successful
    cloud, found = node.reply(node.image(road_frame), 'points', 'camera_info')
    assert np.allclose(xyz(cloud), table().points, atol=1e-3, equal_nan=True)
    assert found.p[0] == pytest.approx(info.p[0] * found.width / info.width)
    assert health(node)[0] == 0


def test_a_name_that_is_read_differently_is_warned_of_once(metric, road_frame):
    node = metric('points', **SELDOM)
    info = calibration()
    info.d = [0.001] * 8
    node.send(info, 'camera_info')
    node.wait(lambda: len(node.camera.calibration.newest().d) == 8, 'the camera info')
    node.reply(node.image(road_frame), 'points')
    level, text = health(node)
    assert level == 1 and 'read as rational_polynomial' in text
    info.header.stamp.sec = 5  # a driver sends it with each image
    node.send(info, 'camera_info')
    node.wait(lambda: node.camera.calibration.newest().header.stamp.sec == 5, 'it again')
    node.reply(node.image(road_frame), 'points')
    assert health(node)[0] == 0


@pytest.mark.parametrize(('parameters', 'count'), [
    ({'ground__pose': 'tf'}, 1), ({'ground__pose': 'parameters'}, 0),
    ({'ground__pose': 'parameters', 'odom_frame': 'odom'}, 1), ({'odom_frame': 'odom'}, 0)])
def test_tf_is_listened_to_at_configure_by_those_that_need_it(
        bench, monkeypatch, parameters, count):
    tf2 = Tf2(monkeypatch)
    node = bench(start=False, autostart=False, **parameters)
    assert tf2.listening == 0
    assert node.node.trigger_configure().name == 'SUCCESS'
    assert tf2.listening == count
    node.node.trigger_cleanup()
    assert tf2.listening == 0


def test_tf_is_listened_to_when_a_parameter_first_needs_it(bench, monkeypatch):
    tf2 = Tf2(monkeypatch)
    node = bench(cameras=['front', 'left'], **{'left__ground__pose': 'off'})
    assert tf2.listening == 0
    assert not node.set(ground__pose='gps').successful
    assert node.set(ground__max_range=20.0).successful
    assert tf2.listening == 0
    assert node.set(ground__pose='tf').successful
    assert tf2.listening == 1
    assert node.set(left__ground__pose='parameters', odom_frame='odom').successful
    assert tf2.listening == 1  # All cameras share it.


@pytest.mark.parametrize(('frame_sec', 'tf_sec', 'text'), [
    (1_790_000_000, 30, 'the frame is stamped with wall time and TF with simulated time'),
    (30, 1_790_000_000, 'TF is stamped with wall time and the frame with simulated time')])
def test_tf_of_another_clock_names_use_sim_time(monkeypatch, frame_sec, tf_sec, text):
    TimedTf2(monkeypatch, tf_sec, tf_sec)
    with pytest.raises(LookupError) as error:
        Transforms(None).lookup('base_link', 'cam', Time(seconds=frame_sec).to_msg())
    assert text in str(error.value) and 'use_sim_time' in str(error.value)
