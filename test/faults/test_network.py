"""The network fails: it raises, it hangs, it finds no memory."""

import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from support.planner import stamp_of  # noqa: E402

from enet_ros.ros.hang import HangClock  # noqa: E402
from enet_ros.ros.process import EXIT_NETWORK  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(('order', 'said'), [
    ('raise', 'the network failed: RuntimeError: ordered to fail'),
    ('greedy', 'the network failed: MemoryError')])
def test_a_network_that_fails_for_some_frames_is_named_and_the_next_is_right(
        planner, node_process, tmp_path, road_frame, fresh, order, said):
    node, sees = node_process(order=tmp_path / 'order'), planner()
    sees.camera()
    assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
    node.order.write_text(order)
    failed = [sees.send(road_frame) for _ in range(3)]
    sees.reports(said)
    node.order.write_text('')
    assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
    assert node.lives() and said in node.said()
    assert not {stamp_of(mask) for mask in sees.messages['drivable_mask']} & set(failed[:1])


def test_a_network_that_hangs_ends_the_process_with_a_code_of_its_own(
        planner, node_process, tmp_path, road_frame):
    node = node_process('-p', 'backend_timeout:=1.5', order=tmp_path / 'order')
    sees = planner()
    sees.camera()
    sees.answers(road_frame)
    node.order.write_text('hang')
    masks = len(sees.messages['drivable_mask'])
    sees.send(road_frame)
    assert node.process.wait(30) == EXIT_NETWORK == 70
    assert 'the network hangs: openvino has not returned a frame for' in node.said()
    assert 'backend_timeout 1.5), so the process ends with exit code 70' in node.said()
    assert 'Traceback' not in node.said()
    sees.reports('the network hangs')
    sees.wait(lambda: len(sees.messages['drivable_mask']) > masks, 'the mask of unknown')
    last = sees.messages['drivable_mask'][-1]
    assert not np.any(last.data) and stamp_of(last) not in sees.sent


def test_a_network_that_is_lost_for_the_process_ends_it_with_the_same_code(
        planner, node_process, tmp_path, road_frame):
    node, sees = node_process(order=tmp_path / 'order'), planner()
    sees.camera()
    sees.answers(road_frame)
    node.order.write_text('lost')
    masks = len(sees.messages['drivable_mask'])
    sees.send(road_frame)
    assert node.process.wait(30) == EXIT_NETWORK
    assert ('the network is lost: openvino cannot run again in this process (RuntimeError: CUDA '
            'error: an illegal memory access was encountered), so the process ends with exit '
            'code 70') in node.said()
    assert 'Traceback' not in node.said()
    sees.reports('the network is lost')
    sees.wait(lambda: len(sees.messages['drivable_mask']) > masks, 'the mask of unknown')
    last = sees.messages['drivable_mask'][-1]
    assert not np.any(last.data) and stamp_of(last) not in sees.sent


def test_without_a_timeout_a_hang_is_a_stall(planner, node_process, tmp_path, road_frame):
    node = node_process('-p', 'backend_timeout:=0.0', '-p', 'stall_timeout:=0.5',
                        order=tmp_path / 'order')
    sees = planner()
    sees.camera()
    sees.answers(road_frame)
    node.order.write_text('hang')
    sees.send(road_frame)
    sees.reports('no frame finished for')
    time.sleep(2.0)
    assert node.lives()
    node.process.terminate()
    assert node.process.wait(20) == 0  # a stop signal ends it all the same


def test_time_in_which_the_process_was_stopped_is_no_hang():
    clock = HangClock()
    assert clock.look(None, 100.0) == 0.0
    assert clock.look(100.0, 100.5) == 0.5
    assert clock.look(100.0, 101.0) == 1.0
    assert clock.look(100.0, 5000.0) == 2.0  # SIGSTOP, a debugger: one look counts a second
    assert clock.look(5000.0, 5000.1) == pytest.approx(0.1)  # the next call
    assert clock.look(None, 5001.0) == 0.0

