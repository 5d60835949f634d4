"""The rules of ``enet-ros view`` that need no browser."""

import subprocess

import numpy as np
import pytest
from support.absence import import_or_skip

import_or_skip('rclpy', 'rclpy is not installed: make setup')
import_or_skip('rerun', 'rerun-sdk is not installed: scripts/setup.sh view')

from enet_ros.cli.view import checked_show, within  # noqa: E402
from enet_ros.network.class_map import UNKNOWN, ClassMap  # noqa: E402
from enet_ros.ros.tools.view_node import FrameHistory, Thinning  # noqa: E402
from enet_ros.ros.tools.view_target import COMPRESSED, IMAGE, image_topic  # noqa: E402
from enet_ros.view.drawing import annotations  # noqa: E402
from enet_ros.view.layout import SHOWN  # noqa: E402
from enet_ros.view.server import Address, checked_address, memory_bytes  # noqa: E402


def test_frames_above_the_rate_are_left_out_on_every_topic_alike():
    now = [100.0]
    thinning = Thinning(10.0, lambda: now[0])
    taken = []
    for stamp in range(30):  # thirty frames a second for one second
        taken.append(thinning.takes(stamp))
        assert thinning.takes(stamp) == taken[-1]
        now[0] += 1 / 30
    assert 9 <= sum(taken) <= 11


def test_frames_of_one_stamp_are_drawn_now_and_then():
    now = [0.0]
    thinning = Thinning(10.0, lambda: now[0])
    taken = []
    for _ in range(20):
        taken.append(thinning.takes(0))
        now[0] += 0.6
    assert all(taken)


def test_the_history_is_bounded_and_gives_the_frame_of_a_stamp():
    history = FrameHistory(max_bytes=250)
    for stamp in range(5):
        history.add(stamp, bytes([stamp]) * 100)
    assert history.take(1) is None
    assert history.take(4) == bytes([4]) * 100
    assert history.take(3) is None  # older than the one taken
    history.add(9, bytes(1000))
    assert len(history.take(9)) == 1000


@pytest.mark.parametrize(('camera', 'cameras', 'inputs', 'expected'), [
    ('', [''], {'/cam/image_raw': [IMAGE], '/tf': ['tf2_msgs/msg/TFMessage']},
     ('/cam/image_raw', False)),
    ('', [''], {'/cam/compressed': [COMPRESSED]}, ('/cam/compressed', True)),
    ('left', ['front', 'left'], {'/front/image': [IMAGE], '/left/raw': [IMAGE]},
     ('/left/raw', False)),
    ('left', ['front', 'left'], {}, ('/robot/left/image', False))])
def test_the_topic_of_a_camera_is_the_one_to_which_the_node_subscribes(camera, cameras, inputs,
                                                                       expected):
    assert image_topic(camera, cameras, inputs, '/robot') == expected


@pytest.mark.parametrize(('camera', 'expected'), [('', '/image'), ('left', '/left/image')])
def test_a_camera_that_is_not_seen_has_a_valid_topic_without_a_namespace(camera, expected):
    assert image_topic(camera, [camera], {}, '') == (expected, False)


def test_unknown_has_a_name_and_drivable_classes_say_so():
    class_map = ClassMap.from_names(['Sky', 'Road', 'void'])
    infos = annotations(class_map).context.as_arrow_array().to_pylist()[0]
    names = {row['class_id']: row['class_description']['info']['label'] for row in infos}
    assert names == {0: 'Sky', 1: 'Road (drivable)', UNKNOWN: 'unknown'}


def test_the_options_name_what_was_given_and_what_is_wanted():
    assert checked_show('all') == SHOWN
    assert checked_show('mask, camera') == ('camera', 'mask')
    with pytest.raises(ValueError, match="--show has 'maks', wanted all, or some of camera, .*; "
                                         "did you mean 'mask'"):
        checked_show('maks')
    for value in (0.0, float('nan'), -1.0):
        with pytest.raises(ValueError, match='--rate is'):
            within('--rate', value, 0.1, 100.0)


def test_addresses_that_cannot_be_used_are_refused():
    taken = checked_address('127.0.0.1', 0, '256MB')
    assert taken.page_url() == f'http://127.0.0.1:{taken.port}/'
    assert taken.is_local() and not Address('0.0.0.0').is_local()
    for bind, port, message in (('robot', 0, "--bind is 'robot'"), ('127.0.0.1', 70000, '70000'),
                                ('203.0.113.9', 0, 'cannot listen on 203.0.113.9')):
        with pytest.raises(ValueError, match=message):
            checked_address(bind, port, '256MB')


def test_memory_is_what_rerun_reads():
    for memory in ('256MB', '1.5GiB', '25%', '100%', '64kB'):
        assert checked_address('127.0.0.1', 0, memory).memory == memory
    assert [memory_bytes(memory) for memory in ('64kB', '1.5GiB')] == [64_000, 3 * 2**29]
    assert memory_bytes('50%') * 2 == pytest.approx(memory_bytes('100%'), rel=1e-6)
    for memory in ('lots', '', '256', '0MB', '-1MB', '150%', '1gb', '1KB', '1MB\n', '1MB --x'):
        with pytest.raises(ValueError, match='wanted a size such as 256MB'):
            checked_address('127.0.0.1', 0, memory)


@pytest.mark.ros
def test_a_node_that_does_not_come_is_named_with_what_to_do():
    done = subprocess.run(['enet-ros', 'view', '--node', '/robot/enet', '--wait', '1',
                           '--port', '0'], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert 'There is no node /robot/enet.' in done.stderr
    assert 'or name it by --node, or set ROS_DOMAIN_ID' in done.stderr


def test_labels_are_read_without_the_padding_of_their_rows():
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import Image

    from enet_ros.ros.tools.view_node import mono8
    message = Image(height=2, width=3, step=4, encoding='mono8', data=bytes(range(8)))
    np.testing.assert_array_equal(mono8(serialize_message(message)), [[0, 1, 2], [4, 5, 6]])
    message.encoding = 'rgb8'
    with pytest.raises(ValueError, match='the encoding is rgb8'):
        mono8(serialize_message(message))


@pytest.mark.ros
@pytest.mark.parametrize(('options', 'words'), [
    (['--memory', 'lots'], "--memory is 'lots', wanted a size such as 256MB"),
    (['--rate', 'x'], "argument --rate: invalid float value: 'x'"),
    (['--opacity', 'nan'], '--opacity is nan, wanted 0 to 1'),
    (['--wait', '-1'], '--wait is -1, wanted 0 to 1e+06'),
    (['--port', '70000'], '--port is 70000, wanted 0 to 65535'),
    (['--show='], "--show has '', wanted all, or some of camera"),
    (['--node='], "--node is '', wanted the name of a node, such as /enet"),
    (['--node', '/a b'], "--node is 'a b', wanted the name of a node"),
    (['--image', 'camera//image'], "--image is '/camera//image', wanted a topic"),
    (['--weights', 'nobody'], "'nobody'")])
def test_a_bad_option_is_an_error_of_the_call_before_any_waiting(capsys, options, words):
    """The wait is longer than the test may take."""
    from enet_ros.cli.main import main
    try:
        code = main(['view', '--port', '0', '--wait', '1000', *options])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith('enet-ros view: error: ') and words in error


def test_topics_that_diagnostics_tell_are_taken_only_if_they_can_be():
    from enet_ros.ros.tools.view_target import check_names
    check_names('/robot/enet', ['/cam/image_raw'])
    for topic in ('cam', '/9', '/a b', '/'):
        with pytest.raises(ValueError, match='--image is'):
            check_names('/enet', [topic])
