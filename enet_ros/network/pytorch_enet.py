"""ENet as github.com/davidtvs/PyTorch-ENet builds it, so that its checkpoints can be used.

It has the stages of :mod:`enet_ros.network.enet`, yet is another network, and no choice of weights
turns one into the other: the initial block pools 3x3, inner widths are a quarter of the input's
channels, an asymmetric convolution has batch normalisation and activation in its middle, an
activation follows the expansion, before the sum, and the last layer is 3x3. Convolutions have no
bias, activations one weight a layer, and batch normalisation has PyTorch's own eps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enet_ros.network.enet import STAGE_2_AND_3, STRIDE, add_main
from enet_ros.network.unpooling import BY_SLICES


def _main_convolutions(kind: str, width: int) -> list[nn.Module]:
    """Build the middle convolutions of a bottleneck, ``width`` channels in and out."""
    if kind == 'asymmetric':
        return [nn.Conv2d(width, width, (5, 1), padding=(2, 0), bias=False),
                nn.Conv2d(width, width, (1, 5), padding=(0, 2), bias=False)]
    if kind == 'upsampling':
        return [nn.ConvTranspose2d(width, width, 2, stride=2, bias=False)]
    dilation = int(kind[len('dilated'):]) if kind.startswith('dilated') else 1
    return [nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)]


class Block(nn.Module):
    """A bottleneck: the main branch and the branch of convolutions, summed.

    Args:
        in_channels: channels of the input; a quarter of them inside.
        out_channels: channels of the output.
        kind: 'regular', 'downsampling', 'upsampling', 'asymmetric' or 'dilated<N>'.
        dropout: probability of the spatial dropout after the expansion.
        activation: gives an activation module.
    """

    unpooling = BY_SLICES

    def __init__(self, in_channels: int, out_channels: int, kind: str = 'regular',
                 dropout: float = 0.1, activation=nn.PReLU):
        super().__init__()
        width, side = in_channels // 4, 2 if kind == 'downsampling' else 1
        self.kind = kind
        self.extra_channels = out_channels - in_channels
        convolutions = [nn.Conv2d(in_channels, width, side, stride=side, bias=False),
                        *_main_convolutions(kind, width),
                        nn.Conv2d(width, out_channels, 1, bias=False)]
        layers = [layer for convolution in convolutions for layer in (
            convolution, nn.BatchNorm2d(convolution.out_channels), activation())]
        if kind == 'upsampling':
            layers.pop()  # here alone nothing follows the expansion
        self.branch = nn.Sequential(*layers)
        self.dropout = nn.Dropout2d(dropout)
        self.act = activation()
        if kind == 'upsampling':
            self.main = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False),
                                      nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor, where_max=None):
        """Apply the bottleneck; as :meth:`enet_ros.network.enet.Bottleneck.forward`."""
        return add_main(self, x, self.dropout(self.branch(x)), where_max)


class PyTorchENet(nn.Module):
    """The network of PyTorch-ENet, under the stage names of :class:`enet_ros.network.enet.ENet`.

    The last layer has a bias, which is zero in that project's checkpoints.

    Args:
        num_classes: channels of the logits.
        decoder_activation: 'relu', that project's default, or 'prelu'.
    """

    def __init__(self, num_classes: int, decoder_activation: str = 'relu'):
        super().__init__()
        decoder = {'activation': nn.ReLU if decoder_activation == 'relu' else nn.PReLU}
        self.num_classes = num_classes
        self.initial = nn.Conv2d(3, 13, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.act = nn.PReLU()
        self.down1 = Block(16, 64, 'downsampling', 0.01)
        self.stage1 = nn.Sequential(*(Block(64, 64, 'regular', 0.01) for _ in range(4)))
        self.down2 = Block(64, 128, 'downsampling')
        self.stage2 = nn.Sequential(*(Block(128, 128, kind) for kind in STAGE_2_AND_3))
        self.stage3 = nn.Sequential(*(Block(128, 128, kind) for kind in STAGE_2_AND_3))
        self.up4 = Block(128, 64, 'upsampling', **decoder)
        self.stage4 = nn.Sequential(*(Block(64, 64, **decoder) for _ in range(2)))
        self.up5 = Block(64, 16, 'upsampling', **decoder)
        self.stage5 = Block(16, 16, **decoder)
        self.fullconv = nn.ConvTranspose2d(16, num_classes, 3, stride=2, padding=1,
                                           output_padding=1)

    def encode(self, x: Tensor):
        """Run the initial block and stages 1 to 3: :meth:`enet_ros.network.enet.ENet.encode`."""
        height, width = x.shape[-2:]
        if not torch.jit.is_tracing() and (height % STRIDE or width % STRIDE):
            raise ValueError(f'input is {width}x{height}, wanted multiples of {STRIDE}')
        pooled = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.act(self.norm(torch.cat((self.initial(x), pooled), dim=1)))
        x, where_max1 = self.down1(x)
        x, where_max2 = self.down2(self.stage1(x))
        return self.stage3(self.stage2(x)), where_max1, where_max2

    def features(self, x: Tensor) -> Tensor:
        """Run all but the last layer; as :meth:`enet_ros.network.enet.ENet.features`."""
        x, where_max1, where_max2 = self.encode(x)
        x = self.stage4(self.up4(x, where_max2))
        return self.stage5(self.up5(x, where_max1))

    def forward(self, x: Tensor) -> Tensor:
        """Segment a batch.

        Args:
            x: (N, 3, H, W) RGB in [0, 1], H and W multiples of 8.

        Returns:
            Logits, (N, num_classes, H, W).
        """
        return self.fullconv(self.features(x))
