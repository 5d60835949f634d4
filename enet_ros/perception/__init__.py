"""Arrays in, arrays out, in the order of a frame; knows no ROS.

The modules here are the steps. Their details lie in ``images`` (bytes to arrays), ``geometry``
(cameras, calibrations and poses) and ``parameters`` (what a parameter is, and its files).
"""
