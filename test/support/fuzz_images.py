"""Cases for images: serialized Image messages, files of compressed images."""

from __future__ import annotations

import re
import struct
import zlib
from functools import cache
from types import SimpleNamespace

import cv2
import numpy as np
from support.damaged import as_file, png_chunk, street
from support.fuzz_bytes import NUMBERS, damaged
from support.jpegs import jpeg, of_size, with_extra_bytes

from enet_ros.network.class_map import ClassMap
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.encodings import CompressedFile, Scratch
from enet_ros.perception.frame import FrameInFlight
from enet_ros.perception.images.bit_depth import BitDepth
from enet_ros.perception.images.raw_encodings import ALIASES, ENCODING_TABLE
from enet_ros.perception.parameters.settings import NodeSettings
from enet_ros.perception.steps import decode_frame
from enet_ros.ros.cdr import read_image_message, read_stamp_ns

NETWORK_INPUT = np.empty((96, 160, 3), np.uint8)
SCRATCH, DEPTH = Scratch(), BitDepth()
HEADER = SimpleNamespace(frame_id='')
SETTINGS = CameraSettings.of(NodeSettings(), ClassMap.from_names(('Road',)))
NAMES = (
    *ENCODING_TABLE,
    *ALIASES,
    '16UC1',
    '32FC1',
    '8UC7',
    'rgb8 ',
    'RGB8',
    '',
    'rgb8\n[FATAL]',
    'x' * 5000,
    '\x1b[31mrgb8',
    'rgb\u20ac',
    'bayer_xxxx8',
    'YUV 420',
)
POOL = np.random.default_rng(0).integers(0, 256, 1 << 20, np.uint8).tobytes()
FORMATS = (
    '',
    'jpeg',
    'bgr8; jpeg compressed bgr8',
    'bayer_rggb8; jpeg compressed bayer_rggb8',
    'bayer_grbg16; png compressed bayer_grbg16',
    'mono16; png compressed mono16',
    '16UC1; compressedDepth png',
    'bayer_abcd8; png compressed',
    'tiff\n\0',
    'x' * 3000,
)


def padded(content, size):
    """Return bytes with zeros up to a multiple of a size."""
    return content + bytes(-len(content) % size)


def text(order, value):
    content = value.encode('utf-8', 'replace') + b'\0'
    return struct.pack(order + 'I', len(content)) + content


def serialized(
    encoding,
    width,
    height,
    step,
    data,
    *,
    order='<',
    is_bigendian=False,
    frame_id='camera',
    size=None,
):
    """Return a sensor_msgs/Image as CDR; ``size`` is what it says of its data."""
    body = struct.pack(order + 'iI', 1700000000, 5) + text(order, frame_id)
    body = padded(body, 4) + struct.pack(order + 'II', height, width) + text(order, encoding)
    body = padded(body + bytes([is_bigendian]), 4) + struct.pack(
        order + 'II', step, len(data) if size is None else size
    )
    return (b'\0\1\0\0' if order == '<' else b'\0\0\0\0') + body + data


def _side(rng):
    return rng.choice((0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 64, 160, rng.randint(1, 200)))


def _length(rng, entry, width, height, step):
    """Draw a number of bytes: as the fields ask for, tight, without a padding, or another."""
    rows, row = entry.rows_per_row * height, entry.first_plane * width
    last = (step - row) * entry.last_plane
    choices = (step * rows, step * rows, row * rows, step * rows - last)
    length = rng.choice((*choices, step * rows + rng.randint(-3, 3), rng.choice(NUMBERS)))
    return max(0, min(int(length), len(POOL)))


def draw_image(rng):
    """Draw an Image: mostly nearly right, since what is far off ends at the first check."""
    encoding = rng.choice(NAMES if rng.random() < 0.3 else tuple(ENCODING_TABLE))
    width, height = _side(rng), _side(rng)
    if rng.random() < 0.7:
        width, height = width + width % 2, height + height % 2
    entry = ENCODING_TABLE.get(encoding, ENCODING_TABLE['rgb8'])
    row = int(entry.first_plane * width)
    step = rng.choice((row, row, row, row + rng.randint(0, 9), row - 1, 0, 4, row * 3 // 2))
    step = (step if rng.random() < 0.9 else rng.choice(NUMBERS)) % 2**32
    length = _length(rng, entry, width, height, step)
    if rng.random() < 0.08:
        width, height = rng.choice((width, *NUMBERS)), rng.choice((height, *NUMBERS))
    start = rng.randrange(len(POOL) - length + 1)
    content = serialized(
        encoding, width, height, step, POOL[start:start + length], order=rng.choice('<<<>'),
        is_bigendian=rng.random() < 0.3, size=rng.choice((None,) * 9 + (length + 1,)))
    return damaged(rng, content, within=120) if rng.random() < 0.35 else content


def decode(source):
    """Decode an image as a camera does. Return it as it came."""
    frame = FrameInFlight(0, HEADER, source, camera_settings=SETTINGS)
    decode_frame(frame, NETWORK_INPUT, SCRATCH, DEPTH)
    return frame.image


def run_image(content):
    """Read a serialized image as a camera does."""
    _, image = read_image_message(content)
    read_stamp_ns(content)
    raw = decode(image)
    assert raw.pixels.shape[:2] == (image.height, image.width)
    assert raw.rgb().shape == (image.height, image.width, 3)


#: Ending, index of the picture in _pictures, and options of OpenCV.
_BY_OPENCV = (
    ('.png', 0, ()), ('.png', 1, ()), ('.png', 2, ()), ('.png', 3, ()),
    ('.png', 1, (cv2.IMWRITE_PNG_BILEVEL, 1)), ('.webp', 0, ()), ('.webp', 3, ()),
    ('.webp', 0, (cv2.IMWRITE_WEBP_QUALITY, 101)), ('.tiff', 2, ()),
    ('.tiff', 0, (cv2.IMWRITE_TIFF_COMPRESSION, 1)),
    ('.tiff', 0, (cv2.IMWRITE_TIFF_COMPRESSION, 5)),
    ('.tiff', 1, (cv2.IMWRITE_TIFF_COMPRESSION, 32773)),
    ('.tiff', 3, (cv2.IMWRITE_TIFF_COMPRESSION, 8)))


def _pictures():
    """Return a picture in color, in gray, in 16 bits and with alpha."""
    frame = street(64, 48)
    gray = frame[..., 1]
    return frame, gray, gray.astype(np.uint16) * 200, np.dstack((frame, gray))


@cache
def files():
    """Return small files of every kind, and some that are nearly right."""
    pictures = _pictures()
    frame, gray = pictures[:2]
    jpegs = (jpeg(frame), jpeg(frame, progressive=True), jpeg(gray), jpeg(frame, restart=3),
             jpeg(frame, sampling='444'), jpeg(frame, sampling='411'), as_file(frame, 'JPEG'),
             as_file(frame, 'JPEG', orientation=6), jpeg(frame) + bytes(500),
             with_extra_bytes(jpeg(frame, restart=2), 1, 4), as_file(_cmyk(frame), 'JPEG'))
    by_opencv = (cv2.imencode(ending, pictures[index], options)[1].tobytes()
                 for ending, index, options in _BY_OPENCV)
    by_pillow = (as_file(_palette(frame), 'PNG'), as_file(_palette(frame), 'TIFF'),
                 as_file(frame, 'TIFF', tiffinfo={274: 6}))
    others = (b'GIF89a' + bytes(9), b'BM', b'', b'\xff\xd8\xff', b'\0\0\0\1' + bytes(50))
    return (*jpegs, *by_opencv, *by_pillow, *others)


def _cmyk(frame):
    from PIL import Image

    return Image.fromarray(frame).convert('CMYK')


def _palette(frame):
    from PIL import Image

    return Image.fromarray(frame).convert('P')


def _with_png_changes(rng, content):
    """Change a PNG inside its checksums: header, pixels, order and number of chunks."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], 'big')
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(chunks))
        name, body = chunks[at]
        kind = rng.randrange(5)
        if kind == 0 and body:
            chunks[at] = name, damaged(rng, body, 2)
        elif kind == 1:
            chunks.insert(rng.randrange(len(chunks)), chunks[at])
        elif kind == 2 and name == b'IDAT':
            chunks[at] = name, _repacked(rng, body)
        elif kind == 3 and name == b'IHDR':
            sizes = [rng.choice((1, 8, 500, 8000, *NUMBERS)) for _ in range(2)]
            chunks[at] = name, struct.pack('>II', *sizes) + body[8:]
        elif kind == 4:
            chunks.insert(
                at,
                (
                    rng.choice(
                        (b'acTL', b'fcTL', b'tRNS', b'iCCP', b'eXIf', b'gAMA', b'PLTE', b'tEXt')
                    ),
                    rng.randbytes(rng.randrange(40)),
                ),
            )
    return content[:8] + b''.join(png_chunk(name, body) for name, body in chunks)


def _repacked(rng, body):
    """Return other pixels in place of packed ones: changed ones, or many."""
    if rng.random() < 0.5:
        return zlib.compress(bytes(10_000_000))
    unpacked = zlib.decompressobj()
    try:
        return zlib.compress(damaged(rng, unpacked.decompress(body), 2))
    except zlib.error:
        return body


def _with_jpeg_changes(rng, content):
    """Change the size, a segment's length or content, or the markers of a JPEG."""
    kind = rng.randrange(4)
    if kind == 0 and re.search(rb'\xff[\xc0-\xc2]\0', content):
        return of_size(content, *(rng.choice((0, 1, 8, 64, 200, 8000, 65535)) for _ in range(2)))
    if kind == 1:
        return damaged(rng, content, within=700)
    if kind == 2:
        segment = bytes([0xFF, rng.choice((0xDD, 0xEE, 0xE1, 0xE2, 0xC0, 0xC2, 0xDB, 0xFE))])
        body = rng.choice(
            (
                b'',
                b'Adobe\0\x64\0\0\0\0',
                b'ICC_PROFILE\0\1\1',
                b'Exif\0\0',
                rng.randbytes(rng.randrange(20)),
            )
        )
        return content[:2] + segment + struct.pack('>H', len(body) + 2) + body + content[2:]
    at = rng.randrange(len(content) // 2, len(content))
    return content[:at] + bytes([0xFF, rng.randrange(0xC0, 0x100)]) + content[at:]


def draw_compressed(rng):
    """Draw a file of a compressed image, with the number of its format before it."""
    content = rng.choice(files())
    kind = rng.random()
    if content.startswith(b'\x89PNG') and kind < 0.5:
        content = _with_png_changes(rng, content)
    elif content.startswith(b'\xff\xd8') and len(content) > 99 and kind < 0.5:
        content = _with_jpeg_changes(rng, content)
    elif content[:2] in (b'II', b'MM') and kind < 0.6:
        directory = int.from_bytes(content[4:8], 'little')
        content = content[:directory] + damaged(rng, content[directory:], within=200)
    elif kind < 0.9:
        content = damaged(rng, content)
    number = 0 if rng.random() < 0.6 else rng.randrange(len(FORMATS))
    return bytes([number]) + content


def run_compressed(content):
    """Read a compressed image as a camera does. The first byte is the number of the format."""
    text_format = FORMATS[content[0] % len(FORMATS)] if len(content) else ''
    raw = decode(CompressedFile(content[1:], text_format))
    height, width = raw.pixels.shape[:2]
    assert raw.rgb().shape == (height, width, 3)
