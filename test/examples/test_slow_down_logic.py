"""The law of the example: it slows down before what is blocked, and stops for what is unknown."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLES = Path(__file__).resolve().parents[2] / 'examples'
sys.path.insert(0, str(EXAMPLES))

from slow_down_logic import (  # noqa: E402
    ExactStamps,
    allowed_velocity,
    first_in_path,
    is_fresh,
    speed_factor,
)

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(('distance_m', 'factor'), [
    (INF, 1.0), (100.0, 1.0), (10.0, 1.0), (7.0, 0.5), (4.0, 0.0), (3.9, 0.0), (0.0, 0.0),
    (-1.0, 0.0), (-INF, 0.0), (NAN, 0.0)])
def test_the_speed_falls_evenly_to_zero(distance_m, factor):
    assert speed_factor(distance_m, stop_m=4.0, slow_m=10.0) == pytest.approx(factor)


@given(st.floats(allow_nan=True), st.floats(0.1, 5.0), st.floats(5.1, 50.0))
def test_the_factor_is_a_share_and_never_grows_towards_an_edge(distance_m, stop_m, slow_m):
    factor = speed_factor(distance_m, stop_m, slow_m)
    assert 0.0 <= factor <= 1.0
    if not math.isnan(distance_m):
        assert speed_factor(distance_m - 1.0, stop_m, slow_m) <= factor


@pytest.mark.parametrize(('command', 'allowed'), [
    ((1.0, 0.4), (0.5, 0.2)), ((0.0, -0.4), (0.0, -0.2)), ((-1.0, 0.4), (0.0, 0.0)),
    ((NAN, 0.1), (0.0, 0.0)), ((1.0, NAN), (0.0, 0.0)), ((INF, 0.0), (0.0, 0.0))])
def test_a_command_keeps_its_curve_and_goes_forward_only(command, allowed):
    assert allowed_velocity(*command, 0.5) == allowed


@pytest.mark.parametrize(('age_sec', 'fresh'), [
    (0.0, True), (0.5, True), (0.51, False), (-0.05, True), (-3.0, False), (NAN, False),
    (1.7e9, False)])
def test_an_old_frame_and_one_of_another_clock_are_not_fresh(age_sec, fresh):
    assert is_fresh(age_sec, 0.5) == fresh


@pytest.fixture
def ground():
    """Rows 10 m to 1 m ahead, columns 3 m left to 3 m right; the first row is the sky."""
    x, y = np.meshgrid(np.arange(10.0, 0.0, -1.0), np.linspace(3.0, -3.0, 13), indexing='ij')
    points = np.dstack((x, y, np.zeros_like(x)))
    points[0] = NAN
    return points


def test_the_first_blocked_ground_in_the_path_counts(ground):
    blocked = np.zeros(ground.shape[:2], bool)
    blocked[0] = True  # the sky is no ground
    assert first_in_path(ground, blocked, 2.0) == 9.0  # as far as it is seen
    blocked[4, 0] = True  # 6 m ahead, 3 m beside
    assert first_in_path(ground, blocked, 2.0) == 9.0
    assert first_in_path(ground, blocked, 6.0) == 6.0
    blocked[[3, 6], 6] = True
    assert first_in_path(ground, blocked, 2.0) == 4.0


def test_a_wall_that_fills_the_image_begins_below_it(ground):
    """The camera sees the ground from 1 m on. A stop distance of 0.5 m must stop it, too."""
    blocked = np.ones(ground.shape[:2], bool)
    assert first_in_path(ground, blocked, 2.0) == 0.0
    blocked[-1] = False
    assert first_in_path(ground, blocked, 2.0) == 2.0


def test_a_path_without_ground_is_unknown(ground):
    nothing = np.full_like(ground, NAN)
    assert math.isnan(first_in_path(nothing, np.zeros(ground.shape[:2], bool), 2.0))
    behind = ground * np.array((-1.0, 1.0, 1.0))
    assert math.isnan(first_in_path(behind, np.zeros(ground.shape[:2], bool), 2.0))


def message(sec, nanosec=0):
    return SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec)))


def test_messages_of_one_stamp_come_together_in_their_order():
    calls = []
    frames = ExactStamps(3, lambda *messages: calls.append(messages), depth=2)
    first, second = [message(1, 7) for _ in range(3)], [message(1, 8) for _ in range(3)]
    for index in (2, 0):
        frames.add(index, first[index])
    frames.add(1, second[1])
    assert calls == []
    frames.add(1, first[1])
    assert calls == [tuple(first)]
    for index in (0, 2):
        frames.add(index, second[index])
    assert calls == [tuple(first), tuple(second)]


def test_frames_that_lost_a_message_are_forgotten_in_time():
    calls = []
    frames = ExactStamps(2, lambda *messages: calls.append(messages), depth=2)
    for sec in range(10):
        frames.add(0, message(sec))
    frames.add(1, message(0))  # forgotten
    assert calls == [] and len(frames._frames) <= 3
    frames.add(1, message(9))
    assert len(calls) == 1
