"""Equal ways to max-pool and max-unpool 2x2 windows without PyTorch's indices.

``max_pool2d(return_indices=True)`` and ``max_unpool2d`` have no TensorRT converter. Comparisons
between the four pixels ``p0 p1 / p2 p3`` of a window hold the same information. The strict ``>``
gives ties to the first pixel in reading order, as PyTorch does.

All ways give equal values. They differ in the operators they use, and so in speed:

================  ===========================  =================  ===============================
way               windows are taken apart by   and put together   fast in
================  ===========================  =================  ===============================
`BY_SLICES`       strided slices               by stacks          PyTorch, ONNX Runtime
`BY_MAXIMA`       the same, and no max_pool2d  by stacks          TensorRT
`BY_SHUFFLE`      strided slices               by pixel_shuffle   OpenCV DNN
`BY_CONVOLUTION`  depthwise convolutions       by repeating       OpenVINO
================  ===========================  =================  ===============================

docs/decisions/0002-max-unpooling.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Whether the right pixel is the greater one in the top row, whether it is in the bottom row, and
#: whether the bottom row has the maximum: three bool tensors (N, C, H/2, W/2).
PoolMasks = tuple[Tensor, Tensor, Tensor]

#: The four pixels of each window in reading order, each (N, C, H/2, W/2).
Phases = tuple[Tensor, Tensor, Tensor, Tensor]


class UnpoolingMethod(NamedTuple):
    """A way to max-pool 2x2 and to undo it.

    Attributes:
        pool: Takes (N, C, H, W) with H and W even. It returns the maxima (N, C, H/2, W/2), and
            their positions in a form that ``unpool`` of the same method understands.
        unpool: Takes (N, C, H, W) and the positions. It returns (N, C, 2H, 2W) with each value
            at its position and zeros elsewhere, as ``max_unpool2d`` does.
        maxima: Does the same as ``pool`` and returns only the maxima.
    """

    pool: Callable[[Tensor], tuple[Tensor, PoolMasks | Tensor]]
    unpool: Callable[[Tensor, PoolMasks | Tensor], Tensor]
    maxima: Callable[[Tensor], Tensor]


def use_unpooling(network: nn.Module, method: UnpoolingMethod) -> nn.Module:
    """Make a network pool and unpool by one method, in place.

    Args:
        network: Its modules that pool have an attribute ``unpooling``.
        method: The method that the runtime is fast at.

    Returns:
        The network itself.
    """
    for module in network.modules():
        if hasattr(module, 'unpooling'):
            module.unpooling = method
    return network


def slice_phases(x: Tensor) -> Phases:
    """Take the windows of (N, C, H, W) apart by strided slices."""
    return (x[:, :, 0::2, 0::2], x[:, :, 0::2, 1::2],
            x[:, :, 1::2, 0::2], x[:, :, 1::2, 1::2])


def pool_masks(p0: Tensor, p1: Tensor, p2: Tensor, p3: Tensor) -> PoolMasks:
    """Compare the four phases, each (N, C, H, W), to find the position of their maximum."""
    return p1 > p0, p3 > p2, torch.maximum(p2, p3) > torch.maximum(p0, p1)


def max_pool(x: Tensor) -> Tensor:
    """Max-pool 2x2 by PyTorch's operator."""
    return F.max_pool2d(x, 2)


def pool_by_slices(x: Tensor) -> tuple[Tensor, PoolMasks]:
    """Max-pool 2x2 by PyTorch's operator, and compare slices for the positions."""
    return max_pool(x), pool_masks(*slice_phases(x))


def place_phases(x: Tensor, masks: PoolMasks) -> Phases:
    """Return the four phases of the unpooled x: each value in one of them, zero in the others."""
    right_in_top, right_in_bottom, in_bottom = masks
    zero = torch.zeros_like(x)
    top, bottom = torch.where(in_bottom, zero, x), torch.where(in_bottom, x, zero)
    return (torch.where(right_in_top, zero, top), torch.where(right_in_top, top, zero),
            torch.where(right_in_bottom, zero, bottom), torch.where(right_in_bottom, bottom, zero))


def unpool_by_stacks(x: Tensor, masks: PoolMasks) -> Tensor:
    """Unpool by stacking the phases along width and height."""
    p0, p1, p2, p3 = place_phases(x, masks)
    top, bottom = torch.stack((p0, p1), dim=-1), torch.stack((p2, p3), dim=-1)
    n, c, h, w = x.shape
    return torch.stack((top, bottom), dim=3).reshape(n, c, 2 * h, 2 * w)


def maximum_of_phases(p0: Tensor, p1: Tensor, p2: Tensor, p3: Tensor) -> Tensor:
    """Return the maximum of the four phases."""
    return torch.maximum(torch.maximum(p0, p1), torch.maximum(p2, p3))


def max_by_slices(x: Tensor) -> Tensor:
    """Max-pool 2x2 by the maximum of slices."""
    return maximum_of_phases(*slice_phases(x))


def pool_by_maxima(x: Tensor) -> tuple[Tensor, PoolMasks]:
    """Max-pool 2x2 only from slices, which TensorRT fuses with the comparisons."""
    phases = slice_phases(x)
    return maximum_of_phases(*phases), pool_masks(*phases)


def unpool_by_shuffle(x: Tensor, masks: PoolMasks) -> Tensor:
    """Unpool by ``pixel_shuffle`` of the phases."""
    n, c, h, w = x.shape
    phases = torch.stack(place_phases(x, masks), dim=2).reshape(n, 4 * c, h, w)
    return F.pixel_shuffle(phases, 2)


def max_by_unshuffle(x: Tensor) -> Tensor:
    """Max-pool 2x2 by the maximum of what ``pixel_unshuffle`` takes apart."""
    n, c, h, w = x.shape
    phases = F.pixel_unshuffle(x, 2).reshape(n, c, 4, h // 2, w // 2)
    return maximum_of_phases(*phases.unbind(2))


def pool_by_convolution(x: Tensor) -> tuple[Tensor, Tensor]:
    """Max-pool 2x2, taking windows apart by one depthwise convolution for each of the four pixels.

    One weight of each kernel is 1 and the others are 0, so that values stay as they are. Features
    then stay in the layout of OpenVINO's convolutions, channels last. Slices and shuffles would
    make OpenVINO reorder them.

    Args:
        x: (N, C, H, W), H and W even.

    Returns:
        The maxima (N, C, H/2, W/2), and their positions in the window, 0 to 3 in reading order,
        of the same shape and dtype.
    """
    c = x.shape[1]
    kernels = torch.eye(4, dtype=x.dtype, device=x.device).view(4, 1, 1, 2, 2)
    kernels = kernels.repeat(1, c, 1, 1, 1)
    p0, p1, p2, p3 = (F.conv2d(x, kernel, stride=2, groups=c) for kernel in kernels.unbind())
    top, bottom = torch.maximum(p0, p1), torch.maximum(p2, p3)
    position = torch.where(bottom > top, torch.where(p3 > p2, 3.0, 2.0),
                           torch.where(p1 > p0, 1.0, 0.0))
    return torch.maximum(top, bottom), position.to(x.dtype)


def unpool_by_repeating(x: Tensor, position: Tensor) -> Tensor:
    """Unpool by repeating each value four times, and zero those not at the maximum's position.

    Args:
        x: (N, C, H, W).
        position: (N, C, H, W), from :func:`pool_by_convolution`.

    Returns:
        (N, C, 2H, 2W).
    """
    h, w = x.shape[-2:]
    # The four dimensions are those of the features. With two, OpenVINO compares channels first,
    # and reorders both arrays before the comparison and its result afterwards.
    pixel = torch.arange(4, dtype=x.dtype, device=x.device).view(1, 1, 2, 2).repeat(1, 1, h, w)
    repeated, position = (F.interpolate(array, scale_factor=2.0, mode='nearest')
                          for array in (x, position))
    return torch.where(position == pixel, repeated, 0.0)


BY_SLICES = UnpoolingMethod(pool_by_slices, unpool_by_stacks, max_pool)
BY_MAXIMA = UnpoolingMethod(pool_by_maxima, unpool_by_stacks, max_by_slices)
BY_SHUFFLE = UnpoolingMethod(pool_by_slices, unpool_by_shuffle, max_pool)
BY_CONVOLUTION = UnpoolingMethod(pool_by_convolution, unpool_by_repeating, max_by_unshuffle)
