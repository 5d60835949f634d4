"""Steps of the walk in which cameras and subscribers come and go."""

from __future__ import annotations

import threading

from sensor_msgs.msg import Image
from support.walk import frames
from support.walk.sender import CAMERAS

from enet_ros.ros.outputs import OUTPUTS

STREAM_HZ = 5.0


class World:
    """Cameras and subscribers that come and go."""

    def __init__(self, outside, sender):
        """Begin with none of them; see :class:`support.walk.walk.Walk`."""
        self._outside, self._sender = outside, sender
        self._stream_stop: threading.Event | None = None

    def move_camera(self, walk):
        """Let a camera come, with a QoS by chance, or go."""
        camera = walk.choice(CAMERAS)
        kind, topic = self._sender.topic(camera)
        if walk.random() < 0.5:
            self._outside.leave(topic)
            return f'the camera of {topic} goes'
        self._outside.come(kind, topic, walk)
        return f'a camera comes on {topic}'

    def toggle_subscriber(self, walk):
        """Let a subscriber of any output come or go."""
        return self._outside.toggle_subscriber(walk.choice([*OUTPUTS, None]),
                                               walk.choice(CAMERAS))

    def toggle_stream(self, walk):
        """Start or stop a camera of its own that sends to rear whatever the node does."""
        if self._stream_stop is not None:
            self.stop_stream()
            return 'the stream on /rear/image stops'
        self._stream_stop = threading.Event()
        threading.Thread(target=self._stream, args=(self._stream_stop,), daemon=True).start()
        return 'a stream on /rear/image starts'

    def stop_stream(self):
        """Stop the camera of :meth:`toggle_stream`, if it runs."""
        if self._stream_stop is not None:
            self._stream_stop.set()
        self._stream_stop = None

    def _stream(self, stop):
        publisher, number = self._outside.node.create_publisher(Image, '/rear/image', 1), 0
        while not stop.wait(1.0 / STREAM_HZ):
            number += 1
            rgb = frames.street(frames.SIZES[0], number % 6)
            publisher.publish(
                frames.good_frame(rgb, 'bgr8', self._sender.next_stamp_ns())[0])
        self._outside.node.destroy_publisher(publisher)
