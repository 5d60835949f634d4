"""EXIF orientation: how an image is rotated and mirrored before it is shown."""

from __future__ import annotations

import numpy as np

TAG = 0x0112  # Orientation, of EXIF 2.3, table 4
AS_STORED = 1
SWAPS_SIDES = (5, 6, 7, 8)


def orient(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return an image as it is shown.

    Args:
        image: (H, W) or (H, W, channels), as stored.
        orientation: Value of the tag, 1 to 8. Every other value means as stored.

    Returns:
        The same array for 1, else a rotated or mirrored copy; (W, H, ...) for 5 to 8.
    """
    if orientation in SWAPS_SIDES:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
