"""ENet: a deep neural network architecture for real-time semantic segmentation.

Paszke, Chaurasia, Kim, Culurciello, 2016, arXiv 1606.02147. The layers are Table 1 of the paper;
what the paper leaves open (biases, the order in the initial block, inner widths while upsampling,
PReLU in the decoder) follows the authors' published Cityscapes model, so that its weights load.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enet_ros.network.unpooling import BY_SLICES

BN_EPS = 1e-3  # of every batch normalisation in the authors' model

#: Height and width must be multiples of this: three halvings, each undone exactly.
STRIDE = 8

#: Sections 2 and 3 of Table 1 (section 3 repeats section 2 without its downsampling bottleneck).
STAGE_2_AND_3 = ('regular', 'dilated2', 'asymmetric', 'dilated4',
                 'regular', 'dilated8', 'asymmetric', 'dilated16')


def _main_convolution(kind: str, width: int) -> nn.Module:
    """Build the middle convolution of a bottleneck, ``width`` channels in and out."""
    if kind == 'asymmetric':
        return nn.Sequential(nn.Conv2d(width, width, (1, 5), padding=(0, 2), bias=False),
                             nn.Conv2d(width, width, (5, 1), padding=(2, 0)))
    if kind == 'upsampling':
        return nn.ConvTranspose2d(width, width, 3, stride=2, padding=1, output_padding=1)
    dilation = int(kind[len('dilated'):]) if kind.startswith('dilated') else 1
    return nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)


def add_main(block: nn.Module, x: Tensor, branch: Tensor, where_max=None):
    """Add the main branch of a bottleneck to its other one, and activate the sum (Figure 2b).

    Args:
        block: has ``kind``, ``act``, ``extra_channels``, ``unpooling`` and, for 'upsampling',
            ``main``.
        x: (N, in_channels, H, W), what the block was given.
        branch: the output of its other branch.
        where_max: for 'upsampling', the masks of the downsampling bottleneck it mirrors.

    Returns:
        What :meth:`Bottleneck.forward` returns.
    """
    if block.kind == 'downsampling':
        pooled, where_max = block.unpooling.pool(x)
        main = F.pad(pooled, (0, 0, 0, 0, 0, block.extra_channels))
        return block.act(main + branch), where_max
    main = block.unpooling.unpool(block.main(x), where_max) if block.kind == 'upsampling' else x
    return block.act(main + branch)


class Bottleneck(nn.Module):
    """A main branch and a branch of projection, convolution and expansion, summed (Figure 2b).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output; a quarter of them inside.
        kind: 'regular', 'downsampling', 'upsampling', 'asymmetric' or 'dilated<N>'.
        dropout: probability of the spatial dropout after the expansion; 0 in the decoder.
        activation: called with a number of channels, gives the activation module.
    """

    unpooling = BY_SLICES

    def __init__(self, in_channels: int, out_channels: int, kind: str = 'regular',
                 dropout: float = 0.0, activation=nn.PReLU):
        super().__init__()
        width = out_channels // 4
        down = kind == 'downsampling'
        self.kind = kind
        self.extra_channels = out_channels - in_channels
        self.projection = nn.Conv2d(in_channels, width, 2 if down else 1, stride=2 if down else 1,
                                    bias=False)
        self.norm1 = nn.BatchNorm2d(width, BN_EPS)
        self.act1 = activation(width)
        self.conv = _main_convolution(kind, width)
        self.norm2 = nn.BatchNorm2d(width, BN_EPS)
        self.act2 = activation(width)
        self.expansion = nn.Conv2d(width, out_channels, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(out_channels, BN_EPS)
        self.dropout = nn.Dropout2d(dropout)
        self.act = activation(out_channels)
        if kind == 'upsampling':
            self.main = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False),
                                      nn.BatchNorm2d(out_channels, BN_EPS))

    def forward(self, x: Tensor, where_max=None):
        """Apply the bottleneck.

        Args:
            x: (N, in_channels, H, W).
            where_max: for 'upsampling', the masks of the downsampling bottleneck it mirrors.

        Returns:
            (N, out_channels, H, W), halved or doubled by kind; a downsampling bottleneck returns
            the pair (output, masks).
        """
        branch = self.act1(self.norm1(self.projection(x)))
        branch = self.act2(self.norm2(self.conv(branch)))
        return add_main(self, x, self.dropout(self.norm3(self.expansion(branch))), where_max)


class ENet(nn.Module):
    """The network of Table 1: 364,712 parameters at 20 classes.

    Args:
        num_classes: channels of the logits.
        decoder_activation: 'prelu', as in the authors' published model, or 'relu', as in the
            training code they published.

    Raises:
        ValueError: if num_classes < 1 or decoder_activation is neither of the two.
    """

    unpooling = BY_SLICES

    def __init__(self, num_classes: int = 20, decoder_activation: str = 'prelu'):
        super().__init__()
        if num_classes < 1:
            raise ValueError(f'num_classes is {num_classes}, wanted 1 or more')
        if decoder_activation not in ('prelu', 'relu'):
            raise ValueError(f"decoder_activation is '{decoder_activation}', wanted prelu or relu")
        relu = {'activation': (lambda channels: nn.ReLU()) if decoder_activation == 'relu'
                else nn.PReLU}
        self.num_classes = num_classes
        self.initial = nn.Conv2d(3, 13, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(16, BN_EPS)
        self.act = nn.PReLU(16)
        self.down1 = Bottleneck(16, 64, 'downsampling', 0.01)
        self.stage1 = nn.Sequential(*(Bottleneck(64, 64, 'regular', 0.01) for _ in range(4)))
        self.down2 = Bottleneck(64, 128, 'downsampling', 0.1)
        self.stage2 = nn.Sequential(*(Bottleneck(128, 128, kind, 0.1) for kind in STAGE_2_AND_3))
        self.stage3 = nn.Sequential(*(Bottleneck(128, 128, kind, 0.1) for kind in STAGE_2_AND_3))
        self.up4 = Bottleneck(128, 64, 'upsampling', **relu)
        self.stage4 = nn.Sequential(*(Bottleneck(64, 64, **relu) for _ in range(2)))
        self.up5 = Bottleneck(64, 16, 'upsampling', **relu)
        self.stage5 = Bottleneck(16, 16, **relu)
        self.fullconv = nn.ConvTranspose2d(16, num_classes, 2, stride=2)

    def encode(self, x: Tensor):
        """Run the initial block and stages 1 to 3.

        Args:
            x: (N, 3, H, W) normalised RGB, H and W multiples of 8.

        Returns:
            Features (N, 128, H/8, W/8), and the pooling masks of both downsampling bottlenecks.

        Raises:
            ValueError: if H or W is no multiple of 8.
        """
        height, width = x.shape[-2:]
        if not torch.jit.is_tracing() and (height % STRIDE or width % STRIDE):
            raise ValueError(f'input is {width}x{height}, wanted multiples of {STRIDE}')
        x = torch.cat((self.initial(x), self.unpooling.maxima(x)), dim=1)  # (N, 16, H/2, W/2)
        x = self.act(self.norm(x))
        x, where_max1 = self.down1(x)                                 # (N, 64, H/4, W/4)
        x, where_max2 = self.down2(self.stage1(x))                    # (N, 128, H/8, W/8)
        return self.stage3(self.stage2(x)), where_max1, where_max2

    def features(self, x: Tensor) -> Tensor:
        """Run all but the last layer.

        Args:
            x: (N, 3, H, W) normalised RGB, H and W multiples of 8.

        Returns:
            Features (N, 16, H/2, W/2).
        """
        x, where_max1, where_max2 = self.encode(x)
        x = self.stage4(self.up4(x, where_max2))                      # (N, 64, H/4, W/4)
        return self.stage5(self.up5(x, where_max1))                   # (N, 16, H/2, W/2)

    def forward(self, x: Tensor) -> Tensor:
        """Segment a batch.

        Args:
            x: (N, 3, H, W) normalised RGB, H and W multiples of 8.

        Returns:
            Logits, (N, num_classes, H, W).
        """
        return self.fullconv(self.features(x))                        # (N, num_classes, H, W)
