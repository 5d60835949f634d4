"""config/nav2_*.yaml against the node's real output: what each Nav2 reader takes, and gets.

Nav2 itself is not run. What its readers subscribe and check is written down here from their
source: navigation2 a3a9704 (``nav2_costmap_2d/plugins``, ``nav2_collision_monitor/src``,
``nav2_ros_common/include/nav2_ros_common/qos_profiles.hpp``) and semantic_segmentation_layer
b269885 (``src``).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip('rclpy', reason='rclpy is not installed')

from nav_msgs.msg import OccupancyGrid  # noqa: E402
from rclpy.qos import (  # noqa: E402
    DurabilityPolicy,
    LivelinessPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2  # noqa: E402

from enet_ros.ros.compat import LabelInfo  # noqa: E402
from enet_ros.ros.segment_node import SegmentNode  # noqa: E402
from enet_ros.scene.road_scene import RoadScene  # noqa: E402
from enet_ros.scene.style import EMPTY  # noqa: E402

pytestmark = pytest.mark.ros
REPOSITORY = Path(__file__).resolve().parents[2]
SCENE = RoadScene(320, 192)
SEMANTIC, OBSTACLE, GRID = 'nav2_semantic', 'nav2_obstacle', 'nav2_grid'


def profile(reliability: str, durability: str, depth: int) -> QoSProfile:
    # rclcpp leaves liveliness to the system, which is automatic with every DDS.
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy[reliability],
                      durability=DurabilityPolicy[durability],
                      liveliness=LivelinessPolicy.AUTOMATIC)


#: nav2::qos of qos_profiles.hpp
SENSOR_DATA = partial(profile, 'BEST_EFFORT', 'VOLATILE')
STANDARD = partial(profile, 'RELIABLE', 'VOLATILE', 10)
LATCHED = partial(profile, 'RELIABLE', 'TRANSIENT_LOCAL')

#: a source of the semantic layer (semantic_segmentation_layer.cpp, onInitialize): parameter of the
#: topic -> type, QoS. sensor_data_depth is 10.
SEMANTIC_TOPICS = {
    'segmentation_topic': (Image, SENSOR_DATA(10)),
    'confidence_topic': (Image, SENSOR_DATA(10)),
    'pointcloud_topic': (PointCloud2, SENSOR_DATA(10)),
    'labels_topic': (LabelInfo, LATCHED(5)),
}
#: data_type (obstacle_layer.cpp, onInitialize) -> type, QoS
OBSTACLE_TYPES = {'LaserScan': (LaserScan, SENSOR_DATA(50)),
                  'PointCloud2': (PointCloud2, SENSOR_DATA(50))}
#: map_subscribe_transient_local (static_layer.cpp, onInitialize) -> type, QoS
MAP_TYPES = {False: (OccupancyGrid, STANDARD()), True: (OccupancyGrid, LATCHED(3))}
#: type (scan.cpp and pointcloud.cpp, configure) -> type, QoS
MONITOR_TYPES = {'scan': (LaserScan, SENSOR_DATA(10)),
                 'pointcloud': (PointCloud2, SENSOR_DATA(10))}
#: as onInitialize of each declares it
SOURCE_DEFAULTS = {'min_obstacle_height': 0.0, 'max_obstacle_height': 0.0, 'clearing': False,
                   'marking': True, 'inf_is_valid': False, 'expected_update_rate': 0.0,
                   'obstacle_max_range': 2.5, 'raytrace_max_range': 3.0,
                   'obstacle_min_range': 0.0, 'raytrace_min_range': 0.0}
#: obstacle_layer.cpp, laserScanValidInfCallback: +inf becomes range_max less this
EPSILON_M = 0.0001


@dataclass
class Reader:
    """One subscription of Nav2."""

    topic: str
    kind: type
    qos: QoSProfile


class Nav2:
    """What a parameter file has Nav2 read."""

    def __init__(self, document: dict):
        self.enet = document['/**/enet']['ros__parameters']
        self.costmap = document['local_costmap']['local_costmap']['ros__parameters']
        self.monitor = document['collision_monitor']['ros__parameters']
        self.manager = document['lifecycle_manager_enet']['ros__parameters']

    def layers(self, plugin: str) -> list[dict]:
        layers = (self.costmap[name] for name in self.costmap['plugins'])
        return [layer for layer in layers if layer['plugin'].endswith(f'::{plugin}')]

    def cameras(self) -> list[dict]:
        return [layer[name] for layer in self.layers('SemanticSegmentationLayer')
                for name in layer['observation_sources'].split()]

    def sources(self) -> list[tuple[dict, dict]]:
        """The obstacle layers' sources: (layer, source)."""
        return [(layer, {**SOURCE_DEFAULTS, **layer[name]})
                for layer in self.layers('ObstacleLayer')
                for name in layer['observation_sources'].split()]

    def monitored(self) -> list[dict]:
        return [self.monitor[name] for name in self.monitor['observation_sources']]

    def readers(self) -> Iterator[Reader]:
        for camera in self.cameras():
            for name, (kind, qos) in SEMANTIC_TOPICS.items():
                if kind is not None:  # no vision_msgs here
                    yield Reader(camera[name], kind, qos)
        for _, source in self.sources():
            yield Reader(source['topic'], *OBSTACLE_TYPES[source['data_type']])
        for layer in self.layers('StaticLayer'):
            latched = layer.get('map_subscribe_transient_local', True)
            yield Reader(layer['map_topic'], *MAP_TYPES[latched])
        for source in self.monitored():
            yield Reader(source['topic'], *MONITOR_TYPES[source['type']])


@dataclass
class Output:
    """What the node gave for one frame."""

    node: object
    sent: Image
    messages: dict    # topic -> message
    drivable: tuple   # names

    def names(self) -> list[str]:
        """Class names, as LabelInfo has them where there is one."""
        info = self.messages.get('/enet/label_info')
        if info is None:
            return list(self.node.node._node_parameters._class_map.names)
        return [entry.class_name for entry in info.class_map]


def check(document: dict, output: Output) -> list[str]:
    """Return what is wrong with a file, a sentence each."""
    nav2 = Nav2(document)
    return [*check_topics(nav2, output), *check_semantic(nav2, output),
            *check_heights(nav2, output), *check_rays(nav2, output), *check_grid(nav2, output),
            *check_frames(nav2, output), *check_safety(nav2)]


def check_topics(nav2: Nav2, output: Output) -> Iterator[str]:
    """Every topic is published, with its reader's type, by a publisher that matches its QoS."""
    for reader in nav2.readers():
        found = output.node.tester.get_publishers_info_by_topic(reader.topic)
        if [info.node_name for info in found] != ['enet']:
            yield f'{reader.topic} is not published by enet'
            continue
        package, _, name = reader.kind.__module__.partition('.msg.')
        wanted = f'{package}/msg/{reader.kind.__name__}'
        if found[0].topic_type != wanted:
            yield f'{reader.topic} is {found[0].topic_type}, wanted {wanted}'
        compatible, reason = qos_check_compatible(found[0].qos_profile, reader.qos)
        if compatible != QoSCompatibility.OK:
            yield f'{reader.topic}: QoS does not match: {reason}'


def check_semantic(nav2: Nav2, output: Output) -> Iterator[str]:
    """What syncSegmConfPointcloudCb compares, bufferSegmentation indexes and classes cost."""
    for camera in nav2.cameras():
        images = [output.messages.get(camera[f'{name}_topic'])
                  for name in ('segmentation', 'confidence', 'pointcloud')]
        if not all(isinstance(*pair) for pair in zip(images, (Image, Image, PointCloud2))):
            yield 'labels, confidence and points did not come'
            continue
        labels, confidence, points = images
        if len({(message.width, message.height) for message in images}) > 1:
            yield 'labels, confidence and points differ in size'
        if any(message.step != message.width or message.encoding != 'mono8'
               for message in (labels, confidence)):
            yield 'step is not the width, or the encoding not mono8'
        if not np.isfinite(cloud_points(points)).any():
            yield 'there is no finite point'
        classes = [name for kind in camera['class_types'] for name in camera[kind]['classes']]
        if sorted(classes) != sorted(output.names()):
            yield f'classes are {classes}, wanted each of {output.names()} once'
        free = {name for kind in camera['class_types'] for name in camera[kind]['classes']
                if min(camera[kind]['max_cost'], camera[kind]['base_cost']) < 253}
        if free != set(output.drivable):
            yield f'passable classes are {free}, wanted {output.drivable}'


def check_heights(nav2: Nav2, output: Output) -> Iterator[str]:
    """Points lie in the bands of layer, source and collision monitor; rays, at 0, as well."""
    bands = [(source['topic'], max(layer.get('min_obstacle_height', 0.0),
                                   source['min_obstacle_height']),
              min(layer.get('max_obstacle_height', 2.0), source['max_obstacle_height']))
             for layer, source in nav2.sources()]
    bands += [(source['topic'], source.get('min_height', 0.05), source.get('max_height', 0.5))
              for source in nav2.monitored() if source['type'] == 'pointcloud']
    for topic, low, high in bands:
        message = output.messages.get(topic)
        heights = cloud_points(message)[:, 2] if isinstance(message, PointCloud2) else np.zeros(1)
        margin = 0.05  # the costmap's frame is never quite level
        if not len(heights) or heights.min() < low + margin or heights.max() > high - margin:
            yield f'{topic} has heights {heights}, wanted well inside {low} to {high}'


def check_rays(nav2: Nav2, output: Output) -> Iterator[str]:
    """Free rays mark nothing, and nothing is cleared that the camera does not see."""
    for _, source in nav2.sources():
        scan = output.messages.get(source['topic'])
        if not isinstance(scan, LaserScan):
            continue
        if not (source['inf_is_valid'] and source['clearing'] and source['marking']):
            yield f"{source['topic']} does not mark and clear, +inf included"
        if source['obstacle_max_range'] >= scan.range_max - EPSILON_M:
            yield f'obstacle_max_range {source["obstacle_max_range"]} marks free rays'
        if source['raytrace_max_range'] > scan.range_max:
            yield f'raytrace_max_range is beyond the range_max {scan.range_max}'
        nearest = cloud_points(output.messages['/enet/points'], organised=True)[-1]
        border = np.hypot(nearest[:, 0], nearest[:, 1]).max()
        if source['raytrace_min_range'] < border:
            yield f'raytrace_min_range clears unseen ground nearer than {border:.2f} m'
    cleared_from = [source['raytrace_min_range'] for _, source in nav2.sources()
                    if source['clearing']]
    for _, source in nav2.sources():
        if source['marking'] and source['obstacle_min_range'] < max(cleared_from, default=0.0):
            yield f"{source['topic']} marks nearer than rays clear"
    if np.isneginf(output.messages['/enet/free_space'].ranges).any() or \
            nav2.enet.get('scan', {}).get('range_min', 0.0) > 0.0:
        yield 'rays can be -inf, which no reader of Nav2 heeds'


def check_grid(nav2: Nav2, output: Output) -> Iterator[str]:
    """What processMap and interpretValue of static_layer.cpp make of the grid."""
    for layer in nav2.layers('StaticLayer'):
        grid = output.messages.get(layer['map_topic'])
        if not isinstance(grid, OccupancyGrid):
            continue
        costs = {interpret_value(int(value), nav2.costmap) for value in
                 np.unique(np.array(grid.data, np.int8).view(np.uint8))}
        if costs != {'free', 'lethal', 'unknown'}:
            yield f'cells become {costs}, wanted free, lethal and unknown'
        info = grid.info
        if len(grid.data) != info.width * info.height or info.origin.orientation.w != 1.0:
            yield 'the grid is malformed or turned'
        if not np.isclose(info.resolution, nav2.costmap['resolution']):
            yield f"resolution is {info.resolution}, wanted {nav2.costmap['resolution']}"
        if not nav2.costmap['rolling_window']:
            yield 'every grid would resize a costmap that does not roll'
        if grid.header.frame_id != nav2.costmap['global_frame']:
            yield f"the grid is in {grid.header.frame_id}, wanted {nav2.costmap['global_frame']}"
        if layer.get('subscribe_to_updates', False):
            yield f"{layer['map_topic']}_updates is not published"


def interpret_value(value: int, costmap: dict) -> str:
    """Return what StaticLayer::interpretValue makes of a cell, an unsigned byte."""
    if value == costmap.get('unknown_cost_value', 255):
        return 'unknown' if costmap['track_unknown_space'] else 'free'
    if value == costmap.get('inscribed_obstacle_cost_value', 99):
        return 'inscribed'
    if value >= costmap.get('lethal_cost_threshold', 100):
        return 'lethal'
    if costmap.get('trinary_costmap', True):
        return 'free'
    return 'free' if value == 0 else 'between'


def check_frames(nav2: Nav2, output: Output) -> Iterator[str]:
    """Stamps are the frame's; frames are those that Nav2 transforms from."""
    for reader in nav2.readers():
        message = output.messages.get(reader.topic)
        if message is None or not hasattr(message, 'header') or reader.kind is LabelInfo:
            continue
        if message.header.stamp != output.sent.header.stamp:
            yield f'{reader.topic} has another stamp than the frame'
        if reader.kind in (PointCloud2, LaserScan) \
                and message.header.frame_id != nav2.costmap['robot_base_frame']:
            yield f'{reader.topic} is in {message.header.frame_id}'
    if nav2.monitor['base_frame_id'] != nav2.costmap['robot_base_frame']:
        yield 'costmap and collision monitor have different base frames'
    if nav2.monitor['odom_frame_id'] != nav2.costmap['global_frame']:
        yield 'costmap and collision monitor have different odometry frames'


def check_safety(nav2: Nav2) -> Iterator[str]:
    """Nothing unseen is free, a dead camera stops the robot, and the manager starts the node."""
    if not nav2.costmap.get('track_unknown_space', False):
        yield 'what is unknown would be free'
    timeout = nav2.monitor['source_timeout']
    for name in ('stall_timeout', 'max_frame_age'):
        if not 0.0 < nav2.enet[name] <= timeout:
            yield f'{name} is {nav2.enet[name]}, wanted within source_timeout {timeout}'
    if not any(source['enabled'] and source['topic'] == '/enet/free_space'
               for source in nav2.monitored()):
        yield 'the collision monitor does not watch /enet/free_space'
    for _, source in nav2.sources():
        if not 0.0 < source['expected_update_rate'] <= timeout:
            yield f"{source['topic']} may stop unnoticed: expected_update_rate"
    for camera in nav2.cameras():
        if camera.get('outside_fov_decay_time', -1.0) > 0.0:
            yield 'outside_fov_decay_time wants a cloud in the optical frame'
    if nav2.manager['node_names'] != ['enet'] or nav2.manager['bond_timeout'] != 0.0 \
            or nav2.enet['autostart']:
        yield 'the lifecycle manager and the node disagree on who starts it'


def cloud_points(cloud: PointCloud2, organised: bool = False) -> np.ndarray:
    points = np.frombuffer(cloud.data, '<f4').reshape(-1, cloud.point_step // 4)[:, :3]
    return points.reshape(cloud.height, cloud.width, 3) if organised else points


def load(name: str) -> tuple[str, dict]:
    path = REPOSITORY / 'config' / f'{name}.yaml'
    return str(path), yaml.safe_load(path.read_text())


def flatten(values: dict, prefix: str = '') -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', value


def known_transforms(target, source, stamp):
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
        assert node.node.start()
        assert not node.node._cameras  # autostart is false: Nav2's manager does what follows
        node.node.trigger_configure()
        node.node.trigger_activate()
        node.node._cameras[0].transforms.lookup = known_transforms
        return output_of(node, frame)

    return make


def output_of(node, frame) -> Output:
    names = ('labels', 'confidence', 'points', 'obstacles', 'free_space', 'grid')
    node.listen(*names)
    node.send(calibration(), 'camera_info')
    node.wait(lambda: node.node._cameras[0].calibration() is not None, 'camera info')
    sent = node.image(frame)
    messages = {f'/enet/{name}': message for name, message in
                zip(names, node.reply(sent, *names))}
    if LabelInfo is not None:
        got = []
        node.tester.create_subscription(LabelInfo, '/enet/label_info', got.append, LATCHED(5))
        node.wait(lambda: got, 'label_info')
        messages['/enet/label_info'] = got[-1]
    return Output(node, sent, messages, node.node._node_parameters.drivable_names())


def calibration():
    k = SCENE.camera.k
    return CameraInfo(width=SCENE.camera.width, height=SCENE.camera.height, k=k.ravel(),
                      distortion_model='plumb_bob', d=[0.0] * 5, r=np.eye(3).ravel(),
                      p=np.hstack((k, np.zeros((3, 1)))).ravel())


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
        (f'{LAYER}free_space/obstacle_min_range', 4.2, 'marks nearer than rays clear'),
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
    ],
}


def with_mistake(document: dict, path: str, value: object) -> dict:
    changed = copy.deepcopy(document)
    *folders, name = path.split('/')
    place = changed
    for folder in folders:
        place = place[folder]
    assert name in place, f'{path} is not in the file'
    place[name] = value
    return changed


@pytest.mark.parametrize('name', [SEMANTIC, OBSTACLE, GRID])
def test_nav2_gets_what_its_file_reads(started, road_frame, name):
    path, document = load(name)
    output = started(path, document, road_frame)
    for parameter, value in flatten(Nav2(document).enet):
        if parameter != 'resolution':  # the bench's is small
            assert output.node.node.get_parameter(parameter).value == value, parameter
    assert check(document, output) == []
    for place, value, said in MISTAKES[name]:
        found = check(with_mistake(document, place, value), output)
        assert any(said in line for line in found), f'{place} = {value}: {found}'


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
    """After a stall nothing in metres is sent with a new stamp, so source_timeout runs out."""
    path, document = load(OBSTACLE)
    output = started(path, document, road_frame)
    camera = output.node.node._cameras[0]
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
    output.node.node._pipeline.segmenter.backend.infer = lambda batch, *, confidence: (
        small[None].copy(), np.ones((1, *small.shape), np.float32) if confidence else None)
    names = ('free_space', 'obstacles')
    found = output.node.reply(output.node.image(frame), *names)
    output.messages.update(zip((f'/enet/{name}' for name in names), found))
    return output


@pytest.mark.parametrize('name', [SEMANTIC, OBSTACLE, GRID])
def test_the_collision_monitor_goes_on_an_empty_street_and_stops_before_a_wall(
        started, road_frame, name):
    path, document = load(name)
    nav2, output = Nav2(document), started(path, document, road_frame)
    frame, street = RoadScene(320, 192, style=EMPTY).render(1.0)
    wall = np.ones_like(street)
    wall[:135, :10] = street[-1, 160]  # a little road beside it, 8 m away
    enough = nav2.monitor['stop_zone']['min_points']
    free = points_in_stop_zone(nav2, reply_to_labels(output, street, frame))
    assert max(free.values()) == 0
    blocked = points_in_stop_zone(nav2, reply_to_labels(output, wall, frame))
    assert blocked['/enet/free_space'] >= enough


def test_a_wall_that_fills_the_picture_stops_the_robot(started, road_frame):
    path, document = load(OBSTACLE)
    nav2, output = Nav2(document), started(path, document, road_frame)
    wall = np.ones(road_frame.shape[:2], np.uint8)
    blocked = points_in_stop_zone(nav2, reply_to_labels(output, wall, road_frame))
    assert blocked['/enet/free_space'] >= nav2.monitor['stop_zone']['min_points']
