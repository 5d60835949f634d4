"""The camera fails: it goes and comes back as another one, with other clocks and other QoS."""

import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.duration import Duration  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from support.planner import CHECKED, array_of, stamp_of  # noqa: E402

pytestmark = pytest.mark.ros
SEC = 1_000_000_000
YEAR = 365 * 86400 * SEC


@pytest.fixture
def node(bench):
    return bench(**CHECKED, diagnostics_period=0.1, stall_timeout=0.5)


@pytest.mark.parametrize(('size', 'encoding'), [
    ('same', 'rgb8'), ('other', 'rgb8'), ('same', 'bgr8'), ('other', 'mono8'), ('same', 'nv12'),
    ('other', 'bayer_rggb8')])
def test_a_camera_that_goes_leaves_nothing_free_and_comes_back_as_it_likes(
        node, planner, road_frame, other_frame, fresh, size, encoding):
    sees, frame = planner(), road_frame if size == 'same' else other_frame
    first, wanted = fresh(road_frame), fresh(frame, encoding)
    sees.camera()
    assert np.array_equal(sees.answers(road_frame), first)
    assert any(array_of(mask).any() for mask in sees.messages['drivable_mask'])
    sees.unplug()
    sees.reports('no frame finished for')
    sees.wait(lambda: not array_of(sees.messages['drivable_mask'][-1]).any(), 'nothing drivable')
    sees.camera()
    assert np.array_equal(sees.answers(frame, encoding=encoding), wanted)
    # A camera goes on. Without more frames it would stand still again after half a second.
    sees.wait(lambda: sees.send(frame, encoding=encoding) and sees.status()[0] == 0,
              'diagnostics that are OK')


@pytest.mark.parametrize('stamps', [
    [100 * SEC + i * SEC // 10 for i in (0, 1, 2, 3)] * 2,
    [100 * SEC] * 4, [0] * 4, [5 * YEAR] * 2 + [65 * YEAR] * 2,
    [56 * YEAR, 5 * YEAR, 57 * YEAR]],
    ids=['a bag that loops', 'still', 'zero', 'off by years', 'jumps of years'])
def test_stamps_of_any_clock_are_kept_and_the_labels_are_right(
        node, planner, road_frame, other_frame, fresh, stamps):
    sees = planner()
    sees.camera()
    for i, stamp in enumerate(stamps):
        frame = (road_frame, other_frame)[i % 2]
        assert np.array_equal(sees.answers(frame, stamp), fresh(frame)), i
    assert {stamp_of(mask) for mask in sees.messages['drivable_mask']
            if array_of(mask).any()} <= set(stamps)


def test_simulated_time_that_starts_again_with_its_bag_clears_the_past(
        bench, planner, road_frame, other_frame, fresh):
    node = bench(**CHECKED, use_sim_time=True, max_frame_age=1.0, drivable__majority=5)
    sees = planner()
    clock, sees_clock = sees.node.create_publisher(Clock, '/clock', 10), Clock()

    def tick(sec):
        sees_clock.clock.sec = sec
        sees.wait(lambda: clock.publish(sees_clock) or
                  node.node.get_clock().now().nanoseconds == sec * SEC, f'time {sec}')

    sees.camera()
    for sec in (100, 101, 102, 5):
        frame = road_frame if sec > 5 else other_frame
        tick(sec)
        assert np.array_equal(sees.answers(frame, sec * SEC), fresh(frame))
    # No frame from before the jump votes: the mask is that of the one frame.
    alone, before = sees.seen(5 * SEC)[-1], sees.seen(102 * SEC)[-1]
    mask = array_of(sees.messages['drivable_mask'][-1]) > 0
    assert (mask != alone).sum() < 10 < (mask != before).sum()  # a few lie just at the floor
    dropped = node.camera.health.dropped
    sees.send(road_frame, 101 * SEC)  # of the time before the jump
    sees.wait(lambda: node.camera.health.dropped > dropped, 'a frame that is dropped')
    assert 'simulated time (use_sim_time is true)' in node.camera.health.last_error
    assert np.array_equal(sees.answers(road_frame, 5 * SEC + 1), fresh(road_frame))


QOS = {
    'best effort': QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
    'reliable and deep': QoSProfile(depth=1000),
    'transient local': QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL),
    'deadline': QoSProfile(depth=5, deadline=Duration(nanoseconds=1_000_000)),
    'lifespan': QoSProfile(depth=5, lifespan=Duration(seconds=5)),
}


@pytest.mark.parametrize('qos', QOS.values(), ids=QOS)
def test_a_camera_of_any_qos_is_segmented(node, planner, road_frame, other_frame, fresh, qos):
    sees = planner()
    sees.camera(qos)
    for frame in (road_frame, other_frame):
        assert np.array_equal(sees.answers(frame), fresh(frame))


def test_frames_that_a_camera_kept_from_before_are_not_segmented(
        node, planner, road_frame, other_frame, fresh):
    """A late subscriber of a transient local camera would get frames of the past."""
    sees = planner()
    sees.camera(QOS['transient local'])
    old = sees.now_ns() - 60 * SEC
    sees.answers(road_frame, old)
    assert node.node.trigger_deactivate().name == 'SUCCESS'
    masks = len(sees.messages['drivable_mask'])
    sees.send(road_frame)
    time.sleep(0.5)
    assert node.node.trigger_activate().name == 'SUCCESS'
    time.sleep(0.5)
    assert len(sees.messages['drivable_mask']) == masks
    assert np.array_equal(sees.answers(other_frame), fresh(other_frame))
