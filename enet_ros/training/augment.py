"""Augmentation of one training sample: geometry, then light and texture, then hidden parts."""

from __future__ import annotations

import numpy as np

from enet_ros.network.class_map import UNKNOWN
from enet_ros.training.geometric import Geometry, Rng, geometric
from enet_ros.training.photometric import photometric


def augment(frame: np.ndarray, labels: np.ndarray, size: tuple[int, int],
            resolution: tuple[int, int], geometry: Geometry, rng: Rng,
            strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Change a frame and its labels at random.

    Args:
        frame: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8, 255 where a pixel does not count.
        size: (width, height) of the result in pixels.
        resolution: (width, height) of the network's input, see
            :func:`enet_ros.training.geometric.geometric`.
        geometry: Limits of the change of view.
        rng: Source of randomness; the same state gives the same result.
        strength: Factor of the chances of the photometric changes and of :func:`cut_out`.

    Returns:
        (height, width, 3) uint8 RGB and (height, width) uint8.
    """
    frame, labels = geometric(frame, labels, size, resolution, geometry, rng)
    frame = photometric(frame, rng, strength)
    if rng.random() < 0.1 * strength:
        return cut_out(frame, labels, rng)
    return frame, labels


def cut_out(frame: np.ndarray, labels: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Return copies with one to three rectangles of noise, whose pixels do not count.

    Args:
        frame: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8.
        rng: Source of randomness.

    Returns:
        The frame, and the labels with 255 inside the rectangles.
    """
    frame, labels = frame.copy(), labels.copy()
    height, width = labels.shape
    for _ in range(int(rng.integers(1, 4))):
        w, h = int(width * rng.uniform(0.04, 0.2)), int(height * rng.uniform(0.04, 0.2))
        x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
        frame[y:y + h, x:x + w] = rng.integers(0, 256, (h, w, 3), np.uint8)
        labels[y:y + h, x:x + w] = UNKNOWN
    return frame, labels
