"""The first directory of a TIFF file, read before a decoder sees the file (TIFF 6.0, BigTIFF).

OpenCV's decoder turns images by their orientation, passes damaged strips on, and believes every
size. So this module checks what the directory promises, unpacks the strips that can be checked,
and takes the orientation out.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from enum import IntEnum

from enet_ros.perception.images.formats.tiff_lzw import count_lzw, count_packbits
from enet_ros.perception.images.raw_image import EncodingError, check_size

SIGNATURES = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')


class Tag(IntEnum):
    """The tags that are read. TIFF 6.0 calls starts StripOffsets, and lengths StripByteCounts."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    STRIP_STARTS = 273
    ORIENTATION = 274
    CHANNELS = 277
    ROWS_PER_STRIP = 278
    STRIP_LENGTHS = 279
    PLANAR = 284
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_STARTS = 324
    TILE_LENGTHS = 325
    ALPHA = 338
    SAMPLE_FORMAT = 339


_TYPE_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}  # BYTE, SHORT, LONG, LONG8
_NONE, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS = 1, 5, 8, 32946, 32773
#: Compression -> bytes of pixels for each byte of the file, at most
_MAX_INFLATION = {_NONE: 1, _LZW: 1400, _DEFLATE: 1033, _OLD_DEFLATE: 1033, _PACKBITS: 64}
_COUNTERS = {_LZW: count_lzw, _PACKBITS: count_packbits}
#: Photometric interpretation -> (channels that make the color, bits that are read)
_PHOTOMETRIC = {0: (1, (1, 8)), 1: (1, (1, 8, 16)), 2: (3, (8, 16)), 3: (1, (8,)), 5: (4, (8,))}
#: Tag -> value by which OpenCV gives the pixels as stored.
_AS_STORED = {Tag.ORIENTATION: 1, Tag.ALPHA: 1}
#: Tags of many numbers that are needed.
_NEEDED = (Tag.BITS, Tag.STRIP_STARTS, Tag.STRIP_LENGTHS, Tag.TILE_STARTS, Tag.TILE_LENGTHS,
           Tag.SAMPLE_FORMAT)
_MAX_PIECES = 8_192  # Each takes some 50 us to check.
#: Most bytes that all tiles unpack to, beside twice the image: tiles at the borders are padded.
_MAX_PADDING = 16 << 20


@dataclass
class TiffDirectory:
    """The tags of one image.

    Attributes:
        order: Byte order of the numbers.
        tags: Tag -> numbers.
        positions: Tag -> position of the first number.
    """

    order: str
    tags: dict[int, list[int]] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)

    def first(self, tag: int, default: int = 0) -> int:
        """Return the first number of a tag, or a default if it is absent."""
        return (self.tags.get(tag) or [default])[0]


def check_tiff(view: memoryview) -> bytes | memoryview:
    """Check the size, the kind and the strips of the first image of a TIFF file.

    Args:
        view: The file.

    Returns:
        The file. If it has an orientation, or an alpha that OpenCV would multiply into the
        colors, a copy without it.

    Raises:
        EncodingError: The file is cut short, damaged, of a kind that is not read, or above a
            limit.
    """
    directory = _read_directory(view)
    row_bytes = _check_kind(directory)
    _check_pieces(view, directory, row_bytes)
    changes = [directory.positions[tag] for tag, value in _AS_STORED.items()
               if directory.first(tag, value) != value]
    if not changes:
        return view
    as_stored = bytearray(view)
    for at in changes:
        as_stored[at:at + 2] = (1).to_bytes(2, directory.order)
    return as_stored


def _read_directory(view: memoryview) -> TiffDirectory:
    """Read the tags of the first image whose values are whole numbers."""
    order, is_big = 'little' if view[0] == 0x49 else 'big', 0x2B in (view[2], view[3])
    word, entry_size, count_size = (8, 20, 8) if is_big else (4, 12, 2)

    def number(at: int, size: int) -> int:
        if at + size > len(view):
            raise EncodingError(f'the TIFF of {len(view)} bytes is cut short: byte {at} is wanted')
        return int.from_bytes(view[at:at + size], order)

    directory = TiffDirectory(order)
    at = number(8 if is_big else 4, word)
    entries, at = number(at, count_size), at + count_size
    if entries > 1000:
        raise EncodingError(f'the TIFF has {entries} tags, wanted fewer than 1000')
    for start in range(at, at + entries * entry_size, entry_size):
        tag, kind, count = number(start, 2), number(start + 2, 2), number(start + 4, word)
        size = _TYPE_SIZES.get(kind)
        if size is None or not count:
            continue
        if count > _MAX_PIECES:
            if tag in _NEEDED:
                raise EncodingError(f'the TIFF has {count} numbers in tag {tag}, wanted at most '
                                    f'{_MAX_PIECES}')
            continue
        value_at = start + 4 + word
        if count * size > word:
            value_at = number(value_at, word)
        number(value_at + count * size - 1, 1)
        directory.tags[tag] = [number(value_at + i * size, size) for i in range(count)]
        directory.positions[tag] = value_at
    return directory


def _check_kind(directory: TiffDirectory) -> int:
    """Check size and kind. Return the bytes of a row."""
    width, height = directory.first(Tag.WIDTH), directory.first(Tag.HEIGHT)
    bits, channels = directory.tags.get(Tag.BITS, [1]), directory.first(Tag.CHANNELS, 1)
    if set(directory.tags.get(Tag.SAMPLE_FORMAT, [1])) != {1}:
        raise EncodingError('the TIFF holds floating-point or signed numbers, such as a depth '
                            'image, wanted 8 or 16 bits without a sign')
    photometric = directory.first(Tag.PHOTOMETRIC, -1)
    compression = directory.first(Tag.COMPRESSION, _NONE)
    color_channels, allowed = _PHOTOMETRIC.get(photometric, (0, ()))
    if len(set(bits)) != 1 or bits[0] not in allowed or not color_channels <= channels <= 5:
        raise EncodingError(f'the TIFF has {channels} channels of {bits[0]} bits and photometric '
                            f'interpretation {photometric}, wanted gray or color of 8 or 16 bits')
    if channels > 1 and directory.first(Tag.PLANAR, 1) != 1:
        raise EncodingError('the TIFF has its channels in planes, wanted them side by side')
    if compression not in _MAX_INFLATION:
        raise EncodingError(f'the TIFF has compression {compression}, wanted none, LZW, Deflate '
                            'or PackBits')
    # OpenCV decodes by way of a strip, which may be the whole image: of RGBA, or of 16 bits, which
    # are reduced to 8 after it.
    image_channels = 3 if channels > 1 or photometric == 3 else 1
    check_size('the TIFF', width, height, 2 * channels + 3 * image_channels if bits[0] == 16
               else 4 + image_channels)
    return (width * channels * bits[0] + 7) // 8


def _check_pieces(view: memoryview, directory: TiffDirectory, row_bytes: int) -> None:
    """Check that each strip or tile lies in the file and has as many bytes as it needs."""
    width, height = directory.first(Tag.WIDTH), directory.first(Tag.HEIGHT)
    is_tiled = Tag.TILE_WIDTH in directory.tags
    if is_tiled:
        across, down = directory.first(Tag.TILE_WIDTH), directory.first(Tag.TILE_HEIGHT)
        if not (16 <= across <= 8192 and 16 <= down <= 8192):
            raise EncodingError(f'the TIFF has tiles of {across}x{down}, wanted 16 to 8192')
        pixel_bits = directory.first(Tag.CHANNELS, 1) * directory.first(Tag.BITS, 1)
        tile_row = (across * pixel_bits + 7) // 8
        sizes = [tile_row * down] * (-(-width // across) * -(-height // down))
    else:
        rows = min(directory.first(Tag.ROWS_PER_STRIP, height), height) or height
        sizes = [row_bytes * min(rows, height - start) for start in range(0, height, rows)]
    starts = directory.tags.get(Tag.TILE_STARTS if is_tiled else Tag.STRIP_STARTS, [])
    lengths = directory.tags.get(Tag.TILE_LENGTHS if is_tiled else Tag.STRIP_LENGTHS, [])
    if not len(sizes) == len(starts) == len(lengths):
        raise EncodingError(f'the TIFF has {len(starts)} pieces, wanted {len(sizes)} for '
                            f'{width}x{height}')
    _check_unpacked(sum(sizes), row_bytes * height)
    compression = directory.first(Tag.COMPRESSION, _NONE)
    for start, length, wanted in zip(starts, lengths, sizes):
        if start + length > len(view):
            raise EncodingError(f'the TIFF of {len(view)} bytes is cut short: a piece ends at '
                                f'byte {start + length}')
        if length * _MAX_INFLATION[compression] < wanted:
            raise EncodingError(f'the TIFF is {width}x{height} by its directory, but is damaged '
                                f'or false: a piece has {length} bytes')
        _check_piece(view[start:start + length], compression, wanted)


def _check_unpacked(unpacked: int, image_bytes: int) -> None:
    """Check that the pieces do not unpack to far more than the image has."""
    if unpacked > 2 * image_bytes + _MAX_PADDING:
        raise EncodingError(f'the TIFF of {image_bytes} bytes of pixels has tiles of {unpacked} '
                            f'bytes, wanted at most {2 * image_bytes + _MAX_PADDING}')


def _check_piece(piece: memoryview, compression: int, wanted: int) -> None:
    """Check that a compressed strip or tile unpacks to as many bytes as it must."""
    if compression in (_DEFLATE, _OLD_DEFLATE):
        unpacker = zlib.decompressobj()
        try:
            count = len(unpacker.decompress(piece, wanted + 1))
        except zlib.error as error:
            raise EncodingError(f'the TIFF is damaged: {error}') from error
        is_whole = count == wanted and unpacker.eof
    elif compression in _COUNTERS:
        count = _COUNTERS[compression](piece, wanted)
        is_whole = count == wanted
    else:
        return
    if not is_whole:
        raise EncodingError(f'the TIFF is damaged: a piece unpacks to {count} bytes, wanted '
                            f'{wanted}')
