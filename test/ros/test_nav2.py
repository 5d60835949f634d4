"""config/nav2_*.yaml against the node's real output: what each Nav2 reader takes, and gets.

support/nav2.py has what Nav2's readers subscribe and check. Nav2 itself is not run.
"""

import copy
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.qos import QoSCompatibility, qos_check_compatible  # noqa: E402
from sensor_msgs.msg import LaserScan  # noqa: E402
from support.ground import SCENE, calibration  # noqa: E402
from support.nav2 import (  # noqa: E402
    GRID,
    LATCHED,
    OBSTACLE,
    SEMANTIC,
    SEMANTIC_ROAD,
    STANDARD,
    Nav2,
    Output,
    check,
    check_halves,
    cloud_points,
    flatten,
    known_share,
)

from enet_ros.network.class_map import UNKNOWN  # noqa: E402
from enet_ros.network.classes import CAMVID_NAMES  # noqa: E402
from enet_ros.ros.compat import LabelInfo  # noqa: E402
from enet_ros.ros.segment_node import SegmentNode  # noqa: E402
from enet_ros.scene.road_scene import RoadScene  # noqa: E402
from enet_ros.scene.style import EMPTY  # noqa: E402

pytestmark = pytest.mark.ros
REPOSITORY = Path(__file__).resolve().parents[2]


def load(name: str) -> tuple[str, dict]:
    path = REPOSITORY / 'config' / f'{name}.yaml'
    return str(path), yaml.safe_load(path.read_text())


def known_transforms(target, source, stamp, wait_sec):
    """A robot at (3.2, -1.7) in odom that looks to the left, with the scene's camera."""
    half = SCENE.camera.pitch_rad / 2
    if (target, source) == ('odom', 'base_footprint'):
        return (3.2, -1.7, 0.0), (0.0, 0.0, np.sin(0.15), np.cos(0.15))
    if (target, source) == ('base_footprint', 'cam'):
        s, c = np.sin(half), np.cos(half)  # pitched, then optical axes
        turn = np.array([-c - s, c + s, -c + s, c - s]) / 2
        return (0.0, 0.0, SCENE.camera.height_m), tuple(turn)
    raise LookupError(f'no transform from {source} to {target}')


@pytest.fixture
def started(bench):
    """A maker of nodes from a file, by the file's own way; fed one frame."""
    def make(path, document, frame):
        node = bench(start=False, make_node=partial(
            SegmentNode, cli_args=['--ros-args', '--params-file', path]))
        assert node.node._node_parameters.unknown_overrides() == []
        assert not node.cameras  # autostart is false: Nav2's manager does what follows
        node.node.trigger_configure()
        node.node.trigger_activate()
        node.camera.transforms.lookup = known_transforms
        return output_of(node, frame)

    return make


def output_of(node, frame) -> Output:
    names = ('labels', 'confidence', 'points', 'obstacles', 'free_space', 'grid')
    node.listen(*names)
    node.send(calibration(), 'camera_info')
    node.wait(lambda: node.camera.calibration.newest() is not None, 'camera info')
    sent = node.image(frame)
    messages = {f'/enet/{name}': message for name, message in
                zip(names, node.reply(sent, *names))}
    if LabelInfo is not None:
        got = []
        node.tester.create_subscription(LabelInfo, '/enet/label_info', got.append, LATCHED(5))
        node.wait(lambda: got, 'label_info')
        messages['/enet/label_info'] = got[-1]
    return Output(node, sent, messages, node.node._node_parameters.drivable_names())


NODE = '/**/enet/ros__parameters/'
COSTMAP = 'local_costmap/local_costmap/ros__parameters/'
CAMERA = f'{COSTMAP}semantic_layer/camera/'
LAYER = f'{COSTMAP}obstacle_layer/'
MONITOR = 'collision_monitor/ros__parameters/'

#: file -> (path in it, a mistake, what is said of it)
MISTAKES = {
    SEMANTIC: [
        (f'{CAMERA}segmentation_topic', '/enet/label', 'not published'),
        (f'{CAMERA}confidence_topic', 'enet/confidences', 'not published'),
        (f'{CAMERA}pointcloud_topic', '/enet/obstacles', 'differ in size'),
        (f'{CAMERA}pointcloud_topic', '/enet/free_space', 'wanted sensor_msgs/msg/PointCloud2'),
        (f'{CAMERA}segmentation_topic', '/enet/points', 'wanted sensor_msgs/msg/Image'),
        (f'{CAMERA}road/classes', ['Raod'], 'wanted each of'),
        (f'{CAMERA}kerb/classes', ['Pavement', 'Road'], 'wanted each of'),
        (f'{CAMERA}class_types', ['road', 'kerb', 'standing'], 'wanted each of'),
        (f'{CAMERA}moving/base_cost', 0, 'passable classes'),
        (f'{COSTMAP}track_unknown_space', False, 'would be free'),
        (f'{COSTMAP}robot_base_frame', 'base_link', 'is in base_footprint'),
        (f'{MONITOR}free_space/topic', '/enet/scan', 'not published'),
        ('lifecycle_manager_enet/ros__parameters/bond_timeout', 4.0, 'lifecycle manager'),
    ],
    SEMANTIC_ROAD: [
        (f'{CAMERA}other/classes', ['Road', 'Other'], 'wanted each of'),
        (f'{CAMERA}class_types', ['road', 'kerb'], 'wanted each of'),
        (f'{CAMERA}other/base_cost', 0, 'passable classes'),
    ],
    OBSTACLE: [
        (f'{LAYER}obstacles/topic', '/enet/obstacle', 'not published'),
        (f'{LAYER}free_space/data_type', 'PointCloud2', 'wanted sensor_msgs/msg/PointCloud2'),
        (f'{LAYER}obstacles/max_obstacle_height', 0.0, 'well inside'),
        (f'{LAYER}free_space/min_obstacle_height', 0.0, 'well inside'),
        (f'{LAYER}min_obstacle_height', 0.5, 'well inside'),
        (f'{LAYER}free_space/obstacle_max_range', 10.0, 'marks free rays'),
        (f'{LAYER}free_space/raytrace_max_range', 12.0, 'range_max'),
        (f'{LAYER}free_space/raytrace_min_range', 1.0, 'unseen ground'),
        (f'{LAYER}obstacles/obstacle_min_range', 0.0, 'marks nearer than rays clear'),
        (f'{LAYER}free_space/obstacle_min_range', 4.5, 'marks nearer than rays clear'),
        (f'{COSTMAP}update_frequency', 2.0, 'marks nearer than rays clear'),
        (f'{COSTMAP}resolution', 0.05, 'farther than half a cell'),
        (f'{LAYER}free_space/inf_is_valid', False, 'mark and clear'),
        (f'{LAYER}free_space/expected_update_rate', 0.0, 'unnoticed'),
        (f'{MONITOR}obstacles/max_height', 0.2, 'well inside'),
        (f'{MONITOR}obstacles/type', 'scan', 'wanted sensor_msgs/msg/LaserScan'),
        (f'{MONITOR}source_timeout', 0.3, 'source_timeout'),
    ],
    GRID: [
        (f'{COSTMAP}enet_layer/map_topic', '/enet/map', 'not published'),
        (f'{COSTMAP}enet_layer/map_topic', '/enet/free_space', 'OccupancyGrid'),
        (f'{COSTMAP}enet_layer/map_subscribe_transient_local', True, 'QoS does not match'),
        (f'{COSTMAP}enet_layer/subscribe_to_updates', True, '_updates'),
        (f'{COSTMAP}track_unknown_space', False, 'cells become'),
        (f'{COSTMAP}lethal_cost_threshold', 101, 'cells become'),
        (f'{COSTMAP}global_frame', 'map', 'the grid is in odom'),
        (f'{COSTMAP}resolution', 0.05, 'resolution is'),
        (f'{COSTMAP}rolling_window', False, 'resize'),
        (f'{MONITOR}odom_frame_id', 'map', 'odometry'),
        (f'{MONITOR}observation_sources', ['free_space'], 'does not watch /enet/obstacles'),
    ],
}


def with_mistake(document: dict, path: str, value: object) -> dict:
    changed = copy.deepcopy(document)
    *folders, name = path.removeprefix(NODE).split('/')
    place = changed['/**/enet']['ros__parameters'] if path.startswith(NODE) else changed
    for folder in folders:
        place = place[folder]
    assert name in place, f'{path} is not in the file'
    place[name] = value
    return changed


def assert_each_is_found(mistakes, document, find):
    """Check that ``find`` says the text of each mistake: (path, value, text)."""
    for place, value, said in mistakes:
        found = find(with_mistake(document, place, value))
        assert any(said in line for line in found), f'{place} = {value}: {found}'


@pytest.mark.parametrize('name', [SEMANTIC, SEMANTIC_ROAD, OBSTACLE, GRID])
def test_nav2_gets_what_its_file_reads(started, road_frame, name):
    path, document = load(name)
    output = started(path, document, road_frame)
    for parameter, value in flatten(Nav2(document).enet):
        if parameter != 'resolution':  # the bench's is small
            assert output.node.node.get_parameter(parameter).value == value, parameter
    assert check(document, output) == []
    assert_each_is_found(MISTAKES[name], document, lambda wrong: check(wrong, output))


#: file -> (path in it, a mistake that its two halves show without the node, what is said of it)
MISTAKES_BETWEEN_HALVES = {
    SEMANTIC: [(f'{NODE}scan/angle_increment', 0.0174533, 'overlooks')],
    SEMANTIC_ROAD: [(f'{NODE}scan/angle_increment', 0.0174533, 'overlooks')],
    OBSTACLE: [
        (f'{NODE}scan/angle_increment', 0.0174533, 'farther than half a cell'),
        (f'{NODE}scan/angle_increment', 0.0051, 'farther than half a cell'),
        (f'{NODE}scan/range_max', 14.0, 'farther than half a cell'),
        (f'{COSTMAP}resolution', 0.05, 'farther than half a cell'),
        (f'{COSTMAP}update_frequency', 4.0, 'marks nearer than rays clear'),
        (f'{LAYER}obstacles/obstacle_min_range', 4.3, 'marks nearer than rays clear'),
        (f'{LAYER}free_space/raytrace_min_range', 4.5, 'marks nearer than rays clear'),
        (f'{MONITOR}stop_zone/min_points', 20, 'overlooks'),
    ],
    GRID: [(f'{NODE}scan/angle_increment', 0.0174533, 'overlooks')],
}


@pytest.mark.parametrize('name', [SEMANTIC, SEMANTIC_ROAD, OBSTACLE, GRID])
def test_the_two_halves_of_a_file_fit_each_other(name):
    document = load(name)[1]
    assert check_halves(document) == []
    assert_each_is_found(MISTAKES_BETWEEN_HALVES[name], document, check_halves)


def test_rays_of_the_default_are_too_far_apart_for_the_costmap(started, road_frame):
    """With Nav2 jazzy 1.3.13 the known share was 0.96 with the file's rays, 0.72 with these."""
    path, document = load(OBSTACLE)
    nav2, output = Nav2(document), started(path, document, road_frame)
    road = np.full(road_frame.shape[:2], 3, np.uint8)
    source, shares = nav2.sources()[1][1], []
    for increment in (0.0044, 0.0174533):
        assert output.node.set(scan__angle_increment=increment).successful
        scan = reply_to_labels(output, road, road_frame).messages['/enet/free_space']
        shares.append(known_share(scan, source, nav2.costmap['resolution'], half_angle=0.4))
    assert shares[0] > 0.95 and shares[1] < 0.8
    assert any('farther than half a cell' in line for line in check(document, output))


def test_label_info_must_name_the_topic_and_be_latched(started, road_frame):
    if LabelInfo is None:
        pytest.skip('vision_msgs is not installed')
    path, document = load(SEMANTIC)
    output = started(path, document, road_frame)
    info = output.messages['/enet/label_info']
    assert [entry.class_id for entry in info.class_map] == list(range(len(info.class_map)))
    for topic in ('/enet/labelinfo', '/enet/labels'):
        assert check(with_mistake(document, f'{CAMERA}labels_topic', topic), output)


def test_a_height_outside_the_bands_is_found_in_the_clouds(started, road_frame):
    path, document = load(OBSTACLE)
    output = started(path, document, road_frame)
    assert output.node.set(ground__obstacle_height=2.5).successful
    output.messages['/enet/obstacles'] = output.node.reply(
        output.node.image(road_frame), 'obstacles')
    assert sum('well inside' in line for line in check(document, output)) == 2


def test_masks_of_another_size_are_found(started, road_frame):
    path, document = load(SEMANTIC)
    output = started(path, document, road_frame)
    assert output.node.set(output_size='input').successful
    output.messages['/enet/points'] = output.node.reply(output.node.image(road_frame), 'points')
    assert any('differ in size' in line for line in check(document, output))


def test_a_grid_that_is_made_transient_local_fits_a_latched_reader(bench):
    """The comment in nav2_grid.yaml: the other way round."""
    override = ['-p', 'qos_overrides./enet/grid.publisher.durability:=transient_local']
    node = bench(make_node=partial(SegmentNode, cli_args=['--ros-args', *override]))
    found = node.tester.get_publishers_info_by_topic('/enet/grid')[0].qos_profile
    assert qos_check_compatible(found, LATCHED(3))[0] == QoSCompatibility.OK
    assert qos_check_compatible(found, STANDARD())[0] == QoSCompatibility.OK


def test_a_dead_camera_leaves_old_stamps_for_the_collision_monitor(started, road_frame):
    """After a stall nothing in meters is sent with a new stamp, so source_timeout runs out."""
    path, document = load(OBSTACLE)
    output = started(path, document, road_frame)
    camera = output.node.camera
    output.node.wait(lambda: camera.health.is_stalled, 'a stall')
    for topic in ('free_space', 'obstacles', 'grid'):
        assert output.node.messages[topic][-1].header.stamp == output.sent.header.stamp


def points_in_stop_zone(nav2: Nav2, output: Output) -> dict[str, int]:
    """Count what Scan and PointCloud of the collision monitor would put into the stop zone."""
    zone, found = np.array(yaml.safe_load(nav2.monitor['stop_zone']['points'])), {}
    low, high = zone.min(0), zone.max(0)  # a rectangle
    for source in nav2.monitored():
        message = output.messages[source['topic']]
        if isinstance(message, LaserScan):
            ranges = np.array(message.ranges)
            angles = message.angle_min + np.arange(len(ranges)) * message.angle_increment
            kept = (ranges >= message.range_min) & (ranges <= message.range_max)
            points = ranges[kept, None] * np.column_stack((np.cos(angles), np.sin(angles)))[kept]
        else:
            points = cloud_points(message)[:, :2]
        found[source['topic']] = int(np.all((points >= low) & (points <= high), axis=1).sum())
    return found


def reply_to_labels(output: Output, labels: np.ndarray, frame: np.ndarray) -> Output:
    """Have the network answer with these labels, at its size, and the node publish them."""
    small = cv2.resize(labels, (160, 96), interpolation=cv2.INTER_NEAREST_EXACT)
    output.node.segmenter.backend.infer = lambda batch, *, confidence: (
        small[None].copy(), np.ones((1, *small.shape), np.float32) if confidence else None)
    names = ('free_space', 'obstacles')
    found = output.node.reply(output.node.image(frame), *names)
    output.messages.update(zip((f'/enet/{name}' for name in names), found))
    return output


@pytest.mark.parametrize('name', [SEMANTIC, SEMANTIC_ROAD, OBSTACLE, GRID])
def test_the_collision_monitor_goes_on_an_empty_street_and_stops_before_a_wall(
        started, road_frame, name):
    path, document = load(name)
    nav2, output = Nav2(document), started(path, document, road_frame)
    frame, classes = RoadScene(320, 192, style=EMPTY).render(1.0)
    names = output.names()
    road, wall_id = names.index('Road'), names.index('Other' if 'Other' in names else 'Building')
    street = np.where(classes == CAMVID_NAMES.index('Road'), road, wall_id).astype(np.uint8)
    wall = np.full_like(street, wall_id)
    wall[:135, :10] = road  # a little road beside it, 8 m away
    enough = nav2.monitor['stop_zone']['min_points']
    free = points_in_stop_zone(nav2, reply_to_labels(output, street, frame))
    assert max(free.values()) == 0
    blocked = points_in_stop_zone(nav2, reply_to_labels(output, wall, frame))
    assert blocked['/enet/free_space'] >= enough


@pytest.mark.parametrize('name', [SEMANTIC, SEMANTIC_ROAD, OBSTACLE, GRID])
def test_an_image_full_of_wall_or_of_nothing_known_stops_the_robot(started, road_frame, name):
    path, document = load(name)
    nav2, output = Nav2(document), started(path, document, road_frame)
    wall_id = next(index for index, name in enumerate(output.names())
                   if name not in output.drivable)
    enough = nav2.monitor['stop_zone']['min_points']
    for label, topic in ((wall_id, '/enet/free_space'), (UNKNOWN, '/enet/obstacles')):
        labels = np.full(road_frame.shape[:2], label, np.uint8)
        blocked = points_in_stop_zone(nav2, reply_to_labels(output, labels, road_frame))
        assert blocked[topic] >= enough
