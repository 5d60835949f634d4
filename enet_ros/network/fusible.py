"""PReLU from operators that TensorRT fuses into the convolution before it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class FusiblePReLU(nn.Module):
    """PReLU without an operator of its own.

    TensorRT runs a PReLU layer as a separate kernel. It fuses multiplications, additions and
    maxima into the convolution that feeds them.

    Args:
        prelu: Its weights are copied, one for each channel or one for all.
    """

    def __init__(self, prelu: nn.PReLU):
        super().__init__()
        weight = prelu.weight.detach().clone().view(1, -1, 1, 1)
        self.is_maximum = bool((weight <= 1).all())
        self.register_buffer('weight', weight)
        self.register_buffer('weight_minus_1', weight - 1)
        self.register_buffer('zero', torch.zeros_like(weight[:, :1]))

    def forward(self, x: Tensor) -> Tensor:
        """Activate.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, C, H, W): ``x`` where it is positive, ``weight * x`` elsewhere. The result is
            exact where no weight is above 1, and equal up to rounding otherwise.
        """
        if self.is_maximum:
            return torch.maximum(x, self.weight * x)
        return x + self.weight_minus_1 * torch.minimum(x, self.zero)


def with_fusible_prelu(network: nn.Module) -> nn.Module:
    """Return a copy of a network in which :class:`FusiblePReLU` replaces every ``nn.PReLU``.

    Args:
        network: A network or a frame graph, for inference. It is left untouched.

    Returns:
        A copy with equal outputs up to rounding.
    """
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.PReLU):
                setattr(module, name, FusiblePReLU(child))
    return network
