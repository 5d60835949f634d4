"""What a robot asks of weights: which drivable pixels and which frames it can trust."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from enet_ros.network.class_map import ClassMap
from enet_ros.perception.segmenter import Segmentation
from enet_ros.training.label_sets import LabelSets

STEPS = 100  # of the confidence
PRECISIONS = (0.98, 0.99, 0.995)


@dataclass
class FloorCurve:
    """Drivable pixels by confidence, right and wrong.

    A pixel whose label allows drivable classes and others tells nothing, and does not count.

    Attributes:
        right: (STEPS,) number of drivable pixels that are drivable, by confidence.
        wrong: (STEPS,) number of drivable pixels that are not.
        drivable: Number of pixels that are drivable by their label.
    """

    right: np.ndarray = field(default_factory=lambda: np.zeros(STEPS, np.int64))
    wrong: np.ndarray = field(default_factory=lambda: np.zeros(STEPS, np.int64))
    drivable: int = 0

    @property
    def floors(self) -> np.ndarray:
        """Confidences at which the curve is known, (STEPS,) in [0, 1)."""
        return np.arange(STEPS) / STEPS

    def precision(self) -> np.ndarray:
        """Return the share of drivable pixels that are right, for each floor; NaN for none."""
        right, wrong = _left_above(self.right), _left_above(self.wrong)
        total = right + wrong
        return np.divide(right, total, out=np.full(STEPS, np.nan), where=total > 0)

    def kept(self) -> np.ndarray:
        """Return the share of what is drivable that is found, for each floor; NaN for none."""
        return _left_above(self.right) / (self.drivable or np.nan)

    def least_floor(self, precision: float) -> float | None:
        """Return the least floor above which drivable pixels are so precise, or None."""
        enough = np.flatnonzero(self.precision() >= precision)
        return float(self.floors[enough[0]]) if len(enough) else None

    def __str__(self) -> str:
        """Return what a confidence floor gives, a line for each precision of interest."""
        is_nothing_predicted, reasons = np.isnan(self.precision()[0]), []
        if is_nothing_predicted:
            reasons.append('no labeled pixel is predicted as drivable')
        if not self.drivable:
            reasons.append('no pixel is drivable by its label')
        lines = [f'drivable pixels  {self._row(0)}' + (f': {", ".join(reasons)}' if reasons
                                                       else '')]
        if is_nothing_predicted:
            return lines[0]
        for precision in PRECISIONS:
            floor = self.least_floor(precision)
            lines.append(f'{precision:.1%} precise from ' + ('no floor' if floor is None else
                         f'confidence_floor {floor:.2f}: {self._row(round(floor * STEPS))}'))
        return '\n'.join(lines)

    def _row(self, step: int) -> str:
        return (f'precision {_percent(self.precision()[step])}, '
                f'found {_percent(self.kept()[step])}')

    def to_json(self) -> dict:
        """Return the curve at every tenth floor and at some high ones."""
        rows = [*range(0, STEPS, 10), 95, 97, 98, 99]
        return {f'{self.floors[i]:.2f}': {'precision': float(self.precision()[i]),
                                          'kept': float(self.kept()[i])} for i in rows}


def _percent(share: float) -> str:
    return '-' if np.isnan(share) else f'{100 * share:.1f} %'


def _left_above(counts: np.ndarray) -> np.ndarray:
    return counts[::-1].cumsum()[::-1]


class DrivableScores:
    """Curve and worst frames of a split; call it with each frame.

    Args:
        class_map: Classes of the labels.
        sets: Labels that stand for several classes, or None.
        keep: Number of the worst frames whose segmentation is kept.

    Attributes:
        worst_labels: Number of each of these frames -> its segmented labels, (H, W) uint8, worst
            first.
    """

    def __init__(self, class_map: ClassMap, sets: LabelSets | None = None, keep: int = 0):
        labels = (sets or LabelSets(class_map.names)).drivable_labels(class_map.drivable)
        self._is_road, self._is_other = labels
        self._is_drivable = class_map.drivable_lut() > 0
        self.curve, self.iou = FloorCurve(), {}
        self._keep, self.worst_labels = keep, {}

    def __call__(self, index: int, truth: np.ndarray, result: Segmentation) -> None:
        """Count a frame.

        Args:
            index: Number of the frame in its split.
            truth: (H, W) uint8 labels.
            result: What was seen, with confidence, of the same size.
        """
        claimed = self._is_drivable[result.labels]
        road, other = self._is_road[truth], self._is_other[truth]
        for counts, pixels in ((self.curve.right, road), (self.curve.wrong, other)):
            confidence = result.confidence[claimed & pixels]
            rows = np.minimum((confidence * STEPS).astype(int), STEPS - 1)
            counts += np.bincount(rows, minlength=STEPS)
        self.curve.drivable += int(road.sum())
        union = (road | (claimed & other)).sum()
        self.iou[index] = float((claimed & road).sum() / union) if union else 1.0
        if self._keep:
            kept = {**self.worst_labels, index: result.labels}
            self.worst_labels = {number: kept[number] for number in self.worst(self._keep)}

    def worst(self, count: int) -> list[int]:
        """Return the numbers of the frames with the least drivable IoU, worst first."""
        return sorted(self.iou, key=self.iou.get)[:count]
