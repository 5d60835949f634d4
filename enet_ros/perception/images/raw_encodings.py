"""The encodings of sensor_msgs/Image: where the bytes lie, and how they become RGB.

The names are those of ``sensor_msgs/image_encodings.hpp``, and those that drivers use beside
them. A new encoding is a row of :data:`ENCODING_TABLE`, and its bytes in encode.py.
docs/images.md has the rules for users.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from enet_ros.perception.images.bit_depth import BitDepth
from enet_ros.perception.images.raw_image import (
    MAX_BYTES,
    EncodedImage,
    EncodingError,
    RawImage,
    Remark,
    check_size,
)
from enet_ros.perception.images.yuv import YUV_READERS

#: Planes of an encoding: (bytes per pixel of a row, image rows per row of the plane).
PACKED_1, PACKED_2, PACKED_3, PACKED_4 = (((size, 1),) for size in (1, 2, 3, 4))
PACKED_6, PACKED_8 = ((6, 1),), ((8, 1),)
TWO_PLANES_420, THREE_PLANES_420 = ((1, 1), (1, 2)), ((1, 1), (0.5, 2), (0.5, 2))
TWO_PLANES_422, THREE_PLANES_422 = ((1, 1), (1, 1)), ((1, 1), (0.5, 1), (0.5, 1))
TWO_PLANES_444, THREE_PLANES_444 = ((1, 1), (2, 1)), ((1, 1), (1, 1), (1, 1))


@dataclass(frozen=True)
class Encoding:
    """How the bytes of an encoding lie, and what they are.

    Attributes:
        planes: See :data:`PACKED_1` and the others.
        conversion: OpenCV's code of the conversion to RGB, or None.
        channels: Number of channels of 8 or 16 bits, or 0 if the planes go to a reader of yuv.py.
        bits: 8 or 16 bits a channel.
        memory: Bytes per pixel that decoding takes beside the message, all in all.
        even: (width, height) must be multiples of these.
        least: Least width and height.
    """

    planes: tuple[tuple[float, int], ...]
    conversion: int | None = None
    channels: int = 0
    bits: int = 8
    memory: int = 3
    even: tuple[int, int] = (1, 1)
    least: int = 1

    @cached_property
    def first_plane(self) -> float:
        """Bytes per pixel of a row of the first plane."""
        return self.planes[0][0]

    @cached_property
    def rows_per_row(self) -> float:
        """Rows of the first plane's step that the data has for each row of the image."""
        return sum(size / self.first_plane / divisor for size, divisor in self.planes)

    @cached_property
    def last_plane(self) -> float:
        """Step of the last plane, in steps of the first."""
        return self.planes[-1][0] / self.first_plane


_BAYER = {  # ROS names a pattern by its first two rows, OpenCV by the second row's middle.
    'bayer_rggb': cv2.COLOR_BayerBG2RGB, 'bayer_bggr': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg': cv2.COLOR_BayerGR2RGB, 'bayer_grbg': cv2.COLOR_BayerGB2RGB}
_UYVY = Encoding(PACKED_2, cv2.COLOR_YUV2RGB_UYVY, 2, even=(2, 1))
_YUYV = Encoding(PACKED_2, cv2.COLOR_YUV2RGB_YUY2, 2, even=(2, 1))

ENCODING_TABLE = {
    'rgb8': Encoding(PACKED_3, None, 3),
    'bgr8': Encoding(PACKED_3, cv2.COLOR_BGR2RGB, 3),
    '8UC3': Encoding(PACKED_3, cv2.COLOR_BGR2RGB, 3),
    'rgba8': Encoding(PACKED_4, cv2.COLOR_RGBA2RGB, 4),
    'bgra8': Encoding(PACKED_4, cv2.COLOR_BGRA2RGB, 4),
    '8UC4': Encoding(PACKED_4, cv2.COLOR_BGRA2RGB, 4),
    'mono8': Encoding(PACKED_1, cv2.COLOR_GRAY2RGB, 1),
    '8UC1': Encoding(PACKED_1, cv2.COLOR_GRAY2RGB, 1),
    'mono16': Encoding(PACKED_2, cv2.COLOR_GRAY2RGB, 1, 16, memory=4),
    'rgb16': Encoding(PACKED_6, None, 3, 16, memory=6),
    'bgr16': Encoding(PACKED_6, cv2.COLOR_BGR2RGB, 3, 16, memory=6),
    '16UC3': Encoding(PACKED_6, cv2.COLOR_BGR2RGB, 3, 16, memory=6),
    'rgba16': Encoding(PACKED_8, None, 4, 16, memory=6),
    'bgra16': Encoding(PACKED_8, cv2.COLOR_BGR2RGB, 4, 16, memory=6),
    '16UC4': Encoding(PACKED_8, cv2.COLOR_BGR2RGB, 4, 16, memory=6),
    'uyvy': _UYVY, 'yuv422': _UYVY, 'yuyv': _YUYV, 'yuv422_yuy2': _YUYV,
    'yvyu': Encoding(PACKED_2, cv2.COLOR_YUV2RGB_YVYU, 2, even=(2, 1)),
    'vyuy': Encoding(PACKED_2, memory=5, even=(2, 1)),
    **{encoding: Encoding(TWO_PLANES_420, even=(2, 2)) for encoding in ('nv12', 'nv21')},
    **{encoding: Encoding(THREE_PLANES_420, memory=4, even=(2, 2))
       for encoding in ('i420', 'yv12')},
    **{encoding: Encoding(TWO_PLANES_422, memory=5, even=(2, 1)) for encoding in ('nv16', 'nv61')},
    'yuv422p': Encoding(THREE_PLANES_422, memory=6, even=(2, 1)),
    **{encoding: Encoding(TWO_PLANES_444, memory=6) for encoding in ('nv24', 'nv42')},
    'yuv444': Encoding(PACKED_3, memory=3),
    'yuv444p': Encoding(THREE_PLANES_444, memory=6),
    **{f'{pattern}8': Encoding(PACKED_1, code, 1, least=4) for pattern, code in _BAYER.items()},
    **{f'{pattern}16': Encoding(PACKED_2, code, 1, 16, memory=4, least=4)
       for pattern, code in _BAYER.items()},
}
ENCODINGS = tuple(ENCODING_TABLE)
#: Names of drivers, in lower case without separators -> encoding. Upper and lower case, blanks
#: and separators of a known name need no row.
ALIASES = {
    **{name.lower().replace('_', ''): name for name in ENCODINGS},
    'yuv420': 'i420', 'yuv420p': 'i420', 'yu12': 'i420', 'iyuv': 'i420', 'yvu420': 'yv12',
    'yuy2': 'yuyv', 'yuv422yuyv': 'yuyv', 'yuv422uyvy': 'uyvy', 'i422': 'yuv422p',
    'i444': 'yuv444p', **dict.fromkeys(('gray', 'grey', 'gray8', 'grey8', 'y8'), 'mono8'),
    **dict.fromkeys(('gray16', 'grey16', 'y16'), 'mono16'),
    'rgb': 'rgb8', 'rgb3': 'rgb8', 'bgr': 'bgr8', 'bgr3': 'bgr8', 'rgba': 'rgba8', 'bgra': 'bgra8',
    'yuyv422': 'yuyv', 'uyvy422': 'uyvy', 'yuv4228': 'yuyv', 'yuv4228uyvy': 'uyvy',
    # 10, 12 or 14 bits, each value in two bytes. The packed kinds have other names.
    **{f'mono{bits}': 'mono16' for bits in (10, 12, 14)},
    **{f'{start}{bits}': f'{pattern}{8 if bits in ("8", "") else 16}' for pattern in _BAYER
       for start in (f'bayer{pattern[6:8]}', f'bayer{pattern[6:]}')
       for bits in ('', '8', '10', '12', '14', '16')},
}
_DEPTH_IMAGE = re.compile(r'(16UC1|16SC1|32SC1|32FC1|64FC1)', re.IGNORECASE)
_OTHER_NUMBERS = re.compile(r'(8|16|32|64)[USF]C\d+', re.IGNORECASE)


def find_encoding(name: str) -> str:
    """Return the encoding of a name, whatever its case, blanks and separators.

    Raises:
        EncodingError: The name is of a depth image, or unknown.
    """
    if name in ENCODING_TABLE:
        return name
    plain = re.sub(r'[\s_-]', '', name).lower()
    if plain in ALIASES:
        return ALIASES[plain]
    if _DEPTH_IMAGE.fullmatch(plain):
        raise EncodingError(f"encoding is '{name[:40]}', a depth image, wanted a color or gray "
                            'image: remap image to the topic of the camera, not of the depth')
    if _OTHER_NUMBERS.fullmatch(plain):
        raise EncodingError(f"encoding is '{name[:40]}', numbers without a meaning as an image, "
                            f'wanted one of {", ".join(ENCODINGS)}')
    raise EncodingError(f"encoding is '{name[:40]}', wanted one of {', '.join(ENCODINGS)}")


def read_raw_image(image: EncodedImage, depth: BitDepth | None = None) -> RawImage:
    """Check the fields of an image against each other, and find its pixels.

    YUV is BT.601 of limited range, as in OpenCV.

    Args:
        image: Fields of a message.
        depth: Significant bits of this camera's images, or None for an image by itself.

    Returns:
        A view of ``image.data`` where the encoding has 8 bits.

    Raises:
        EncodingError: The fields contradict each other, or the encoding is unknown.
    """
    encoding = image.encoding
    if encoding not in ENCODING_TABLE:
        encoding = find_encoding(encoding)
    entry = ENCODING_TABLE[encoding]
    data = memoryview(image.data)
    if encoding == 'yuv444' and image.width <= image.step < 3 * image.width:
        encoding, entry = 'yuv444p', ENCODING_TABLE['yuv444p']  # Only planes have such a step.
    step, remarks = _find_step(image, encoding, entry, data.nbytes)
    width, height, channels = image.width, image.height, entry.channels
    if len(entry.planes) > 1:
        planes = _planes(data, step, image, entry)
    elif entry.bits == 16:
        return _read_16_bits(data, step, image, entry, depth or BitDepth(), remarks)
    elif channels:
        # A strided view skips the padding of a row without a copy. The last row may lack it.
        shape = (height, width, channels)[:2 if channels == 1 else 3]
        strides = (step, channels, 1)[:len(shape)]
        return RawImage(np.ndarray(shape, np.uint8, data, strides=strides), entry.conversion,
                        remarks=remarks)
    else:
        planes = [np.ndarray((height, width * int(entry.planes[0][0])), np.uint8, data,
                             strides=(step, 1))]
    pixels, conversion, chroma = YUV_READERS[encoding](*planes)
    return RawImage(pixels, conversion, chroma, remarks)


def _find_step(image: EncodedImage, encoding: str, entry: Encoding,
               length: int) -> tuple[int, tuple[Remark, ...]]:
    """Check the fields of an image of ``length`` bytes against each other.

    Returns:
        The true distance of two rows, and what is worth knowing of it.
    """
    width, height, step = image.width, image.height, image.step
    # The three comparisons of a good image come first, without a call.
    if not (0 < width and 0 < height and width * height * max(entry.memory, 4) <= MAX_BYTES):
        check_size('size', width, height, entry.memory)
    if width % entry.even[0] or height % entry.even[1] or min(width, height) < entry.least:
        _refuse_size(image, encoding, entry)
    row, rows = entry.first_plane * width, entry.rows_per_row * height
    # The last row may have no padding.
    if step >= row and length >= step * rows - (step - row) * entry.last_plane:
        return step, ()
    tight = int(row * rows)
    # In planes, some drivers divide all bytes by the height. A step below a row means nothing.
    if length == tight and (step < row or step * height == tight):
        if step < row and encoding == 'yuv444':
            raise EncodingError(f'step is {step}, wanted {3 * width} (packed) or {width} (planes) '
                                f'for a width of {width} in yuv444')
        return int(row), (Remark('image_layout', f'step is {step}, but the rows of {width} pixels '
                                 f'in {encoding} follow each other without a gap; taken as '
                                 f'{int(row)}', step < row),)
    if step < row:
        raise EncodingError(f'step is {step}, wanted at least {int(row)} for a width of {width} '
                            f'in {encoding}')
    if encoding in ('nv12', 'nv21', 'i420', 'yv12') and length == step * height:
        # Either the rows of color are counted as well, or they lack. Nobody can tell which.
        raise EncodingError(f'height is {height}, wanted that of the image without color, '
                            f'{height * 2 // 3}, for {length} bytes of {encoding} and a step of '
                            f'{step}')
    raise EncodingError(f'data has {length} bytes, wanted {int(step * rows)}: {int(rows)} rows of '
                        f'a step of {step}')


def _refuse_size(image: EncodedImage, encoding: str, entry: Encoding) -> None:
    """Say which side of an image does not fit its encoding."""
    if min(image.width, image.height) < entry.least:
        raise EncodingError(f'size is {image.width}x{image.height}, wanted at least '
                            f'{entry.least}x{entry.least} for {encoding}')
    for name, value, multiple in (('width', image.width, entry.even[0]),
                                  ('height', image.height, entry.even[1])):
        if value % multiple:
            raise EncodingError(f'{name} is {value}, wanted an even one for {encoding}')


def _planes(data: memoryview, step: int, image: EncodedImage, entry: Encoding
            ) -> list[np.ndarray]:
    """Return the planes as (rows, bytes) views."""
    first, start, planes = entry.planes[0][0], 0, []
    for size, divisor in entry.planes:
        stride, rows = int(step * size / first), image.height // divisor
        planes.append(np.ndarray((rows, int(image.width * size)), np.uint8, data, start,
                                 (stride, 1)))
        start += stride * rows
    return planes


def _read_16_bits(data: memoryview, step: int, image: EncodedImage, entry: Encoding,
                  depth: BitDepth, remarks: tuple[Remark, ...]) -> RawImage:
    """Reduce samples of 16 bits to an image of 8 bits. Alpha is cut off."""
    shape = (image.height, image.width, 3)[:2 if entry.channels == 1 else 3]
    samples = np.ndarray(shape, '>u2' if image.is_bigendian else '<u2', data,
                         strides=(step, 2 * entry.channels, 2)[:len(shape)])
    reduced, remark = depth.to_uint8(samples)
    return RawImage(reduced, entry.conversion, remarks=(*remarks, remark))
