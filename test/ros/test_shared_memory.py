"""Shared memory of processes that end: what a clean end removes, and what a kill leaves behind."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.open_files import files_open_in

from enet_ros.ros import shared_memory
from enet_ros.ros.graph_doctor.findings import Kind
from enet_ros.ros.graph_doctor.machine_settings import shared_memory_findings
from enet_ros.ros.shared_memory import SHARED_MEMORY, find_leftovers, remove_leftovers

NAME = 'fastrtps_0123456789abcdef'
HUNDRED_SEC = 100.0
#: A node whose main thread hangs while the node is destroyed.
STUCK = """
from enet_ros.ros.process import StopSignals, run_node
stop = StopSignals()
import time
from rclpy.node import Node
class Stuck(Node):
    def destroy_node(self):
        time.sleep(60)
def make():
    node = Stuck('stuck')
    print('made', flush=True)
    return node
run_node(make, stop)
"""


def leave(folder, name=NAME, age_sec=HUNDRED_SEC, megabytes=1):
    """Make a segment with a lock that nobody holds."""
    (folder / name).write_bytes(b'\1' * (megabytes << 20))
    lock = folder / f'{name}_el'
    lock.touch()
    os.utime(lock, (time.time() - age_sec,) * 2)
    return lock


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize('name', [NAME, 'fastdds_0123456789abcdef'])
def test_a_segment_that_nobody_holds_goes_with_its_lock(tmp_path, name):
    leave(tmp_path, name, megabytes=3)
    assert find_leftovers(tmp_path).count == 1
    removed = remove_leftovers(tmp_path)
    assert (removed.count, removed.bytes >> 20) == (1, 3)
    assert str(removed) == '1 segment of shared memory (3 MB)'
    assert names(tmp_path) == []
    assert str(remove_leftovers(tmp_path)) == '0 segments of shared memory (0 MB)'


def test_a_segment_whose_lock_is_held_stays_until_its_owner_ends(tmp_path):
    with leave(tmp_path).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_leftovers(tmp_path).count == 0
    assert names(tmp_path) == [NAME, f'{NAME}_el']
    assert remove_leftovers(tmp_path).count == 1


def test_a_young_lock_stays_since_its_owner_may_be_about_to_take_it(tmp_path):
    leave(tmp_path, age_sec=50.0)
    assert remove_leftovers(tmp_path).count == find_leftovers(tmp_path).count == 0
    assert names(tmp_path) == [NAME, f'{NAME}_el']
    assert remove_leftovers(tmp_path, least_age_sec=49.0).count == 1


def test_what_belongs_to_another_user_stays(tmp_path, monkeypatch):
    leave(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, 'geteuid', lambda: os.getuid() + 1)
        assert remove_leftovers(tmp_path).count == find_leftovers(tmp_path).count == 0
    assert names(tmp_path) == [NAME, f'{NAME}_el']
    if os.getuid() == 0:  # The lock is ours, and the segment is not.
        os.chown(tmp_path / NAME, 12345, 12345)
        assert remove_leftovers(tmp_path).count == 0
        assert names(tmp_path) == [NAME, f'{NAME}_el']


@pytest.mark.parametrize('linked', [NAME, f'{NAME}_el'])
def test_a_link_is_not_followed_and_stays_with_its_aim(tmp_path, linked):
    folder, aim = tmp_path / 'shm', tmp_path / 'aim'
    folder.mkdir()
    aim.write_bytes(b'precious')
    os.utime(aim, (time.time() - HUNDRED_SEC,) * 2)
    leave(folder)
    (folder / linked).unlink()
    (folder / linked).symlink_to(aim)
    assert remove_leftovers(folder).count == find_leftovers(folder).count == 0
    assert names(folder) == [NAME, f'{NAME}_el']
    assert aim.read_bytes() == b'precious'


def test_only_names_of_segments_count(tmp_path):
    others = ('fastrtps_port7410', 'fastrtps_0123456789ABCDEF', f'{NAME}0', f'x{NAME}',
              'fastrtps_0123456789abcde', 'sem.fastrtps_port7410_mutex')
    for name in others:
        leave(tmp_path, name)
    (tmp_path / f'{NAME}_el').mkdir()
    before = names(tmp_path)
    assert remove_leftovers(tmp_path, 0.0).count == 0
    assert names(tmp_path) == before
    assert remove_leftovers(tmp_path / 'absent').count == 0


def test_named_segments_stay_and_a_lock_without_a_segment_goes(tmp_path):
    leave(tmp_path)
    assert remove_leftovers(tmp_path, except_names={NAME}).count == 0
    (tmp_path / NAME).unlink()
    assert names(tmp_path) == [f'{NAME}_el']
    assert remove_leftovers(tmp_path) == shared_memory.Leftovers(1, 0)
    assert names(tmp_path) == []


def test_the_doctor_names_leftovers_with_their_size_and_what_to_do(tmp_path):
    leave(tmp_path, megabytes=2)
    leave(tmp_path, 'fastrtps_fedcba9876543210', megabytes=3)
    [finding] = shared_memory_findings(tmp_path)
    assert finding.kind is Kind.LEFTOVERS
    assert finding.text == ('killed processes left 2 segments of shared memory (5 MB) in '
                            f'{tmp_path}')
    assert 'python3 -m enet_ros.ros.shared_memory' in finding.as_dict()['remedy']
    assert names(tmp_path)  # Looking removes nothing.


def segments_of(pid):
    """Return the segments whose lock a process has open."""
    return {path.with_name(path.name.removesuffix('_el')) for path in files_open_in(pid)
            if path.parent == SHARED_MEMORY and path.name.endswith('_el')
            and 'port' not in path.name}


def files_of(segments):
    """Return which files of segments are there."""
    return [path for segment in segments for path in (segment, Path(f'{segment}_el'))
            if path.exists()]


@pytest.fixture
def node_process():
    """A maker of nodes in processes of their own, whose middleware is Fast DDS."""
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    from support.faulty import NodeProcess
    if not shared_memory.uses_fast_dds():
        pytest.skip('the middleware is not Fast DDS')
    made = []

    def make(*arguments, **options):
        made.append(NodeProcess(*arguments, **options))
        return made[-1], segments_of(made[-1].process.pid)

    yield make
    for one in made:
        one.close()


@pytest.mark.ros
def test_what_a_killed_node_leaves_goes_and_that_of_a_living_one_stays(node_process):
    killed, left = node_process()
    _, held = node_process()
    assert left and held and not left & held
    killed.process.kill()
    killed.process.wait()
    assert len(files_of(left)) == 2 * len(left)  # else there is nothing to mend any more
    time.sleep(1.1)
    assert remove_leftovers(least_age_sec=1.0).count >= 1
    assert files_of(left) == []
    assert len(files_of(held)) == 2 * len(held)


@pytest.mark.ros
def test_a_node_that_starts_removes_what_a_killed_one_left_and_says_so(node_process):
    killed, left = node_process()
    killed.process.kill()
    killed.process.wait()
    for segment in left:  # They have been there for long.
        os.utime(f'{segment}_el', (time.time() - HUNDRED_SEC,) * 2)
    started, _ = node_process()
    assert files_of(left) == []
    assert 'of shared memory (' in started.said()
    assert 'that killed processes had left in /dev/shm' in started.said()


@pytest.mark.ros
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_shared_memory(node_process, number):
    node, segments = node_process()
    assert segments
    node.process.send_signal(number)
    assert node.process.wait(10) == 0
    assert files_of(segments) == []


@pytest.mark.ros
def test_a_destroyed_node_holds_nothing_of_the_middleware_in_its_receiving_thread(bench):
    node = bench()
    assert 'receive frames' in {thread.name for thread in threading.enumerate()}
    node.node.destroy_node()
    assert 'receive frames' not in {thread.name for thread in threading.enumerate()}


@pytest.mark.ros
def test_a_hang_leaves_no_shared_memory(node_process, road_frame, tmp_path):
    from support.planner import Planner, image_message
    node, segments = node_process('-p', 'backend_timeout:=1.0', order=tmp_path / 'order')
    planner = Planner()
    try:
        planner.camera()
        (tmp_path / 'order').write_text('hang')
        planner.send(image_message(road_frame, planner.now_ns()))
        assert node.process.wait(30) == 70, node.said()
    finally:
        planner.close()
    assert segments and files_of(segments) == []


@pytest.mark.ros
def test_an_end_without_a_clean_end_leaves_no_shared_memory():
    """The main thread hangs while the node is destroyed, until the time for that is over."""
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    process = subprocess.Popen([sys.executable, '-c', STUCK], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == 'made\n'
        segments = segments_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    assert segments and files_of(segments) == []


def test_the_command_says_what_it_removed():
    said = subprocess.run([sys.executable, '-m', 'enet_ros.ros.shared_memory'],
                          capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.startswith('removed ') and 'segment' in said.stdout
