"""What a machine may lack, and the small stand-in for it."""

from __future__ import annotations

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # not among the ROS 2 wheels: ~/label_info is turned off
    LabelInfo = VisionClass = None


class Transforms:
    """Looks up transforms through tf2 where it is installed.

    Args:
        node: subscribes /tf and /tf_static when the first transform is asked for.
    """

    def __init__(self, node):
        self._node = node
        self._buffer = None

    def lookup(self, target: str, source: str, stamp) -> tuple[tuple, tuple]:
        """Return translation (x, y, z) and rotation (x, y, z, w) from source to target.

        Args:
            target: frame whose coordinates are wanted.
            source: frame whose coordinates are known.
            stamp: builtin_interfaces/Time; where TF does not know it yet, the newest is taken.

        Raises:
            LookupError: tf2_ros is not installed, or knows no such transform.
        """
        try:
            import tf2_ros
        except ImportError as error:  # not among the ROS 2 wheels
            raise LookupError('tf2_ros is not installed; wanted it, or ground.pose: '
                              'parameters') from error
        from rclpy.time import Time
        if self._buffer is None:
            self._buffer = tf2_ros.Buffer()
            self._listener = tf2_ros.TransformListener(self._buffer, self._node)
        try:
            known = self._buffer.can_transform(target, source, Time.from_msg(stamp))
            found = self._buffer.lookup_transform(
                target, source, Time.from_msg(stamp) if known else Time()).transform
        except Exception as error:  # tf2's own kinds derive from nothing narrower
            raise LookupError(f'no transform from {source} to {target}: {error}') from error
        move, turn = found.translation, found.rotation
        return (move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w)
