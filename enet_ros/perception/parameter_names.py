"""Which row of the table describes a parameter, by its name: of a class, or of one camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from enet_ros.perception.parameter_table import Changes, Parameter
from enet_ros.perception.settings import BY_NAME, CLASS_MAP_PROPERTIES

CLASS_MAP = 'class_map.'

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
