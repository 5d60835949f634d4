"""The messages on ``/diagnostics``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from enet_ros.ros.health import Level


def status_title(node_name: str, camera: str) -> str:
    """Return the name of a camera's status for a node's fully qualified name."""
    return f'{node_name.lstrip("/")}: {camera or "segmentation"}'


def make_status(node: Node, camera: str, level: Level, text: str, values: Mapping[str, str],
                device: str = '') -> DiagnosticStatus:
    """Make the status of a camera.

    Args:
        node: The node.
        camera: Name of the camera, empty for the only one.
        level: The level.
        text: A sentence.
        values: What is shown below it, by name.
        device: Device of the network, or '' while there is none.
    """
    return DiagnosticStatus(
        level=bytes([level]), message=text, hardware_id=device,
        name=status_title(node.get_fully_qualified_name(), camera),
        values=[KeyValue(key=key, value=value) for key, value in values.items()])


def make_diagnostics(node: Node, statuses: Sequence[DiagnosticStatus]) -> DiagnosticArray:
    """Make the message of statuses, which is stamped now."""
    message = DiagnosticArray(status=statuses)
    message.header.stamp = node.get_clock().now().to_msg()
    return message
