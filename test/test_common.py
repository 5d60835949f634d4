"""Locks, errors, options and signals."""

import os
import subprocess
import sys

import pytest

from enet_ros.common.file_lock import FileLock, HeldError

HOLD = ('import sys\nfrom pathlib import Path\nfrom enet_ros.common.file_lock import FileLock\n'
        'lock = FileLock(Path(sys.argv[1]))\nprint("held", flush=True)\ninput()')


def test_a_link_in_the_place_of_a_lock_does_not_empty_a_file_elsewhere(tmp_path):
    (tmp_path / 'precious').write_text('content')
    (tmp_path / '.lock').symlink_to('precious')
    with pytest.raises(OSError):
        FileLock(tmp_path / '.lock')
    assert (tmp_path / 'precious').read_text() == 'content'


def test_the_holder_is_named_without_what_others_wrote_before_it(tmp_path):
    path = tmp_path / '.lock'
    path.write_text('process 4194303 on a machine with a very long name\x1b[2J\n')
    with subprocess.Popen([sys.executable, '-c', HOLD, path], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == 'held\n'
        with pytest.raises(HeldError, match=rf'^process {holder.pid} on \S+$'):
            FileLock(path)
        path.write_bytes(b'someone\x1b[2J\nelse')
        with pytest.raises(HeldError) as error:
            FileLock(path)
        assert str(error.value) == r'someone\x1b[2J else'
        holder.stdin.close()


def test_a_lock_that_is_closed_lets_another_process_in(tmp_path):
    lock = FileLock(tmp_path / '.lock')
    lock.close()
    done = subprocess.run([sys.executable, '-c', HOLD, tmp_path / '.lock'], input='\n',
                          capture_output=True, text=True, timeout=60)
    assert done.stdout == 'held\n', done.stderr


def test_locks_of_different_bytes_do_not_keep_each_other_out(tmp_path):
    path = tmp_path / '.lock'
    code = HOLD.replace('FileLock(Path(sys.argv[1]))', 'FileLock(Path(sys.argv[1]), 1)')
    with subprocess.Popen([sys.executable, '-c', code, path], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == 'held\n'
        FileLock(path).close()
        holder.stdin.close()
    assert path.read_text() == f'process {os.getpid()} on {os.uname().nodename}'


def test_two_names_of_one_file_to_write_are_refused(tmp_path):
    from enet_ros.common.overwrite import check_outputs
    (tmp_path / 'link').symlink_to('file')
    for other in (tmp_path / 'link', tmp_path / 'x' / '..' / 'file'):
        with pytest.raises(ValueError, match='two are one'):
            check_outputs([tmp_path / 'file', other], force=True)


def test_a_file_of_a_windows_editor_and_lists_of_equal_values_are_read(tmp_path):
    from enet_ros.common.plain_yaml import load_yaml, read_limited
    (tmp_path / 'a.yaml').write_bytes(b'\xef\xbb\xbfa: [1, 1, {b: 2}, 1]\nb: [x, x, x, x]\n')
    assert load_yaml(read_limited(tmp_path / 'a.yaml')) == {
        'a': [1, 1, {'b': 2}, 1], 'b': ['x', 'x', 'x', 'x']}


def test_yaml_of_very_many_values_or_of_a_key_twice_is_refused():
    from enet_ros.common.plain_yaml import PlainYamlError, load_yaml
    with pytest.raises(PlainYamlError, match='has more than 50000 values'):
        load_yaml('[' + '1,' * 50_001 + ']')
    with pytest.raises(PlainYamlError, match="has the key 'b' again in line 3"):
        load_yaml('a:\n  b: 1\n  b: 2\n')


def test_names_that_no_module_can_have_are_no_module():
    from enet_ros.common.requirements import is_importable
    assert not is_importable('enet_ros_nowhere.below')
    assert is_importable('json')


def test_an_absent_package_that_is_not_required_is_not_explained():
    from enet_ros.common.requirements import explain_absence
    assert explain_absence(ImportError('no', name='rclpy')) == ''
    assert explain_absence(ImportError('no')) == ''


def test_a_module_without_a_spec_is_no_end_of_the_doctor(monkeypatch):
    import types

    from enet_ros.common.requirements import is_importable
    monkeypatch.setitem(sys.modules, 'enet_ros_made_up', types.ModuleType('enet_ros_made_up'))
    assert not is_importable('enet_ros_made_up')  # its __spec__ is None: a ValueError
