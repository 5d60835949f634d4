"""Geometric augmentation: scale, crop, mirror, rotate and tilt a frame with its labels.

Every random number comes from the generator that the caller passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from enet_ros.network.class_map import UNKNOWN

Rng = np.random.Generator


@dataclass(frozen=True)
class Geometry:
    """Limits of the random change of view.

    Attributes:
        scale: Least and greatest magnification of the frame. 1 is the frame resized to the
            network's resolution; a larger value shows a smaller window of it.
        aspect: Greatest ratio by which the width is enlarged or reduced.
        rotation_deg: Greatest rotation in either direction, in degrees.
        perspective: Greatest shift of a corner, as a fraction of the window.
        focus: Chance that the window is placed on a pixel of a class that is drawn evenly from
            those in the frame. Rare classes are then seen as often as common ones.
    """

    scale: tuple[float, float] = (0.7, 2.0)
    aspect: float = 1.25
    rotation_deg: float = 5.0
    perspective: float = 0.05
    focus: float = 0.35


CROPS = Geometry()
WHOLE_FRAMES = Geometry((0.9, 1.25), 1.1, 2.0, 0.02, 0.0)
PLAIN = Geometry((1.0, 1.0), 1.0, 0.0, 0.0, 0.0)


def geometric(frame: np.ndarray, labels: np.ndarray, size: tuple[int, int],
              resolution: tuple[int, int], geometry: Geometry,
              rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Scale, crop, mirror, rotate and tilt a frame and its labels by the same homography.

    Args:
        frame: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8.
        size: (width, height) of the result in pixels.
        resolution: (width, height) to which whole frames are resized. A result of this size shows
            the whole frame at magnification 1; a smaller result shows a crop of it.
        geometry: Limits of the change.
        rng: Source of randomness.

    Returns:
        The frame and the labels at ``size``. Outside the input the frame is mirrored and the
        labels are 255.
    """
    width, height = size
    visible = np.array(size, float) / resolution
    target = np.float32([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    homography = cv2.getPerspectiveTransform(_window(labels, visible, geometry, rng), target)
    if rng.random() < 0.5:
        homography = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1.0]]) @ homography
    return (cv2.warpPerspective(frame, homography, size, flags=cv2.INTER_LINEAR,
                                borderMode=cv2.BORDER_REFLECT_101),
            cv2.warpPerspective(labels, homography, size, flags=cv2.INTER_NEAREST,
                                borderMode=cv2.BORDER_CONSTANT, borderValue=UNKNOWN))


def _window(labels: np.ndarray, visible: np.ndarray, geometry: Geometry, rng: Rng) -> np.ndarray:
    """Draw the quadrilateral of the frame that the result shows.

    Args:
        labels: (H, W) uint8, of the frame.
        visible: Fractions of the frame's width and height that are visible at magnification 1.
        geometry: Limits of the change.
        rng: Source of randomness.

    Returns:
        (4, 2) float32 corners in pixels of the frame, clockwise from the upper left one.
    """
    low, high = np.log(geometry.scale)
    scale, aspect = np.exp(rng.uniform(low, high)), geometry.aspect ** rng.uniform(-1, 1)
    extent = labels.shape[::-1] * visible / scale
    extent *= (aspect ** 0.5, aspect ** -0.5)
    angle = np.deg2rad(rng.uniform(-1, 1) * geometry.rotation_deg)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    corners += rng.uniform(-1, 1, (4, 2)) * geometry.perspective
    center = _window_center(labels, extent, geometry.focus, rng)
    return np.float32((corners * extent) @ rotation.T + center - 0.5)


def _window_center(labels: np.ndarray, extent: np.ndarray, focus: float, rng: Rng) -> np.ndarray:
    """Draw the (x, y) center of a window so that it lies inside the frame if it fits."""
    frame = np.array(labels.shape[::-1], float)
    low, high = np.minimum(extent, frame) / 2, frame - np.minimum(extent, frame) / 2
    center = rng.uniform(low, high)
    if rng.random() >= focus:
        return center
    present = np.flatnonzero(cv2.calcHist([labels], [0], None, [256], [0, 256])[:UNKNOWN])
    if not len(present):
        return center
    x, y = _draw_pixel(labels == rng.choice(present), rng)
    return np.clip((x, y) + rng.uniform(-0.3, 0.3, 2) * extent, low, high)


def _draw_pixel(mask: np.ndarray, rng: Rng) -> tuple[int, int]:
    """Draw the (x, y) of one of the pixels of a mask, (H, W) bool, that is not empty."""
    row_ends = np.cumsum(np.count_nonzero(mask, axis=1))
    number = int(rng.choice(row_ends[-1]))  # in the order of reading
    y = int(np.searchsorted(row_ends, number, side='right'))
    return int(np.flatnonzero(mask[y])[number - row_ends[y]]), y
