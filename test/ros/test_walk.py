"""A random walk of one real node over DDS, and that it would notice what it looks for."""

import os
import random
import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from support.walk import frames, values  # noqa: E402
from support.walk.process import WalkFailed  # noqa: E402
from support.walk.requests import ACTIVATE, CONFIGURE  # noqa: E402
from support.walk.run import Held, compare, run_walk  # noqa: E402
from support.walk.walk import Walk  # noqa: E402

from enet_ros.perception.parameters.settings import PARAMETERS  # noqa: E402
from enet_ros.perception.parameters.table import Changes, ConfigError  # noqa: E402

pytestmark = pytest.mark.ros
SEED = 18


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_random_steps_break_no_promise():
    run_walk(100, SEED)


@pytest.fixture(scope='module')
def walk():
    """One active node, for the tests below, which spoil what the walk expects of it."""
    walk = Walk(SEED)
    walk.requests.change(CONFIGURE)
    walk.requests.change(ACTIVATE)
    walk.sender.send_good('front', frames.SIZES[0], 0)
    yield walk
    walk.close()


def test_a_wrong_state_is_noticed(walk, monkeypatch):
    walk.requests.check()
    monkeypatch.setattr(walk.expected, 'state', 2)
    with pytest.raises(WalkFailed, match=r'the node is 3, wanted 2 \(inactive\)'):
        walk.requests.check()


def test_a_parameter_that_was_refused_and_set_is_noticed(walk, monkeypatch):
    monkeypatch.setitem(walk.expected.values, 'overlay_opacity', 0.125)
    with pytest.raises(WalkFailed, match=r"'overlay_opacity': \(0.5, 0.125\)"):
        walk.requests.check()


def test_a_value_that_is_taken_against_expectation_is_noticed(walk, monkeypatch):
    monkeypatch.setattr(values, 'is_taken', lambda *arguments, **options: False)
    with pytest.raises(WalkFailed, match=r'jpeg_quality = 80 was answered .* wanted False'):
        walk.requests.request([('jpeg_quality', 80)], atomically=False)


def test_wrong_labels_are_noticed(walk, monkeypatch):
    right = frames.Reference.labels
    monkeypatch.setattr(frames.Reference, 'labels',
                        lambda *arguments: right(*arguments)[:, ::-1])
    with pytest.raises(WalkFailed, match='of the labels are right'):
        walk.sender.send_good('front', frames.SIZES[0], 0)


def test_a_mask_that_calls_unseen_ground_free_is_noticed(walk, monkeypatch):
    monkeypatch.setattr(walk.expected, 'drivable', lambda: np.zeros(256, bool))
    walk.expected.loose_until_sec = 0.0
    with pytest.raises(WalkFailed, match='the mask differs'):
        walk.sender.send_good('rear', frames.SIZES[0], 0)
    with pytest.raises(WalkFailed, match='calls .* pixels free that its labels do not'):
        walk.requests.check()
    walk._outside.problems.clear()


def test_a_mask_of_a_bad_frame_is_noticed(walk):
    labels = np.zeros((2, 2), np.uint8)
    walk.sender.bad_stamps.add(7)
    walk.sender.judge_pair('front', 7, labels, labels)
    with pytest.raises(WalkFailed, match='a mask came for a bad frame of front'):
        walk.requests.check()
    walk._outside.problems.clear()


def test_a_test_that_disturbs_the_walk_is_named(walk, bench):
    assert walk.disturbance() == ''
    bench(start=False)
    deadline = time.monotonic() + 10.0
    while not walk.disturbance() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert '2 nodes have this name in domain' in walk.disturbance()


def test_what_is_left_behind_is_noticed():
    before = Held({'timers': 2, 'threads': 9}, 300.0)
    compare(before, Held({'timers': 2, 'threads': 8}, 329.0))
    with pytest.raises(WalkFailed, match='left behind: timers 2 -> 3, files 0 -> 1'):
        compare(before, Held({'timers': 3, 'threads': 9, 'files': 1}, 300.0))
    with pytest.raises(WalkFailed, match='added 31.0 MB, wanted less than 30 MB'):
        compare(before, Held(before.counts, 331.0))


def test_a_node_that_ends_is_noticed():
    walk = Walk(SEED)
    try:
        os.kill(walk.node.pid, 9)
        time.sleep(1.0)
        with pytest.raises(WalkFailed, match='the node ended with exit code -9'):
            walk.requests.check()
    finally:
        walk.close()


@pytest.fixture(scope='module')
def drawn():
    """The names of the parameters that a long walk sets."""
    return {values.choose(random.Random(number), refused=number % 2)[0]
            for number in range(4000)}


@pytest.mark.parametrize('row', PARAMETERS, ids=lambda row: row.name)
def test_every_parameter_of_the_table_is_walked_by_good_values_and_bad_ones(row, drawn):
    assert row.name in drawn
    assert values.usable_values(row), f'say in OTHER_VALUES which values of {row.name} to walk'
    for value in values.usable_values(row):
        row.checked(value)
    for value in values.useless_values(row) if row.changes is not Changes.AT_START else ():
        with pytest.raises(ConfigError):
            row.checked(value)
