"""Observers of a camera and a node from outside, as a planner or RViz would see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
import rclpy
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from enet_ros.comparison.measures import Overlap
from enet_ros.msg import FrameTiming
from enet_ros.perception.encodings import decode_raw_image
from enet_ros.perception.stamps import ns_of_stamp
from enet_ros.ros.cdr import read_stamp_ns
from enet_ros.ros.guarded import Guarded
from enet_ros.ros.qos import INPUT_QOS, OUTPUT_QOS, copy_of
from enet_ros.ros.receiver import Receiver
from enet_ros.scene.textures import ROAD

KEPT_TRUTHS = 100
AnyObserver = TypeVar('AnyObserver', bound='MaskObserver')


@dataclass
class Record:
    """What an observer has received so far.

    Attributes:
        first_mask: ``time.monotonic`` of the first mask; 0 before it comes.
        last_mask: ``time.monotonic`` of the last mask.
        masks: Number of masks.
        latencies_ms: From camera stamp to mask received, by the clock of this process.
        first_timing, timing: The first and the last message of ``~/timing``.
        overlay: The last one, (H, W, 3) uint8 RGB.
        road: Pixels of road, the node's and the truth's.
        meters: Cells of drivable ground, the node's and the truth's.
        grid: The last one, (rows along y, columns along x) int8.
    """

    first_mask: float = 0.0
    last_mask: float = 0.0
    masks: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    first_timing: FrameTiming | None = None
    timing: FrameTiming | None = None
    overlay: np.ndarray | None = None
    road: Overlap = field(default_factory=Overlap)
    meters: Overlap = field(default_factory=Overlap)
    grid: np.ndarray | None = None

    def fps(self) -> float:
        """Return masks a second between the first and the last."""
        seconds = self.last_mask - self.first_mask
        return (self.masks - 1) / seconds if seconds > 0 else 0.0

    def latency_ms(self) -> dict[str, float]:
        """Return the percentiles 50, 95 and 99 of the latencies."""
        return {f'p{q}': round(float(np.percentile(self.latencies_ms, q)), 1)
                for q in (50, 95, 99)}


class DemoObserver(Node):
    """Subscribes to a node's outputs and to the truth of the synthetic street."""

    def __init__(self, node_name: str = 'enet', road_id: int = ROAD):
        """Subscribe.

        Args:
            node_name: Name of the node to observe.
            road_id: Label of the road in the classes of its weights.
        """
        super().__init__('watch')
        self.record, self._road_id = Record(), road_id
        #: Called with every overlay, (H, W, 3) uint8 RGB.
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
            self.create_subscription(kind, topic, Guarded(self, topic, callback),
                                     copy_of(OUTPUT_QOS))

    def _on_mask(self, message: Image) -> None:
        latency_ns = self.get_clock().now().nanoseconds - ns_of_stamp(message.header.stamp)
        record, record.last_mask = self.record, time.monotonic()
        record.first_mask = record.first_mask or record.last_mask
        record.masks += 1
        record.latencies_ms.append(latency_ns / 1e6)

    def _on_overlay_message(self, message: Image) -> None:
        self.record.overlay = decode_raw_image(message.data, message.encoding, message.width,
                                               message.height, message.step)
        self.on_overlay(self.record.overlay)

    def _on_timing(self, message: FrameTiming) -> None:
        self.record.first_timing = self.record.first_timing or message
        self.record.timing = message

    def _on_truth(self, message: Image) -> None:
        _keep(self._truths, message, np.frombuffer(message.data, np.uint8))

    def _on_ground_truth(self, message: OccupancyGrid) -> None:
        _keep(self._ground_truths, message, np.frombuffer(message.data, np.int8))

    def _on_labels(self, message: Image) -> None:
        truth = self._truths.pop(ns_of_stamp(message.header.stamp), None)
        if truth is not None:
            labels = np.frombuffer(message.data, np.uint8)
            self.record.road.add(labels == self._road_id, truth == ROAD)

    def _on_grid(self, message: OccupancyGrid) -> None:
        cells = np.frombuffer(message.data, np.int8)
        self.record.grid = cells.reshape(message.info.height, message.info.width)
        truth = self._ground_truths.pop(ns_of_stamp(message.header.stamp), None)
        if truth is not None:
            in_both = (cells >= 0) & (truth >= 0)
            self.record.meters.add((cells == 0)[in_both], (truth == 0)[in_both])


def _keep(truths: dict[int, np.ndarray], message, values: np.ndarray) -> None:
    """Keep a truth under its stamp until the node's output for that stamp comes."""
    truths[ns_of_stamp(message.header.stamp)] = values
    while len(truths) > KEPT_TRUTHS:
        del truths[next(iter(truths))]


class MaskObserver(Node):
    """Receives the masks of every camera at the least cost to the machine.

    Masks are received in a thread of their own, from the making of the object on.

    Attributes:
        masks: Camera -> (arrival by ``time.monotonic``, latency in ms) of every mask. The latency
            is the time from the camera stamp to the arrival.
    """

    def __init__(self, cameras: list[str]):
        """Subscribe.

        Args:
            cameras: Names of the cameras, as in the node's parameter.
        """
        super().__init__('bench')
        self._prefixes = {name: f'enet/{name}/' if name else 'enet/' for name in cameras}
        self.masks: dict[str, list[tuple[float, float]]] = {name: [] for name in cameras}
        self._receiver = Receiver(self, [
            self.create_subscription(Image, f'{prefix}drivable_mask', partial(self._on_mask, name),
                                     copy_of(INPUT_QOS), raw=True)
            for name, prefix in self._prefixes.items()])

    def _on_mask(self, name: str, serialized: bytes) -> None:
        latency_ms = (self.get_clock().now().nanoseconds - read_stamp_ns(serialized)) / 1e6
        self.masks[name].append((time.monotonic(), latency_ms))

    def has_all(self) -> bool:
        """Tell whether a mask of every camera has come."""
        return all(self.masks.values())

    def clear(self) -> None:
        """Forget the masks received so far."""
        for masks in self.masks.values():
            masks.clear()

    def latencies_ms(self) -> list[list[float]]:
        """Return the latencies of the masks received so far, a list a camera."""
        return [[latency_ms for _, latency_ms in list(masks)] for masks in self.masks.values()]

    def timings(self, seconds: float) -> list[list[FrameTiming]]:
        """Receive ``~/timing`` for a while; return a list a camera."""
        timings: list[list[FrameTiming]] = [[] for _ in self._prefixes]
        subscriptions = [
            self.create_subscription(FrameTiming, f'{prefix}timing', messages.append,
                                     copy_of(OUTPUT_QOS))
            for prefix, messages in zip(self._prefixes.values(), timings)]
        receiver = Receiver(self, subscriptions)
        time.sleep(seconds)
        receiver.close()
        for subscription in subscriptions:
            self.destroy_subscription(subscription)
        return timings

    def close(self) -> None:
        """Stop receiving; a thread that went on at the end of the process would abort it."""
        self._receiver.close()
        self._receiver.join()
        self.destroy_node()


@contextmanager
def observing(make: Callable[[list[str]], AnyObserver],
              cameras: list[str]) -> Iterator[AnyObserver]:
    """Start rclpy and make a :class:`MaskObserver`, or a kind of it, for a ``with`` block."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    observer = make(cameras)
    try:
        yield observer
    finally:
        observer.close()
        rclpy.try_shutdown()
