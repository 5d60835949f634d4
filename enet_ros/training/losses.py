"""Class weights and the loss of a batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enet_ros.network.class_map import UNKNOWN


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


def soft_jaccard(probability: Tensor, labels: Tensor) -> Tensor:
    """Return 1 minus the mean soft IoU of the classes that occur in the batch.

    Intersection and union are sums of probabilities, as in Rahman and Wang, 2016 (Optimizing
    Intersection-Over-Union in Deep Neural Networks for Image Segmentation).

    Args:
        probability: (N, C, H, W) float32 in [0, 1].
        labels: (N, H, W) uint8 or int64, 255 where a pixel does not count.

    Returns:
        A scalar in [0, 1].
    """
    classes = torch.arange(probability.shape[1], device=labels.device)
    truth = (labels[:, None] == classes.view(1, -1, 1, 1)).float()
    counted = (labels != UNKNOWN)[:, None].float()
    inside = (probability * truth).sum((0, 2, 3))
    pixels = truth.sum((0, 2, 3))
    union = (probability * counted).sum((0, 2, 3)) + pixels - inside
    present = (pixels > 0).float()
    return (present * (1 - inside / union.clamp(min=1e-6))).sum() / present.sum().clamp(min=1)


class SegmentationLoss(nn.Module):
    """Weighted cross entropy plus a multiple of the soft Jaccard loss, which follows the IoU.

    A batch in which no pixel counts has loss 0. PyTorch's cross entropy gives NaN there.

    Args:
        weights: (num_classes,) float32, the weight of each class.
        jaccard: Factor of the soft Jaccard loss; 0 leaves it out.
    """

    def __init__(self, weights: np.ndarray, jaccard: float = 0.0):
        super().__init__()
        self.register_buffer('weights', torch.from_numpy(weights), persistent=False)
        self.jaccard = jaccard

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            logits: (N, C, H, W) of any floating type.
            labels: (N, H, W) uint8 or int64, 255 where a pixel does not count.
        """
        log_probability = F.log_softmax(logits.float(), dim=1)
        counted = labels != UNKNOWN
        truth = torch.where(counted, labels, 0).long()
        weight = self.weights[truth] * counted
        picked = log_probability.gather(1, truth[:, None])[:, 0]
        loss = -(picked * weight).sum() / weight.sum().clamp(min=1e-6)
        if self.jaccard:
            loss = loss + self.jaccard * soft_jaccard(log_probability.exp(), labels)
        return loss
