"""A camera to try things with: publishes a video, a folder of pictures, or the drawn road."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path

import cv2
import numpy as np
import rclpy
from nav_msgs.msg import OccupancyGrid
from rcl_interfaces.msg import ParameterDescriptor
from rclpy._rclpy_pybind11 import InvalidHandle, RCLError
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from enet_ros.media import Video, existing, is_video, read_frames
from enet_ros.perception.encodings import ENCODINGS, encode_image
from enet_ros.perception.grid import GridSpec
from enet_ros.ros.messages import grid_message, image_message
from enet_ros.ros.process import StopSignals, run_node
from enet_ros.ros.qos import OUTPUT_QOS, copy_of, qos_overrides
from enet_ros.scene.road_scene import RoadScene, Style

COMPRESSIONS = ('jpeg', 'png')

#: name -> (default, description)
PARAMETERS = {
    'source': ('drawn', 'A video, a folder of pictures, a picture, or drawn: the drawn road.'),
    'rate': (0.0, "Frames a second; 0 is the video's own, and 15 for all else."),
    'encoding': ('bgr8', f'One of {", ".join(ENCODINGS)}; or jpeg or png, on image/compressed.'),
    'loop': (False, 'Start again at the end of the source; else the process ends.'),
    'preload': (0, 'Frames made ready at the start and repeated for ever; 0: none.'),
    'frame_id': ('camera_optical_frame', 'Frame of the headers (REP 105).'),
    'width': (640, 'Of the drawn road, pixels.'),
    'height': (360, 'Of the drawn road, pixels.'),
    'seed': (0, 'Of the drawn road.'),
    'obstacle': (False, 'Drive behind a car on the drawn road, 6 to 20 m ahead.'),
    'slope': (0.0, 'Angle at which the drawn road rises out of the base frame, radians.'),
    'dropout_every': (0.0, 'Seconds from one failure of the camera to the next; 0 is never.'),
    'dropout_for': (0.0, 'Seconds at the end of each of these in which nothing is published.'),
}
DEFAULT_RATE = 15.0
ROAD_ID = 3  # of the drawn scene's labels, which are CamVid's


class ReplayCamera(Node):
    """Publishes frames at a rate, each with its camera info and, if drawn, its true labels."""

    def __init__(self):
        """Read the parameters and open the source.

        Raises:
            ValueError: the source, the rate, the encoding, the slope or the failures cannot be
                used.
        """
        super().__init__('camera')
        for name, (default, description) in PARAMETERS.items():
            self.declare_parameter(name, default, ParameterDescriptor(
                description=description, read_only=True))
        self._encoding = self._value('encoding')
        if self._encoding not in (*ENCODINGS, *COMPRESSIONS):
            raise ValueError(f"encoding is '{self._encoding}', wanted one of "
                             f'{", ".join((*ENCODINGS, *COMPRESSIONS))}')
        self._scene: RoadScene | None = None
        rate = self._open(self._value('source'))
        self._rate = self._value('rate') or rate
        if not 0.0 < self._rate <= 1000.0:
            raise ValueError(f'rate is {self._rate}, wanted 0 or up to 1000 frames a second')
        self._preload, self._frame_id = self._value('preload'), self._value('frame_id')
        self._messages = self._prepared()
        self._dropout = checked_dropout(self._value('dropout_every'), self._value('dropout_for'))
        self._started: Time | None = None
        self._taken = self._sent = 0
        self._make_publishers()
        if self._preload:
            threading.Thread(target=self._publish_on, daemon=True).start()
        else:
            self.create_timer(1.0 / self._rate, self._publish_next)
        self.get_logger().info(f'{self._value("source")} at {self._rate:g} frames a second, '
                               f'{self._encoding}, on {self._image.topic_name}')

    def _value(self, name: str):
        return self.get_parameter(name).value

    def _open(self, source: str) -> float:
        """Check the source and return its rate."""
        if source == 'drawn':
            self._scene = RoadScene(self._value('width'), self._value('height'),
                                    self._value('seed'),
                                    Style(obstacle=self._value('obstacle'),
                                          slope=self._value('slope')))
            return DEFAULT_RATE
        self._path: Path = existing(source)
        next(read_frames(self._path), None)  # so that what cannot be read is said at start
        return Video(self._path).fps if is_video(self._path) else DEFAULT_RATE

    def _make_publishers(self) -> None:
        def publisher(kind, topic):
            return self.create_publisher(kind, topic, copy_of(OUTPUT_QOS),
                                         qos_overriding_options=qos_overrides())

        compressed = self._encoding in COMPRESSIONS
        self._image = (publisher(CompressedImage, 'image/compressed') if compressed
                       else publisher(Image, 'image'))
        self._info = publisher(CameraInfo, 'camera_info')
        self._truth = publisher(Image, '~/labels_truth') if self._scene else None
        self._ground_truth = publisher(OccupancyGrid, '~/ground_truth') if self._scene else None

    def _once(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield (frame, true labels or None) through the source once."""
        if self._scene is None:
            yield from ((frame, None) for frame in read_frames(self._path))
        else:  # the road has no end
            yield from (self._scene.render(i / self._rate) for i in count())

    def _endless(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        while True:
            yield from self._once()

    def _prepared(self) -> Iterator[tuple[Image | CompressedImage, CameraInfo, np.ndarray | None]]:
        """Return what is to be published, frame by frame: made on the way, or at the start."""
        preload = self._preload
        if preload < 0:
            raise ValueError(f'preload is {preload}, wanted 0 or more frames')
        frames = self._endless() if self._value('loop') or preload else self._once()
        messages = ((self._message(frame), self._camera_info(frame), truth)
                    for frame, truth in frames)
        return cycle(list(islice(messages, preload))) if preload else messages

    def _publish_on(self) -> None:
        """Publish at the rate, without the executor's work for each frame."""
        due = time.monotonic()
        while self.context.ok():
            due = max(due + 1.0 / self._rate, time.monotonic() - 1.0 / self._rate)
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                self._publish_next()
            except (RCLError, InvalidHandle):  # shut down meanwhile
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

    def _drops_out(self, now: Time) -> bool:
        """Tell whether the camera fails at a time; the source runs on behind it."""
        every, gap = self._dropout
        elapsed = (now - self._started).nanoseconds * 1e-9
        return bool(every) and elapsed % every >= every - gap

    def _publish(self, stamp, image: Image | CompressedImage, info: CameraInfo,
                 truth: np.ndarray | None) -> None:
        for message in (image, info):
            message.header.stamp = stamp
            message.header.frame_id = self._frame_id
        self._info.publish(info)
        self._image.publish(image)
        if truth is not None and self._truth.get_subscription_count():
            self._truth.publish(image_message(image.header, truth, 'mono8'))
        if truth is not None and self._ground_truth.get_subscription_count():
            self._ground_truth.publish(self._true_grid(stamp, truth))

    def _true_grid(self, stamp, truth: np.ndarray) -> OccupancyGrid:
        """Return the road's truth in metres, in the cells that the node's grid has by default.

        Ground that the camera does not see, for it is out of view or something stands before it,
        is -1: what the pixel at its place shows is not the ground's class.
        """
        spec, camera = GridSpec(), self._scene.camera
        x, y = spec.centers().T
        index = self._taken % self._preload if self._preload else self._taken
        ids = self._scene.ground_truth(x, y, index / self._rate)
        pixels = camera.project(np.column_stack((x, y, camera.rise(x))))
        column, row = np.nan_to_num(np.rint(pixels), nan=-1.0).clip(-1, 1 << 20).astype(int).T
        inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
        seen = inside & (truth[np.where(inside, row, 0), np.where(inside, column, 0)] == ids)
        cells = np.where(seen, np.where(ids == ROAD_ID, 0, 100), -1).astype(np.int8)
        return grid_message(Header(stamp=stamp, frame_id='base_link'),
                            cells.reshape(spec.cells[::-1]), spec.resolution_m, spec.origin_m)

    def _message(self, frame: np.ndarray) -> Image | CompressedImage:
        if self._encoding in COMPRESSIONS:
            extension = '.jpg' if self._encoding == 'jpeg' else '.png'
            _, data = cv2.imencode(extension, frame[..., ::-1])
            message = CompressedImage(format=self._encoding)
            message.data.frombytes(data.data)
            return message
        data, step = encode_image(frame, self._encoding)
        message = Image(encoding=self._encoding, height=frame.shape[0], width=frame.shape[1],
                        step=step)
        message.data.frombytes(data.data)
        return message

    def _camera_info(self, frame: np.ndarray) -> CameraInfo:
        """Return the drawn camera's calibration; of a file nothing is known, so K is zero."""
        info = CameraInfo(height=frame.shape[0], width=frame.shape[1])
        if self._scene is not None:
            matrix = self._scene.camera.k
            info.distortion_model, info.d = 'plumb_bob', [0.0] * 5
            info.k, info.r = matrix.ravel(), np.eye(3).ravel()
            info.p = np.hstack((matrix, np.zeros((3, 1)))).ravel()
        return info


def checked_dropout(every: float, gap: float) -> tuple[float, float]:
    """Return dropout_every and dropout_for, seconds; ValueError unless they go together."""
    if not 0.0 <= every < math.inf:
        raise ValueError(f'dropout_every is {every}, wanted 0 or more seconds')
    if every and not 0.0 < gap < every:
        raise ValueError(f'dropout_for is {gap}, wanted above 0 and below dropout_every, {every}')
    if not every and gap:
        raise ValueError(f'dropout_for is {gap}, wanted 0 where dropout_every is 0')
    return every, gap


def main(stop: StopSignals | None = None) -> None:
    """Run the camera; does not return."""
    run_node(ReplayCamera, lambda node: True, stop or StopSignals())
