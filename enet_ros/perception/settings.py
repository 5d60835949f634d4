"""Every parameter of the node once: type, default, range, description, when it may change.

``config/segment.yaml``, the README's table and the node's declarations are compared with this
table by test/perception/test_settings.py. Nothing here knows ROS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, make_dataclass

from enet_ros.backends.base import PRECISIONS
from enet_ros.backends.select import BACKEND_NAMES
from enet_ros.perception.segmenter import check_resolution

#: When a parameter may change.
START = 'start'                # never: it names topics or threads
UNCONFIGURED = 'unconfigured'  # while the node is unconfigured: it needs another network
RUNNING = 'any time'           # between two frames


class ConfigError(ValueError):
    """A parameter that cannot be used; the message names it, its value and what was wanted."""


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: as in a parameter file.
        default: its type is the parameter's type.
        description: a sentence.
        changes: START, UNCONFIGURED or RUNNING.
        range: least and greatest value, or None.
        choices: the only values, or None.
        per_camera: whether ``<camera>.<name>`` may give one camera a value of its own.
    """

    name: str
    default: object
    description: str
    changes: str = RUNNING
    range: tuple | None = None
    choices: tuple | None = None
    per_camera: bool = False

    @property
    def field(self) -> str:
        """Its name in :data:`Settings`."""
        return self.name.replace('.', '_')


PARAMETERS = (
    Parameter('cameras', [''], 'Names of the cameras. One empty name: topics image and ~/labels; '
              'front: front/image and ~/front/labels.', START),
    Parameter('autostart', True, 'Configure and activate at start; false leaves it to a '
              'lifecycle manager.', START),
    Parameter('image_transport', 'raw', 'raw subscribes image, compressed image/compressed.',
              UNCONFIGURED, choices=('raw', 'compressed')),
    Parameter('weights', '', 'Path of a .safetensors file, or the name of one that ships; empty '
              'is enet_camvid.', UNCONFIGURED),
    Parameter('resolution', [640, 360], 'Width and height of the network input in pixels, '
              'multiples of 8; frames are stretched to it.', UNCONFIGURED),
    Parameter('backend', 'auto', 'What runs the network; auto picks the fastest that works.',
              UNCONFIGURED, choices=BACKEND_NAMES),
    Parameter('precision', 'auto', 'Arithmetic of the network; auto is the fastest that the '
              'backend has.', UNCONFIGURED,
              choices=tuple(dict.fromkeys(PRECISIONS.values()))),
    Parameter('threads', 0, 'Processor threads of the network; 0 leaves it to the backend.',
              UNCONFIGURED, range=(0, 256)),
    Parameter('output_size', 'input', "Size of the masks: input is the frame's, network the "
              "resolution's.", choices=('input', 'network')),
    Parameter('rotate', 0, '180 for a camera that is mounted upside down. Outputs stay in its '
              'orientation, so the road is above: drivable.seed is [0.5, 0.0] then, and '
              'ground.roll 3.14159.', choices=(0, 180), per_camera=True),
    Parameter('confidence_floor', 0.0, 'A pixel less probable than this is not drivable; labels '
              'stay.', range=(0.0, 1.0), per_camera=True),
    Parameter('overlay_opacity', 0.5, 'Share of the class color in the overlay.',
              range=(0.0, 1.0)),
    Parameter('max_frame_age', 0.0, "Seconds by the node's clock after which a frame is dropped; "
              '0 is off.', range=(0.0, 3600.0)),
    Parameter('stall_timeout', 2.0, 'Seconds without a finished frame after which the mask is '
              'published once as all unknown; 0 is off.', range=(0.0, 3600.0)),
    Parameter('drivable.connected', False, 'Whether only the region connected to the ground in '
              'front of the vehicle counts.', per_camera=True),
    Parameter('drivable.seed', [0.5, 1.0], 'That ground: x and y in fractions of the picture from '
              'its upper left corner.', per_camera=True),
    Parameter('drivable.min_area', 0.0, 'Smaller drivable regions do not count; fraction of the '
              'picture.', range=(0.0, 1.0), per_camera=True),
    Parameter('drivable.max_hole', 0.0, 'Holes up to this size are closed, but never over what is '
              'unknown; fraction of the picture.', range=(0.0, 1.0), per_camera=True),
    Parameter('drivable.majority', 1, 'A pixel counts if it did in more than half of the last so '
              'many frames.', range=(1, 255), per_camera=True),
    Parameter('rectified', False, 'Whether the frames are rectified: then P of the camera info '
              'says where a pixel looks, and nothing is undistorted again.', per_camera=True),
    Parameter('base_frame', 'base_link', 'Frame of the outputs in metres (REP 105): x forward, y '
              'left, z up, on the ground.'),
    Parameter('odom_frame', '', 'Fixed frame of the grid, through TF; empty leaves the grid in '
              'base_frame.'),
    Parameter('ground.pose', 'off', 'Where the camera is: parameters takes those below, tf asks '
              'TF for the frame of the image, off has no outputs in metres.',
              choices=('off', 'parameters', 'tf'), per_camera=True),
    Parameter('ground.height', 1.5, 'Of the camera above the ground, metres.',
              range=(0.01, 100.0), per_camera=True),
    Parameter('ground.pitch', 0.0, 'Radians; positive looks down.', range=(-1.57, 1.57),
              per_camera=True),
    Parameter('ground.roll', 0.0, 'Radians; positive has the right side down.',
              range=(-3.15, 3.15), per_camera=True),
    Parameter('ground.yaw', 0.0, 'Radians; positive looks to the left.', range=(-3.15, 3.15),
              per_camera=True),
    Parameter('ground.x', 0.0, "Metres in front of base_frame's origin.", range=(-100.0, 100.0),
              per_camera=True),
    Parameter('ground.y', 0.0, 'Metres to its left.', range=(-100.0, 100.0), per_camera=True),
    Parameter('ground.max_range', 30.0, 'Metres; ground farther away is left out.',
              range=(0.1, 1000.0), per_camera=True),
    Parameter('ground.obstacle_height', 0.3, "Metres; height of the points of ~/obstacles, to lie "
              "inside the reader's height limits.", range=(-100.0, 100.0), per_camera=True),
    Parameter('ground.path_width', 2.0, 'Metres; width of the strip ahead that nearest_edge looks '
              'at.', range=(0.01, 100.0), per_camera=True),
    Parameter('scan.angle_min', -1.5708, 'Bearing of the first ray of ~/free_space, radians, '
              'positive to the left.', range=(-6.2832, 6.2832)),
    Parameter('scan.angle_max', 1.5708, 'Bearing of its last ray; a full turn ends one ray '
              'before its start.', range=(-6.2832, 6.2832)),
    Parameter('scan.angle_increment', 0.0174533, 'Radians between two rays; no finer than a '
              'pixel.', range=(0.0001, 3.15)),
    Parameter('scan.range_min', 0.0, 'Metres; nearer is -inf, too close (REP 117).',
              range=(0.0, 1000.0)),
    Parameter('scan.range_max', 20.0, 'Metres, at most ground.max_range; ground seen free as far '
              'as this is +inf, what is not seen so far NaN.', range=(0.1, 1000.0)),
    Parameter('grid.length', 20.0, 'Metres of ~/grid ahead.', range=(0.1, 1000.0)),
    Parameter('grid.width', 20.0, 'Metres of ~/grid across, the vehicle in the middle.',
              range=(0.1, 1000.0)),
    Parameter('grid.resolution', 0.1, 'Metres; side of a cell.', range=(0.01, 10.0)),
    Parameter('diagnostics_period', 1.0, 'Seconds between two messages on /diagnostics.', START,
              range=(0.1, 60.0)),
)

#: ``class_map.<name>.<property>`` of every class in the weights: name -> what it says.
CLASS_MAP_PROPERTIES = {
    'color': 'Red, green and blue of this class in the overlay, 0 to 255.',
    'drivable': 'Whether a vehicle may drive on this class.',
}

BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


#: The values of all parameters but the class map, checked; a field a parameter, dots as _, arrays
#: as tuples.
Settings = make_dataclass('Settings', [
    (parameter.field, object,
     tuple(parameter.default) if isinstance(parameter.default, list) else parameter.default)
    for parameter in PARAMETERS], frozen=True)


def check_parameter(name: str, value: object) -> object:
    """Return a parameter's value in its own type.

    Args:
        name: of a parameter in :data:`PARAMETERS`.
        value: of the parameter's type; lists for arrays.

    Raises:
        ConfigError: the value has another type, is out of range or is no choice.
    """
    parameter = BY_NAME[name]
    if isinstance(parameter.default, list) and isinstance(value, Iterable):
        value = list(value)
    if isinstance(parameter.default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(parameter.default):
        raise ConfigError(f'{name} is {value!r}, wanted {type(parameter.default).__name__}')
    if parameter.choices is not None and value not in parameter.choices:
        raise ConfigError(f'{name} is {value!r}, wanted one of '
                          f'{", ".join(map(str, parameter.choices))}')
    if parameter.range is not None and not parameter.range[0] <= value <= parameter.range[1]:
        raise ConfigError(f'{name} is {value}, wanted {parameter.range[0]} to '
                          f'{parameter.range[1]}')
    if name == 'base_frame' and not value:
        raise ConfigError("base_frame is '', wanted the name of a frame")
    if name == 'resolution':
        return check_resolution(value)
    if name == 'cameras':
        return _check_cameras(value)
    return tuple(value) if isinstance(value, list) else value


def _check_cameras(names: list[str]) -> tuple[str, ...]:
    """Check that camera names can be parts of topic names, and differ."""
    if not names:
        raise ConfigError("cameras is empty, wanted [''] or names")
    if len(set(names)) < len(names):
        raise ConfigError(f'cameras is {names}, wanted names that differ')
    for name in names:
        usable = name.replace('_', 'a').isalnum() and name.isascii() and not name[0].isdigit()
        if not usable and names != ['']:
            raise ConfigError(f"cameras names '{name}', wanted letters, digits and _, "
                              'a letter first')
    return tuple(names)


def make_settings(values: Mapping[str, object]) -> Settings:
    """Check values and return the settings; what is absent has its default.

    Raises:
        ConfigError: a name is unknown or a value cannot be used.
    """
    for name in values:
        if name not in BY_NAME:
            raise ConfigError(f"unknown parameter '{name}', wanted one of {', '.join(BY_NAME)}")
    try:
        return Settings(**{BY_NAME[name].field: check_parameter(name, value)
                           for name, value in values.items()})
    except ConfigError:
        raise
    except ValueError as error:  # check_resolution's
        raise ConfigError(str(error)) from error
