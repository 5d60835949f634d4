"""Coarse labels: their table, their loss and what they can tell in an evaluation."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('hypothesis')

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from enet_ros.network.class_map import UNKNOWN, ClassMap  # noqa: E402
from enet_ros.training.label_sets import LabelSetError, LabelSets  # noqa: E402
from enet_ros.training.losses import SegmentationLoss, soft_jaccard  # noqa: E402
from enet_ros.training.metrics import ConfusionMatrix, ExpectedCalibrationError, format_table  # noqa: E402

NAMES = ('Road', 'Car', 'Tree', 'Sky')
CLASSES = ClassMap.from_names(NAMES)
SETS = LabelSets.of(CLASSES, {'things': ['car', 'Tree'], 'not road': ['Car', 'Tree', 'Sky']})
THINGS, NOT_ROAD = 4, 5


def pixels(rows):
    """Return (1, C, 1, n) float32 logits with these probabilities."""
    return torch.tensor(rows, dtype=torch.float32).T[None, :, None].log()


def labels_of(*labels):
    return torch.tensor(labels, dtype=torch.uint8)[None, None]


def test_a_set_takes_its_label_after_the_classes():
    table = SETS.table()
    assert table.shape == (256, 4)
    assert table[THINGS].tolist() == [False, True, True, False]
    assert table[NOT_ROAD].tolist() == [False, True, True, True]
    assert not table[UNKNOWN].any() and not table[200].any()


@pytest.mark.parametrize(('sets', 'part'), [
    ({'a': ['Car', 'Bus']}, "unknown class 'Bus'"), ({'a': ['Car']}, '1 of 4 classes'),
    ({'a': ['Car', 'car']}, '1 of 4 classes'), ({'all': list(NAMES)}, '4 of 4 classes')])
def test_a_set_that_says_nothing_or_too_much_is_refused(sets, part):
    with pytest.raises(LabelSetError, match=part):
        LabelSets.of(CLASSES, sets)


def test_two_tables_with_one_set_join_to_one_label():
    other = LabelSets.of(CLASSES, {'far': ['Tree', 'Sky'], 'objects': ['Tree', 'Car']})
    joined, labels = SETS.joined(other)
    assert joined.names == ('things', 'not road', 'far')
    assert labels == {4: 6, 5: THINGS}


def test_the_loss_of_a_set_is_minus_log_of_the_sum_of_its_probabilities():
    logits = pixels([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]])
    loss = SegmentationLoss(np.ones(4, np.float32), sets=SETS)
    by_hand = -(np.log(0.2 + 0.3) + np.log(0.1 + 0.1 + 0.1)) / 2
    assert float(loss(logits, labels_of(THINGS, NOT_ROAD))) == pytest.approx(by_hand, rel=1e-5)


def test_a_set_weighs_as_much_as_its_most_common_class():
    logits = pixels([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]])
    loss = SegmentationLoss(np.float32([1, 8, 2, 1]), sets=SETS)
    by_hand = -(2 * np.log(0.5) + 1 * np.log(0.7)) / 3
    assert float(loss(logits, labels_of(THINGS, 0))) == pytest.approx(by_hand, rel=1e-5)


def test_soft_jaccard_counts_a_set_only_against_the_classes_outside_it():
    # Pixel 1 is Road for certain; pixel 2 is no Road, but 0.3 of it is called Road.
    probability = torch.tensor([[0.6, 0.2, 0.1, 0.1], [0.3, 0.3, 0.2, 0.2]]).T[None, :, None]
    labels = labels_of(0, NOT_ROAD).long()
    allowed = torch.from_numpy(SETS.table())[labels].permute(0, 3, 1, 2)
    score = soft_jaccard(probability, allowed, labels != UNKNOWN)
    assert float(score) == pytest.approx(1 - 0.6 / (1 + 0.3))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_without_coarse_pixels_the_loss_is_cross_entropy(dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = (4 * torch.randn(2, 4, 3, 5, generator=generator)).to(dtype).requires_grad_()
    labels = torch.randint(0, 5, (2, 3, 5), generator=generator)
    labels[labels == 4] = UNKNOWN
    weights = np.float32([1, 5, 2, 3])
    wanted = torch.nn.functional.cross_entropy(logits.float(), labels, torch.from_numpy(weights),
                                               ignore_index=UNKNOWN)
    loss = SegmentationLoss(weights, sets=SETS)(logits, labels.byte())
    torch.testing.assert_close(loss, wanted.nan_to_num())
    plain = SegmentationLoss(weights, 0.5)(logits, labels.byte())
    torch.testing.assert_close(SegmentationLoss(weights, 0.5, SETS)(logits, labels.byte()), plain)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.1, 3.0, 60.0]))
def test_a_set_costs_no_more_than_any_of_its_classes_and_its_gradient_is_finite(dtype, seed,
                                                                                scale):
    generator = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(1, 4, 1, 1, generator=generator)).to(dtype).requires_grad_()
    loss = SegmentationLoss(np.ones(4, np.float32), sets=SETS)
    coarse = loss(logits, labels_of(NOT_ROAD))
    for class_id in (1, 2, 3):
        assert float(coarse.detach()) <= float(loss(logits, labels_of(class_id)).detach()) + 1e-5
    coarse.backward()
    assert torch.isfinite(logits.grad).all()
    assert float(logits.grad[0, 0]) >= 0  # Road is wrong: its logit goes down.


def test_gradient_of_pixels_without_a_label_is_zero_beside_sets():
    logits = torch.randn(1, 4, 1, 2, requires_grad=True)
    SegmentationLoss(np.ones(4, np.float32), 0.5, SETS)(
        logits, labels_of(THINGS, UNKNOWN)).backward()
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[..., 1].any()
    assert logits.grad[..., 0].any()


def test_scores_count_what_a_coarse_label_can_tell():
    matrix = ConfusionMatrix(CLASSES, SETS)
    matrix.update(np.uint8([0, 0, THINGS, THINGS, THINGS, NOT_ROAD, UNKNOWN]),
                  np.uint8([0, 1, 1, 2, 0, 3, 0]))
    scores = matrix.compute()
    # Road: one hit, one miss, and one claim where the label says car or tree.
    assert scores['drivable_iou'] == pytest.approx(1 / 3)
    assert scores['per_class']['Road']['iou'] == pytest.approx(1 / 3)
    # No label names a car for certain: its IoU is unknown, and not 0.
    assert np.isnan(scores['per_class']['Car']['iou'])
    assert scores['miou'] == pytest.approx(1 / 3)
    assert scores['per_set'] == {'things': pytest.approx(2 / 3), 'not road': 1.0}
    assert scores['set_agreement'] == pytest.approx(3 / 4)
    assert 'all sets' in format_table(scores, 'title')


def test_a_set_with_a_drivable_class_tells_nothing_about_the_drivable_area():
    maybe = LabelSets.of(CLASSES, {'ground': ['Road', 'Tree']})
    matrix = ConfusionMatrix(CLASSES, maybe)
    matrix.update(np.uint8([0, 4, 4]), np.uint8([0, 0, 1]))
    assert matrix.compute()['drivable_iou'] == 1.0


def test_calibration_is_judged_only_where_every_label_tells():
    error = ExpectedCalibrationError(sets=LabelSets.of(CLASSES, {'things': ['Car', 'Tree']}))
    error.update(np.uint8([0, 4, 4]), np.uint8([0, 0, 1]), np.float32([0.5, 0.5, 0.9]))
    # Two predictions of Road at 0.5, of which one is right. The car is not judged.
    assert error.compute() == pytest.approx(0.0)
