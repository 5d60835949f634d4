"""Frames of the synthetic street for whoever needs a realistic image of any size."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from enet_ros.scene.road_scene import RoadScene

RENDERED_SIZE = (640, 360)


def street_frame(resolution: tuple[int, int], second: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return a frame of the synthetic street.

    The street is rendered at 640x360 and resized, so that it shows the same view at any
    resolution, even at one that is too small to be rendered.

    Args:
        resolution: (width, height) of the frame, in pixels.
        second: time along the drive, in seconds.
        seed: number of the street.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    frame, _ = _street(seed).render(second)
    return cv2.resize(frame, resolution, interpolation=cv2.INTER_LINEAR)


@lru_cache(maxsize=1)
def _street(seed: int) -> RoadScene:
    return RoadScene(*RENDERED_SIZE, seed)
