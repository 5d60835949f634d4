"""The graph every backend compiles: uint8 frames in, labels and confidence out.

Resizing stays outside, so that one compiled network serves every camera size and cameras can be
batched (docs/decisions/0003-one-graph.md).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from enet_ros.network.enet import Bottleneck


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy for inference whose batch normalisations are folded into convolutions.

    All fold but the one after the initial block, half of whose input is a max-pooling.

    Args:
        network: left untouched.

    Returns:
        A network in eval mode with equal outputs up to rounding.
    """
    network = copy.deepcopy(network).eval()
    for block in network.modules():
        if isinstance(block, Bottleneck):
            _fold_bottleneck(block)
        elif isinstance(block, nn.Sequential):
            _fold_sequence(block)
    return network


def _fold_bottleneck(block: Bottleneck) -> None:
    """Fold the batch normalisations of an ENet's bottleneck, in place."""
    block.projection = fuse_conv_bn_eval(block.projection, block.norm1)
    if isinstance(block.conv, nn.Sequential):
        block.conv[1] = fuse_conv_bn_eval(block.conv[1], block.norm2)
    else:
        transposed = isinstance(block.conv, nn.ConvTranspose2d)
        block.conv = fuse_conv_bn_eval(block.conv, block.norm2, transpose=transposed)
    block.expansion = fuse_conv_bn_eval(block.expansion, block.norm3)
    block.norm1 = block.norm2 = block.norm3 = block.dropout = nn.Identity()


def _fold_sequence(layers: nn.Sequential) -> None:
    """Fold each batch normalisation that follows a convolution, in place."""
    for i in range(1, len(layers)):
        if isinstance(layers[i], nn.BatchNorm2d):
            transposed = isinstance(layers[i - 1], nn.ConvTranspose2d)
            layers[i - 1] = fuse_conv_bn_eval(layers[i - 1], layers[i], transpose=transposed)
            layers[i] = nn.Identity()


def winners(logits: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Take the argmax and the maximum over classes, ties to the first, one class at a time.

    Comparisons fuse into one pass over the last layer's output. ``argmax`` becomes OpenVINO's
    TopK, which alone takes a quarter of the network's time.

    Args:
        logits: one array a class, fewer than 256 of them.

    Returns:
        Class ids in the logits' dtype (exact: half precision counts to 2048, bfloat16 to 256),
        and the greatest logit, both of one class's shape.
    """
    best = logits[0]
    ids = torch.zeros_like(best)
    for class_id, candidate in enumerate(logits[1:], start=1):
        ids = torch.where(candidate > best, float(class_id), ids)
        best = torch.maximum(candidate, best)
    return ids, best


class BlockClassifier(nn.Module):
    """ENet's last layer as one matrix product, for the four pixels of each 2x2 block.

    A full convolution of 2x2 and stride 2 makes each block of output pixels from one input pixel.
    As a product of (4 num_classes, C) and (C, H W) its output lies class after class in memory:
    taking it apart costs nothing, where the full convolution's output, pixel after pixel, costs a
    sixth of the network to take apart (docs/decisions/0003-one-graph.md).

    Args:
        fullconv: 2x2, stride 2; its weights are copied.
    """

    def __init__(self, fullconv: nn.ConvTranspose2d):
        super().__init__()
        channels, classes = fullconv.weight.shape[:2]
        weight = fullconv.weight.detach().permute(1, 2, 3, 0).reshape(4 * classes, channels)
        self.register_buffer('weight', weight.clone())
        self.register_buffer('bias', fullconv.bias.detach().repeat_interleave(4)[:, None].clone())

    def forward(self, x: Tensor) -> list[Tensor]:
        """Classify.

        Args:
            x: (N, C, H, W).

        Returns:
            Logits, one (N, 4, H, W) a class: upper left, upper right, lower left, lower right.
        """
        n, c, h, w = x.shape
        logits = self.weight @ x.reshape(n, c, h * w) + self.bias
        return [one.reshape(n, 4, h, w) for one in logits.split(4, dim=1)]


class FrameGraph(nn.Module):
    """Normalise, segment, and take the winning class of every pixel.

    Args:
        network: trained weights; it is copied, folded and left untouched.
        mean: of each RGB channel, of values in [0, 1].
        std: likewise.
        temperature: the logits are divided by it before the softmax; it changes confidence alone.
        confidence: whether the winner's probability is a second output.
        label_dtype: of the labels; int32 for TensorRT, which converts no cast to uint8.
    """

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float],
                 temperature: float = 1.0, confidence: bool = False,
                 label_dtype: torch.dtype = torch.uint8):
        super().__init__()
        self.network = fold_batch_norm(network)
        self.temperature = temperature
        self.confidence = confidence
        self.label_dtype = label_dtype
        last = self.network.fullconv
        self.strip_rows = 0
        self.in_blocks = last.kernel_size == last.stride == (2, 2)
        if self.in_blocks:
            self.network.fullconv = BlockClassifier(last)
        scale = 1.0 / (255.0 * torch.tensor(std, dtype=torch.float32))
        self.register_buffer('scale', scale.view(1, 3, 1, 1))
        self.register_buffer('offset',
                             (-torch.tensor(mean, dtype=torch.float32)
                              / torch.tensor(std, dtype=torch.float32)).view(1, 3, 1, 1))

    def in_strips(self, width: int, strip_pixels: int) -> FrameGraph:
        """Classify a few rows at a time, so that their logits stay in the processor's cache.

        Without a last layer in blocks, whose rows do not depend on each other, nothing changes.

        Args:
            width: of the frames.
            strip_pixels: of a strip, about.

        Returns:
            This graph.
        """
        if self.in_blocks:
            self.strip_rows = max(1, strip_pixels // (2 * width))
        return self

    def forward(self, frames: Tensor):
        """Segment frames of the network's size.

        Args:
            frames: (N, H, W, 3) uint8 RGB.

        Returns:
            Labels (N, H, W) of ``label_dtype``; with ``confidence``, also the winning class's
            probability, (N, H, W) in [0, 1] in the precision of the weights.
        """
        # The cast comes first: TensorRT takes uint8 into nothing else, shuffles included, and says
        # so only when it builds the engine (NVIDIA/TensorRT issue 3985).
        x = frames.to(self.scale.dtype).permute(0, 3, 1, 2) * self.scale + self.offset
        x = self.network.features(x)
        strips = x.split(self.strip_rows, dim=2) if self.strip_rows else (x,)
        labels, probabilities = zip(*(self._classify(strip) for strip in strips))
        if not self.confidence:
            return _joined(labels)
        return _joined(labels), _joined(probabilities)

    def _classify(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return labels (N, H, W) and, where wanted, the winners' probabilities."""
        logits = self.network.fullconv(features)
        logits = logits if self.in_blocks else logits.split(1, dim=1)
        ids, best = winners(logits)
        labels = self._to_pixels(ids).to(self.label_dtype)
        if not self.confidence:
            return labels, None
        others = sum(((one - best) / self.temperature).exp() for one in logits)
        return labels, self._to_pixels(others.reciprocal())

    def _to_pixels(self, values: Tensor) -> Tensor:
        """Return (N, 4, H/2, W/2) of blocks, or (N, 1, H, W) of pixels, as (N, H, W)."""
        return (F.pixel_shuffle(values, 2) if self.in_blocks else values).squeeze(1)


def _joined(strips: Sequence[Tensor]) -> Tensor:
    """Put strips (N, rows, W) together."""
    return torch.cat(list(strips), dim=1) if len(strips) > 1 else strips[0]
