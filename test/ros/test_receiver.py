"""The thread that takes the cameras' messages: delivers, outlives errors, spares the executor."""

import threading
import time

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Int32

from enet_ros.ros.receiver import Receiver, take_newest

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

pytestmark = pytest.mark.ros
COUNT = 40
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def nodes():
    """Return a context, and a node that sends and one that receives."""
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    pair = [rclpy.create_node(name, context=context) for name in ('sender', 'reader')]
    yield context, *pair
    for node in pair:
        node.destroy_node()
    context.try_shutdown()


def wait(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def send(sender, values):
    """Publish one after the other, slowly enough for a reader of depth 1."""
    publisher = sender.create_publisher(Int32, 'numbers', 1)
    wait(publisher.get_subscription_count)
    for value in values:
        publisher.publish(Int32(data=value))
        time.sleep(0.01)


def test_messages_come_without_an_executor_and_errors_stop_nothing(nodes):
    _, sender, reader = nodes
    found = []

    def callback(message):
        if message.data == 1:
            raise KeyError('of one message')
        found.append(message.data)

    receiver = Receiver(reader, [reader.create_subscription(Int32, 'numbers', callback, 10)])
    send(sender, [0, 1, 2])
    wait(lambda: found == [0, 2])
    receiver.close()


def test_nothing_comes_after_close_and_the_thread_ends(nodes):
    _, sender, reader = nodes
    found = []
    receiver = Receiver(reader, [reader.create_subscription(
        Int32, 'numbers', lambda message: found.append(message.data), 10)])
    send(sender, [1])
    wait(lambda: found == [1])
    receiver.close()
    receiver._thread.join(5.0)
    assert not receiver._thread.is_alive()
    send(sender, [2])
    assert found == [1]


def test_messages_do_not_wake_the_executor(nodes, monkeypatch):
    """Neither the subscription nor its events may stay with the executor, which would spin."""
    context, sender, reader = nodes
    found, waits = [], []
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(reader)
    receiver = Receiver(reader, [reader.create_subscription(
        Int32, 'numbers', lambda message: found.append(message.data), 10)])
    count_waits(monkeypatch, waits)
    thread = threading.Thread(target=lambda: [executor.spin_once(0.2) for _ in range(5)])
    thread.start()
    send(sender, range(COUNT))
    wait(lambda: len(found) == COUNT)
    receiver.close()
    thread.join(5.0)
    assert len(waits) < COUNT / 2


def test_on_demand_nothing_is_taken_until_it_is_wanted_and_then_the_newest(nodes):
    _, sender, reader = nodes
    woken = []
    numbers = reader.create_subscription(Int32, 'numbers', woken.append, 10)
    receiver = Receiver(reader, [], polled=[numbers])
    assert take_newest(numbers) is None
    send(sender, [1, 2, 3])
    time.sleep(0.2)
    assert take_newest(numbers).data == 3
    assert take_newest(numbers) is None
    receiver.close()
    assert not woken


def test_events_are_told_while_messages_come(nodes):
    """A publisher whose quality of service does not fit is reported, of either kind."""
    _, sender, reader = nodes
    told, found = [], []

    def subscription(topic, callback):
        return reader.create_subscription(
            Int32, topic, callback, RELIABLE,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=told.append))

    receiver = Receiver(reader, [subscription('numbers', found.append)],
                        polled=[subscription('calibrations', found.append)])
    for topic in ('numbers', 'calibrations'):
        told.clear()
        misfit = sender.create_publisher(Int32, topic, BEST_EFFORT)
        send(sender, range(5))
        wait(lambda: told)
        sender.destroy_publisher(misfit)
    assert found
    receiver.close()


def count_waits(monkeypatch, waits):
    """Note every return of the executor's waits; the receiver's own are not its."""
    from rclpy import executors
    library = executors._rclpy

    class WaitSet:
        def __init__(self, *sizes):
            self._real = library.WaitSet(*sizes)

        def wait(self, timeout_ns):
            self._real.wait(timeout_ns)
            waits.append(time.monotonic())

        def __enter__(self):
            return self._real.__enter__()

        def __exit__(self, *error):
            return self._real.__exit__(*error)

        def __getattr__(self, name):
            return getattr(self._real, name)

    class Library:
        def __getattr__(self, name):
            return WaitSet if name == 'WaitSet' else getattr(library, name)

    monkeypatch.setattr(executors, '_rclpy', Library())


def test_a_message_that_cannot_be_taken_does_not_end_the_receiving(nodes):
    _, sender, reader = nodes
    found, fails = [], [MemoryError('of one message')]
    subscription = reader.create_subscription(
        Int32, 'numbers', lambda message: found.append(message.data), 10)

    class Flaky(type(subscription)):
        @property
        def msg_type(self):
            if fails:
                raise fails.pop()
            return Int32

    subscription.__class__ = Flaky
    receiver = Receiver(reader, [subscription])
    send(sender, [0, 1, 2])
    wait(lambda: 2 in found)
    assert not fails
    receiver.close()
