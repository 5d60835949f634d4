"""Transforms between frames, through tf2 if it is installed."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import NamedTuple

from rclpy.time import Time

from enet_ros.perception.geometry.transforms import (
    MAX_TRANSFORM_AGE_SEC,
    Transform,
    frame_names,
    is_same,
    times_before,
)
from enet_ros.perception.stamps import is_wall_time
from enet_ros.ros.time_jumps import TimeJumps

#: While a frame waits for its transform, TF is asked so often.
POLL_SEC = 0.004
#: After so many waits in vain in a row, TF is late for good. A frame then waits only now and then,
#: since all cameras wait with it.
MOST_VAIN_WAITS = 3
WAIT_PERIOD_SEC = 1.0


class FramePair(NamedTuple):
    """The frames of a transform."""

    target: str
    source: str

    def __str__(self) -> str:
        return f'from {self.source} to {self.target}'


@dataclass
class VainWaits:
    """Waits in vain for one transform, in a row: how many, and TF and the clock at the last."""

    count: int
    newest_ns: int
    ended_sec: float


class Transforms:
    """Looks up transforms.

    The publishing thread calls :meth:`lookup`, and any thread the other methods. All cameras of a
    node share one object, since each listener takes every message of /tf in Python.

    Args:
        node: Node that subscribes to /tf and /tf_static.

    Attributes:
        jumps: Jumps of time, after which transforms of before are forgotten.
    """

    def __init__(self, node):
        self._node = node
        self._lock = threading.Lock()  # guards making and removing the listener
        self._buffer = self._listener = None
        self._closed = threading.Event()
        # Of the publishing thread. Cameras may wait for the same transform, each its own time.
        self._vain: dict[tuple[FramePair, float], VainWaits] = {}
        self.jumps = TimeJumps()

    def listen(self) -> None:
        """Begin to listen, so that transforms are known when the first frame comes.

        Without a call it begins at the first lookup. If tf2 is not installed, the lookup says so.
        """
        with contextlib.suppress(LookupError):
            self._listening()

    def lookup(self, target: str, source: str, stamp, wait_sec: float = 0.0) -> Transform:
        """Return the transform from source to target.

        Args:
            target: Frame to transform into. TF2 has no slash before a name, so one is taken off.
            source: Frame to transform from, likewise.
            stamp: builtin_interfaces/Time. If TF does not know it yet, the newest transform
                serves, if it hardly changed lately and is at most MAX_TRANSFORM_AGE_SEC older. If
                the stamp is 0, the newest is taken, which is at most so far from the node's clock.
            wait_sec: How long to wait for a transform that changes and is not known yet.

        Raises:
            LookupError: tf2_ros_py is not installed, or knows no such transform.
        """
        frame_ns = Time.from_msg(stamp).nanoseconds
        pair, buffer = FramePair(*frame_names(target, source)), self._listening()
        if frame_ns:
            with contextlib.suppress(LookupError):
                known = _lookup(buffer, pair, frame_ns)[0]
                self._vain.pop((pair, wait_sec), None)
                return known
        newest, newest_ns = self._newest(buffer, pair)
        if not newest_ns:  # All transforms are static.
            return newest
        if not frame_ns:
            self._check_age(buffer, pair, newest_ns)
            return newest
        if not 0 < frame_ns - newest_ns <= MAX_TRANSFORM_AGE_SEC * 1e9:
            return self._lookup_far(buffer, pair, newest_ns, frame_ns)
        with contextlib.suppress(LookupError):
            if all(is_same(newest, _lookup(buffer, pair, time_ns)[0])
                   for time_ns in times_before(newest_ns, frame_ns)):
                return newest
        if self._wait(buffer, pair, newest_ns, frame_ns, wait_sec):
            return _lookup(buffer, pair, frame_ns)[0]
        raise LookupError(
            f'the newest transform {pair} is {(frame_ns - newest_ns) / 1e9:.3f} s older than the '
            f'frame, and it changes; wanted that of the frame within {wait_sec:g} s (tf_timeout): '
            'publish TF sooner or more often, or raise tf_timeout')

    def _newest(self, buffer, pair: FramePair) -> tuple[Transform, int]:
        """Return the newest transform and its time, which is 0 if all transforms are static."""
        try:
            return _lookup(buffer, pair, 0)
        except LookupError as error:
            topic = self._node.resolve_topic_name('/tf')
            raise LookupError(f'no transform {pair} on {topic}: {error}') from error

    def _lookup_far(self, buffer, pair: FramePair, newest_ns: int, frame_ns: int) -> Transform:
        """Return the transform of a frame that is older than the newest, if it came just now."""
        distance_sec = abs(frame_ns - newest_ns) / 1e9
        if frame_ns > newest_ns:
            problem = (f'is {distance_sec:.1f} s older than the frame, wanted at most '
                       f'{MAX_TRANSFORM_AGE_SEC} s')
        else:
            with contextlib.suppress(LookupError):
                return _lookup(buffer, pair, frame_ns)[0]
            problem = f'is {distance_sec:.3f} s newer than the frame, and TF knows none so old'
            if self.jumps.take_clear(newest_ns, frame_ns):
                buffer.clear()
        raise LookupError(f'the newest transform {pair} {problem}'
                          f'{_clock_advice(frame_ns, newest_ns)}')

    def _wait(self, buffer, pair: FramePair, newest_ns: int, frame_ns: int,
              wait_sec: float) -> bool:
        """Wait until TF knows the time of a frame. Return False if it does not in time."""
        now_sec, vain = time.monotonic(), self._vain.get((pair, wait_sec))
        if not wait_sec or vain is not None and (newest_ns == vain.newest_ns or (
                vain.count >= MOST_VAIN_WAITS and now_sec < vain.ended_sec + WAIT_PERIOD_SEC)):
            return False
        end_sec, time_of_frame = now_sec + wait_sec, Time(nanoseconds=frame_ns)
        while (left_sec := end_sec - time.monotonic()) > 0:
            if self._closed.wait(min(left_sec, POLL_SEC)):
                break
            if buffer.can_transform(pair.target, pair.source, time_of_frame):
                self._vain.pop((pair, wait_sec), None)
                return True
        self._vain[pair, wait_sec] = VainWaits(
            vain.count + 1 if vain else 1, newest_ns, time.monotonic())
        return False

    def _check_age(self, buffer, pair: FramePair, newest_ns: int) -> None:
        """Raise a LookupError if the newest transform is too far from the node's clock."""
        now_ns = self._node.get_clock().now().nanoseconds
        if self.jumps.take_clear(newest_ns, now_ns):
            buffer.clear()
        age_sec = abs(now_ns - newest_ns) / 1e9
        if age_sec > MAX_TRANSFORM_AGE_SEC:
            raise LookupError(
                f"the newest transform {pair} is {age_sec:.1f} s from the node's clock, wanted at "
                f'most {MAX_TRANSFORM_AGE_SEC} s, since the stamp of the frame is 0; let the '
                'camera driver stamp its images')

    def _listening(self):
        """Return the buffer. The first call begins to listen."""
        try:
            import tf2_ros
        except ImportError as error:  # It is not among the ROS 2 wheels.
            raise LookupError('tf2_ros is not installed (package tf2_ros_py); wanted it, or '
                              'ground.pose: parameters and no odom_frame') from error
        with self._lock:
            if self._closed.is_set():
                raise LookupError('the topics are being removed')
            if self._buffer is None:
                self._buffer = tf2_ros.Buffer()
                self._listener = tf2_ros.TransformListener(self._buffer, self._node)
            return self._buffer

    def clear(self) -> None:
        """Forget all transforms after a jump of the node's clock, since tf2 refuses older ones."""
        buffer = self._buffer
        if buffer is not None:
            buffer.clear()

    def close(self) -> None:
        """Stop listening for good. tf2 never frees a listener that is not unregistered."""
        with self._lock:
            self._closed.set()
            listener, self._listener, self._buffer = self._listener, None, None
        if listener is not None:
            listener.unregister()


def _lookup(buffer, pair: FramePair, time_ns: int) -> tuple[Transform, int]:
    """Return the transform at a time, and its own time. 0 stands for the newest."""
    try:
        stamped = buffer.lookup_transform(*pair, Time(nanoseconds=time_ns))
    except Exception as error:  # The exceptions of tf2 have no narrower base class.
        raise LookupError(str(error)) from error
    t, q = stamped.transform.translation, stamped.transform.rotation
    return (Transform((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)),
            Time.from_msg(stamped.header.stamp).nanoseconds)


def _clock_advice(frame_ns: int, transform_ns: int) -> str:
    """Return what a great distance between a frame and TF comes from, or ''."""
    is_wall_frame = is_wall_time(frame_ns / 1e9)
    if is_wall_frame == is_wall_time(transform_ns / 1e9):
        return ''
    early, late = ('TF', 'the frame') if is_wall_frame else ('the frame', 'TF')
    return (f': {late} is stamped with wall time and {early} with simulated time; set '
            'use_sim_time alike in the camera driver and in what publishes TF')
