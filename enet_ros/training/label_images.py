"""Label images as tools write them: class ids in 1 to 16 bits, palettes, and colors.

A label image is read as it is shown: an EXIF orientation of its own is applied.
"""

from __future__ import annotations

import numpy as np

from enet_ros.media import StoredImage, orient

#: Pillow spreads gray of fewer than 8 bits over 0 to 255; this is the step from value to value.
STEPS = {'L;2': 85, 'L;4': 17}

HOW_TO_CONVERT = "docs/training.md, 'Label images', says how to convert"


def read_values(stored: StoredImage) -> np.ndarray:
    """Return the numbers of a label image of one channel, whatever their bits.

    With a palette the number is the index, and its color does not matter.

    Returns:
        (H, W) integers.

    Raises:
        ValueError: It has colors, or its compression changes numbers.
    """
    image = stored.image
    _check_png(stored)
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
    """Return the colors of a label image, (H, W, 3) uint8 RGB; those of a palette too.

    Raises:
        ValueError: It has one channel of numbers, or its compression changes colors.
    """
    _check_png(stored)
    image = stored.image
    if image.mode not in ('RGB', 'RGBA', 'P'):
        raise ValueError('one channel, wanted RGB colors')
    if image.mode == 'RGBA' and not _is_opaque(stored):
        raise ValueError('transparent pixels, wanted the colors of the data set alone')
    return orient(np.asarray(image.convert('RGB')), stored.remaining)


def _check_png(stored: StoredImage) -> None:
    if stored.image.format != 'PNG':
        reason = (': JPEG changes the values at the borders of classes'
                  if stored.kind == 'JPEG' else '')
        raise ValueError(f'a label image in {stored.image.format}, wanted PNG{reason}')


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
    return f'{len(bands)} channels of colors, wanted one with class ids; {HOW_TO_CONVERT}'
