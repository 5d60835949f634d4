"""Images between the message and RGB: the records, the limits, and what a reader remarks.

Nothing here knows ROS. :class:`EncodedImage` and :class:`CompressedFile` have the fields of the
messages, and :class:`RawImage` is what the readers make of them.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import cv2
import numpy as np

from enet_ros.common.one_line_error import OneLineError
from enet_ros.network.resolution import MAX_PIXELS
from enet_ros.perception.resize import resize_frame

MAX_BYTES = 256_000_000  # of the memory that decoding one frame takes

#: Conversions that copy the channels of each pixel. They commute with a resize.
_COPY_CHANNELS = frozenset({cv2.COLOR_BGR2RGB, cv2.COLOR_RGBA2RGB, cv2.COLOR_BGRA2RGB,
                            cv2.COLOR_GRAY2RGB})


class EncodingError(OneLineError):
    """A frame that cannot be read. The message names the value and what was wanted."""


def check_size(what: str, width: int, height: int, bytes_per_pixel: float) -> None:
    """Check the size of an image before memory is taken for it.

    Args:
        what: Name of the image for the message, such as 'the PNG'.
        width: In pixels.
        height: In pixels.
        bytes_per_pixel: Memory that decoding takes for each pixel, all in all.

    Raises:
        EncodingError: The image is empty, or larger than a limit.
    """
    if width < 1 or height < 1:
        raise EncodingError(f'{what} is {width}x{height}, wanted at least 1x1')
    if width * height > MAX_PIXELS:
        raise EncodingError(f'{what} is {width}x{height}, wanted at most 64 MP')
    if width * height * bytes_per_pixel > MAX_BYTES:
        raise EncodingError(
            f'{what} is {width}x{height} and would take '
            f'{width * height * bytes_per_pixel / 1e6:.0f} MB, wanted at most 256 MB')


@dataclass(frozen=True)
class EncodedImage:
    """The fields of sensor_msgs/Image that say what its pixels are, as they came.

    Attributes:
        data: A buffer of bytes.
        encoding: A name in ``ENCODINGS`` or in ``ALIASES``, if it can be read.
        width: In pixels.
        height: In pixels. For YUV in planes this is the height of the image. The data has more
            rows, which hold the colors.
        step: Bytes from one row to the next, of the first plane.
        is_bigendian: Byte order of 16-bit samples.
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
    """The fields of sensor_msgs/CompressedImage, as they came.

    Attributes:
        data: The bytes of the file.
        format: What the sender says of it, such as 'bgr8; jpeg compressed bgr8', or ''.
    """

    data: memoryview
    format: str = ''


@dataclass(frozen=True)
class Remark:
    """What a reader has to say of an image that it could read.

    Attributes:
        fact: Key in the diagnostics.
        value: Its value.
        is_warning: Whether the sender should be mended.
    """

    fact: str
    value: str
    is_warning: bool = False


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
        chroma: The (H / 2, W / 2, 2) uint8 colors of YUV 4:2:0, or None.
        remarks: What is worth knowing of the image, mostly nothing.
    """

    pixels: np.ndarray
    conversion: int | None = None
    chroma: np.ndarray | None = None
    remarks: tuple[Remark, ...] = ()

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
