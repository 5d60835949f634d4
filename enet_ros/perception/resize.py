"""Resizing, the same for the node, ``enet-ros eval``, training and bench."""

from __future__ import annotations

import cv2
import numpy as np


def resize_frame(frame: np.ndarray, size: tuple[int, int],
                 out: np.ndarray | None = None) -> np.ndarray:
    """Resize a frame bilinearly, without letterbox.

    Args:
        frame: (H, W, 3) uint8. It may have other channels if ``out`` has the same.
        size: (width, height) in pixels.
        out: (height, width, 3) uint8 to write into, or None.

    Returns:
        (height, width, 3) uint8, which is ``out`` if it was given.
    """
    if out is None:
        out = np.empty((size[1], size[0], 3), np.uint8)
    if frame.shape[:2] == out.shape[:2]:
        np.copyto(out, frame)
        return out
    return cv2.resize(frame, size, dst=out, interpolation=cv2.INTER_LINEAR)


def resize_labels(label_map: np.ndarray, size: tuple[int, int],
                  out: np.ndarray | None = None) -> np.ndarray:
    """Resize a map by nearest neighbor, pixel center to pixel center.

    Plain ``INTER_NEAREST`` takes the pixel to the upper left of the center. That shifts a mask by
    up to half a pixel of the network.

    Args:
        label_map: (H, W) or (H, W, C) of any dtype.
        size: (width, height) in pixels.
        out: Array of that size to write into, or None.

    Returns:
        The map at the new size, which is ``out`` if it was given.
    """
    if label_map.shape[1::-1] == tuple(size):
        if out is None:
            return label_map
        np.copyto(out, label_map)
        return out
    return cv2.resize(label_map, size, dst=out, interpolation=cv2.INTER_NEAREST_EXACT)
