"""A real node on a bench, for tests: what it is sent, and what it publishes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict

import numpy as np

WAIT_SEC = 20.0


class NodeBench:
    """A real node and a tester beside it, spun by one thread in a context of their own."""

    def __init__(self, parameters: dict, start: bool = True, make_node=None):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.parameter import Parameter
        from rclpy.signals import SignalHandlerOptions

        from enet_ros.ros.segment_node import SegmentNode
        self.context = rclpy.Context()
        # rclpy's signal handlers would outlive the context and crash a later test's signal.
        rclpy.init(context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = (make_node or SegmentNode)(context=self.context, parameter_overrides=overrides)
        self.tester = rclpy.create_node('tester', context=self.context)
        self.messages = defaultdict(list)
        self._publishers = {}
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._executor.add_node(self.tester)
        if start:
            assert self.start()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    @property
    def cameras(self):
        """The cameras of the node, once it is configured."""
        return self.node._cameras

    @property
    def camera(self):
        """The only camera of the node, or the first."""
        return self.cameras[0]

    @property
    def segmenter(self):
        """The network of the node, once it is configured."""
        return self.node._pipeline.segmenter

    def start(self):
        """Configure and activate as the executable does, before the bench spins."""
        task = self._executor.create_task(self.node.start)
        self._executor.spin_until_future_complete(task)
        return task.result()

    def _spin(self):
        from rclpy._rclpy_pybind11 import RCLError
        from rclpy.executors import ExternalShutdownException
        with contextlib.suppress(ExternalShutdownException):
            try:
                self._executor.spin()
            except RCLError:  # as rclpy raises where the context ends between two of its looks
                if self.context.ok():
                    raise

    def close(self):
        self.context.try_shutdown()
        self._thread.join(5.0)
        self.node.destroy_node()
        self.tester.destroy_node()

    def wait(self, condition, what='it', seconds=WAIT_SEC):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f'{what} did not come within {seconds} s'
            time.sleep(0.005)

    def listen(self, *topics, qos=10):
        """Subscribe outputs by their names below the node, or absolute."""
        from diagnostic_msgs.msg import DiagnosticArray

        from enet_ros.ros.outputs import OUTPUTS
        for topic in topics:
            parts = topic.split('/')  # an output's own name may have a slash
            names = ('/'.join(parts[i:]) for i in range(len(parts)))
            output = next((OUTPUTS[name] for name in names if name in OUTPUTS), None)
            kind = output.message_type if output else DiagnosticArray
            full = topic if topic.startswith('/') else f'/enet/{topic}'
            self.tester.create_subscription(kind, full, self.messages[topic].append, qos)
            self.wait(lambda full=full: self.tester.count_publishers(full), f'{full}')
            if kind is not DiagnosticArray:
                self.wait(lambda full=full: self.node.count_subscribers(full), f'{full}')

    def publisher(self, kind, topic='image'):
        if topic not in self._publishers:
            publisher = self.tester.create_publisher(kind, topic, 10)
            self.wait(publisher.get_subscription_count, f'a subscriber of {topic}')
            self._publishers[topic] = publisher
        return self._publishers[topic]

    def send(self, message, topic='image'):
        self.publisher(type(message), topic).publish(message)

    def image(self, frame, encoding='rgb8', stamp_ns=None, frame_id='cam'):
        """An Image message of an RGB frame, stamped now unless told otherwise."""
        from rclpy.time import Time
        from sensor_msgs.msg import Image

        from enet_ros.perception.encodings import encode_image
        data, step = encode_image(frame, encoding)
        message = Image(encoding=encoding, height=frame.shape[0], width=frame.shape[1], step=step)
        message.data.frombytes(data.data)
        if stamp_ns is None:
            stamp_ns = self.tester.get_clock().now().nanoseconds
        message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
        message.header.frame_id = frame_id
        return message

    def reply(self, message, *topics, to='image'):
        """Send a frame and return what came for it on each topic."""
        before = {topic: len(self.messages[topic]) for topic in topics}
        self.send(message, to)
        for topic in topics:
            self.wait(lambda topic=topic: len(self.messages[topic]) > before[topic], topic)
        found = [self.messages[topic][-1] for topic in topics]
        return found[0] if len(found) == 1 else found

    def set(self, **changes):
        """Set parameters as one request; returns the result."""
        from rclpy.parameter import Parameter
        return self.node.set_parameters_atomically(
            [Parameter(name.replace('__', '.'), value=value) for name, value in changes.items()])


def pixels(message) -> np.ndarray:
    """The pixels of a mono8 or rgb8 message, after checking that it is well formed."""
    channels = {'mono8': 1, 'rgb8': 3}[message.encoding]
    assert message.step == message.width * channels
    assert len(message.data) == message.step * message.height
    shape = (message.height, message.width, 3)[:2 + (channels == 3)]
    return np.frombuffer(message.data, np.uint8).reshape(shape)
