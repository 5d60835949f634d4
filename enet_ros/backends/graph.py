"""The graph every backend compiles: uint8 frames in, labels and confidence out.

Resizing stays outside, so that one compiled network serves every camera size and cameras can be
batched (docs/decisions/0003-one-graph.md).
"""

from __future__ import annotations

import copy
from typing import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from enet_ros.enet import Bottleneck, ENet


def fold_batch_norm(network: ENet) -> ENet:
    """Return a copy for inference whose batch normalisations are folded into convolutions.

    All fold but the one after the initial block, half of whose input is a max-pooling.

    Args:
        network: left untouched.

    Returns:
        A network in eval mode with equal outputs up to rounding.
    """
    network = copy.deepcopy(network).eval()
    for block in network.modules():
        if not isinstance(block, Bottleneck):
            continue
        block.projection = fuse_conv_bn_eval(block.projection, block.norm1)
        if isinstance(block.conv, nn.Sequential):
            block.conv[1] = fuse_conv_bn_eval(block.conv[1], block.norm2)
        else:
            transposed = isinstance(block.conv, nn.ConvTranspose2d)
            block.conv = fuse_conv_bn_eval(block.conv, block.norm2, transpose=transposed)
        block.expansion = fuse_conv_bn_eval(block.expansion, block.norm3)
        block.norm1 = block.norm2 = block.norm3 = block.dropout = nn.Identity()
        if block.kind == 'upsampling':
            block.main = fuse_conv_bn_eval(block.main[0], block.main[1])
    return network


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

    def __init__(self, network: ENet, mean: Sequence[float], std: Sequence[float],
                 temperature: float = 1.0, confidence: bool = False,
                 label_dtype: torch.dtype = torch.uint8):
        super().__init__()
        self.network = fold_batch_norm(network)
        self.temperature = temperature
        self.confidence = confidence
        self.label_dtype = label_dtype
        scale = 1.0 / (255.0 * torch.tensor(std, dtype=torch.float32))
        self.register_buffer('scale', scale.view(1, 3, 1, 1))
        self.register_buffer('offset',
                             (-torch.tensor(mean, dtype=torch.float32)
                              / torch.tensor(std, dtype=torch.float32)).view(1, 3, 1, 1))

    def forward(self, frames: Tensor):
        """Segment frames of the network's size.

        Args:
            frames: (N, H, W, 3) uint8 RGB.

        Returns:
            Labels (N, H, W) of ``label_dtype``; with ``confidence``, also the winning class's
            probability, (N, H, W) in [0, 1] in the precision of the weights.
        """
        x = frames.permute(0, 3, 1, 2).to(self.scale.dtype) * self.scale + self.offset
        logits = self.network(x)
        labels = logits.argmax(1).to(self.label_dtype)
        if not self.confidence:
            return labels
        shifted = (logits - logits.amax(1, keepdim=True)) / self.temperature
        return labels, shifted.exp().sum(1).reciprocal()
