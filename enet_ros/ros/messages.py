"""Arrays to messages and back."""

from __future__ import annotations

import array
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point32, Polygon
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import (
    CameraInfo,
    CompressedImage,
    Image,
    LaserScan,
    PointCloud2,
    PointField,
)
from std_msgs.msg import Header

from enet_ros.perception.encodings import EncodingError, Pixels, read_compressed, read_pixels
from enet_ros.perception.ground import CameraModel, scale_camera_matrix
from enet_ros.perception.planner_outputs import ScanSpec

SIZE_TOLERANCE_PX = 2  # of a frame's height: drivers round when they scale


@dataclass
class ReceivedImage:
    """A ``sensor_msgs/Image`` whose pixels are still those that came, uncopied.

    Attributes:
        header, height, width, encoding, is_bigendian, step: as the message's.
        data: the pixels, a view of the serialised message.
    """

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


def read_image(serialized: bytes) -> ReceivedImage:
    """Read an Image that was taken serialised: half the time of a message with its pixels copied.

    Args:
        serialized: as ``rclpy`` takes it with ``raw=True``: CDR, of either byte order (OMG DDS
            Interoperability Wire Protocol 2.5, chapter 10).

    Raises:
        EncodingError: it is no such message, or it is cut off.
    """
    try:
        return _read_image(serialized)
    except (struct.error, ValueError, IndexError) as error:
        raise EncodingError(f'a message of {len(serialized)} bytes is no sensor_msgs/Image: '
                            f'{error}') from error


def _read_image(serialized: bytes) -> ReceivedImage:
    body, kind = memoryview(serialized)[4:], bytes(serialized[:2])
    if kind not in _CDR_ORDERS:
        raise ValueError(f'its encapsulation is {kind.hex()}, wanted CDR')
    order, at = _CDR_ORDERS[kind], 0

    def number(kind: str = 'I') -> int:
        nonlocal at
        at += -at % 4  # numbers of four bytes are aligned to four
        value, = struct.unpack_from(order + kind, body, at)
        at += 4
        return value

    def some_bytes(count: int) -> memoryview:
        nonlocal at
        if at + count > len(body):
            raise ValueError(f'{count} bytes were to follow, {len(body) - at} do')
        at += count
        return body[at - count:at]

    def text() -> str:
        return str(some_bytes(number()), 'utf-8').rstrip('\0')

    stamp = Time(sec=number('i'), nanosec=number())
    header = Header(stamp=stamp, frame_id=text())
    height, width, encoding = number(), number(), text()
    is_bigendian = some_bytes(1)[0]
    step = number()
    return ReceivedImage(header, height, width, encoding, is_bigendian, step,
                         some_bytes(number()))


#: The first two bytes of a serialised message -> the byte order of its numbers: CDR and plain
#: CDR2, which are the same for a message without numbers of eight bytes.
_CDR_ORDERS = {b'\0\0': '>', b'\0\1': '<', b'\0\6': '>', b'\0\7': '<'}


def pixels_of(message: ReceivedImage | CompressedImage) -> Pixels:
    """Return the pixels of a message; for an image a view of it.

    Raises:
        EncodingError: the message cannot be read.
    """
    if isinstance(message, CompressedImage):
        return read_compressed(message.data)
    return read_pixels(message.data, message.encoding, message.width, message.height,
                       message.step, bool(message.is_bigendian))


class ImageBuffer:
    """An Image message that is filled in place and published again and again.

    The pixels are a view of the message's own data, so nothing is copied before serialisation.
    """

    def __init__(self, encoding: str):
        """Make an empty message; ``encoding`` is mono8 or rgb8."""
        self.message = Image(encoding=encoding)
        self._channels = 3 if encoding == 'rgb8' else 1
        self._pixels = np.empty((0, 0), np.uint8)

    def pixels(self, size: tuple[int, int]) -> np.ndarray:
        """Return the pixels to write, (H, W) or (H, W, 3) uint8, for a (width, height)."""
        width, height = size
        if (self.message.width, self.message.height) != (width, height):
            # The setter may copy, so the view is of what the message holds after it.
            self.message.data = array.array('B', bytes(width * height * self._channels))
            shape = (height, width, 3) if self._channels == 3 else (height, width)
            self._pixels = np.frombuffer(self.message.data, np.uint8).reshape(shape)
            self.message.width, self.message.height = width, height
            self.message.step = width * self._channels
        return self._pixels


def image_message(header, pixels: np.ndarray, encoding: str) -> Image:
    """Return a new Image of (H, W) or (H, W, C) uint8 pixels."""
    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding,
                    step=pixels.size // height)
    message.data.frombytes(np.ascontiguousarray(pixels).data.cast('B'))
    return message


def polygons(outlines: Sequence[np.ndarray]) -> list[Polygon]:
    """Return (N, 2) arrays of x and y as polygons with z = 0."""
    return [Polygon(points=[Point32(x=float(x), y=float(y)) for x, y in outline])
            for outline in outlines]


def check_size(info: CameraInfo, size: tuple[int, int]) -> None:
    """Check that a calibration can be that of frames of a size: as they are, or scaled evenly.

    Args:
        info: of the camera; without a matrix it fits all.
        size: (width, height) of the frames.

    Raises:
        ValueError: it cannot; both sizes are named.
    """
    crop, binning = _crop_and_binning(info)
    width, height = (pixels // by for pixels, by in zip(crop, binning))
    if info.k[0] and abs(size[1] * width - size[0] * height) > SIZE_TOLERANCE_PX * max(width, 1):
        raise ValueError(f'the camera info is for {width}x{height}, frames are '
                         f'{size[0]}x{size[1]}; wanted the calibration of this camera mode')


def _crop_and_binning(info: CameraInfo) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the pixels of the sensor that are read and how many make one, along x and y."""
    return ((info.roi.width or info.width, info.roi.height or info.height),
            (max(1, info.binning_x), max(1, info.binning_y)))


def scaled_camera_info(info: CameraInfo, size: tuple[int, int]) -> CameraInfo:
    """Return the calibration for a picture of another size; the header stays to be set.

    Region of interest and binning of ``info`` go into K and P, so the result has none.

    Args:
        info: of the camera; an all-zero K (uncalibrated) stays zero.
        size: (width, height) of the picture.

    Returns:
        A new message. Distortion and rectification do not depend on the size.
    """
    roi, (crop, binning) = info.roi, _crop_and_binning(info)
    scaled = CameraInfo(width=size[0], height=size[1], distortion_model=info.distortion_model,
                        d=info.d, r=info.r)
    if info.k[0] and crop[0] >= binning[0] and crop[1] >= binning[1]:
        where = (crop, size, (roi.x_offset, roi.y_offset), binning)
        scaled.k = scale_camera_matrix(info.k.reshape(3, 3), *where).ravel()
        scaled.p = scale_camera_matrix(info.p.reshape(3, 4), *where).ravel()
    return scaled


def in_frame(header: Header, frame_id: str) -> Header:
    """Return a header of the same stamp and another frame."""
    return Header(stamp=header.stamp, frame_id=frame_id)


def camera_model(info: CameraInfo, rectified: bool) -> CameraModel:
    """Return the camera of a calibration.

    Raises:
        UncalibratedError, ValueError: see :class:`enet_ros.perception.ground.CameraModel`.
    """
    return CameraModel(info.width, info.height, tuple(info.k), tuple(info.d), tuple(info.r),
                       tuple(info.p), info.distortion_model,
                       (info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height),
                       (info.binning_x, info.binning_y), rectified)


def cloud_message(points: np.ndarray) -> PointCloud2:
    """Return points (H, W, 3) or (N, 3) float32 as a cloud; the header stays to be set."""
    height, width = points.shape[:2] if points.ndim == 3 else (1, len(points))
    message = PointCloud2(
        height=height, width=width, is_bigendian=False, is_dense=points.ndim == 2,
        point_step=12, row_step=12 * width,
        fields=[PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
                for i, name in enumerate('xyz')])
    message.data.frombytes(np.ascontiguousarray(points, '<f4').reshape(-1).view(np.uint8).data)
    return message


def scan_message(header: Header, ranges: np.ndarray, spec: ScanSpec) -> LaserScan:
    """Return ranges, metres, as a scan."""
    message = LaserScan(header=header, angle_min=spec.angle_min,
                        angle_max=spec.angle_min + (spec.count - 1) * spec.angle_increment,
                        angle_increment=spec.angle_increment, range_min=spec.range_min,
                        range_max=spec.range_max)
    message.ranges.frombytes(np.ascontiguousarray(ranges, np.float32).data.cast('B'))
    return message


def grid_message(header: Header, cells: np.ndarray, resolution_m: float,
                 origin_m: tuple[float, float]) -> OccupancyGrid:
    """Return cells (height, width) int8, the first at ``origin_m``, as a grid."""
    message = OccupancyGrid(header=header)
    message.info.map_load_time = header.stamp
    message.info.resolution = float(resolution_m)
    message.info.height, message.info.width = cells.shape
    message.info.origin.position.x, message.info.origin.position.y = map(float, origin_m)
    message.info.origin.orientation.w = 1.0
    message.data.frombytes(np.ascontiguousarray(cells, np.int8).data.cast('B'))
    return message
