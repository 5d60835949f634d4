"""What a node was given at its start: values that differ from defaults, and files without effect.

A parameter file whose key is not the node's full name gives nothing, and ROS says nothing of it.
The node would then run with its defaults.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence

import yaml
from rclpy.node import Node

from enet_ros.perception.settings import BY_NAME
from enet_ros.ros.parameter_rows import find_row, given_values

PARAMETERS_KEY = 'ros__parameters'
FILE_OPTION = '--params-file'
_Loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)  # eight times as fast


def log_given(node: Node, arguments: Sequence[str] | None = None) -> None:
    """Log which parameters differ from their defaults, and which files gave none.

    Args:
        node: The node, with its parameters declared.
        arguments: Arguments of the process and of the node; None takes those of the process.
    """
    names = changed_names(node)
    node.get_logger().info('parameters that differ from their defaults: '
                           + (', '.join(names) or 'none'))
    for path in parameter_files(sys.argv if arguments is None else arguments):
        warning = explain_file(path, node.get_fully_qualified_name())
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


def parameter_files(arguments: Sequence[str]) -> list[str]:
    """Return the paths after ``--params-file``."""
    return [path for option, path in zip(arguments, arguments[1:]) if option == FILE_OPTION]


def explain_file(path: str, node_name: str) -> str:
    """Say why a parameter file gives a node nothing, or '' if it gives something.

    Args:
        path: Path of the file.
        node_name: Full name of the node.
    """
    try:
        with open(path, encoding='utf-8') as file:
            content = yaml.load(file, _Loader)
    except (OSError, ValueError, yaml.YAMLError):
        return ''  # rcl has refused it.
    sections = dict(find_sections(content, ''))
    if any(matches(key, node_name) and values for key, values in sections.items()):
        return ''
    if not sections:
        return f'the parameter file {path} gives no value: it has no key {PARAMETERS_KEY}'
    if any(matches(key, node_name) for key in sections):
        return f'the parameter file {path} gives no value: its {PARAMETERS_KEY} are empty'
    return (f'the parameter file {path} gives this node no value: it has values for '
            f"{', '.join(sections)}, and this node is {node_name}; name it '{node_name}', or "
            "'/**' for every node")


def find_sections(content: object, namespace: str) -> Iterator[tuple[str, object]]:
    """Yield the full name of every node in a parameter file, with its parameters."""
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        name = f'{namespace}/{str(key).strip("/")}'
        if isinstance(value, Mapping) and PARAMETERS_KEY in value:
            yield name, value[PARAMETERS_KEY]
        yield from find_sections(value, name) if key != PARAMETERS_KEY else ()


def matches(key: str, node_name: str) -> bool:
    """Tell whether a key stands for a node: * is one part of a name, ** any number of parts."""
    parts = [{'**': r'(/\w+)*', '*': r'/\w+'}.get(part, '/' + re.escape(part))
             for part in key.strip('/').split('/')]
    return re.fullmatch(''.join(parts), node_name) is not None
