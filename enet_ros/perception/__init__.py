"""Arrays in, arrays out, in the order of a frame; knows no ROS.

The modules here are the steps. Their details lie in ``images`` (bytes to arrays), ``geometry``
(cameras, calibrations and poses) and ``parameters`` (the table of parameters, and their files).
The modules of a folder import nothing from here but ``message_types``, ``output_error`` and
``resize``.
"""
