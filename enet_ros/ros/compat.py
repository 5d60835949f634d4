"""What depends on the ROS that is installed: messages that may be missing, names rclpy hides.

tf2 may be missing, too: see :mod:`enet_ros.ros.transforms`.
"""

from __future__ import annotations

# Public functions of rclpy raise these errors, and its public modules do not name them.
from rclpy._rclpy_pybind11 import InvalidHandle, RCLError, UnknownROSArgsError

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # They are not among the ROS 2 wheels. ~/label_info is off then.
    LabelInfo = VisionClass = None

__all__ = ['InvalidHandle', 'LabelInfo', 'RCLError', 'UnknownROSArgsError', 'VisionClass']
