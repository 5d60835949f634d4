"""The one table of the node's parameters.

Each field is a parameter: its type, default, range, description and when it may change. A new
parameter needs a field here and the place where it is used, and no more. The node declares what
this table says, and ``enet-ros params`` prints config/segment.yaml and the README's rows from it.
Nothing here knows ROS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from enet_ros.backends.base import PRECISION_NAMES
from enet_ros.backends.select import BACKEND_NAMES
from enet_ros.network.resolution import check_resolution
from enet_ros.perception.parameters.table import (
    Changes,
    CheckedSettings,
    ConfigError,
    group,
    groups_of,
    parameter,
    table_of,
)

#: ``class_map.<name>.<property>`` of every class in the weights: property -> description.
CLASS_MAP_PROPERTIES = {
    'color': 'Color of this class in ~/overlay: red, green and blue from 0 to 255.',
    'drivable': 'Whether a vehicle may drive on this class.',
}
#: First parts of parameters that belong to no camera: the classes, and what ROS declares.
RESERVED = frozenset({'class_map', 'qos_overrides'})


def _check_cameras(name: str, cameras: list[str]) -> None:
    """Check that camera names can be parts of topic names, and differ."""
    if len(set(cameras)) < len(cameras):
        raise ConfigError(f'{name} is {cameras}, wanted names that differ')
    for camera in cameras:
        if camera in RESERVED:
            raise ConfigError(f"{name} names '{camera}', wanted another name, since "
                              f'{camera}.* are parameters of something else')
        usable = camera.replace('_', 'a').isalnum() and camera.isascii() \
            and camera[0].isalpha()
        if not usable and cameras != ['']:
            raise ConfigError(f"{name} names '{camera}', wanted letters, digits and _, "
                              'a letter first')


def _check_resolution(name: str, resolution: list[int]) -> None:
    """Check that the network can have this resolution."""
    try:
        check_resolution(resolution)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _check_frame_id(name: str, frame: str) -> None:
    """Check that a frame has a name."""
    if not frame.replace('/', ' ').strip():
        raise ConfigError(f"{name} is '{frame}', wanted the name of a frame")


def _check_frame_id_or_empty(name: str, frame: str) -> None:
    """Check that a frame has a name, if there is one."""
    if frame:
        _check_frame_id(name, frame)


def _check_image_position(name: str, position: list[float]) -> None:
    """Check that a position lies in the image."""
    if len(position) != 2 or not all(0.0 <= value <= 1.0 for value in position):
        raise ConfigError(f'{name} is {position}, wanted x and y from 0 to 1')


@dataclass(frozen=True, kw_only=True)
class DrivableSettings(CheckedSettings):
    """Which drivable pixels count. The defaults change nothing.

    Raises:
        ConfigError: A value is out of range.
    """

    connected: bool = parameter(
        False, 'Whether only the region that is connected to the ground in front of the vehicle '
        'is drivable.')
    seed: tuple[float, float] = parameter(
        (0.5, 1.0), 'Image position of the ground in front of the vehicle, as fractions of width '
        'and height from the upper left corner.', accepts='0 to 1', check=_check_image_position)
    min_area: float = parameter(
        0.0, 'Least area of a drivable region, as a fraction of the image. A smaller region is '
        'not drivable.', range=(0.0, 1.0))
    max_hole: float = parameter(
        0.0, 'Greatest area of a hole that is filled, as a fraction of the image. A hole with an '
        'unknown pixel in it stays. An obstacle that looks smaller than this vanishes, too.',
        range=(0.0, 1.0))
    majority: int = parameter(  # Votes are counted in bytes.
        1, 'Number of frames that vote on each pixel. A pixel is drivable if it is so in the '
        'newest frame and in more than half of the last frames. So free ground appears a little '
        'later, and an obstacle at once. Only frames of one size and frame_id vote together. '
        '1 turns voting off.', range=(1, 255))


@dataclass(frozen=True)
class GroundSettings(CheckedSettings):
    """Where the camera is above a flat ground, and which ground counts.

    Raises:
        ConfigError: A value is out of range.
    """

    pose: str = parameter(
        'off', 'Source of the camera pose. parameters takes the pose from ground.height to '
        'ground.y. tf takes it from TF, between base_frame and the frame of the image. off turns '
        'the outputs in meters off.', choices=('off', 'parameters', 'tf'))
    height: float = parameter(
        1.5, 'Height of the camera above the ground, in meters.', range=(0.01, 100.0))
    pitch: float = parameter(
        0.0, 'Pitch of the camera, in radians. A camera with a positive pitch looks down.',
        range=(-1.57, 1.57))
    roll: float = parameter(
        0.0, 'Roll of the camera, in radians. A camera with a positive roll has its right side '
        'down.', range=(-3.15, 3.15))
    yaw: float = parameter(
        0.0, 'Yaw of the camera, in radians. A camera with a positive yaw looks to the left.',
        range=(-3.15, 3.15))
    x: float = parameter(
        0.0, 'Position of the camera in front of the origin of base_frame, in meters.',
        range=(-100.0, 100.0))
    y: float = parameter(
        0.0, 'Position of the camera to the left of the origin of base_frame, in meters.',
        range=(-100.0, 100.0))
    max_range: float = parameter(
        30.0, 'Greatest distance of ground in the outputs, in meters. Ground farther away is left '
        'out.', range=(0.1, 1000.0))
    obstacle_height: float = parameter(
        0.3, 'Height of the points of ~/obstacles above the ground, in meters. Choose one inside '
        'the height limits of the node that reads them.', range=(-100.0, 100.0))
    path_width: float = parameter(
        2.0, 'Width of the strip ahead, in meters, in which the field nearest_edge of '
        '~/drivable_area is measured. Set it to the width of the vehicle. nearest_edge is NaN '
        'where the image does not show the whole width.', range=(0.01, 100.0))


@dataclass(frozen=True)
class ScanSettings(CheckedSettings):
    """The bearings and ranges of a free space scan, as in sensor_msgs/LaserScan.

    Raises:
        ConfigError: A value is out of range, or two do not go together.
    """

    angle_min: float = parameter(
        -1.5708, 'Bearing of the first ray of ~/free_space, in radians, positive to the left.',
        range=(-6.2832, 6.2832))
    angle_max: float = parameter(
        1.5708, 'Bearing of the last ray of ~/free_space, in radians, positive to the left. A '
        'scan all around ends one ray before its start. A scan to the rear goes from 1.5708 to '
        '4.7124.', range=(-6.2832, 6.2832))
    angle_increment: float = parameter(
        0.0174533, 'Angle between two rays of ~/free_space, in radians. A costmap needs at most '
        'half its resolution divided by scan.range_max.', range=(0.0001, 3.15))
    range_min: float = parameter(
        0.0, 'Least range of ~/free_space, in meters. A ray that ends nearer is -inf, too close '
        '(REP 117).', range=(0.0, 1000.0))
    range_max: float = parameter(
        20.0, 'Greatest range of ~/free_space, in meters, and at most ground.max_range. A ray is '
        '+inf if its ground is free as far as this. It is NaN if its ground is not seen so far.',
        range=(0.1, 1000.0))

    def __post_init__(self):
        """Check the fields, and what they mean together."""
        super().__post_init__()
        sector = self.angle_max - self.angle_min
        if not 0. <= sector <= 2. * math.pi - self.angle_increment / 2.:
            raise ConfigError(f'angle_max is {self.angle_max} with angle_min {self.angle_min}, '
                              'wanted at least angle_min, and less than a full circle above it')
        if not self.range_min < self.range_max:
            raise ConfigError(f'range_min is {self.range_min} and range_max {self.range_max}, '
                              'wanted 0 <= range_min < range_max')

    @property
    def count(self) -> int:
        """Return the number of rays."""
        return int((self.angle_max - self.angle_min) / self.angle_increment + 1e-6) + 1

    def ray_of(self, bearing: np.ndarray) -> np.ndarray:
        """Return the index of the nearest ray.

        Args:
            bearing: float array of any shape, radians, positive to the left.

        Returns:
            int64 array of the same shape; -1 where a bearing is NaN or outside the scan.
        """
        turn = np.mod(bearing - self.angle_min + self.angle_increment / 2., 2. * math.pi)
        rays = np.nan_to_num(turn / self.angle_increment, nan=-1.).astype(np.int64)
        return np.where((rays < self.count) & np.isfinite(bearing), rays, -1)


@dataclass(frozen=True)
class GridSettings(CheckedSettings):
    """The place and the size of the grid in the base frame.

    Raises:
        ConfigError: A value is out of range.
    """

    length: float = parameter(
        20.0, 'Length of ~/grid along the x axis of base_frame, in meters.', range=(0.1, 1000.0))
    width: float = parameter(
        20.0, 'Width of ~/grid along the y axis of base_frame, in meters.', range=(0.1, 1000.0))
    x: float = parameter(
        0.0, 'Position of the rear side of ~/grid in base_frame, in meters. A camera that looks '
        'back needs minus grid.length.', range=(-1000.0, 1000.0))
    y: float = parameter(
        0.0, 'Position of the middle of ~/grid in base_frame, in meters, positive to the left.',
        range=(-1000.0, 1000.0))
    resolution: float = parameter(
        0.1, 'Side of a cell of ~/grid, in meters.', range=(0.01, 10.0))


@dataclass(frozen=True, kw_only=True)
class NodeSettings(CheckedSettings):
    """The values of all parameters of the node but the class map. Arrays are tuples.

    Raises:
        ConfigError: A value cannot be used.
    """

    cameras: tuple[str, ...] = parameter(
        ('',), 'Names of the cameras. One empty name gives the topics image and ~/labels. The '
        'name front gives front/image and ~/front/labels.', changes=Changes.AT_START,
        accepts='names', check=_check_cameras)
    autostart: bool = parameter(
        True, 'Whether the node configures and activates itself at the start. If false, a '
        "lifecycle manager, such as Nav2's, does that.", changes=Changes.AT_START)
    image_transport: str = parameter(
        'raw', 'Kind of the input. raw subscribes to image (sensor_msgs/Image). compressed '
        'subscribes to image/compressed (JPEG, PNG, TIFF or WebP).', changes=Changes.UNCONFIGURED,
        choices=('raw', 'compressed'))
    weights: str = parameter(
        '', 'Path of a .safetensors file, or the name of weights that ship with the package. An '
        'empty name is enet_camvid.', changes=Changes.UNCONFIGURED, accepts='path or name')
    resolution: tuple[int, int] = parameter(
        (640, 360), 'Width and height of the input of the network in pixels, multiples of 8. '
        'Frames are resized to it. The time of a frame grows with the number of pixels.',
        changes=Changes.UNCONFIGURED, accepts='multiples of 8', check=_check_resolution)
    backend: str = parameter(
        'auto', 'Runtime of the network. auto picks the fastest that works here, and the node '
        'logs why. openvino runs on the CPU, tensorrt on CUDA, torch on both. torch serves while '
        'a TensorRT engine is built. triton runs on CUDA by fused kernels, and only where it is '
        'named.', changes=Changes.UNCONFIGURED, choices=BACKEND_NAMES)
    precision: str = parameter(
        'auto', 'Arithmetic of the network. auto picks the fastest that the backend has. On a CPU '
        'this is int8 (if the weights have it for this resolution), bfloat16 (if the CPU has it) '
        'or float32. On CUDA it is float16.', changes=Changes.UNCONFIGURED,
        choices=PRECISION_NAMES)
    threads: int = parameter(
        0, 'Number of CPU threads of the network. 0 leaves it to the backend.',
        changes=Changes.UNCONFIGURED, range=(0, 256))
    output_size: str = parameter(
        'input', 'Size of the masks. input is the size of the frame. network is the resolution of '
        'the network, so messages are smaller.', choices=('input', 'network'))
    bit_depth: int = parameter(
        0, 'Significant bits of images with 16 bits a channel, such as mono16 of a camera with 12 '
        'bits. 0 finds them from the greatest values so far. docs/images.md has the rule.',
        choices=(0, *range(8, 17)), per_camera=True)
    rotate: int = parameter(
        0, 'Rotation of the image for the network, in degrees. A camera that is mounted upside '
        'down needs 180. The outputs stay in the orientation of the camera, with the road at the '
        'top: set drivable.seed to [0.5, 0.0] and ground.roll to 3.14159.', choices=(0, 180),
        per_camera=True)
    confidence_floor: float = parameter(
        0.0, 'Least confidence of a drivable pixel. A pixel with less is not drivable. Labels do '
        'not change.', range=(0.0, 1.0), per_camera=True)
    overlay_opacity: float = parameter(
        0.5, 'Share of the class color in ~/overlay. 0 shows only the frame, 1 only the colors.',
        range=(0.0, 1.0))
    jpeg_quality: int = parameter(
        80, 'Quality of the JPEG on ~/overlay/compressed, from 1 to 100.', range=(1, 100))
    max_frame_age: float = parameter(
        0.0, "Age at which a frame is dropped, in seconds by the node's clock. It counts until "
        'the outputs are sent. A stamp as far in the future is dropped, too. 0 turns this off, '
        'for bags and for cameras with a clock of their own.', range=(0.0, 3600.0))
    stall_timeout: float = parameter(
        2.0, 'Time without a finished frame, in seconds, after which ~/drivable_mask is published '
        'once with nothing drivable. /diagnostics reports an error then. A frame that came before '
        'that mask is dropped if it took longer than this. With use_sim_time these are seconds of '
        'simulated time. 0 turns this off.',
        range=(0.0, 3600.0))
    backend_timeout: float = parameter(
        30.0, 'Time that the network may take for one frame, in seconds. If it takes longer, it '
        'hangs: ~/drivable_mask is published with nothing drivable, and the process ends with '
        'exit code 70. The launch files then start it anew. 0 turns this off.',
        range=(0.0, 3600.0))
    suspect_frames: str = parameter(
        'warn', 'What becomes of a frame that is black, saturated, of one color, noise, frozen, '
        'blurred or unlike the training images. warn shows the reason in /diagnostics and the '
        'log. unknown also makes all its labels unknown, so nothing is drivable.',
        choices=('warn', 'unknown'), per_camera=True)
    frozen_timeout: float = parameter(
        5.0, 'Time without a change of any pixel, or with the same few images in turn, in '
        'seconds, after which frames are suspect. The noise of a real sensor always changes some '
        'pixel. 0 turns this off, for still images and simulators without noise.',
        range=(0.0, 3600.0), per_camera=True)
    drivable: DrivableSettings = group(
        DrivableSettings, 'These parameters decide which drivable pixels count.', per_camera=True)
    rectified: bool = parameter(
        False, 'Whether the frames are rectified. If true, the matrix P of camera_info says where '
        'a pixel looks. K and D only say where the frame is black because the raw image ends. '
        'Labels are unknown there.', per_camera=True)
    valid_mask: str = parameter(
        '', 'Path of a PNG image of the size or aspect of the frames. It is 0 (black) where the '
        'camera never sees the scene: black corners, the bonnet, a housing. Labels are unknown '
        'there. A file that has changed is read when the parameter is set again. If empty, all '
        'pixels count.', accepts='a path, or empty', per_camera=True)
    base_frame: str = parameter(
        'base_link', 'Frame of the outputs in meters (REP 105). Its x axis points forward, y to '
        'the left and z up. Its origin is on the ground.', accepts='a frame',
        check=_check_frame_id)
    odom_frame: str = parameter(
        '', 'Fixed frame of ~/grid. The grid is moved into it through TF. If empty, the grid '
        'stays in base_frame. With it, (grid.length + grid.width) / grid.resolution may be at '
        'most 2828.', accepts='a frame, or empty', check=_check_frame_id_or_empty)
    tf_timeout: float = parameter(
        0.1, 'Greatest time that a frame waits for its transform, in seconds, while TF is late '
        'and the transform changes. If it does not come, the outputs that need it are missing. '
        'All outputs of all cameras wait with that frame. 0 turns waiting off.', range=(0.0, 1.0),
        per_camera=True)
    ground: GroundSettings = group(
        GroundSettings, 'These parameters place the camera above a flat ground. ~/points, '
        '~/obstacles, ~/free_space, ~/grid and the metric fields of ~/drivable_area need them.',
        per_camera=True)
    scan: ScanSettings = group(
        ScanSettings, 'These parameters set the rays of ~/free_space.', per_camera=True)
    grid: GridSettings = group(
        GridSettings, 'These parameters set the cells of ~/grid.', per_camera=True)
    diagnostics_period: float = parameter(
        1.0, 'Time between two messages on /diagnostics, in seconds.', changes=Changes.AT_START,
        range=(0.1, 60.0))


PARAMETERS = table_of(NodeSettings)
BY_NAME = {row.name: row for row in PARAMETERS}


def check_parameter(name: str, value: object) -> object:
    """Return the value of a parameter in its own type, with a tuple for an array.

    Args:
        name: Name of a parameter in :data:`PARAMETERS`.
        value: See :meth:`Parameter.checked`.

    Raises:
        ConfigError: The name is unknown, or the value cannot be used.
    """
    if name not in BY_NAME:
        raise ConfigError(f"unknown parameter '{name}', wanted one of {', '.join(BY_NAME)}")
    return BY_NAME[name].checked(value)


def make_settings(values: Mapping[str, object]) -> NodeSettings:
    """Check values and return the settings. A parameter that is absent has its default.

    Args:
        values: Values by the names of parameters, such as 'ground.height'.

    Raises:
        ConfigError: A name is unknown, or a value cannot be used.
    """
    grouped: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        group_name, _, field = name.rpartition('.')
        grouped.setdefault(group_name, {})[field] = check_parameter(name, value)
    own = grouped.pop('', {})
    return NodeSettings(**own, **{name: _make_group(name, fields)
                                  for name, fields in grouped.items()})


def _make_group(name: str, fields: dict[str, object]) -> CheckedSettings:
    try:
        return groups_of(NodeSettings)[name].default_factory(**fields)
    except ConfigError as error:
        raise ConfigError(f'{name}.{error}') from error
