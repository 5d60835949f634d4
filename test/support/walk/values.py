"""Parameters of the walk: what is taken, what is refused, and what waits for configure."""

from __future__ import annotations

NAN, INFINITY = float('nan'), float('inf')
SMALL, OTHER = (160, 96), (128, 64)

#: Taken in every state.
ANY_TIME = {
    'output_size': ['input', 'network'],
    'bit_depth': [0, 8, 12, 16],
    'rotate': [0, 180],
    'confidence_floor': [0.0, 0.4, 1.0],
    'overlay_opacity': [0.0, 0.5, 1.0],
    'jpeg_quality': [1, 80, 100],
    'max_frame_age': [0.0, 300.0],
    'stall_timeout': [0.0, 0.2, 2.0, 3600.0],
    'suspect_frames': ['warn', 'unknown'],
    'frozen_timeout': [0.0, 0.1, 5.0],
    'drivable.connected': [True, False],
    'drivable.seed': [[0.5, 1.0], [0.0, 0.0]],
    'drivable.min_area': [0.0, 0.1],
    'drivable.max_hole': [0.0, 0.0, 0.05],
    'drivable.majority': [1, 1, 5, 255],
    'rectified': [True, False],
    'base_frame': ['base_link', 'map'],
    'odom_frame': ['', 'odom'],
    'ground.pose': ['off', 'parameters', 'tf'],
    'ground.height': [0.01, 1.5, 100.0],
    'ground.pitch': [-1.57, 0.0, 0.3, 1.57],
    'ground.max_range': [30.0, 1000.0],
    'scan.angle_increment': [0.0174533, 0.5],
    'scan.range_min': [0.0, 1.0],
    'scan.range_max': [5.0, 20.0],
    'grid.length': [5.0, 20.0],
    'grid.resolution': [0.1, 1.0],
}

#: Taken while the node is unconfigured. Else they are refused, unless they change nothing.
UNCONFIGURED = {
    'image_transport': ['raw', 'raw', 'compressed'],
    'weights': ['', '', 'enet_camvid_start', '/nowhere.safetensors', 'no such name'],
    'resolution': [list(SMALL), list(OTHER)],
    'backend': ['auto', 'openvino', 'torch', 'tensorrt'],
    'precision': ['auto', 'float32', 'bfloat16', 'int8'],
    'threads': [0, 1, 2],
    'scan.range_min': [25.0],  # It is beyond scan.range_max, which configure sees.
}

#: Refused in every state.
REFUSED = [
    ('confidence_floor', NAN), ('confidence_floor', -0.1), ('confidence_floor', INFINITY),
    ('overlay_opacity', NAN), ('overlay_opacity', -INFINITY), ('overlay_opacity', 'much'),
    ('max_frame_age', INFINITY), ('max_frame_age', NAN), ('max_frame_age', -1.0),
    ('stall_timeout', INFINITY), ('stall_timeout', NAN), ('frozen_timeout', NAN),
    ('ground.height', 0.0), ('ground.height', NAN), ('ground.height', INFINITY),
    ('ground.pitch', 2.0), ('ground.pose', True), ('ground.pose', 'maybe'),
    ('ground.x', INFINITY), ('ground.max_range', NAN), ('ground.path_width', NAN),
    ('drivable.seed', [NAN, 0.5]), ('drivable.seed', [0.5]), ('drivable.seed', [2.0, 0.0]),
    ('drivable.majority', 0), ('drivable.majority', 256), ('drivable.min_area', NAN),
    ('drivable.max_hole', INFINITY), ('drivable.connected', 'perhaps'),
    ('grid.resolution', 0.0), ('grid.resolution', NAN), ('grid.length', INFINITY),
    ('scan.angle_min', NAN), ('scan.range_max', INFINITY), ('scan.angle_increment', 0.0),
    ('rotate', 90), ('bit_depth', 7), ('jpeg_quality', 0), ('jpeg_quality', 2**40),
    ('resolution', [642, 360]), ('resolution', [0, 0]), ('resolution', [2**31, 8]),
    ('backend', 'tpu'), ('precision', 'float8'), ('threads', -1), ('output_size', ''),
    ('base_frame', ''), ('cameras', ['left']), ('diagnostics_period', 0.2),
    ('autostart', True), ('groud.height', 1.5), ('', 1), ('class_map.Road.color', [1, 2]),
    ('class_map.Nothing.drivable', True), ('front.ground.height', 2.0),
]

PAVEMENT = 'class_map.Pavement.drivable'


def choose(walk, *, refused):
    """Return the name and the value of a parameter.

    Args:
        walk: A random.Random.
        refused: Whether the value is one that is always refused.
    """
    if refused:
        return walk.choice(REFUSED)
    names = [*ANY_TIME, *UNCONFIGURED, *('scan.range_min', PAVEMENT)]
    name = walk.choice(names)
    if name == PAVEMENT:
        return name, walk.choice([True, False])
    return name, walk.choice([*ANY_TIME.get(name, ()), *UNCONFIGURED.get(name, ())])


def is_taken(name, value, *, configured, current):
    """Tell whether the node has to take a value.

    Args:
        name: Name of the parameter.
        value: Its value.
        configured: Whether the node is configured.
        current: The values of all parameters.
    """
    if name == PAVEMENT:
        return configured
    if value in ANY_TIME.get(name, ()) and (name, value) not in REFUSED:
        return True
    if value in UNCONFIGURED.get(name, ()):
        return not configured or value == current.get(name)
    return False
