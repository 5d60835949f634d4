"""The paper's figures, and how much a confidence is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from enet_ros.network.class_map import ClassMap

ECE_BINS = 15


class ConfusionMatrix:
    """Pixels by true class (rows) and predicted class (columns).

    A prediction of 255 (unknown) is an error of the true class and claims no other.

    Args:
        class_map: names and which are drivable.
    """

    def __init__(self, class_map: ClassMap):
        self.class_map = class_map
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        count = len(self.class_map)
        self.matrix = np.zeros((count, count + 1), np.int64)

    def update(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Count pixels.

        Args:
            truth: uint8 class ids; what is no class id (255) does not count.
            predicted: uint8 class ids of the same shape.

        Raises:
            ValueError: if the shapes differ.
        """
        if truth.shape != predicted.shape:
            raise ValueError(f'labels are {predicted.shape}, wanted {truth.shape} as in the truth')
        count = len(self.class_map)
        keep = truth < count
        rows, columns = truth[keep].astype(np.int64), np.minimum(predicted[keep], count)
        cells = np.bincount(rows * (count + 1) + columns, minlength=self.matrix.size)
        self.matrix += cells.reshape(self.matrix.shape)

    def compute(self) -> dict:
        """Return the figures.

        Classes that occur neither in the truth nor in the prediction are NaN and leave the means.

        Returns:
            miou, class_avg, global_avg, drivable_iou in [0, 1], and per_class: name ->
            {'iou', 'acc'}.
        """
        square, truth = self.matrix[:, :-1], self.matrix.sum(1)
        hits, claimed = np.diag(square), square.sum(0)
        iou = _ratio(hits, truth + claimed - hits)
        accuracy = _ratio(hits, truth)
        names = self.class_map.names
        return {
            'miou': _mean(iou), 'class_avg': _mean(accuracy),
            'global_avg': float(_ratio(hits.sum(), truth.sum())),
            'drivable_iou': self._drivable_iou(),
            'per_class': {name: {'iou': float(i), 'acc': float(a)}
                          for name, i, a in zip(names, iou, accuracy)},
        }

    def _drivable_iou(self) -> float:
        """Return the IoU of the drivable classes taken as one."""
        yes = np.array(self.class_map.drivable)
        hits = self.matrix[:, :-1][np.ix_(yes, yes)].sum()
        either = self.matrix[yes].sum() + self.matrix[:, :-1][:, yes].sum() - hits
        return float(_ratio(hits, either))


def _ratio(above, below) -> np.ndarray:
    """Divide, NaN where there is nothing to divide by."""
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float('nan')


class CalibrationError:
    """Expected calibration error: confidence against accuracy in equal bins (Guo et al., 2017)."""

    def __init__(self, bins: int = ECE_BINS):
        self.bins = bins
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.pixels = np.zeros(self.bins)
        self.confidence = np.zeros(self.bins)
        self.hits = np.zeros(self.bins)

    def update(self, truth: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> None:
        """Count pixels.

        Args:
            truth: uint8 class ids, 255 where a pixel does not count.
            predicted: uint8 class ids, same shape; 255 (unknown) does not count either.
            confidence: float32 in [0, 1], same shape.
        """
        keep = (truth != 255) & (predicted != 255)
        confidence = confidence[keep].astype(np.float64)
        index = np.clip((confidence * self.bins).astype(int), 0, self.bins - 1)
        self.pixels += np.bincount(index, minlength=self.bins)
        self.confidence += np.bincount(index, confidence, self.bins)
        self.hits += np.bincount(index, truth[keep] == predicted[keep], self.bins)

    def compute(self) -> float:
        """Return the error in [0, 1]; NaN before any pixel."""
        total = self.pixels.sum()
        return float(np.abs(self.confidence - self.hits).sum() / total) if total else float('nan')


def format_table(scores: dict, title: str) -> str:
    """Lay figures out as the paper's tables do, in percent.

    Args:
        scores: of :meth:`ConfusionMatrix.compute`, maybe with 'ece'.
        title: the first line.
    """
    lines = [title, f'{"class":<16}{"IoU":>8}{"accuracy":>10}']
    lines += [f'{name:<16}{_percent(row["iou"]):>8}{_percent(row["acc"]):>10}'
              for name, row in scores['per_class'].items()]
    summary: Sequence[tuple[str, str]] = (
        ('class IoU', 'miou'), ('class average', 'class_avg'), ('global average', 'global_avg'),
        ('drivable IoU', 'drivable_iou'))
    lines += [f'{label:<16}{_percent(scores[key]):>8}' for label, key in summary]
    if 'ece' in scores:
        lines.append(f'{"ECE":<16}{scores["ece"]:>8.3f}')
    return '\n'.join(lines)


def _percent(value: float) -> str:
    return '-' if value != value else f'{100 * value:.1f}'


def without_nan(value):
    """Return figures with None for NaN, which JSON does not know; dicts within dicts too."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and value != value else value
