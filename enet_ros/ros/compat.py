"""Messages that may not be installed.

tf2 may be missing, too: see :mod:`enet_ros.ros.transforms`.
"""

from __future__ import annotations

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # They are not among the ROS 2 wheels. ~/label_info is off then.
    LabelInfo = VisionClass = None

__all__ = ['LabelInfo', 'VisionClass']
