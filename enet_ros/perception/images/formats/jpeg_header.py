"""The markers of a JPEG file (ITU T.81), read before a decoder sees the file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from enet_ros.perception.images.raw_image import EncodingError, check_size

SOI, EOI, SOS, DQT, DHT, DRI = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Number of components -> bytes per pixel of the decoded image and what is made of it.
_MEMORY = {1: 1, 3: 3, 4: 7}
_PROCESSES = {0xC0: 'baseline', 0xC1: 'extended', 0xC2: 'progressive'}
#: Most scans after the first of a file whose image is spread over several. Encoders write about
#: ten. A scan of a few bytes can take the time of a whole image, so large images may have fewer.
_MOST_SCANS, _MOST_SCANNED_PIXELS, _ALLOWED_SCANS = 100, 400_000_000, 16
#: What ends a piece of a scan: any marker but a restart. A fill byte is no marker yet.
_END_OF_SCAN = re.compile(rb'\xff[^\x00\xd0-\xd7\xff]')


@dataclass
class JpegHeader:
    """What stands before the first scan.

    Attributes:
        width: In pixels.
        height: In pixels.
        process: 'baseline', 'extended' or 'progressive'.
        sampling: (horizontal, vertical) sampling factors of each component.
        frame_at: Position of the frame header's length.
        scan_at: Position of the first byte of the first scan.
        scan_components: Number of components in the first scan.
        restart_interval: Number of MCUs between two restart markers, or 0.
        adobe_at: Position of the color transform in Adobe's marker, or 0.
        segments: (marker, start of the marker, end) of what a decoder needs.
    """

    width: int = 0
    height: int = 0
    process: str = ''
    sampling: tuple[tuple[int, int], ...] = ()
    frame_at: int = 0
    scan_at: int = 0
    scan_components: int = 0
    restart_interval: int = 0
    adobe_at: int = 0
    segments: list[tuple[int, int, int]] | None = None

    @property
    def mcu_size(self) -> tuple[int, int]:
        """Width and height of an MCU of the first scan, in pixels (T.81, A.2)."""
        if len(self.sampling) == 1:
            return 8, 8
        return 8 * max(h for h, _ in self.sampling), 8 * max(v for _, v in self.sampling)

    @property
    def is_whole_in_first_scan(self) -> bool:
        """Whether the first scan has the whole image. Otherwise it is spread over several."""
        return self.process != 'progressive' and self.scan_components == len(self.sampling)

    def count_mcus(self) -> int:
        """Return the number of MCUs of an interleaved scan."""
        across, down = self.mcu_size
        return math.ceil(self.width / across) * math.ceil(self.height / down)

    def count_blocks(self) -> int:
        """Return the number of 8x8 blocks that the image needs at least."""
        most_h, most_v = (max(factors) for factors in zip(*self.sampling))
        return sum(math.ceil(self.width * h / (8 * most_h)) * math.ceil(
            self.height * v / (8 * most_v)) for h, v in self.sampling)


def read_jpeg_header(view: memoryview) -> JpegHeader:
    """Read the markers up to the first scan, and check what they promise.

    Args:
        view: The file, which starts with SOI.

    Raises:
        EncodingError: The file is cut short, too large, or of a kind that is not read.
    """
    header, at = JpegHeader(segments=[]), 2
    for marker, start, end in _segments(view, at):
        if marker in _FRAME_HEADERS:
            _read_frame_header(header, view[start + 4:end], marker)
            header.frame_at = start + 2
        elif marker == DRI and end >= start + 6:
            header.restart_interval = view[start + 4] << 8 | view[start + 5]
        elif marker == 0xEE and end >= start + 16 and view[start + 4:start + 9] == b'Adobe':
            header.adobe_at = start + 15
        elif marker == SOS:
            header.scan_at = end
            header.scan_components = view[start + 4] if end > start + 4 else 0
        elif marker == EOI:
            break
        if marker in (DQT, DHT, SOS, 0xEE) or marker in _FRAME_HEADERS:
            header.segments.append((marker, start, end))
    if not header.sampling or not header.scan_at:
        raise EncodingError(f'the JPEG of {len(view)} bytes has no image, wanted a whole JPEG')
    _check_promise(header, len(view))
    _check_scans(header, view)
    return header


def _segments(view: memoryview, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, its position, end of its segment) up to the start of a scan, or EOI."""
    length = len(view)
    while at + 2 <= length:
        if view[at] != 0xFF:
            raise EncodingError(f'the JPEG has {view[at]:#04x} where a marker must be, at byte '
                                f'{at}')
        marker = view[at + 1]
        if marker == 0xFF:  # A fill byte.
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
        elif marker in (0x00, SOI):
            raise EncodingError(f'the JPEG has the marker {marker:#04x} at byte {at}, wanted none')
        elif marker == EOI:
            yield marker, at, at + 2
            return
        else:
            end = at + 2 + (view[at + 2] << 8 | view[at + 3]) if at + 4 <= length else length + 1
            if end > length or end < at + 4:
                break
            yield marker, at, end
            if marker == SOS:
                return
            at = end
    raise EncodingError(f'the JPEG of {length} bytes is cut short')


def _read_frame_header(header: JpegHeader, fields: memoryview, marker: int) -> None:
    """Read size and components (T.81, B.2.2)."""
    if header.sampling:
        raise EncodingError('the JPEG has two frame headers')
    if marker not in _PROCESSES:
        raise EncodingError(f'the JPEG has the frame header {marker:#04x} (arithmetic, lossless '
                            'or hierarchical), wanted a baseline or progressive JPEG')
    if len(fields) < 6 or len(fields) < 6 + 3 * fields[5]:
        raise EncodingError('the JPEG has a frame header that is cut short')
    if fields[0] != 8:
        raise EncodingError(f'the JPEG has {fields[0]} bits a sample, wanted 8')
    header.process = _PROCESSES[marker]
    header.height, header.width = fields[1] << 8 | fields[2], fields[3] << 8 | fields[4]
    header.sampling = tuple((fields[7 + 3 * i] >> 4, fields[7 + 3 * i] & 15)
                            for i in range(fields[5]))
    if len(header.sampling) not in (1, 3, 4) or not all(
            1 <= h <= 4 and 1 <= v <= 4 for h, v in header.sampling):
        raise EncodingError(f'the JPEG has components {header.sampling}, wanted 1 (gray), 3 '
                            '(color) or 4 (CMYK)')


def _check_promise(header: JpegHeader, length: int) -> None:
    """Check the size against the limits, and against the bytes that the file has.

    A block of a sequential JPEG takes at least 2 bits, one code for DC and one for AC. A block of
    a progressive one takes at least 1 bit, the code for DC.
    """
    width, height, bytes_per_pixel = header.width, header.height, _MEMORY[len(header.sampling)]
    check_size('the JPEG', width, height, bytes_per_pixel)
    blocks = header.count_blocks()
    if not header.is_whole_in_first_scan:  # Scans are collected as coefficients of two bytes.
        check_size('the JPEG', width, height, bytes_per_pixel + 128 * blocks / (width * height))
    bits = blocks * (1 if header.process == 'progressive' else 2)
    if bits > 8 * (length - header.scan_at):
        raise EncodingError(
            f'the JPEG is {header.width}x{header.height} by its header, but is cut short or '
            f'false: it has {length} bytes, wanted at least {header.scan_at + bits // 8}')


def _check_scans(header: JpegHeader, view: memoryview) -> None:
    """Check that the image is not spread over more scans than an encoder writes."""
    if header.is_whole_in_first_scan:
        return  # The decoder refuses another one.
    most = min(_MOST_SCANS, max(_ALLOWED_SCANS,
                                _MOST_SCANNED_PIXELS // (header.width * header.height)))
    scans = bytes(view[header.scan_at:]).count(bytes((0xFF, SOS)))
    if scans > most:
        raise EncodingError(f'the JPEG of {header.width}x{header.height} has {scans + 1} scans, '
                            f'wanted at most {most + 1}')


def find_end(view: memoryview, header: JpegHeader) -> int:
    """Return the position after the file's own EOI. Whatever follows is no part of it.

    Raises:
        EncodingError: The file has no end.
    """
    at = header.scan_at
    while match := _END_OF_SCAN.search(view, at):
        for marker, _, at in _segments(view, match.start()):  # Tables, and the next scan.
            if marker == EOI:
                return at
    raise EncodingError(f'the JPEG of {len(view)} bytes is cut short: it has no end')
