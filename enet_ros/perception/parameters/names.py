"""Which row of the table describes a parameter, by its name: of a class, or of one camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from enet_ros.common.suggestions import suggest
from enet_ros.perception.parameters.settings import BY_NAME, CLASS_MAP_PROPERTIES, PARAMETERS
from enet_ros.perception.parameters.table import Changes, ConfigError, Parameter

CLASS_MAP = 'class_map.'
INPUTS = ('image', 'camera_info')
#: Parameters that rclpy declares itself, or that belong to what the node creates.
FOREIGN = ('qos_overrides.', 'use_sim_time', 'start_type_description_service')

#: property -> the row of ``class_map.<class>.<property>``, whose default comes from the weights
CLASS_MAP_ROWS = {
    'color': Parameter('', [0, 0, 0], CLASS_MAP_PROPERTIES['color'], Changes.ANY_TIME,
                       accepts='three from 0 to 255'),
    'drivable': Parameter('', False, CLASS_MAP_PROPERTIES['drivable'], Changes.ANY_TIME)}


def class_map_changes(values: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Return the values of ``class_map.<class>.<property>``: class -> property -> value."""
    changes: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        if name.startswith(CLASS_MAP):
            class_name, _, key = name.removeprefix(CLASS_MAP).rpartition('.')
            changes.setdefault(class_name or key, {})[key] = value
    return changes


def find_row(name: str, cameras: Iterable[str]) -> Parameter | None:
    """Return the row that describes a parameter of the node, by its name there, or None.

    Args:
        name: Name of a parameter, of a class of the weights or of one camera.
        cameras: Names of the cameras.
    """
    row = BY_NAME.get(name)
    if row is None and name.startswith(CLASS_MAP):
        row = CLASS_MAP_ROWS.get(name.rpartition('.')[2])
    own = (shared_parameter(camera, name) for camera in cameras if isinstance(camera, str))
    row = row or next((parameter for parameter in own if parameter is not None), None)
    return row and dataclasses.replace(row, name=name)


def shared_parameter(camera: str, name: str) -> Parameter | None:
    """Return the parameter that ``<camera>.<name>`` replaces for one camera, if it is one."""
    if not camera or not name.startswith(f'{camera}.'):
        return None
    parameter = BY_NAME.get(name.removeprefix(f'{camera}.'))
    return parameter if parameter is not None and parameter.per_camera else None


def values_of_camera(camera: str, values: Mapping[str, object]) -> dict[str, object]:
    """Return the values that one camera has of its own, by the names of shared parameters."""
    return {parameter.name: value for name, value in values.items()
            if (parameter := shared_parameter(camera, name)) is not None}


def checked_values(values: Mapping[str, object], cameras: Iterable[str]) -> dict[str, object]:
    """Return the values of parameters in their own types, without those of rclpy.

    Args:
        values: Values by the names of parameters, of classes and of single cameras.
        cameras: Names of the cameras.

    Raises:
        ConfigError: A name is not known, or a value cannot be used.
    """
    cameras, checked = list(cameras), {}
    for name, value in values.items():
        if name.startswith(FOREIGN):
            continue
        row = find_row(name, cameras)
        if row is None:
            raise ConfigError(explain_unknown(name, cameras, BY_NAME))
        checked[name] = row.checked(value)
    return checked


def is_of_another_node(name: str, cameras: object) -> bool:
    """Tell whether a name is none of ours and resembles none.

    Args:
        name: Name of a parameter.
        cameras: Value of the parameter cameras, which may be wrong.
    """
    camera_names = [camera for camera in cameras if isinstance(camera, str)] if isinstance(
        cameras, list | tuple) else []
    groups = {row_name.partition('.')[0] for row_name in BY_NAME if '.' in row_name}
    is_ours = (find_row(name, camera_names) is not None or name.startswith((*FOREIGN, CLASS_MAP))
               or not {*groups, *camera_names}.isdisjoint(name.split('.')[:-1]))
    return not is_ours and not _guess_meaning(name, camera_names, BY_NAME)


def explain_unknown(name: str, cameras: Iterable[str], known: Iterable[str],
                    consequence: str = '') -> str:
    """Say that a parameter is not known, and which name may have been meant.

    Args:
        name: Name of the parameter.
        cameras: Names of the cameras.
        known: Names of the parameters that are known.
        consequence: Words after 'is not known', such as ' and has no effect'.
    """
    meaning = _guess_meaning(name, cameras, known)
    return f"parameter '{name}' is not known{consequence}{meaning}"


def _guess_meaning(name: str, cameras: Iterable[str], known: Iterable[str]) -> str:
    """Return what a name may have been meant for, the end of a sentence, or ''.

    The arguments are those of :func:`explain_unknown`.
    """
    camera, _, own_name = name.partition('.')
    cameras = [one for one in cameras if one]
    if camera in cameras and own_name in BY_NAME:
        return (f'; {camera} can have a {own_name} of its own only if one is given at the start'
                if BY_NAME[own_name].per_camera else
                f"; {own_name} holds for all cameras, so write '{own_name}'")
    if name in INPUTS:
        return f'; it is a topic, so remap it: -r {name}:=TOPIC'
    if camera in cameras:
        return suggest(name, (f'{camera}.{row.name}' for row in PARAMETERS if row.per_camera))
    if own_name in BY_NAME and BY_NAME[own_name].per_camera:
        only = f", only {', '.join(cameras)}" if cameras else ''
        return f"; the parameter cameras names no '{camera}'{only}"
    return suggest(name, (one for one in known if one.partition('.')[0] not in cameras))
