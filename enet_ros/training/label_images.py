"""Label images as tools write them: class ids in 1 to 16 bits, palettes, and colours."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np

from enet_ros.media import StoredImage, orient
from enet_ros.network.class_map import UNKNOWN

#: Pillow spreads grey of fewer than 8 bits over 0 to 255; this is the step from value to value.
STEPS = {'L;2': 85, 'L;4': 17}

HOW_TO_CONVERT = "docs/training.md, 'Label images', says how to convert"


class Decoder(Protocol):
    """Converts label images to class ids.

    A label image is read as it is shown: an EXIF orientation of its own is applied.
    """

    def read(self, stored: StoredImage) -> np.ndarray:
        """Return the values or colours of a label image, (H, W) or (H, W, 3).

        Raises:
            ValueError: it is of another kind.
        """

    def decode(self, values: np.ndarray) -> np.ndarray:
        """Return (H, W) uint8 ids, 255 where a pixel does not count.

        Raises:
            ValueError: a value is out of range.
        """


def read_values(stored: StoredImage) -> np.ndarray:
    """Return the numbers of a label image of one channel, whatever their bits.

    With a palette the number is the index, and its colour does not matter.

    Returns:
        (H, W) integers.

    Raises:
        ValueError: it has colours, or its compression changes numbers.
    """
    image = stored.image
    _refuse_jpeg(stored)
    if image.mode == '1':
        values = np.asarray(image).astype(np.uint8)
    elif image.mode in ('L', 'P') or image.mode.startswith('I'):
        values = np.asarray(image) // STEPS.get(stored.rawmode, 1)
    elif image.mode == 'LA' and _is_opaque(stored):
        values = np.asarray(image)[..., 0]
    else:
        raise ValueError(_describe_channels(stored))
    return orient(values, stored.remaining)


def read_colors(stored: StoredImage) -> np.ndarray:
    """Return the colours of a label image, (H, W, 3) uint8 RGB; those of a palette too.

    Raises:
        ValueError: it has one channel of numbers, or its compression changes colours.
    """
    _refuse_jpeg(stored)
    image = stored.image
    if image.mode not in ('RGB', 'RGBA', 'P'):
        raise ValueError('one channel, wanted RGB colours')
    if image.mode == 'RGBA' and not _is_opaque(stored):
        raise ValueError('transparent pixels, wanted the colours of the data set alone')
    return orient(np.asarray(image.convert('RGB')), stored.remaining)


def _refuse_jpeg(stored: StoredImage) -> None:
    if stored.image.format != 'PNG':
        raise ValueError(f'a label image in {stored.image.format}, wanted PNG: JPEG changes the '
                         'values at the borders of classes')


def _is_opaque(stored: StoredImage) -> bool:
    return stored.image.getchannel('A').getextrema()[0] == 255


def _describe_channels(stored: StoredImage) -> str:
    """Say what a label image has in the place of one channel."""
    bands = stored.image.getbands()
    if 'A' in bands and not _is_opaque(stored):
        return f'{len(bands)} channels with transparent pixels, wanted one with class ids'
    array = np.asarray(stored.image.convert('RGB'))
    if np.array_equal(array[..., 0], array[..., 1]) and np.array_equal(array[..., 0],
                                                                       array[..., 2]):
        return f'{len(bands)} channels of equal values, wanted one with class ids; keep one alone'
    return f'{len(bands)} channels of colours, wanted one with class ids; {HOW_TO_CONVERT}'


class IdDecoder:
    """Decodes label images of numbers.

    Args:
        ids: Class id, or 255, of each value that may occur. Every other value is an error.
        hint: Sentence that is added to the error about a value out of range.
    """

    read = staticmethod(read_values)

    def __init__(self, ids: dict[int, int], hint: str = ''):
        self._ids, self._hint = ids, hint
        self._lut, self._allowed = np.full(256, UNKNOWN, np.uint8), np.zeros(256, bool)
        self._lut[list(ids)], self._allowed[list(ids)] = list(ids.values()), True

    def decode(self, values: np.ndarray) -> np.ndarray:
        """Return (H, W) uint8 ids, 255 where a pixel does not count.

        Raises:
            ValueError: A value is out of range.
        """
        highest = int(values.max(initial=0))
        if highest > 255:
            raise ValueError(f'label value {highest}, wanted {_ranges(self._ids)}')
        values = values.astype(np.uint8, copy=False)
        if not self._allowed[values].all():
            bad = np.unique(values[~self._allowed[values]])
            hint = f'; {self._hint}' if self._hint else ''
            raise ValueError(f'label value {bad[0]} ({np.count_nonzero(values == bad[0])} '
                             f'pixels), wanted {_ranges(self._ids)}{hint}')
        return self._lut[values]


class ColorDecoder:
    """Decodes label images of colours.

    Args:
        colors: (class id or 255, its RGB colours) for every colour that may occur.
    """

    read = staticmethod(read_colors)

    def __init__(self, colors: Sequence[tuple[int, Sequence[tuple[int, int, int]]]]):
        pairs = sorted(((r << 16) | (g << 8) | b, class_id)
                       for class_id, group in colors for r, g, b in group)
        self._keys = np.array([key for key, _ in pairs])
        self._ids = np.array([class_id for _, class_id in pairs], np.uint8)

    def decode(self, values: np.ndarray) -> np.ndarray:
        """Return (H, W) uint8 ids, 255 where a pixel does not count.

        Raises:
            ValueError: A colour is unknown.
        """
        r, g, b = (values[..., i].astype(np.int32) for i in range(3))
        packed = (r << 16) | (g << 8) | b
        index = np.minimum(np.searchsorted(self._keys, packed), len(self._keys) - 1)
        wrong = self._keys[index] != packed
        if wrong.any():
            color = [int(packed[wrong][0]) >> shift & 255 for shift in (16, 8, 0)]
            raise ValueError(f'color {color} ({np.count_nonzero(wrong)} pixels of unknown '
                             'colors), wanted the colors of the data set')
        return self._ids[index]


def _ranges(ids: Collection[int]) -> str:
    """Format the allowed values as ranges: '0-11, 255'."""
    runs: list[list[int]] = []
    for value in sorted(ids):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ', '.join(str(a) if a == b else f'{a}-{b}' for a, b in runs)
