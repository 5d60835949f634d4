"""The graph that every backend compiles: uint8 frames in, labels and confidence out.

Resizing stays outside, so that one compiled network serves every camera size, and cameras can be
batched (docs/decisions/0003-one-graph.md).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from enet_ros.network.class_map import UNKNOWN
from enet_ros.network.enet import Bottleneck


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy for inference whose batch normalizations are folded into convolutions.

    The batch normalization of the initial block stays, because 3 of its 16 channels
    come from a max-pooling and not from a convolution.

    Args:
        network: A network that is left untouched.

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


def _fold(convolution: nn.Module, norm: nn.BatchNorm2d) -> nn.Module:
    """Return a convolution that also does what the batch normalization after it does."""
    return fuse_conv_bn_eval(convolution, norm,
                             transpose=isinstance(convolution, nn.ConvTranspose2d))


def _fold_bottleneck(block: Bottleneck) -> None:
    """Fold the batch normalizations of an ENet bottleneck, in place."""
    block.projection = _fold(block.projection, block.norm1)
    if isinstance(block.conv, nn.Sequential):
        block.conv[1] = _fold(block.conv[1], block.norm2)
    else:
        block.conv = _fold(block.conv, block.norm2)
    block.expansion = _fold(block.expansion, block.norm3)
    block.norm1 = block.norm2 = block.norm3 = block.dropout = nn.Identity()


def _fold_sequence(layers: nn.Sequential) -> None:
    """Fold each batch normalization that follows a convolution, in place."""
    for i in range(1, len(layers)):
        if isinstance(layers[i], nn.BatchNorm2d):
            layers[i - 1] = _fold(layers[i - 1], layers[i])
            layers[i] = nn.Identity()


def argmax_by_comparison(logits: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Take the argmax and the maximum over classes, one class after the other.

    Comparisons fuse into one pass over the last layer's output. OpenVINO turns ``argmax`` into
    TopK, which takes a quarter of the network's time. Ties go to the first class.

    Args:
        logits: One tensor for each class, fewer than 256 of them, all of one shape.

    Returns:
        The class ids in the dtype of the logits, and the greatest logit, both of that shape. The
        ids are exact, because half precision counts to 2048 and bfloat16 to 256. Where the
        logits are no numbers, the id is UNKNOWN and the greatest logit is NaN.
    """
    maximum = logits[0]
    ids = torch.zeros_like(maximum)
    for class_id, candidate in enumerate(logits[1:], start=1):
        ids = torch.where(candidate > maximum, float(class_id), ids)
        maximum = torch.maximum(candidate, maximum)
    # Comparisons with NaN would leave the first class in torch, and the last one in OpenVINO.
    return torch.where(maximum == maximum, ids, float(UNKNOWN)), maximum


class FullConvAsMatmul(nn.Module):
    """ENet's full convolution as one matrix product, for the four pixels of each 2x2 block.

    A full convolution of 2x2 and stride 2 makes each block of output pixels from one input pixel.
    It is a product of (4 num_classes, C) and (C, H W), whose output lies class after class in
    memory. Separating the classes then costs nothing. The full convolution's own output lies
    pixel after pixel, and separating it costs a sixth of the network
    (docs/decisions/0003-one-graph.md).

    Args:
        fullconv: A full convolution of 2x2 and stride 2. Its weights are copied.
    """

    def __init__(self, fullconv: nn.ConvTranspose2d):
        super().__init__()
        channels, classes = fullconv.weight.shape[:2]
        weight = fullconv.weight.detach().permute(1, 2, 3, 0).reshape(4 * classes, channels)
        self.register_buffer('weight', weight.clone())
        self.register_buffer('bias', fullconv.bias.detach().repeat_interleave(4)[:, None].clone())

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the logits.

        Args:
            x: (N, C, H, W).

        Returns:
            One tensor (N, 4, H, W) for each class. The four are the upper left, upper right,
            lower left and lower right pixel of each block.
        """
        n, c, h, w = x.shape
        logits = self.weight @ x.reshape(n, c, h * w) + self.bias     # (N, 4 num_classes, H W)
        return [of_class.reshape(n, 4, h, w) for of_class in logits.split(4, dim=1)]


class FrameGraph(nn.Module):
    """Normalize frames, segment them, and take the most probable class of every pixel.

    Args:
        network: A trained network. It is copied, folded and left untouched.
        mean: Mean of each RGB channel, for values in [0, 1].
        std: Standard deviation of each RGB channel, for values in [0, 1].
        temperature: Divisor of the logits before the softmax. It changes only the confidence.
        confidence: Whether the probability of the most probable class is a second output.
        label_dtype: Dtype of the labels. TensorRT needs int32, because it converts no cast to
            uint8.
    """

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float],
                 temperature: float = 1.0, *, confidence: bool = False,
                 label_dtype: torch.dtype = torch.uint8):
        super().__init__()
        self.network = fold_batch_norm(network)
        self.temperature = temperature
        self.confidence = confidence
        self.label_dtype = label_dtype
        self.tile_rows = 0  # 0 is the whole frame at once
        fullconv = self.network.fullconv
        self.has_matmul = fullconv.kernel_size == fullconv.stride == (2, 2)
        if self.has_matmul:
            self.network.fullconv = FullConvAsMatmul(fullconv)
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (mean, std))
        self.register_buffer('scale', (1.0 / (255.0 * std)).view(1, 3, 1, 1))
        self.register_buffer('offset', (-mean / std).view(1, 3, 1, 1))

    def in_row_tiles(self, width: int, tile_pixels: int) -> FrameGraph:
        """Classify a few rows at a time, so that their logits stay in the processor's cache.

        A last layer whose output rows depend on each other stays whole, and nothing changes.

        Args:
            width: Width of the frames in pixels.
            tile_pixels: Approximate number of pixels in a tile.

        Returns:
            This graph.
        """
        if self.has_matmul:
            self.tile_rows = max(1, tile_pixels // (2 * width))
        return self

    def forward(self, frames: Tensor):
        """Segment frames of the network's size.

        Args:
            frames: (N, H, W, 3) uint8 RGB.

        Returns:
            Labels (N, H, W) of ``label_dtype``. With ``confidence`` also the probability of the
            most probable class, (N, H, W) in [0, 1] in the precision of the weights.
        """
        # The cast comes first: TensorRT lets uint8 feed nothing but a cast, and refuses anything
        # else only when it builds the engine (NVIDIA/TensorRT issue 3985).
        x = frames.to(self.scale.dtype).permute(0, 3, 1, 2)           # (N, 3, H, W)
        x = self.network.features(x * self.scale + self.offset)       # (N, 16, H/2, W/2)
        tiles = x.split(self.tile_rows, dim=2) if self.tile_rows else (x,)
        labels, probabilities = zip(*(self._classify(tile) for tile in tiles))
        if not self.confidence:
            return _join(labels)
        return _join(labels), _join(probabilities)

    def _classify(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return labels (N, H, W) and, with ``confidence``, their probabilities."""
        logits = self.network.fullconv(features)
        logits = logits if self.has_matmul else logits.split(1, dim=1)
        ids, maximum = argmax_by_comparison(logits)
        labels = self._to_pixels(ids).to(self.label_dtype)
        if not self.confidence:
            return labels, None
        # The softmax at the maximum. No exponent is above 0, so that none overflows.
        total = sum(((logit - maximum) / self.temperature).exp() for logit in logits)
        return labels, self._to_pixels(total.reciprocal())

    def _to_pixels(self, values: Tensor) -> Tensor:
        """Return (N, 4, H/2, W/2) of blocks, or (N, 1, H, W) of pixels, as (N, H, W)."""
        return (F.pixel_shuffle(values, 2) if self.has_matmul else values).squeeze(1)


def _join(tiles: Sequence[Tensor]) -> Tensor:
    """Join tiles (N, rows, W) to (N, H, W)."""
    return torch.cat(list(tiles), dim=1) if len(tiles) > 1 else tiles[0]
