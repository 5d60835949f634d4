"""Parameter files of ROS 2, read without ROS: nodes, and the values that each has there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from enet_ros.common.plain_yaml import PlainYamlError, load_yaml, read_limited
from enet_ros.perception.parameters.names import is_of_another_node
from enet_ros.perception.parameters.table import ConfigError

PARAMETERS_KEY = 'ros__parameters'


def read_sections(path: str | Path) -> dict[str, object]:
    """Return the full names of the nodes in a parameter file, with the values of each.

    Args:
        path: Path of the file.

    Raises:
        OSError: The file cannot be read.
        ConfigError: It is no YAML file, or one that breaks a limit.
    """
    try:
        content = load_yaml(read_limited(path))
    except PlainYamlError as error:
        raise ConfigError(f'the parameter file {path} cannot be read: {error}') from error
    return dict(_find_sections(content, ''))


def _find_sections(content: object, namespace: str) -> Iterator[tuple[str, object]]:
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        name = f'{namespace}/{str(key).strip("/")}'
        if isinstance(value, Mapping) and PARAMETERS_KEY in value:
            yield name, value[PARAMETERS_KEY]
        yield from _find_sections(value, name) if key != PARAMETERS_KEY else ()


def matches(key: str, node_name: str) -> bool:
    """Tell whether a key stands for a node: * is one part of a name, ** any number of parts.

    Args:
        key: Key of a parameter file, with a leading slash.
        node_name: Full name of the node.
    """
    parts, reached = node_name.strip('/').split('/'), {0}
    for pattern in key.strip('/').split('/'):  # how many parts of the name the key stands for
        if pattern == '**':
            reached = set(range(min(reached), len(parts) + 1))
        else:
            reached = {count + 1 for count in reached
                       if count < len(parts) and pattern in ('*', parts[count])}
        if not reached:
            return False
    return len(parts) in reached


def explain_file(path: str | Path, node_name: str) -> str:
    """Say why a parameter file gives a node nothing, or '' if it gives something.

    Args:
        path: Path of the file.
        node_name: Full name of the node.

    Raises:
        OSError: The file cannot be read.
        ConfigError: It is no YAML file.
    """
    sections = read_sections(path)
    if any(matches(key, node_name) and values for key, values in sections.items()):
        return ''
    if not sections:
        return f'the parameter file {path} gives no value: it has no key {PARAMETERS_KEY}'
    if any(matches(key, node_name) for key in sections):
        return f'the parameter file {path} gives no value: its {PARAMETERS_KEY} are empty'
    return (f'the parameter file {path} gives this node no value: it has values for '
            f"{', '.join(sections)}, and this node is {node_name}; name it '{node_name}', or "
            "'/**' for every node")


def values_of_node(path: str | Path, node_name: str) -> dict[str, object]:
    """Return the values that a parameter file gives a node, by name, such as 'ground.height'.

    A key that ends in a wildcard, such as '/**', stands for other nodes too. A name there that
    resembles none of ours is theirs, and is left out.

    Args:
        path: Path of the file.
        node_name: Full name of the node.

    Raises:
        OSError: The file cannot be read.
        ConfigError: It is no YAML file, or gives the node nothing.
    """
    problem = explain_file(path, node_name)
    if problem:
        raise ConfigError(problem)
    values: dict[str, object] = {}
    unshared_names: set[str] = set()
    for key, section in read_sections(path).items():
        if matches(key, node_name):
            section_values = dict(_flatten(section, ''))
            values |= section_values
            if key.rpartition('/')[2] not in ('*', '**'):
                unshared_names |= section_values.keys()
    cameras = values.get('cameras', ())
    return {name: value for name, value in values.items()
            if name in unshared_names or not is_of_another_node(name, cameras)}


def _flatten(section: object, prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in section.items() if isinstance(section, Mapping) else ():
        if isinstance(value, Mapping):
            yield from _flatten(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value
