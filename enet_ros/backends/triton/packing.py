"""From a frame graph to the arrays that the kernels read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from enet_ros.network.enet import INITIAL_CHANNELS, Bottleneck
from enet_ros.network.frame_graph import FrameGraph

LEAST_COLUMNS = 16  # of a matrix product in a kernel

#: Taps (from, at) of a full convolution of 3x3 and stride 2, for even and odd output pixels: which
#: of two neighboring input pixels is multiplied with which of the three weights.
_UPSAMPLING_TAPS = (((0, 1),), ((0, 2), (1, 0)))


def padded(columns: int) -> int:
    """Return the number of columns in a matrix product: a power of two, at least 16."""
    return max(LEAST_COLUMNS, 1 << (columns - 1).bit_length())


@dataclass(frozen=True)
class Layer:
    """A layer as the kernels read it.

    Attributes:
        weights: (taps, rows, columns) float16, a matrix from input to output for each tap.
        vectors: (2, columns) float32, the bias and the slope of PReLU. Padded columns have 0.
    """

    weights: Tensor
    vectors: Tensor


@dataclass(frozen=True)
class Block:
    """A bottleneck as the kernels read it.

    Attributes:
        projection: From the input of the bottleneck to ``narrow`` channels.
        conv: The main convolution.
        window: Height, width and dilation of the main convolution.
        first_half: (taps, rows, columns) float16, the first half of an asymmetric convolution.
        expansion: From ``narrow`` channels to ``channels``.
        main: For 'upsampling', the convolution of the main branch.
        narrow: Number of channels inside.
        channels: Number of channels of the output.
    """

    projection: Layer
    conv: Layer
    window: tuple[int, int, int]
    first_half: Tensor | None
    expansion: Layer
    main: Layer | None
    narrow: int
    channels: int


def pack_block(block: Bottleneck) -> Block:
    """Pack a bottleneck whose batch normalizations are folded into its convolutions."""
    convolutions = list(block.conv) if isinstance(block.conv, nn.Sequential) else [block.conv]
    conv, is_upsampling = convolutions[-1], block.kind == 'upsampling'
    taps = _upsampling_matrices(conv.weight) if is_upsampling else _matrices(conv.weight)
    return Block(
        projection=_layer(_matrices(block.projection.weight), block.projection.bias, block.act1),
        conv=_layer(taps, conv.bias, block.act2),
        window=(*conv.kernel_size, conv.dilation[0]),
        first_half=_padded_matrices(_matrices(convolutions[0].weight))
        if len(convolutions) == 2 else None,
        expansion=_layer(_matrices(block.expansion.weight), block.expansion.bias, block.act),
        main=_layer(_matrices(block.main[0].weight), block.main[0].bias, None)
        if is_upsampling else None,
        narrow=block.expansion.in_channels, channels=block.expansion.out_channels)


def pack_initial(graph: FrameGraph) -> tuple[Layer, Tensor]:
    """Pack the initial block with its batch normalization.

    Returns:
        A layer whose vectors have a third row, the factor of the pooled bytes; and (2, 3) float32,
        by which a byte of each channel is multiplied and what is added then.
    """
    network, convolved = graph.network, INITIAL_CHANNELS - 3
    norm = network.norm
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    normalization = torch.stack((graph.scale.flatten(), graph.offset.flatten()))
    weight = network.initial.weight * factor[:convolved, None, None, None]
    taps = torch.zeros(1, weight[0].numel(), INITIAL_CHANNELS)        # (1, 27, 16)
    taps[0, :, :convolved] = _matrices(weight).flatten(0, 1)
    bias = norm.bias - norm.running_mean * factor
    bias[:convolved] += network.initial.bias * factor[:convolved]
    bias[convolved:] += normalization[1] * factor[convolved:]
    of_pooled = torch.zeros(1, INITIAL_CHANNELS)
    of_pooled[0, convolved:] = normalization[0] * factor[convolved:]
    layer = _layer(taps, bias, network.act)
    return Layer(layer.weights, torch.cat((layer.vectors, of_pooled))), normalization


def pack_fullconv(graph: FrameGraph) -> Layer:
    """Pack the full convolution, with one matrix for each pixel of a block of 2x2.

    Returns:
        A layer whose vectors are the biases alone, minus infinity for padded classes.
    """
    fullconv = graph.network.fullconv
    classes = fullconv.weight.shape[0] // 4
    taps = fullconv.weight.reshape(classes, 4, -1).permute(1, 2, 0)   # (4, 16, classes)
    bias = torch.full((padded(classes),), float('-inf'))
    bias[:classes] = fullconv.bias[::4, 0]
    return Layer(_padded_matrices(taps), bias)


def _layer(taps: Tensor, bias: Tensor | None, act: nn.Module | None) -> Layer:
    """Pack matrices (taps, rows, columns), a bias and an activation; None is no activation."""
    columns = taps.shape[2]
    vectors = torch.zeros(2, padded(columns))
    if bias is not None:
        vectors[0, :columns] = bias
    vectors[1, :columns] = 1.0 if act is None else 0.0
    if isinstance(act, nn.PReLU):
        vectors[1, :columns] = act.weight
    return Layer(_padded_matrices(taps), vectors)


def _matrices(weight: Tensor) -> Tensor:
    """Return the weight of a convolution, (out, in, h, w), as (taps, in, out)."""
    return weight.permute(2, 3, 1, 0).flatten(0, 1)


def _upsampling_matrices(weight: Tensor) -> Tensor:
    """Return the weight of a full convolution, (in, out, 3, 3), as (16, in, out).

    The matrix ``4 * output + input`` takes the input pixel to the output pixel, both counted in
    reading order in blocks of 2x2.
    """
    matrices = torch.zeros(4, 4, *weight.shape[:2])
    for output in range(4):
        for from_y, at_y in _UPSAMPLING_TAPS[output // 2]:
            for from_x, at_x in _UPSAMPLING_TAPS[output % 2]:
                matrices[output, 2 * from_y + from_x] = weight[:, :, at_y, at_x]
    return matrices.flatten(0, 1)


def _padded_matrices(taps: Tensor) -> Tensor:
    """Return matrices (taps, rows, columns) as float16, rows and columns padded with zeros."""
    count, rows, columns = taps.shape
    result = torch.zeros(count, padded(rows), padded(columns))
    result[:, :rows, :columns] = taps
    return result.half()


def to_device(arrays: Iterable, device: torch.device | str) -> list:
    """Copy tensors, layers and blocks to a device; everything else stays as it is."""
    return [_to_device(array, device) for array in arrays]


def _to_device(value, device):
    if isinstance(value, Tensor):
        return value.contiguous().to(device)
    if isinstance(value, (Layer, Block)):
        return type(value)(**{name: _to_device(field, device)
                              for name, field in vars(value).items()})
    return value
