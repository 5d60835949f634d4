"""Callbacks that no message can end: anyone may publish on the topics that a tool listens to."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

from enet_ros.common.one_line_error import describe_error, in_one_line
from enet_ros.ros.logs import WARNING_PERIOD_SEC


class Guarded:
    """Calls a function with every message. Where it raises, the message is left out.

    Args:
        node: Logs a warning about messages that are left out, at most every
            WARNING_PERIOD_SEC.
        topic: Topic of the messages, for the warning.
        callback: Takes a message.
    """

    def __init__(self, node: Node, topic: str, callback: Callable[[object], object]):
        self._node, self._topic, self._callback = node, topic, callback
        self._silent_until_sec = 0.0

    def __call__(self, message: object) -> None:
        """Call the function."""
        try:
            self._callback(message)
        except Exception as error:  # A message that nobody foresaw must not end the tool.
            now_sec = time.monotonic()
            if now_sec >= self._silent_until_sec:
                self._silent_until_sec = now_sec + WARNING_PERIOD_SEC
                self._node.get_logger().warning(
                    in_one_line(f'{self._topic}: a message is left out: {reason_of(error)}'))


def reason_of(error: Exception) -> str:
    """Return the text of an error, and before it the kind of an error that no code of ours made.

    Our own errors are kinds of ValueError, and their texts are whole sentences.
    """
    own = isinstance(error, ValueError) and type(error) is not ValueError
    return str(error) if own and str(error) else describe_error(error)
