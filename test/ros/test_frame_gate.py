"""Which frames may still go out, and whether it is worth the time to publish one."""

import math
import time
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.perception.frame import DropCause, FrameInFlight, FrameTimes  # noqa: E402
from enet_ros.perception.parameters.camera_settings import CameraSettings  # noqa: E402
from enet_ros.perception.settings import make_settings  # noqa: E402
from enet_ros.ros.frame_gate import FrameGate  # noqa: E402

SETTINGS = CameraSettings.of(make_settings({'max_frame_age': 10.0}), ClassMap.from_names(['Road']))


@pytest.fixture
def gate():
    gate = FrameGate(SimpleNamespace(get_parameter=lambda name: SimpleNamespace(value=False)))
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


def test_a_frame_passes_until_it_expires(gate):
    assert gate.passes(frame_of(5.0)) and gate.leaves_time(frame_of(5.0))
    assert not gate.passes(frame_of(-0.1)) and not gate.leaves_time(frame_of(-0.1))
    assert 'old by' in gate.refusal(frame_of(-0.1)).reason


def test_a_frame_that_would_expire_while_it_is_published_is_refused(gate):
    first = frame_of(5.0)
    assert gate.leaves_time(first)
    publish(first, 3.0)
    late = frame_of(2.0)
    assert gate.passes(late) and not gate.leaves_time(late)
    assert gate.refusal(late).reason.startswith(
        'frame is 8.000 s old, and would be too old once it is published, wanted at most 10 s')
    assert gate.leaves_time(frame_of(5.0))


def test_one_slow_frame_does_not_keep_the_later_ones_back(gate):
    slow = frame_of(5.0)
    assert gate.leaves_time(slow)
    publish(slow, 8.0)
    passed = [gate.leaves_time(frame_of(4.0)) for _ in range(5)]
    assert passed == [False, False, False, False, True]


def test_frames_from_before_a_mask_of_unknown_and_of_an_inactive_node_are_refused(gate):
    frame = frame_of(5.0)
    gate.refuse_older()
    assert not gate.passes(frame) and not gate.leaves_time(frame)
    assert 'before a stall made ~/drivable_mask unknown (stall_timeout 2 s)' in \
        gate.refusal(frame).reason
    assert gate.passes(frame_of(5.0))
    gate.close()
    assert not gate.passes(frame_of(5.0))
    assert gate.refusal(frame_of(5.0)).cause is DropCause.INACTIVE


def test_a_gate_that_is_closed_meanwhile_refuses_as_an_inactive_one(gate):
    frame = frame_of(5.0)
    gate.oldest_sec = math.inf  # close() sets both, and another thread may ask in between.
    assert gate.refusal(frame).cause is DropCause.INACTIVE
