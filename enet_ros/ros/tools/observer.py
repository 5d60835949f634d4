"""Watches a camera and a node from outside, and sums up what came."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import Image

from enet_ros.msg import FrameTiming
from enet_ros.perception.encodings import decode_image
from enet_ros.ros.qos import OUTPUT_QOS, copy_of

ROAD_ID = 3  # of the drawn scene's true labels, which are CamVid's
KEPT_TRUTHS = 100


@dataclass
class Overlap:
    """Adds up the intersection and union of two masks."""

    intersection: int = 0
    union: int = 0

    def add(self, ours: np.ndarray, truth: np.ndarray) -> None:
        """Add two bool arrays of one shape."""
        self.intersection += int(np.count_nonzero(ours & truth))
        self.union += int(np.count_nonzero(ours | truth))

    def iou(self) -> float | None:
        """Return the IoU over all that was added, or None without anything."""
        return round(self.intersection / self.union, 4) if self.union else None


@dataclass
class Record:
    """What was seen so far.

    Attributes:
        started: ``time.monotonic`` of the first mask; 0 before.
        last: of the last mask.
        masks: how many came.
        latencies_ms: from camera stamp to mask received, by this process's clock.
        first_timing, timing: the first and the last message of ``~/timing``.
        overlay: the last one, (H, W, 3) uint8 RGB.
        road: pixels of road, ours and the truth's.
        metres: cells of drivable ground, ours and the truth's.
        grid: the last one, (rows along y, columns along x) int8.
    """

    started: float = 0.0
    last: float = 0.0
    masks: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    first_timing: FrameTiming | None = None
    timing: FrameTiming | None = None
    overlay: np.ndarray | None = None
    road: Overlap = field(default_factory=Overlap)
    metres: Overlap = field(default_factory=Overlap)
    grid: np.ndarray | None = None

    def fps(self) -> float:
        """Return masks a second between the first and the last."""
        seconds = self.last - self.started
        return (self.masks - 1) / seconds if seconds > 0 else 0.0

    def latency_ms(self) -> dict[str, float]:
        """Return the percentiles 50, 95 and 99."""
        return {f'p{q}': round(float(np.percentile(self.latencies_ms, q)), 1)
                for q in (50, 95, 99)}


class Watcher(Node):
    """Subscribes to a node's outputs as a planner or RViz would."""

    def __init__(self, node_name: str = 'enet'):
        """Subscribe; ``on_overlay`` is called with every overlay, (H, W, 3) uint8 RGB."""
        super().__init__('watch')
        self.record = Record()
        self.on_overlay = lambda overlay: None
        self._truths: dict[int, np.ndarray] = {}
        self._ground_truths: dict[int, np.ndarray] = {}
        for kind, topic, callback in (
                (Image, f'{node_name}/drivable_mask', self._on_mask),
                (Image, f'{node_name}/overlay', self._on_overlay_message),
                (Image, f'{node_name}/labels', self._on_labels),
                (Image, 'camera/labels_truth', self._on_truth),
                (OccupancyGrid, f'{node_name}/grid', self._on_grid),
                (OccupancyGrid, 'camera/ground_truth', self._on_ground_truth),
                (FrameTiming, f'{node_name}/timing', self._on_timing)):
            self.create_subscription(kind, topic, callback, copy_of(OUTPUT_QOS))

    def _on_mask(self, message: Image) -> None:
        now = self.get_clock().now().nanoseconds
        record, record.last = self.record, time.monotonic()
        record.started = record.started or record.last
        record.masks += 1
        record.latencies_ms.append((now - Time.from_msg(message.header.stamp).nanoseconds) / 1e6)

    def _on_overlay_message(self, message: Image) -> None:
        self.record.overlay = decode_image(message.data, message.encoding, message.width,
                                           message.height, message.step)
        self.on_overlay(self.record.overlay)

    def _on_timing(self, message: FrameTiming) -> None:
        self.record.first_timing = self.record.first_timing or message
        self.record.timing = message

    def _on_truth(self, message: Image) -> None:
        self._keep(self._truths, message, np.frombuffer(message.data, np.uint8))

    def _on_ground_truth(self, message: OccupancyGrid) -> None:
        self._keep(self._ground_truths, message, np.frombuffer(message.data, np.int8))

    @staticmethod
    def _keep(truths: dict[int, np.ndarray], message, values: np.ndarray) -> None:
        truths[Time.from_msg(message.header.stamp).nanoseconds] = values
        while len(truths) > KEPT_TRUTHS:
            del truths[next(iter(truths))]

    def _on_labels(self, message: Image) -> None:
        truth = self._truths.pop(Time.from_msg(message.header.stamp).nanoseconds, None)
        if truth is not None:
            self.record.road.add(np.frombuffer(message.data, np.uint8) == ROAD_ID,
                                 truth == ROAD_ID)

    def _on_grid(self, message: OccupancyGrid) -> None:
        cells = np.frombuffer(message.data, np.int8)
        self.record.grid = cells.reshape(message.info.height, message.info.width)
        truth = self._ground_truths.pop(Time.from_msg(message.header.stamp).nanoseconds, None)
        if truth is not None:
            known = (cells >= 0) & (truth >= 0)
            self.record.metres.add((cells == 0)[known], (truth == 0)[known])
