"""JPEG files to pixels, by a decoder that says what it could not read.

simplejpeg passes the warnings of libjpeg-turbo on. A warning that loses no pixel is let through
and remarked, any other refuses the file. Without simplejpeg OpenCV decodes, which hides what it
could not read in the middle of a file.
"""

from __future__ import annotations

import re

import cv2
import numpy as np

from enet_ros.perception.images.formats.jpeg_header import (
    SOS,
    JpegHeader,
    find_end,
    read_jpeg_header,
)
from enet_ros.perception.images.raw_image import EncodingError, RawImage, Remark

try:
    import simplejpeg
except (ImportError, ValueError) as error:  # A NumPy that it was not built for is a ValueError.
    simplejpeg, _REASON = None, f'{error}'

#: Pieces between restart markers that are looked at. Each takes some 7 us, and 4K has 32,400 MCUs.
MAX_PIECES = 40_000
#: Bytes that a webcam may leave before a marker, as libjpeg-turbo counts them.
MAX_EXTRANEOUS = 8
_EXTRANEOUS = re.compile(r'(\d+) extraneous bytes before marker 0x([0-9a-f]{2})')
_RESTART = re.compile(rb'\xff([\xd0-\xd7])')
_MAX_WIDTH = 65_500  # of libjpeg
_SPACES = {1: ('GRAY', 1), 3: ('RGB', 3), 4: ('CMYK', 4)}


def decoder_remark() -> Remark:
    """Return which decoder reads JPEG files on this machine."""
    if simplejpeg is None:
        return Remark('jpeg_decoder', f'OpenCV {cv2.__version__}: damage in the middle of a JPEG '
                      f'is not noticed; install simplejpeg ({_REASON})')
    return Remark('jpeg_decoder', f'simplejpeg {simplejpeg.__version__}')


def read_jpeg(view: memoryview) -> RawImage:
    """Decode a JPEG file. Its EXIF orientation is not applied.

    Args:
        view: The file. Bytes after its end do not matter.

    Raises:
        EncodingError: The file is damaged, cut short, or above a limit.
    """
    header = read_jpeg_header(view)
    if simplejpeg is None:
        return _read_by_opencv(view, header)
    space, channels = _SPACES[len(header.sampling)]
    pixels = np.empty((header.height, header.width, channels), np.uint8)
    remarks = (decoder_remark(),)
    try:
        simplejpeg.decode_jpeg(view, space, buffer=pixels)
    except ValueError as error:
        if 'subsampling' in str(error):
            return _read_by_opencv(view, header)
        remarks += (_explain_warning(str(error), view, header, pixels),)
    if channels == 3:
        return RawImage(pixels, remarks=remarks)
    if channels == 1:
        return RawImage(pixels[..., 0], cv2.COLOR_GRAY2RGB, remarks=remarks)
    return RawImage(_rgb_of_cmyk(pixels, header), remarks=remarks)


def _explain_warning(warning: str, view: memoryview, header: JpegHeader,
                     pixels: np.ndarray) -> Remark:
    """Turn a warning of libjpeg-turbo into a remark if no pixel is lost.

    Only the first warning of a file is known. The pixels of the file have been decoded all the
    same.

    Args:
        warning: Text of the first warning.
        view: The file.
        header: Its header.
        pixels: Its pixels, which are written again if the header had to be mended.

    Raises:
        EncodingError: Pixels are lost, or may be.
    """
    if match := _EXTRANEOUS.search(warning):
        is_last, count = match[2] == 'd9', int(match[1])  # Nothing can hide behind the last one.
        if is_last and count <= MAX_EXTRANEOUS or _is_whole_between_restarts(view, header):
            return Remark('jpeg_warnings', 'extraneous bytes before markers, as some webcams '
                          'send; no pixel is lost', True)
        raise EncodingError(f'the JPEG is damaged: {warning}')
    mended = _mend_header(warning, view, header)
    if mended is None:
        raise EncodingError(f'the JPEG is damaged: {warning}')
    try:
        simplejpeg.decode_jpeg(mended, _SPACES[len(header.sampling)][0], buffer=pixels)
    except ValueError as error:
        if _EXTRANEOUS.search(str(error)):
            return _explain_warning(str(error), memoryview(mended), header, pixels)
        raise EncodingError(f'the JPEG is damaged: {error}') from error
    return Remark('jpeg_warnings', f'{warning}; no pixel is lost', True)


def _mend_header(warning: str, view: memoryview, header: JpegHeader) -> bytearray | None:
    """Copy a file without what libjpeg-turbo warned of and then ignored, or return None."""
    mended = bytearray(view)
    if 'JFIF revision' in warning:
        at = mended.index(b'JFIF\0')
        mended[at + 5] = 1
    elif 'Invalid SOS parameters' in warning and header.process != 'progressive':
        mended[header.scan_at - 3:header.scan_at] = b'\0\x3f\0'
    elif 'ICC marker' in warning:
        while (at := mended.find(b'ICC_PROFILE\0', 0, header.scan_at)) > 0:
            mended[at] = 0
    elif 'Adobe color transform' in warning and header.adobe_at:
        mended[header.adobe_at] = 1 if len(header.sampling) == 3 else 2
    else:
        return None
    return mended


def _is_whole_between_restarts(view: memoryview, header: JpegHeader) -> bool:
    """Tell whether each piece between two restart markers is whole.

    Each piece is decoded as a small JPEG of its own, since a warning about one piece hides those
    about the others. This takes as long as decoding the file once more.
    """
    count, interval = header.count_mcus(), header.restart_interval
    if not interval or not header.is_whole_in_first_scan:
        return False
    end = find_end(view, header) - 2
    restarts = list(_RESTART.finditer(view, header.scan_at, end))
    pieces = -(-count // interval)
    if pieces > MAX_PIECES:
        return False
    if [match[1][0] & 7 for match in restarts] != [i % 8 for i in range(pieces - 1)]:
        return False
    starts = [header.scan_at, *(match.end() for match in restarts)]
    ends = [*(match.start() for match in restarts), end]
    space, channels = _SPACES[len(header.sampling)]
    memory = np.empty(0, np.uint8)
    for i, (start, stop) in enumerate(zip(starts, ends)):
        mcus = min(interval, count - i * interval)
        if i in (0, pieces - 1):
            head, (width, height) = _header_of_piece(view, header, mcus)
            if not width:
                return False
            memory = np.empty((height, width, channels), np.uint8)
        try:
            simplejpeg.decode_jpeg(b''.join((head, view[start:stop], b'\xff\xd9')), space,
                                   buffer=memory)
        except ValueError as error:
            match = _EXTRANEOUS.search(str(error))
            if match is None or int(match[1]) > MAX_EXTRANEOUS:
                return False
    return True


def _header_of_piece(view: memoryview, header: JpegHeader, mcus: int
                     ) -> tuple[bytes, tuple[int, int]]:
    """Return the header of a JPEG of some MCUs, and its size, or a size of 0 if there is none."""
    across, down = header.mcu_size
    rows = next((rows for rows in range(1, mcus + 1)
                 if mcus % rows == 0 and mcus // rows * across <= _MAX_WIDTH), 0)
    if not rows or rows * down > _MAX_WIDTH:
        return b'', (0, 0)
    width, height = mcus // rows * across, rows * down
    parts = [b'\xff\xd8']
    for marker, start, end in header.segments:
        part = bytearray(view[start:end])
        if start + 2 == header.frame_at:
            part[5:9] = height.to_bytes(2, 'big') + width.to_bytes(2, 'big')
        elif marker == SOS:
            part[-3:] = b'\0\x3f\0'
        parts.append(bytes(part))
    return b''.join(parts), (width, height)


def _rgb_of_cmyk(pixels: np.ndarray, header: JpegHeader) -> np.ndarray:
    """Convert CMYK to RGB without a color profile. Adobe stores it inverted, others do not."""
    if not header.adobe_at:
        pixels = cv2.bitwise_not(pixels)
    black = np.ascontiguousarray(pixels[..., 3])
    return cv2.merge([cv2.multiply(np.ascontiguousarray(pixels[..., i]), black, scale=1 / 255)
                      for i in range(3)])


def _read_by_opencv(view: memoryview, header: JpegHeader) -> RawImage:
    """Decode by OpenCV, which says nothing of damage."""
    if len(header.sampling) == 4 and not header.adobe_at:
        raise EncodingError("the JPEG has CMYK without Adobe's marker, wanted gray or color")
    end = find_end(view, header)
    try:
        frame = cv2.imdecode(np.frombuffer(view[:end], np.uint8),
                             cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise EncodingError(f'the JPEG cannot be read: {error.err}') from error
    if frame is None or frame.shape[:2] != (header.height, header.width):
        raise EncodingError(f'the JPEG of {len(view)} bytes cannot be read, wanted a whole JPEG')
    remarks = (decoder_remark(),)
    if simplejpeg is not None:
        remarks += (Remark(
            'jpeg_warnings', f'an unusual subsampling, {header.sampling}: OpenCV decodes, which '
            'does not notice damage in the middle', True),)
    return RawImage(frame, cv2.COLOR_BGR2RGB if frame.ndim == 3 else cv2.COLOR_GRAY2RGB,
                    remarks=remarks)
