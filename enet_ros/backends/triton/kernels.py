"""ENet's layers as Triton kernels, each of which does all work between two reads of neighbors.

A bottleneck is a projection, a main convolution and an expansion (Figure 2b of the paper). Only
the main convolution reads neighboring pixels. So one kernel does the main convolution and the
expansion of a bottleneck, the addition, and the projection of the bottleneck that follows. Frames
pass through 33 kernels, and logits never reach memory.

Features lie in memory as (N, H, W, C) in float16. Products are summed in float32. A program
computes ``BLOCK`` pixels, which are counted through all images of a batch. Matrix products need 16
rows and columns or more, so narrower features are padded with zeros in registers: ``NARROW``
channels in memory become ``PADDED`` columns.

Each layer comes as two arrays, which :mod:`enet_ros.backends.triton.packing` makes: a matrix for
each tap of its window, and vectors with the bias and the slope of PReLU for each column.
"""

from __future__ import annotations

import triton
import triton.language as tl

INITIAL_TAPS = tl.constexpr(27)         # of a window of 3x3 RGB pixels
PADDED_INITIAL_TAPS = tl.constexpr(32)


@triton.jit
def _load_matrix(pointer, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Load a matrix (ROWS, COLUMNS)."""
    rows, columns = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    return tl.load(pointer + rows[:, None] * COLUMNS + columns[None, :])


@triton.jit
def _load(pointer, pixels, inside, CHANNELS: tl.constexpr, COLUMNS: tl.constexpr):
    """Load features of some pixels: zeros outside, and in columns beyond the channels."""
    columns = tl.arange(0, COLUMNS)
    return tl.load(pointer + pixels[:, None] * CHANNELS + columns[None, :],
                   mask=inside[:, None] & (columns < CHANNELS)[None, :], other=0)


@triton.jit
def _store(pointer, pixels, inside, values, CHANNELS: tl.constexpr, COLUMNS: tl.constexpr):
    """Store features of some pixels, without the columns beyond the channels."""
    columns = tl.arange(0, COLUMNS)
    tl.store(pointer + pixels[:, None] * CHANNELS + columns[None, :], values,
             mask=inside[:, None] & (columns < CHANNELS)[None, :])


@triton.jit
def _activate(sums, vectors, COLUMNS: tl.constexpr):
    """Add the bias and apply PReLU. The result is float16."""
    columns = tl.arange(0, COLUMNS)
    sums += tl.load(vectors + columns)[None, :]
    slopes = tl.load(vectors + COLUMNS + columns)[None, :]
    return tl.where(sums > 0, sums, sums * slopes).to(tl.float16)


@triton.jit
def _upper_left(pixels, width):
    """Return the upper left pixel of each window of 2x2, for windows counted row by row."""
    return pixels // width * 4 * width + pixels % width * 2


@triton.jit
def _convolve(narrow, weights, pixels, valid, height, width, dilation,
              NARROW: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
              COLUMNS: tl.constexpr, BLOCK: tl.constexpr):
    """Convolve with a window of ROWS x COLUMNS whose center is the pixel itself.

    Triton loads the taps ahead, as many as the launch option ``num_stages`` says.
    """
    x, y = pixels % width, pixels // width % height
    sums = tl.zeros((BLOCK, PADDED), tl.float32)
    for tap in tl.range(0, ROWS * COLUMNS):
        dy = (tap // COLUMNS - ROWS // 2) * dilation
        dx = (tap % COLUMNS - COLUMNS // 2) * dilation
        inside = (valid & (y + dy >= 0) & (y + dy < height)
                  & (x + dx >= 0) & (x + dx < width))
        values = _load(narrow, pixels + dy * width + dx, inside, NARROW, PADDED)
        matrix = _load_matrix(weights + tap * PADDED * PADDED, PADDED, PADDED)
        sums = tl.dot(values, matrix, sums)
    return sums


@triton.jit
def convolution(narrow, result, weights, pixel_count, height, width,
                NARROW: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
                COLUMNS: tl.constexpr, BLOCK: tl.constexpr):
    """Convolve without bias and activation: the first half of an asymmetric convolution."""
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = pixels < pixel_count
    sums = _convolve(narrow, weights, pixels, valid, height, width, 1,
                     NARROW, PADDED, ROWS, COLUMNS, BLOCK)
    _store(result, pixels, valid, sums.to(tl.float16), NARROW, PADDED)


@triton.jit
def _extend(narrow, main, weights, vectors, expansion, expansion_vectors,
            pixels, valid, height, width, dilation, MAIN: tl.constexpr,
            NARROW: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr,
            COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    """Return what a bottleneck gives after its projection, (BLOCK, CHANNELS).

    The main branch has ``MAIN`` channels, and zeros in those that a downsampling bottleneck adds.
    """
    residual = _load(main, pixels, valid, MAIN, CHANNELS)  # early, since it takes its time
    sums = _convolve(narrow, weights, pixels, valid, height, width, dilation,
                     NARROW, PADDED, ROWS, COLUMNS, BLOCK)
    values = _activate(sums, vectors, PADDED)
    sums = tl.dot(values, _load_matrix(expansion, PADDED, CHANNELS), residual.to(tl.float32))
    return _activate(sums, expansion_vectors, CHANNELS)


@triton.jit
def _project(values, narrow, weights, vectors, pixels, valid, CHANNELS: tl.constexpr,
             NARROW: tl.constexpr, PADDED: tl.constexpr):
    """Store the projection of the bottleneck that follows."""
    sums = tl.dot(values, _load_matrix(weights, CHANNELS, PADDED))
    _store(narrow, pixels, valid, _activate(sums, vectors, PADDED), NARROW, PADDED)


@triton.jit
def bottleneck(narrow, main, features, next_narrow, weights, vectors, expansion,
               expansion_vectors, projection, projection_vectors, pixel_count, height, width,
               dilation, MAIN: tl.constexpr, NARROW: tl.constexpr, PADDED: tl.constexpr,
               ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
               NEXT: tl.constexpr, NEXT_PADDED: tl.constexpr, BLOCK: tl.constexpr):
    """Complete a bottleneck, and project for the next one if ``NEXT`` is not 0."""
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = pixels < pixel_count
    values = _extend(narrow, main, weights, vectors, expansion, expansion_vectors,
                     pixels, valid, height, width, dilation, MAIN, NARROW, PADDED,
                     ROWS, COLUMNS, CHANNELS, BLOCK)
    _store(features, pixels, valid, values, CHANNELS, CHANNELS)
    if NEXT > 0:
        _project(values, next_narrow, projection, projection_vectors, pixels, valid,
                 CHANNELS, NEXT, NEXT_PADDED)


@triton.jit
def _downsample(p0, p1, p2, p3, narrow, pooled, positions, projection, projection_vectors,
                pixels, valid, CHANNELS: tl.constexpr, NARROW: tl.constexpr):
    """Project and pool the four pixels of each window, given in reading order.

    The first of equal pixels is the maximum, as in :mod:`enet_ros.network.unpooling`.
    """
    size: tl.constexpr = CHANNELS * NARROW
    sums = tl.dot(p0, _load_matrix(projection, CHANNELS, NARROW))
    sums = tl.dot(p1, _load_matrix(projection + size, CHANNELS, NARROW), sums)
    sums = tl.dot(p2, _load_matrix(projection + 2 * size, CHANNELS, NARROW), sums)
    sums = tl.dot(p3, _load_matrix(projection + 3 * size, CHANNELS, NARROW), sums)
    values = _activate(sums, projection_vectors, NARROW)
    _store(narrow, pixels, valid, values, NARROW, NARROW)
    top, bottom = tl.maximum(p0, p1), tl.maximum(p2, p3)
    position = tl.where(bottom > top, tl.where(p3 > p2, 3, 2), tl.where(p1 > p0, 1, 0))
    _store(pooled, pixels, valid, tl.maximum(top, bottom), CHANNELS, CHANNELS)
    _store(positions, pixels, valid, position.to(tl.uint8), CHANNELS, CHANNELS)


@triton.jit
def downsampling(features, narrow, pooled, positions, projection, projection_vectors,
                 pixel_count, height, width, CHANNELS: tl.constexpr, NARROW: tl.constexpr,
                 BLOCK: tl.constexpr):
    """Project and pool for a downsampling bottleneck. Sizes are those of its output."""
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = pixels < pixel_count
    corner = _upper_left(pixels, width)
    p0 = _load(features, corner, valid, CHANNELS, CHANNELS)
    p1 = _load(features, corner + 1, valid, CHANNELS, CHANNELS)
    p2 = _load(features, corner + 2 * width, valid, CHANNELS, CHANNELS)
    p3 = _load(features, corner + 2 * width + 1, valid, CHANNELS, CHANNELS)
    _downsample(p0, p1, p2, p3, narrow, pooled, positions, projection, projection_vectors,
                pixels, valid, CHANNELS, NARROW)


@triton.jit
def _initial_block(frames, image, y, x, valid, height, width, weights, vectors, normalization,
                   CHANNELS: tl.constexpr):
    """Compute the initial block (Figure 2a) at (y, x) of its output.

    The last three columns are the pooled frame. ``vectors`` has a third row, by which the pooled
    bytes are multiplied. Height and width are those of the frames.
    """
    tap = tl.arange(0, PADDED_INITIAL_TAPS)
    rows = 2 * y[:, None] - 1 + (tap // 9)[None, :]
    columns = 2 * x[:, None] - 1 + (tap // 3 % 3)[None, :]
    inside = (valid[:, None] & (tap < INITIAL_TAPS)[None, :] & (rows >= 0) & (columns >= 0)
              & (rows < height) & (columns < width))
    window = ((image[:, None] * height + rows) * width + columns) * 3 + (tap % 3)[None, :]
    values = tl.load(frames + window, mask=inside, other=0).to(tl.float32)
    values = (values * tl.load(normalization + tap % 3)[None, :]
              + tl.load(normalization + 3 + tap % 3)[None, :])
    sums = tl.dot(tl.where(inside, values, 0.0).to(tl.float16),
                  _load_matrix(weights, PADDED_INITIAL_TAPS, CHANNELS))
    column = tl.arange(0, CHANNELS)
    channel = column - (CHANNELS - 3)
    corner = ((image * height + 2 * y) * width + 2 * x)[:, None] * 3 + channel[None, :]
    is_pooled = valid[:, None] & (channel >= 0)[None, :]
    maximum = tl.load(frames + corner, mask=is_pooled, other=0)
    maximum = tl.maximum(maximum, tl.load(frames + corner + 3, mask=is_pooled, other=0))
    corner += 3 * width
    maximum = tl.maximum(maximum, tl.load(frames + corner, mask=is_pooled, other=0))
    maximum = tl.maximum(maximum, tl.load(frames + corner + 3, mask=is_pooled, other=0))
    sums += maximum.to(tl.float32) * tl.load(vectors + 2 * CHANNELS + column)[None, :]
    return _activate(sums, vectors, CHANNELS)


@triton.jit
def initial(frames, narrow, pooled, positions, weights, vectors, normalization, projection,
            projection_vectors, pixel_count, height, width,
            CHANNELS: tl.constexpr, NARROW: tl.constexpr, BLOCK: tl.constexpr):
    """Compute the initial block, and project and pool for the first downsampling bottleneck.

    Frames are (N, 4 height, 4 width, 3) uint8.
    """
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = pixels < pixel_count
    image, y, x = pixels // (width * height), pixels // width % height, pixels % width
    p0 = _initial_block(frames, image, 2 * y, 2 * x, valid, 4 * height, 4 * width,
                        weights, vectors, normalization, CHANNELS)
    p1 = _initial_block(frames, image, 2 * y, 2 * x + 1, valid, 4 * height, 4 * width,
                        weights, vectors, normalization, CHANNELS)
    p2 = _initial_block(frames, image, 2 * y + 1, 2 * x, valid, 4 * height, 4 * width,
                        weights, vectors, normalization, CHANNELS)
    p3 = _initial_block(frames, image, 2 * y + 1, 2 * x + 1, valid, 4 * height, 4 * width,
                        weights, vectors, normalization, CHANNELS)
    _downsample(p0, p1, p2, p3, narrow, pooled, positions, projection, projection_vectors,
                pixels, valid, CHANNELS, NARROW)


@triton.jit
def upsampling(features, narrow, positions, result, next_narrow, main, main_vectors, weights,
               vectors, expansion, expansion_vectors, projection, projection_vectors,
               pixel_count, height, width, FEATURES: tl.constexpr, NARROW: tl.constexpr,
               PADDED: tl.constexpr, CHANNELS: tl.constexpr, NEXT: tl.constexpr,
               NEXT_PADDED: tl.constexpr, BLOCK: tl.constexpr):
    """Complete an upsampling bottleneck, and project for the next. Sizes are those of its input.

    The full convolution makes each of the four output pixels from the same 2x2 input pixels, by
    matrices of its own.
    """
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = pixels < pixel_count
    sums = tl.dot(_load(features, pixels, valid, FEATURES, FEATURES),
                  _load_matrix(main, FEATURES, CHANNELS))
    unpooled = _activate(sums, main_vectors, CHANNELS)
    position = _load(positions, pixels, valid, CHANNELS, CHANNELS)
    right = valid & (pixels % width + 1 < width)
    below = valid & (pixels // width % height + 1 < height)
    p0 = _load(narrow, pixels, valid, NARROW, PADDED)
    p1 = _load(narrow, pixels + 1, right, NARROW, PADDED)
    p2 = _load(narrow, pixels + width, below, NARROW, PADDED)
    p3 = _load(narrow, pixels + width + 1, right & below, NARROW, PADDED)
    size: tl.constexpr = PADDED * PADDED
    for phase in tl.static_range(4):
        matrices = weights + 4 * phase * size
        sums = tl.dot(p0, _load_matrix(matrices, PADDED, PADDED))
        sums = tl.dot(p1, _load_matrix(matrices + size, PADDED, PADDED), sums)
        sums = tl.dot(p2, _load_matrix(matrices + 2 * size, PADDED, PADDED), sums)
        sums = tl.dot(p3, _load_matrix(matrices + 3 * size, PADDED, PADDED), sums)
        sums = tl.dot(_activate(sums, vectors, PADDED), _load_matrix(expansion, PADDED, CHANNELS),
                      tl.where(position == phase, unpooled.to(tl.float32), 0.0))
        values = _activate(sums, expansion_vectors, CHANNELS)
        there = _upper_left(pixels, width) + phase // 2 * 2 * width + phase % 2
        _store(result, there, valid, values, CHANNELS, CHANNELS)
        _project(values, next_narrow, projection, projection_vectors, there, valid,
                 CHANNELS, NEXT, NEXT_PADDED)


@triton.jit
def classification(narrow, main, labels, probability, weights, vectors, expansion,
                   expansion_vectors, fullconv, fullconv_bias, pixel_count, height, width,
                   inverse_temperature, NARROW: tl.constexpr, PADDED: tl.constexpr,
                   CHANNELS: tl.constexpr, CLASSES: tl.constexpr, CONFIDENCE: tl.constexpr,
                   BLOCK: tl.constexpr):
    """Complete the last bottleneck, and classify the four pixels of each block of 2x2.

    The bias of padded classes is minus infinity, so that they are never the most probable ones.
    """
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = pixels < pixel_count
    values = _extend(narrow, main, weights, vectors, expansion, expansion_vectors,
                     pixels, valid, height, width, 1, CHANNELS, NARROW, PADDED,
                     3, 3, CHANNELS, BLOCK)
    bias = tl.load(fullconv_bias + tl.arange(0, CLASSES))[None, :]
    for phase in tl.static_range(4):
        matrix = _load_matrix(fullconv + phase * CHANNELS * CLASSES, CHANNELS, CLASSES)
        logits = tl.dot(values, matrix) + bias
        there = _upper_left(pixels, width) + phase // 2 * 2 * width + phase % 2
        tl.store(labels + there, tl.argmax(logits, axis=1).to(tl.uint8), mask=valid)
        if CONFIDENCE:
            logits = (logits - tl.max(logits, axis=1)[:, None]) * inverse_temperature
            total = tl.sum(tl.exp(logits), axis=1)
            tl.store(probability + there, 1.0 / total, mask=valid)
