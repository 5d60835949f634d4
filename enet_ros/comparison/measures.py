"""What is measured on the frames of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from enet_ros.network.class_map import UNKNOWN

#: Greatest change of a pixel's gray, of 255, in an image that counts as unchanged there.
STILL_GRAY = 4
#: Least share of the pixels that must be unchanged, so that flicker says something.
LEAST_STILL = 0.05


@dataclass(frozen=True)
class Difference:
    """How two sides differ on a frame. Shares are of all pixels, 0 to 1.

    Attributes:
        name: Name of the frame.
        agreement: Share of the pixels of equal label, or None for weights of different classes.
        iou: Drivable IoU of one against the other; 1 if neither finds anything drivable.
        only_a: Share of the pixels that only A calls drivable.
        only_b: Share of the pixels that only B calls drivable.
    """

    name: str
    agreement: float | None
    iou: float
    only_a: float
    only_b: float

    @property
    def size(self) -> float:
        """How much the sides differ: the share of pixels of another label, or mask."""
        masks = self.only_a + self.only_b
        return masks if self.agreement is None else max(masks, 1.0 - self.agreement)


def compare_frame(name: str, labels: tuple[np.ndarray, np.ndarray],
                  masks: tuple[np.ndarray, np.ndarray], *, same_classes: bool) -> Difference:
    """Compare the labels and masks of a frame, (H, W) uint8 each, of A and B."""
    drivable_a, drivable_b = (mask > 0 for mask in masks)
    both = np.count_nonzero(drivable_a & drivable_b)
    only_a, only_b = (np.count_nonzero(own & ~other) for own, other in
                      ((drivable_a, drivable_b), (drivable_b, drivable_a)))
    union, count = both + only_a + only_b, masks[0].size
    agreement = np.count_nonzero(labels[0] == labels[1]) / count if same_classes else None
    return Difference(name, agreement, both / union if union else 1.0, only_a / count,
                      only_b / count)


class Stillness:
    """Finds the pixels at which the image does not change from frame to frame."""

    def __init__(self):
        self._before: np.ndarray | None = None

    def update(self, image: np.ndarray) -> np.ndarray | None:
        """Return (H, W) bool, or None where too little stands still to judge flicker.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        gray = cv2.blur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (5, 5))  # against sensor noise
        before, self._before = self._before, gray
        if before is None or before.shape != gray.shape:
            return None
        still = (cv2.absdiff(gray, before) <= STILL_GRAY).astype(np.uint8)
        # Where the image changes, some pixels keep their gray by chance. Their neighbors do not.
        still = cv2.erode(still, np.ones((5, 5), np.uint8)) > 0
        return still if still.mean() >= LEAST_STILL else None


@dataclass
class SideMeasures:
    """What is measured of one side.

    Attributes:
        latencies_ms: Time of each frame, from the decoded frame to the mask.
        confidences: Mean confidence of each frame, over pixels that are known.
        drivable: Share of each frame that is drivable.
        flickers: Share of the unchanged pixels whose label changes, by frame.
        unknown: Share of the pixels of each frame that are unknown.
    """

    latencies_ms: list[float] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    drivable: list[float] = field(default_factory=list)
    flickers: list[float] = field(default_factory=list)
    unknown: list[float] = field(default_factory=list)
    _before: np.ndarray | None = None

    def add(self, labels: np.ndarray, confidence: np.ndarray, mask: np.ndarray,
            latency_ms: float, still: np.ndarray | None) -> None:
        """Add a frame: (H, W) arrays of one size, and the pixels at which the image is still."""
        known = labels != UNKNOWN
        self.latencies_ms.append(latency_ms)
        self.unknown.append(1.0 - float(known.mean()))
        self.confidences.append(float(confidence[known].mean()) if known.any() else 0.0)
        self.drivable.append(float((mask > 0).mean()))
        if still is not None and self._before is not None:
            self.flickers.append(float((labels != self._before)[still].mean()))
        self._before = labels

    def summary(self) -> dict[str, float | None]:
        """Return the figures of a side by name. None stands for what could not be measured."""
        return {
            'latency_median_ms': float(np.median(self.latencies_ms)),
            'latency_p95_ms': float(np.percentile(self.latencies_ms, 95)),
            'confidence': float(np.mean(self.confidences)),
            'drivable': float(np.mean(self.drivable)),
            'unknown': float(np.mean(self.unknown)),
            'flicker': float(np.mean(self.flickers)) if self.flickers else None}


@dataclass
class Overlap:
    """Adds up the intersection and the union of two masks."""

    intersection: int = 0
    union: int = 0

    def add(self, ours: np.ndarray, truth: np.ndarray) -> None:
        """Add two bool arrays of one shape."""
        self.intersection += int(np.count_nonzero(ours & truth))
        self.union += int(np.count_nonzero(ours | truth))

    def iou(self) -> float | None:
        """Return the IoU of everything added so far, or None where nothing was added."""
        return self.intersection / self.union if self.union else None
