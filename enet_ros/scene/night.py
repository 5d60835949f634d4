"""Night: what headlights and lamps light, and what glows."""

from __future__ import annotations

import cv2
import numpy as np

from enet_ros.scene.camera import Camera
from enet_ros.scene.drawing import GLOWING
from enet_ros.scene.style import Light

BEAM_M = 16.    # distance after which the headlights have a third of their strength


def light_map(light: Light, camera: Camera) -> np.ndarray:
    """Return the light that falls on each pixel, (H, W, 3) float32, of the day's.

    The headlights light the ground ahead of the vehicle, and a little of what stands there.
    """
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    x, y = camera.to_ground(u, v)
    ground = np.exp(-np.nan_to_num(x, nan=60., posinf=60.) / BEAM_M)
    ground *= np.exp(-(np.nan_to_num(y) / 3.2) ** 2)
    far = np.hypot((u - camera.cx) / camera.fx, 2.2 * (v - camera.horizon_px) / camera.fy)
    beam = 1.1 * ground + .35 * np.exp(-(far / .28) ** 2)
    return (np.asarray(light.gain, np.float32)
            + beam[..., None] * (1., .95, .8)).astype(np.float32)


def lamps_in(rgb: np.ndarray) -> np.ndarray:
    """Return 255 for each pixel of (H, W, 3) uint8 that gives light itself, (H, W) uint8."""
    return cv2.inRange(rgb, (GLOWING,) * 3, (255,) * 3)


def at_night(rgb: np.ndarray, lit: np.ndarray, lamps: np.ndarray) -> np.ndarray:
    """Return a frame by night.

    Args:
        rgb: (H, W, 3) uint8 by day.
        lit: The light on each pixel, see :func:`light_map`.
        lamps: (H, W) uint8, see :func:`lamps_in`.

    Returns:
        (H, W, 3) uint8, with a halo around lamps.
    """
    dark = cv2.multiply(rgb, lit, dtype=cv2.CV_8U)
    if not lamps.any():
        return dark
    halo = cv2.GaussianBlur(lamps, (0, 0), rgb.shape[1] / 90)
    glow = cv2.merge([cv2.addWeighted(lamps, strength, halo, strength * 1.2, 0.)
                      for strength in (1., .92, .7)])
    return cv2.add(dark, glow)
