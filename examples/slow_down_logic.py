"""How fast a robot may drive, from what a camera sees. No ROS: copy it, change it, test it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

#: How far a clock may be ahead of another one on the same robot.
CLOCK_TOLERANCE_SEC = 0.1
#: What is blocked so near the nearest visible ground may begin nearer, where no camera looks.
BORDER_M = 0.3


def speed_factor(distance_m: float, stop_m: float, slow_m: float) -> float:
    """Return the share of the commanded speed that is allowed, 0 to 1.

    Args:
        distance_m: Distance of the nearest ground ahead that is not drivable. It is +inf if all
            of it is drivable, and NaN if it is unknown, which stops the robot.
        stop_m: Distance at which the robot stands still.
        slow_m: Distance from which it may drive at full speed. Between the two it grows evenly.
    """
    if math.isnan(distance_m) or distance_m <= stop_m:
        return 0.0
    return min(1.0, (distance_m - stop_m) / (slow_m - stop_m))


def allowed_velocity(forward: float, turn: float, factor: float) -> tuple[float, float]:
    """Return the forward velocity and the turn rate that are allowed.

    Both shrink alike, so the robot keeps its curve. A camera that looks ahead does not see the
    ground behind the robot, so backwards is not allowed. Nor is a command that is not a number.
    """
    if not (math.isfinite(forward) and math.isfinite(turn)) or forward < 0.0:
        return 0.0, 0.0
    return forward * factor, turn * factor


def is_fresh(age_sec: float, timeout_sec: float) -> bool:
    """Return whether something is young enough. An age below 0 means clocks that disagree."""
    return -CLOCK_TOLERANCE_SEC <= age_sec <= timeout_sec


def first_in_path(points: np.ndarray, is_blocked: np.ndarray, path_width_m: float) -> float:
    """Return how far ahead the path is free, in meters.

    Args:
        points: (H, W, 3) float ground points of the pixels; NaN where no ground is seen.
        is_blocked: (H, W) bool: not drivable, or unknown.
        path_width_m: Width of the path, with the robot in its middle.

    Returns:
        The distance of the first blocked ground. It is 0 if that lies at the lower border of the
        image, because the obstacle may begin below it. Without blocked ground it is the farthest
        ground that is seen, because nothing beyond it is known to be free. It is NaN if no ground
        is seen.
    """
    ahead = (points[..., 0] > 0.0) & (np.abs(points[..., 1]) <= path_width_m / 2.0)
    if not ahead.any():
        return math.nan
    blocked = ahead & is_blocked
    if not blocked.any():
        return float(points[ahead, 0].max())
    first = float(points[blocked, 0].min())
    return 0.0 if first <= points[ahead, 0].min() + BORDER_M else first


class ExactStamps:
    """Collects messages of one stamp, as message_filters.TimeSynchronizer does.

    All outputs of one frame carry its stamp. A frame that lost a message is never completed.
    """

    def __init__(self, count: int, callback: Callable, depth: int = 5):
        """Call ``callback`` with ``count`` messages. ``depth`` frames may be incomplete."""
        self._count, self._callback, self._depth = count, callback, depth
        self._frames: dict[tuple[int, int], dict[int, object]] = {}

    def add(self, index: int, message: object) -> None:
        """Take the message of one topic. ``index`` is its place among the arguments."""
        stamp = message.header.stamp.sec, message.header.stamp.nanosec
        messages = self._frames.setdefault(stamp, {})
        messages[index] = message
        if len(messages) == self._count:
            del self._frames[stamp]
            self._callback(*(messages[i] for i in range(self._count)))
        elif len(self._frames) > self._depth:
            del self._frames[next(iter(self._frames))]  # the one that came first
