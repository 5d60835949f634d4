"""The chunks of a WebP file, read before a decoder sees the file (RFC 9649)."""

from __future__ import annotations

from enet_ros.perception.images.raw_image import EncodingError, check_size

_MEMORY = {b'VP8 ': 4.5, b'VP8L': 7}  # bytes per pixel of the image and of what lies between


def check_webp(view: memoryview) -> memoryview:
    """Check the lengths and the size of a WebP file.

    A WebP file has no checksum, so damage that keeps its lengths may not be noticed.

    Args:
        view: The file. Bytes after its end do not matter.

    Returns:
        The file without what follows it.

    Raises:
        EncodingError: The file is cut short, contradicts itself, or is above a limit.
    """
    end = 8 + int.from_bytes(view[4:8], 'little')
    if end > len(view) or end < 20:
        raise EncodingError(f'the WebP of {len(view)} bytes is cut short: its header says {end}')
    view, at = view[:end], 12
    while at + 8 <= end:
        name, length = bytes(view[at:at + 4]), int.from_bytes(view[at + 4:at + 8], 'little')
        if at + 8 + length > end:
            raise EncodingError(f'the WebP of {end} bytes is false: its chunk {name!r} says '
                                f'{length} bytes, {end - at - 8} are there')
        body = view[at + 8:at + 8 + length]
        if name == b'VP8X' and length >= 10:
            check_size('the WebP', 1 + int.from_bytes(body[4:7], 'little'),
                       1 + int.from_bytes(body[7:10], 'little'), 7)
        elif name == b'ANIM':
            raise EncodingError('the WebP is an animation, wanted one image')
        elif name in _MEMORY:
            check_size('the WebP', *_image_size(name, body), _MEMORY[name])
            return view
        at += 8 + length + length % 2
    raise EncodingError(f'the WebP of {end} bytes has no image, wanted a whole WebP')


def _image_size(name: bytes, body: memoryview) -> tuple[int, int]:
    """Return (width, height) from the start of an image's bit stream."""
    if name == b'VP8L' and len(body) >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], 'little')
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if name == b'VP8 ' and len(body) >= 10 and body[3:6] == b'\x9d\x01\x2a':
        return (int.from_bytes(body[6:8], 'little') & 0x3FFF,
                int.from_bytes(body[8:10], 'little') & 0x3FFF)
    raise EncodingError(f'the WebP has a damaged {name.decode()} header, wanted a whole WebP')
