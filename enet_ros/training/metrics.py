"""The paper's scores, and the calibration error of the confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.training.label_sets import LabelSets

ECE_BINS = 15


class ConfusionMatrix:
    """Numbers of pixels by true class (rows) and predicted class (columns).

    A prediction of 255 (unknown) is an error of the true class and counts for no other class. A
    coarse label, which stands for a set of classes, has a row of its own. It counts only where it
    tells something: a prediction outside the set is wrong for the predicted class.

    Args:
        class_map: Names of the classes, and which are drivable.
        sets: Labels that stand for several classes, or None.
    """

    def __init__(self, class_map: ClassMap, sets: LabelSets | None = None):
        self.class_map, self.sets = class_map, sets or LabelSets(class_map.names)
        self._allowed = self.sets.table()[:len(class_map) + len(self.sets)]
        self.reset()

    def reset(self) -> None:
        """Set all counts to zero."""
        self.matrix = np.zeros((len(self._allowed), len(self.class_map) + 1), np.int64)

    def update(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Count pixels.

        Args:
            truth: uint8 labels of classes and sets; a pixel with another value (255) does not
                count.
            predicted: uint8 class ids of the same shape.

        Raises:
            ValueError: The shapes differ.
        """
        if truth.shape != predicted.shape:
            raise ValueError(f'labels are {predicted.shape}, wanted {truth.shape} as in the truth')
        count = len(self.class_map)
        keep = truth < len(self.matrix)
        rows, columns = truth[keep].astype(np.int64), np.minimum(predicted[keep], count)
        cells = np.bincount(rows * (count + 1) + columns, minlength=self.matrix.size)
        self.matrix += cells.reshape(self.matrix.shape)

    def compute(self) -> dict:
        """Return the scores.

        The scores of a class are NaN if it occurs neither in the truth nor in the prediction. The
        means leave it out. With sets, a class that no label names for certain is left out, too.

        Returns:
            'miou', 'class_avg', 'global_avg' and 'drivable_iou' in [0, 1], and 'per_class' with
            {'iou', 'acc'} for each name. With sets also 'set_agreement', the share of their pixels
            whose prediction is in the set, and 'per_set' with it for each name.
        """
        count = len(self.class_map)
        square, truth = self.matrix[:count, :-1], self.matrix[:count].sum(1)
        hits, wrong = np.diag(square), (self.matrix[:, :-1] * ~self._allowed).sum(0)
        union = truth + wrong
        if len(self.sets):
            union = np.where(truth > 0, union, 0)
        iou, accuracy = _ratio(hits, union), _ratio(hits, truth)
        names = self.class_map.names
        return {
            'miou': _mean(iou), 'class_avg': _mean(accuracy),
            'global_avg': float(_ratio(hits.sum(), truth.sum())),
            'drivable_iou': self._drivable_iou(),
            'per_class': {name: {'iou': float(i), 'acc': float(a)}
                          for name, i, a in zip(names, iou, accuracy)},
            **self._set_scores(),
        }

    def _drivable_iou(self) -> float:
        """Return the IoU of all drivable classes as one class.

        A set counts as drivable, or as not drivable, if all of its classes are. Others do not
        count.
        """
        drivable = np.array(self.class_map.drivable)
        is_road, is_other = (labels[:len(self.matrix)]
                             for labels in self.sets.drivable_labels(drivable))
        claimed = self.matrix[:, :-1][:, drivable].sum(1)
        hits = claimed[is_road].sum()
        return float(_ratio(hits, self.matrix[is_road].sum() + claimed[is_other].sum()))

    def _set_scores(self) -> dict:
        """Return the share of the pixels of each set whose prediction is in it."""
        if not len(self.sets):
            return {}
        rows = slice(len(self.class_map), None)
        agreeing = (self.matrix[rows, :-1] * self._allowed[rows]).sum(1)
        pixels = self.matrix[rows].sum(1)
        return {'set_agreement': float(_ratio(agreeing.sum(), pixels.sum())),
                'per_set': {name: float(share) for name, share in
                            zip(self.sets.names, _ratio(agreeing, pixels))}}


def _ratio(numerator, denominator) -> np.ndarray:
    """Divide; the result is NaN where the denominator is zero."""
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan),
                     where=denominator > 0)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float('nan')


class ExpectedCalibrationError:
    """ECE: confidence against accuracy in equal bins (Guo et al., 2017).

    With coarse labels, only the predictions count of which every label tells whether they are
    right: those of classes that occur in no set. So no error is seen more often than a hit.

    Args:
        bins: Number of bins.
        sets: Labels that stand for several classes, or None.
    """

    def __init__(self, bins: int = ECE_BINS, sets: LabelSets | None = None):
        self.bins = bins
        self._is_judged = np.ones(256, bool)
        self._is_judged[UNKNOWN] = False
        for members in sets.members if sets else ():
            self._is_judged[list(members)] = False
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
        keep = (truth != UNKNOWN) & self._is_judged[predicted]
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
    if 'per_set' in scores:
        lines.append(f'{"set":<16}{"agreement":>8}')
        lines += [f'{name:<16}{_percent(share):>8}' for name, share in scores['per_set'].items()
                  if share == share]  # of those that occur
        lines.append(f'{"all sets":<16}{_percent(scores["set_agreement"]):>8}')
    if 'ece' in scores:
        ece = scores['ece']
        lines.append(f'{"ECE":<16}{"-" if ece != ece else f"{ece:.3f}":>8}')
    return '\n'.join(lines)


def _percent(value: float) -> str:
    return '-' if value != value else f'{100 * value:.1f}'


def without_nan(value):
    """Replace NaN, which JSON does not know, by None, in nested dicts as well."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and value != value else value
