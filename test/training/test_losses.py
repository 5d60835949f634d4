"""Class weights and the loss, by hand and by PyTorch."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from enet_ros.training.losses import SegmentationLoss, class_weights, soft_jaccard  # noqa: E402


def one_hot(labels):
    """Return (N, 3, H, W) bool; 255 is no class."""
    return labels[:, None] == torch.arange(3).view(1, 3, 1, 1)


def test_class_weights_are_the_papers():
    weights = class_weights(np.array([300, 100, 0]), 1.02)
    assert weights == pytest.approx([1 / np.log(1.77), 1 / np.log(1.27), 1 / np.log(1.02)])
    assert class_weights(np.zeros(2), 1.02) == pytest.approx([1 / np.log(1.02)] * 2)
    with pytest.raises(ValueError, match='above 1'):
        class_weights(np.array([1, 1]), 1.0)


def test_loss_is_weighted_cross_entropy():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    labels[0, 0] = 255
    weights = np.float32([1, 5, 2])
    wanted = torch.nn.functional.cross_entropy(logits, labels, torch.from_numpy(weights),
                                               ignore_index=255)
    assert torch.allclose(SegmentationLoss(weights)(logits, labels), wanted, atol=1e-6)


def test_loss_of_nothing_is_zero_and_has_a_gradient():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = SegmentationLoss(np.ones(3, np.float32), 1.0)(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(logits.grad).all()


def test_soft_jaccard_of_certain_predictions_is_one_minus_iou():
    labels = torch.tensor([[[0, 0, 1, 255]]])
    predicted = torch.tensor([[[0, 1, 1, 0]]])
    probability = one_hot(predicted).float()
    # Class 0: 1 of 2; class 1: 1 of 2; class 2 does not occur.
    for has_sets in (False, True):
        score = soft_jaccard(probability, one_hot(labels), labels != 255, has_sets=has_sets)
        assert float(score) == pytest.approx(0.5)


def test_soft_jaccard_of_a_label_of_several_classes_holds_each_of_them_for_right():
    allowed = torch.tensor([[1, 0, 0], [1, 1, 0]], dtype=torch.bool).T.view(1, 3, 1, 2)
    probability = one_hot(torch.tensor([[[0, 0]]])).float()
    counted = torch.ones(1, 1, 2, dtype=torch.bool)
    assert float(soft_jaccard(probability, allowed, counted)) == 0.0


def test_loss_of_labels_in_bytes_is_that_of_long_ones():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    labels[0, :2] = 255
    loss = SegmentationLoss(np.float32([1, 5, 2]), jaccard=0.7)
    assert torch.equal(loss(logits, labels.byte()), loss(logits, labels))
