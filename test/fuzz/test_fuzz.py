"""Two thousand cases for each reader of what comes from outside; ``make fuzz`` runs 100,000.

A case that breaks a promise is named with its seed and number. To repeat it, in test/:
``python -m support.fuzz_run TARGET --seed S --first NUMBER --count 1``.
"""

import pytest
from support.fuzz_run import MOST_MB, MOST_SEC, run_in_child
from support.fuzz_targets import NAMES, NEEDS_ROS

SEED, CASES = 1, 2000


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=pytest.mark.ros) if name in NEEDS_ROS else name for name in NAMES])
@pytest.mark.timeout(600)
def test_no_case_crashes_hangs_or_is_refused_without_a_sentence(name):
    if name in NEEDS_ROS:
        pytest.importorskip('rclpy', reason='rclpy is not installed')
    report = run_in_child(name, SEED, 0, CASES)
    assert report.finds == []
    assert report.cases == CASES
    assert 0 < report.accepted < CASES, 'the cases are all good, or all bad'
    assert report.slowest_sec <= MOST_SEC
    assert report.most_mb <= MOST_MB
