"""What the kernels of the backend triton read gives the layers of the network."""

import pytest
import torch
from support.networks import trained_like
from torch.nn import functional as F

from enet_ros.backends.triton.packing import (
    pack_block,
    pack_fullconv,
    pack_initial,
    padded,
    to_device,
)
from enet_ros.network.frame_graph import FrameGraph

TOLERANCE = 0.02  # weights are float16


@pytest.fixture(scope='module')
def graph():
    made = FrameGraph(trained_like(12), (0.4, 0.5, 0.3), (0.2, 0.3, 0.25)).eval()
    return made.requires_grad_(False)


def by_layer(layer, taps, channels):
    """Sum the products of taps (T, N, rows) with a layer's matrices, and activate."""
    rows = layer.weights.shape[1]
    values = F.pad(taps, (0, rows - taps.shape[2]))
    sums = torch.einsum('tnr,trc->nc', values, layer.weights.float()) + layer.vectors[0]
    return torch.where(sums > 0, sums, sums * layer.vectors[1])[:, :channels]


def pixels_of(features):
    """Return (1, C, H, W) as (H W, C)."""
    return features[0].flatten(1).T


def windows_of(features, rows, columns, dilation=1):
    """Return the taps of each pixel's window, (rows * columns, H W, C)."""
    margin = (columns // 2 * dilation,) * 2 + (rows // 2 * dilation,) * 2
    height, width = features.shape[-2:]
    around = F.pad(features, margin)
    return torch.stack([pixels_of(around[..., y * dilation:y * dilation + height,
                                         x * dilation:x * dilation + width])
                        for y in range(rows) for x in range(columns)])


@pytest.mark.parametrize(('columns', 'wanted'), [
    (1, 16), (4, 16), (16, 16), (17, 32), (32, 32), (100, 128), (128, 128)])
def test_columns_are_padded_to_a_power_of_two(columns, wanted):
    assert padded(columns) == wanted


@pytest.mark.parametrize('name', ['stage1.0', 'stage2.1', 'stage3.2', 'stage4.1', 'stage5'])
def test_a_packed_bottleneck_gives_what_the_bottleneck_gives(graph, name):
    block = graph.network.get_submodule(name)
    packed = pack_block(block)
    torch.manual_seed(3)
    x = torch.randn(1, packed.channels, 7, 6)
    values = by_layer(packed.projection, pixels_of(x)[None], packed.narrow)
    rows, columns, dilation = packed.window

    def images(values):
        return values.T.reshape(1, -1, 7, 6)

    if packed.first_half is not None:
        narrow = packed.narrow
        taps = windows_of(images(values), columns, rows)
        values = torch.einsum('tnr,trc->nc', taps, packed.first_half.float()[:, :narrow, :narrow])
    values = by_layer(packed.conv, windows_of(images(values), rows, columns, dilation),
                      packed.narrow)
    expansion = packed.expansion
    sums = values @ expansion.weights[0, :packed.narrow].float()
    sums = sums + expansion.vectors[0] + pixels_of(x)
    result = torch.where(sums > 0, sums, sums * expansion.vectors[1])
    assert torch.allclose(images(result), block(x), atol=TOLERANCE, rtol=TOLERANCE)


def test_the_window_of_an_asymmetric_convolution_is_its_second_half(graph):
    packed = pack_block(graph.network.stage2[2])
    assert packed.window == (5, 1, 1) and len(packed.first_half) == 5
    assert pack_block(graph.network.stage2[3]).window == (3, 3, 4)
    assert pack_block(graph.network.stage2[3]).first_half is None


@pytest.mark.parametrize('name', ['up4', 'up5'])
def test_a_packed_upsampling_convolution_gives_what_it_gives(graph, name):
    block = graph.network.get_submodule(name)
    packed = pack_block(block)
    torch.manual_seed(4)
    x = torch.randn(1, packed.narrow, 3, 4)
    around = F.pad(x, (0, 1, 0, 1))
    taps = torch.stack([pixels_of(around[..., y:y + 3, x_:x_ + 4])
                        for y in range(2) for x_ in range(2)])
    wanted = block.act2(block.conv(x))
    for phase in range(4):
        layer = type(packed.conv)(packed.conv.weights[4 * phase:4 * phase + 4],
                                  packed.conv.vectors)
        made = by_layer(layer, taps, packed.narrow).T.reshape(1, -1, 3, 4)
        assert torch.allclose(made, wanted[..., phase // 2::2, phase % 2::2],
                              atol=TOLERANCE, rtol=TOLERANCE)
    main = by_layer(packed.main, torch.ones(1, 1, block.main[0].in_channels), packed.channels)
    assert torch.allclose(main[0], block.main(torch.ones(1, block.main[0].in_channels, 1, 1)
                                              ).flatten(), atol=TOLERANCE, rtol=TOLERANCE)


def test_the_packed_initial_block_gives_what_the_initial_block_gives(graph):
    layer, normalization = pack_initial(graph)
    frame = torch.randint(0, 256, (1, 3, 4, 6), dtype=torch.uint8)
    x = frame * graph.scale + graph.offset
    assert torch.allclose(frame[0].flatten(1).T * normalization[0] + normalization[1],
                          pixels_of(x))
    taps = F.unfold(x, 3, padding=1, stride=2)[0]                     # (3 * 9, 2 * 3)
    taps = taps.reshape(3, 9, 6).permute(2, 1, 0).reshape(1, 6, 27)   # channels last
    pooled = pixels_of(F.max_pool2d(frame.float(), 2))
    of_pooled = F.pad(pooled, (13, 0)) * layer.vectors[2]
    values = F.pad(taps, (0, 5))[0] @ layer.weights[0].float() + of_pooled + layer.vectors[0]
    made = torch.where(values > 0, values, values * layer.vectors[1]).T.reshape(1, 16, 2, 3)
    assert torch.allclose(made, graph.network.initial_block(x), atol=TOLERANCE, rtol=TOLERANCE)


def test_a_padded_class_is_never_the_most_probable_one(graph):
    layer = pack_fullconv(graph)
    assert layer.weights.shape == (4, 16, 16)
    features = -1e4 * torch.ones(1, 16)
    logits = torch.einsum('nr,trc->tnc', features, layer.weights.float()) + layer.vectors
    assert (logits.argmax(-1) < 12).all()


def test_the_packed_full_convolution_gives_the_logits(graph):
    layer = pack_fullconv(graph)
    torch.manual_seed(5)
    x = torch.randn(1, 16, 2, 3)
    wanted = torch.stack(graph.network.fullconv(x))[:, 0]             # (classes, 4, H, W)
    logits = torch.einsum('nr,trc->ctn', pixels_of(x), layer.weights.float())
    logits = logits + layer.vectors[:, None, None]
    assert torch.allclose(logits[:12].reshape(wanted.shape), wanted, atol=TOLERANCE,
                          rtol=TOLERANCE)


def test_arrays_go_to_the_device_and_other_values_stay(graph):
    [block] = to_device([pack_block(graph.network.up4)], 'meta')
    assert block.conv.weights.is_meta and block.main.vectors.is_meta
    assert block.window == (3, 3, 1) and block.first_half is None
