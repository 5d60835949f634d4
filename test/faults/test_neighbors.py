"""Others in the domain: a subscriber that stalls, and a second node."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from support.planner import CHECKED  # noqa: E402

from enet_ros.ros.segment_node import SegmentNode  # noqa: E402

pytestmark = pytest.mark.ros
#: A program that subscribes to outputs as a planner does, and says when it has a frame.
SUBSCRIBER = """
import rclpy
from rclpy.qos import QoSHistoryPolicy, QoSProfile
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('stalls')
for topic in ('labels', 'drivable_mask', 'confidence', 'overlay'):
    node.create_subscription(Image, '/enet/' + topic, lambda message: print('got', flush=True),
                             QoSProfile(depth=10, history=QoSHistoryPolicy.{history}))
rclpy.spin(node)
"""


@pytest.mark.parametrize('history', ['KEEP_LAST', 'KEEP_ALL'])
def test_a_subscriber_that_is_stopped_delays_no_other_one(
        node_process, planner, road_frame, fresh, history):
    node, sees = node_process(), planner()
    stalls = subprocess.Popen([sys.executable, '-c', SUBSCRIBER.format(history=history)],
                              stdout=subprocess.PIPE, text=True)
    try:
        sees.camera()
        sees.wait(lambda: sees.node.count_subscribers('/enet/overlay'), 'the subscriber')
        time.sleep(0.5)
        sees.answers(road_frame)
        assert stalls.stdout.readline() == 'got\n'
        stalls.send_signal(signal.SIGSTOP)
        seconds = []
        for _ in range(60):
            started = time.monotonic()
            assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
            seconds.append(time.monotonic() - started)
        assert sorted(seconds)[30] < 0.5, sorted(seconds)
        assert node.lives()
        stalls.send_signal(signal.SIGCONT)
        assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
        stalls.send_signal(signal.SIGSTOP)
        node.process.terminate()  # and it ends in time, whoever does not read
        assert node.process.wait(10) == 0
    finally:
        stalls.kill()
        stalls.wait()


def test_two_nodes_of_a_domain_keep_to_their_own_cameras(
        bench, planner, road_frame, other_frame, fresh):
    remap = ['--ros-args', '-r', 'image:=right/image']
    bench(**CHECKED)
    right = bench(make_node=partial(SegmentNode, 'right', cli_args=remap), **CHECKED)
    one, two = planner(), planner(name='right', image='right/image')
    one.camera()
    two.camera()
    for _ in range(3):
        assert np.array_equal(one.answers(road_frame), fresh(road_frame))
        assert np.array_equal(two.answers(other_frame), fresh(other_frame))
    assert right.node.trigger_deactivate().name == 'SUCCESS'
    assert np.array_equal(one.answers(other_frame), fresh(other_frame))


def test_a_second_node_of_the_same_name_is_seen_and_may_die(
        node_process, planner, road_frame, fresh):
    """Both publish on the same topics. Every mask of either is right."""
    node, second, sees = node_process(), node_process(), planner()
    sees.camera()
    for _ in range(5):
        assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
    os.kill(second.process.pid, signal.SIGKILL)
    second.process.wait(10)
    for _ in range(3):
        assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
    assert node.lives()
