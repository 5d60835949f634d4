"""Poses from TF: which transform is taken, and how long TF is listened to."""


import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

import rclpy  # noqa: E402
from geometry_msgs.msg import TransformStamped  # noqa: E402
from rclpy.clock import ClockType  # noqa: E402
from rclpy.time import Time  # noqa: E402
from support.ground import GROUND, SCENE, calibration, table, xyz  # noqa: E402
from support.tf2 import Tf2  # noqa: E402

from enet_ros.ros.transforms import Transforms  # noqa: E402

pytestmark = pytest.mark.ros


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

    def lookup(target, source, stamp):
        asked.append((target, source))
        return (0.0, 0.0, SCENE.camera.height_m), turn

    node.camera.transforms.lookup = lookup
    cloud = node.reply(node.image(road_frame, frame_id='cam'), 'points')
    assert asked[0] == ('base_link', 'cam')
    assert np.allclose(xyz(cloud), table().points, atol=1e-3, equal_nan=True)


class StampedTf2(Tf2):
    """A stand-in for tf2_ros that knows one transform, of a time of its own."""

    def __init__(self, monkeypatch, stamp_sec):
        super().__init__(monkeypatch)
        self.stamp_sec, self.cleared = stamp_sec, 0

    def clear(self):
        self.cleared += 1

    def can_transform(self, target, source, time):
        return time.nanoseconds in (0, self.stamp_sec * 1e9)  # 0 is the newest

    def lookup_transform(self, target, source, time):
        found = TransformStamped()
        found.header.stamp.sec, found.transform.translation.x = self.stamp_sec, 7.0
        return found


@pytest.mark.parametrize(('stamp_ns', 'known'), [
    (100_000_000_000, True), (100_400_000_000, True), (99_600_000_000, True),
    (100_600_000_000, False), (3_000_000_000_000, False), (99_400_000_000, False)])
def test_a_transform_far_from_the_frame_is_none(monkeypatch, stamp_ns, known):
    StampedTf2(monkeypatch, 100)
    stamp = Time(nanoseconds=stamp_ns).to_msg()
    if known:
        assert Transforms(None).lookup('odom', 'base_link', stamp)[0] == (7.0, 0.0, 0.0)
        return
    with pytest.raises(LookupError, match='the newest transform from base_link to odom is '):
        Transforms(None).lookup('odom', 'base_link', stamp)


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
    StampedTf2(monkeypatch, transform_sec)
    transforms, stamp = Transforms(ClockAt(now_sec)), Time().to_msg()
    if known:
        assert transforms.lookup('odom', 'base_link', stamp)[0] == (7.0, 0.0, 0.0)
        return
    with pytest.raises(LookupError, match="s from the node's clock, .* stamp of the frame is 0"):
        transforms.lookup('odom', 'base_link', stamp)


def test_tf_is_listened_to_once_a_node_and_no_longer_than_it_is_configured(
        metric, monkeypatch, road_frame):
    tf2 = StampedTf2(monkeypatch, 100)
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
    tf2 = StampedTf2(monkeypatch, 100)
    node = metric('points', 'labels', ground__pose='tf')
    for stamp_ns, cleared in ((60 * 10**9, 0), (59_500_000_000, 0), (10 * 10**9, 2)):
        # The last one is cleared twice, since this TF goes on to know a transform of 100 s.
        node.reply(node.image(road_frame, stamp_ns=stamp_ns), 'labels')
        assert tf2.cleared == cleared


def test_cameras_share_what_tf_says(bench, monkeypatch):
    tf2 = StampedTf2(monkeypatch, 100)
    node = bench(cameras=['front', 'left', 'rear'], ground__pose='tf')
    assert tf2.listening == 1
    assert len({id(camera.transforms) for camera in node.cameras}) == 1
    node.node.trigger_deactivate()
    node.node.trigger_cleanup()
    assert tf2.listening == 0


def test_a_transform_of_before_a_jump_that_comes_after_it_is_forgotten(monkeypatch):
    """tf2 refuses what is 10 s older than its newest, so one late message would spoil a loop."""
    tf2 = StampedTf2(monkeypatch, 100)
    transforms, early = Transforms(None), Time(nanoseconds=40 * 10**9).to_msg()
    for cleared in (0, 0):  # Without a jump it is another clock, and stays.
        with pytest.raises(LookupError, match='is 60.0 s from the frame'):
            transforms.lookup('odom', 'base_link', early)
        assert tf2.cleared == cleared
    transforms.clear()
    with pytest.raises(LookupError, match='is 60.0 s from the frame'):
        transforms.lookup('odom', 'base_link', early)
    assert tf2.cleared == 2
    tf2.stamp_sec = 49  # It would be known 9 s later, and is kept.
    with pytest.raises(LookupError, match='is 9.0 s from the frame'):
        transforms.lookup('odom', 'base_link', early)
    assert tf2.cleared == 2


def test_tf_is_never_listened_to_again_after_its_end(monkeypatch):
    tf2, transforms = StampedTf2(monkeypatch, 100), Transforms(None)
    transforms.listen()
    assert tf2.listening == 1
    transforms.close()
    transforms.listen()
    with pytest.raises(LookupError, match='the topics are being removed'):
        transforms.lookup('odom', 'base_link', Time(nanoseconds=100 * 10**9).to_msg())
    assert tf2.listening == 0
