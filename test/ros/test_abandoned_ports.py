"""Ports of shared memory of a killed reader: which of them are held.

``test/faults/test_process.py`` shows that a new node takes others.
"""

import fcntl
import os

import pytest

from enet_ros.ros.abandoned_ports import hold_abandoned_ports

PORT = 'fastrtps_port7411'
MAPS = '7f2a0000-7f2b0000 rw-s 00000000 00:1b 77   /dev/shm/{}\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'shm').mkdir()
    return tmp_path / 'shm'


@pytest.fixture
def processes(tmp_path):
    """Return a maker of a folder like /proc, one process for each text of its memory."""
    def make(*texts):
        for pid, text in enumerate(texts, start=1):
            (tmp_path / 'proc' / str(pid)).mkdir(parents=True)
            (tmp_path / 'proc' / str(pid) / 'maps').write_text(text)
        (tmp_path / 'proc' / 'meminfo').mkdir()
        return tmp_path / 'proc'
    return make


def is_locked(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.mark.parametrize('mapped', [PORT, f'{PORT} (deleted)'])
def test_a_port_without_a_reader_that_others_have_open_is_held(folder, processes, mapped):
    (folder / f'{PORT}_el').touch()
    held = hold_abandoned_ports(folder, processes('', MAPS.format(mapped)))
    assert list(held) == [PORT]
    assert is_locked(folder / f'{PORT}_el')
    os.close(held[PORT])
    assert not is_locked(folder / f'{PORT}_el')


def test_a_port_that_nobody_has_open_is_left_to_fast_dds(folder, processes):
    (folder / f'{PORT}_el').touch()
    assert hold_abandoned_ports(folder, processes(MAPS.format('fastrtps_port7413'))) == {}


def test_a_port_whose_reader_lives_is_its_own(folder, processes):
    with (folder / f'{PORT}_el').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert hold_abandoned_ports(folder, processes(MAPS.format(PORT))) == {}


def test_no_lock_is_made_beside_a_port_of_many_readers(folder, processes):
    """Fast DDS would take the port for abandoned, and delete it under its readers."""
    (folder / f'{PORT}_sl').touch()
    assert hold_abandoned_ports(folder, processes(MAPS.format(PORT))) == {}
    assert os.listdir(folder) == [f'{PORT}_sl']


def test_a_link_is_not_followed(folder, processes, tmp_path):
    (tmp_path / 'other').touch()
    (folder / f'{PORT}_el').symlink_to(tmp_path / 'other')
    assert hold_abandoned_ports(folder, processes(MAPS.format(PORT))) == {}


def test_without_shared_memory_or_processes_nothing_is_held(folder, processes, tmp_path):
    assert hold_abandoned_ports(tmp_path / 'none', processes(MAPS.format(PORT))) == {}
    assert hold_abandoned_ports(folder, tmp_path / 'none') == {}
