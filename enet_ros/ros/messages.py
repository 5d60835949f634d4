"""Arrays to messages and back."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point32, Polygon
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from enet_ros.encodings import decode_compressed, decode_image
from enet_ros.ground import scale_camera_matrix


def frame_from_message(message: Image | CompressedImage) -> np.ndarray:
    """Return the frame of a message, (H, W, 3) uint8 RGB; a view of it for rgb8.

    Raises:
        EncodingError: the message cannot be read.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data)
    return decode_image(message.data, message.encoding, message.width, message.height,
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


def scaled_camera_info(info: CameraInfo, size: tuple[int, int]) -> CameraInfo:
    """Return the calibration for a picture of another size; the header stays to be set.

    Region of interest and binning of ``info`` go into K and P, so the result has none.

    Args:
        info: of the camera; an all-zero K (uncalibrated) stays zero.
        size: (width, height) of the picture.

    Returns:
        A new message. Distortion and rectification do not depend on the size.
    """
    roi, binning = info.roi, (max(1, info.binning_x), max(1, info.binning_y))
    crop = (roi.width or info.width, roi.height or info.height)
    scaled = CameraInfo(width=size[0], height=size[1], distortion_model=info.distortion_model,
                        d=info.d, r=info.r)
    if info.k[0] and crop[0] >= binning[0] and crop[1] >= binning[1]:
        where = (crop, size, (roi.x_offset, roi.y_offset), binning)
        scaled.k = scale_camera_matrix(info.k.reshape(3, 3), *where).ravel()
        scaled.p = scale_camera_matrix(info.p.reshape(3, 4), *where).ravel()
    return scaled
