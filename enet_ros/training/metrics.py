"""The paper's scores, and the calibration error of the confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from enet_ros.network.class_map import UNKNOWN, ClassMap

ECE_BINS = 15


class ConfusionMatrix:
    """Numbers of pixels by true class (rows) and predicted class (columns).

    A prediction of 255 (unknown) is an error of the true class and counts for no other class.

    Args:
        class_map: Names of the classes, and which are drivable.
    """

    def __init__(self, class_map: ClassMap):
        self.class_map = class_map
        self.reset()

    def reset(self) -> None:
        """Set all counts to zero."""
        count = len(self.class_map)
        self.matrix = np.zeros((count, count + 1), np.int64)

    def update(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Count pixels.

        Args:
            truth: uint8 class ids; a pixel with another value (255) does not count.
            predicted: uint8 class ids of the same shape.

        Raises:
            ValueError: The shapes differ.
        """
        if truth.shape != predicted.shape:
            raise ValueError(f'labels are {predicted.shape}, wanted {truth.shape} as in the truth')
        count = len(self.class_map)
        keep = truth < count
        rows, columns = truth[keep].astype(np.int64), np.minimum(predicted[keep], count)
        cells = np.bincount(rows * (count + 1) + columns, minlength=self.matrix.size)
        self.matrix += cells.reshape(self.matrix.shape)

    def compute(self) -> dict:
        """Return the scores.

        The scores of a class are NaN if it occurs neither in the truth nor in the prediction. The
        means leave it out.

        Returns:
            'miou', 'class_avg', 'global_avg' and 'drivable_iou' in [0, 1], and 'per_class' with
            {'iou', 'acc'} for each name.
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
        """Return the IoU of all drivable classes as one class."""
        drivable = np.array(self.class_map.drivable)
        hits = self.matrix[:, :-1][np.ix_(drivable, drivable)].sum()
        union = self.matrix[drivable].sum() + self.matrix[:, :-1][:, drivable].sum() - hits
        return float(_ratio(hits, union))


def _ratio(numerator, denominator) -> np.ndarray:
    """Divide; the result is NaN where the denominator is zero."""
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan),
                     where=denominator > 0)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float('nan')


class CalibrationError:
    """Expected calibration error: confidence against accuracy in equal bins (Guo et al., 2017).

    Args:
        bins: Number of bins.
    """

    def __init__(self, bins: int = ECE_BINS):
        self.bins = bins
        self.reset()

    def reset(self) -> None:
        """Set all counts to zero."""
        self.pixels = np.zeros(self.bins)
        self.confidence = np.zeros(self.bins)
        self.hits = np.zeros(self.bins)

    def update(self, truth: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> None:
        """Count pixels.

        Args:
            truth: uint8 class ids, 255 where a pixel does not count.
            predicted: uint8 class ids of the same shape; 255 (unknown) does not count either.
            confidence: float32 in [0, 1] of the same shape.
        """
        keep = (truth != UNKNOWN) & (predicted != UNKNOWN)
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
    """Format scores in percent, as in the paper's tables.

    Args:
        scores: Scores of :meth:`ConfusionMatrix.compute`, and optionally 'ece'.
        title: The first line.
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
    """Replace NaN, which JSON does not know, by None, in nested dicts as well."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and value != value else value
