"""Image files, read by Pillow as they are shown, and written as PNG."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from enet_ros.media.files import SourceError, describe_start, read_bytes
from enet_ros.media.orientation import AS_STORED, TAG, orient

#: Kinds of files that are read, whatever their names. Pillow reads others by running programs.
FORMATS = ('PNG', 'JPEG', 'BMP', 'TIFF', 'WEBP', 'PPM')

MAX_PIXELS = 64_000_000
MAX_BYTES = 256_000_000  # of the pixels as stored

#: Significant bits that cameras put into 16.
BIT_DEPTHS = (8, 10, 12, 14, 16)


@dataclass(frozen=True)
class StoredImage:
    """An image file that was read whole.

    Attributes:
        image: the pixels, by Pillow.
        data: the content of the file.
        rawmode: how a sample is stored, in Pillow's words: 'L;2' has two bits.
        orientation: value of the EXIF tag, 1 (as stored) where there is none.
        remaining: value of the tag that is still to be applied to ``image``. Newer versions of
            Pillow turn TIFF files by themselves.
    """

    image: Image.Image
    data: bytes
    rawmode: str
    orientation: int
    remaining: int


def open_image(path: Path) -> StoredImage:
    """Read an image file whole, with its size checked before its pixels take memory.

    Raises:
        SourceError: the file is unreadable, damaged, cut short or too large, or is no image.
    """
    try:
        return decode_image(read_bytes(path))
    except SourceError as error:
        raise SourceError(f"'{path}' cannot be read as a picture: {error}") from error


def decode_image(data: bytes) -> StoredImage:
    """Decode the content of an image file.

    Raises:
        SourceError: see :func:`open_image`; the message is the reason alone.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about odd metadata and large sizes
            return _decode(data)
    except SourceError:
        raise
    except Image.UnidentifiedImageError as error:
        raise SourceError(describe_start(data)) from error
    except Image.DecompressionBombError as error:
        raise SourceError(f'it has more than {MAX_PIXELS // 10**6} million pixels') from error
    except Exception as error:  # damaged files make Pillow's readers raise whatever comes
        raise SourceError(f'it is damaged or cut short ({error})') from error


def _decode(data: bytes) -> StoredImage:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    rawmode = _rawmode(image)
    _check_size(image, rawmode)
    if image.mode == 'F':
        raise SourceError('it holds floating-point numbers, as depth images do; wanted 8 or 16 '
                          'bits')
    if image.format == 'PNG':
        Image.open(io.BytesIO(data)).verify()  # checksums, which load() passes over
    orientation = _orientation(image)
    image.load()
    return StoredImage(image, data, rawmode, orientation, _orientation(image))


def _rawmode(image: Image.Image) -> str:
    """Return how samples are stored; it is known only before the pixels are read."""
    arguments = image.tile[0][3] if image.tile else ''
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else image.mode


def _check_size(image: Image.Image, rawmode: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise SourceError(f'it says {width}x{height}, wanted at most {MAX_PIXELS // 10**6} '
                          'million pixels')
    sample_bytes = 4 if image.mode in ('I', 'F') else 2 if '16' in rawmode + image.mode else 1
    size = width * height * len(image.getbands()) * sample_bytes
    if size > MAX_BYTES:
        raise SourceError(f'its pixels take {size // 10**6} MB, wanted at most '
                          f'{MAX_BYTES // 10**6}')


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; damaged EXIF data is none, as for other viewers."""
    try:
        value = image.getexif().get(TAG, AS_STORED)
    except SourceError:
        raise
    except Exception:
        if image.format == 'PNG':  # the pixels are read on the way to the tag
            raise
        return AS_STORED
    return value if value in range(1, 9) else AS_STORED


def read_image(path: Path) -> np.ndarray:
    """Read an image file as it is shown, (H, W, 3) uint8 RGB.

    EXIF orientation is applied; transparency is dropped; 16 bits become 8 by the greatest value
    of the file (:func:`to_eight_bits`).

    Raises:
        SourceError: see :func:`open_image`.
    """
    return as_shown(open_image(path))


def as_shown(stored: StoredImage) -> np.ndarray:
    """Return a picture as :func:`read_image` does."""
    if '16' in stored.rawmode or stored.image.mode.startswith('I'):
        return _read_deep(stored)
    image = stored.image
    rgb = np.array(image if image.mode == 'RGB' else image.convert('RGB'))
    return orient(rgb, stored.remaining)


def _read_deep(stored: StoredImage) -> np.ndarray:
    """Return an image of 16 bits as shown, (H, W, 3) uint8 RGB."""
    if stored.image.mode.startswith('I'):
        grey = to_eight_bits(np.asarray(stored.image))
        return orient(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), stored.remaining)
    # Pillow has no colours of 16 bits: it would take the upper half of each, black for 10 bits.
    deep = cv2.imdecode(np.frombuffer(stored.data, np.uint8), cv2.IMREAD_UNCHANGED)
    channels = 1 if deep is None or deep.ndim == 2 else deep.shape[2]
    if channels < 3:  # grey with transparency, which OpenCV may reduce to grey
        rgb = np.array(stored.image.convert('RGB')) if deep is None else cv2.cvtColor(
            to_eight_bits(deep[..., 0] if deep.ndim == 3 else deep), cv2.COLOR_GRAY2RGB)
        return orient(rgb, stored.orientation)
    rgb = cv2.cvtColor(to_eight_bits(deep[..., :3]), cv2.COLOR_BGR2RGB)
    return orient(rgb, stored.orientation)


def to_eight_bits(deep: np.ndarray) -> np.ndarray:
    """Return samples of 16 bits in 8.

    How many bits are significant is seen from the greatest value: the least of 8, 10, 12, 14 and
    16 bits that hold it. A camera of 10 bits would otherwise give a black picture.

    Args:
        deep: of any shape, integers from 0 to 65535.

    Returns:
        uint8 of the same shape.
    """
    bits = int(deep.max(initial=0)).bit_length()
    shift = next((depth for depth in BIT_DEPTHS if depth >= bits), 16) - 8
    return np.clip(deep >> shift, 0, 255).astype(np.uint8)


def write_picture(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write an image as a PNG file.

    Args:
        path: of the file.
        image: (H, W, 3) uint8 RGB, or (H, W) uint8.

    Raises:
        OSError: the file cannot be written.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    good, data = cv2.imencode('.png', image)
    if not good:
        raise OSError(f'{path} cannot be written')
    with open(path, 'wb') as file:
        file.write(data)
