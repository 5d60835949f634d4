"""Class weights and the loss of a batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enet_ros.network.class_map import UNKNOWN
from enet_ros.training.label_sets import LabelSets


def class_weights(counts: np.ndarray, c: float) -> np.ndarray:
    """Return weights that are larger for rarer classes: 1 / ln(c + p), section 5 of the paper.

    Args:
        counts: (num_classes,) numbers of pixels, from which p is the share of a class.
        c: 1.02 in the paper, for weights up to 50. A larger value gives more even weights.

    Returns:
        (num_classes,) float32.

    Raises:
        ValueError: c is 1 or less.
    """
    if c <= 1:
        raise ValueError(f'class weights want c above 1, got {c}')
    share = counts / max(counts.sum(), 1)
    return (1 / np.log(c + share)).astype(np.float32)


def soft_jaccard(probability: Tensor, allowed: Tensor, counted: Tensor, *,
                 has_sets: bool = True) -> Tensor:
    """Return 1 minus the mean soft IoU of the classes that occur in the batch.

    Intersection and union are sums of probabilities, as in Rahman and Wang, 2016 (Optimizing
    Intersection-Over-Union in Deep Neural Networks for Image Segmentation). A pixel whose label
    allows several classes only tells which classes are wrong there.

    Args:
        probability: (N, C, H, W) float32 in [0, 1].
        allowed: (N, C, H, W) bool, the classes that the label of a pixel allows. It is false
            where a pixel does not count.
        counted: (N, H, W) bool, the pixels that count.
        has_sets: Whether a label may allow several classes. Without any the result is the same,
            and sooner there.

    Returns:
        A scalar in [0, 1].
    """
    truth = allowed & (allowed.sum(1, keepdim=True) == 1) if has_sets else allowed
    inside, pixels = (probability * truth).sum((0, 2, 3)), truth.float().sum((0, 2, 3))
    right = (probability * allowed).sum((0, 2, 3)) if has_sets else inside
    wrong = (probability * counted[:, None]).sum((0, 2, 3)) - right
    present = (pixels > 0).float()
    return (present * (1 - inside / (pixels + wrong).clamp(min=1e-6))).sum() \
        / present.sum().clamp(min=1)


class SegmentationLoss(nn.Module):
    """Weighted cross entropy plus a multiple of the soft Jaccard loss, which follows the IoU.

    The loss of a pixel is -log of the sum of the probabilities of the classes that its label
    allows. For the label of one class it is the cross entropy. A batch in which no pixel counts
    has loss 0, where PyTorch's cross entropy gives NaN.

    Args:
        weights: (num_classes,) float32, the weight of each class.
        jaccard: Factor of the soft Jaccard loss; 0 leaves it out.
        sets: Labels that stand for several classes, or None.
    """

    def __init__(self, weights: np.ndarray, jaccard: float = 0.0, sets: LabelSets | None = None):
        super().__init__()
        sets = sets or LabelSets(tuple(str(i) for i in range(len(weights))))
        self.register_buffer('weights', torch.from_numpy(sets.label_weights(weights)),
                             persistent=False)
        self.register_buffer('allowed', torch.from_numpy(sets.table()), persistent=False)
        self.has_sets = len(sets) > 0
        self.jaccard = jaccard

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            logits: (N, C, H, W) of any floating type.
            labels: (N, H, W) uint8 or int64, 255 where a pixel does not count.
        """
        log_probability, labels = F.log_softmax(logits.float(), dim=1), labels.long()
        weight, counted = self.weights[labels], labels != UNKNOWN
        allowed = self._allowed(labels)
        if self.has_sets:
            # Where nothing is known everything would be forbidden, and the logarithm infinite.
            forbidden = ~allowed & counted[:, None]
            picked = log_probability.masked_fill(forbidden, -torch.inf).logsumexp(1)
        else:
            picked = log_probability.gather(1, torch.where(counted, labels, 0)[:, None])[:, 0]
        loss = -(picked * weight).sum() / weight.sum().clamp(min=1e-6)
        if self.jaccard:
            loss = loss + self.jaccard * soft_jaccard(log_probability.exp(), allowed, counted,
                                                      has_sets=self.has_sets)
        return loss

    def _allowed(self, labels: Tensor) -> Tensor:
        """Return the classes that each pixel's label allows, (N, C, H, W) bool."""
        if self.has_sets:
            return self.allowed[labels].permute(0, 3, 1, 2)
        classes = torch.arange(self.allowed.shape[1], device=labels.device)
        return labels[:, None] == classes.view(1, -1, 1, 1)
