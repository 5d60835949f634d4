"""The node's outputs in metres, and drivable policies: content against the array functions."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from geometry_msgs.msg import TransformStamped  # noqa: E402
from rclpy.time import Time  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402

from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.network.classes import CAMVID_NAMES  # noqa: E402
from enet_ros.perception.camera_model import CameraModel  # noqa: E402
from enet_ros.perception.drivable import DrivableFilter, drivable_mask  # noqa: E402
from enet_ros.perception.grid import (  # noqa: E402
    GridCells,
    GridSpec,
    rolling_grid,
    rotated_grid,
)
from enet_ros.perception.ground import GroundTable  # noqa: E402
from enet_ros.perception.planner_outputs import (  # noqa: E402
    free_space_scan,
    nearest_edge,
    obstacle_points,
    path_bin,
    scan_bins,
)
from enet_ros.perception.pose import Pose  # noqa: E402
from enet_ros.perception.settings import DrivableSettings, ScanSettings  # noqa: E402
from enet_ros.ros.transforms import Transforms  # noqa: E402
from enet_ros.scene.road_scene import RoadScene  # noqa: E402
from enet_ros.scene.style import EMPTY  # noqa: E402

pytestmark = pytest.mark.ros
NETWORK = (160, 96)
LUT = ClassMap.from_names(CAMVID_NAMES).drivable_lut()
SCENE = RoadScene(320, 192)
GROUND = {'ground__pose': 'parameters', 'ground__height': float(SCENE.camera.height_m),
          'ground__pitch': float(SCENE.camera.pitch_rad)}


def calibration(camera=SCENE.camera):
    k = camera.k
    return CameraInfo(width=camera.width, height=camera.height, distortion_model='plumb_bob',
                      d=[0.0] * 5, k=k.ravel(), r=np.eye(3).ravel(),
                      p=np.hstack((k, np.zeros((3, 1)))).ravel())


def table(size=NETWORK, max_range_m=30.0):
    info = calibration()
    camera = CameraModel(info.width, info.height, tuple(info.k), tuple(info.d), tuple(info.r),
                         tuple(info.p), 'plumb_bob')
    pose = Pose.from_mount(SCENE.camera.height_m, SCENE.camera.pitch_rad)
    return GroundTable(camera, pose, size, max_range_m)


def xyz(cloud):
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z']
    assert cloud.row_step == cloud.width * cloud.point_step
    points = np.frombuffer(cloud.data, '<f4').reshape(-1, cloud.point_step // 4)
    return points.reshape(cloud.height, cloud.width, 3)


@pytest.fixture
def metric(bench):
    """A maker of nodes with a ground pose, whose camera is calibrated."""
    def make(*topics, **parameters):
        node = bench(**{'output_size': 'network', **GROUND, **parameters})
        node.listen(*topics)
        node.send(calibration(), 'camera_info')
        node.wait(lambda: node.node._cameras[0].calibration() is not None, 'camera info')
        return node

    return make


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


def test_without_a_pose_there_is_nothing_in_metres(bench, road_frame):
    node = bench()
    node.listen('points', 'grid', 'drivable_area')
    node.send(calibration(), 'camera_info')
    area = node.reply(node.image(road_frame), 'drivable_area')
    assert (area.base_frame, area.contours_m) == ('', [])
    assert np.isnan(area.nearest_edge)
    assert not node.messages['points']
    assert not node.messages['grid']


@pytest.mark.parametrize('change', [
    {'k': [0.0] * 9}, {'distortion_model': 'barrel'}, {'d': [0.1] * 3}, None])
def test_without_a_usable_calibration_the_masks_go_on(bench, road_frame, change):
    node = bench(**GROUND)
    node.listen('points', 'labels')
    if change is not None:
        info = calibration()
        for name, value in change.items():
            setattr(info, name, value)
        node.send(info, 'camera_info')
        node.wait(lambda: node.node._cameras[0].calibration() is not None)
    node.reply(node.image(road_frame), 'labels')
    assert not node.messages['points']


def test_tf_that_is_not_there_leaves_the_masks_alone(bench, road_frame):
    node = bench(**{**GROUND, 'ground__pose': 'tf'})
    node.listen('points', 'labels')
    node.send(calibration(), 'camera_info')
    node.wait(lambda: node.node._cameras[0].calibration() is not None)
    node.reply(node.image(road_frame), 'labels')
    assert not node.messages['points']


def test_a_pose_from_tf_gives_the_points_of_that_pose(metric, road_frame):
    node = metric('points', ground__pose='tf')
    half = SCENE.camera.pitch_rad / 2
    body = np.array([0, np.sin(half), 0, np.cos(half)])  # pitched, then optical axes
    optical = np.array([-0.5, 0.5, -0.5, 0.5])
    x1, y1, z1, w1 = body
    x2, y2, z2, w2 = optical
    turn = (w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2, w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2, w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2)
    asked = []

    def lookup(target, source, stamp):
        asked.append((target, source))
        return (0.0, 0.0, SCENE.camera.height_m), turn

    node.node._cameras[0].transforms.lookup = lookup
    cloud = node.reply(node.image(road_frame, frame_id='cam'), 'points')
    assert asked[0] == ('base_link', 'cam')
    assert np.allclose(xyz(cloud), table().points, atol=1e-3, equal_nan=True)


SELDOM = {'diagnostics_period': 60.0}  # publishing the health forgets it


def health(node):
    level, text = node.node._cameras[0].health.summary()
    return level, text


def test_without_odometry_all_but_the_grid_goes_on_and_diagnostics_say_why(metric, road_frame):
    node = metric('grid', 'obstacles', 'free_space', odom_frame='odom', **SELDOM)
    node.reply(node.image(road_frame), 'obstacles', 'free_space')
    assert not node.messages['grid']
    level, text = health(node)
    assert level == 1
    assert text.startswith('no ~/grid: ')
    assert health(node) == (0, 'segmenting')  # until it happens again


def test_diagnostics_say_why_there_is_nothing_in_metres(bench, road_frame):
    node = bench(**GROUND, **SELDOM)
    node.listen('points', 'labels')
    node.reply(node.image(road_frame), 'labels')
    assert health(node) == (1, 'no outputs in metres: no camera info has come, wanted it for '
                               'outputs in metres')


def test_a_calibration_of_another_mode_of_the_camera_gives_no_metres(metric, road_frame):
    node = metric('points', 'camera_info', 'labels', **SELDOM)
    node.reply(node.image(road_frame), 'points', 'camera_info')
    node.reply(node.image(road_frame[::2, ::2]), 'points', 'camera_info')  # scaled evenly
    count = len(node.messages['points'])
    node.reply(node.image(np.ascontiguousarray(road_frame[:144])), 'labels')
    assert health(node) == (1, 'no ~/camera_info and no outputs in metres: the camera info is for '
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
    node.wait(lambda: node.node._cameras[0].health.dropped == 1)
    node.reply(node.image(road_frame), 'labels')
    level, text = health(node)
    assert level == 1
    assert text.startswith('frames were dropped: ')
    assert 'rgb16' in text and '; no outputs in metres: no camera info' in text
    assert 'rgb16' in node.node._cameras[0].health.last_error


class Tf2:
    """A stand-in for tf2_ros, which the wheels lack: one transform of a time of its own."""

    def __init__(self, monkeypatch, stamp_sec):
        self.stamp_sec, self.listening, self.cleared = stamp_sec, 0, 0
        monkeypatch.setitem(sys.modules, 'tf2_ros', self)

    def Buffer(self):  # noqa: N802
        return self

    def TransformListener(self, buffer, node):  # noqa: N802
        self.listening += 1
        return SimpleNamespace(unregister=self._unregister)

    def _unregister(self):
        self.listening -= 1

    def clear(self):
        self.cleared += 1

    def can_transform(self, target, source, time):
        return time.nanoseconds == self.stamp_sec * 1e9

    def lookup_transform(self, target, source, time):
        found = TransformStamped()
        found.header.stamp.sec, found.transform.translation.x = self.stamp_sec, 7.0
        return found


@pytest.mark.parametrize(('stamp_ns', 'known'), [
    (100_000_000_000, True), (100_400_000_000, True), (99_600_000_000, True),
    (100_600_000_000, False), (3_000_000_000_000, False), (99_400_000_000, False)])
def test_a_transform_far_from_the_frame_is_none(monkeypatch, stamp_ns, known):
    Tf2(monkeypatch, 100)
    stamp = Time(nanoseconds=stamp_ns).to_msg()
    if known:
        assert Transforms(None).lookup('odom', 'base_link', stamp)[0] == (7.0, 0.0, 0.0)
        return
    with pytest.raises(LookupError, match='the newest transform from base_link to odom is '):
        Transforms(None).lookup('odom', 'base_link', stamp)


def test_tf_is_listened_to_once_a_camera_and_no_longer_than_it_lives(metric, monkeypatch,
                                                                     road_frame):
    tf2 = Tf2(monkeypatch, 100)
    node = metric('points', 'labels', ground__pose='tf')
    for _ in range(2):
        node.wait(lambda: node.node._cameras[0].calibration() is not None)
        node.reply(node.image(road_frame), 'labels')
        assert tf2.listening == 1
        node.node.trigger_deactivate()
        node.node.trigger_cleanup()
        assert tf2.listening == 0
        node.node.trigger_configure()
        node.node.trigger_activate()
        node.send(calibration(), 'camera_info')


def test_a_bag_that_begins_again_clears_what_tf_said(metric, monkeypatch, road_frame):
    tf2 = Tf2(monkeypatch, 100)
    node = metric('points', 'labels', ground__pose='tf')
    for stamp_ns, cleared in ((60 * 10**9, 0), (59_500_000_000, 0), (10 * 10**9, 1)):
        node.reply(node.image(road_frame, stamp_ns=stamp_ns), 'labels')
        assert tf2.cleared == cleared


def test_parameters_of_the_pose_change_between_frames(metric, road_frame):
    node = metric('points')
    before = xyz(node.reply(node.image(road_frame), 'points'))
    assert node.set(ground__x=2.0).successful
    after = xyz(node.reply(node.image(road_frame), 'points'))
    assert np.nanmax(np.abs(after[60:, :, 0] - before[60:, :, 0] - 2.0)) < 1e-3


def test_a_change_of_the_class_map_leaves_the_outputs_in_metres_on(metric, road_frame):
    node = metric('grid')
    before = node.reply(node.image(road_frame), 'grid')
    assert node.set(class_map__Pavement__drivable=True).successful
    after = node.reply(node.image(road_frame), 'grid')
    assert (np.array(after.data) == 0).sum() > (np.array(before.data) == 0).sum()


@pytest.mark.parametrize('yaw', [0.0, 0.3, np.pi / 2, -2.0])
def test_a_grid_in_the_odometry_frame_keeps_every_cells_place(yaw):
    spec = GridSpec((6.0, 4.0), 0.1, (0.0, -2.0))
    cells = np.full((40, 60), -1, np.int8)
    cells[20:, 30:] = 100
    cells[:20, 30:] = 0
    turned, origin = rotated_grid(cells, spec, (3.21, -1.7), yaw)
    assert np.allclose(np.array(origin) / 0.1, np.round(np.array(origin) / 0.1))
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    for place, value in (((4.5, 1.0), 100), ((4.5, -1.0), 0), ((1.5, 1.0), -1)):
        x, y = (turn @ place + (3.21, -1.7) - origin) / 0.1
        assert turned[int(y), int(x)] == value
    assert (turned == 100).sum() == pytest.approx(600, abs=80)
    assert turned[0, 0] == -1 or yaw in (0.0, np.pi / 2)


@pytest.mark.parametrize('yaw', np.linspace(0.0, 3.0, 13))
def test_a_thin_obstacle_survives_the_turn(yaw):
    spec = GridSpec((6.0, 4.0), 0.1, (0.0, -2.0))
    cells = np.zeros((40, 60), np.int8)
    cells[17, 23] = 100
    assert (rotated_grid(cells, spec, (0.03, 0.07), yaw)[0] == 100).any()


def test_drivable_policy_is_applied_and_changes_at_run_time(bench, pixels, road_frame):
    node = bench(output_size='network')
    node.listen('labels', 'drivable_mask')
    for settings in (DrivableSettings(), DrivableSettings(connected=True, min_area=0.01),
                     DrivableSettings(max_hole=0.01)):
        assert node.set(drivable__connected=settings.connected,
                        drivable__min_area=settings.min_area,
                        drivable__max_hole=settings.max_hole).successful
        labels, mask = node.reply(node.image(road_frame), 'labels', 'drivable_mask')
        labels, plain = network_result(pixels, labels)
        assert np.array_equal(pixels(mask), DrivableFilter(settings).update(plain, labels, 0.0))
    refused = node.set(drivable__seed=[0.5, 1.5])
    assert not refused.successful
    assert 'wanted x and y from 0 to 1' in refused.reason


def test_a_closed_hole_leaves_out_what_is_below_the_floor(bench, road_frame):
    node = bench(confidence_floor=0.5, drivable__max_hole=0.5, output_size='network')
    node.listen('drivable_mask')
    labels, sure = np.full((96, 160), 3, np.uint8), np.ones((96, 160), np.float32)
    labels[10:20, 10:20] = 4           # pavement, a hole that is closed
    sure[50:60, 70:90] = 0.1
    node.node._pipeline.segmenter.backend.infer = lambda batch, *, confidence: (
        labels[None].copy(), sure[None].copy())
    mask = node.reply(node.image(road_frame), 'drivable_mask')
    assert np.array_equal(np.array(mask.data).reshape(96, 160) == 255, sure == 1)


def test_majority_follows_stamps_and_forgets_on_a_jump(bench, pixels, road_frame):
    node = bench(drivable__majority=5, output_size='network')
    node.listen('drivable_mask')
    black = np.zeros_like(road_frame)
    start = 10_000_000_000
    masks = []
    for i, frame in enumerate((road_frame, road_frame, road_frame, black)):
        sent = node.image(frame, stamp_ns=start + i * 50_000_000)
        masks.append(pixels(node.reply(sent, 'drivable_mask')))
    assert masks[0].any()
    assert np.array_equal(masks[3], masks[2])  # one dark frame of four is outvoted
    sent = node.image(black, stamp_ns=1_000_000_000)
    jumped = pixels(node.reply(sent, 'drivable_mask'))
    assert not np.array_equal(jumped, masks[2])


def test_cameras_have_poses_and_policies_of_their_own(bench, pixels, road_frame):
    node = bench(cameras=['front', 'left'], output_size='network', left__rotate=180,
                 left__ground__x=-1.0, **GROUND)
    node.listen('front/points', 'left/points', 'left/labels')
    clouds = {}
    for name in ('front', 'left'):
        node.send(calibration(), f'{name}/camera_info')
    node.wait(lambda: all(s.calibration() is not None for s in node.node._cameras))
    for name, frame in (('front', road_frame), ('left', road_frame[::-1, ::-1].copy())):
        clouds[name] = xyz(node.reply(node.image(frame), f'{name}/points', to=f'{name}/image'))
    shift = clouds['left'][70:, :, 0] - clouds['front'][70:, :, 0]
    assert np.nanmax(np.abs(shift + 1.0)) < 1e-3
    assert node.set(left__ground__x=0.0).successful
    again = xyz(node.reply(node.image(road_frame), 'left/points', to='left/image'))
    assert np.allclose(again, clouds['front'], equal_nan=True)
    assert 'rotate is 90' in node.set(left__rotate=90).reason


def test_no_camera_starves(bench, road_frame):
    """Four cameras at an equal rate beyond what the network can do: each gets its share."""
    import time
    names = ['a', 'b', 'c', 'd']
    node = bench(cameras=names)
    node.listen(*(f'{name}/timing' for name in names))
    backend = node.node._pipeline.segmenter.backend
    infer = backend.infer
    backend.infer = lambda batch, **options: (
        time.sleep(0.02 * len(batch)) or infer(batch, **options))
    message = node.image(cv2.resize(road_frame, NETWORK))
    for _ in range(40):
        for name in names:
            node.send(message, f'{name}/image')
        time.sleep(0.02)
    node.wait(lambda: all(node.messages[f'{name}/timing'] for name in names))
    time.sleep(0.5)
    published = [node.messages[f'{name}/timing'][-1].published for name in names]
    assert max(published) < 40
    assert min(published) >= 0.8 * max(published)


def test_the_empty_street_in_metres_is_the_true_one(metric):
    """Truth for labels: the network is asked for nothing here, the geometry for everything."""
    scene = RoadScene(320, 192, style=EMPTY)
    node = metric('grid', ground__height=float(scene.camera.height_m),
                  ground__pitch=float(scene.camera.pitch_rad),
                  grid__length=15.0, grid__width=10.0)
    frame, truth = scene.render(1.0)
    backend = node.node._pipeline.segmenter.backend
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
