"""The networks, their weights and their classes; knows no camera and no ROS."""
