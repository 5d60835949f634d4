"""Fixtures: executables, a node that listens, and a node whose camera is calibrated."""

import subprocess
import time

import pytest
from support.ground import GROUND, calibration


@pytest.fixture
def metric(bench):
    """A maker of nodes with a ground pose, whose camera is calibrated."""
    def make(*topics, **parameters):
        node = bench(**{'output_size': 'network', **GROUND, **parameters})
        node.listen(*topics)
        node.send(calibration(), 'camera_info')
        node.wait(lambda: node.camera.calibration.newest() is not None, 'camera info')
        return node

    return make


@pytest.fixture
def start():
    """Start executables; those still running at the end are killed."""
    started = []

    def start_one(name, *arguments, **options):
        process = subprocess.Popen([name, '--ros-args', *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, **options)
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def tester():
    """A node in this process, with the messages of every topic it listened to."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('tester', context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def listen(kind, topic, count=1, seconds=30.0):
        found = []
        subscription = node.create_subscription(kind, topic, found.append, 10)
        deadline = time.monotonic() + seconds
        while len(found) < count:
            executor.spin_once(timeout_sec=0.1)
            assert time.monotonic() < deadline, f'{topic} did not come'
        node.destroy_subscription(subscription)
        return found

    yield listen
    node.destroy_node()
    context.try_shutdown()
