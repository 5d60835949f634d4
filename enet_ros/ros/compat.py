"""What a machine may lack, and the small stand-in for it."""

from __future__ import annotations

import threading

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # not among the ROS 2 wheels: ~/label_info is turned off
    LabelInfo = VisionClass = None


#: Most seconds between a frame and the newest transform, where TF does not know the frame's time.
#: An older pose is where the vehicle was, not where it is.
MAX_TRANSFORM_AGE_SEC = 0.5


class Transforms:
    """Looks up transforms through tf2 where it is installed.

    Args:
        node: subscribes /tf and /tf_static when the first transform is asked for.
    """

    def __init__(self, node):
        self._node = node
        self._lock = threading.Lock()  # of making and removing what listens
        self._buffer = self._listener = None
        self._closed = False

    def lookup(self, target: str, source: str, stamp) -> tuple[tuple, tuple]:
        """Return translation (x, y, z) and rotation (x, y, z, w) from source to target.

        Args:
            target: frame whose coordinates are wanted.
            source: frame whose coordinates are known.
            stamp: builtin_interfaces/Time; where TF does not know it yet, the newest is taken, at
                most MAX_TRANSFORM_AGE_SEC away.

        Raises:
            LookupError: tf2_ros_py is not installed, or knows no such transform.
        """
        from rclpy.time import Time
        wanted = Time.from_msg(stamp)
        buffer = self._listening()
        try:
            known = buffer.can_transform(target, source, wanted)
            found = buffer.lookup_transform(target, source, wanted if known else Time())
        except Exception as error:  # tf2's own kinds derive from nothing narrower
            raise LookupError(f'no transform from {source} to {target}: {error}') from error
        if not known:
            age_sec = (wanted - Time.from_msg(found.header.stamp)).nanoseconds / 1e9
            if abs(age_sec) > MAX_TRANSFORM_AGE_SEC:
                raise LookupError(f'the newest transform from {source} to {target} is '
                                  f'{abs(age_sec):.1f} s from the frame, wanted at most '
                                  f'{MAX_TRANSFORM_AGE_SEC} s')
        move, turn = found.transform.translation, found.transform.rotation
        return (move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w)

    def _listening(self):
        """Return the buffer; the first time it begins to listen."""
        try:
            import tf2_ros
        except ImportError as error:  # not among the ROS 2 wheels
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
        """Forget what moved, after a jump of time: tf2 refuses what is older than it knows."""
        buffer = self._buffer
        if buffer is not None:
            buffer.clear()

    def close(self) -> None:
        """Stop listening, for good: a listener that is not told to is never freed."""
        with self._lock:
            self._closed = True
            listener, self._listener, self._buffer = self._listener, None, None
        if listener is not None:
            listener.unregister()
