"""Stretching, the same for the node, ``enet-ros eval``, training and bench."""

from __future__ import annotations

import cv2
import numpy as np


def resize_frame(frame: np.ndarray, size: tuple[int, int],
                 out: np.ndarray | None = None) -> np.ndarray:
    """Stretch a frame, bilinearly and without letterbox.

    Args:
        frame: (H, W, 3) uint8; of other channels where ``out`` has them too.
        size: (width, height) in pixels.
        out: (height, width, 3) uint8 to write into, or None.

    Returns:
        (height, width, 3) uint8; ``out`` where it was given.
    """
    if out is None:
        out = np.empty((size[1], size[0], 3), np.uint8)
    if frame.shape[:2] == out.shape[:2]:
        np.copyto(out, frame)
        return out
    return cv2.resize(frame, size, dst=out, interpolation=cv2.INTER_LINEAR)


def resize_labels(label_map: np.ndarray, size: tuple[int, int],
                  out: np.ndarray | None = None) -> np.ndarray:
    """Stretch a map by nearest neighbour, pixel centre to pixel centre.

    Plain ``INTER_NEAREST`` takes the pixel to the upper left of the centre, which shifts a mask
    by up to half a pixel of the network.

    Args:
        label_map: (H, W) or (H, W, C), any dtype.
        size: (width, height) in pixels.
        out: of that size to write into, or None.

    Returns:
        The map at the new size; ``out`` where it was given.
    """
    if label_map.shape[1::-1] == tuple(size):
        if out is None:
            return label_map
        np.copyto(out, label_map)
        return out
    return cv2.resize(label_map, size, dst=out, interpolation=cv2.INTER_NEAREST_EXACT)
