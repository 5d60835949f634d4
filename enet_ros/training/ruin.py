"""Frames ruined by a lens, a sensor or a mounting, to find how unsure the network is of them.

Training never sees them (:mod:`enet_ros.training.photometric` has its changes). Frames are
(H, W, 3) uint8 RGB. Every random number comes from the generator that the caller passes.
"""

from __future__ import annotations

import cv2
import numpy as np

Rng = np.random.Generator


def defocus(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Blur by a Gaussian of 1/110 to 1/60 of the width."""
    return cv2.GaussianBlur(frame, (0, 0), frame.shape[1] / rng.uniform(60, 110))


def dirt(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Cover about half of the lens with mud that lets a little light through."""
    size = frame.shape[1::-1]
    cover = cv2.resize(rng.random((6, 8), np.float32), size, interpolation=cv2.INTER_CUBIC)
    cover = np.clip((cover - 0.25) * 6, 0, 1)[..., None]
    light = cv2.GaussianBlur(frame, (0, 0), frame.shape[1] / 30)
    return (frame * (1 - cover) + (light * 0.2 + (48, 36, 24)) * cover).astype(np.uint8)


def condensation(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Blur and whiten the frame, as water inside the lens does."""
    blurred = cv2.GaussianBlur(frame, (0, 0), frame.shape[1] / 60)
    return cv2.convertScaleAbs(blurred, alpha=0.35, beta=float(rng.uniform(100, 160)))


def half_covered(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Blacken one half of the frame."""
    ruined, middle = frame.copy(), frame.shape[1] // 2
    ruined[:, slice(middle) if rng.random() < 0.5 else slice(middle, None)] = 0
    return ruined


def strong_noise(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Add Gaussian noise of deviation 60 of 255 to each channel."""
    return np.clip(frame + rng.normal(0, 60, frame.shape), 0, 255).astype(np.uint8)


def strong_jpeg(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Compress as JPEG of quality 1 to 3."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(1, 4))]
    return cv2.imdecode(cv2.imencode('.jpg', frame, quality)[1], cv2.IMREAD_COLOR)


def too_dark(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Leave 3 to 5 of 255 levels, as 10 bits in 16 do."""
    return cv2.convertScaleAbs(frame, alpha=float(rng.uniform(3, 5)) / 255)


def upside_down(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Rotate the frame by 180 degrees. Its labels do not fit any more."""
    return np.ascontiguousarray(frame[::-1, ::-1])


#: Each leaves every pixel in its place, so ``enet-ros eval --change`` offers it as well.
RUINS_IN_PLACE = (defocus, dirt, condensation, half_covered, strong_noise, strong_jpeg, too_dark)
RUINS = (*RUINS_IN_PLACE, upside_down)
