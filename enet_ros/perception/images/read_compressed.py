"""Compressed images: which kind of file it is, what its pixels mean, and its pixels.

The bytes say which kind it is. The text ``format`` of sensor_msgs/CompressedImage only says
whether a gray image is a Bayer mosaic, and whether it is a depth image.
"""

from __future__ import annotations

import dataclasses
import re

import cv2
import numpy as np

from enet_ros.perception.images.bit_depth import BitDepth
from enet_ros.perception.images.formats.jpeg import read_jpeg
from enet_ros.perception.images.formats.png import SIGNATURE as PNG_SIGNATURE
from enet_ros.perception.images.formats.png import check_png
from enet_ros.perception.images.formats.tiff import SIGNATURES as TIFF_SIGNATURES
from enet_ros.perception.images.formats.tiff import check_tiff
from enet_ros.perception.images.formats.webp import check_webp
from enet_ros.perception.images.raw_encodings import ALIASES, ENCODING_TABLE
from enet_ros.perception.images.raw_image import CompressedFile, EncodingError, RawImage

_FLAGS = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION
_KNOWN = 'wanted a JPEG, PNG, TIFF or WebP'
_OTHER_FILES = {b'GIF8': 'GIF', b'BM': 'BMP', b'\0\0\0\x0cjP': 'JPEG 2000',
                b'\xff\x4f\xff': 'JPEG 2000', b'\xff\x0a': 'JPEG XL', b'#?': 'HDR', b'P5': 'PGM',
                b'P6': 'PPM', b'\0\0\0\x01': 'H.264 or H.265 stream',
                b'\0\0\x01': 'H.264 or H.265 stream', b'v/1\x01': 'OpenEXR',
                b'\x28\xb5\x2f\xfd': 'file of zstd'}
_DEPTH = re.compile(r'compresseddepth|\b(16uc1|16sc1|32sc1|32fc1|64fc1)\b')


def read_compressed(source: CompressedFile, depth: BitDepth | None = None) -> RawImage:
    """Decode a compressed image. An orientation in the file is not applied.

    Args:
        source: Fields of a message, or the bytes of a file.
        depth: Significant bits of this camera's images, or None for an image by itself.

    Returns:
        The decoded image, as stored. Its colors are converted when it is resized or read.

    Raises:
        EncodingError: The file is of another kind, is damaged, cut short, or above a limit.
    """
    view = memoryview(source.data).cast('B')
    text = source.format.lower()
    if _DEPTH.search(text):
        raise EncodingError(f"format is '{source.format[:60]}', a depth image, wanted a color or "
                            'gray image: remap image/compressed to the topic of the camera')
    head = bytes(view[:16])
    if head.startswith(b'\xff\xd8\xff'):
        image = read_jpeg(view)
    else:
        image = _read_by_opencv(view, head, depth or BitDepth())
    return _without_mosaic(image, text) if 'bayer' in text else image


def why_never_read(source: CompressedFile) -> str:
    """Return which kind an image has if no image of that kind is ever read, or ''."""
    if _DEPTH.search(source.format.lower()):
        return f"it is depth, '{source.format[:60]}'"
    kind = _other_kind(bytes(memoryview(source.data).cast('B')[:16]))
    return f'it is a {kind}, {_KNOWN}' if kind else ''


def _other_kind(head: bytes) -> str:
    """Return the kind of a file that is not read, by its first bytes, or '' if it is not known."""
    return next((name for start, name in _OTHER_FILES.items() if head.startswith(start)), '')


def _read_by_opencv(view: memoryview, head: bytes, depth: BitDepth) -> RawImage:
    """Check and decode a PNG, TIFF or WebP file."""
    if head.startswith(PNG_SIGNATURE):
        name, checked = 'PNG', check_png(view)
    elif head.startswith(TIFF_SIGNATURES):
        name, checked = 'TIFF', check_tiff(view)
    elif head.startswith(b'RIFF') and head[8:12] == b'WEBP':
        name, checked = 'WebP', check_webp(view)
    else:
        kind = _other_kind(head)
        raise EncodingError(f'the compressed image is a {kind}, {_KNOWN}' if kind else
                            f'the compressed image starts with {head[:4].hex() or "nothing"}, '
                            f'{_KNOWN}')
    try:
        frame = cv2.imdecode(np.frombuffer(checked, np.uint8), _FLAGS)
    except cv2.error as error:
        raise EncodingError(f'the {name} cannot be read: {error.err}') from error
    if frame is None or frame.dtype not in (np.uint8, np.uint16):
        raise EncodingError(f'the {name} of {len(view)} bytes is damaged or of a kind that OpenCV '
                            f'cannot read, {_KNOWN}')
    conversion, remarks = cv2.COLOR_BGR2RGB if frame.ndim == 3 else cv2.COLOR_GRAY2RGB, ()
    if frame.dtype == np.uint16:
        frame, remark = depth.to_uint8(frame)
        remarks = (remark,)
    return RawImage(frame, conversion, remarks=remarks)


def _without_mosaic(image: RawImage, text: str) -> RawImage:
    """Take the pixels for a Bayer mosaic if the format says that it was compressed as one.

    image_transport writes 'bayer_rggb8; jpeg compressed bgr8' if it made colors before, and leaves
    out the last word, or repeats the first, if it did not.
    """
    before, _, after = text.partition('compressed')
    words = re.findall(r'[a-z][a-z0-9_-]*', after) or re.findall(r'[a-z][a-z0-9_-]*', before)
    word = next((word for word in words if word.startswith('bayer')), None)
    if word is None or image.pixels.ndim != 2:
        return image
    mosaic = ALIASES.get(re.sub('[_-]', '', word))
    if mosaic is None:
        raise EncodingError(f"format names the Bayer pattern '{word}', wanted bayer_rggb8, "
                            'bayer_bggr8, bayer_gbrg8 or bayer_grbg8')
    entry = ENCODING_TABLE[mosaic]
    height, width = image.pixels.shape
    if min(width, height) < entry.least:
        raise EncodingError(f'size is {width}x{height}, wanted at least 4x4 for {mosaic}')
    return dataclasses.replace(image, conversion=entry.conversion)
