"""The table of outputs: what the README says, and what one more output takes."""

import re
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from enet_ros.perception.perceive import Need  # noqa: E402
from enet_ros.ros.messages import image_message  # noqa: E402
from enet_ros.ros.outputs import OUTPUTS, Image, Output  # noqa: E402

pytestmark = pytest.mark.ros
README = Path(__file__).resolve().parents[2] / 'README.md'
#: The two outputs that are not made from a frame.
NOT_OF_A_FRAME = {'~/label_info': 'vision_msgs/LabelInfo',
                  '/diagnostics': 'diagnostic_msgs/DiagnosticArray'}


def test_the_readme_lists_every_output_with_its_type():
    rows = re.findall(r'^\| out `([^`]+)` \| `([^`]+)` \|', README.read_text(), re.MULTILINE)
    table = {f'~/{output.name}': '/'.join((output.message_type.__module__.split('.')[0],
                                           output.message_type.__name__))
             for output in OUTPUTS.values()}
    assert dict(rows) == table | NOT_OF_A_FRAME
    assert len(rows) == len(dict(rows))


def test_every_output_in_meters_needs_the_ground():
    assert {name for name, output in OUTPUTS.items() if Need.GROUND in output.needs} \
        == {'points', 'obstacles', 'free_space', 'grid'}


def test_one_row_and_one_function_are_a_new_output(bench, monkeypatch, pixels, road_frame):
    def make_half_mask(frame, context):
        return image_message(frame.header, frame.perception.mask // 2, 'mono8')

    row = Output('half_mask', Image, make_half_mask, Need.MASK)
    monkeypatch.setitem(OUTPUTS, row.name, row)
    node = bench(output_size='network')
    node.listen('half_mask', 'drivable_mask')
    half, mask = node.reply(node.image(road_frame), 'half_mask', 'drivable_mask')
    assert (pixels(half) == pixels(mask) // 2).all()


def test_an_output_that_fails_takes_no_other_along(bench, monkeypatch, road_frame):
    def fail(frame, context):
        raise RuntimeError('dst.cols < SHRT_MAX')

    row = Output('broken', Image, fail, Need.MASK)
    monkeypatch.setitem(OUTPUTS, row.name, row)
    node = bench(output_size='network', diagnostics_period=60.0)
    node.listen('broken')
    node.send(node.image(road_frame))  # Without any output, a frame is dropped and ends no stall.
    node.wait(lambda: node.camera.health.dropped == 1, 'a dropped frame')
    node.listen('drivable_mask')
    node.reply(node.image(road_frame), 'drivable_mask')
    health = node.camera.health
    level, text = health.summary()
    assert level == 1 and 'no ~/broken: RuntimeError: dst.cols < SHRT_MAX' in text
    assert (health.published, health.dropped) == (1, 1)
