"""Arrays in, arrays out, in the order of a frame; knows no ROS."""
