"""Stamps that real drivers send, through a real node: votes, rates and ages."""

import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.clock import ClockType  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.time import Time  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402

pytestmark = pytest.mark.ros
MS = 1_000_000
SEC = 1_000_000_000


def stamped(node, frame, stamp_ns):
    """Return an image with a stamp, which may be 0."""
    message = node.image(frame)
    message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    return message


def masks_of(node, pixels, frames, stamps_ns):
    """Send frames one by one, check the headers, and return the masks."""
    masks = []
    for frame, stamp_ns in zip(frames, stamps_ns):
        sent = stamped(node, frame, stamp_ns)
        mask = node.reply(sent, 'drivable_mask')
        assert mask.header == sent.header
        masks.append(pixels(mask))
    return masks


@pytest.fixture
def voting(bench):
    """A node with ``drivable.majority: 5`` and a listener for masks."""
    node = bench(drivable__majority=5, output_size='network')
    node.listen('drivable_mask')
    return node


WHOLE_SECONDS = [1000 * SEC] * 4 + [1001 * SEC] * 4


@pytest.mark.parametrize('stamps_ns', [
    [0] * 8, [1000 * SEC] * 8, WHOLE_SECONDS,
    [1000 * SEC + (50 * i - 7 * (i % 2)) * MS for i in range(8)],           # jitter
    [1000 * SEC + (5 * i - 12 * (i % 2)) * MS for i in range(8)],           # steps back
    [1000 * SEC + (50 * i - 400 * (i == 4)) * MS for i in range(8)],        # one late frame
    [1000 * SEC + (50 * i - 100 * (i in (5, 6))) * MS for i in range(8)],   # frames overtook
], ids=['zero', 'still', 'whole seconds', 'jitter', 'steps back', 'late', 'overtaken'])
def test_a_road_after_dark_frames_is_outvoted_whatever_the_stamps(
        voting, pixels, road_frame, stamps_ns):
    node, black = voting, np.zeros_like(road_frame)
    frames = [black] * 7 + [road_frame]
    *before, last = masks_of(node, pixels, frames, stamps_ns)
    assert node.set(drivable__majority=1).successful
    alone = masks_of(node, pixels, [road_frame], [2000 * SEC])[0]
    assert alone[before[-1] == 0].any()
    assert not last[before[-1] == 0].any()


def test_road_frames_win_when_stamps_are_zero(voting, pixels, road_frame):
    """The votes follow the frames. They do not keep the first mask for ever."""
    node, black = voting, np.zeros_like(road_frame)
    masks = masks_of(node, pixels, [black] * 5 + [road_frame] * 5, [0] * 10)
    assert node.set(drivable__majority=1).successful
    alone = masks_of(node, pixels, [road_frame], [2000 * SEC])[0]
    assert alone.any() and not np.array_equal(masks[4], masks[9])
    assert np.array_equal(masks[9], alone)


@pytest.mark.parametrize('back_ms', [600, 10_000])
def test_a_real_jump_clears_votes_and_rates(voting, pixels, road_frame, back_ms):
    node, black = voting, np.zeros_like(road_frame)
    start = 1000 * SEC
    *_, last = masks_of(node, pixels, [black] * 4, [start + i * 50 * MS for i in range(4)])
    health = node.camera.health
    node.wait(lambda: len(health._finish_times) == 4, 'four frames')
    jumped = masks_of(node, pixels, [road_frame], [start + (150 - back_ms) * MS])[0]
    assert jumped[last == 0].any()
    node.wait(lambda: health.published == 5, 'the frame after the jump')
    assert len(health._finish_times) <= 1


def test_a_jump_of_stamps_that_stand_still_clears_the_votes(voting, pixels, road_frame):
    node, black = voting, np.zeros_like(road_frame)
    *_, last = masks_of(node, pixels, [road_frame] * 5, [1000 * SEC] * 5)
    jumped = masks_of(node, pixels, [black], [10 * SEC])[0]
    assert not np.array_equal(jumped, last)


def test_jitter_keeps_the_rates(voting, pixels, road_frame):
    masks_of(voting, pixels, [road_frame] * 6,
             [1000 * SEC + (50 * i - 60 * (i % 2)) * MS for i in range(6)])
    health = voting.camera.health
    voting.wait(lambda: health.published == 6, 'six frames')
    assert len(health._finish_times) == 6


def error_of(node, message):
    """Send a frame that is dropped, and return why."""
    health = node.camera.health
    before = health.dropped
    node.send(message)
    node.wait(lambda: health.dropped > before, 'a dropped frame')
    return health.last_error


@pytest.mark.parametrize(('offset_sec', 'parts'), [
    (-5.0, ["s old by the node's clock, which is wall time (use_sim_time is false)"]),
    (5.0, ['in the future', 'wall time', 'the clock of the camera is ahead'])])
def test_a_frame_too_old_or_too_early_names_the_clock(bench, road_frame, offset_sec, parts):
    node = bench(max_frame_age=1.0)
    node.listen('labels')
    now_ns = node.tester.get_clock().now().nanoseconds
    error = error_of(node, stamped(node, road_frame, now_ns + int(offset_sec * SEC)))
    assert all(part in error for part in (*parts, 'max_frame_age')), error
    assert not node.messages['labels']


def test_a_small_skew_is_no_problem(bench, road_frame):
    node = bench(max_frame_age=20.0)  # generous, since machines that test are busy
    node.listen('labels')
    now_ns = node.tester.get_clock().now().nanoseconds
    for skew_sec in (-1, 5):
        assert node.reply(stamped(node, road_frame, now_ns + skew_sec * SEC), 'labels')


def test_a_frame_expires_when_its_stamp_is_as_old_as_it_may_be(bench, road_frame):
    node, frames = bench(max_frame_age=60.0), []
    publish = node.camera.publish
    node.camera.publish = lambda frame: frames.append(frame) or publish(frame)
    node.listen('labels')
    now_ns = node.tester.get_clock().now().nanoseconds
    node.reply(stamped(node, road_frame, now_ns - 40 * SEC), 'labels')
    times = frames[0].times
    assert 5.0 < times.expires - times.received <= 20.0


@pytest.mark.parametrize('stamp_ns', [0, 30 * SEC, 4_000 * SEC])
def test_simulated_stamps_at_a_node_with_wall_time_name_use_sim_time(bench, road_frame, stamp_ns):
    node = bench(max_frame_age=1.0)
    node.listen('labels')
    error = error_of(node, stamped(node, road_frame, stamp_ns))
    assert 'which is wall time (use_sim_time is false)' in error
    assert ('set use_sim_time to true' in error) if stamp_ns else ('its stamp is 0' in error)


def tick(node, now_ns):
    """Let simulated time be so late."""
    clock = Clock(clock=Time(nanoseconds=now_ns).to_msg())
    node.wait(lambda: node.send(clock, '/clock') or
              node.node.get_clock().now().nanoseconds == now_ns, 'simulated time')


@pytest.mark.parametrize('is_active', [False, True])
def test_the_age_is_that_by_simulated_time_which_may_stand_or_race(
        bench, road_frame, monkeypatch, is_active):
    node = bench(max_frame_age=0.3, use_sim_time=is_active)
    if not is_active:  # The clock may be changed at any time.
        node.node.set_parameters([Parameter('use_sim_time', value=True)])
    node.listen('labels')
    tick(node, 100 * SEC)
    infer, passed_ns = node.segmenter.backend.infer, []

    def infer_slowly(batch, **options):
        time.sleep(0.5)
        for now_ns in passed_ns:
            node.node.get_clock().set_ros_time_override(Time(
                nanoseconds=now_ns, clock_type=ClockType.ROS_TIME))
        return infer(batch, **options)

    monkeypatch.setattr(node.segmenter.backend, 'infer', infer_slowly)
    assert node.reply(stamped(node, road_frame, 99_900 * MS), 'labels')
    passed_ns.append(102 * SEC)
    error = error_of(node, stamped(node, road_frame, 99_950 * MS))
    assert 'frame is 2.050 s old' in error and '2.000 s of that passed in the node' in error
    assert node.reply(stamped(node, road_frame, 101_950 * MS), 'labels')


def test_a_paused_simulator_is_no_stall(bench, pixels, road_frame):
    node = bench(stall_timeout=0.3, use_sim_time=True)
    node.listen('drivable_mask')
    node.wait(lambda: node.camera.health.is_stalled, 'a stall without /clock')
    tick(node, 100 * SEC)
    node.reply(stamped(node, road_frame, 99_900 * MS), 'drivable_mask')
    time.sleep(0.8)
    assert not node.camera.health.is_stalled
    tick(node, 101 * SEC)
    node.wait(lambda: len(node.messages['drivable_mask']) == 2, 'the mask of a stall')
    assert not pixels(node.messages['drivable_mask'][-1]).any()
    assert 'for 1.0 s (stall_timeout 0.3)' in node.camera.health.last_error


def test_wall_stamps_at_a_node_with_simulated_time_name_use_sim_time(bench, road_frame):
    node = bench(max_frame_age=1.0, use_sim_time=True)
    node.listen('labels')
    error = error_of(node, node.image(road_frame))
    assert 'stands at 0, since nothing publishes /clock' in error
    tick(node, 100 * SEC)
    error = error_of(node, node.image(road_frame))
    assert 'simulated time (use_sim_time is true)' in error
    assert 'its stamp is wall time; set use_sim_time to false' in error
    assert node.reply(stamped(node, road_frame, 99_500 * MS), 'labels')
