"""SegNet, the network that the ENet paper compares itself with. It is timed; no weights ship.

Badrinarayanan, Kendall and Cipolla, 2015, arXiv 1511.00561: the convolutions of VGG-16 are the
encoder, and their mirror image is the decoder. Widths, biases and the last layer are those of the
authors' Caffe model.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from enet_ros.network.unpooling import BY_SLICES

#: Output channels of each convolution, stage by stage: the 13 of VGG-16, and a pooling after each
#: stage.
ENCODER = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
#: The same of the decoder, with an unpooling before each stage. The classifier follows the last.
DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,))

Size = tuple[int, int]
PoolMasks = tuple[Tensor, Tensor, Tensor]


def convolutions(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    """Build 3x3 convolutions, each with batch normalization and ReLU."""
    layers = []
    for width in widths:
        layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width),
                   nn.ReLU(inplace=True)]
        in_channels = width
    return nn.Sequential(*layers)


class Stage(nn.Module):
    """Convolutions at one resolution.

    Args:
        in_channels: Number of channels of the input.
        widths: Number of output channels of each convolution.
    """

    unpooling = BY_SLICES

    def __init__(self, in_channels: int, widths: Sequence[int]):
        super().__init__()
        self.convolutions = convolutions(in_channels, widths)


class EncoderStage(Stage):
    """Convolutions, then a max-pooling that remembers the position of each maximum."""

    def forward(self, x: Tensor) -> tuple[Tensor, PoolMasks, Size]:
        """Apply the stage.

        SegNet pools in ceil mode. Padding an odd size with zeros gives the same: after ReLU no
        value is below zero, and of equal values the first counts.

        Args:
            x: (N, in_channels, H, W).

        Returns:
            The pooled features, (N, widths[-1], ceil(H/2), ceil(W/2)), and for
            :class:`DecoderStage` the masks of
            :func:`enet_ros.network.unpooling.pool_masks` and (H, W).
        """
        x = self.convolutions(x)
        height, width = x.shape[-2:]
        if height % 2 or width % 2:
            x = F.pad(x, (0, width % 2, 0, height % 2))
        pooled, pool_masks = self.unpooling.pool(x)
        return pooled, pool_masks, (height, width)


class DecoderStage(Stage):
    """A max-unpooling, then convolutions."""

    def forward(self, x: Tensor, pool_masks: PoolMasks, size: Size) -> Tensor:
        """Apply the stage.

        Args:
            x: (N, in_channels, ceil(H/2), ceil(W/2)).
            pool_masks: The masks of the :class:`EncoderStage` that this stage mirrors.
            size: (H, W) of the input of that stage's pooling.

        Returns:
            (N, widths[-1], H, W).
        """
        height, width = size
        return self.convolutions(self.unpooling.unpool(x, pool_masks)[..., :height, :width])


class SegNet(nn.Module):
    """SegNet. It has 29.45 M parameters at 20 classes; the ENet paper says 29.46 M.

    Args:
        num_classes: Number of channels of the logits.

    Raises:
        ValueError: num_classes is below 1.
    """

    def __init__(self, num_classes: int = 20):
        super().__init__()
        if num_classes < 1:
            raise ValueError(f'num_classes is {num_classes}, wanted 1 or more')
        self.num_classes = num_classes
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        channels = 3
        for stages, kind, table in ((self.encoder, EncoderStage, ENCODER),
                                    (self.decoder, DecoderStage, DECODER)):
            for widths in table:
                stages.append(kind(channels, widths))
                channels = widths[-1]
        self.classifier = nn.Conv2d(channels, num_classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Segment a batch.

        Args:
            x: (N, 3, H, W) normalized RGB, of any size.

        Returns:
            Logits, (N, num_classes, H, W).
        """
        poolings = []
        for stage in self.encoder:
            x, *pooling = stage(x)
            poolings.append(pooling)
        for stage in self.decoder:
            x = stage(x, *poolings.pop())
        return self.classifier(x)
