"""The chunks of a PNG file, read before a decoder sees the file (PNG specification, chapter 5)."""

from __future__ import annotations

from enet_ros.perception.images.raw_image import EncodingError, check_size

SIGNATURE = b'\x89PNG\r\n\x1a\n'
#: Color type -> (channels in the file, allowed bits, channels of the image)
_COLOR_TYPES = {0: (1, (1, 2, 4, 8, 16), 1), 2: (3, (8, 16), 3), 3: (1, (1, 2, 4, 8), 3),
                4: (2, (8, 16), 3), 6: (4, (8, 16), 3)}
_MAX_INFLATION = 1032  # of deflate: 258 bytes by two codes of one bit each
_NEEDED = (b'IHDR', b'PLTE', b'IDAT', b'IEND')


def check_png(view: memoryview) -> bytes | memoryview:
    """Check the lengths and the size of a PNG file.

    The decoder itself refuses a wrong checksum, and pixels that are missing.

    Args:
        view: The file. Bytes after its end do not matter.

    Returns:
        The chunks that make the image. An animation becomes its first image.

    Raises:
        EncodingError: The file is cut short, contradicts itself, or is above a limit.
    """
    chunks = _list_chunks(view)
    if chunks[0][0] != b'IHDR' or chunks[0][2] - chunks[0][1] != 25:
        raise EncodingError('the PNG does not start with its header, wanted a whole PNG')
    _check_header(view[16:29], sum(end - start - 12 for name, start, end in chunks
                                   if name == b'IDAT'))
    if all(name in _NEEDED for name, _, _ in chunks):
        return view[:chunks[-1][2]]
    return b''.join((SIGNATURE, *(view[start:end] for name, start, end in chunks
                                  if name in _NEEDED)))


def _list_chunks(view: memoryview) -> list[tuple[bytes, int, int]]:
    """Return (name, start, end) of each chunk up to IEND."""
    at, chunks = len(SIGNATURE), []
    while at + 12 <= len(view):
        length, name = int.from_bytes(view[at:at + 4], 'big'), bytes(view[at + 4:at + 8])
        if at + 12 + length > len(view):
            raise EncodingError(f'the PNG of {len(view)} bytes is cut short or false: its chunk '
                                f'{name!r} says {length} bytes, {len(view) - at - 12} are there')
        chunks.append((name, at, at + 12 + length))
        if name == b'IEND':
            return chunks
        at += 12 + length
    raise EncodingError(f'the PNG of {len(view)} bytes is cut short: it has no end')


def _check_header(fields: memoryview, data_bytes: int) -> None:
    """Check the size against the limits, and against the bytes that the file has."""
    width, height = int.from_bytes(fields[:4], 'big'), int.from_bytes(fields[4:8], 'big')
    bits, color_type = fields[8], fields[9]
    channels, allowed, image_channels = _COLOR_TYPES.get(color_type, (0, (), 0))
    if bits not in allowed:
        raise EncodingError(f'the PNG has color type {color_type} with {bits} bits, wanted a kind '
                            'of the PNG specification')
    # OpenCV holds the image twice while it decodes.
    check_size('the PNG', width, height, image_channels * (4 if bits == 16 else 2))
    wanted = width * height * channels * bits // 8
    if wanted > data_bytes * _MAX_INFLATION:
        raise EncodingError(f'the PNG is {width}x{height} by its header, but is cut short or '
                            f'false: it has {data_bytes} bytes of pixels, wanted at least '
                            f'{wanted // _MAX_INFLATION}')
