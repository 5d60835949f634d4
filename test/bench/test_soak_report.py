"""The verdict of a soak, its files and its table."""

import dataclasses

import numpy as np
import pytest

from enet_ros.bench.soak_report import (
    CameraCounts,
    SoakReport,
    SoakSeries,
    draw_soak,
    format_soak,
    format_table,
    judge,
    read_soak,
    write_soak,
)

GOOD = CameraCounts('front', sent=1000, received=990, published=980, dropped=10, seen=979)


def series(growth_mb=0.0, last_ms=20.0):
    """Return six minutes in which the memory grows, and the latency changes at the end."""
    seconds = np.arange(0.0, 360.5, 0.5)
    return SoakSeries(list(seconds), list(300.0 + growth_mb * seconds / 360.0), [9] * 721,
                      list(seconds), list(np.where(seconds < 300.0, 20.0, last_ms)))


def report(over_time, cameras=(GOOD,)):
    return SoakReport('a machine', 'enet-ros soak --minutes 6', 'openvino', 'float32', [640, 360],
                      [640, 360], 30.0, 6.0, list(cameras), over_time.memory_mb(),
                      over_time.p99_ms(), 18.0, 50.0, 3, '', judge(cameras, over_time))


def test_frames_that_are_lost_and_counted_are_no_failure():
    assert judge([GOOD], series()) == []
    assert GOOD.lost == 20


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'published': 979}, '990 frames were received, but 979 published and 10 dropped are 989'),
    ({'dropped': 11}, '980 published and 11 dropped are 991'),
    ({'sent': 900}, '900 frames were sent and 990 received'),
    ({'seen': 981}, '981 masks came, but 980 were published')])
def test_a_made_loss_fails(changes, reason):
    [failure, *_] = judge([dataclasses.replace(GOOD, **changes)], series())
    assert reason in failure and failure.startswith('front')


def test_a_made_leak_fails():
    assert judge([GOOD], series(growth_mb=5.0)) == []
    [failure] = judge([GOOD], series(growth_mb=9.0))
    assert 'after the first minute, wanted less than 5 MB more' in failure


def test_a_latency_that_grows_fails():
    assert judge([GOOD], series(last_ms=23.0)) == []
    [failure] = judge([GOOD], series(last_ms=25.0))
    assert 'from 20.0 ms in the first minute to 25.0 ms in the last' in failure


def test_a_soak_without_masks_fails():
    assert len(judge([GOOD], SoakSeries([], [], [], [], []))) == 2


def test_the_table_is_made_from_the_files(tmp_path):
    over_time = series(growth_mb=3.0)
    write_soak(tmp_path / 'one.json', report(over_time), over_time)
    draw_soak(tmp_path / 'one.png', report(over_time), over_time)
    again = read_soak(tmp_path / 'one.json')
    assert format_soak(again).endswith('passed')
    assert format_table([again]).splitlines()[2] == (
        '| 1 | 30 Hz | 640x360 | 6 | 20 of 1000 (2.0 %) | 20 ms | 303 MB (+2.0) '
        '| `enet-ros soak --minutes 6` |')
    (tmp_path / 'other.json').write_text('{"cameras": 3}')
    with pytest.raises(ValueError, match='other.json is no result of enet-ros soak'):
        read_soak(tmp_path / 'other.json')
