"""The running average of a network's weights, and the statistics it needs."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from enet_ros.training.batches import Normalization


def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move an average of weights towards the weights of a network, in one fused call.

    Args:
        average: Network whose parameters are the average; changed in place.
        network: Network in training.
        decay: Share of the average that stays, in [0, 1].
    """
    update = get_ema_multi_avg_fn(decay)
    update(list(average.parameters()), list(network.parameters()), None)


@torch.no_grad()
def refresh_batch_norm(network: nn.Module, normalize: Normalization,
                       batches: Iterable[Tensor]) -> None:
    """Compute the batch-norm statistics anew, as plain means over batches.

    An average of weights needs statistics of its own: an average of the statistics along a run
    describes none of the networks in it.

    Args:
        network: Changed in place; in eval mode afterwards.
        normalize: Normalization of its input.
        batches: uint8 frames (N, 3, H, W), all of one batch size.
    """
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    device = next(network.parameters()).device
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's cumulative mean
        norm.train()
    for frames in batches:
        network(normalize(frames.to(device)))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    network.eval()
