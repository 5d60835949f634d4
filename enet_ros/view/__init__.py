"""What a person sees of the node in a browser: a server, a layout, and what is logged to it.

Rerun draws it. Nothing here knows ROS; :mod:`enet_ros.ros.tools.view_node` brings the messages.
"""
