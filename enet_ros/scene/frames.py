"""Frames of the synthetic street for whoever needs a realistic image of any size.

The street is rendered at 640x360 and resized, so that it shows the same view at any resolution,
even at one that is too small to be rendered.
"""

from __future__ import annotations

import cv2
import numpy as np

from enet_ros.scene.road_scene import RoadScene

RENDERED_SIZE = (640, 360)


def street_frame(resolution: tuple[int, int], second: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return a frame of the synthetic street.

    Args:
        resolution: (width, height) of the frame, in pixels.
        second: Time along the drive, in seconds.
        seed: Number of the street.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    return _render(RoadScene(*RENDERED_SIZE, seed), resolution, second)


def street_frames(resolution: tuple[int, int], count: int, seed: int = 0) -> np.ndarray:
    """Return frames of the synthetic street, a second apart; see :func:`street_frame`.

    Returns:
        (count, height, width, 3) uint8 RGB.
    """
    street = RoadScene(*RENDERED_SIZE, seed)
    return np.stack([_render(street, resolution, float(second)) for second in range(count)])


def _render(street: RoadScene, resolution: tuple[int, int], second: float) -> np.ndarray:
    frame, _ = street.render(second)
    return cv2.resize(frame, resolution, interpolation=cv2.INTER_LINEAR)
