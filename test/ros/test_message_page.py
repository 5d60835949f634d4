"""docs/messages.md: it is what the command prints, and a real node keeps to it."""

import subprocess
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from enet_ros.ros.outputs import OUTPUTS  # noqa: E402
from enet_ros.ros.tools.message_notes import NOTES  # noqa: E402
from enet_ros.ros.tools.message_page import (  # noqa: E402
    OTHER_OUTPUTS,
    definition_fields,
    page_lines,
    qos_text,
    type_name_of,
)

pytestmark = pytest.mark.ros
REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_page_is_what_the_command_prints():
    printed = subprocess.run(['enet-ros', 'messages'], capture_output=True, text=True, check=True)
    assert (REPOSITORY / 'docs' / 'messages.md').read_text() == printed.stdout, (
        'enet-ros messages > docs/messages.md writes the page anew')


def test_every_field_of_every_output_is_explained_and_no_other():
    assert set(NOTES) == set(OUTPUTS)
    for name, output in OUTPUTS.items():
        if not type_name_of(output).startswith('enet_ros/'):
            assert set(NOTES[name].fields) == set(
                output.message_type.get_fields_and_field_types()), name


@pytest.mark.parametrize('path', sorted((REPOSITORY / 'msg').glob('*.msg')), ids=lambda p: p.stem)
def test_every_field_of_our_messages_has_a_comment_of_its_own(path):
    fields = definition_fields(path.stem, path.read_text())
    kinds = {output.message_type.__name__: output.message_type for output in OUTPUTS.values()}
    assert list(fields) == list(kinds[path.stem].get_fields_and_field_types())
    assert all(len(comment) > 10 for _, comment in fields.values())


def test_a_field_without_a_comment_is_refused():
    with pytest.raises(ValueError, match=r"New.msg: 'float32 speed' has no comment"):
        definition_fields('New', 'float32 speed\n')


def test_a_comment_goes_on_in_the_next_line():
    assert definition_fields('New', 'float32 speed  # In meters\n   # per second.\n') == {
        'speed': ('float32', 'In meters per second.')}


def test_a_node_publishes_what_the_page_says(metric, road_frame):
    node = metric(*OUTPUTS)
    replies = dict(zip(OUTPUTS, node.reply(node.image(road_frame), *OUTPUTS)))
    for name, message in replies.items():
        assert getattr(message, 'encoding', getattr(message, 'format', '')) == NOTES[name].encoding
        in_base = NOTES[name].fields.get('header', '').startswith('Stamp of the camera frame')
        assert message.header.frame_id == ('base_link' if in_base else 'cam'), name
    for name in ('points', 'obstacles'):
        assert [(field.name, field.datatype) for field in replies[name].fields] == [
            (axis, 7) for axis in 'xyz']
        assert replies[name].point_step == 12
        assert replies[name].is_dense == (name == 'obstacles')
    scan = replies['free_space']
    assert not scan.time_increment and not scan.scan_time and not len(scan.intensities)
    info = replies['camera_info']
    assert not info.binning_x and not info.binning_y and not info.roi.width
    assert set(replies['grid'].data) <= {0, 100, -1}


def test_the_quality_of_service_on_the_network_is_that_of_the_page(bench):
    node = bench()
    topics = {f'/enet/{name}' for name in OUTPUTS} | {
        topic for topic, *_ in OTHER_OUTPUTS if topic.startswith('/')}
    page = '\n'.join(page_lines())
    for topic in sorted(topics):
        node.wait(lambda topic=topic: node.tester.get_publishers_info_by_topic(topic), topic)
        info, = node.tester.get_publishers_info_by_topic(topic)
        heading = topic.replace('/enet/', '~/')
        section = page.split(f'\n## {heading}\n')[1].split('\n## ')[0]
        assert info.topic_type.replace('/msg/', '/') in section
        info.qos_profile.depth = 1  # DDS does not tell the depth of others
        assert qos_text(info.qos_profile) in section
