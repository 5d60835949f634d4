"""Which frames may still go out, and whether it is worth the time to publish one."""

import math
import time
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.perception.camera_settings import CameraSettings  # noqa: E402
from enet_ros.perception.frame import DropCause, FrameInFlight, FrameTimes  # noqa: E402
from enet_ros.perception.parameters.settings import make_settings  # noqa: E402
from enet_ros.ros.frame_gate import FrameGate  # noqa: E402

SETTINGS = CameraSettings.of(make_settings({'max_frame_age': 10.0}), ClassMap.from_names(['Road']))


@pytest.fixture
def gate():
    gate = FrameGate()
    gate.open()
    return gate


def frame_of(spare_sec):
    """Return a frame that is younger than the greatest age by some seconds."""
    now = time.perf_counter()
    times = FrameTimes(received=now, postprocessing=now, expires=now + spare_sec)
    return FrameInFlight(0, None, None, age_at_receive_ms=1e3 * (10.0 - spare_sec), times=times,
                         camera_settings=SETTINGS)


def publish(frame, seconds):
    frame.times.sending = frame.times.postprocessing + seconds


def passes(gate, frame):
    return gate.refusal(frame) is None


def leaves_time(gate, frame):
    return gate.early_refusal(frame) is None


def test_a_frame_passes_until_it_expires(gate):
    assert passes(gate, frame_of(5.0)) and leaves_time(gate, frame_of(5.0))
    assert not passes(gate, frame_of(-0.1)) and not leaves_time(gate, frame_of(-0.1))
    assert 'old by' in gate.refusal(frame_of(-0.1)).reason


def test_a_frame_that_would_expire_while_it_is_published_is_refused(gate):
    first = frame_of(5.0)
    assert leaves_time(gate, first)
    publish(first, 3.0)
    late = frame_of(2.0)
    assert passes(gate, late)
    assert gate.early_refusal(late).reason.startswith(
        'frame is 8.000 s old, and would be too old once it is published, wanted at most 10 s')
    assert leaves_time(gate, frame_of(5.0))


def test_one_slow_frame_does_not_keep_the_later_ones_back(gate):
    slow = frame_of(5.0)
    assert leaves_time(gate, slow)
    publish(slow, 8.0)
    passed = [leaves_time(gate, frame_of(4.0)) for _ in range(5)]
    assert passed == [False, False, False, False, True]


def test_a_frame_from_before_the_mask_of_a_stall_is_refused_if_it_took_long(gate):
    quick, slow = frame_of(5.0), frame_of(5.0)
    slow.times.received -= 2.5
    gate.activated_sec = gate.oldest_sec = slow.times.received - 2.5
    assert passes(gate, slow)
    gate.mark_stall()
    assert passes(gate, quick) and leaves_time(gate, quick)
    assert not leaves_time(gate, slow)
    reason = gate.refusal(slow).reason
    assert 'before a stall made ~/drivable_mask unknown, and took 2.500 s so far' in reason
    assert 'stall_timeout 2 s' in reason
    gate.oldest_sec = slow.times.received - 1.0  # A frame that came after the mask may take long.
    assert passes(gate, slow)


def test_a_frame_from_before_an_activation_is_refused(gate):
    frame = frame_of(5.0)
    gate.close()
    gate.open()
    assert gate.refusal(frame).cause is gate.early_refusal(frame).cause is DropCause.INACTIVE


@pytest.mark.parametrize('close', [
    FrameGate.close, lambda gate: setattr(gate, 'oldest_sec', math.inf)],
    ids=['closed', 'closed between two looks'])
def test_a_closed_gate_refuses_without_a_reason(gate, close):
    frame = frame_of(5.0)
    close(gate)
    assert gate.refusal(frame).cause is gate.early_refusal(frame).cause is DropCause.INACTIVE
    assert not gate.refusal(frame).reason


@pytest.mark.parametrize(('now_sec', 'passed'), [(100.0, True), (109.9, True), (110.1, False)])
def test_in_simulated_time_the_clock_gives_the_age_however_long_it_took(gate, now_sec, passed):
    gate.sim_clock = SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=now_sec * 1e9))
    frame = frame_of(9.0)
    frame.stamp_ns, frame.times.expires = 100.0 * 1e9, -math.inf
    frame.times.received -= 100.0
    gate.activated_sec, gate.oldest_sec = -math.inf, frame.times.received - 1.0
    assert passes(gate, frame) == leaves_time(gate, frame) == passed


def test_a_frame_from_before_a_stall_may_take_long_while_simulated_time_stands(gate):
    frame = frame_of(9.0)
    frame.stamp_ns = 99.0 * 1e9
    frame.times.received -= 100.0
    gate.activated_sec = -math.inf
    gate.mark_stall()
    for now_sec, passed in ((101.9, True), (102.1, False), (0.0, False)):  # stall_timeout is 2 s.
        gate.sim_clock = SimpleNamespace(
            now=lambda: SimpleNamespace(nanoseconds=now_sec * 1e9))  # noqa: B023
        assert passes(gate, frame) == passed
