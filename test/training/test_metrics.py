"""Figures worked out by hand, and the same figures by torchmetrics."""

import json
import math

import numpy as np
import pytest

from enet_ros.network.class_map import ClassMap
from enet_ros.training.metrics import (
    ConfusionMatrix,
    ExpectedCalibrationError,
    format_table,
    without_nan,
)

THREE = ClassMap.from_names(['Road', 'Car', 'Tree'])


def worked_example():
    """Return truth and prediction of ten pixels that count and two that do not."""
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 255, 255], np.uint8)
    predicted = np.array([0, 0, 0, 1, 1, 1, 2, 2, 0, 255, 0, 1], np.uint8)
    return truth, predicted


def test_confusion_matrix_worked_by_hand():
    matrix = ConfusionMatrix(THREE)
    matrix.update(*worked_example())
    assert matrix.matrix.tolist() == [[3, 1, 0, 0], [0, 2, 1, 0], [1, 0, 1, 1]]
    scores = matrix.compute()
    # Road 3 of 4 + 4 - 3; Car 2 of 3 + 3 - 2; Tree 1 of 3 + 2 - 1, one of them unknown.
    iou = [3 / 5, 2 / 4, 1 / 4]
    accuracy = [3 / 4, 2 / 3, 1 / 3]
    assert [row['iou'] for row in scores['per_class'].values()] == pytest.approx(iou)
    assert [row['acc'] for row in scores['per_class'].values()] == pytest.approx(accuracy)
    assert scores['miou'] == pytest.approx(sum(iou) / 3)
    assert scores['class_avg'] == pytest.approx(sum(accuracy) / 3)
    assert scores['global_avg'] == pytest.approx(6 / 10)
    assert scores['drivable_iou'] == pytest.approx(3 / 5)


def test_drivable_iou_takes_drivable_classes_as_one():
    both = ClassMap(THREE.names, THREE.colors, (True, True, False))
    matrix = ConfusionMatrix(both)
    matrix.update(*worked_example())
    # Road and Car: 7 true, 7 claimed, 6 both (a road taken for a car is drivable still).
    assert matrix.compute()['drivable_iou'] == pytest.approx(6 / 8)


def test_update_adds_up_and_reset_forgets():
    truth, predicted = worked_example()
    whole, parts = ConfusionMatrix(THREE), ConfusionMatrix(THREE)
    whole.update(truth, predicted)
    for part in (slice(0, 5), slice(5, None)):
        parts.update(truth[part], predicted[part])
    assert (whole.matrix == parts.matrix).all()
    parts.reset()
    assert parts.matrix.sum() == 0


def test_class_that_never_occurs_leaves_the_means():
    matrix = ConfusionMatrix(THREE)
    matrix.update(np.array([0, 0, 1], np.uint8), np.array([0, 1, 1], np.uint8))
    scores = matrix.compute()
    assert math.isnan(scores['per_class']['Tree']['iou'])
    assert scores['miou'] == pytest.approx(0.5)
    assert json.loads(json.dumps(without_nan(scores)))['per_class']['Tree']['iou'] is None


def test_nothing_counted_is_nan():
    scores = ConfusionMatrix(THREE).compute()
    assert all(math.isnan(scores[key]) for key in ('miou', 'class_avg', 'global_avg'))
    assert math.isnan(ExpectedCalibrationError().compute())


def test_update_when_shapes_differ():
    with pytest.raises(ValueError, match=r'\(3,\), wanted \(2,\)'):
        ConfusionMatrix(THREE).update(np.zeros(2, np.uint8), np.zeros(3, np.uint8))


def random_labels(classes=11, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (2, 40, 50)).astype(np.uint8)
    predicted = np.where(rng.random(truth.shape) < 0.6, truth,
                         rng.integers(0, classes, truth.shape)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = 255
    return truth, predicted


def test_figures_agree_with_torchmetrics():
    torch = pytest.importorskip('torch')
    classification = pytest.importorskip('torchmetrics.functional.classification')
    truth, predicted = random_labels()
    matrix = ConfusionMatrix(ClassMap.from_names([f'class {i}' for i in range(11)], ['class 3']))
    matrix.update(truth, predicted)
    scores = matrix.compute()
    pair = torch.from_numpy(predicted.astype(int)), torch.from_numpy(truth.astype(int))

    def theirs(name, average):
        return getattr(classification, name)(*pair, num_classes=11, ignore_index=255,
                                             average=average)
    rows = scores['per_class'].values()
    assert [r['iou'] for r in rows] == pytest.approx(
        theirs('multiclass_jaccard_index', 'none').tolist(), abs=1e-6)
    assert [r['acc'] for r in rows] == pytest.approx(
        theirs('multiclass_accuracy', 'none').tolist(), abs=1e-6)
    assert scores['miou'] == pytest.approx(
        float(theirs('multiclass_jaccard_index', 'macro')), abs=1e-6)
    assert scores['global_avg'] == pytest.approx(
        float(theirs('multiclass_accuracy', 'micro')), abs=1e-6)


def test_calibration_error_worked_by_hand():
    error = ExpectedCalibrationError(bins=2)
    truth = np.array([0, 0, 0, 0, 0, 255, 0], np.uint8)
    predicted = np.array([0, 0, 1, 1, 0, 1, 255], np.uint8)
    error.update(truth, predicted, np.array([0.9, 0.7, 0.8, 1.0, 0.4, 1.0, 0.9], np.float32))
    # Above one half: confidence 3.4, hits 2; below: 0.4 and 1. The last two do not count.
    assert error.compute() == pytest.approx((1.4 + 0.6) / 5, abs=1e-6)


def test_calibration_error_agrees_with_torchmetrics():
    torch = pytest.importorskip('torch')
    classification = pytest.importorskip('torchmetrics.functional.classification')
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(5) * 0.3, 4000).astype(np.float32)
    truth = rng.integers(0, 5, 4000).astype(np.uint8)
    error = ExpectedCalibrationError()
    error.update(truth, probability.argmax(1).astype(np.uint8), probability.max(1))
    theirs = classification.multiclass_calibration_error(
        torch.from_numpy(probability), torch.from_numpy(truth.astype(int)), 5, n_bins=15)
    assert error.compute() == pytest.approx(float(theirs), abs=1e-5)


def test_table_lists_classes_and_summary():
    matrix = ConfusionMatrix(THREE)
    matrix.update(*worked_example())
    text = format_table({**matrix.compute(), 'ece': 0.0123}, 'CamVid val')
    assert text.splitlines()[0] == 'CamVid val'
    assert 'Road                60.0      75.0' in text
    assert 'class IoU           45.0' in text
    assert '0.012' in text
    assert 'nan' not in format_table({**matrix.compute(), 'ece': float('nan')}, 'CamVid val')
