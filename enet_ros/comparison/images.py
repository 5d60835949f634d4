"""Images of a frame on which two sides differ."""

from __future__ import annotations

import cv2
import numpy as np

from enet_ros.comparison.sides import SideFrame
from enet_ros.network.class_map import ClassMap
from enet_ros.perception.images.write_compressed import jpeg_of
from enet_ros.perception.overlay import blend, color_mask

WIDTH = 480
JPEG_QUALITY = 82
OPACITY = 0.55
#: RGB of the pixels that both call drivable, A alone, B alone, and of another label.
BOTH, ONLY_A, ONLY_B, OTHER = (60, 170, 90), (230, 90, 40), (50, 110, 235), (245, 220, 90)


def draw_images(image: np.ndarray, frames: list[SideFrame],
                class_maps: tuple[ClassMap, ClassMap]) -> tuple[bytes, ...]:
    """Return JPEG files: the frame, the labels of A and of B over it, and the differences.

    Args:
        image: (H, W, 3) uint8 RGB.
        frames: What A and B say, at that size.
        class_maps: Their classes.
    """
    overlays = [blend(image, color_mask(frame.labels, class_map.color_lut()), OPACITY)
                for frame, class_map in zip(frames, class_maps)]
    return tuple(_jpeg(drawn) for drawn in
                 (image, *overlays, _draw_difference(image, frames, class_maps)))


def _draw_difference(image: np.ndarray, frames: list[SideFrame],
                     class_maps: tuple[ClassMap, ClassMap]) -> np.ndarray:
    """Return the frame in gray, with colors where the sides differ or both are drivable."""
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    canvas = cv2.addWeighted(gray, 0.6, np.full_like(gray, 255), 0.25, 0.0)
    a, b = (frame.mask > 0 for frame in frames)
    areas = [(a & b, BOTH), (a & ~b, ONLY_A), (b & ~a, ONLY_B)]
    if class_maps[0].names == class_maps[1].names:
        areas.insert(0, (frames[0].labels != frames[1].labels, OTHER))
    for area, color in areas:
        canvas[area] = (0.35 * canvas[area] + 0.65 * np.array(color)).astype(np.uint8)
    return canvas


def _jpeg(image: np.ndarray) -> bytes:
    height = max(1, round(image.shape[0] * WIDTH / image.shape[1]))
    small = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
    return bytes(jpeg_of(small, JPEG_QUALITY))
