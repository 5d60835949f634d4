"""Label maps to drivable masks and their outlines. Arrays only."""

from __future__ import annotations

import cv2
import numpy as np

#: Outlines are simplified to this many pixels: finer is noise of the network's own grid.
OUTLINE_TOLERANCE_PX = 1.0


def drivable_mask(labels: np.ndarray, lut: np.ndarray, confidence: np.ndarray | None = None,
                  confidence_floor: float = 0.0) -> np.ndarray:
    """Say which pixels may be driven on.

    Args:
        labels: (H, W) uint8, 255 = unknown.
        lut: label -> 255 drivable or 0, (256,) uint8; see ``ClassMap.drivable_lut``.
        confidence: (H, W) float32 in [0, 1]; needed for a floor above 0.
        confidence_floor: pixels below it are not drivable.

    Returns:
        (H, W) uint8: 255 drivable, 0 not or unknown.
    """
    mask = cv2.LUT(labels, lut)
    if confidence_floor > 0.0:
        mask[~(confidence >= confidence_floor)] = 0
    return mask


def drivable_fraction(mask: np.ndarray) -> float:
    """Return the share of the picture that is drivable, 0 to 1."""
    return cv2.countNonZero(mask) / mask.size


def drivable_confidence(mask: np.ndarray, confidence: np.ndarray) -> float:
    """Return the mean confidence of the drivable pixels, or NaN if there are none.

    Args:
        mask: (H, W) uint8, 0 = not drivable.
        confidence: (H, W) float32 in [0, 1].
    """
    return cv2.mean(confidence, mask)[0] if cv2.countNonZero(mask) else float('nan')


def drivable_outlines(mask: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """Trace the outer outlines of the drivable regions, largest region first.

    Args:
        mask: (H, W) uint8, 0 = not drivable.
        size: (width, height) of the picture in whose pixels the outlines are wanted.

    Returns:
        Arrays (N, 2) float32 of x and y in pixels of ``size``, (0, 0) the first pixel's centre;
        regions of fewer than 3 corners are left out.
    """
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = sorted(found, key=cv2.contourArea, reverse=True)
    outlines = (cv2.approxPolyDP(outline, OUTLINE_TOLERANCE_PX, True)[:, 0] for outline in found)
    scale = np.array([size[0] / mask.shape[1], size[1] / mask.shape[0]], np.float32)
    return [((outline + 0.5) * scale - 0.5).astype(np.float32)
            for outline in outlines if len(outline) >= 3]
