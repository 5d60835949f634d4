"""``enet-ros doctor`` beside a real node over DDS: every finding is provoked."""

import argparse
import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest
from support.ground import GROUND, calibration

pytest.importorskip('rclpy', reason='rclpy is not installed')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # noqa: E402
from rclpy.qos import (  # noqa: E402
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
)
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402

from enet_ros.cli import doctor_graph  # noqa: E402
from enet_ros.ros.graph_doctor import observer as observer_module  # noqa: E402
from enet_ros.ros.graph_doctor.findings import Kind  # noqa: E402
from enet_ros.ros.graph_doctor.look import look_at_graph  # noqa: E402
from enet_ros.ros.segment_node import SegmentNode  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.quiet]
SEC = 1_000_000_000


def look(node='enet', seconds=1.5, **options):
    """Look, and return the texts by kind."""
    report = look_at_graph({}, node, seconds=seconds, **options)
    return {finding.kind: finding.text for finding in report.findings}


@contextmanager
def sending(bench, make, kind=Image, topic='image', hz=15.0):
    """Send a message of ``make()`` again and again from a thread of its own."""
    publisher, stop = bench.publisher(kind, topic), threading.Event()

    def run():
        while not stop.wait(1.0 / hz):
            publisher.publish(make())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def node(bench):
    return bench()


def frames(node, road_frame, age_sec=0.0, **options):
    """A maker of images whose stamps are so many seconds old."""
    return lambda: node.image(road_frame, stamp_ns=time.time_ns() - int(age_sec * SEC), **options)


def test_a_healthy_node_has_its_backend_named_and_no_error(node, road_frame):
    node.listen('drivable_mask')
    with sending(node, frames(node, road_frame)):
        found = look(seconds=2.5)
    assert 'float32, 160x96' in found.pop(Kind.BACKEND)
    found.pop(Kind.SHARED_MEMORY, None)  # of this machine
    found.pop(Kind.LEFTOVERS, None)
    assert [kind for kind in found if kind.value.severity > 1] == []
    assert Kind.STAMP_PAST not in found and Kind.NO_SUBSCRIBER not in found


def test_no_publisher_and_no_subscriber(node):
    found = look()
    assert found[Kind.NO_PUBLISHER] == ('/image has no publisher, and no topic has such images')
    node.tester.create_publisher(Image, '/camera/color/image_raw', 10)
    assert look()[Kind.NO_PUBLISHER] == ('/image has no publisher, and such images are on '
                                         '/camera/color/image_raw')
    assert 'nobody subscribes to /enet/labels' in found[Kind.NO_SUBSCRIBER]
    assert 'no frame' in found.get(Kind.NODE_FAILS, found.get(Kind.NODE_WARNS))


@pytest.mark.parametrize(('kind', 'topic'), [
    (Image, '/enet/confidence'), (CompressedImage, '/enet/labels/compressed'),
    (Image, '/seg/mask')])
def test_a_subscriber_of_any_output_counts(bench, kind, topic):
    remap = ['--ros-args', '-r', '~/drivable_mask:=/seg/mask']
    node = bench(make_node=lambda **options: SegmentNode(cli_args=remap, **options))
    node.tester.create_subscription(kind, topic, lambda message: None, 10)
    found = look()
    assert Kind.NO_SUBSCRIBER not in found
    assert found[Kind.NO_PUBLISHER].endswith('no topic has such images')  # Its own do not count.


def test_a_publisher_that_sends_nothing_and_a_second_one(node):
    node.publisher(Image)
    node.tester.create_publisher(Image, 'image', 10)
    found = look()
    assert 'no message came' in found[Kind.NO_FRAMES]
    assert found[Kind.TWO_PUBLISHERS] == '/image has 2 publishers: /tester, /tester'


@pytest.mark.parametrize(('policy', 'profile'), [
    ('reliability', {'reliability': ReliabilityPolicy.RELIABLE}),
    ('durability', {'reliability': ReliabilityPolicy.RELIABLE,
                    'durability': DurabilityPolicy.TRANSIENT_LOCAL})])
def test_qos_that_cannot_match_names_the_policy(bench, policy, profile):
    from enet_ros.ros.outputs import OUTPUTS
    node = bench(**{'qos_overrides./enet/labels.publisher.reliability': 'best_effort'}
                 if policy == 'reliability' else {})
    node.tester.create_subscription(OUTPUTS['labels'].message_type, '/enet/labels', print,
                                    QoSProfile(depth=1, **profile))
    found = look()
    assert found[Kind.QOS].startswith(
        f'/enet/labels: /enet and /tester cannot match: {policy} is ')


def test_an_image_that_cannot_be_read(node, road_frame):
    def make():
        message = node.image(road_frame)
        message.encoding = 'rgb9'
        return message
    with sending(node, make):
        assert 'rgb9' in look()[Kind.IMAGE]


def test_sizes_that_change_and_slow_images(node, road_frame):
    turns = iter(range(10_000))

    def make():
        return node.image(road_frame if next(turns) % 2 else road_frame[:96].copy())
    with sending(node, make, hz=3.0):
        found = look(seconds=2.5)
    assert found[Kind.SIZE_CHANGES] == '/image has images of 320x96, 320x192'
    assert found[Kind.SLOW].startswith('/image comes at ')


@pytest.mark.parametrize(('age_sec', 'kind', 'words'), [
    (30.0, Kind.STAMP_PAST, 'stamps lie 30 s in the past'),
    (-30.0, Kind.STAMP_FUTURE, 's in the future')])
def test_stamps_in_the_past_or_future(node, road_frame, age_sec, kind, words):
    with sending(node, frames(node, road_frame, age_sec)):
        assert words in look()[kind]


def test_stamps_that_are_zero_or_stand_still(node, road_frame):
    with sending(node, partial(node.image, road_frame, stamp_ns=0)):
        assert Kind.STAMP_ZERO in look()
    with sending(node, partial(node.image, road_frame, stamp_ns=time.time_ns())):
        assert 'one stamp' in look()[Kind.STAMP_STILL]


def test_old_frames_that_the_node_drops(bench, road_frame):
    node = bench(max_frame_age=0.5)
    with sending(node, frames(node, road_frame, 30.0)):
        assert 'max_frame_age is 0.5 s' in look()[Kind.STAMP_DROPPED]


def test_a_clock_that_is_silent_and_one_that_is_not_used(bench):
    node = bench(use_sim_time=True)
    assert '/clock, which has 0 publishers' in look()[Kind.NO_CLOCK]
    clock = node.tester.create_publisher(Clock, '/clock', 10)
    stop = threading.Event()

    def run():
        while not stop.wait(0.05):
            clock.publish(Clock())
    thread = threading.Thread(target=run)
    thread.start()
    found = look()
    stop.set()
    thread.join()
    assert Kind.NO_CLOCK not in found and Kind.WALL_TIME not in found


def test_a_clock_beside_a_node_in_wall_time(node):
    node.tester.create_publisher(Clock, '/clock', 10)
    assert '/clock has 1 publishers' in look()[Kind.WALL_TIME]


def test_camera_info_that_is_missing_wrong_or_of_another_frame(bench, road_frame):
    node = bench(**GROUND)
    with sending(node, frames(node, road_frame)):
        assert 'camera_info' in look()[Kind.NO_CAMERA_INFO]
        info = calibration()
        info.width, info.height, info.header.frame_id = 77, 500, 'elsewhere'
        with sending(node, lambda: info, CameraInfo, 'camera_info'):
            found = look()
    assert '77' in found[Kind.CAMERA_INFO]
    assert "'cam' in the images and 'elsewhere'" in found[Kind.FRAME_ID]


def test_camera_info_that_was_sent_once_names_the_overrides_by_which_it_comes(bench):
    latched = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                         durability=DurabilityPolicy.TRANSIENT_LOCAL)
    overrides = {'qos_overrides./camera_info.subscription.durability': 'transient_local',
                 'qos_overrides./camera_info.subscription.reliability': 'reliable'}
    for parameters in ({}, overrides):
        node = bench(**GROUND, **parameters)
        publisher = node.tester.create_publisher(CameraInfo, 'camera_info', latched)
        if parameters:
            before = look()
            assert Kind.NO_CAMERA_INFO in before and Kind.LATCHED_CAMERA_INFO not in before
        publisher.publish(calibration())
        found = look()
        node.close()
        if parameters:
            assert not {Kind.LATCHED_CAMERA_INFO, Kind.NO_CAMERA_INFO} & found.keys()
        else:
            assert all(f'{name} to {value}' in found[Kind.LATCHED_CAMERA_INFO]
                       for name, value in overrides.items())


def test_a_node_that_is_not_active(bench):
    bench(start=False)
    assert look()[Kind.NOT_ACTIVE] == '/enet is unconfigured'


def test_two_nodes_of_one_name(node, bench):
    bench()
    assert look()[Kind.SAME_NAME] == '2 nodes are named /enet'


def test_another_node_on_an_output(node):
    node.tester.create_publisher(Image, '/enet/labels', 10)
    assert look()[Kind.TWO_NODES] == '/enet/labels is published by /enet, /tester'


@pytest.mark.parametrize(('values', 'level', 'kind', 'words'), [
    ({'state': 'configuring'}, 1, Kind.ENGINE, 'building the engine'),
    ({'backend': 'tensorrt', 'engine': 'building 640x360'}, 0, Kind.ENGINE, 'building 640x360'),
    ({'backend': 'torch', 'rate_hz': '2.0'}, 0, Kind.SLOW_NODE, 'finishes 2.0 of '),
    ({'backend': 'torch'}, 2, Kind.NODE_FAILS, 'building the engine'),
    ({'backend': 'torch'}, 1, Kind.NODE_WARNS, 'building the engine')])
def test_what_a_node_says_of_itself(bench, road_frame, values, level, kind, words):
    node = bench(start=False)  # so that it says nothing itself
    publisher = node.tester.create_publisher(DiagnosticArray, '/diagnostics', 10)
    status = DiagnosticStatus(
        level=bytes([level]), name='enet: segmentation', message='building the engine',
        values=[KeyValue(key=key, value=value) for key, value in values.items()])
    publisher.publish(DiagnosticArray())
    images = node.tester.create_publisher(Image, 'image', 10)
    node.tester.create_subscription(Image, 'image', lambda message: None, 10)
    timer = node.tester.create_timer(
        0.1, lambda: (publisher.publish(DiagnosticArray(status=[status])),
                      images.publish(node.image(road_frame))))
    if kind is Kind.SLOW_NODE:  # An inactive node has no inputs; the rule compares two numbers.
        node.node.create_subscription(Image, 'image', lambda message: None, 1)
    found = look()
    node.tester.destroy_timer(timer)
    assert words in found[kind]


def test_an_active_node_that_hangs_is_told(bench):
    node = bench(diagnostics_period=60.0)
    assert Kind.NO_DIAGNOSTICS in look(seconds=0.5)
    assert node.node is not None


def test_a_node_that_does_not_answer(node, monkeypatch):
    monkeypatch.setattr(observer_module, 'ANSWER_SEC', 0.5)
    release, held = threading.Event(), threading.Event()

    def block():
        held.set()
        release.wait(30.0)
    node.tester.create_timer(0.05, block)  # It holds the executor of the node.
    assert held.wait(10.0)
    found = look(seconds=0.5)
    release.set()
    assert 'does not answer' in found[Kind.NO_ANSWER]


def test_a_node_is_found_by_its_name_with_any_slashes(node):
    from enet_ros.ros.graph_doctor.observer import open_observer
    with open_observer() as observer:
        for wanted in ('enet', '/enet', 'enet/', '/enet/'):
            assert observer.find(wanted) == ['/enet']


def test_a_node_that_is_not_there_and_a_bad_nav2_file(tmp_path):
    assert "node 'nobody' is not in domain 0" in look('nobody')[Kind.NO_NODE]
    for text in ('a: [', 'a: 1'):
        (tmp_path / 'nav2.yaml').write_text(text)
        with pytest.raises(ValueError, match='--nav2 .*nav2.yaml'):
            look(nav2=str(tmp_path / 'nav2.yaml'))


def test_topics_and_label_info_of_a_nav2_file(node, tmp_path):
    file = tmp_path / 'nav2.yaml'
    file.write_text('layer: {camera: {segmentation_topic: /other/labels, class_types: [road], '
                    'road: {classes: [Road]}}}')
    found = look(nav2=str(file))
    assert found[Kind.NAV2_TOPIC] == 'segmentation_topic is /other/labels, which nobody publishes'
    if observer_module.LabelInfo is None:
        assert 'no LabelInfo came' in found[Kind.LABEL_INFO]
    else:
        assert "class 'Sky'" in found[Kind.CLASS_MISSING] or Kind.CLASS_MISSING in found


def arguments(**values):
    return argparse.Namespace(**{'gpu': False, 'json': False, 'node': '', 'nav2': '',
                                 'seconds': 0.5, 'watch': None, **values})


def test_the_exit_code_is_that_of_the_worst_finding(bench):
    assert doctor_graph.look(arguments(), has_ros=True).code == 0  # nobody is there
    assert doctor_graph.look(arguments(node='nobody'), has_ros=True).code == 2
    bench()
    found = doctor_graph.look(arguments(), has_ros=True)
    assert (found.code, found.nodes) == (2, ['/enet'])
    assert any('-> Start the camera driver' in line for line in found.lines())
    assert doctor_graph.look(arguments(gpu=True), has_ros=True) == doctor_graph.GraphLook()
