"""Image messages and files to RGB: the one entrance for all encodings and formats.

Nothing here knows ROS. Malformed input raises an :class:`EncodingError`. It never raises another
exception, and nothing is read beyond the data. images/raw_encodings.py reads
sensor_msgs/Image, and images/read_compressed.py reads files. docs/images.md has the rules.
"""

from __future__ import annotations

import numpy as np

from enet_ros.perception.images.bit_depth import BitDepth
from enet_ros.perception.images.raw_encodings import ENCODINGS, read_raw_image
from enet_ros.perception.images.raw_image import (
    MAX_BYTES,
    MAX_PIXELS,
    CompressedFile,
    EncodedImage,
    EncodingError,
    RawImage,
    Remark,
    Scratch,
)
from enet_ros.perception.images.read_compressed import read_compressed
from enet_ros.perception.images.write_raw import encode_image

__all__ = ['ENCODINGS', 'MAX_BYTES', 'MAX_PIXELS', 'BitDepth', 'CompressedFile', 'EncodedImage',
           'EncodingError', 'RawImage', 'Remark', 'Scratch', 'decode_compressed',
           'decode_raw_image', 'encode_image', 'read_compressed', 'read_raw_image',
           'read_source']


def read_source(source: EncodedImage | CompressedFile, depth: BitDepth | None = None) -> RawImage:
    """Read an image of either kind. A frame of the node takes the same way in ``steps.py``.

    Args:
        source: The image.
        depth: Significant bits of its camera's images of 16 bits, or None for an image by itself.

    Raises:
        EncodingError: The image cannot be read.
    """
    if isinstance(source, CompressedFile):
        return read_compressed(source, depth)
    return read_raw_image(source, depth)


def decode_raw_image(data, encoding: str, width: int, height: int, step: int, *,
                     is_bigendian: bool = False) -> np.ndarray:
    """Convert the bytes of an image message to (height, width, 3) uint8 RGB.

    The arguments are those of :class:`EncodedImage`. The result for rgb8 is a view of ``data``.
    Every other result is an array of its own.

    Raises:
        EncodingError: The image cannot be read.
    """
    return read_raw_image(EncodedImage(data, encoding, width, height, step,
                                       is_bigendian=is_bigendian)).rgb()


def decode_compressed(data, image_format: str = '') -> np.ndarray:
    """Convert a JPEG, PNG, TIFF or WebP file to (H, W, 3) uint8 RGB, as stored.

    The depth of a file with 16 bits is found from its greatest value.

    Args:
        data: A buffer of bytes.
        image_format: Field ``format`` of sensor_msgs/CompressedImage.

    Raises:
        EncodingError: The file cannot be read.
    """
    return read_compressed(CompressedFile(data, image_format)).rgb()
