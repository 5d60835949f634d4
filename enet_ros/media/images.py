"""Image files, read as they are shown, and written as PNG.

Pillow reads what a file says of itself. The pixels of JPEG, PNG, TIFF and WebP come from the
decoder of the node's topics, so a file gives the same pixels here and there, and the same refusal.
"""

from __future__ import annotations

import io
import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from enet_ros.common.whole_files import unfinished
from enet_ros.media.files import SourceError, describe_start, read_bytes
from enet_ros.media.orientation import AS_STORED, TAG, orient
from enet_ros.perception.images.bit_depth import BitDepth
from enet_ros.perception.images.raw_image import (
    MAX_BYTES,
    MAX_PIXELS,
    CompressedFile,
    EncodingError,
)
from enet_ros.perception.images.read_compressed import read_compressed

#: Kinds of files that are read, whatever their names. Pillow reads others by running programs.
FORMATS = ('PNG', 'JPEG', 'BMP', 'TIFF', 'WEBP', 'PPM')

#: Kinds that the decoder of the topics reads. The others keep their pixels as they are.
STRICT_FORMATS = ('PNG', 'JPEG', 'TIFF', 'WEBP')
#: Kinds whose pixels nothing but that decoder needs. Labels are PNG, whose numbers Pillow reads.
READ_ONCE = ('JPEG', 'TIFF', 'WEBP')


@dataclass(frozen=True)
class StoredImage:
    """An image file that was read.

    Attributes:
        image: The pixels, by Pillow.
        data: The content of the file.
        rawmode: How a sample is stored, in Pillow's words: 'L;2' has two bits.
        kind: One of FORMATS.
        orientation: Value of the EXIF tag, 1 (as stored) where there is none.
        remaining: Value of the tag that is still to be applied to ``image``. Newer versions of
            Pillow rotate TIFF files themselves.
    """

    image: Image.Image
    data: bytes
    rawmode: str
    kind: str
    orientation: int
    remaining: int


def open_image(path: Path) -> StoredImage:
    """Read an image file, with its size checked before its pixels take memory.

    The pixels of the kinds in ``READ_ONCE`` are left to :func:`as_shown`.

    Raises:
        SourceError: The file is unreadable, damaged, cut short or too large, or is no image.
    """
    try:
        return decode_image_file(read_bytes(path))
    except SourceError as error:
        raise SourceError(f"'{path}' cannot be read as an image: {error}") from error


def decode_image_file(data: bytes) -> StoredImage:
    """Decode the content of an image file.

    Raises:
        SourceError: See :func:`open_image`; the message is the reason alone.
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
    # Cameras put previews or the other eye's image behind the first one. Pillow names that MPO.
    kind = 'JPEG' if image.format == 'MPO' else str(image.format)
    if kind not in READ_ONCE:
        image.load()
    return StoredImage(image, data, rawmode, kind, orientation, _orientation(image))


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

    EXIF orientation is applied; transparency is dropped; 16 bits become 8 by the significant bits
    of the file (:class:`enet_ros.perception.images.bit_depth.BitDepth`).

    Raises:
        SourceError: See :func:`open_image`.
    """
    stored = open_image(path)
    try:
        return as_shown(stored)
    except SourceError as error:
        raise SourceError(f"'{path}' cannot be read as an image: {error}") from error


def as_shown(stored: StoredImage) -> np.ndarray:
    """Return an image as :func:`read_image` does.

    Raises:
        SourceError: The decoder lost pixels; the message is the reason alone.
    """
    if stored.kind in STRICT_FORMATS:
        try:
            rgb = read_compressed(CompressedFile(memoryview(stored.data))).rgb()
        except EncodingError as error:
            raise SourceError(str(error)) from error
        return orient(rgb, stored.orientation)
    image = stored.image
    if image.mode.startswith('I'):
        gray, _ = BitDepth().to_uint8(np.asarray(image).astype(np.uint16))
        return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    return np.array(image if image.mode == 'RGB' else image.convert('RGB'))


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write an image as a PNG file, which is whole or not there.

    Args:
        path: Path of the file.
        image: (H, W, 3) uint8 RGB, or (H, W) uint8.

    Raises:
        OSError: The file cannot be written.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    good, data = cv2.imencode('.png', image)
    if not good:
        raise OSError(f'{path} cannot be written')
    target = Path(os.path.realpath(path))  # a link stays one
    new = unfinished(target)
    try:
        new.write_bytes(data)
        os.replace(new, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            new.unlink()
