"""The only folder that knows ROS: nodes, parameters, messages."""
