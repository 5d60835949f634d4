"""A stand-in for tf2_ros, which the ROS 2 wheels lack."""

import math
import sys


class Tf2:
    """Stands in for the module, its buffer and its listener. It counts who listens."""

    def __init__(self, monkeypatch):
        self.listening = 0
        monkeypatch.setitem(sys.modules, 'tf2_ros', self)

    def Buffer(self):  # noqa: N802
        return self

    def TransformListener(self, buffer, node):  # noqa: N802
        self.listening += 1
        return self

    def unregister(self):
        self.listening -= 1


class TimedTf2(Tf2):
    """Stands in for tf2_ros with the transforms of a time, of a frame at x = 7 that turns.

    Args:
        monkeypatch: The fixture.
        first_sec: Time of the oldest transform.
        newest_sec: Time of the newest transform.
        yaw: Yaw of the frame at a time, in radians.
    """

    def __init__(self, monkeypatch, first_sec, newest_sec, yaw=lambda sec: 0.0):
        super().__init__(monkeypatch)
        self.first_sec, self.newest_sec, self.yaw = first_sec, newest_sec, yaw
        self.cleared = self.polls = 0
        self.on_poll = lambda: None

    def clear(self):
        self.cleared += 1

    def can_transform(self, target, source, time):
        self.polls += 1
        self.on_poll()
        return self.knows(time.nanoseconds)

    def knows(self, time_ns):
        return round(self.first_sec * 1e9) <= time_ns <= round(self.newest_sec * 1e9)

    def lookup_transform(self, target, source, time):
        from geometry_msgs.msg import TransformStamped
        stamp_ns = time.nanoseconds or round(self.newest_sec * 1e9)  # 0 is the newest
        if not self.knows(stamp_ns):
            raise ValueError('extrapolation')
        found = TransformStamped()
        found.header.stamp.sec, found.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        found.transform.translation.x = 7.0
        half = self.yaw(stamp_ns / 1e9) / 2
        found.transform.rotation.z, found.transform.rotation.w = math.sin(half), math.cos(half)
        return found
