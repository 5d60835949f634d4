"""The process is ended by any signal and started again, and runs out of memory for one frame."""

import contextlib
import mmap
import re
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from support.open_files import files_open_in  # noqa: E402
from support.planner import array_of, image_message, stamp_of  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(('number', 'code'), [
    (signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_node_that_was_ended_amid_frames_is_right_after_a_restart(
        node_process, planner, road_frame, other_frame, fresh, number, code):
    sees = planner()
    for _ in range(2):
        node = node_process()
        sees.camera()
        assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
        for _ in range(5):
            sees.send(other_frame)
        node.process.send_signal(number)
        started = time.monotonic()
        assert node.process.wait(10) == code, node.said()
        assert time.monotonic() - started < 2.0
        assert 'Traceback' not in node.said()
    node_process()
    sees.camera()
    assert np.array_equal(sees.answers(other_frame), fresh(other_frame))


def ports_of(pid):
    """Return the names of the ports of shared memory that a process reads: locked and mapped."""
    files = '\n'.join(map(str, files_open_in(pid)))
    locked = set(re.findall(r'/dev/shm/(\w+_port\d+)_el', files))
    return locked & set(re.findall(r'/dev/shm/(\w+_port\d+)\n',
                                   Path(f'/proc/{pid}/maps').read_text()))


def test_a_new_node_takes_no_port_of_a_killed_one_that_others_still_write_to(
        node_process, planner, road_frame, fresh):
    """The test stands for a sender that did not notice: to Fast DDS, it has the ports open."""
    killed, sees = node_process(), planner()
    sees.camera()
    assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
    ports = ports_of(killed.process.pid)
    with contextlib.ExitStack() as stack:
        for port in ports:
            file = stack.enter_context(open(f'/dev/shm/{port}', 'rb'))
            stack.enter_context(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        killed.process.kill()
        killed.process.wait()
        node = node_process()
        sees.camera()
        assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
        assert ports and ports_of(node.process.pid) and not ports & ports_of(node.process.pid)
        assert 'other processes still write to a killed reader there' in node.said()


def address_space(pid):
    """Return the bytes of address space that a process has."""
    return int(re.search(r'VmSize:\s+(\d+)', Path(f'/proc/{pid}/status').read_text())[1]) * 1024


def leave_room(pid, room_mb):
    """Let a process take so much more address space and no more."""
    resource.prlimit(pid, resource.RLIMIT_AS, (address_space(pid) + room_mb * 2 ** 20,
                                               resource.RLIM_INFINITY))


def send_huge(sees):
    """Send a black frame of 144 MB. Returns its stamp."""
    huge = image_message(np.zeros((6000, 8000, 3), np.uint8), sees.now_ns())
    return sees.send(huge, stamp_of(huge))


@pytest.mark.parametrize('room_mb', [64, 140])
def test_memory_that_runs_out_for_a_huge_frame_costs_that_frame(
        node_process, planner, road_frame, fresh, room_mb):
    node, sees = node_process(), planner()
    sees.camera()
    assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
    pid = node.process.pid
    leave_room(pid, room_mb)
    stamp = send_huge(sees)
    for _ in range(6):  # smaller frames meanwhile, as room is left for them or not
        time.sleep(0.5)
        sees.send(road_frame)
    resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
    assert node.lives(), node.said()
    assert not any(array_of(mask).any() for mask in sees.messages['drivable_mask']
                   if stamp_of(mask) == stamp)


def test_without_memory_for_a_thread_the_process_ends_by_itself_and_a_new_one_is_right(
        node_process, planner, road_frame, fresh):
    """The runtime in C++ cannot go on then: an exit code that the launch file respawns."""
    node, sees = node_process(), planner()
    sees.camera()
    assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
    leave_room(node.process.pid, 8)  # the stack of a thread is 8 MB
    send_huge(sees)
    for _ in range(20):
        sees.send(road_frame)
        time.sleep(0.1)
    if node.lives():  # no thread was needed
        leave_room(node.process.pid, 10 ** 6)
    else:
        assert node.process.wait() in (-signal.SIGABRT, -signal.SIGSEGV)
        assert 'terminate called' in node.said()
        node_process()
        sees.camera()
    assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
