"""ENet on a GPU as a chain of fused kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
from torch import Tensor

from enet_ros.backends.triton import kernels
from enet_ros.backends.triton.packing import (
    Block,
    pack_block,
    pack_fullconv,
    pack_initial,
    padded,
    to_device,
)
from enet_ros.network.enet import INITIAL_CHANNELS
from enet_ros.network.frame_graph import FrameGraph


class Tuning(NamedTuple):
    """How a kernel is compiled and started, beside what it computes.

    64 pixels and four warps, or more of both, let Triton use Hopper's ``wgmma``. That gave wrong
    labels and illegal accesses on an H200 (docs/decisions/0010-fused-kernels.md).

    Attributes:
        block: Pixels of a program.
        warps: Warps of a program.
        stages: Taps of a window that are loaded ahead, and one more.
    """

    block: int
    warps: int
    stages: int


#: 16 channels of 32 pixels are one load of 16 bytes for each thread of two warps. Four warps would
#: do that and compute its addresses twice, which makes 1.8 times as many instructions.
MANY_PIXELS = Tuning(block=32, warps=2, stages=4)
FEW_PIXELS = Tuning(block=32, warps=4, stages=10)  # all nine taps of a window are loaded at once

#: Pixels from which there are many: 24 programs for each multiprocessor of an H100.
ENOUGH_PIXELS = 24 * 132 * MANY_PIXELS.block


class Grid(NamedTuple):
    """The pixels of some feature maps.

    Attributes:
        images: Number of images.
        height, width: Size of each in pixels.
        usual_images: Number of images that the kernels are tuned for. It stays the same when fewer
            or more images come, so that nothing is compiled anew for them.
    """

    images: int
    height: int
    width: int
    usual_images: int

    @property
    def pixels(self) -> int:
        """Number of pixels of all images."""
        return self.images * self.height * self.width

    def scaled(self, factor: float) -> Grid:
        """Return the grid of feature maps of another size."""
        return self._replace(height=int(self.height * factor), width=int(self.width * factor))

    def new(self, channels: int, like: Tensor, dtype: torch.dtype = torch.float16) -> Tensor:
        """Allocate feature maps (N, H, W, C) where another tensor lies."""
        return torch.empty((self.images, self.height, self.width, channels), dtype=dtype,
                           device=like.device)


def tuning(grid: Grid) -> Tuning:
    """Choose for the usual number of pixels."""
    pixels = grid.usual_images * grid.height * grid.width
    return MANY_PIXELS if pixels >= ENOUGH_PIXELS else FEW_PIXELS


def launch(kernel, grid: Grid, *arguments, extra: tuple = (), **constants) -> None:
    """Start a kernel for the pixels of a grid, in torch's current stream.

    Args:
        kernel: One of :mod:`enet_ros.backends.triton.kernels`.
        grid: The pixels; their number, height and width follow the arguments.
        arguments: Tensors.
        extra: Numbers that follow height and width.
        constants: Arguments that the kernel is compiled for.
    """
    block, warps, stages = tuning(grid)
    kernel[(triton.cdiv(grid.pixels, block),)](
        *arguments, grid.pixels, grid.height, grid.width, *extra, **constants, BLOCK=block,
        num_warps=warps, num_stages=stages)


class FusedNetwork:
    """The frame graph of an ENet as 33 kernels, for any batch and resolution.

    It allocates its features in each call. Recorded as a CUDA graph, they keep their places.
    """

    def __init__(self, graph: FrameGraph, device: torch.device | str, usual_images: int = 1):
        """Pack the weights and copy them to the device.

        Args:
            graph: The frame graph of an :class:`enet_ros.network.enet.ENet`, in float32.
            device: Where the frames will be.
            usual_images: Number of frames that usually come at once.
        """
        network = graph.network
        self._usual_images = usual_images
        self._confidence = graph.confidence
        self._inverse_temperature = 1.0 / graph.temperature
        with torch.no_grad():
            self._initial, self._normalization = to_device(pack_initial(graph), device)
            [self._fullconv] = to_device([pack_fullconv(graph)], device)
            self._stages: dict[str, list[Block]] = {
                name: to_device(map(pack_block, blocks), device) for name, blocks in (
                    ('down1', [network.down1]), ('stage1', network.stage1),
                    ('down2', [network.down2]), ('stage2', network.stage2),
                    ('stage3', network.stage3), ('up4', [network.up4]),
                    ('stage4', network.stage4), ('up5', [network.up5]),
                    ('stage5', [network.stage5]))}

    def __call__(self, frames: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Segment frames.

        Args:
            frames: (N, H, W, 3) uint8 RGB, contiguous, H and W multiples of 8.

        Returns:
            Labels (N, H, W) uint8. With confidence also the probability of the most probable
            class, (N, H, W) float32 in [0, 1].
        """
        stages = self._stages
        [down1], [down2] = stages['down1'], stages['down2']
        [up4], [up5] = stages['up4'], stages['up5']
        images, height, width, _ = frames.shape
        grid = Grid(images, height // 4, width // 4, self._usual_images)
        narrow, pooled, positions1 = self._initial_block(frames, down1, grid)
        features, _ = _bottlenecks([down1, *stages['stage1']], narrow, pooled, grid)
        grid = grid.scaled(0.5)
        narrow, pooled, positions2 = _downsample(features, down2, grid)
        features, narrow = _bottlenecks([down2, *stages['stage2'], *stages['stage3']],
                                        narrow, pooled, grid, up4)
        features, narrow = _upsample(up4, features, narrow, positions2, grid, stages['stage4'][0])
        grid = grid.scaled(2)
        features, narrow = _bottlenecks(stages['stage4'], narrow, features, grid, up5)
        features, narrow = _upsample(up5, features, narrow, positions1, grid, stages['stage5'][0])
        return self._classify(features, narrow, grid.scaled(2))

    def _initial_block(self, frames: Tensor, down: Block, grid: Grid) -> list[Tensor]:
        """Run the initial block, and the projection and pooling of the bottleneck after it."""
        results = _pooling_results(grid, down.narrow, INITIAL_CHANNELS, frames)
        launch(kernels.initial, grid, frames, *results, self._initial.weights,
               self._initial.vectors, self._normalization, down.projection.weights,
               down.projection.vectors, CHANNELS=INITIAL_CHANNELS, NARROW=down.narrow)
        return results

    def _classify(self, features: Tensor, narrow: Tensor, grid: Grid):
        """Run the last bottleneck and the full convolution, and take the most probable class."""
        [block] = self._stages['stage5']
        size = (grid.images, 2 * grid.height, 2 * grid.width)
        labels = torch.empty(size, dtype=torch.uint8, device=features.device)
        probability = (torch.empty(size, dtype=torch.float32, device=features.device)
                       if self._confidence else labels)
        launch(kernels.classification, grid, narrow, features, labels, probability,
               block.conv.weights, block.conv.vectors, block.expansion.weights,
               block.expansion.vectors, self._fullconv.weights, self._fullconv.vectors,
               extra=(self._inverse_temperature,), NARROW=block.narrow,
               PADDED=padded(block.narrow), CHANNELS=block.channels,
               CLASSES=self._fullconv.weights.shape[2], CONFIDENCE=self._confidence)
        return (labels, probability) if self._confidence else labels


def _pooling_results(grid: Grid, narrow: int, channels: int, like: Tensor) -> list[Tensor]:
    """Allocate a projection, pooled features and the positions of the maxima."""
    return [grid.new(narrow, like), grid.new(channels, like),
            grid.new(channels, like, torch.uint8)]


def _downsample(features: Tensor, down: Block, grid: Grid) -> list[Tensor]:
    """Project and pool features for a downsampling bottleneck whose output has this grid."""
    channels = features.shape[-1]
    results = _pooling_results(grid, down.narrow, channels, features)
    launch(kernels.downsampling, grid, features, *results, down.projection.weights,
           down.projection.vectors, CHANNELS=channels, NARROW=down.narrow)
    return results


def _bottlenecks(blocks: Sequence[Block], narrow: Tensor, main: Tensor, grid: Grid,
                 following: Block | None = None) -> tuple[Tensor, Tensor | None]:
    """Run bottlenecks one after the other.

    Args:
        blocks: The bottlenecks, all of one size.
        narrow: The projection of the first one, (N, H, W, narrow).
        main: Its main branch, (N, H, W, C).
        grid: The size.
        following: The bottleneck after them, if its projection reads single pixels.

    Returns:
        Features (N, H, W, channels), and the projection of the bottleneck that follows.
    """
    for block, after in zip(blocks, [*blocks[1:], following]):
        main, narrow = _bottleneck(block, narrow, main, grid, after)
    return main, narrow


def _bottleneck(block: Block, narrow: Tensor, main: Tensor, grid: Grid,
                following: Block | None) -> tuple[Tensor, Tensor | None]:
    """Run one bottleneck after its projection, and the projection of the following one."""
    rows, columns, dilation = block.window
    narrowing = {'NARROW': block.narrow, 'PADDED': padded(block.narrow)}
    if block.first_half is not None:
        convolved = torch.empty_like(narrow)
        launch(kernels.convolution, grid, narrow, convolved, block.first_half, **narrowing,
               ROWS=columns, COLUMNS=rows)
        narrow = convolved
    features = grid.new(block.channels, main)
    next_narrow = grid.new(following.narrow, main) if following else None
    projection = following.projection if following else block.projection  # which is not read
    launch(kernels.bottleneck, grid, narrow, main, features,
           features if next_narrow is None else next_narrow,
           block.conv.weights, block.conv.vectors, block.expansion.weights,
           block.expansion.vectors, projection.weights, projection.vectors, extra=(dilation,),
           MAIN=main.shape[-1], **narrowing, ROWS=rows, COLUMNS=columns,
           CHANNELS=block.channels, NEXT=following.narrow if following else 0,
           NEXT_PADDED=projection.weights.shape[2])
    return features, next_narrow


def _upsample(block: Block, features: Tensor, narrow: Tensor, positions: Tensor, grid: Grid,
              following: Block) -> tuple[Tensor, Tensor]:
    """Run an upsampling bottleneck whose input has this grid, as :func:`_bottleneck` does."""
    size = grid.scaled(2)
    result, next_narrow = size.new(block.channels, features), size.new(following.narrow, features)
    launch(kernels.upsampling, grid, features, narrow, positions, result, next_narrow,
           block.main.weights, block.main.vectors, block.conv.weights, block.conv.vectors,
           block.expansion.weights, block.expansion.vectors, following.projection.weights,
           following.projection.vectors, FEATURES=features.shape[-1], NARROW=block.narrow,
           PADDED=padded(block.narrow), CHANNELS=block.channels, NEXT=following.narrow,
           NEXT_PADDED=padded(following.narrow))
    return result, next_narrow
