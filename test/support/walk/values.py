"""Parameters of the walk: what is taken, what is refused, and what waits for configure.

The names come from the table of parameters, and so do the values: every choice, the default and
both ends of a range. ``OTHER_VALUES`` holds the values of the rows for which that does not do,
with the reason.
"""

from __future__ import annotations

from enet_ros.perception.parameters.settings import BY_NAME, PARAMETERS
from enet_ros.perception.parameters.table import Changes, Parameter

NAN, INFINITY = float('nan'), float('inf')
SMALL, OTHER = (160, 96), (128, 64)
THREADS = (0, 1, 2)

#: Values of the rows that have neither choices nor a range, or whose range does not do.
OTHER_VALUES = {
    # Text and lists.
    'resolution': [list(SMALL), list(OTHER)],
    'cameras': [['left']],
    'base_frame': ['base_link', 'map'],
    'odom_frame': ['', 'odom'],
    'valid_mask': [''],  # A file would have to fit every frame.
    'drivable.seed': [[0.5, 1.0], [0.0, 0.0]],
    # Several values that go together, whichever of them is set first.
    'scan.angle_min': [-1.5708, -0.5],
    'scan.angle_max': [0.5, 1.5708],
    'scan.angle_increment': [0.0174533, 0.5],
    'scan.range_min': [0.0, 1.0],
    'scan.range_max': [5.0, 20.0],
    'ground.max_range': [2.0, 30.0, 1000.0],
    'grid.length': [5.0, 20.0],
    'grid.width': [5.0, 20.0],
    'grid.resolution': [0.1, 1.0],
    'grid.x': [0.0, -20.0],
    'grid.y': [0.0, 5.0],
    # Configure has to succeed often enough, so what makes it fail comes less often.
    'weights': [*['', 'enet_camvid_start', ''] * 2, '/nowhere.safetensors', 'no such name'],
    'backend': [*BY_NAME['backend'].choices, 'auto', 'openvino', 'torch'],
    'precision': [*BY_NAME['precision'].choices, 'auto', 'float32', 'auto', 'float32'],
    # Masks can be judged by plain settings alone, so these come more often.
    'drivable.max_hole': [0.0, 0.0, 0.05],
    'drivable.majority': [1, 1, 5, 255],
    'image_transport': ['raw', 'raw', 'compressed'],
    # Within a range, what a walk of minutes can show, or a machine can do.
    'threads': list(THREADS),
    'confidence_floor': [0.0, 0.4, 1.0],
    'stall_timeout': [0.0, 0.2, 2.0, 3600.0],
    'frozen_timeout': [0.0, 0.1, 5.0, 3600.0],
}

#: Taken while the node is unconfigured, although configure then fails.
BEYOND = {'scan.range_min': [25.0]}  # It is beyond scan.range_max.


def usable_values(row: Parameter) -> list:
    """Return the values of a row of the table that the node has to take; [] if none is known."""
    if row.name in OTHER_VALUES:
        return OTHER_VALUES[row.name]
    if row.choices is not None:
        return list(row.choices)
    if isinstance(row.default, bool):
        return [True, False]
    return list(dict.fromkeys([row.range[0], row.default, row.range[1]])) if row.range else []


def useless_values(row: Parameter) -> list:
    """Return values of a row of the table that the node has to refuse."""
    if row.changes is Changes.AT_START:
        return usable_values(row)
    if isinstance(row.default, bool):
        return ['perhaps', 7]
    if isinstance(row.default, str):
        return [7] if row.choices is None else [7, '', 'no such choice']
    if isinstance(row.default, list):
        return [[row.default[0]], ['text', 'text']]
    low, high = row.range or (min(row.choices), max(row.choices))
    return ['much', low - 1, high + 1] + (
        [NAN, INFINITY, -INFINITY] if isinstance(row.default, float) else [2**40])


def _values(changes: Changes) -> dict[str, list]:
    return {row.name: usable_values(row) for row in PARAMETERS if row.changes is changes}


#: Taken in every state.
ANY_TIME = _values(Changes.ANY_TIME)

#: Taken while the node is unconfigured. Else they are refused, unless they change nothing.
UNCONFIGURED = {**_values(Changes.UNCONFIGURED), **BEYOND}

#: Refused in every state.
REFUSED = [
    *((row.name, value) for row in PARAMETERS for value in useless_values(row)),
    ('drivable.seed', [NAN, 0.5]), ('drivable.seed', [2.0, 0.0]), ('ground.pose', True),
    ('rotate', 90), ('bit_depth', 7), ('resolution', [642, 360]), ('resolution', [0, 0]),
    ('resolution', [2**31, 8]), ('base_frame', ''), ('groud.height', 1.5), ('', 1),
    ('class_map.Road.color', [1, 2]), ('class_map.Nothing.drivable', True),
    ('front.ground.height', 2.0),
]

PAVEMENT = 'class_map.Pavement.drivable'
#: Parameters of a class. They are there while the node is configured.
CLASS_MAP = {PAVEMENT: [True, False], 'class_map.Pavement.color': [[1, 2, 3], [4, 5, 6]]}


def choose(walk, *, refused):
    """Return the name and the value of a parameter.

    Args:
        walk: A random.Random.
        refused: Whether the value is one that is always refused.
    """
    if refused:
        return walk.choice(REFUSED)
    name = walk.choice([*dict.fromkeys([*ANY_TIME, *UNCONFIGURED]), 'scan.range_min', *CLASS_MAP])
    return name, walk.choice([*ANY_TIME.get(name, ()), *UNCONFIGURED.get(name, ()),
                              *CLASS_MAP.get(name, ())])


def is_taken(name, value, *, configured, current):
    """Tell whether the node has to take a value.

    Args:
        name: Name of the parameter.
        value: Its value.
        configured: Whether the node is configured.
        current: The values of all parameters.
    """
    if name in CLASS_MAP:
        return configured and value in CLASS_MAP[name]
    if value in ANY_TIME.get(name, ()):
        return True
    if value in UNCONFIGURED.get(name, ()):
        return not configured or value == current.get(name)
    return False
