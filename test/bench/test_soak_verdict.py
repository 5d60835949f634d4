"""A soak's verdict on rare slow frames, and its warning about a busy machine."""

import dataclasses

import numpy as np
import pytest

from enet_ros.bench.soak_report import (
    CameraCounts,
    SoakReport,
    SoakSeries,
    failures_of,
    format_soak,
)

GOOD = CameraCounts('front', sent=1000, received=990, published=980, dropped=10, seen=979)


def series(every):
    """Six minutes with a slow frame among so many in the last one."""
    seconds = np.arange(0.0, 360.25, 0.1)
    slow = (seconds >= 300.0) & (np.arange(len(seconds)) % every == 0)
    return SoakSeries(list(seconds), [300.0] * len(seconds), [9] * len(seconds), list(seconds),
                      list(np.where(slow, 200.0, 20.0)))


@pytest.mark.parametrize(('every', 'fails'), [(50, True), (400, False)])
def test_one_slow_frame_in_fifty_fails_though_the_median_is_as_before(every, fails):
    assert bool(failures_of([GOOD], series(every))) == fails


def test_a_soak_on_a_busy_machine_is_not_to_be_trusted():
    report = SoakReport('a machine', 'enet-ros soak', 'openvino', 'float32', [640, 360],
                        [640, 360], 30.0, 6.0, [GOOD], (300.0, 300.0), (20.0, 20.0), 18.0, 50.0,
                        30.0, 3, '', [])
    assert 'not to be trusted' not in format_soak(report)
    busy = dataclasses.replace(report, busy='other processes kept 1.5 of 2 cores busy')
    assert ('not to be trusted: other processes kept 1.5 of 2 cores busy. Leave the machine alone '
            'and repeat.') in format_soak(busy)
