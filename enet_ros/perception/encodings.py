"""Image bytes to RGB arrays, for every encoding that the node takes.

The encodings are those of ``sensor_msgs/image_encodings.hpp``. Nothing here knows ROS: the records
have the fields of sensor_msgs/Image. Malformed input raises an :class:`EncodingError`. It never
raises another exception, and nothing is read beyond the data.

A new encoding is a row of :data:`_PACKED` or :data:`_TWO_PLANE` and its bytes in
:func:`encode_image`. docs/architecture.md, question 2, has the rest.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import cv2
import numpy as np

from enet_ros.perception.resize import resize_frame

MAX_PIXELS = 64_000_000  # of a frame

#: encoding -> (bytes per pixel of a row, OpenCV conversion to RGB or None)
_PACKED = {
    'rgb8': (3, None),
    'bgr8': (3, cv2.COLOR_BGR2RGB),
    '8UC3': (3, cv2.COLOR_BGR2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB),
    'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
    '8UC1': (1, cv2.COLOR_GRAY2RGB),
    'uyvy': (2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422': (2, cv2.COLOR_YUV2RGB_UYVY),
    'yuyv': (2, cv2.COLOR_YUV2RGB_YUY2),
    'yuv422_yuy2': (2, cv2.COLOR_YUV2RGB_YUY2),
    # ROS names a Bayer pattern by its first two rows, OpenCV by the second row's middle.
    'bayer_rggb8': (1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': (1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': (1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': (1, cv2.COLOR_BayerGB2RGB),
}
_TWO_PLANE = {'nv12': cv2.COLOR_YUV2RGB_NV12, 'nv21': cv2.COLOR_YUV2RGB_NV21}
#: Conversions that copy the channels of each pixel. They commute with a resize.
_COPY_CHANNELS = frozenset({cv2.COLOR_BGR2RGB, cv2.COLOR_RGBA2RGB, cv2.COLOR_BGRA2RGB,
                            cv2.COLOR_GRAY2RGB})
_EVEN_WIDTH = frozenset({'uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2', 'nv12', 'nv21'})

ENCODINGS = (*_PACKED, 'mono16', *_TWO_PLANE)
#: encoding -> bytes per pixel in a row of the image, or of its first plane
_BYTES_PER_PIXEL = {**{encoding: size for encoding, (size, _) in _PACKED.items()}, 'mono16': 2,
                    **dict.fromkeys(_TWO_PLANE, 1)}


class EncodingError(ValueError):
    """A frame that cannot be read. The message names the value and what was wanted."""


@dataclass(frozen=True)
class EncodedImage:
    """The fields of sensor_msgs/Image that say what its pixels are, as they came.

    Attributes:
        data: A buffer of bytes.
        encoding: One of :data:`ENCODINGS`, if it can be read.
        width: In pixels.
        height: In pixels. For nv12 and nv21 this is the height of the image. The data has half as
            many rows again, which hold the colors.
        step: Bytes from one row to the next.
        is_bigendian: Byte order of mono16.
    """

    data: memoryview
    encoding: str
    width: int
    height: int
    step: int
    _: KW_ONLY
    is_bigendian: bool = False


@dataclass(frozen=True)
class CompressedFile:
    """The bytes of a JPEG or PNG file, as they came."""

    data: memoryview


def _check_fields(image: EncodedImage, length: int) -> None:
    """Check the fields of an image of ``length`` bytes against each other."""
    encoding, width, height, step = image.encoding, image.width, image.height, image.step
    if encoding not in ENCODINGS:
        raise EncodingError(f"encoding is '{encoding[:40]}', wanted one of {', '.join(ENCODINGS)}")
    if width < 1 or height < 1:
        raise EncodingError(f'size is {width}x{height}, wanted at least 1x1')
    if width * height > MAX_PIXELS:
        raise EncodingError(f'size is {width}x{height}, wanted at most 64 MP')
    if encoding in _EVEN_WIDTH and width % 2:
        raise EncodingError(f'width is {width}, wanted an even one for {encoding}')
    if encoding in _TWO_PLANE and height % 2:
        raise EncodingError(f'height is {height}, wanted an even one for {encoding}')
    if encoding.startswith('bayer') and min(width, height) < 4:
        raise EncodingError(f'size is {width}x{height}, wanted at least 4x4 for {encoding}')
    row = width * _BYTES_PER_PIXEL[encoding]
    if step < row:
        raise EncodingError(f'step is {step}, wanted at least {row} for a width of {width} '
                            f'in {encoding}')
    rows = height * 3 // 2 if encoding in _TWO_PLANE else height
    if length < step * rows:
        raise EncodingError(f'data has {length} bytes, wanted {step * rows}: {rows} rows of a '
                            f'step of {step}')


class Scratch:
    """Memory that is used again for every frame of one size, since fresh pages cost more."""

    def __init__(self):
        self._memory = np.empty(0, np.uint8)

    def of(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return uint8 memory of a shape. Its content for an earlier caller is lost."""
        if self._memory.shape != shape:
            self._memory = np.empty(shape, np.uint8)
        return self._memory


@dataclass(frozen=True)
class RawImage:
    """An image as it came. It is converted to RGB only where that is needed.

    Attributes:
        pixels: (H, W) or (H, W, C) uint8. It may be a view of the message.
        conversion: OpenCV's code of the conversion to RGB, or None if the image is RGB.
        chroma: The (H / 2, W / 2, 2) uint8 colors of nv12 and nv21, or None.
    """

    pixels: np.ndarray
    conversion: int | None = None
    chroma: np.ndarray | None = None

    def rgb(self, out: np.ndarray | None = None) -> np.ndarray:
        """Convert the image to RGB.

        Args:
            out: (H, W, 3) uint8 to write into, or None.

        Returns:
            (H, W, 3) uint8. An image that is RGB returns its own pixels, not ``out``.
        """
        if self.conversion is None:
            return self.pixels
        if self.chroma is not None:
            return cv2.cvtColorTwoPlane(self.pixels, self.chroma, self.conversion, dst=out)
        return cv2.cvtColor(self.pixels, self.conversion, dst=out)

    def resize_into(self, out: np.ndarray, scratch: Scratch | None = None) -> np.ndarray:
        """Write the image as RGB of another size, as ``resize_frame`` does.

        If the conversion only copies channels, the image is resized first. The values are the
        same, and fewer pixels are converted.

        Args:
            out: (height, width, 3) uint8 to write into.
            scratch: Memory for what lies between, or None for fresh memory.

        Returns:
            ``out``.
        """
        scratch, size = scratch or Scratch(), out.shape[1::-1]
        if self.conversion is None:
            return resize_frame(self.pixels, size, out)
        if self.pixels.shape[:2] == out.shape[:2]:
            return self.rgb(out)
        if self.conversion not in _COPY_CHANNELS:
            return resize_frame(self.rgb(scratch.of((*self.pixels.shape[:2], 3))), size, out)
        resized = out if self.pixels.ndim == 3 and self.pixels.shape[2] == 3 else \
            scratch.of((*out.shape[:2], *self.pixels.shape[2:]))
        return cv2.cvtColor(resize_frame(self.pixels, size, resized), self.conversion, dst=out)


def decode_into(source: EncodedImage | CompressedFile, network_input: np.ndarray,
                scratch: Scratch) -> RawImage:
    """Read an image, and write the network's view of it.

    Args:
        source: Image as it came.
        network_input: (H, W, 3) uint8 of the network's size, which is written as RGB.
        scratch: Memory for what lies between.

    Returns:
        The image. Its pixels may be a view of ``source``.

    Raises:
        EncodingError: The image cannot be read.
    """
    image = (read_compressed(source.data) if isinstance(source, CompressedFile)
             else read_raw_image(source))
    image.resize_into(network_input, scratch)
    return image


def read_raw_image(image: EncodedImage) -> RawImage:
    """Check the fields of an image against each other, and find its pixels.

    YUV is BT.601 of limited range, as in OpenCV.

    Args:
        image: Fields of a message.

    Returns:
        A view of ``image.data``, except for mono16.

    Raises:
        EncodingError: The fields contradict each other, or the encoding is unknown.
    """
    flat = np.frombuffer(image.data, np.uint8)
    _check_fields(image, flat.size)
    encoding, width, height, step = image.encoding, image.width, image.height, image.step
    if encoding in _TWO_PLANE:
        luma = flat[:step * height].reshape(height, step)[:, :width]
        rows = flat[step * height:step * height * 3 // 2].reshape(height // 2, step)[:, :width]
        chroma = np.lib.stride_tricks.as_strided(rows, (height // 2, width // 2, 2), (step, 2, 1))
        return RawImage(luma, _TWO_PLANE[encoding], chroma)
    rows = flat[:step * height].reshape(height, step)[:, :width * _BYTES_PER_PIXEL[encoding]]
    if encoding == 'mono16':
        gray = np.ascontiguousarray(rows).view('>u2' if image.is_bigendian else '<u2')
        gray = cv2.convertScaleAbs(gray.astype(np.uint16, copy=False), alpha=255 / 65535)
        return RawImage(gray, cv2.COLOR_GRAY2RGB)
    channels, conversion = _PACKED[encoding]
    # A strided view skips the padding of a row without a copy.
    return RawImage(rows if channels == 1 else np.lib.stride_tricks.as_strided(
        rows, (height, width, channels), (step, channels, 1)), conversion)


def decode_image(data, encoding: str, width: int, height: int, step: int, *,
                 is_bigendian: bool = False) -> np.ndarray:
    """Convert the bytes of an image message to (height, width, 3) uint8 RGB.

    The arguments are those of :class:`EncodedImage`. The result for rgb8 is a view of ``data``.
    Every other result is an array of its own.
    """
    return read_raw_image(EncodedImage(data, encoding, width, height, step,
                                       is_bigendian=is_bigendian)).rgb()


def read_compressed(data) -> RawImage:
    """Decode a JPEG or PNG file.

    Args:
        data: A buffer of bytes.

    Raises:
        EncodingError: The file is neither, is cut short, or has more than 64 MP.
    """
    flat = np.frombuffer(data, np.uint8)
    _check_file(flat)
    try:
        frame = cv2.imdecode(flat, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise EncodingError(f'the compressed image cannot be read: {error.err}') from error
    if frame is None:
        raise EncodingError(f'the compressed image of {flat.size} bytes cannot be read, '
                            'wanted a whole JPEG or PNG')
    return RawImage(frame, cv2.COLOR_BGR2RGB)


def decode_compressed(data) -> np.ndarray:
    """Convert a JPEG or PNG file to (H, W, 3) uint8 RGB; see :func:`read_compressed`."""
    return read_compressed(data).rgb()


def _check_file(flat: np.ndarray) -> None:
    """Check start, end and size of a file, since decoders fill a missing part with grey."""
    head, tail = flat[:24].tobytes(), flat[-64:].tobytes()
    if head.startswith(b'\xff\xd8\xff'):
        name, whole, size = 'JPEG', b'\xff\xd9' in tail, _jpeg_size(flat)
    elif head.startswith(b'\x89PNG\r\n\x1a\n'):
        name, whole = 'PNG', b'IEND' in tail
        size = int.from_bytes(head[16:20], 'big'), int.from_bytes(head[20:24], 'big')
    else:
        raise EncodingError(f'the compressed image starts with {head[:4].hex() or "nothing"}, '
                            'wanted a JPEG or PNG')
    if not whole:
        raise EncodingError(f'the {name} of {flat.size} bytes is cut short')
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        raise EncodingError(f'the {name} is {size[0]}x{size[1]}, wanted at most 64 MP')


def _jpeg_size(flat: np.ndarray) -> tuple[int, int]:
    """Read (width, height) from the frame header of a JPEG (ITU T.81, B.2.2).

    A file without such a header has (0, 0).
    """
    position = 2
    while position + 9 <= flat.size and flat[position] == 0xFF:
        marker = int(flat[position + 1])
        length = int(flat[position + 2]) << 8 | int(flat[position + 3])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int(flat[position + 5]) << 8 | int(flat[position + 6])
            return int(flat[position + 7]) << 8 | int(flat[position + 8]), height
        position += 1 if marker == 0xFF else 2 + length
    return 0, 0


def encode_image(rgb: np.ndarray, encoding: str) -> tuple[np.ndarray, int]:
    """Convert an RGB frame to the bytes of an image message, without padding.

    Args:
        rgb: (H, W, 3) uint8. H and W are even for YUV and Bayer.
        encoding: One of :data:`ENCODINGS`. mono16 becomes little-endian.

    Returns:
        The bytes, flat uint8, and the step.

    Raises:
        EncodingError: The encoding is unknown, or the size is odd where it must be even.
    """
    height, width = rgb.shape[:2]
    step = width * _BYTES_PER_PIXEL.get(encoding, 0)
    _check_fields(EncodedImage(rgb.data, encoding, width, height, step), rgb.size * 4)
    if encoding in _SIMPLE:
        data = cv2.cvtColor(rgb, _SIMPLE[encoding])
    elif encoding == 'rgb8':
        data = np.ascontiguousarray(rgb)
    elif encoding == 'mono16':
        data = (cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype('<u2') * 257).view(np.uint8)
    elif encoding.startswith('bayer'):
        data = np.empty((height, width), np.uint8)
        for i, letter in enumerate(encoding[6:10]):
            data[i // 2::2, i % 2::2] = rgb[i // 2::2, i % 2::2, 'rgb'.index(letter)]
    else:
        data = _encode_yuv(rgb, encoding)
    return data.reshape(-1), step


_SIMPLE = {'bgr8': cv2.COLOR_RGB2BGR, '8UC3': cv2.COLOR_RGB2BGR, 'rgba8': cv2.COLOR_RGB2RGBA,
           'bgra8': cv2.COLOR_RGB2BGRA, 'mono8': cv2.COLOR_RGB2GRAY, '8UC1': cv2.COLOR_RGB2GRAY}


def _encode_yuv(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """Convert RGB to nv12, nv21, uyvy or yuyv, by way of OpenCV's planar 4:2:0."""
    height, width = rgb.shape[:2]
    if height % 2:
        raise EncodingError(f'height is {height}, wanted an even one for {encoding}')
    planar = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).reshape(-1)
    luma = planar[:height * width].reshape(height, width)
    u, v = planar[height * width:].reshape(2, height // 2, width // 2)
    if encoding in _TWO_PLANE:
        chroma = np.stack((u, v) if encoding == 'nv12' else (v, u), -1)
        return np.concatenate((luma.reshape(-1), chroma.reshape(-1)))
    u, v, pairs = u.repeat(2, 0), v.repeat(2, 0), luma.reshape(height, -1, 2)
    first, second = pairs[..., 0], pairs[..., 1]
    order = (u, first, v, second) if encoding in ('uyvy', 'yuv422') else (first, u, second, v)
    return np.stack(order, -1)
