"""The manifest of many recordings: it goes on with the same options, weights and recordings."""

import errno
import fcntl
import json
import os
import shutil
import subprocess

import pytest

pytest.importorskip('rosbags', reason='the extra bag is not installed')

from support import recordings  # noqa: E402

from enet_ros.common.child import python_command  # noqa: E402
from enet_ros.network.checkpoint import weights_path  # noqa: E402
from enet_ros.recordings.manifest import Manifest  # noqa: E402

HOLDER = """
import pathlib, sys
from enet_ros.common.file_lock import FileLock
lock = FileLock(pathlib.Path(sys.argv[1]))
print(flush=True)
sys.stdin.read()
"""


def test_two_runs_do_not_write_one_folder(bag, tmp_path, drives):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'manifest.json.writing').write_bytes(b'')  # of a run that was killed at once
    with subprocess.Popen([*python_command(), '-c', HOLDER, str(out / '.lock')],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        code, text = bag(drives, '-o', out)
        assert code == 2
        assert f"another run is writing '{out}' now (process {holder.pid} on " in text
        assert sorted(os.listdir(out)) == ['.lock', 'manifest.json.writing']
        holder.stdin.close()
        holder.wait(timeout=60)
        assert bag(drives / 'monday', '-o', out, '--jobs', 1)[0] == 0


def test_other_weights_under_the_same_name_do_not_go_on_with_a_manifest(bag, tmp_path, drives):
    out, weights = tmp_path / 'out', tmp_path / 'own.safetensors'
    shutil.copy(weights_path('enet_camvid'), weights)
    assert bag(drives / 'monday', '-o', out, '--jobs', 1, '--weights', weights)[0] == 0
    shutil.copy(weights_path('enet_road'), weights)
    code, text = bag(drives, '-o', out, '--weights', weights)
    assert code == 2
    assert 'is of a run with other options: weights_sha256 was ' in text
    assert not (out / 'tuesday').exists()


@pytest.mark.parametrize('fact', ['weights_sha256', 'resolution'])
def test_machines_with_other_weights_or_resolutions_are_named(tmp_path, fact):
    made = Manifest(tmp_path / 'out', [tmp_path / 'a', tmp_path / 'b'], {})
    for entry, value in zip(made.entries, ('one', 'other')):
        entry.state, entry.facts = 'done', {'processor': 'same', fact: value}
    assert len(made.kinds()) == 2


def test_a_recording_of_a_name_that_is_taken_is_refused(bag, tmp_path, drives):
    out = tmp_path / 'out'
    assert bag(drives / 'monday', '-o', out, '--jobs', 1)[0] == 0
    other = recordings.write(tmp_path / 'other' / 'monday', recordings.street(1))
    code, text = bag(other, '-o', out, '--jobs', 1)
    assert code == 2
    assert (f"'{out / 'monday'}' belongs to '{drives / 'monday'}', so '{other}' cannot be written "
            'there') in text


def test_a_result_of_a_process_that_died_before_it_said_so_is_taken_over(bag, tmp_path, drives):
    out = tmp_path / 'out'
    assert bag(drives / 'monday', '-o', out, '--jobs', 1)[0] == 0
    manifest = json.loads((out / 'manifest.json').read_text())
    row = manifest['recordings'][0]
    frames = row['frames']
    row.update(state='failed', error='its process ended (SIGKILL, out of memory?)', frames=0)
    (out / 'manifest.json').write_text(json.dumps(manifest))
    code, text = bag(drives / 'monday', '-o', out, '--jobs', 1)
    assert code == 0 and '1 recordings done, 0 failed' in text
    row = json.loads((out / 'manifest.json').read_text())['recordings'][0]
    assert (row['state'], row['frames']) == ('done', frames) and frames > 0


def test_a_file_system_without_locks_is_said_and_used(bag, tmp_path, drives, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, 'No locks available')
    monkeypatch.setattr(fcntl, 'lockf', refuse)
    monkeypatch.setattr(fcntl, 'flock', refuse)
    code, text = bag(drives, '-o', tmp_path / 'out')
    assert code == 0, text
    advice = 'is on a file system without locks: start no second run there'
    assert f"warning: '{tmp_path / 'out'}' {advice}" in text
    assert f"warning: monday: '{tmp_path / 'out' / 'monday.partial'}' {advice}" in text


@pytest.mark.parametrize('is_old', [False, True])
def test_a_recording_that_has_changed_since_is_not_done(bag, tmp_path, drives, is_old):
    out = tmp_path / 'out'
    assert bag(drives, '-o', out, '--outputs', 'labels')[0] == 0
    monday, whole = drives / 'monday', tmp_path / 'whole'
    shutil.move(monday, whole)
    recordings.write(monday, recordings.street(5))
    if is_old:  # an earlier version has written no sizes
        manifest = json.loads((out / 'manifest.json').read_text())
        for row in manifest['recordings']:
            del row['files']
        (out / 'manifest.json').write_text(json.dumps(manifest))
    code, text = bag(drives, '-o', out, '--outputs', 'labels')
    if is_old:
        assert code == 0 and '3 recordings, 3 done before' in text
        return
    for _ in range(2):
        assert code == 1 and '2 recordings done, 1 failed' in text
        assert f'{monday}: the recording has changed since it was labeled: remove its res' in text
        code, text = bag(drives, '-o', out, '--outputs', 'labels')
    shutil.move(monday, tmp_path / 'new')
    shutil.move(whole, monday)
    assert bag(drives, '-o', out, '--outputs', 'labels')[0] == 0  # the same again
    shutil.rmtree(monday)
    shutil.move(tmp_path / 'new', monday)
    shutil.rmtree(out / 'monday')
    code, text = bag(drives, '-o', out, '--outputs', 'labels')
    assert code == 0 and 'monday: 5 frames on' in text
