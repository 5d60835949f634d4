"""The outputs of the node in meters: their content against the array functions."""

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from support.ground import GROUND, NETWORK, calibration, hold_rays, table, xyz  # noqa: E402

from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.network.classes import CAMVID_NAMES  # noqa: E402
from enet_ros.perception.drivable import drivable_mask  # noqa: E402
from enet_ros.perception.grid import GridCells, GridSpec, rolling_grid  # noqa: E402
from enet_ros.perception.parameters.settings import ScanSettings  # noqa: E402
from enet_ros.perception.planner_outputs import (  # noqa: E402
    free_space_scan,
    nearest_edge,
    obstacle_points,
    path_bin,
    scan_bins,
)
from enet_ros.scene.road_scene import RoadScene  # noqa: E402
from enet_ros.scene.style import EMPTY  # noqa: E402

pytestmark = pytest.mark.ros
LUT = ClassMap.from_names(CAMVID_NAMES).drivable_lut()
SELDOM = {'diagnostics_period': 60.0}  # publishing the health forgets it


def network_result(pixels, message):
    labels = pixels(message)
    return labels, drivable_mask(labels, LUT)


def test_points_are_pixel_aligned_with_the_masks(metric, road_frame):
    node = metric('points', 'labels')
    sent = node.image(road_frame)
    cloud, labels = node.reply(sent, 'points', 'labels')
    assert (cloud.header.stamp, cloud.header.frame_id) == (sent.header.stamp, 'base_link')
    assert (cloud.width, cloud.height) == (labels.width, labels.height)
    points = xyz(cloud)
    assert np.array_equal(points, table().points, equal_nan=True)
    assert np.isnan(points[0]).all()
    assert (points[-1, :, 2] == 0).all()


def test_points_have_the_size_of_the_masks(metric, road_frame):
    node = metric('points', output_size='input')
    cloud = node.reply(node.image(road_frame), 'points')
    assert (cloud.width, cloud.height) == (320, 192)
    assert np.array_equal(xyz(cloud), table((320, 192)).points, equal_nan=True)


def test_the_mask_does_not_wait_for_the_first_points(metric, road_frame, monkeypatch):
    held = hold_rays(monkeypatch, (320, 192))
    node = metric('points', 'drivable_mask', output_size='input', **SELDOM)
    for _ in range(2):
        node.reply(node.image(road_frame), 'drivable_mask')
    camera = node.camera
    level, text = camera.health.summary()
    assert level == 1 and 'no ~/points: the ground of its 320x192 pixels is still being' in text
    assert not node.messages['points']
    held.set()
    node.wait(camera._ground._tables._background._first.done, 'the points')
    cloud = node.reply(node.image(road_frame), 'points')
    assert np.array_equal(xyz(cloud), table((320, 192)).points, equal_nan=True)
    assert camera._context.cloud is not None
    for subscription in list(node.tester.subscriptions):
        if subscription.topic_name == '/enet/points':
            node.tester.destroy_subscription(subscription)
    node.wait(lambda: not node.node.count_subscribers('/enet/points'), 'no subscriber')
    node.reply(node.image(road_frame), 'drivable_mask')
    assert camera._context.cloud is None and camera._ground._tables._background._last is None


def test_obstacles_scan_grid_and_area_are_those_of_the_mask(metric, pixels, road_frame):
    node = metric('labels', 'obstacles', 'free_space', 'grid', 'drivable_area',
                  ground__obstacle_height=0.4, grid__resolution=0.2)
    sent = node.image(road_frame)
    found, obstacles, scan, grid, area = node.reply(
        sent, 'labels', 'obstacles', 'free_space', 'grid', 'drivable_area')
    labels, mask = network_result(pixels, found)
    ground = table()
    for message in (obstacles, scan, grid):
        assert (message.header.stamp, message.header.frame_id) == (sent.header.stamp, 'base_link')
    expected = obstacle_points(mask, ground, 0.4)
    assert len(expected) > 10
    assert np.array_equal(xyz(obstacles)[0], expected)
    spec = ScanSettings(-1.5708, 1.5708, 0.0174533, 0.0, 20.0)
    assert np.array_equal(np.array(scan.ranges, np.float32), free_space_scan(
        mask, labels, scan_bins(ground, spec)), equal_nan=True)
    assert len(scan.ranges) == round((scan.angle_max - scan.angle_min) / scan.angle_increment) + 1
    place = GridSpec((20.0, 20.0), 0.2, (0.0, -10.0))
    cells = np.array(grid.data, np.int8).reshape(grid.info.height, grid.info.width)
    assert np.array_equal(cells, rolling_grid(mask, labels, GridCells(ground, place)))
    assert {0, 100, -1} == set(np.unique(cells).tolist())
    assert grid.info.resolution == pytest.approx(0.2)
    assert (grid.info.origin.position.x, grid.info.origin.position.y) == (0.0, -10.0)
    assert area.header == sent.header
    assert area.base_frame == 'base_link'
    assert area.nearest_edge == pytest.approx(nearest_edge(mask, labels, path_bin(ground, 1.0)))
    assert area.contours_m
    assert max(p.x for p in area.contours_m[0].points) <= 30.0


def test_without_a_pose_there_is_nothing_in_meters(bench, road_frame):
    node = bench()
    node.listen('points', 'grid', 'drivable_area')
    node.send(calibration(), 'camera_info')
    area = node.reply(node.image(road_frame), 'drivable_area')
    assert (area.base_frame, area.contours_m) == ('', [])
    assert np.isnan(area.nearest_edge)
    assert not node.messages['points']
    assert not node.messages['grid']


@pytest.mark.parametrize('change', [
    {'k': [0.0] * 9}, {'distortion_model': 'barrel', 'd': [0.1] * 5}, {'d': [0.1] * 3}, None])
def test_without_a_usable_calibration_the_masks_go_on(bench, road_frame, change):
    node = bench(**GROUND)
    node.listen('points', 'labels')
    if change is not None:
        info = calibration()
        for name, value in change.items():
            setattr(info, name, value)
        node.send(info, 'camera_info')
        node.wait(lambda: node.camera.calibration.newest() is not None)
    node.reply(node.image(road_frame), 'labels')
    assert not node.messages['points']


def health(node):
    level, text = node.camera.health.summary()
    return level, text


def test_without_odometry_all_but_the_grid_goes_on_and_diagnostics_say_why(metric, road_frame):
    node = metric('grid', 'obstacles', 'free_space', odom_frame='odom', **SELDOM)
    node.reply(node.image(road_frame), 'obstacles', 'free_space')
    assert not node.messages['grid']
    level, text = health(node)
    assert level == 1
    assert text.startswith('no ~/grid: ')
    assert health(node) == (0, 'segmenting')  # until it happens again


def test_outputs_in_meters_without_a_pose_are_named(bench, road_frame):
    node = bench(**SELDOM)
    node.listen('grid', 'free_space')
    node.send(node.image(road_frame))
    reason = 'no ~/free_space, ~/grid: ground.pose is off, wanted parameters or tf'
    node.wait(lambda: health(node) == (1, f'idle: {reason}'), 'the warning')
    camera = node.camera
    node.listen('labels')
    node.reply(node.image(road_frame), 'labels')
    assert health(node) == (0, 'segmenting') and camera.facts()['left_out'] == reason
    assert node.set(ground__pose='parameters').successful
    assert 'left_out' not in camera.facts()


def test_diagnostics_say_why_there_is_nothing_in_meters(bench, road_frame):
    node = bench(**GROUND, **SELDOM)
    node.listen('points', 'labels')
    node.reply(node.image(road_frame), 'labels')
    assert health(node) == (1, 'no outputs in meters: no camera info has come, wanted it for '
                               'outputs in meters')


def test_a_calibration_of_another_mode_of_the_camera_gives_no_meters(metric, road_frame):
    node = metric('points', 'camera_info', 'labels', **SELDOM)
    node.reply(node.image(road_frame), 'points', 'camera_info')
    node.reply(node.image(road_frame[::2, ::2]), 'points', 'camera_info')  # scaled evenly
    count = len(node.messages['points'])
    node.reply(node.image(np.ascontiguousarray(road_frame[:144])), 'labels')
    assert health(node) == (1, 'no ~/camera_info and no outputs in meters: the camera info is for '
                               '320x192, frames are 320x144; wanted the calibration of this '
                               'camera mode')
    assert len(node.messages['points']) == len(node.messages['camera_info']) == count


def test_a_calibration_that_nobody_asked_for_is_no_trouble(bench, road_frame):
    node = bench(**SELDOM)
    node.listen('drivable_area')
    node.send(calibration(), 'camera_info')
    node.reply(node.image(np.ascontiguousarray(road_frame[:144])), 'drivable_area')
    assert health(node) == (0, 'segmenting')


def test_what_is_missing_does_not_hide_why_a_frame_was_dropped(bench, road_frame):
    node = bench(**GROUND, **SELDOM)
    node.listen('points', 'labels')
    broken = node.image(road_frame)
    broken.encoding = 'rgb16'
    node.send(broken)
    node.wait(lambda: node.camera.health.dropped == 1)
    node.reply(node.image(road_frame), 'labels')
    level, text = health(node)
    assert level == 1
    assert text.startswith('frames were dropped: ')
    assert 'rgb16' in text and '; no outputs in meters: no camera info' in text
    assert 'rgb16' in node.camera.health.last_error


def test_parameters_of_the_pose_change_between_frames(metric, road_frame):
    node = metric('points')
    before = xyz(node.reply(node.image(road_frame), 'points'))
    assert node.set(ground__x=2.0).successful
    after = xyz(node.reply(node.image(road_frame), 'points'))
    assert np.nanmax(np.abs(after[60:, :, 0] - before[60:, :, 0] - 2.0)) < 1e-3


def test_a_change_of_the_class_map_leaves_the_outputs_in_meters_on(metric, road_frame):
    node = metric('grid')
    before = node.reply(node.image(road_frame), 'grid')
    assert node.set(class_map__Pavement__drivable=True).successful
    after = node.reply(node.image(road_frame), 'grid')
    assert (np.array(after.data) == 0).sum() > (np.array(before.data) == 0).sum()


def test_the_empty_street_in_meters_is_the_true_one(metric):
    """Truth for labels: the network is asked for nothing here, the geometry for everything."""
    scene = RoadScene(320, 192, style=EMPTY)
    node = metric('grid', ground__height=float(scene.camera.height_m),
                  ground__pitch=float(scene.camera.pitch_rad),
                  grid__length=15.0, grid__width=10.0)
    frame, truth = scene.render(1.0)
    backend = node.segmenter.backend
    small = cv2.resize(truth, NETWORK, interpolation=cv2.INTER_NEAREST_EXACT)
    backend.infer = lambda batch, *, confidence: (
        small[None].copy(), np.ones((1, *small.shape), np.float32) if confidence else None)
    node.send(calibration(scene.camera), 'camera_info')
    grid = node.reply(node.image(frame), 'grid')
    cells = np.array(grid.data, np.int8).reshape(grid.info.height, grid.info.width)
    centers = GridSpec((15.0, 10.0), 0.1, (0.0, -5.0)).centers()
    road = (scene.ground_truth(centers[:, 0], centers[:, 1], 1.0) == 3).reshape(cells.shape)
    known = cells >= 0
    assert known.mean() > 0.3
    assert np.mean((cells == 0)[known] == road[known]) > 0.97


def test_an_empty_cloud_is_sent_and_costs_no_other_output(metric, road_frame):
    node = metric('obstacles', 'labels', ground__max_range=0.5)  # ends before the picture begins
    obstacles, _ = node.reply(node.image(road_frame), 'obstacles', 'labels')
    assert (obstacles.height, obstacles.width, len(obstacles.data)) == (1, 0, 0)
