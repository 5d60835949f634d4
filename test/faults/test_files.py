"""Files fail: the disk is full, the cache is damaged or foreign, and weights are replaced."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from support.planner import CHECKED  # noqa: E402

from enet_ros.backends.cache import read_file, write_file  # noqa: E402
from enet_ros.network.checkpoint import (  # noqa: E402
    read_checkpoint,
    weights_path,
    write_checkpoint,
)

pytestmark = pytest.mark.ros


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 kB without any room, or a skip where none can be mounted."""
    folder = tmp_path / 'full'
    folder.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'tmpfs',
                           str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f'no file system can be mounted here: {done.stderr.strip()}')
    with open(folder / 'rest', 'wb', buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                break
    yield folder
    subprocess.run(['umount', '-l', str(folder)], check=True)


@pytest.fixture
def read_only(tmp_path):
    """A folder on a file system that nobody can write to, root included."""
    folder = tmp_path / 'fixed'
    folder.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'ro,mode=0700', 'tmpfs', str(folder)],
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f'no file system can be mounted here: {done.stderr.strip()}')
    yield folder
    subprocess.run(['umount', '-l', str(folder)], check=True)


def is_right(sees, road_frame, fresh):
    sees.camera()
    return np.array_equal(sees.answers(road_frame), fresh(road_frame))


def test_a_full_disk_for_cache_log_and_temporary_files(
        node_process, planner, full_disk, road_frame, fresh):
    node = node_process(ENET_ROS_CACHE=str(full_disk), ROS_LOG_DIR=str(full_disk),
                        TMPDIR=str(full_disk))
    assert is_right(planner(), road_frame, fresh)
    assert node.lives()
    assert not list(full_disk.glob('*.blob')), 'half a file was kept'
    assert f'cannot be kept in {full_disk}, where 0.0 MB are free' in node.said()


def test_a_cache_that_cannot_be_written_is_named_and_done_without(
        node_process, planner, read_only, road_frame, fresh):
    node = node_process(ENET_ROS_CACHE=str(read_only))
    assert is_right(planner(), road_frame, fresh)
    assert f'the cache folder {read_only} cannot be written to' in node.said()


def cut(path: Path):
    path.write_bytes(path.read_bytes()[:-1000])


def emptied(path: Path):
    path.write_bytes(b'')


def flipped(path: Path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def of_another_build(path: Path):
    """Write what another build of OpenVINO would have, with a checksum that fits."""
    assert write_file(path, b'another build' + read_file(path)[13:])


def cut_before_it_was_written(path: Path):
    assert write_file(path, read_file(path)[:100_000])


@pytest.mark.parametrize('damage', [cut, emptied, flipped, of_another_build,
                                    cut_before_it_was_written])
def test_a_damaged_or_foreign_cache_file_is_made_anew(
        node_process, planner, road_frame, fresh, tmp_path, damage):
    expected = fresh(road_frame)
    cache = Path(shutil.copytree(os.environ['ENET_ROS_CACHE'], tmp_path / 'cache'))
    cache.chmod(0o700)
    files = list(cache.glob('*.blob'))
    assert files
    for path in files:
        damage(path)
    damaged = {path: path.read_bytes() for path in files}
    node, sees = node_process(ENET_ROS_CACHE=str(cache)), planner()
    sees.camera()
    assert np.array_equal(sees.answers(road_frame), expected)
    assert node.lives()
    assert any(path.read_bytes() != damaged[path] for path in files), 'not made anew'


@pytest.mark.parametrize('how', ['in place', 'by a new file', 'cut', 'removed'])
def test_weights_that_are_replaced_while_running_wait_for_the_next_configure(
        bench, planner, road_frame, other_frame, fresh, tmp_path, how):
    checkpoint, path = read_checkpoint(weights_path('')), tmp_path / 'own.safetensors'
    write_checkpoint(path, checkpoint)
    node = bench(**CHECKED, weights=str(path))
    sees = planner()
    sees.camera()
    assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
    if how == 'removed':
        path.unlink()
    elif how == 'cut':
        os.truncate(path, 5000)
    else:  # the same network, in which another class is drivable
        other = checkpoint.class_map
        other = replace(other, drivable=tuple(name == 'Sky' for name in other.names))
        new = tmp_path / 'new.safetensors'
        write_checkpoint(new, replace(checkpoint, class_map=other))
        if how == 'in place':
            path.write_bytes(new.read_bytes())
        else:
            os.replace(new, path)
    for frame in (other_frame, road_frame):
        assert np.array_equal(sees.answers(frame), fresh(frame))
    assert node.node.trigger_deactivate().name == 'SUCCESS'
    assert node.node.trigger_cleanup().name == 'SUCCESS'
    sees.check()
    done = node.node.trigger_configure().name
    assert done == ('FAILURE' if how in ('cut', 'removed') else 'SUCCESS')
    if done == 'FAILURE':  # said and not ended: good weights make it whole again
        write_checkpoint(path, checkpoint)
        assert node.node.trigger_configure().name == 'SUCCESS'
        assert node.node.trigger_activate().name == 'SUCCESS'
        assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
