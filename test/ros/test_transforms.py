"""Poses from TF: which transform is taken, and how long TF is listened to."""

import contextlib

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

import rclpy  # noqa: E402
from rclpy.clock import ClockType  # noqa: E402
from rclpy.time import Time  # noqa: E402
from support.ground import GROUND, SCENE, calibration, table, xyz  # noqa: E402
from support.tf2 import Tf2, TimedTf2  # noqa: E402

from enet_ros.ros.transforms import Transforms  # noqa: E402

pytestmark = pytest.mark.ros
SECOND = 10**9


def test_tf_that_is_not_there_leaves_the_masks_alone(bench, road_frame):
    node = bench(**{**GROUND, 'ground__pose': 'tf'})
    node.listen('points', 'labels')
    node.send(calibration(), 'camera_info')
    node.wait(lambda: node.camera.calibration.newest() is not None)
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

    def lookup(target, source, stamp, wait_sec):
        asked.append((target, source))
        return (0.0, 0.0, SCENE.camera.height_m), turn

    node.camera.transforms.lookup = lookup
    cloud = node.reply(node.image(road_frame, frame_id='cam'), 'points')
    assert asked[0] == ('base_link', 'cam')
    assert np.allclose(xyz(cloud), table().points, atol=1e-3, equal_nan=True)


def lookup(transforms, sec, wait_sec=0.0):
    """Return the transform of a frame of a time in seconds."""
    stamp = Time(nanoseconds=round(sec * 1e9)).to_msg()
    return transforms.lookup('odom', 'base_link', stamp, wait_sec)


@pytest.mark.parametrize(('sec', 'known'), [
    (100.0, True), (100.4, True), (100.6, False), (3000.0, False), (98.9, False), (99.4, True)])
def test_a_transform_far_from_the_frame_is_none(monkeypatch, sec, known):
    tf2 = TimedTf2(monkeypatch, 99, 100)
    if known:
        assert lookup(Transforms(None), sec)[0] == (7.0, 0.0, 0.0)
    else:
        with pytest.raises(LookupError, match='the newest transform from base_link to odom is '):
            lookup(Transforms(None), sec, 1.0)
    assert tf2.polls == 0


@pytest.mark.parametrize('yaw', [
    lambda sec: 0.06 * (sec - 100), lambda sec: 0.02 * np.cos(2 * np.pi * 4 * (sec - 99.95))])
def test_the_newest_transform_serves_no_later_frame_while_it_changes(monkeypatch, yaw):
    """One turns, the other swings, and was the same 0.1 s before."""
    TimedTf2(monkeypatch, 99, 100, yaw)
    with pytest.raises(LookupError, match=r'0\.100 s older than the frame, and it changes; .* '
                                          r'within 0 s \(tf_timeout\): publish TF sooner'):
        lookup(Transforms(None), 100.1)
    assert lookup(Transforms(None), 100.002)[0] == (7.0, 0.0, 0.0)


def test_a_single_transform_may_be_changing(monkeypatch):
    TimedTf2(monkeypatch, 100, 100)
    with pytest.raises(LookupError, match='and it changes'):
        lookup(Transforms(None), 100.1)


def test_a_frame_waits_for_the_transform_of_its_time(monkeypatch):
    tf2 = TimedTf2(monkeypatch, 99, 100, lambda sec: sec)

    def come():
        tf2.newest_sec = 100.1 if tf2.polls > 2 else 100.0

    tf2.on_poll = come
    assert lookup(Transforms(None), 100.05, 10.0).quaternion[2] == pytest.approx(
        np.sin(100.05 / 2))
    assert tf2.polls == 3


def test_no_frame_waits_again_for_a_tf_that_died(monkeypatch):
    tf2, transforms = TimedTf2(monkeypatch, 99, 100, lambda sec: sec), Transforms(None)
    for sec, waits in ((100.1, True), (100.2, False), (100.3, False)):
        tf2.polls = 0
        with pytest.raises(LookupError, match=r'within 0\.02 s'):
            lookup(transforms, sec, 0.02)
        assert (tf2.polls > 0) == waits


def test_a_tf_that_is_always_late_delays_few_frames(monkeypatch):
    tf2, transforms = TimedTf2(monkeypatch, 99, 100, lambda sec: sec), Transforms(None)
    waits = 0
    for _ in range(10):
        tf2.newest_sec += 0.1
        with pytest.raises(LookupError):
            lookup(transforms, tf2.newest_sec + 0.3, 0.01)
        waits, tf2.polls = waits + (tf2.polls > 0), 0
    assert waits == 3


def test_a_short_wait_of_one_camera_spares_no_other_its_own(monkeypatch):
    tf2, transforms = TimedTf2(monkeypatch, 99, 100, lambda sec: sec), Transforms(None)
    with pytest.raises(LookupError):
        lookup(transforms, 100.1, 0.01)
    tf2.on_poll = lambda: setattr(tf2, 'newest_sec', 100.1)
    lookup(transforms, 100.1, 1.0)


def test_waits_in_vain_count_only_in_a_row(monkeypatch):
    tf2, transforms = TimedTf2(monkeypatch, 99, 100, lambda sec: sec), Transforms(None)
    for _ in range(5):
        tf2.newest_sec += 0.1
        with pytest.raises(LookupError):
            lookup(transforms, tf2.newest_sec + 0.3, 0.01)
        assert tf2.polls
        lookup(transforms, tf2.newest_sec, 0.01)
        tf2.polls = 0


def test_a_small_jump_hides_no_great_one_before_it():
    transforms = Transforms(None)
    transforms.jumps.note('/clock', 100 * SECOND, 40 * SECOND, clears=1)
    transforms.jumps.note('/clock', 40 * SECOND + 5, 40 * SECOND)
    cleared = [transforms.jumps.take_clear(100 * SECOND, 41 * SECOND) for _ in range(3)]
    assert cleared == [True, True, False]


def test_the_wait_ends_with_the_topics(monkeypatch):
    tf2, transforms = TimedTf2(monkeypatch, 99, 100, lambda sec: sec), Transforms(None)
    tf2.on_poll = transforms.close
    with pytest.raises(LookupError):
        lookup(transforms, 100.1, 60.0)
    assert tf2.polls == 1


@pytest.mark.parametrize(('arguments', 'topic'), [([], '/tf'), (['-r', '/tf:=tf'], '/r1/tf')])
def test_a_transform_that_is_missing_names_the_topic(monkeypatch, arguments, topic):
    Tf2(monkeypatch)  # It knows no transform.
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('enet', namespace='r1', context=context,
                             cli_args=['--ros-args', *arguments])
    with pytest.raises(LookupError, match=f'no transform from cam to base_link on {topic}: '):
        Transforms(node).lookup('base_link', 'cam', Time().to_msg())
    node.destroy_node()
    context.try_shutdown()


class ClockAt:
    """Stands in for a node whose clock shows one time."""

    def __init__(self, sec):
        self.get_clock = lambda: self
        self.now = lambda: Time(nanoseconds=round(sec * 1e9), clock_type=ClockType.ROS_TIME)


@pytest.mark.parametrize(('transform_sec', 'now_sec', 'known'), [
    (100, 100.4, True), (100, 100.6, False), (100, 99.4, False), (100, 3000, False),
    (0, 3000, True)])  # A stamp of 0 is that of transforms that are all static.
def test_a_frame_with_stamp_zero_gets_the_newest_transform_of_now(
        monkeypatch, transform_sec, now_sec, known):
    TimedTf2(monkeypatch, transform_sec, transform_sec)
    transforms, stamp = Transforms(ClockAt(now_sec)), Time().to_msg()
    if known:
        assert transforms.lookup('odom', 'base_link', stamp)[0] == (7.0, 0.0, 0.0)
        return
    with pytest.raises(LookupError, match="s from the node's clock, .* stamp of the frame is 0"):
        transforms.lookup('odom', 'base_link', stamp)


def test_tf_is_listened_to_once_a_node_and_no_longer_than_it_is_configured(
        metric, monkeypatch, road_frame):
    tf2 = TimedTf2(monkeypatch, 100, 100)
    node = metric('points', 'labels', ground__pose='tf')
    for _ in range(2):
        node.wait(lambda: node.camera.calibration.newest() is not None)
        node.reply(node.image(road_frame), 'labels')
        assert tf2.listening == 1
        node.node.trigger_deactivate()
        node.node.trigger_cleanup()
        assert tf2.listening == 0
        node.node.trigger_configure()
        node.node.trigger_activate()
        node.send(calibration(), 'camera_info')


def test_a_bag_that_begins_again_clears_what_tf_said(metric, monkeypatch, road_frame):
    tf2 = TimedTf2(monkeypatch, 61, 62)
    node = metric('points', 'labels', ground__pose='tf')
    for stamp_ns, cleared in ((60 * 10**9, 0), (59_500_000_000, 0), (10 * 10**9, 1),
                              (11 * 10**9, 2), (12 * 10**9, 3), (13 * 10**9, 3)):
        # It is cleared again, since this TF goes on to know a transform of 62 s.
        node.reply(node.image(road_frame, stamp_ns=stamp_ns), 'labels')
        assert tf2.cleared == cleared


def test_cameras_share_what_tf_says(bench, monkeypatch):
    tf2 = TimedTf2(monkeypatch, 100, 100)
    node = bench(cameras=['front', 'left', 'rear'], ground__pose='tf')
    assert tf2.listening == 1
    assert len({id(camera.transforms) for camera in node.cameras}) == 1
    node.node.trigger_deactivate()
    node.node.trigger_cleanup()
    assert tf2.listening == 0


def test_a_transform_of_before_a_jump_that_comes_after_it_is_forgotten(monkeypatch):
    """tf2 refuses what is 10 s older than its newest, so one late message would spoil a loop."""
    tf2, transforms = TimedTf2(monkeypatch, 100, 100), Transforms(None)
    for cleared in (0, 0):  # Without a jump it is another clock, and stays.
        with pytest.raises(LookupError, match='is 60.000 s newer than the frame'):
            lookup(transforms, 40)
        assert tf2.cleared == cleared
    transforms.clear()
    transforms.jumps.note('/clock', 100 * SECOND, 40 * SECOND)
    with pytest.raises(LookupError, match='is 60.000 s newer than the frame'):
        lookup(transforms, 40)
    assert tf2.cleared == 2
    tf2.first_sec = tf2.newest_sec = 49  # It would be known 9 s later, and is kept.
    with pytest.raises(LookupError, match='is 9.000 s newer than the frame'):
        lookup(transforms, 40)
    assert tf2.cleared == 2


def test_a_reset_of_the_simulator_clears_once(monkeypatch):
    """The cameras' stamps fall back later, when TF has new transforms already."""
    tf2, transforms = TimedTf2(monkeypatch, 99, 104), Transforms(None)
    transforms.listen()
    transforms.clear()
    transforms.jumps.note('/clock', 104 * SECOND, 50 * SECOND)
    tf2.first_sec, tf2.newest_sec = 50, 50.3
    for camera, sec in (('front', 50.2), ('rear', 50.25), ('rear', 49.9)):
        transforms.jumps.note(camera, 104 * SECOND, round(sec * SECOND))
        with contextlib.suppress(LookupError):
            lookup(transforms, sec)
    assert tf2.cleared == 1


def test_a_jump_that_no_output_in_meters_saw_is_cleared_later(monkeypatch):
    tf2, transforms = TimedTf2(monkeypatch, 99, 104), Transforms(None)
    transforms.jumps.note('front', 104 * SECOND, 50 * SECOND)
    monkeypatch.setattr('enet_ros.ros.time_jumps.time.monotonic', lambda: 1e9)
    with pytest.raises(LookupError):
        lookup(transforms, 80)
    assert tf2.cleared == 1


@pytest.mark.parametrize(('before_sec', 'after_sec'), [(1003, 5), (100, 99)])
def test_jumps_of_a_foreign_clock_or_within_the_history_clear_nothing(
        monkeypatch, before_sec, after_sec):
    tf2, transforms = TimedTf2(monkeypatch, 95, 100), Transforms(None)
    transforms.jumps.note('front', before_sec * SECOND, after_sec * SECOND)
    for sec in (5, 6, after_sec):
        with contextlib.suppress(LookupError):
            lookup(transforms, sec)
    assert tf2.cleared == 0


def test_tf_is_never_listened_to_again_after_its_end(monkeypatch):
    tf2, transforms = TimedTf2(monkeypatch, 100, 100), Transforms(None)
    transforms.listen()
    assert tf2.listening == 1
    transforms.close()
    transforms.listen()
    with pytest.raises(LookupError, match='the topics are being removed'):
        transforms.lookup('odom', 'base_link', Time(nanoseconds=100 * 10**9).to_msg())
    assert tf2.listening == 0
