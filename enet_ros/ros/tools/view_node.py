"""Brings what a node publishes to the page: subscribes, thins out, pairs, and draws."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image, LaserScan, PointCloud2

from enet_ros.common.one_line_error import in_one_line
from enet_ros.msg import FrameTiming
from enet_ros.perception.encodings import decode_compressed, read_raw_image
from enet_ros.perception.stamps import ns_of_stamp
from enet_ros.ros.cdr import read_image_message, read_stamp_ns
from enet_ros.ros.diagnostics import status_title
from enet_ros.ros.guarded import Guarded
from enet_ros.ros.logs import WARNING_PERIOD_SEC
from enet_ros.ros.qos import INPUT_QOS, copy_of
from enet_ros.ros.tools.view_messages import grid_cells, mono8, points_xyz, scan_ranges
from enet_ros.ros.tools.view_target import CameraTopics, Target
from enet_ros.view.drawing import STAGES, CameraDrawing

HISTORY_BYTES = 64 * 2**20  # of camera frames that wait for their labels
ALONE_SEC = 1.0             # after which a frame is drawn without labels, and labels without one
DECISION_SEC = 0.5          # for which a stamp is drawn or left out, on every topic
OTHER_TOPIC = 'Name the topic of the camera by --image.'
SLOW = ('Before, it had: this machine or the browser does not keep up. Lower --rate, show less, '
        'or close pages.')


class Thinning:
    """Leaves out frames above a rate, the same ones on every topic of a camera."""

    def __init__(self, rate_hz: float, clock: Callable[[], float] = time.monotonic):
        """Let ``rate_hz`` frames a second through."""
        self._period_sec, self._clock = 1.0 / rate_hz, clock
        self._due_sec = 0.0
        self._decisions: OrderedDict[int, tuple[float, bool]] = OrderedDict()

    def takes(self, stamp_ns: int) -> bool:
        """Tell whether the messages of a stamp are drawn."""
        now_sec = self._clock()
        decided_sec, decision = self._decisions.get(stamp_ns, (-DECISION_SEC, False))
        if now_sec - decided_sec < DECISION_SEC:
            return decision
        decision = now_sec >= self._due_sec
        if decision:  # Late frames do not add up to a burst.
            self._due_sec = max(self._due_sec + self._period_sec, now_sec)
        self._decisions[stamp_ns] = now_sec, decision
        while len(self._decisions) > 64:
            self._decisions.popitem(last=False)
        return decision


class FrameHistory:
    """Serialized camera frames by their stamps, the oldest forgotten first."""

    def __init__(self, max_bytes: int = HISTORY_BYTES):
        """Keep at most ``max_bytes``, and always the newest frame."""
        self._max_bytes, self._bytes = max_bytes, 0
        self._frames: OrderedDict[int, bytes] = OrderedDict()

    def add(self, stamp_ns: int, serialized: bytes) -> None:
        """Keep a frame."""
        self._bytes += len(serialized) - len(self._frames.pop(stamp_ns, b''))
        self._frames[stamp_ns] = serialized
        while self._bytes > self._max_bytes and len(self._frames) > 1:
            self._bytes -= len(self._frames.popitem(last=False)[1])

    def take(self, stamp_ns: int) -> bytes | None:
        """Return the frame of a stamp, or None. It and all that came before it are forgotten."""
        if stamp_ns not in self._frames:
            return None
        while True:
            stamp, serialized = self._frames.popitem(last=False)
            self._bytes -= len(serialized)
            if stamp == stamp_ns:
                return serialized


class CameraView:
    """Draws one camera. Every frame is drawn with the labels of its own stamp."""

    def __init__(self, node: Node, topics: CameraTopics, show: Sequence[str], rate_hz: float,
                 drawing: CameraDrawing):
        """Subscribe to what is shown, best effort.

        Args:
            node: Subscribes.
            topics: Where the camera is seen.
            show: What is shown, of :data:`enet_ros.view.layout.SHOWN`.
            rate_hz: Greatest number of frames a second that are drawn.
            drawing: Where it is drawn.
        """
        self._node, self._topics, self._drawing = node, topics, drawing
        self._thinning, self._history = Thinning(rate_hz), FrameHistory()
        self._pairs = 'camera' in show and 'labels' in show
        self._labels_sec = self._paired_sec = time.monotonic()
        self._has_paired = False
        kinds = {
            'camera': (CompressedImage if topics.is_compressed else Image, self._on_camera),
            'labels': (Image, self._on_labels), 'mask': (Image, self._on_mask),
            'confidence': (Image, self._on_confidence), 'grid': (OccupancyGrid, self._on_grid),
            'obstacles': (PointCloud2, self._on_obstacles),
            'free_space': (LaserScan, self._on_free_space),
            'timing': (FrameTiming, self._on_timing)}
        for shown, (kind, callback) in kinds.items():
            if shown in show:
                topic = topics.image if shown == 'camera' else topics.outputs + {
                    'mask': 'drivable_mask'}.get(shown, shown)
                node.create_subscription(
                    kind, topic, Guarded(node, topic, partial(self._draw, kind, callback)),
                    copy_of(INPUT_QOS), raw=True)

    def _draw(self, kind: type, draw: Callable, serialized: bytes) -> None:
        """Draw a message."""
        stamp = read_stamp_ns(serialized)
        if draw == self._on_camera:
            self._on_camera(stamp, serialized)
        elif self._thinning.takes(stamp):
            self._drawing.at(stamp)
            draw(stamp, serialized if kind is Image else deserialize_message(serialized, kind))

    def _on_camera(self, stamp_ns: int, serialized: bytes) -> None:
        if self._pairs:
            self._history.add(stamp_ns, serialized)
            if time.monotonic() - self._labels_sec < ALONE_SEC:
                return
        if self._thinning.takes(stamp_ns):
            self._drawing.at(stamp_ns)
            self._drawing.camera(self._rgb(serialized))
            if self._pairs:  # Old labels would lie over a frame that they do not belong to.
                self._drawing.clear_labels()

    def _on_labels(self, stamp_ns: int, serialized: bytes) -> None:
        labels = mono8(serialized)
        now_sec = self._labels_sec = time.monotonic()
        frame = self._history.take(stamp_ns) if self._pairs else None
        if frame is not None:
            self._paired_sec, self._has_paired = now_sec, True
            self._drawing.camera(self._rgb(frame), labels.shape[::-1])
        elif self._pairs and now_sec - self._paired_sec < ALONE_SEC:
            return
        elif self._pairs:
            self._drawing.clear_camera()
            self._node.get_logger().warning(
                f'no frame on {self._topics.image} has the stamp of the labels; labels are drawn '
                f'alone. {SLOW if self._has_paired else OTHER_TOPIC}',
                throttle_duration_sec=WARNING_PERIOD_SEC)
        self._drawing.labels(labels)

    def _rgb(self, serialized: bytes) -> np.ndarray:
        if self._topics.is_compressed:
            message = deserialize_message(serialized, CompressedImage)
            return decode_compressed(message.data, message.format)
        return read_raw_image(read_image_message(serialized)[1]).rgb()

    def _on_mask(self, _: int, serialized: bytes) -> None:
        self._drawing.mask(mono8(serialized))

    def _on_confidence(self, _: int, serialized: bytes) -> None:
        self._drawing.confidence(mono8(serialized))

    def _on_grid(self, _: int, message: OccupancyGrid) -> None:
        origin = message.info.origin.position
        self._drawing.grid(grid_cells(message), message.info.resolution, (origin.x, origin.y))

    def _on_obstacles(self, _: int, message: PointCloud2) -> None:
        self._drawing.obstacles(points_xyz(message))

    def _on_free_space(self, _: int, message: LaserScan) -> None:
        self._drawing.free_space(scan_ranges(message), message.angle_min,
                                 message.angle_increment, message.range_max)

    def _on_timing(self, _: int, message: FrameTiming) -> None:
        self._drawing.timing({stage: getattr(message, f'{stage}_ms') for stage in STAGES})


class DiagnosticsView:
    """Draws the statuses of a node's cameras."""

    def __init__(self, node: Node, target: Target, drawings: Sequence[CameraDrawing]):
        """Subscribe to /diagnostics, best effort.

        Args:
            node: Subscribes.
            target: The node to look at.
            drawings: Of its cameras, in order.
        """
        self._drawings = {status_title(target.name, camera.name): drawing
                          for camera, drawing in zip(target.cameras, drawings)}
        node.create_subscription(
            DiagnosticArray, '/diagnostics',
            Guarded(node, '/diagnostics', self._on_diagnostics), copy_of(INPUT_QOS))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if drawing := self._drawings.get(status.name):
                drawing.at(ns_of_stamp(message.header.stamp))
                drawing.diagnostics(
                    int.from_bytes(status.level, 'little'), in_one_line(status.message),
                    {item.key: item.value for item in status.values})
