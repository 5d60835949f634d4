"""The health of a camera, without a node: counts, rates, warnings and stalls."""

import math
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from enet_ros.perception.frame import DropCause, Dropped  # noqa: E402
from enet_ros.ros import health as health_module  # noqa: E402
from enet_ros.ros.health import SIM_SPEED, WARNING_PERIOD_SEC, CameraHealth, Counts, Level  # noqa: E402

pytestmark = pytest.mark.ros


class Clock:
    """A stand-in for the module ``time``, which goes only when told."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    perf_counter = monotonic


class Log(list):
    """A logger that keeps its warnings."""

    warning = list.append


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(health_module, 'time', clock)
    return clock


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def health(clock, log):
    health = CameraHealth('/image', log)
    health.activate()
    return health


def failed(reason):
    return Dropped(DropCause.FAILED, reason)


def test_frames_are_counted_by_what_becomes_of_them(health):
    for cause in DropCause:
        health.count_received()
        health.drop(Dropped(cause))
    health.count_received()
    health.count_published(999.9)
    assert health.counts() == Counts(received=5, published=1, dropped=2)


def test_a_new_activation_counts_from_zero(health):
    health.count_received()
    health.drop(failed('too old'))
    health.activate()
    assert health.counts() == Counts(0, 0, 0)
    assert health.last_error == ''


def test_a_reason_is_logged_now_and_then_while_active(health, log, clock):
    health.drop(failed('too old'))
    health.drop(failed('too old'))
    assert log == ['/image: frame dropped: too old']
    health.warnings.warn('no ~/grid', 'no odometry')  # Each effect has a limit of its own.
    health.warnings.warn('no ~/grid', 'no odometry')
    assert log[1:] == ['/image: no ~/grid: no odometry']
    health.deactivate()
    clock.now += WARNING_PERIOD_SEC + 0.1
    health.drop(failed('too old'))
    assert len(log) == 2


def test_an_overtaken_frame_is_no_warning(health, log):
    health.count_received()
    health.drop(Dropped(DropCause.OVERTAKEN))
    assert health.summary() == (Level.OK, 'segmenting')
    assert log == []


def test_the_summary_names_warnings_once(health):
    assert health.summary() == (Level.WARN, 'no frame has come on /image')
    health.count_received()
    health.drop(failed('too old'))
    health.warnings.warn('no ~/grid', 'no odometry')
    assert health.summary() == (
        Level.WARN, 'frames were dropped: too old; no ~/grid: no odometry')
    assert health.summary() == (Level.OK, 'segmenting')
    assert health.last_error == 'too old'


def test_a_warning_that_lasts_is_shown_until_it_ends(health, log, clock):
    health.count_received()
    health.warnings.warn('suspect frame', 'black', lasts=True)
    for _ in range(3):
        assert health.summary() == (Level.WARN, 'suspect frame: black')
    clock.now += WARNING_PERIOD_SEC + 0.1
    health.warnings.warn('suspect frame', '', lasts=True)
    assert health.summary() == (Level.OK, 'segmenting')
    assert log == ['/image: suspect frame: black']


def test_a_warning_that_lasts_ends_when_nobody_looks_at_the_frames(health):
    health.count_received()
    health.warnings.warn('suspect frame', 'black', lasts=True)
    health.drop(Dropped(DropCause.UNREQUESTED))
    assert health.summary() == (Level.OK, 'idle: no output has a subscriber')
    health.count_published(0.0)
    assert health.summary() == (Level.OK, 'segmenting')


def test_outputs_that_cannot_be_made_are_named_until_a_frame_is_published(health, log):
    health.count_received()
    reason = 'no ~/grid: ground.pose is off, wanted parameters or tf'
    for _ in range(3):
        health.drop(Dropped(DropCause.UNREQUESTED, reason))
        health.summary()
        assert health.summary() == (Level.WARN, f'idle: {reason}')
    assert log == [f'/image: idle: {reason}']
    assert (health.dropped, health.last_error) == (0, '')
    health.count_published(0.0)
    assert health.summary() == (Level.OK, 'segmenting')


def test_a_camera_that_never_came_is_named_with_its_topic_and_the_time_by_now(health, clock):
    clock.now += 2.5
    assert health.note_stall(2.0)
    for seconds in ('2.5', '62.5'):
        assert health.summary() == (
            Level.ERROR, f'no frame has come on /image for {seconds} s (stall_timeout 2.0)')
        clock.now += 60.0


def test_a_stall_is_noted_once_and_ends_with_a_frame(health, clock):
    health.count_received()
    clock.now += 0.5
    assert health.seconds_to_stall(2.0) == pytest.approx(1.5)
    assert not health.note_stall(2.0)
    clock.now += 2.0
    assert health.seconds_to_stall(2.0) == 0.0
    assert health.note_stall(2.0)
    assert not health.note_stall(2.0)
    assert health.seconds_to_stall(2.0) == math.inf
    assert health.summary() == (
        Level.ERROR, 'no frame finished for 2.5 s (stall_timeout 2.0)')
    clock.now += 1.0
    assert health.summary()[1] == 'no frame finished for 3.5 s (stall_timeout 2.0)'
    health.count_received()
    health.count_published(clock.now)
    assert health.summary() == (Level.OK, 'segmenting')
    assert health.seconds_to_stall(2.0) == pytest.approx(2.0)


@pytest.fixture
def sim_clock(health):
    """Simulated time of the camera, which is ``sim_clock.nanoseconds``."""
    now = SimpleNamespace(nanoseconds=0)
    health.silence.sim_clock = SimpleNamespace(now=lambda: now)
    return now


@pytest.mark.parametrize('finish', [
    lambda health: health.count_published(0.0), CameraHealth.activate,
    lambda health: health.drop(Dropped(DropCause.UNREQUESTED))])
def test_a_stall_counts_by_simulated_time(health, clock, sim_clock, finish):
    sim_clock.nanoseconds = 50 * 10**9
    finish(health)
    clock.now += 100.0
    assert not health.note_stall(2.0)
    sim_clock.nanoseconds += 10**9
    assert health.seconds_to_stall(2.0) == pytest.approx(1.0 / SIM_SPEED)
    sim_clock.nanoseconds += 10**9
    assert health.note_stall(2.0)
    assert 'for 2.0 s' in health.last_error


@pytest.mark.parametrize(('before_ns', 'after_ns'), [(0, 0), (0, 10**9), (10**9, 0)])
def test_a_stall_counts_by_wall_time_before_simulated_time_comes_and_after_it_jumped_back(
        health, clock, sim_clock, before_ns, after_ns):
    sim_clock.nanoseconds = before_ns
    health.count_published(0.0)
    sim_clock.nanoseconds = after_ns
    clock.now += 1.9
    assert not health.note_stall(2.0)
    clock.now += 0.2
    assert health.note_stall(2.0)


def test_a_failure_is_an_error_until_a_frame_is_published(health):
    health.fail('the network hangs')
    assert health.summary() == (Level.ERROR, 'the network hangs')
    health.count_received()
    health.count_published(0.0)
    assert health.summary() == (Level.OK, 'segmenting')


def test_a_frame_that_nobody_requested_is_no_stall(health, clock):
    clock.now += 1.9
    health.drop(Dropped(DropCause.UNREQUESTED))
    assert health.seconds_to_stall(2.0) == pytest.approx(2.0)
    assert health.first_published_sec == 0.0


@pytest.mark.parametrize('timeout_sec', [0.0, 2.0])
def test_nothing_stalls_while_it_is_off_or_inactive(health, clock, timeout_sec):
    if timeout_sec:
        health.deactivate()
    clock.now += 100.0
    assert health.seconds_to_stall(timeout_sec) == math.inf
    assert not health.note_stall(timeout_sec)
    assert not health.is_stalled


def test_rates_are_of_the_last_seconds_and_forgotten_when_time_jumps(health, clock):
    for _ in range(21):
        clock.now += 0.1
        health.count_published(clock.now - 0.025)
    values = health.statistics()
    assert (values['rate_hz'], values['latency_p50_ms']) == ('10.0', '25.0')
    health.forget_time()
    values = health.statistics()
    assert (values['rate_hz'], values['latency_p50_ms']) == ('0.0', 'nan')
    assert values['published'] == '21'


def test_a_fact_is_shown_until_a_newer_one_replaces_it(health):
    health.facts['bit_depth'] = '12'
    health.facts['bit_depth'] = '14'
    assert health.statistics()['bit_depth'] == '14'
    assert health.summary()[0] is not Level.ERROR


def test_a_stall_counts_by_wall_time_after_a_jump_until_the_next_frame(health, clock, sim_clock):
    sim_clock.nanoseconds = 50 * 10**9
    health.count_published(0.0)
    sim_clock.nanoseconds = 48 * 10**9
    health.forget_time(health.silence.sim_clock)
    sim_clock.nanoseconds = 53 * 10**9  # beyond the time of the frame before
    assert not health.note_stall(2.0)
    clock.now += 2.1
    assert health.note_stall(2.0)
