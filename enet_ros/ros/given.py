"""What a node was given at its start: values that differ from defaults, and files without effect.

A parameter file whose key is not the node's full name gives nothing, and ROS says nothing of it.
The node would then run with its defaults.
"""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node

from enet_ros.perception.parameters.files import explain_file
from enet_ros.perception.parameters.names import find_row
from enet_ros.perception.parameters.settings import BY_NAME
from enet_ros.ros.parameter_rows import given_values

FILE_OPTION = '--params-file'


def log_given(node: Node, arguments: Sequence[str]) -> None:
    """Log which parameters differ from their defaults, and which files gave none.

    Args:
        node: The node, with its parameters declared.
        arguments: Arguments of the process and of the node.
    """
    names = changed_names(node)
    node.get_logger().info('parameters that differ from their defaults: '
                           + (', '.join(names) or 'none'))
    for option, path in zip(arguments, arguments[1:]):
        if option != FILE_OPTION:
            continue
        try:
            warning = explain_file(path, node.get_fully_qualified_name())
        except (OSError, ValueError):
            continue  # rcl has read it, so this is a race or a dialect of YAML.
        if warning:
            node.get_logger().warning(warning)


def changed_names(node: Node) -> list[str]:
    """Return the names of the given parameters whose values differ from the defaults.

    Parameters of single cameras and of classes have no default of their own, so they are all in
    the list.
    """
    given, cameras = given_values(node), node.get_parameter('cameras').value
    return [name for name, value in given.items()
            if find_row(name, cameras) is not None
            and (name not in BY_NAME or value != BY_NAME[name].default)]
