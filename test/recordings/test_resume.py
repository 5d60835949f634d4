"""A run that is stopped goes on at its last whole part, and nothing is ever overwritten."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rosbags', reason='the extra bag is not installed')

from support import recordings  # noqa: E402

from enet_ros.perception.suspicion import Fault, Suspicion  # noqa: E402
from enet_ros.recordings import segment, writer  # noqa: E402
from enet_ros.recordings.state import StateError, decode_state, encode_state  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = ('--part-size', '0.6')  # MiB; two or three drawn frames
FEW = 9
RENAMES = 23  # of a whole run over so many frames, in small parts


def drive(tmp_path, count=FEW):
    return recordings.write(tmp_path / 'drive', recordings.street(
        count, ('/a/image_raw', '/b/image_raw'), meters=True))


def votes(tmp_path):
    path = tmp_path / 'params.yaml'
    path.write_text('/enet:\n  ros__parameters:\n    drivable.majority: 5\n'
                    '    suspect_frames: unknown\n    frozen_timeout: 0.1\n')
    return '--params', path


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class Killed(BaseException):
    """Stands for a kill: nothing in the code may catch it."""


def killed(bag, monkeypatch, moment, *arguments):
    """Run the command, and kill it when it gives a file its name for the n-th time."""
    with monkeypatch.context() as patch:
        kill_at(patch, moment)
        with pytest.raises(Killed):
            bag(*arguments)


def kill_at(monkeypatch, count):
    """Kill at the rename of that number, or never; return the list of all renames."""
    real, calls = writer.os.replace, []

    def failing(*arguments):
        if {'out', 'out.partial'} & {*Path(arguments[1]).parts}:  # not those of other caches
            calls.append(arguments)
            if len(calls) == count:
                raise Killed
        return real(*arguments)

    monkeypatch.setattr(writer.os, 'replace', failing)
    return calls


@pytest.mark.parametrize('moment', [*range(1, 9), *range(RENAMES - 4, RENAMES + 1)])
def test_a_run_that_is_killed_anywhere_ends_in_an_equal_recording(bag, tmp_path, monkeypatch,
                                                                  moment):
    path, params = drive(tmp_path), votes(tmp_path)
    (tmp_path / 'whole').mkdir()
    with monkeypatch.context() as patch:
        renames = kill_at(patch, None)
        assert bag(path, '-o', tmp_path / 'whole' / 'out', *SMALL, *params)[0] == 0
    whole = contents(tmp_path / 'whole' / 'out')
    assert len(whole) > 3 and len(renames) == RENAMES  # so the last moments are tried
    killed(bag, monkeypatch, moment, path, '-o', tmp_path / 'out', *SMALL, *params)
    assert not (tmp_path / 'out').exists()
    code, text = bag(path, '-o', tmp_path / 'out', *SMALL, *params)
    assert code == 0, text
    assert contents(tmp_path / 'out') == whole
    assert not (tmp_path / 'out.partial').exists()
    if moment > 4:
        assert 'from the run before' in text


def start(path, out, *arguments):
    return subprocess.Popen(
        [sys.executable, REPOSITORY / 'bin' / 'enet-ros', 'bag', str(path), '-o', str(out),
         '--resolution', '160x96', '--precision', 'float32', *map(str, arguments)],
        stderr=subprocess.PIPE, text=True)


def wait_for_parts(out, process, count):
    deadline = time.monotonic() + 60
    while len(list(out.with_name(out.name + '.partial').glob('*.mcap'))) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, 'no part within 60 s'
        time.sleep(0.01)


@pytest.mark.parametrize(('sent', 'code'), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_process_that_is_stopped_leaves_whole_parts_and_the_next_goes_on(
        bag, tmp_path, sent, code):
    path, out = drive(tmp_path, 60), tmp_path / 'out'
    process = start(path, out, *SMALL)
    wait_for_parts(out, process, 3)
    process.send_signal(sent)
    text = process.communicate(timeout=30)[1]
    assert process.returncode == code, text
    assert not out.exists()
    if sent == signal.SIGINT:
        assert f'the parts that are whole stay in {out}.partial' in text
        assert 'Traceback' not in text
    for part in out.with_name('out.partial').glob('*.mcap'):
        assert recordings.read(part)
    assert bag(path, '-o', out, *SMALL)[0] == 0
    (tmp_path / 'again').mkdir()
    assert bag(path, '-o', tmp_path / 'again' / 'out', *SMALL)[0] == 0
    assert contents(out) == contents(tmp_path / 'again' / 'out')


def test_nothing_is_overwritten(bag, tmp_path):
    path = drive(tmp_path, 2)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'mine').write_text('mine')
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2
    assert f"'{tmp_path / 'out'}' exists already and is never overwritten" in text
    assert contents(tmp_path / 'out') == {'mine': b'mine'}
    assert not (tmp_path / 'out.partial').exists()


def everything(folder):
    """Return the files below a folder, through links."""
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_file()}


def test_a_folder_that_is_no_unfinished_recording_is_left_as_it_is(bag, tmp_path):
    path, out, partial = drive(tmp_path, 2), tmp_path / 'out', tmp_path / 'out.partial'
    (partial / 'sub').mkdir(parents=True)
    (partial / 'sub' / 'deep.txt').write_text('mine')
    (partial / 'notes.txt').write_text('mine')
    before = everything(partial)
    code, text = bag(path, '-o', out)
    assert code == 2
    assert (f"'{partial}' is no unfinished recording: it has 'notes.txt' and no plan.json; move "
            'it away, or choose another name for -o') in text
    assert everything(partial) == before and not out.exists()


def test_a_link_is_no_place_for_an_unfinished_recording(bag, tmp_path):
    path, out, partial = drive(tmp_path, 2), tmp_path / 'out', tmp_path / 'out.partial'
    target = tmp_path / 'target'
    target.mkdir()
    (target / 'notes.txt').write_text('mine')
    partial.symlink_to(target)
    code, text = bag(path, '-o', out)
    assert code == 2
    assert f"'{partial}' is a link, wanted a folder or nothing; move it away" in text
    assert everything(target) == {'notes.txt': b'mine'} and partial.is_symlink()
    assert not out.exists()
    partial.unlink()
    partial.write_text('mine')
    code, text = bag(path, '-o', out)
    assert code == 2
    assert f"'{partial}' is a file, wanted a folder or nothing" in text
    assert partial.read_text() == 'mine'
    partial.unlink()
    partial.mkdir()
    (partial / 'lock').symlink_to(target / 'notes.txt')
    assert bag(path, '-o', out)[0] == 2
    assert everything(target) == {'notes.txt': b'mine'}


def test_the_end_of_a_run_removes_no_file_that_it_did_not_write(bag, tmp_path, monkeypatch):
    path, out = drive(tmp_path), tmp_path / 'out'
    killed(bag, monkeypatch, 6, path, '-o', out, *SMALL)
    partial = tmp_path / 'out.partial'
    mine = {'notes.txt': b'mine', 'sub/deep.txt': b'mine', 'report.writing': b'mine'}
    (partial / 'sub').mkdir()
    for name, content in mine.items():
        (partial / name).write_bytes(content)
    code, text = bag(path, '-o', out, *SMALL)
    assert code == 0, text
    after = everything(out)
    assert mine.items() <= after.items()
    assert all(name == 'metadata.yaml' or name.endswith('.mcap') for name in {*after} - {*mine})


@pytest.mark.parametrize('left', [(), ('lock',), ('lock', 'plan.json.writing')])
def test_a_run_that_was_killed_before_its_plan_is_begun_anew(bag, tmp_path, left):
    path, out, partial = drive(tmp_path, 2), tmp_path / 'out', tmp_path / 'out.partial'
    partial.mkdir()
    for name in left:
        (partial / name).write_bytes(b'')
    assert bag(path, '-o', out)[0] == 0
    assert {*everything(out)} == {'metadata.yaml', 'out_0.mcap'}


def test_an_unfinished_run_with_other_options_is_not_gone_on_with(bag, tmp_path, monkeypatch):
    path, out = drive(tmp_path), tmp_path / 'out'
    killed(bag, monkeypatch, 6, path, '-o', out, *SMALL)
    before = contents(tmp_path / 'out.partial')
    code, text = bag(path, '-o', out, *SMALL, '--outputs', 'labels')
    assert code == 2
    assert 'is an unfinished recording of another run: outputs was [' in text
    assert 'remove it to begin anew, or give the same options to go on' in text
    assert contents(tmp_path / 'out.partial') == before


def test_an_unfinished_run_of_another_version_is_not_gone_on_with(bag, tmp_path, monkeypatch):
    path, out = drive(tmp_path), tmp_path / 'out'
    killed(bag, monkeypatch, 6, path, '-o', out, *SMALL)
    monkeypatch.setattr(segment, 'package_version', lambda name: '99.0')
    code, text = bag(path, '-o', out, *SMALL)
    assert code == 2 and ', now 99.0; remove it to begin anew' in text, text


def test_a_file_that_is_none_of_the_recording_changes_nothing(bag, tmp_path, monkeypatch):
    path, out = drive(tmp_path), tmp_path / 'out'
    killed(bag, monkeypatch, 6, path, '-o', out, *SMALL)
    (path / 'notes.txt').write_text('mine')
    code, text = bag(path, '-o', out, *SMALL)
    assert code == 0 and 'from the run before' in text, text


def test_two_runs_do_not_write_one_recording(bag, tmp_path):
    path, out = drive(tmp_path, 60), tmp_path / 'out'
    process = start(path, out, *SMALL)
    wait_for_parts(out, process, 1)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        code, text = bag(path, '-o', out, *SMALL)
    finally:
        process.kill()
        process.communicate()
    assert code == 2
    assert f"another run is writing '{out}.partial' now" in text


def test_a_state_that_is_no_state_is_named(bag, tmp_path, monkeypatch):
    path, out = drive(tmp_path), tmp_path / 'out'
    killed(bag, monkeypatch, 6, path, '-o', out, *SMALL)
    (tmp_path / 'out.partial' / 'state.json').write_bytes(b'\x80\x04.')
    code, text = bag(path, '-o', out, *SMALL)
    assert code == 2
    assert "out.partial' cannot go on (the state of the run before cannot be read" in text
    assert 'remove it to begin anew' in text


def test_a_state_without_a_camera_is_named(bag, tmp_path, monkeypatch):
    path, out = drive(tmp_path), tmp_path / 'out'
    killed(bag, monkeypatch, 6, path, '-o', out, *SMALL)
    state_path = tmp_path / 'out.partial' / 'state.json'
    state = decode_state(state_path.read_bytes())
    for kept in (state['state'], state['before']['state']):
        del kept['/a/image_raw']
    state_path.write_bytes(encode_state(state))
    code, text = bag(path, '-o', out, *SMALL)
    assert code == 2
    assert ("out.partial' cannot go on (its state has no '/a/image_raw'); remove it to begin "
            'anew') in text


def test_what_a_camera_remembers_comes_back_as_it_was():
    masks = deque([np.eye(3, dtype=np.uint8)[:, 1]], maxlen=2)
    state = decode_state(encode_state({
        'masks': masks, 'size': (640, np.int64(360)), 'looks': [(0.5, np.float32(0.25))],
        'suspicion': Suspicion(Fault.FROZEN, 'why'), 'votes': {'a': np.bool_(True)}}))
    assert isinstance(state['masks'], deque) and state['masks'].maxlen == 2
    assert state['masks'][0].tolist() == [0, 1, 0] and state['masks'][0].dtype == np.uint8
    state['masks'][0][:] = 7  # It can be written.
    assert (state['size'], state['looks']) == ((640, 360), [(0.5, 0.25)])
    assert type(state['size'][1]) is int and type(state['looks'][0]) is tuple
    assert state['suspicion'] == Suspicion(Fault.FROZEN, 'why')
    assert state['votes']['a'] is True


def test_a_state_holds_data_alone():
    with pytest.raises(TypeError, match='a function cannot be kept'):
        encode_state({'x': lambda: None})
    for text in ('[1]', '{"mapping": [["a", {"array": "AAAA", "dtype": "|O", "shape": [1]}]]}',
                 json.dumps({'mapping': [['a', {'object': 'os.system'}]]}),
                 '{"mapping": [["a", {"foo": 1}]]}'):
        with pytest.raises(StateError):
            decode_state(text.encode())


def test_the_progress_shows_the_time_that_is_left(bag, tmp_path):
    code, text = bag(drive(tmp_path, 4), '-o', tmp_path / 'out')
    assert code == 0
    assert 'drive: 100%' in text
    assert '8/8 [00:' in text and 'frame/s]' in text
    assert segment.PART_BYTES == 256 << 20
