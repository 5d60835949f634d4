"""The table of outputs, and how the message of each is made from a perceived frame.

A new output is one row of :data:`OUTPUTS`, one function here, the same in
``recordings/outputs.py``, one line of the README, and its notes in ``ros/tools/message_notes.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2
from std_msgs.msg import Header

from enet_ros.msg import DrivableArea, FrameTiming
from enet_ros.network.class_map import ClassMap
from enet_ros.perception.frame import FrameInFlight
from enet_ros.perception.images.write_compressed import jpeg_of, png_of
from enet_ros.perception.message_fields import drivable_area_fields
from enet_ros.perception.output_error import OutputError
from enet_ros.perception.outputs import JPEG_FORMAT, PNG_FORMAT, OverlayMaker, grid_of
from enet_ros.perception.perceive import Need
from enet_ros.ros.compat import LabelInfo, VisionClass
from enet_ros.ros.health import Counts
from enet_ros.ros.messages import (
    ImageBuffer,
    cloud_message,
    compressed_message,
    grid_message,
    image_message,
    polygons,
    scaled_camera_info,
    scan_message,
)
from enet_ros.ros.transforms import Transforms

#: The first ~/points of a size may hold up the thread that sends for so long.
POINTS_WAIT_SEC = 0.2
Message = (Image | CompressedImage | CameraInfo | DrivableArea | PointCloud2 | LaserScan
           | OccupancyGrid | FrameTiming)


@dataclass
class OutputContext:
    """What the messages of one camera need beside the frame, and memory that is used again.

    The publishing thread uses it.

    Attributes:
        camera: Name of the camera, empty for the only one.
        backend: Name of the backend.
        precision: Arithmetic of the network.
        transforms: For the grid in a fixed frame.
        counts: Numbers of frames so far, for ``~/timing``.
        age_at_publish_ms: Age of the frame by the node's clock when its messages were sent.
        images: Output -> message that is filled again and again.
        overlays: Makes the pixels of ``~/overlay``.
        scaled_info: Calibration that came last, and the one for the masks.
        cloud: Points and message of the last ``~/points``.
    """

    camera: str
    backend: str
    precision: str
    transforms: Transforms
    counts: Counts = Counts(0, 0, 0)
    age_at_publish_ms: float = 0.0
    images: dict[str, ImageBuffer] = field(default_factory=lambda: {
        'labels': ImageBuffer('mono8'), 'drivable_mask': ImageBuffer('mono8'),
        'confidence': ImageBuffer('mono8'), 'overlay': ImageBuffer('rgb8')})
    overlays: OverlayMaker = field(default_factory=OverlayMaker)
    scaled_info: tuple[CameraInfo, CameraInfo] | None = None
    cloud: tuple[np.ndarray, PointCloud2] | None = None


def make_labels(frame: FrameInFlight, context: OutputContext) -> Image:
    """Make ``~/labels``."""
    return context.images['labels'].fill(frame.perception.labels, frame.output_size,
                                         frame.header)


def make_drivable_mask(frame: FrameInFlight, context: OutputContext) -> Image:
    """Make ``~/drivable_mask``."""
    return context.images['drivable_mask'].fill(frame.perception.mask, frame.output_size,
                                                frame.header)


def make_confidence(frame: FrameInFlight, context: OutputContext) -> Image:
    """Make ``~/confidence``."""
    eight_bit = cv2.convertScaleAbs(frame.perception.confidence, alpha=255)
    return context.images['confidence'].fill(eight_bit, frame.output_size, frame.header)


def make_overlay(frame: FrameInFlight, context: OutputContext) -> Image:
    """Make ``~/overlay``, the frame with the class colors blended in."""
    buffer = context.images['overlay']
    buffer.resize(frame.output_size)
    context.overlays.make(frame, buffer.pixels)
    buffer.message.header = frame.header
    return buffer.message


def make_compressed_labels(frame: FrameInFlight, context: OutputContext) -> CompressedImage:
    """Make ``~/labels/compressed``, a PNG that keeps every value."""
    return _compressed_png(frame, context, 'labels', make_labels)


def make_compressed_mask(frame: FrameInFlight, context: OutputContext) -> CompressedImage:
    """Make ``~/drivable_mask/compressed``, a PNG that keeps every value."""
    return _compressed_png(frame, context, 'drivable_mask', make_drivable_mask)


def _compressed_png(frame: FrameInFlight, context: OutputContext, name: str,
                    make: Callable[[FrameInFlight, OutputContext], Image]) -> CompressedImage:
    pixels = _pixels_of(frame, context, name, make)
    return compressed_message(frame.header, PNG_FORMAT, png_of(pixels))


def make_compressed_overlay(frame: FrameInFlight, context: OutputContext) -> CompressedImage:
    """Make ``~/overlay/compressed``, a JPEG.

    Raises:
        CompressionError: The frame is too large for a JPEG.
    """
    pixels = _pixels_of(frame, context, 'overlay', make_overlay)
    data = jpeg_of(pixels, frame.camera_settings.settings.jpeg_quality)
    return compressed_message(frame.header, JPEG_FORMAT, data)


def _pixels_of(frame: FrameInFlight, context: OutputContext, name: str,
               make: Callable[[FrameInFlight, OutputContext], Image]) -> np.ndarray:
    """Return the pixels of an image output, which is made only if this frame has none yet."""
    if context.images[name].message.header is not frame.header:
        make(frame, context)
    return context.images[name].pixels


def make_camera_info(frame: FrameInFlight, context: OutputContext) -> CameraInfo:
    """Make ``~/camera_info``, the calibration for the size of the masks."""
    last, size = context.scaled_info, frame.output_size
    if last is None or last[0] is not frame.camera_info or (last[1].width, last[1].height) != size:
        last = context.scaled_info = (frame.camera_info,
                                      scaled_camera_info(frame.camera_info, size))
    last[1].header = frame.header
    return last[1]


def make_drivable_area(frame: FrameInFlight, context: OutputContext) -> DrivableArea:
    """Make ``~/drivable_area``. Its fields in meters are empty without a ground."""
    fields = drivable_area_fields(frame)
    contours = {name: polygons(fields.pop(name)) for name in ('contours_px', 'contours_m')}
    return DrivableArea(header=frame.header, **fields, **contours)


def make_points(frame: FrameInFlight, context: OutputContext) -> PointCloud2:
    """Make ``~/points``, which change only with the camera and the size of the masks.

    Raises:
        OutputError: The points of a new size are not there yet. The other outputs go on.
    """
    points = frame.ground.points(frame.output_size, POINTS_WAIT_SEC)
    if points is None:
        width, height = frame.output_size
        raise OutputError(f'the ground of its {width}x{height} pixels is still being computed, '
                          'which takes seconds once: it comes by itself')
    if context.cloud is None or context.cloud[0] is not points:
        context.cloud = points, cloud_message(points)
    context.cloud[1].header = base_header(frame)
    return context.cloud[1]


def make_obstacles(frame: FrameInFlight, context: OutputContext) -> PointCloud2:
    """Make ``~/obstacles``."""
    message = cloud_message(frame.perception.obstacles())
    message.header = base_header(frame)
    return message


def make_free_space(frame: FrameInFlight, context: OutputContext) -> LaserScan:
    """Make ``~/free_space``."""
    return scan_message(base_header(frame), frame.perception.free_space(),
                        frame.camera_settings.settings.scan)


def make_grid(frame: FrameInFlight, context: OutputContext) -> OccupancyGrid:
    """Make ``~/grid``, in ``odom_frame`` if that is set.

    Raises:
        OutputError: TF does not know where the vehicle is in ``odom_frame``.
    """
    cells, origin_m, frame_id = grid_of(frame, context.transforms)
    header = Header(stamp=frame.header.stamp, frame_id=frame_id)
    return grid_message(header, cells, frame.camera_settings.grid.resolution_m, origin_m)


def make_timing(frame: FrameInFlight, context: OutputContext) -> FrameTiming:
    """Make ``~/timing``, after the other messages have been sent."""
    times, counts = frame.times, context.counts
    return FrameTiming(
        header=frame.header, camera=context.camera, backend=context.backend,
        precision=context.precision, received=counts.received, published=counts.published,
        dropped=counts.dropped, age_at_receive_ms=frame.age_at_receive_ms,
        wait_ms=(times.started - times.received) * 1e3,
        preprocess_ms=(times.preprocessed - times.started) * 1e3,
        inference_ms=(times.inferred - times.inferring) * 1e3,
        postprocess_ms=(times.sending - times.postprocessing) * 1e3,
        publish_ms=(times.sent - times.sending) * 1e3,
        age_at_publish_ms=context.age_at_publish_ms)


def make_unknown_masks(header: Header, size: tuple[int, int],
                       stamp: Time) -> dict[str, Image | CompressedImage]:
    """Make the outputs that show the mask, with nothing drivable, for a camera that has stalled.

    Args:
        header: Header of the last frame.
        size: (width, height) of the last mask.
        stamp: Stamp of the messages.
    """
    header, mask = Header(stamp=stamp, frame_id=header.frame_id), np.zeros(size[::-1], np.uint8)
    return {'drivable_mask': image_message(header, mask, 'mono8'),
            'drivable_mask/compressed': compressed_message(header, PNG_FORMAT, png_of(mask))}


def make_label_info(class_map: ClassMap, stamp: Time) -> LabelInfo:
    """Make ``~/label_info``: the ids and names of ``~/labels``, without unlabeled classes."""
    message = LabelInfo(class_map=[
        VisionClass(class_id=i, class_name=name) for i, name in class_map.labeled.items()])
    message.header.stamp = stamp
    return message


def base_header(frame: FrameInFlight) -> Header:
    """Return the header of an output in meters: the stamp of the frame, in ``base_frame``."""
    return Header(stamp=frame.header.stamp,
                  frame_id=frame.camera_settings.settings.base_frame)


@dataclass(frozen=True)
class Output:
    """One row of the table: an :class:`enet_ros.perception.outputs.OutputRow` and these fields.

    Attributes:
        message_type: Type of the message.
        make: Makes the message from a perceived frame. An OutputError leaves it out.
        after_sending: Whether it is made after the others have been sent. Either it tells how
            long that took, or the others must not wait for it.
    """

    name: str
    message_type: type
    make: Callable[[FrameInFlight, OutputContext], Message]
    needs: Need = Need.NOTHING
    uses: Need = Need.NOTHING
    after_sending: bool = False


#: Output of each name, in the order of publishing.
OUTPUTS = {output.name: output for output in (
    Output('labels', Image, make_labels),
    Output('drivable_mask', Image, make_drivable_mask, Need.MASK),
    Output('confidence', Image, make_confidence, Need.CONFIDENCE),
    Output('overlay', Image, make_overlay),
    Output('camera_info', CameraInfo, make_camera_info, Need.CALIBRATION),
    Output('drivable_area', DrivableArea, make_drivable_area, Need.MASK | Need.CONFIDENCE,
           uses=Need.GROUND),
    Output('obstacles', PointCloud2, make_obstacles, Need.MASK | Need.GROUND),
    Output('free_space', LaserScan, make_free_space, Need.MASK | Need.GROUND),
    Output('grid', OccupancyGrid, make_grid, Need.MASK | Need.GROUND),
    Output('points', PointCloud2, make_points, Need.GROUND, after_sending=True),
    Output('timing', FrameTiming, make_timing, after_sending=True),
    Output('labels/compressed', CompressedImage, make_compressed_labels, after_sending=True),
    Output('drivable_mask/compressed', CompressedImage, make_compressed_mask, Need.MASK,
           after_sending=True),
    Output('overlay/compressed', CompressedImage, make_compressed_overlay, after_sending=True),
)}
