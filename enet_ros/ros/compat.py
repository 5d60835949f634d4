"""What a machine may lack, and the small stand-in for it."""

from __future__ import annotations

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # not among the ROS 2 wheels: ~/label_info is turned off
    LabelInfo = VisionClass = None
