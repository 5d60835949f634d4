"""The layout for Foxglove names panels, topics, types and fields that exist on a running graph."""

import json
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros
LAYOUT = Path(__file__).resolve().parents[2] / 'config' / 'foxglove_layout.json'
#: What each kind of panel draws, by its documentation.
DRAWN_BY = {
    'Image': {'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'},
    '3D': {'nav_msgs/msg/OccupancyGrid', 'sensor_msgs/msg/PointCloud2',
           'sensor_msgs/msg/LaserScan'},
    'Plot': {'enet_ros/msg/FrameTiming'},
    'DiagnosticSummary': {'diagnostic_msgs/msg/DiagnosticArray'}}


@pytest.fixture
def layout():
    return json.loads(LAYOUT.read_text())


def panels_in(tree):
    """Return the names of the panels of a tree of splits."""
    if isinstance(tree, str):
        return [tree]
    assert tree['direction'] in ('row', 'column') and 0 < tree['splitPercentage'] < 100
    return panels_in(tree['first']) + panels_in(tree['second'])


def topics_in(panel, config):
    """Return the topics of a panel that are shown."""
    kind = panel.split('!')[0]
    if kind == 'Image':
        return [config['imageMode']['imageTopic']]
    if kind == '3D':
        return [topic for topic, shown in config['topics'].items() if shown['visible']]
    if kind == 'Plot':
        return [path['value'].split('.')[0] for path in config['paths']]
    return [config['topicToRender']]


def test_every_panel_of_the_layout_has_a_configuration_and_the_reverse(layout):
    panels = panels_in(layout['layout'])
    assert sorted(panels) == sorted(layout['configById'])
    assert {panel.split('!')[0] for panel in panels} == set(DRAWN_BY)


def test_every_topic_of_the_layout_is_on_the_graph_with_a_type_that_the_panel_draws(layout, start):
    start('segment_node', '-p', 'resolution:=[160, 96]')
    start('replay_camera')
    missing = {(topic, panel.split('!')[0]) for panel, config in layout['configById'].items()
               for topic in topics_in(panel, config)}
    assert {'/image', '/enet/overlay', '/enet/grid'} <= {topic for topic, _ in missing}
    with Graph() as types_of:
        deadline = time.monotonic() + 60
        while missing:
            assert time.monotonic() < deadline, f'no such topic, or type: {missing}'
            types = types_of()
            missing = {(topic, kind) for topic, kind in missing
                       if not DRAWN_BY[kind] & set(types.get(topic, ()))}
            time.sleep(0.1)


def test_every_plotted_value_is_a_field_of_the_timing(layout):
    from enet_ros.msg import FrameTiming
    paths = [path for config in layout['configById'].values() for path in config.get('paths', ())]
    assert paths and all(path['enabled'] for path in paths)
    for path in paths:
        field = path['value'].split('.')[1]
        assert FrameTiming.get_fields_and_field_types()[field] == 'float'


class Graph:
    """A node of this process that asks the graph for topics and types."""

    def __enter__(self):
        import rclpy
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node('foxglove_layout', context=self._context)
        return lambda: {info[0]: info[1] for info in self._published()}

    def _published(self):
        return [(topic, types) for topic, types in self._node.get_topic_names_and_types()
                if self._node.count_publishers(topic)]

    def __exit__(self, *_):
        self._node.destroy_node()
        self._context.try_shutdown()
