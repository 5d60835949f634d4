"""The table of outputs of a recording: the messages of the node, made without ROS.

Each row gives what the row of the same name in ros/outputs.py gives. A test compares them field by
field. ``~/timing`` is not here: it tells about the clock of a run, and two runs would differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from enet_ros.network.class_map import ClassMap
from enet_ros.perception.frame import FrameInFlight
from enet_ros.perception.images.write_compressed import jpeg_of, png_of
from enet_ros.perception.message_fields import (
    POINT_FIELDS,
    camera_info_fields,
    cloud_bytes,
    cloud_fields,
    drivable_area_fields,
    scan_fields,
)
from enet_ros.perception.message_types import Header
from enet_ros.perception.outputs import JPEG_FORMAT, PNG_FORMAT, OverlayMaker, grid_of
from enet_ros.perception.perceive import Need
from enet_ros.perception.resize import resize_labels
from enet_ros.recordings.definitions import typestore
from enet_ros.recordings.transforms import RecordedTransforms

_IMAGE, _COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'


@dataclass
class OutputContext:
    """What the messages of one camera need beside the frame, and memory that is used again.

    Attributes:
        transforms: For the grid in a fixed frame.
        overlays: Makes the pixels of ``~/overlay``.
    """

    transforms: RecordedTransforms
    overlays: OverlayMaker = field(default_factory=OverlayMaker)


def message(type_name: str, **fields: object) -> object:
    """Return a message of a type, such as 'sensor_msgs/msg/Image'."""
    return typestore().types[type_name](**fields)


def image_message(header: Header, pixels: np.ndarray, encoding: str) -> object:
    """Return an Image of (H, W) or (H, W, 3) uint8 pixels."""
    height, width = pixels.shape[:2]
    return message(_IMAGE, header=header, height=height, width=width, encoding=encoding,
                   is_bigendian=0, step=pixels.size // height,
                   data=np.ascontiguousarray(pixels).reshape(-1))


def _labels(frame: FrameInFlight, context: OutputContext) -> np.ndarray:
    return resize_labels(frame.perception.labels, frame.output_size)


def _mask(frame: FrameInFlight, context: OutputContext) -> np.ndarray:
    return resize_labels(frame.perception.mask, frame.output_size)


def _confidence(frame: FrameInFlight, context: OutputContext) -> np.ndarray:
    return resize_labels(cv2.convertScaleAbs(frame.perception.confidence, alpha=255),
                         frame.output_size)


def _overlay(frame: FrameInFlight, context: OutputContext) -> np.ndarray:
    return context.overlays.make(frame)


Pixels = Callable[[FrameInFlight, OutputContext], np.ndarray]


def _image(pixels: Pixels, encoding: str) -> Callable:
    """Return what makes an Image of pixels."""
    return lambda frame, context: image_message(frame.header, pixels(frame, context), encoding)


def _compressed_message(header: Header, file_format: str, data: memoryview) -> object:
    return message(_COMPRESSED, header=header, format=file_format,
                   data=np.frombuffer(data, np.uint8))


def _png(pixels: Pixels) -> Callable:
    """Return what makes a CompressedImage of pixels, which keeps every value."""
    return lambda frame, context: _compressed_message(
        frame.header, PNG_FORMAT, png_of(pixels(frame, context)))


def _compressed_overlay(frame: FrameInFlight, context: OutputContext) -> object:
    data = jpeg_of(_overlay(frame, context), frame.camera_settings.settings.jpeg_quality)
    return _compressed_message(frame.header, JPEG_FORMAT, data)


def _camera_info(frame: FrameInFlight, context: OutputContext) -> object:
    whole_image = message('sensor_msgs/msg/RegionOfInterest', x_offset=0, y_offset=0, height=0,
                          width=0, do_rectify=False)
    return message('sensor_msgs/msg/CameraInfo', header=frame.header, binning_x=0, binning_y=0,
                   roi=whole_image, **camera_info_fields(frame.camera_info, frame.output_size))


def _polygons(contours: tuple | list) -> list:
    return [message('geometry_msgs/msg/Polygon', points=[
        message('geometry_msgs/msg/Point32', x=float(x), y=float(y), z=0.0) for x, y in contour])
        for contour in contours]


def _drivable_area(frame: FrameInFlight, context: OutputContext) -> object:
    fields = drivable_area_fields(frame)
    contours = {name: _polygons(fields.pop(name)) for name in ('contours_px', 'contours_m')}
    return message('enet_ros/msg/DrivableArea', header=frame.header, **fields, **contours)


def _cloud(frame: FrameInFlight, points: np.ndarray) -> object:
    """Return points (H, W, 3) or (N, 3) float32, in meters, as a cloud."""
    fields = [message('sensor_msgs/msg/PointField', **each) for each in POINT_FIELDS]
    return message('sensor_msgs/msg/PointCloud2', header=_base_header(frame), fields=fields,
                   data=cloud_bytes(points), **cloud_fields(points))


def _points(frame: FrameInFlight, context: OutputContext) -> object:
    return _cloud(frame, frame.ground.points(frame.output_size))


def _obstacles(frame: FrameInFlight, context: OutputContext) -> object:
    return _cloud(frame, frame.perception.obstacles())


def _free_space(frame: FrameInFlight, context: OutputContext) -> object:
    return message('sensor_msgs/msg/LaserScan', header=_base_header(frame),
                   time_increment=0.0, scan_time=0.0,
                   ranges=np.ascontiguousarray(frame.perception.free_space(), np.float32),
                   intensities=np.zeros(0, np.float32),
                   **scan_fields(frame.camera_settings.settings.scan))


def _grid(frame: FrameInFlight, context: OutputContext) -> object:
    cells, origin_m, frame_id = grid_of(frame, context.transforms)
    header = _header(frame.header.stamp, frame_id)
    height, width = cells.shape
    origin = message(
        'geometry_msgs/msg/Pose',
        position=message('geometry_msgs/msg/Point', x=float(origin_m[0]), y=float(origin_m[1]),
                         z=0.0),
        orientation=message('geometry_msgs/msg/Quaternion', x=0.0, y=0.0, z=0.0, w=1.0))
    info = message('nav_msgs/msg/MapMetaData', map_load_time=header.stamp,
                   resolution=float(frame.camera_settings.grid.resolution_m), width=width,
                   height=height, origin=origin)
    return message('nav_msgs/msg/OccupancyGrid', header=header, info=info,
                   data=np.ascontiguousarray(cells, np.int8).reshape(-1))


def make_label_info(class_map: ClassMap, stamp_ns: int) -> object:
    """Make ``~/label_info``: the ids and names of ``~/labels``, without unlabeled classes."""
    sec, nanosec = divmod(min(stamp_ns, LAST_STAMP_NS), 10**9)
    stamp = message('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec)
    classes = [message('vision_msgs/msg/VisionClass', class_id=i, class_name=name)
               for i, name in class_map.labeled.items()]
    return message('vision_msgs/msg/LabelInfo', header=_header(stamp, ''), class_map=classes,
                   threshold=0.0)


def _header(stamp: object, frame_id: str) -> object:
    return message('std_msgs/msg/Header', stamp=stamp, frame_id=frame_id)


def _base_header(frame: FrameInFlight) -> object:
    """Return the header of an output in meters: the stamp of the frame, in ``base_frame``."""
    return _header(frame.header.stamp, frame.camera_settings.settings.base_frame)


@dataclass(frozen=True)
class Output:
    """One row of the table: an :class:`enet_ros.perception.outputs.OutputRow` and these fields.

    Attributes:
        type: Type of the message.
        make: Makes the message from a perceived frame. An OutputError leaves it out.
    """

    name: str
    type: str
    make: Callable[[FrameInFlight, OutputContext], object]
    needs: Need = Need.NOTHING
    uses: Need = Need.NOTHING


_CLOUD, _IN_METERS = 'sensor_msgs/msg/PointCloud2', Need.MASK | Need.GROUND
#: Output of each name, in the order of the node.
OUTPUTS = {output.name: output for output in (
    Output('labels', _IMAGE, _image(_labels, 'mono8')),
    Output('drivable_mask', _IMAGE, _image(_mask, 'mono8'), Need.MASK),
    Output('confidence', _IMAGE, _image(_confidence, 'mono8'), Need.CONFIDENCE),
    Output('overlay', _IMAGE, _image(_overlay, 'rgb8')),
    Output('camera_info', 'sensor_msgs/msg/CameraInfo', _camera_info, Need.CALIBRATION),
    Output('drivable_area', 'enet_ros/msg/DrivableArea', _drivable_area,
           Need.MASK | Need.CONFIDENCE, uses=Need.GROUND),
    Output('points', _CLOUD, _points, Need.GROUND),
    Output('obstacles', _CLOUD, _obstacles, _IN_METERS),
    Output('free_space', 'sensor_msgs/msg/LaserScan', _free_space, _IN_METERS),
    Output('grid', 'nav_msgs/msg/OccupancyGrid', _grid, _IN_METERS),
    Output('labels/compressed', _COMPRESSED, _png(_labels)),
    Output('drivable_mask/compressed', _COMPRESSED, _png(_mask), Need.MASK),
    Output('overlay/compressed', _COMPRESSED, _compressed_overlay))}

#: The last stamp that a message can have, in 2038. Times of recording go on beyond it.
LAST_STAMP_NS = 2**31 * 10**9 - 1
LABEL_INFO, LABEL_INFO_TYPE = 'label_info', 'vision_msgs/msg/LabelInfo'
#: What is written unless the user names outputs.
DEFAULT_OUTPUTS = ('labels', 'drivable_mask', 'camera_info', 'drivable_area', 'obstacles',
                   'free_space', 'grid')
