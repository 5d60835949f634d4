"""A camera to try things with, which shows files or the synthetic street."""

from __future__ import annotations

import math
import textwrap
import threading
import time
from collections.abc import Iterator
from itertools import cycle, islice

import cv2
import numpy as np
import rclpy
from nav_msgs.msg import OccupancyGrid
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from enet_ros.common.suggestions import suggest
from enet_ros.perception.encodings import ENCODINGS, encode_image
from enet_ros.perception.parameters.names import FOREIGN
from enet_ros.ros.arguments import check_arguments
from enet_ros.ros.compat import InvalidHandle, RCLError
from enet_ros.ros.messages import image_message
from enet_ros.ros.process import StopSignals, run_node
from enet_ros.ros.qos import OUTPUT_QOS, compressed_topic, copy_of, qos_overrides
from enet_ros.ros.tools.camera_info_file import read_camera_info
from enet_ros.ros.tools.camera_source import FileSource, LabeledFrame, Source, StreetSource
from enet_ros.scene.style import Style

MATCH_SEC = 0.5  # in which publisher and subscriber find each other
COMPRESSIONS = {'jpeg': '.jpg', 'png': '.png', 'tiff': '.tiff', 'webp': '.webp'}

#: name -> (default, description)
PARAMETERS = {
    'source': ('drawn', 'What the camera shows: a video, an image, a folder of images, or drawn, '
                        'the synthetic street.'),
    'rate': (0.0, 'Frames a second. 0 takes the rate of the video, and 15 for other sources.'),
    'encoding': ('bgr8', f'Encoding of the images: one of {", ".join(ENCODINGS)}. With '
                         'jpeg, png, tiff or webp they are compressed, on image/compressed.'),
    'bit_depth': (16, 'Significant bits of an encoding of 16 bits, such as mono16, 8 to 16.'),
    'loop': (False, 'Whether to start again at the end of the source. Otherwise the process '
                    'ends.'),
    'preload': (0, 'Number of frames that are prepared at the start and repeated for ever. 0 '
                   'prepares each frame when it is due.'),
    'wait': (False, 'Whether frames of preload wait until somebody subscribes to the images.'),
    'camera_info_file': ('', 'Calibration of the camera that took the images, a YAML file that '
                             'camera_calibration saved. Without it the camera is uncalibrated.'),
    'frame_id': ('camera_optical_frame', 'TF frame of the headers (REP 105).'),
    'width': (640, 'Width of the synthetic street, in pixels.'),
    'height': (360, 'Height of the synthetic street, in pixels.'),
    'seed': (0, 'Number of the synthetic street.'),
    'obstacle': (False, 'Whether a car drives ahead on the synthetic street, at 6 to 20 m.'),
    'slope': (0.0, 'Angle at which the synthetic street rises out of the base frame, in radians.'),
    'dropout_every': (0.0, 'Seconds from one failure of the camera to the next. 0 means that it '
                           'never fails.'),
    'dropout_for': (0.0, 'Seconds of each failure, in which nothing is published.'),
}

#: An image, its calibration, and the true labels of the image where they are known.
Prepared = tuple[Image | CompressedImage, CameraInfo, np.ndarray | None]


class ReplayCamera(Node):
    """Publishes frames at a rate, each with its camera info and, of the street, its truth.

    With ``preload`` a thread of its own publishes them, else a timer of the executor does.
    """

    def __init__(self):
        """Read the parameters, open the source and start.

        Raises:
            ValueError: The source cannot be read, or a parameter is out of range.
        """
        super().__init__('camera')
        for name, (default, description) in PARAMETERS.items():
            given = self._parameter_overrides.get(name)
            if isinstance(default, float) and given and given.type_ is Parameter.Type.INTEGER:
                self._parameter_overrides[name] = Parameter(name, value=float(given.value))
            self.declare_parameter(name, default, ParameterDescriptor(
                description=description, read_only=True))
        self._warn_of_unknown()
        self._encoding = self._value('encoding')
        if self._encoding not in (*ENCODINGS, *COMPRESSIONS):
            raise ValueError(f"encoding is '{self._encoding}', wanted one of "
                             f'{", ".join((*ENCODINGS, *COMPRESSIONS))}')
        if not 8 <= self._value('bit_depth') <= 16:
            raise ValueError(f"bit_depth is {self._value('bit_depth')}, wanted 8 to 16")
        self._source = self._open(self._value('source'))
        self._rate_hz = self._value('rate') or self._source.rate_hz
        if not 0.0 < self._rate_hz <= 1000.0:
            raise ValueError(f'rate is {self._rate_hz}, wanted 0 or up to 1000 frames a second')
        self._preload, self._frame_id = self._value('preload'), self._value('frame_id')
        self._messages = self._prepared()
        self._dropout = checked_dropout(self._value('dropout_every'), self._value('dropout_for'))
        self._started: Time | None = None
        self._taken = self._sent = 0
        self._thread: threading.Thread | None = None
        self._make_publishers()
        self._start()
        self.get_logger().info(f'{self._value("source")} at {self._rate_hz:g} frames a second, '
                               f'{self._encoding}, on {self._image.topic_name}')

    def _value(self, name: str):
        return self.get_parameter(name).value

    def _warn_of_unknown(self) -> None:
        """Log which parameters were given that the camera does not have, such as typing errors."""
        for name in self._parameter_overrides:
            if name not in PARAMETERS and not name.startswith(FOREIGN):
                advice = suggest(name, PARAMETERS) or '; replay_camera --help lists the parameters'
                self.get_logger().warning(
                    f"parameter '{name}' is not known and has no effect{advice}")

    def _open(self, source: str) -> Source:
        if source != 'drawn':
            path = self._value('camera_info_file')
            return FileSource(source, self.get_logger().warning,
                              read_camera_info(path) if path else None)
        return StreetSource(self._value('width'), self._value('height'), self._value('seed'),
                            Style(obstacle=self._value('obstacle'), slope=self._value('slope')))

    def _make_publishers(self) -> None:
        def publisher(kind, topic):
            return self.create_publisher(kind, topic, copy_of(OUTPUT_QOS),
                                         qos_overriding_options=qos_overrides())

        compressed = self._encoding in COMPRESSIONS
        self._image = (publisher(CompressedImage, compressed_topic(self, 'image')) if compressed
                       else publisher(Image, 'image'))
        self._info = publisher(CameraInfo, 'camera_info')
        if self._source.has_truth:
            self._truth = publisher(Image, '~/labels_truth')
            self._ground_truth = publisher(OccupancyGrid, '~/ground_truth')

    def _start(self) -> None:
        if self._preload:
            self._thread = threading.Thread(target=self._publish_on, daemon=True)
            self._thread.start()
        else:
            self.create_timer(1.0 / self._rate_hz, self._publish_next)

    def _prepared(self) -> Iterator[Prepared]:
        """Return the messages to publish, made one by one or, with ``preload``, now."""
        preload = self._preload
        if preload < 0:
            raise ValueError(f'preload is {preload}, wanted 0 or more frames')
        frames = (self._endless_frames() if self._value('loop') or preload
                  else self._source.frames(self._rate_hz))
        messages = ((make_image(frame, self._encoding, self._value('bit_depth')),
                     self._source.camera_info(*frame.shape[1::-1]), labels)
                    for frame, labels in frames)
        return cycle(list(islice(messages, preload))) if preload else messages

    def _endless_frames(self) -> Iterator[LabeledFrame]:
        while True:
            yield from self._source.frames(self._rate_hz)

    def _publish_on(self) -> None:
        """Publish at the rate, without the executor's work for each frame."""
        wait = self._value('wait')
        while wait and self.context.ok():
            wait = not self._image.get_subscription_count()
            time.sleep(MATCH_SEC)  # The subscriber has to know of the publisher, too.
        due, period_sec = time.monotonic(), 1.0 / self._rate_hz
        while self.context.ok():
            due = max(due + period_sec, time.monotonic() - period_sec)
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                self._publish_next()
            except (RCLError, InvalidHandle):  # the context was shut down meanwhile
                return

    def _publish_next(self) -> None:
        prepared = next(self._messages, None)
        if prepared is None:
            self.get_logger().info(f'end of the source after {self._sent} frames')
            rclpy.try_shutdown()
            return
        now = self.get_clock().now()
        self._started = self._started or now
        if not self._drops_out(now):
            self._publish(now.to_msg(), *prepared)
            self._sent += 1
        self._taken += 1

    def destroy_node(self) -> None:
        """Say how many frames were sent, after the last one."""
        if self._thread is not None:
            self._thread.join(1.0)
        print(f'{self._sent} frames sent', flush=True)
        super().destroy_node()

    def _drops_out(self, now: Time) -> bool:
        """Tell whether the camera fails at a time. The source goes on behind the failure."""
        every, gap = self._dropout
        elapsed = (now - self._started).nanoseconds * 1e-9
        return bool(every) and elapsed % every >= every - gap

    def _publish(self, stamp, image: Image | CompressedImage, info: CameraInfo,
                 labels: np.ndarray | None) -> None:
        for message in (image, info):
            message.header.stamp = stamp
            message.header.frame_id = self._frame_id
        self._info.publish(info)
        self._image.publish(image)
        if labels is not None and self._truth.get_subscription_count():
            self._truth.publish(image_message(image.header, labels, 'mono8'))
        if labels is not None and self._ground_truth.get_subscription_count():
            index = self._taken % self._preload if self._preload else self._taken
            self._ground_truth.publish(
                self._source.true_grid(stamp, labels, index / self._rate_hz))


def make_image(frame: np.ndarray, encoding: str, bits: int = 16) -> Image | CompressedImage:
    """Return a message of a frame, without stamp and frame_id.

    Args:
        frame: (H, W, 3) uint8 RGB.
        encoding: One of ENCODINGS or of COMPRESSIONS.
        bits: Significant bits of an encoding of 16 bits.
    """
    if encoding in COMPRESSIONS:
        _, data = cv2.imencode(COMPRESSIONS[encoding], frame[..., ::-1])
        message = CompressedImage(format=encoding)
    else:
        data, step = encode_image(frame, encoding, bits)
        message = Image(encoding=encoding, height=frame.shape[0], width=frame.shape[1], step=step)
    message.data.frombytes(data.data)
    return message


def checked_dropout(every: float, gap: float) -> tuple[float, float]:
    """Return the parameters dropout_every and dropout_for, in seconds.

    Raises:
        ValueError: They are out of range, or do not go together.
    """
    if not 0.0 <= every < math.inf:
        raise ValueError(f'dropout_every is {every}, wanted 0 or more seconds')
    if every and not 0.0 < gap < every:
        raise ValueError(f'dropout_for is {gap}, wanted above 0 and below dropout_every, {every}')
    if not every and gap:
        raise ValueError(f'dropout_for is {gap}, wanted 0 where dropout_every is 0')
    return every, gap


def usage() -> str:
    """Return the text of --help, with every parameter."""
    rows = []
    for name, (default, description) in PARAMETERS.items():
        shown = "''" if default == '' else str(default).lower()
        lines = textwrap.wrap(f'{description} (default: {shown})', 78)
        rows.append(f'  {name:<16}  ' + ('\n' + 20 * ' ').join(lines))
    return '\n'.join((
        'usage: replay_camera [--ros-args [-p NAME:=VALUE] [-r FROM:=TO] ...]', '',
        'Publish a video, images or the synthetic street as a camera does: image and camera_info.',
        '', 'parameters:', *rows, '', 'example:',
        '  replay_camera --ros-args -p source:=drive.mp4 -p loop:=true -r image:=/cam/image_raw'))


def main(stop: StopSignals | None = None) -> None:
    """Run the camera; does not return."""
    check_arguments(usage())
    run_node(ReplayCamera, stop or StopSignals())
