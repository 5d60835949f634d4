"""Recordings (rosbag2): read, segmented by the code of the node, and written. It needs no ROS."""
