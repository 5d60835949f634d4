"""examples/slow_down.py over DDS, with a real node and the real cv_bridge and sensor_msgs_py."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('cv_bridge.boost.cv_bridge_boost', reason='cv_bridge is not installed')
pytest.importorskip('sensor_msgs_py', reason='sensor_msgs_py is not installed')

EXAMPLES = Path(__file__).resolve().parents[2] / 'examples'
sys.path.insert(0, str(EXAMPLES))

import slow_down  # noqa: E402
from geometry_msgs.msg import Twist  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from support.ground import NETWORK  # noqa: E402

from enet_ros.scene.road_scene import RoadScene  # noqa: E402
from enet_ros.scene.style import EMPTY  # noqa: E402

pytestmark = pytest.mark.ros
STREET = RoadScene(320, 192, style=EMPTY).render(1.0)[1]
ROAD, BUILDING, UNKNOWN = 3, 1, 255
WAIT_SEC, PERIOD_SEC = 30.0, 0.05


class Rig:
    """The node, the example and a planner that commands 1 m/s and 0.5 rad/s."""

    def __init__(self, node, frame, **parameters):
        self.node, self.frame, self.stamp_ns = node, frame, None  # None is now
        self.example = slow_down.SlowDown(context=node.context, parameter_overrides=[
            Parameter(name, value=value) for name, value in parameters.items()])
        self.received = []
        node.tester.create_subscription(Twist, 'cmd_vel', self.received.append, 10)
        node._executor.add_node(self.example)
        for topic in ('drivable_area', 'drivable_mask', 'labels', 'points'):
            node.wait(lambda topic=topic: node.node.count_subscribers(f'/enet/{topic}'), topic)

    def show(self, labels):
        """Have the network answer with labels of any size."""
        small = cv2.resize(labels, NETWORK, interpolation=cv2.INTER_NEAREST_EXACT)
        self.node.segmenter.backend.infer = lambda batch, *, confidence: (
            small[None].copy(), np.ones((1, *small.shape), np.float32) if confidence else None)

    def drive(self, wanted, what, *, frames=True, commands=True):
        """Send frames and commands until a velocity fits, several times running."""
        deadline, agreeing, seen = time.monotonic() + WAIT_SEC, 0, len(self.received)
        command = Twist()
        command.linear.x, command.angular.z = 1.0, 0.5
        while agreeing < 3:
            assert time.monotonic() < deadline, f'{what} did not come: {self.received[-1]}'
            if frames:
                self.node.send(self.node.image(self.frame, stamp_ns=self.stamp_ns))
            if commands:
                self.node.send(command, 'cmd_vel_in')
            time.sleep(PERIOD_SEC)
            for velocity in self.received[seen:]:
                assert velocity.linear.y == velocity.linear.z == 0.0
                assert velocity.angular.z == pytest.approx(velocity.linear.x / 2)
                agreeing = agreeing + 1 if wanted(velocity.linear.x) else 0
            seen = len(self.received)


@pytest.fixture
def rig(metric, road_frame):
    made = []

    def make(**parameters):
        parameters = {'timeout': 5.0, 'path_width': 1.0, **parameters}
        made.append(Rig(metric(ground__path_width=1.0), road_frame, **parameters))
        return made[-1]

    yield make
    for one in made:
        one.node._executor.remove_node(one.example)
        one.example.destroy_node()


def stopped(velocity):
    return velocity == 0.0


def full(velocity):
    return velocity == pytest.approx(1.0)


def wall_at(share):
    """Return a street with a wall down to a share of the image's height."""
    labels = STREET.copy()
    labels[:round(share * len(labels))] = BUILDING
    return labels


@pytest.mark.parametrize('synchronizer', ['message_filters', 'by hand'])
def test_it_drives_on_a_free_road_and_stops_for_what_it_does_not_know(
        rig, monkeypatch, synchronizer):
    if synchronizer == 'by hand':
        monkeypatch.setattr(slow_down, 'TimeSynchronizer', None)
    elif slow_down.TimeSynchronizer is None:
        pytest.skip('message_filters is not installed')
    robot = rig()
    robot.show(np.full_like(STREET, ROAD))
    robot.drive(stopped, 'a stop before the first frame', frames=False)
    robot.drive(full, 'full speed')
    robot.show(np.full_like(STREET, UNKNOWN))
    robot.drive(stopped, 'a stop for unknown ground')
    robot.show(np.full_like(STREET, ROAD))
    robot.drive(full, 'full speed again')
    robot.show(np.full_like(STREET, BUILDING))
    robot.drive(stopped, 'a stop before a wall')


def test_it_slows_down_evenly_before_a_wall(rig):
    robot = rig(slow_distance=20.0)
    speeds = [1.0]
    for share, distance_m in ((0.58, 17.2), (0.64, 11.9), (0.75, 7.1)):
        robot.show(wall_at(share))
        robot.drive(lambda velocity, last=speeds[-1]: velocity < last - 0.1, 'a lower speed')
        speeds.append(robot.received[-1].linear.x)
        assert speeds[-1] == pytest.approx((distance_m - 4.0) / 16.0, abs=0.05)
    robot.show(wall_at(0.98))
    robot.drive(stopped, 'a stop')


def test_a_wall_that_fills_the_image_stops_it_at_any_stop_distance(rig):
    """The camera sees the ground from 3.7 m on, and whether the wall is nearer nobody knows."""
    robot = rig(stop_distance=1.0, slow_distance=2.0)
    robot.show(np.full_like(STREET, ROAD))
    robot.drive(full, 'full speed')
    robot.show(np.full_like(STREET, BUILDING))
    robot.drive(stopped, 'a stop')


def test_frames_or_commands_that_stop_coming_stop_the_robot(rig):
    robot = rig(timeout=2.0)
    robot.show(np.full_like(STREET, ROAD))
    robot.drive(full, 'full speed')
    robot.drive(stopped, 'a stop without frames', frames=False)
    assert 'no frame on enet/drivable_area' in robot.example.reason_to_stop()
    robot.drive(full, 'full speed again')
    robot.drive(stopped, 'a stop without commands', commands=False)
    assert 'no command' in robot.example.reason_to_stop()


def test_frames_of_another_clock_stop_the_robot(rig):
    robot = rig()
    robot.show(np.full_like(STREET, ROAD))
    robot.drive(full, 'full speed')
    now_ns = robot.node.tester.get_clock().now().nanoseconds
    for stamp_ns in (now_ns + 60 * 10**9, now_ns - 60 * 10**9):
        robot.stamp_ns = stamp_ns
        robot.drive(stopped, 'a stop for a frame of another clock')
        assert 'use_sim_time' in robot.example.reason_to_stop()


def test_without_a_ground_it_stands_still(bench, road_frame):
    """No calibration, no meters: the points never come."""
    robot = Rig(bench(), road_frame, timeout=5.0)
    try:
        robot.drive(stopped, 'a stop')
        assert math.isnan(robot.example.distance_m)
    finally:
        robot.node._executor.remove_node(robot.example)
        robot.example.destroy_node()


def run_example(*arguments):
    return subprocess.Popen([sys.executable, EXAMPLES / 'slow_down.py', '--ros-args', *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize('stop_signal', [signal.SIGINT, signal.SIGTERM])
def test_the_program_starts_says_why_it_stands_and_ends_by_a_signal(stop_signal):
    process = run_example()
    try:
        line = process.stdout.readline()
        assert 'stopped: no command on cmd_vel_in' in line
    finally:
        os.kill(process.pid, stop_signal)
    assert 'Traceback' not in process.communicate(timeout=WAIT_SEC)[0]
    assert process.returncode == 0


def test_distances_that_do_not_go_together_are_refused_in_one_sentence():
    process = run_example('-p', 'stop_distance:=12.0')
    output = process.communicate(timeout=WAIT_SEC)[0]
    assert process.returncode == 1 and 'Traceback' not in output
    assert 'stop_distance is 12.0' in output and 'wanted 0 < stop_distance' in output
