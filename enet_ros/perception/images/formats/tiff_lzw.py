"""How many bytes a packed strip of a TIFF file unpacks to (TIFF 6.0, sections 9 and 13).

OpenCV passes a strip on that unpacks to too little. These functions count the bytes without
unpacking them.
"""

from __future__ import annotations

import numpy as np

_CLEAR, _END, _FIRST = 256, 257, 258
_MOST_CODES = 4096 - _FIRST  # from one clear code to the next


def _widths() -> np.ndarray:
    """Return the number of bits of each code after a clear code. Widths change one code early."""
    entries = np.arange(_MOST_CODES + 1) + _FIRST - 1  # that the decoder has when it reads one
    return np.where(entries < 511, 9, np.where(entries < 1023, 10, np.where(entries < 2047, 11,
                                                                             12)))


_WIDTHS = _widths()
_INDICES = np.arange(_MOST_CODES + 1)
_OFFSETS = np.concatenate(([0], np.cumsum(_WIDTHS)[:-1]))
_WINDOW = int(_WIDTHS.sum()) // 8 + 2  # bytes in which the codes after a clear code lie


def count_lzw(piece: memoryview, wanted: int) -> int:
    """Count the bytes that an LZW strip unpacks to.

    The widths of the codes from one clear code to the next are known beforehand, so that many
    codes are read at once.

    Args:
        piece: The strip.
        wanted: Number of bytes that the strip needs.

    Returns:
        Number of bytes, ``wanted`` if there are as many or more, or -1 if a code is impossible.
    """
    data, at, total, bits = np.frombuffer(piece, np.uint8), 0, 0, 8 * len(piece)
    while at + 9 <= bits and total < wanted:
        window = data[at >> 3:(at >> 3) + _WINDOW]
        positions = (at & 7) + _OFFSETS[:(bits - at) // 9]  # A strip is often short.
        positions = positions[positions + _WIDTHS[:len(positions)] <= 8 * len(window)]
        widths = _WIDTHS[:len(positions)]
        codes = (_words(window)[positions >> 3] >> (24 - (positions & 7) - widths)) \
            & ((1 << widths) - 1)
        stops = ((codes == _CLEAR) | (codes == _END)).nonzero()[0]
        length = int(stops[0]) if len(stops) else len(codes)
        count = _count_codes(codes[:length].astype(np.int64))
        if count < 0:
            return -1
        total += count
        if length == len(codes) or codes[length] == _END:
            break
        at = (at & ~7) + int(positions[length] + widths[length])
    return min(total, wanted)


def _words(window: np.ndarray) -> np.ndarray:
    """Return the 24 bits from each byte on, which hold every code that begins in it."""
    padded = np.zeros(len(window) + 2, np.uint32)
    padded[:len(window)] = window
    return padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]


def _count_codes(codes: np.ndarray) -> int:
    """Count the bytes of the codes between two clear codes, or return -1 for a false one.

    The entry that a code refers to is one byte longer than the code before that entry. Lengths
    are found by following these references in doubling steps.
    """
    if not len(codes):
        return 0
    # The code at index i may refer to entries made up to i, of which the last is of its own.
    parents = codes - _FIRST  # index of the code that it extends, below 0 for a byte
    if codes[0] >= _CLEAR or (parents >= _INDICES[:len(codes)]).any():
        return -1
    steps = (parents >= 0).astype(np.int64)
    waiting = steps.nonzero()[0]  # Their chains have not been followed to a byte.
    while len(waiting):
        above = parents[waiting]
        steps[waiting] += steps[above]
        parents[waiting] = parents[above]
        waiting = waiting[parents[waiting] >= 0]
    return int(steps.sum()) + len(codes)


def count_packbits(piece: memoryview, wanted: int) -> int:
    """Count the bytes that a PackBits strip unpacks to, at most ``wanted``."""
    at, total = 0, 0
    while at + 1 < len(piece) and total < wanted:
        head = piece[at]
        if head < 128:
            total, at = total + head + 1, at + head + 2
            if at > len(piece):
                return -1
        else:
            total, at = total + (257 - head if head > 128 else 0), at + (2 if head > 128 else 1)
    return min(total, wanted)
