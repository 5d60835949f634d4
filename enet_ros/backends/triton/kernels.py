"""ENet's layers as Triton kernels, each of which does all work between two reads of neighbors.

A bottleneck is a projection, a main convolution and an expansion (Figure 2b of the paper). Only
the main convolution reads neighboring pixels. So one kernel does the main convolution and the
expansion of a bottleneck, the addition, and the projection of the bottleneck that follows. Frames
pass through 33 kernels, and logits never reach memory.

Features lie in memory as (N, H, W, C) in float16. Products are summed in float32. A program
computes ``BLOCK`` pixels, which are counted through all images of a batch. Matrix products need 16
rows and columns or more, so narrower features are padded with zeros in registers: ``NARROW``
channels in memory become ``PADDED`` columns.

What a kernel will need is loaded before its first matrix product. Loads behind it would wait for
it, and then for one another.

The number of pixels is not compiled in, so that more images need no other kernels.

Each layer comes as two arrays, which :mod:`enet_ros.backends.triton.packing` makes: a matrix for
each tap of its window, and vectors with the bias and the slope of PReLU for each column.
"""

from __future__ import annotations

import triton
import triton.language as tl

INITIAL_TAPS = tl.constexpr(27)         # of a window of 3x3 RGB pixels
PADDED_INITIAL_TAPS = tl.constexpr(32)
FLOAT16_MAX = tl.constexpr(65504.0)


@triton.jit
def _load_matrix(pointer, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Load a matrix (ROWS, COLUMNS)."""
    rows, columns = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    return tl.load(pointer + rows[:, None] * COLUMNS + columns[None, :])


@triton.jit
def _load_vectors(pointer, COLUMNS: tl.constexpr):
    """Load the bias and the slope of PReLU for each column."""
    columns = tl.arange(0, COLUMNS)
    return tl.load(pointer + columns), tl.load(pointer + COLUMNS + columns)


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
def _activate(sums, bias, slopes):
    """Add the bias and apply PReLU. The result is float16 and finite."""
    sums += bias[None, :]
    sums = tl.where(sums > 0, sums, sums * slopes[None, :])
    return tl.minimum(tl.maximum(sums, -FLOAT16_MAX), FLOAT16_MAX).to(tl.float16)


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


@triton.jit(do_not_specialize=['pixel_count'])
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
    residual = _load(main, pixels, valid, MAIN, CHANNELS)
    bias, slopes = _load_vectors(vectors, PADDED)
    expand = _load_matrix(expansion, PADDED, CHANNELS)
    expansion_bias, expansion_slopes = _load_vectors(expansion_vectors, CHANNELS)
    sums = _convolve(narrow, weights, pixels, valid, height, width, dilation,
                     NARROW, PADDED, ROWS, COLUMNS, BLOCK)
    sums = tl.dot(_activate(sums, bias, slopes), expand, residual.to(tl.float32))
    return _activate(sums, expansion_bias, expansion_slopes)


@triton.jit(do_not_specialize=['pixel_count'])
def bottleneck(narrow, main, features, next_narrow, weights, vectors, expansion,
               expansion_vectors, projection, projection_vectors, pixel_count, height, width,
               dilation, MAIN: tl.constexpr, NARROW: tl.constexpr, PADDED: tl.constexpr,
               ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
               NEXT: tl.constexpr, NEXT_PADDED: tl.constexpr, BLOCK: tl.constexpr):
    """Complete a bottleneck, and project for the next one if ``NEXT`` is not 0."""
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = pixels < pixel_count
    if NEXT > 0:
        project = _load_matrix(projection, CHANNELS, NEXT_PADDED)
        bias, slopes = _load_vectors(projection_vectors, NEXT_PADDED)
    values = _extend(narrow, main, weights, vectors, expansion, expansion_vectors,
                     pixels, valid, height, width, dilation, MAIN, NARROW, PADDED,
                     ROWS, COLUMNS, CHANNELS, BLOCK)
    _store(features, pixels, valid, values, CHANNELS, CHANNELS)
    if NEXT > 0:
        values = _activate(tl.dot(values, project), bias, slopes)
        _store(next_narrow, pixels, valid, values, NEXT, NEXT_PADDED)


@triton.jit
def _downsample(p0, p1, p2, p3, narrow, pooled, positions, projection, projection_vectors,
                pixels, valid, CHANNELS: tl.constexpr, NARROW: tl.constexpr):
    """Project and pool the four pixels of each window, given in reading order.

    The first of equal pixels is the maximum, as in :mod:`enet_ros.network.unpooling`.
    """
    size: tl.constexpr = CHANNELS * NARROW
    m0 = _load_matrix(projection, CHANNELS, NARROW)
    m1 = _load_matrix(projection + size, CHANNELS, NARROW)
    m2 = _load_matrix(projection + 2 * size, CHANNELS, NARROW)
    m3 = _load_matrix(projection + 3 * size, CHANNELS, NARROW)
    bias, slopes = _load_vectors(projection_vectors, NARROW)
    sums = tl.dot(p3, m3, tl.dot(p2, m2, tl.dot(p1, m1, tl.dot(p0, m0))))
    _store(narrow, pixels, valid, _activate(sums, bias, slopes), NARROW, NARROW)
    top, bottom = tl.maximum(p0, p1), tl.maximum(p2, p3)
    position = tl.where(bottom > top, tl.where(p3 > p2, 3, 2), tl.where(p1 > p0, 1, 0))
    _store(pooled, pixels, valid, tl.maximum(top, bottom), CHANNELS, CHANNELS)
    _store(positions, pixels, valid, position.to(tl.uint8), CHANNELS, CHANNELS)


@triton.jit(do_not_specialize=['pixel_count'])
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
def _load_window(frames, corner, y, x, valid, width):
    """Load a window of 3x3 around (2 y, 2 x) of an image, and which of its bytes lie inside.

    It ends at the lower and the right border, since height and width are even.
    """
    tap = tl.arange(0, PADDED_INITIAL_TAPS)
    rows = 2 * y[:, None] - 1 + (tap // 9)[None, :]
    columns = 2 * x[:, None] - 1 + (tap // 3 % 3)[None, :]
    inside = valid[:, None] & (tap < INITIAL_TAPS)[None, :] & (rows >= 0) & (columns >= 0)
    place = (corner[:, None] + rows * width + columns) * 3 + (tap % 3)[None, :]
    return tl.load(frames + place, mask=inside, other=0), inside


@triton.jit
def _load_maximum(frames, corner, y, x, valid, width, CHANNELS: tl.constexpr):
    """Load the greatest of 2x2 bytes from (2 y, 2 x) on, in the last three columns."""
    channel = tl.arange(0, CHANNELS) - (CHANNELS - 3)
    place = (corner + 2 * y * width + 2 * x)[:, None] * 3 + channel[None, :]
    is_pooled = valid[:, None] & (channel >= 0)[None, :]
    four = tl.arange(0, 4)
    step = (four // 2 * width + four % 2) * 3
    values = tl.load(frames + place[:, :, None] + step[None, None, :],
                     mask=is_pooled[:, :, None], other=0)
    return tl.max(values.to(tl.int32), axis=2)


@triton.jit
def _initial_block(window, inside, maximum, factor, offset, matrix, of_pooled, bias, slopes):
    """Compute the initial block (Figure 2a) from what was loaded for each of its pixels."""
    values = window.to(tl.float32) * factor[None, :] + offset[None, :]
    sums = tl.dot(tl.where(inside, values, 0.0).to(tl.float16), matrix)
    return _activate(sums + maximum.to(tl.float32) * of_pooled[None, :], bias, slopes)


@triton.jit(do_not_specialize=['pixel_count'])
def initial(frames, narrow, pooled, positions, weights, vectors, normalization, projection,
            projection_vectors, pixel_count, height, width,
            CHANNELS: tl.constexpr, NARROW: tl.constexpr, BLOCK: tl.constexpr):
    """Compute the initial block, and project and pool for the first downsampling bottleneck.

    Frames are (N, 4 height, 4 width, 3) uint8. ``vectors`` has a third row, by which the pooled
    bytes are multiplied.
    """
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = pixels < pixel_count
    rows, columns = 4 * height, 4 * width
    corner = pixels // (width * height) * rows * columns  # of the image in all pixels
    y, x = pixels // width % height * 2, pixels % width * 2
    w0, i0 = _load_window(frames, corner, y, x, valid, columns)
    w1, i1 = _load_window(frames, corner, y, x + 1, valid, columns)
    w2, i2 = _load_window(frames, corner, y + 1, x, valid, columns)
    w3, i3 = _load_window(frames, corner, y + 1, x + 1, valid, columns)
    m0 = _load_maximum(frames, corner, y, x, valid, columns, CHANNELS)
    m1 = _load_maximum(frames, corner, y, x + 1, valid, columns, CHANNELS)
    m2 = _load_maximum(frames, corner, y + 1, x, valid, columns, CHANNELS)
    m3 = _load_maximum(frames, corner, y + 1, x + 1, valid, columns, CHANNELS)
    channel = tl.arange(0, PADDED_INITIAL_TAPS) % 3
    factor, offset = tl.load(normalization + channel), tl.load(normalization + 3 + channel)
    matrix = _load_matrix(weights, PADDED_INITIAL_TAPS, CHANNELS)
    of_pooled = tl.load(vectors + 2 * CHANNELS + tl.arange(0, CHANNELS))
    bias, slopes = _load_vectors(vectors, CHANNELS)
    p0 = _initial_block(w0, i0, m0, factor, offset, matrix, of_pooled, bias, slopes)
    p1 = _initial_block(w1, i1, m1, factor, offset, matrix, of_pooled, bias, slopes)
    p2 = _initial_block(w2, i2, m2, factor, offset, matrix, of_pooled, bias, slopes)
    p3 = _initial_block(w3, i3, m3, factor, offset, matrix, of_pooled, bias, slopes)
    _downsample(p0, p1, p2, p3, narrow, pooled, positions, projection, projection_vectors,
                pixels, valid, CHANNELS, NARROW)


@triton.jit
def _load_2x2(narrow, pixels, valid, height, width, NARROW: tl.constexpr, PADDED: tl.constexpr):
    """Load each pixel, its right, its lower and its lower right neighbor, side by side."""
    column = tl.arange(0, 4 * PADDED)
    channel, tap = column % PADDED, column // PADDED
    has_right = pixels % width + 1 < width
    has_lower = pixels // width % height + 1 < height
    inside = (valid[:, None] & (channel < NARROW)[None, :]
              & (has_right[:, None] | (tap % 2 == 0)[None, :])
              & (has_lower[:, None] | (tap < 2)[None, :]))
    place = pixels[:, None] + (tap // 2 * width + tap % 2)[None, :]
    return tl.load(narrow + place * NARROW + channel[None, :], mask=inside, other=0)


@triton.jit(do_not_specialize=['pixel_count'])
def upsampling(features, narrow, positions, result, next_narrow, main, main_vectors, weights,
               vectors, expansion, expansion_vectors, projection, projection_vectors,
               pixel_count, height, width, FEATURES: tl.constexpr, NARROW: tl.constexpr,
               PADDED: tl.constexpr, CHANNELS: tl.constexpr, NEXT: tl.constexpr,
               NEXT_PADDED: tl.constexpr, BLOCK: tl.constexpr):
    """Complete an upsampling bottleneck, and project for the next. Sizes are those of its input.

    The full convolution makes each of the four output pixels from the same 2x2 input pixels, by a
    matrix of its own.
    """
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = pixels < pixel_count
    window = _load_2x2(narrow, pixels, valid, height, width, NARROW, PADDED)
    bias, slopes = _load_vectors(vectors, PADDED)
    expand = _load_matrix(expansion, PADDED, CHANNELS)
    expansion_bias, expansion_slopes = _load_vectors(expansion_vectors, CHANNELS)
    project = _load_matrix(projection, CHANNELS, NEXT_PADDED)
    next_bias, next_slopes = _load_vectors(projection_vectors, NEXT_PADDED)
    main_bias, main_slopes = _load_vectors(main_vectors, CHANNELS)
    sums = tl.dot(_load(features, pixels, valid, FEATURES, FEATURES),
                  _load_matrix(main, FEATURES, CHANNELS))
    unpooled = _activate(sums, main_bias, main_slopes)
    position = _load(positions, pixels, valid, CHANNELS, CHANNELS)
    for phase in tl.static_range(4):
        matrix = _load_matrix(weights + phase * 4 * PADDED * PADDED, 4 * PADDED, PADDED)
        values = _activate(tl.dot(window, matrix), bias, slopes)
        values = tl.dot(values, expand,
                        tl.where(position == phase, unpooled.to(tl.float32), 0.0))
        values = _activate(values, expansion_bias, expansion_slopes)
        there = _upper_left(pixels, width) + phase // 2 * 2 * width + phase % 2
        _store(result, there, valid, values, CHANNELS, CHANNELS)
        values = _activate(tl.dot(values, project), next_bias, next_slopes)
        _store(next_narrow, there, valid, values, NEXT, NEXT_PADDED)


@triton.jit(do_not_specialize=['pixel_count'])
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
    bias = tl.load(fullconv_bias + tl.arange(0, CLASSES))[None, :]
    values = _extend(narrow, main, weights, vectors, expansion, expansion_vectors,
                     pixels, valid, height, width, 1, CHANNELS, NARROW, PADDED,
                     3, 3, CHANNELS, BLOCK)
    for phase in tl.static_range(4):
        matrix = _load_matrix(fullconv + phase * CHANNELS * CLASSES, CHANNELS, CLASSES)
        logits = tl.dot(values, matrix) + bias
        there = _upper_left(pixels, width) + phase // 2 * 2 * width + phase % 2
        tl.store(labels + there, tl.argmax(logits, axis=1).to(tl.uint8), mask=valid)
        if CONFIDENCE:
            logits = (logits - tl.max(logits, axis=1)[:, None]) * inverse_temperature
            total = tl.sum(tl.exp(logits), axis=1)
            tl.store(probability + there, 1.0 / total, mask=valid)
