"""Transforms between frames, through tf2 if it is installed."""

from __future__ import annotations

import contextlib
import math
import threading
import time

from rclpy.time import Time

from enet_ros.perception.geometry.transforms import MAX_TRANSFORM_AGE_SEC, Transform, frame_names
from enet_ros.perception.stamps import is_wall_time

#: tf2 keeps transforms for so long, and refuses those that are older than its newest by more.
CACHE_SEC = 10.0
#: A transform from before a jump of time may come so long after it, since messages wait in queues.
LATE_SEC = 60.0


class Transforms:
    """Looks up transforms.

    The publishing thread calls :meth:`lookup`, and any thread the other methods. All cameras of a
    node share one object, since each listener takes every message of /tf in Python.

    Args:
        node: Node that subscribes to /tf and /tf_static.
    """

    def __init__(self, node):
        self._node = node
        self._lock = threading.Lock()  # guards making and removing the listener
        self._buffer = self._listener = None
        self._closed = False
        self._cleared_sec = -math.inf  # by time.monotonic

    def listen(self) -> None:
        """Begin to listen, so that transforms are known when the first frame comes.

        Without a call it begins at the first lookup. If tf2 is not installed, the lookup says so.
        """
        with contextlib.suppress(LookupError):
            self._listening()

    def lookup(self, target: str, source: str, stamp) -> Transform:
        """Return the transform from source to target.

        Args:
            target: Frame to transform into. TF2 has no slash before a name, so one is taken off.
            source: Frame to transform from, likewise.
            stamp: builtin_interfaces/Time. If TF does not know it yet, the newest transform is
                used, which is at most MAX_TRANSFORM_AGE_SEC away. If the stamp is 0, it is at most
                so far from the node's clock.

        Raises:
            LookupError: tf2_ros_py is not installed, or knows no such transform.
        """
        frame_time = Time.from_msg(stamp)  # For tf2, 0 is the newest transform, however old.
        target, source = frame_names(target, source)
        buffer = self._listening()
        try:
            is_known = buffer.can_transform(target, source, frame_time)
            stamped = buffer.lookup_transform(target, source, frame_time if is_known else Time())
        except Exception as error:  # The exceptions of tf2 have no narrower base class.
            topic = self._node.resolve_topic_name('/tf')
            raise LookupError(
                f'no transform from {source} to {target} on {topic}: {error}') from error
        newest = Time.from_msg(stamped.header.stamp)  # 0 if all transforms are static
        if not is_known or (newest.nanoseconds and not frame_time.nanoseconds):
            self._check_age(buffer, f'the newest transform from {source} to {target}', newest,
                            frame_time)
        t, q = stamped.transform.translation, stamped.transform.rotation
        return Transform((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))

    def _check_age(self, buffer, transform: str, newest: Time, frame_time: Time) -> None:
        """Raise a LookupError if the newest transform is too far from the frame."""
        if frame_time.nanoseconds:
            place, wanted_time = 'the frame', frame_time
        else:
            place, wanted_time = "the node's clock", self._node.get_clock().now()
        age_sec = (wanted_time - newest).nanoseconds / 1e9
        if age_sec < -CACHE_SEC and time.monotonic() - self._cleared_sec < LATE_SEC:
            buffer.clear()  # A transform from before the jump came after it.
        if abs(age_sec) > MAX_TRANSFORM_AGE_SEC:
            advice = _clock_advice(frame_time, newest) if frame_time.nanoseconds else (
                ', since the stamp of the frame is 0; let the camera driver stamp its images')
            raise LookupError(f'{transform} is {abs(age_sec):.1f} s from {place}, wanted at most '
                              f'{MAX_TRANSFORM_AGE_SEC} s{advice}')

    def _listening(self):
        """Return the buffer. The first call begins to listen."""
        try:
            import tf2_ros
        except ImportError as error:  # It is not among the ROS 2 wheels.
            raise LookupError('tf2_ros is not installed (package tf2_ros_py); wanted it, or '
                              'ground.pose: parameters and no odom_frame') from error
        with self._lock:
            if self._closed:
                raise LookupError('the topics are being removed')
            if self._buffer is None:
                self._buffer = tf2_ros.Buffer()
                self._listener = tf2_ros.TransformListener(self._buffer, self._node)
            return self._buffer

    def clear(self) -> None:
        """Forget all transforms after a jump of time, since tf2 refuses older ones."""
        self._cleared_sec = time.monotonic()
        buffer = self._buffer
        if buffer is not None:
            buffer.clear()

    def close(self) -> None:
        """Stop listening for good. tf2 never frees a listener that is not unregistered."""
        with self._lock:
            self._closed = True
            listener, self._listener, self._buffer = self._listener, None, None
        if listener is not None:
            listener.unregister()


def _clock_advice(frame_time: Time, transform_time: Time) -> str:
    """Return what a great distance between a frame and TF comes from, or ''."""
    is_wall_frame = is_wall_time(frame_time.nanoseconds / 1e9)
    if is_wall_frame == is_wall_time(transform_time.nanoseconds / 1e9):
        return ''
    early, late = ('TF', 'the frame') if is_wall_frame else ('the frame', 'TF')
    return (f': {late} is stamped with wall time and {early} with simulated time; set '
            'use_sim_time alike in the camera driver and in what publishes TF')
