"""The verdict of a soak, its files and its table."""

import dataclasses
import json

import numpy as np
import pytest

from enet_ros.bench.soak_report import (
    CameraCounts,
    SoakReport,
    SoakSeries,
    draw_soak,
    failures_of,
    format_soak,
    format_table,
    read_soak,
    write_soak,
)

GOOD = CameraCounts('front', sent=1000, received=990, published=980, dropped=10, seen=979)


def series(growth_mb=0.0, last_ms=20.0, minutes=6.0):
    """Return minutes in which the memory grows, and the latency changes at the end."""
    seconds, end = np.arange(0.0, 60.0 * minutes + 0.25, 0.5), 60.0 * minutes
    last = seconds >= end - min(60.0, end / 3.0)
    return SoakSeries(list(seconds), list(300.0 + growth_mb * seconds / end), [9] * len(seconds),
                      list(seconds), list(np.where(last, last_ms, 20.0)))


def report(over_time, cameras=(GOOD,)):
    return SoakReport('a machine', 'enet-ros soak --minutes 6', 'openvino', 'float32', [640, 360],
                      [640, 360], 30.0, 6.0, list(cameras), over_time.memory_mb(),
                      over_time.p99_ms(), 18.0, 50.0, 30.0, 3, '',
                      failures_of(cameras, over_time))


def test_frames_that_are_lost_and_counted_are_no_failure():
    assert failures_of([GOOD], series()) == []
    assert GOOD.lost == 20


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'published': 979}, '990 frames were received, but 979 published and 10 dropped are 989'),
    ({'dropped': 11}, '980 published and 11 dropped are 991'),
    ({'sent': 900}, '900 frames were sent and 990 received'),
    ({'seen': 981}, '981 masks came, but 980 were published')])
def test_a_made_loss_fails(changes, reason):
    [failure, *_] = failures_of([dataclasses.replace(GOOD, **changes)], series())
    assert reason in failure and failure.startswith('front')


def grown_after(window_sec, growth_mb, minutes):
    """Return the growth over a soak of which so much comes after the first minute."""
    return growth_mb * 60.0 * minutes / (60.0 * minutes - window_sec)


@pytest.mark.parametrize(('minutes', 'window_sec'), [
    (0.3, 6.0), (1.0, 20.0), (6.0, 60.0), (30.0, 60.0)])
def test_a_made_leak_fails(minutes, window_sec):
    just_below = series(grown_after(window_sec, 4.9, minutes), minutes=minutes)
    assert failures_of([GOOD], just_below) == []
    assert failures_of([GOOD], series(-50.0, minutes=minutes)) == []
    [failure] = failures_of([GOOD], series(grown_after(window_sec, 6.0, minutes), minutes=minutes))
    assert 'after the first minute, wanted less than 5 MB more' in failure


@pytest.mark.parametrize(('at_sec', 'fails'), [(30.0, False), (90.0, True), (1700.0, True)])
def test_a_step_of_the_memory_fails_unless_it_comes_in_the_first_minute(at_sec, fails):
    over_time = series(minutes=30.0)
    over_time = dataclasses.replace(over_time, rss_mb=list(
        np.where(np.asarray(over_time.sample_sec) < at_sec, 300.0, 305.1)))
    assert bool(failures_of([GOOD], over_time)) == fails


@pytest.mark.parametrize('minutes', [0.3, 1.0, 6.0, 30.0])
def test_a_latency_that_grows_fails(minutes):
    assert failures_of([GOOD], series(last_ms=23.9, minutes=minutes)) == []
    assert failures_of([GOOD], series(last_ms=5.0, minutes=minutes)) == []
    [failure] = failures_of([GOOD], series(last_ms=24.1, minutes=minutes))
    assert 'from 20.0 ms in the first minute to 24.1 ms in the last' in failure


@pytest.mark.parametrize('over_time', [
    SoakSeries([], [], [], [], []), series(minutes=0.04),
    dataclasses.replace(series(), mask_sec=[1.0, 2.0], latency_ms=[20.0, 20.0])])
def test_what_is_too_short_to_judge_fails(over_time):
    [failure] = failures_of([GOOD], over_time)
    assert 'are too few to judge memory and latency: soak longer' in failure
    assert f'{len(over_time.mask_sec)} masks in' in failure


def test_each_camera_is_judged():
    rear = dataclasses.replace(GOOD, name='rear', received=0, published=0, dropped=0, seen=0)
    [failure] = failures_of([GOOD, rear], series())
    assert failure == 'rear: 1000 frames were sent and 0 received'


def test_the_table_is_made_from_the_files(tmp_path):
    over_time = series(growth_mb=3.0)
    write_soak(tmp_path / 'one.json', report(over_time), over_time)
    draw_soak(tmp_path / 'one.png', report(over_time), over_time)
    again = read_soak(tmp_path / 'one.json')
    assert format_soak(again).endswith('passed')
    in_file = json.loads((tmp_path / 'one.json').read_text())['over_time']
    assert len(in_file['sample_sec']) == len(in_file['rss_mb']) == 721
    assert in_file['p50_ms'] == in_file['p99_ms'] == [20.0] * len(in_file['mask_sec'])
    assert format_table([again]).splitlines()[2] == (
        '| 1 | 30 Hz | 640x360 | 6 | 20 of 1000 (2.0 %) | 20 ms | 303 MB (+2.4) '
        '| `enet-ros soak --minutes 6` |')
    (tmp_path / 'other.json').write_text('{"cameras": 3}')
    with pytest.raises(ValueError, match='other.json is no result of enet-ros soak'):
        read_soak(tmp_path / 'other.json')


def test_the_file_of_a_short_soak_is_json_with_null_for_what_is_not_known(tmp_path):
    over_time, path = series(minutes=0.04), tmp_path / 'short.json'
    write_soak(path, dataclasses.replace(report(over_time), p50_ms=float('nan')), over_time)
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert content['memory_mb'] == content['p99_ms'] == [None, None]
    assert content['p50_ms'] is None
    again = read_soak(path)
    assert '(2.0 %) | unknown | unknown | `enet-ros' in format_table([again])
    assert 'p50 unknown; p99 unknown in the first minute' in format_soak(again)


@pytest.mark.parametrize(('name', 'value'), [
    ('memory_mb', None), ('memory_mb', [1.0]), ('memory_mb', ['1', '2']), ('p99_ms', 5),
    ('camera_size', 5), ('camera_size', []), ('rate_hz', '30'), ('minutes', [6]),
    ('cameras', None), ('p50_ms', '18')])
def test_a_file_with_figures_of_other_types_is_refused(tmp_path, name, value):
    write_soak(tmp_path / 'one.json', report(series()), series())
    content = json.loads((tmp_path / 'one.json').read_text())
    (tmp_path / 'one.json').write_text(json.dumps({**content, name: value}))
    with pytest.raises(ValueError, match='one.json is no result of enet-ros soak'):
        read_soak(tmp_path / 'one.json')
