"""What Nav2 reads, for tests of config/nav2_*.yaml against the node's real output.

Nav2 itself is not run. What its readers subscribe and check is written down here from their
source: navigation2 a3a9704 (``nav2_costmap_2d/plugins``, ``nav2_collision_monitor/src``,
``nav2_ros_common/include/nav2_ros_common/qos_profiles.hpp``) and semantic_segmentation_layer
b269885 (``src``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import yaml
from nav_msgs.msg import OccupancyGrid
from rclpy.qos import (
    DurabilityPolicy,
    LivelinessPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from sensor_msgs.msg import Image, LaserScan, PointCloud2

from enet_ros.perception.parameters.settings import ScanSettings, make_settings
from enet_ros.ros.compat import LabelInfo

SEMANTIC, OBSTACLE, GRID = 'nav2_semantic', 'nav2_obstacle', 'nav2_grid'
SEMANTIC_ROAD = 'nav2_semantic_road'  # the same for the weights enet_road


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
#: of the robot, as the comments in nav2_obstacle.yaml say
SPEED_MPS = 1.5
#: that the collision monitor must not overlook, as a person from the side or a bollard
THIN_M = 0.25


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


def flatten(values: dict, prefix: str = '') -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', value


def scan_settings(nav2: Nav2) -> ScanSettings:
    """Return the rays that the node's half of a file asks for, defaults included."""
    settings = make_settings(dict(flatten(nav2.enet)))
    range_max = min(settings.scan.range_max, settings.ground.max_range)
    return replace(settings.scan, range_max=range_max)


def check_halves(document: dict) -> list[str]:
    """Return what is wrong between the two halves of a file, without the node."""
    nav2 = Nav2(document)
    scan = scan_settings(nav2)
    return [*check_spacing(nav2, scan), *check_minimum_ranges(nav2)]


def check_spacing(nav2: Nav2, scan: LaserScan | ScanSettings) -> Iterator[str]:
    """Rays are no farther apart than half a cell of their layer, and meet thin obstacles."""
    scans = [source for _, source in nav2.sources() if source['data_type'] == 'LaserScan']
    if scans and scan.angle_increment > nav2.costmap['resolution'] / (2.0 * scan.range_max):
        yield (f'rays are {scan.angle_increment} rad apart, farther than half a cell of '
               f"{nav2.costmap['resolution']} m at {scan.range_max} m")
    zone = np.array(yaml.safe_load(nav2.monitor['stop_zone']['points']))
    width = (nav2.monitor['stop_zone']['min_points'] * scan.angle_increment
             * np.hypot(*zone.T).max())
    if width > THIN_M:
        yield f'the collision monitor overlooks obstacles less than {width:.2f} m wide'


def check_minimum_ranges(nav2: Nav2) -> Iterator[str]:
    """A mark gets a second ray before the robot is too near for rays to clear it."""
    cleared_from = [source['raytrace_min_range'] for _, source in nav2.sources()
                    if source['clearing']]
    passed = SPEED_MPS / nav2.costmap['update_frequency']
    for _, source in nav2.sources():
        least = max(cleared_from, default=0.0) + passed
        if source['marking'] and source['obstacle_min_range'] < least - EPSILON_M:
            yield f"{source['topic']} marks nearer than rays clear twice: {least:.2f} m"


def known_share(scan: LaserScan, source: dict, resolution: float, half_angle: float) -> float:
    """Return the share of the cells ahead that the free rays of a scan clear, as Nav2 does.

    ObstacleLayer::raytraceFreespace draws a Bresenham line of every ray. Counted are the cells
    between obstacle_min_range and obstacle_max_range within half_angle of straight ahead.
    """
    cells = round(2.0 * scan.range_max / resolution)
    middle, cleared = cells // 2, np.zeros((cells, cells), np.uint8)
    for ray in np.flatnonzero(np.isposinf(scan.ranges)):
        angle = scan.angle_min + ray * scan.angle_increment
        direction = np.array((np.cos(angle), np.sin(angle))) / resolution
        start, end = (middle + np.floor(reach * direction).astype(int)
                      for reach in (source['raytrace_min_range'], source['raytrace_max_range']))
        cv2.line(cleared, start.tolist(), end.tolist(), 255)
    x, y = (np.indices(cleared.shape)[::-1] - middle + 0.5) * resolution
    reach = np.hypot(x, y)
    ahead = (np.abs(np.arctan2(y, x)) < half_angle) & (reach < source['obstacle_max_range']) \
        & (reach > source['obstacle_min_range'])
    return float(cleared[ahead].mean() / 255)


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
        nearest = cloud_points(output.messages['/enet/points'], organized=True)[-1]
        border = np.hypot(nearest[:, 0], nearest[:, 1]).max()
        if source['raytrace_min_range'] < border:
            yield f'raytrace_min_range clears unseen ground nearer than {border:.2f} m'
    yield from check_spacing(nav2, output.messages['/enet/free_space'])
    yield from check_minimum_ranges(nav2)
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
    watched = {source['topic'] for source in nav2.monitored() if source['enabled']}
    for topic in {'/enet/free_space', '/enet/obstacles'} - watched:
        yield f'the collision monitor does not watch {topic}'
    for _, source in nav2.sources():
        if not 0.0 < source['expected_update_rate'] <= timeout:
            yield f"{source['topic']} may stop unnoticed: expected_update_rate"
    for camera in nav2.cameras():
        if camera.get('outside_fov_decay_time', -1.0) > 0.0:
            yield 'outside_fov_decay_time wants a cloud in the optical frame'
    if nav2.manager['node_names'] != ['enet'] or nav2.manager['bond_timeout'] != 0.0 \
            or nav2.enet['autostart']:
        yield 'the lifecycle manager and the node disagree on who starts it'


def cloud_points(cloud: PointCloud2, organized: bool = False) -> np.ndarray:
    points = np.frombuffer(cloud.data, '<f4').reshape(-1, cloud.point_step // 4)[:, :3]
    return points.reshape(cloud.height, cloud.width, 3) if organized else points
