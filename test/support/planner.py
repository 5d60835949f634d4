"""A planner beside a node: it sends frames, sees every mask, and checks what it was told is free.

It has a context of its own, so the node may be in this process or in another one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from sensor_msgs.msg import Image

from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.perception.images.write_raw import encode_image

WAIT_SEC = 40.0
FLOOR = 0.5
FLOOR_BYTE = 127  # of ~/confidence, which is rounded to a byte
#: Parameters of a node whose masks can be checked pixel by pixel.
CHECKED = {'output_size': 'network', 'confidence_floor': FLOOR}


def image_message(frame: np.ndarray, stamp_ns: int, encoding: str = 'rgb8') -> Image:
    """Return an Image message of an RGB frame."""
    data, step = encode_image(frame, encoding)
    message = Image(encoding=encoding, height=frame.shape[0], width=frame.shape[1], step=step)
    message.data.frombytes(data.data)
    message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    message.header.frame_id = 'cam'
    return message


def array_of(message: Image) -> np.ndarray:
    """Return the pixels of a mono8 message."""
    assert message.encoding == 'mono8'
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


def stamp_of(message) -> int:
    """Return the stamp of a message in nanoseconds."""
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


class Planner:
    """The camera and the planner of a vehicle, around one node.

    Attributes:
        messages: Output -> messages in order; '/diagnostics' as well.
        sent: Stamps that were sent, in nanoseconds.
    """

    def __init__(self, name: str = 'enet', image: str = 'image'):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node('planner', context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._name, self._image, self._camera = name, image, None
        self.messages, self.sent = defaultdict(list), set()
        class_map = read_checkpoint(weights_path('')).class_map
        self._drivable = np.zeros(256, bool)
        self._drivable[:len(class_map.drivable)] = class_map.drivable
        kinds = {'/diagnostics': DiagnosticArray,
                 **dict.fromkeys(('labels', 'drivable_mask', 'confidence'), Image)}
        for topic, kind in kinds.items():
            self.node.create_subscription(kind, topic if topic[0] == '/' else f'/{name}/{topic}',
                                          self.messages[topic].append, QoSProfile(depth=500))
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self):
        with contextlib.suppress(ExternalShutdownException, rclpy._rclpy_pybind11.RCLError):
            self._executor.spin()

    def close(self):
        self.context.try_shutdown()
        self._thread.join(5.0)
        self.node.destroy_node()

    def wait(self, condition, what, seconds=WAIT_SEC):
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f'{what} did not come within {seconds} s'
            time.sleep(0.01)
        return value

    def now_ns(self):
        return self.node.get_clock().now().nanoseconds

    def camera(self, qos=10):
        """Make a camera in place of the last one, and wait until node and planner are matched."""
        self.unplug()
        self._camera = self.node.create_publisher(Image, self._image, qos)
        self.wait(self._camera.get_subscription_count, 'a node that subscribes')
        for topic in ('labels', 'drivable_mask', 'confidence'):
            self.wait(lambda topic=topic: self.node.count_publishers(f'/{self._name}/{topic}'),
                      topic)
        time.sleep(0.3)  # for the node's publishers to know the planner as well

    def unplug(self):
        """Take the camera away."""
        if self._camera is not None:
            self.node.destroy_publisher(self._camera)
            self._camera = None

    def send(self, frame, stamp_ns=None, encoding='rgb8'):
        """Publish a frame, stamped now unless told otherwise. Returns its stamp."""
        stamp_ns = self.now_ns() if stamp_ns is None else stamp_ns
        self.sent.add(stamp_ns)
        self._camera.publish(frame if isinstance(frame, Image) else
                             image_message(frame, stamp_ns, encoding))
        return stamp_ns

    def answers(self, frame, stamp_ns=None, encoding='rgb8', seconds=WAIT_SEC):
        """Send a frame until labels of it come, which a camera would do. Returns the labels.

        A middleware may lose a message under load, and the node one that is overtaken.
        """
        before = {topic: len(self.messages[topic])
                  for topic in ('labels', 'drivable_mask', 'confidence')}
        deadline = time.monotonic() + seconds
        while True:
            stamp = self.send(frame, stamp_ns, encoding)
            again = time.monotonic() + 2.0
            while time.monotonic() < again:
                new = {topic: [message for message in self.messages[topic][count:]
                               if stamp_of(message) == stamp] for topic, count in before.items()}
                if all(new.values()):
                    return array_of(new['labels'][-1])
                time.sleep(0.01)
            assert time.monotonic() < deadline, f'no answer within {seconds} s: {self.status()}'

    def status(self):
        """Return level and text of the newest diagnostics of the node."""
        for message in reversed(self.messages['/diagnostics']):
            for status in message.status:
                if status.name.startswith(f'{self._name}:'):
                    return status.level[0], status.message
        return None, 'no diagnostics'

    def reports(self, text, seconds=WAIT_SEC):
        """Wait until the diagnostics of the node, old or new, say a text."""
        self.wait(lambda: any(text in status.message or any(text in v.value for v in status.values)
                              for message in list(self.messages['/diagnostics'])
                              for status in message.status), f"'{text}' in /diagnostics", seconds)

    def check(self):
        """Check every mask so far: what it calls free was seen so. Returns how many there are."""
        masks = list(self.messages['drivable_mask'])
        for mask in masks:
            free, stamp = array_of(mask) > 0, stamp_of(mask)
            if not free.any():
                continue  # A stall has such a mask, with a stamp of its own.
            assert stamp in self.sent, f'a mask of {stamp}, which no frame had'
            seen = self.wait(lambda stamp=stamp: self.seen(stamp), f'what {stamp} was made from')
            assert any(not (free & ~area).any() for area in seen), f'free, not seen so: {stamp}'
        return len(masks)

    def seen(self, stamp):
        """Return where a frame of a stamp was drivable and confident enough, one array each."""
        labels, confidences = ([array_of(m) for m in list(self.messages[topic])
                                if stamp_of(m) == stamp] for topic in ('labels', 'confidence'))
        return [self._drivable[label] & (confidence >= FLOOR_BYTE)
                for label, confidence in zip(labels, confidences)]
