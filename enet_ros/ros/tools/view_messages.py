"""Messages to what the viewer draws. Anyone may publish them, so they are checked first."""

from __future__ import annotations

import math

import numpy as np
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import LaserScan, PointCloud2

from enet_ros.perception.encodings import MAX_PIXELS, EncodedImage, EncodingError
from enet_ros.perception.grid import MAX_CELLS
from enet_ros.ros.cdr import read_image_message

MAX_SIDE = 65_535    # pixels, as of a JPEG
MAX_POINTS = 4_000_000
MAX_RAYS = 100_000   # A full circle at the least scan.angle_increment of the node has 62,832.


class MessageError(ValueError):
    """A message cannot be drawn. The text says what it has, and what is wanted."""


def mono8(serialized: bytes) -> np.ndarray:
    """Return the (H, W) uint8 pixels of a serialized mono8 image.

    Raises:
        EncodingError: It is no such image.
    """
    image: EncodedImage = read_image_message(serialized)[1]
    if image.encoding != 'mono8' or image.step < image.width:
        raise EncodingError(f'the encoding is {image.encoding} and the step {image.step}, wanted '
                            f'mono8 and at least {image.width}')
    if not (0 < image.width <= MAX_SIDE and 0 < image.height <= MAX_SIDE
            and image.width * image.height <= MAX_PIXELS):
        raise EncodingError(f'the image has {image.width}x{image.height} pixels, wanted 1x1 to '
                            f'{MAX_PIXELS:,} pixels and sides of at most {MAX_SIDE:,}')
    if len(image.data) < image.step * image.height:
        raise EncodingError(f'the image has {len(image.data)} bytes, wanted {image.height} rows '
                            f'of {image.step}')
    rows = np.frombuffer(image.data, np.uint8, image.step * image.height)
    return rows.reshape(image.height, image.step)[:, :image.width]


def grid_cells(message: OccupancyGrid) -> np.ndarray:
    """Return the (rows along y, columns along x) int8 cells of a grid.

    Raises:
        MessageError: The sizes do not go together, or its place cannot be drawn.
    """
    info, origin = message.info, message.info.origin.position
    if not (0 < info.width * info.height == len(message.data) <= MAX_CELLS):
        raise MessageError(f'the grid has {info.width}x{info.height} cells and '
                           f'{len(message.data)} values, wanted as many, 1 to {MAX_CELLS:,}')
    if not (math.isfinite(info.resolution) and info.resolution > 0
            and math.isfinite(origin.x) and math.isfinite(origin.y)):
        raise MessageError(f'the grid has the resolution {info.resolution:g} m and its origin at '
                           f'({origin.x:g}, {origin.y:g}) m, wanted finite numbers, and a '
                           'resolution above 0')
    return np.frombuffer(message.data, np.int8).reshape(info.height, info.width)


def points_xyz(message: PointCloud2) -> np.ndarray:
    """Return the (N, 3) float32 points of a cloud that begins with x, y and z, in meters.

    Points that are not finite are left out.

    Raises:
        MessageError: The points have no three numbers, or are too many.
    """
    step, size = message.point_step, len(message.data)
    if message.is_bigendian or step < 12 or step % 4 or size % step:
        order = 'big' if message.is_bigendian else 'little'
        raise MessageError(f'point_step is {step} for {size} bytes, {order}-endian, wanted '
                           'float32 x, y and z: a multiple of 4 bytes, at least 12, '
                           'little-endian')
    if size // step > MAX_POINTS:
        raise MessageError(f'the cloud has {size // step:,} points, wanted at most '
                           f'{MAX_POINTS:,}')
    points = np.frombuffer(message.data, '<f4').reshape(-1, step // 4)[:, :3]
    return points[np.isfinite(points).all(axis=1)]


def scan_ranges(message: LaserScan) -> np.ndarray:
    """Return the (rays,) float32 ranges of a scan, in meters.

    Raises:
        MessageError: The rays are too many, or their angles cannot be drawn.
    """
    if len(message.ranges) > MAX_RAYS:
        raise MessageError(f'the scan has {len(message.ranges):,} rays, wanted at most '
                           f'{MAX_RAYS:,}')
    numbers = message.angle_min, message.angle_increment, message.range_max
    if not all(map(math.isfinite, numbers)):
        raise MessageError('angle_min is {:g}, angle_increment {:g} and range_max {:g}, wanted '
                           'finite numbers'.format(*numbers))
    return np.asarray(message.ranges, np.float32)
