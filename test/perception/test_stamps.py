"""The order, the jumps and the age of stamps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enet_ros.perception.stamps import (
    ADVANCING_FRAMES,
    JUMP_NS,
    NEVER_NS,
    STILL_FRAMES,
    FrameClock,
    age_problem,
)

MS = 1_000_000
WALL_SEC = 1_790_000_000.0


def places(stamps_ns, period_sec=0.05):
    """Place frames as a camera does: (order in seconds, whether time jumped) of each."""
    clock, found = FrameClock(), []
    for i, stamp_ns in enumerate(stamps_ns):
        if stamp_ns > clock.newest_ns:
            clock.newest_ns = stamp_ns
            found.append((stamp_ns / 1e9, False))
        else:
            place = clock.place_late(stamp_ns, 100.0 + i * period_sec)
            found.append((place.order_sec, place.jump_ns > 0))
    return found, clock


@given(st.lists(st.integers(-400 * MS, 400 * MS), min_size=2, max_size=30))
def test_only_a_long_step_back_is_a_jump(jitter):
    start = int(WALL_SEC * 1e9)
    stamps = [start + i * 50 * MS + extra for i, extra in enumerate(jitter)]
    found, _ = places(stamps)
    newest = stamps[0]
    for (_, has_jumped), stamp in zip(found, stamps):
        assert has_jumped == (stamp < newest - JUMP_NS)
        newest = stamp if has_jumped else max(newest, stamp)


@given(st.lists(st.integers(1, 80), min_size=3, max_size=30), st.randoms())
def test_frames_that_overtake_each_other_keep_the_order_of_arrival(steps, random):
    """No vote is lost: every frame of jittering stamps has a later place than the one before."""
    stamp, stamps = int(WALL_SEC * 1e9), []
    for step in steps:
        stamp += step * MS
        stamps.append(stamp - random.choice([0, 0, 7, 30]) * MS)
    stamps = list(dict.fromkeys(stamps))
    found, _ = places(stamps)
    order = [order_sec for order_sec, _ in found]
    assert all(later > earlier for earlier, later in zip(order, order[1:]))


def test_a_bag_that_begins_again_is_a_jump():
    start = int(WALL_SEC * 1e9)
    found, clock = places([start, start + 10_000 * MS, start, start + 50 * MS])
    assert clock.take_note().startswith('stamps jumped back by 10 s')
    assert [has_jumped for _, has_jumped in found] == [False, False, True, False]
    assert found[3][0] > found[2][0]


def test_stamps_that_jitter_after_a_jump_back_keep_the_order_of_arrival():
    found, _ = places([ms * MS for ms in (90_000, 90_050, 90_040, 1_000, 1_050, 1_040, 1_090)])
    order = [order_sec for order_sec, _ in found[3:]]
    assert order == sorted(order)
    assert order[-1] == 1.09


def test_stamps_of_zero_are_ordered_by_arrival_and_noted():
    found, clock = places([0] * 5)
    assert [order for order, _ in found[1:]] == pytest.approx([100.05, 100.1, 100.15, 100.2])
    assert not any(has_jumped for _, has_jumped in found)
    assert 'stand still at 0 s' in clock.take_note()
    assert clock.take_note() == ''


def test_stamps_that_stand_still_are_ordered_by_arrival_after_some_frames():
    stamp = int(WALL_SEC * 1e9)
    found, clock = places([stamp] * 8)
    order = [order_sec for order_sec, _ in found]
    assert order[0] == order[1]  # the frame may have come twice
    assert len(set(order[3:])) == 5
    assert 'stand still' in clock.take_note()


def test_a_frame_that_comes_twice_has_one_place_and_is_not_noted():
    found, clock = places([10 * MS, 60 * MS, 60 * MS, 110 * MS, 110 * MS])
    assert found[1] == found[2]
    assert found[3] == found[4]
    assert clock.take_note() == ''


def test_frames_that_all_come_twice_do_not_stand_still():
    _, clock = places([stamp for i in range(10) for stamp in 2 * [10**18 + 50 * MS * i]])
    assert clock.take_note() == ''


def test_stamps_stand_still_from_the_fourth_frame_on():
    assert places([5_000 * MS] * STILL_FRAMES)[1].take_note() == ''
    assert places([5_000 * MS] * (STILL_FRAMES + 1))[1].take_note().startswith('stamps stand')


@pytest.mark.parametrize(('age', 'stamp', 'use_sim_time', 'parts'), [
    (0.9, WALL_SEC, False, ['0.900 s old', 'wall time (use_sim_time is false)', 'max_frame_age']),
    (WALL_SEC, 0.0, False, ['its stamp is 0', 'max_frame_age to 0']),
    (WALL_SEC - 30, 30.0, False, ['simulated time or the time since a start', 'use_sim_time to']),
    (30 - WALL_SEC, WALL_SEC, True, ['in the future', 'simulated time (use_sim_time is true)',
                                     'its stamp is wall time', 'use_sim_time to false']),
    (-WALL_SEC, WALL_SEC, True, ['stands at 0', 'nothing publishes /clock']),
    (-3.0, WALL_SEC, False, ['3.000 s in the future', 'synchronize the clocks']),
    (5.0, 100.0, True, ['5.000 s old by', 'wanted at most 0.5 s (max_frame_age)']),
    (-3.0, 100.0, True, ['3.000 s in the future', 'use_sim_time is true'])])
def test_a_refused_age_says_by_which_clock_and_what_to_do(age, stamp, use_sim_time, parts):
    text = age_problem(age, stamp, 0.5, use_sim_time=use_sim_time)
    assert all(part in text for part in parts), text
    assert ('use_sim_time to' in text) == any('use_sim_time to' in part for part in parts)


@pytest.mark.parametrize(('age', 'most'), [(0.4, 0.5), (-0.4, 0.5), (1e9, 0.0), (-1e9, 0.0)])
def test_an_age_within_the_limit_is_no_problem(age, most):
    assert age_problem(age, WALL_SEC, most, use_sim_time=False) == ''


def test_a_frame_that_became_too_old_in_the_node_says_so():
    said = 'passed in the node; lower the resolution'
    text = age_problem(0.9, WALL_SEC, 0.5, use_sim_time=False, waited_sec=0.7)
    assert f': 0.700 s of that {said}' in text
    assert said not in age_problem(0.9, WALL_SEC, 0.5, use_sim_time=False, waited_sec=0.3)
    # A clock that is a little ahead is no reason for that.
    assert said in age_problem(0.65, WALL_SEC, 0.5, use_sim_time=False, waited_sec=0.7)


def test_stamps_of_whole_seconds_are_ordered_by_arrival_from_one_second_to_the_next():
    """Some drivers fill in only the seconds: no step of the order may lose the votes."""
    stamps = [int(WALL_SEC + i // 20) * 1_000_000_000 for i in range(100)]
    found, clock = places(stamps)
    order = [order_sec for order_sec, _ in found][STILL_FRAMES:]
    assert [b - a for a, b in zip(order, order[1:])] == pytest.approx([.05] * (len(order) - 1))
    assert not any(has_jumped for _, has_jumped in found)
    assert 'stand still' in clock.take_note()


def test_a_bag_of_whole_seconds_that_begins_again_is_a_jump():
    stamps = [i // 10 * 1_000_000_000 for i in range(50)] * 2
    found, _ = places(stamps)
    assert [i for i, (_, has_jumped) in enumerate(found) if has_jumped] == [50]


def test_stamps_that_run_again_are_believed_again():
    start = int(WALL_SEC * 1e9)
    stamps = [start] * 10 + [start + i * 50 * MS for i in range(1, ADVANCING_FRAMES + 10)]
    found, clock = places(stamps)
    assert [order for order, _ in found[-9:]] == pytest.approx([s / 1e9 for s in stamps[-9:]])
    assert not any(has_jumped for _, has_jumped in found)
    clock.take_note()
    assert clock.take_note() == ''


@pytest.mark.parametrize(('advancing', 'newest_ns'), [
    (ADVANCING_FRAMES - 1, NEVER_NS), (ADVANCING_FRAMES, ADVANCING_FRAMES * 50 * MS)])
def test_stamps_run_again_after_some_that_all_advance(advancing, newest_ns):
    _, clock = places([0] * 5 + [50 * MS * i for i in range(1, advancing + 1)])
    assert clock.newest_ns == newest_ns


def test_one_stamp_of_zero_at_the_start_costs_nothing():
    start = int(WALL_SEC * 1e9)
    found, clock = places([0, start, start + 50 * MS])
    assert [order for order, _ in found[1:]] == [start / 1e9, (start + 50 * MS) / 1e9]
    assert clock.take_note() == ''


def test_a_clock_that_stands_at_zero_is_named_however_long_the_frame_waited():
    text = age_problem(0.3 - WALL_SEC, WALL_SEC, 0.5, use_sim_time=True, waited_sec=0.3)
    assert 'nothing publishes /clock' in text
    assert 'nothing publishes /clock' not in age_problem(0.3 - WALL_SEC, WALL_SEC, 0.5,
                                                         use_sim_time=True)
