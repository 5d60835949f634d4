"""ENet: a deep neural network architecture for real-time semantic segmentation.

Paszke, Chaurasia, Kim, Culurciello, 2016, arXiv 1606.02147. The layers are Table 1 of the paper.
The paper leaves open the biases, the order in the initial block, the inner widths while
upsampling, and PReLU in the decoder. These follow the authors' published Cityscapes model, so
that its weights load. The paper has spatial dropout of 0.01 before bottleneck 2.0 and of 0.1
afterwards. Here the decoder has none, as in the authors' published training code (decoder.lua).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enet_ros.network.resolution import STRIDE
from enet_ros.network.unpooling import BY_SLICES, PoolMasks

BN_EPS = 1e-3  # of every batch normalization in the authors' model

ACTIVATIONS = ('prelu', 'relu')

#: Sections 2 and 3 of Table 1. Section 3 repeats section 2 without its downsampling bottleneck.
STAGE_2_AND_3 = ('regular', 'dilated2', 'asymmetric', 'dilated4',
                 'regular', 'dilated8', 'asymmetric', 'dilated16')


class Stage(NamedTuple):
    """Some bottlenecks of Table 1 that follow each other.

    Attributes:
        name: Attribute of the network that holds them.
        kinds: Kind of each bottleneck. A single string is one bottleneck without a sequence.
        channels: Channels of the output.
        dropout: Probability of the spatial dropout.
    """

    name: str
    kinds: str | tuple[str, ...]
    channels: int
    dropout: float = 0.0


INITIAL_CHANNELS = 16                                # output for a frame of 512 × 512: 256 × 256
ENCODER = (
    Stage('down1', 'downsampling', 64, 0.01),        # 128 × 128
    Stage('stage1', ('regular',) * 4, 64, 0.01),
    Stage('down2', 'downsampling', 128, 0.1),        # 64 × 64
    Stage('stage2', STAGE_2_AND_3, 128, 0.1),
    Stage('stage3', STAGE_2_AND_3, 128, 0.1),
)
DECODER = (
    Stage('up4', 'upsampling', 64),                  # 128 × 128
    Stage('stage4', ('regular',) * 2, 64),
    Stage('up5', 'upsampling', 16),                  # 256 × 256
    Stage('stage5', 'regular', 16),
)                                                    # full convolution: 512 × 512


def dilation_of(kind: str) -> int:
    """Return the dilation of the main convolution of a kind: N for 'dilated<N>', else 1."""
    return int(kind.removeprefix('dilated')) if kind.startswith('dilated') else 1


def _main_convolution(kind: str, width: int) -> nn.Module:
    """Build the main convolution of a bottleneck, ``width`` channels in and out."""
    if kind == 'asymmetric':
        return nn.Sequential(nn.Conv2d(width, width, (1, 5), padding=(0, 2), bias=False),
                             nn.Conv2d(width, width, (5, 1), padding=(2, 0)))
    if kind == 'upsampling':
        return nn.ConvTranspose2d(width, width, 3, stride=2, padding=1, output_padding=1)
    dilation = dilation_of(kind)
    return nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)


def _activation(name: str, channels: int) -> nn.Module:
    return nn.PReLU(channels) if name == 'prelu' else nn.ReLU()


def merge_branches(block: nn.Module, x: Tensor, extension: Tensor,
                   positions: PoolMasks | Tensor | None = None):
    """Pool or unpool the main branch, add the extension, and activate the sum (Figure 2b).

    Args:
        block: Has ``kind``, ``act``, ``extra_channels``, ``unpooling`` and, for 'upsampling',
            ``main``.
        x: (N, in_channels, H, W), the input of the block.
        extension: The output of its extension branch.
        positions: For 'upsampling', the positions of the maxima in the downsampling bottleneck
            that it mirrors.

    Returns:
        What :meth:`Bottleneck.forward` returns.
    """
    if block.kind == 'downsampling':
        main, positions = block.unpooling.pool(x)
        main = F.pad(main, (0, 0, 0, 0, 0, block.extra_channels))
        return block.act(main + extension), positions
    if block.kind == 'upsampling':
        x = block.unpooling.unpool(block.main(x), positions)
    return block.act(x + extension)


class Bottleneck(nn.Module):
    """A main branch, and an extension of projection, main convolution and expansion (Figure 2b).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output. The extension has a quarter of them inside.
        kind: 'regular', 'downsampling', 'upsampling', 'asymmetric' or 'dilated<N>'.
        dropout: Probability of the spatial dropout after the expansion.
        activation: 'prelu' or 'relu'.
    """

    unpooling = BY_SLICES

    def __init__(self, in_channels: int, out_channels: int, kind: str = 'regular',
                 dropout: float = 0.0, activation: str = 'prelu'):
        super().__init__()
        width = out_channels // 4
        side = 2 if kind == 'downsampling' else 1
        self.kind = kind
        self.extra_channels = out_channels - in_channels
        self.projection = nn.Conv2d(in_channels, width, side, stride=side, bias=False)
        self.norm1 = nn.BatchNorm2d(width, BN_EPS)
        self.act1 = _activation(activation, width)
        self.conv = _main_convolution(kind, width)
        self.norm2 = nn.BatchNorm2d(width, BN_EPS)
        self.act2 = _activation(activation, width)
        self.expansion = nn.Conv2d(width, out_channels, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(out_channels, BN_EPS)
        self.dropout = nn.Dropout2d(dropout)
        self.act = _activation(activation, out_channels)
        if kind == 'upsampling':
            self.main = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False),
                                      nn.BatchNorm2d(out_channels, BN_EPS))

    def forward(self, x: Tensor, positions: PoolMasks | Tensor | None = None):
        """Apply the bottleneck.

        Args:
            x: (N, in_channels, H, W).
            positions: For 'upsampling', the positions of the maxima in the downsampling
                bottleneck that it mirrors.

        Returns:
            (N, out_channels, H, W). The kind halves or doubles H and W. A downsampling bottleneck
            returns the pair (output, positions).
        """
        extension = self.act1(self.norm1(self.projection(x)))     # (N, out_channels/4, H, W)
        extension = self.act2(self.norm2(self.conv(extension)))   # (N, out_channels/4, H, W)
        extension = self.dropout(self.norm3(self.expansion(extension)))
        return merge_branches(self, x, extension, positions)      # (N, out_channels, H, W)


class StagedNetwork(nn.Module):
    """The stages of Table 1 in their order, whatever their bottlenecks are made of.

    A subclass builds its own layers: those that ``initial_block`` needs, the stages by
    :meth:`add_stages`, and the full convolution as ``fullconv``.
    """

    def add_stages(self, bottleneck: Callable[..., nn.Module], decoder_activation: str) -> None:
        """Build the bottlenecks of all stages.

        Args:
            bottleneck: Takes the arguments of :class:`Bottleneck`.
            decoder_activation: 'prelu' or 'relu'.
        """
        channels = INITIAL_CHANNELS
        for stages, activation in ((ENCODER, 'prelu'), (DECODER, decoder_activation)):
            for name, kinds, out_channels, dropout in stages:
                blocks = []
                for kind in (kinds,) if isinstance(kinds, str) else kinds:
                    blocks.append(bottleneck(channels, out_channels, kind, dropout, activation))
                    channels = out_channels
                self.add_module(name, blocks[0] if isinstance(kinds, str)
                                else nn.Sequential(*blocks))

    def initial_block(self, x: Tensor) -> Tensor:
        """Turn (N, 3, H, W) into (N, 16, H/2, W/2)."""
        raise NotImplementedError

    def encode(self, x: Tensor):
        """Run the initial block and stages 1 to 3.

        Args:
            x: (N, 3, H, W) normalized RGB, H and W multiples of 8.

        Returns:
            Features (N, 128, H/8, W/8), and the positions of the maxima in both downsampling
            bottlenecks.

        Raises:
            ValueError: H or W is not a multiple of 8.
        """
        height, width = x.shape[-2:]
        if not torch.jit.is_tracing() and (height % STRIDE or width % STRIDE):
            raise ValueError(f'input is {width}x{height}, wanted multiples of {STRIDE}')
        x = self.initial_block(x)                     # (N, 16, H/2, W/2)
        x, positions1 = self.down1(x)                 # (N, 64, H/4, W/4)
        x = self.stage1(x)                            # (N, 64, H/4, W/4)
        x, positions2 = self.down2(x)                 # (N, 128, H/8, W/8)
        x = self.stage2(x)                            # (N, 128, H/8, W/8)
        return self.stage3(x), positions1, positions2

    def features(self, x: Tensor) -> Tensor:
        """Run all layers but the full convolution.

        Args:
            x: (N, 3, H, W) normalized RGB, H and W multiples of 8.

        Returns:
            Features (N, 16, H/2, W/2).
        """
        x, positions1, positions2 = self.encode(x)    # (N, 128, H/8, W/8)
        x = self.up4(x, positions2)                   # (N, 64, H/4, W/4)
        x = self.stage4(x)                            # (N, 64, H/4, W/4)
        x = self.up5(x, positions1)                   # (N, 16, H/2, W/2)
        return self.stage5(x)                         # (N, 16, H/2, W/2)

    def forward(self, x: Tensor) -> Tensor:
        """Segment a batch.

        Args:
            x: (N, 3, H, W) normalized RGB, H and W multiples of 8.

        Returns:
            Logits (N, num_classes, H, W).
        """
        return self.fullconv(self.features(x))        # (N, num_classes, H, W)


class ENet(StagedNetwork):
    """The network of Table 1: 364,712 parameters at 20 classes.

    Args:
        num_classes: Channels of the logits.
        decoder_activation: 'prelu', as in the authors' published model, or 'relu', as in the
            training code they published.

    Raises:
        ValueError: num_classes is below 1, or decoder_activation is neither of the two.
    """

    unpooling = BY_SLICES

    def __init__(self, num_classes: int = 20, decoder_activation: str = 'prelu'):
        super().__init__()
        if num_classes < 1:
            raise ValueError(f'num_classes is {num_classes}, wanted 1 or more')
        if decoder_activation not in ACTIVATIONS:
            raise ValueError(f"decoder_activation is '{decoder_activation}', wanted prelu or relu")
        self.num_classes = num_classes
        self.initial = nn.Conv2d(3, INITIAL_CHANNELS - 3, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(INITIAL_CHANNELS, BN_EPS)
        self.act = nn.PReLU(INITIAL_CHANNELS)
        self.add_stages(Bottleneck, decoder_activation)
        self.fullconv = nn.ConvTranspose2d(DECODER[-1].channels, num_classes, 2, stride=2)

    def initial_block(self, x: Tensor) -> Tensor:
        """Concatenate a convolution with the maxima of the input (Figure 2a)."""
        x = torch.cat((self.initial(x), self.unpooling.maxima(x)), dim=1)   # (N, 16, H/2, W/2)
        return self.act(self.norm(x))
