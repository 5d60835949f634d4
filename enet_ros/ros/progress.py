"""What a node says on the log and on ``/diagnostics`` while it configures."""

from __future__ import annotations

import time
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from enet_ros.ros.diagnostics import make_diagnostics, make_status
from enet_ros.ros.health import Level
from enet_ros.ros.qos import OUTPUT_QOS, copy_of, qos_overrides

PERIOD_SEC = 0.5      # between two messages on /diagnostics
LOG_PERIOD_SEC = 5.0


class Progress:
    """Shows what a node does while it configures.

    Any thread calls :meth:`report`. The executor's thread calls the rest.
    """

    def __init__(self, node: Node, cameras: Sequence[str]):
        """Begin. A start that takes less than a moment publishes nothing.

        Args:
            node: The node that configures.
            cameras: Names of its cameras, each of which has a status.
        """
        self._node, self._cameras = node, list(cameras)
        self._started_sec = self._logged_sec = time.monotonic()
        self._text = 'loading the network'
        self._publisher = None
        self._timer = node.create_timer(PERIOD_SEC, self._publish,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    def report(self, text: str) -> None:
        """Log what is done now, and show it until the next call."""
        self._text = text
        self._node.get_logger().info(text)

    def end(self) -> None:
        """Say nothing more, and remove the topic."""
        self._node.destroy_timer(self._timer)
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None

    def _publish(self) -> None:
        now_sec = time.monotonic()
        seconds = now_sec - self._started_sec
        text = f'configuring: {self._text}, {seconds:.0f} s so far'
        if now_sec - self._logged_sec > LOG_PERIOD_SEC:
            self._logged_sec = now_sec
            self._node.get_logger().info(text)
        if self._publisher is None:  # not before, since a warm start has no time for it
            self._publisher = self._node.create_publisher(
                DiagnosticArray, '/diagnostics', copy_of(OUTPUT_QOS),
                qos_overriding_options=qos_overrides())
        values = {'state': 'configuring', 'seconds': f'{seconds:.1f}'}
        self._publisher.publish(make_diagnostics(self._node, [
            make_status(self._node, camera, Level.WARN, text, values)
            for camera in self._cameras]))
