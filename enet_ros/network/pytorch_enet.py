"""ENet as github.com/davidtvs/PyTorch-ENet builds it, so that its checkpoints can be used.

Its stages are those of :mod:`enet_ros.network.enet`, but its layers are others, and no choice of
weights turns one network into the other:

- The initial block pools windows of 3x3.
- Bottlenecks have a quarter of the input's channels inside.
- An asymmetric convolution has batch normalization and activation in its middle.
- An activation follows the expansion, before the sum.
- The last layer is 3x3.
- Convolutions have no bias, activations have one weight a layer, and batch normalization has
  PyTorch's own eps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enet_ros.network.enet import (
    DECODER,
    INITIAL_CHANNELS,
    StagedNetwork,
    dilation_of,
    merge_branches,
)
from enet_ros.network.unpooling import BY_SLICES, PoolMasks

DECODER_DROPOUT = 0.1


def _main_convolutions(kind: str, width: int) -> list[nn.Module]:
    """Build the main convolutions of a bottleneck, ``width`` channels in and out."""
    if kind == 'asymmetric':
        return [nn.Conv2d(width, width, (5, 1), padding=(2, 0), bias=False),
                nn.Conv2d(width, width, (1, 5), padding=(0, 2), bias=False)]
    if kind == 'upsampling':
        return [nn.ConvTranspose2d(width, width, 2, stride=2, bias=False)]
    dilation = dilation_of(kind)
    return [nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)]


class PyTorchBottleneck(nn.Module):
    """A bottleneck of PyTorch-ENet: a main branch, and an extension of convolutions.

    Args:
        in_channels: Channels of the input. The extension has a quarter of them inside.
        out_channels: Channels of the output.
        kind: 'regular', 'downsampling', 'upsampling', 'asymmetric' or 'dilated<N>'.
        dropout: Probability of the spatial dropout after the expansion. PyTorch-ENet has
            ``DECODER_DROPOUT`` where ENet has none.
        activation: 'prelu' or 'relu'.
    """

    unpooling = BY_SLICES

    def __init__(self, in_channels: int, out_channels: int, kind: str = 'regular',
                 dropout: float = 0.0, activation: str = 'prelu'):
        super().__init__()
        make_activation = nn.PReLU if activation == 'prelu' else nn.ReLU
        width, side = in_channels // 4, 2 if kind == 'downsampling' else 1
        self.kind = kind
        self.extra_channels = out_channels - in_channels
        convolutions = [nn.Conv2d(in_channels, width, side, stride=side, bias=False),
                        *_main_convolutions(kind, width),
                        nn.Conv2d(width, out_channels, 1, bias=False)]
        layers = [layer for convolution in convolutions for layer in (
            convolution, nn.BatchNorm2d(convolution.out_channels), make_activation())]
        if kind == 'upsampling':
            layers.pop()  # only here no activation follows the expansion
        self.branch = nn.Sequential(*layers)
        self.dropout = nn.Dropout2d(dropout or DECODER_DROPOUT)
        self.act = make_activation()
        if kind == 'upsampling':
            self.main = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False),
                                      nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor, positions: PoolMasks | Tensor | None = None):
        """Apply the bottleneck, as :meth:`enet_ros.network.enet.Bottleneck.forward` does."""
        return merge_branches(self, x, self.dropout(self.branch(x)), positions)


class PyTorchENet(StagedNetwork):
    """The network of PyTorch-ENet, under the stage names of :class:`enet_ros.network.enet.ENet`.

    Its input is RGB in [0, 1] without normalization. The last layer has a bias, which is zero in
    that project's checkpoints.

    Args:
        num_classes: Channels of the logits.
        decoder_activation: 'relu', that project's default, or 'prelu'.
    """

    def __init__(self, num_classes: int, decoder_activation: str = 'relu'):
        super().__init__()
        self.num_classes = num_classes
        self.initial = nn.Conv2d(3, INITIAL_CHANNELS - 3, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(INITIAL_CHANNELS)
        self.act = nn.PReLU()
        self.add_stages(PyTorchBottleneck, decoder_activation)
        self.fullconv = nn.ConvTranspose2d(DECODER[-1].channels, num_classes, 3, stride=2,
                                           padding=1, output_padding=1)

    def initial_block(self, x: Tensor) -> Tensor:
        """Concatenate a convolution with maxima of 3x3 windows of the input."""
        pooled = F.max_pool2d(x, 3, stride=2, padding=1)                # (N, 3, H/2, W/2)
        x = torch.cat((self.initial(x), pooled), dim=1)                 # (N, 16, H/2, W/2)
        return self.act(self.norm(x))
