"""Convert arrays to messages, and scale calibrations to another image size."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point32, Polygon
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2, PointField
from std_msgs.msg import Header

from enet_ros.perception.message_fields import (
    POINT_FIELDS,
    camera_info_fields,
    cloud_bytes,
    cloud_fields,
    scan_fields,
)
from enet_ros.perception.parameters.settings import ScanSettings
from enet_ros.perception.resize import resize_labels


class ImageBuffer:
    """An Image message that is filled in place and published again and again.

    The pixels are a view of the message's own data, so nothing is copied before serialization.

    Attributes:
        message: The message.
        pixels: (H, W) or (H, W, 3) uint8 pixels of the message.
    """

    def __init__(self, encoding: str):
        """Make an empty message. ``encoding`` is mono8 or rgb8."""
        self.message = Image(encoding=encoding)
        self.pixels = np.empty((0, 0), np.uint8)
        self._channels = 3 if encoding == 'rgb8' else 1
        self._size = 0, 0

    def fill(self, label_map: np.ndarray, size: tuple[int, int], header: Header) -> Image:
        """Fill the message with a map, and return it.

        Args:
            label_map: (H, W) uint8. It is resized by nearest neighbor.
            size: (width, height) of the message.
            header: Header of the message.
        """
        if size != self._size:
            self.resize(size)
        resize_labels(label_map, size, self.pixels)
        self.message.header = header
        return self.message

    def resize(self, size: tuple[int, int]) -> None:
        """Give the message a (width, height). Its pixels are lost if the size changes."""
        width, height = size
        if size != self._size:
            # The setter may copy. So the view is of the array that the message holds afterwards.
            self.message.data = array.array('B', bytes(width * height * self._channels))
            shape = (height, width, 3) if self._channels == 3 else (height, width)
            self.pixels = np.frombuffer(self.message.data, np.uint8).reshape(shape)
            self.message.width, self.message.height = width, height
            self.message.step = width * self._channels
            self._size = size


def image_message(header, pixels: np.ndarray, encoding: str) -> Image:
    """Return a new Image of (H, W) or (H, W, C) uint8 pixels."""
    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding,
                    step=pixels.size // height)
    message.data.frombytes(np.ascontiguousarray(pixels).data.cast('B'))
    return message


def compressed_message(header: Header, file_format: str, data: memoryview) -> CompressedImage:
    """Return a new CompressedImage of the bytes of an image file.

    Args:
        header: Header of the message.
        file_format: As image_transport writes it.
        data: Bytes of the file.
    """
    message = CompressedImage(header=header, format=file_format)
    message.data.frombytes(data)
    return message


def polygons(contours: Sequence[np.ndarray]) -> list[Polygon]:
    """Return (N, 2) arrays of x and y as polygons with z = 0."""
    return [Polygon(points=[Point32(x=float(x), y=float(y)) for x, y in contour])
            for contour in contours]


def scaled_camera_info(info: CameraInfo, size: tuple[int, int]) -> CameraInfo:
    """Return the calibration for an image of another (width, height), without a header."""
    return CameraInfo(**camera_info_fields(info, size))


def cloud_message(points: np.ndarray) -> PointCloud2:
    """Return points (H, W, 3) or (N, 3) float32, in meters, as a cloud without a header."""
    message = PointCloud2(fields=[PointField(**each) for each in POINT_FIELDS],
                          **cloud_fields(points))
    message.data.frombytes(cloud_bytes(points).data)
    return message


def scan_message(header: Header, ranges: np.ndarray, scan: ScanSettings) -> LaserScan:
    """Return (rays,) float32 ranges, in meters, as a scan."""
    message = LaserScan(header=header, **scan_fields(scan))
    message.ranges.frombytes(np.ascontiguousarray(ranges, np.float32).data.cast('B'))
    return message


def grid_message(header: Header, cells: np.ndarray, resolution_m: float,
                 origin_m: tuple[float, float]) -> OccupancyGrid:
    """Return (height, width) int8 cells as a grid.

    Args:
        header: Header of the message.
        cells: Cells, rows along y.
        resolution_m: Side of a cell.
        origin_m: x and y of the corner of the first cell.
    """
    message = OccupancyGrid(header=header)
    message.info.map_load_time = header.stamp
    message.info.resolution = float(resolution_m)
    message.info.height, message.info.width = cells.shape
    message.info.origin.position.x, message.info.origin.position.y = map(float, origin_m)
    message.info.origin.orientation.w = 1.0
    message.data.frombytes(np.ascontiguousarray(cells, np.int8).data.cast('B'))
    return message
