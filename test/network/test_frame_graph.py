"""The frame graph that backends compile: tiles, folding, classes, labels and confidence."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.networks import trained_like
from torch.nn import functional as F

from enet_ros.network.frame_graph import (
    FrameGraph,
    FullConvAsMatmul,
    argmax_by_comparison,
    fold_batch_norm,
)
from enet_ros.network.pytorch_enet import PyTorchENet


@pytest.mark.parametrize('confidence', [False, True])
@pytest.mark.parametrize('tile_pixels', [1, 200, 500])
def test_tiles_give_the_labels_of_the_whole(tile_pixels, confidence):
    graph = FrameGraph(trained_like(), [0.4] * 3, [0.3] * 3, confidence=confidence).eval()
    frames = torch.randint(0, 256, (2, 40, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        whole = graph(frames)
        tiles = graph.in_row_tiles(48, tile_pixels)(frames)
    assert graph.tile_rows == {1: 1, 200: 2, 500: 5}[tile_pixels]
    if confidence:
        assert torch.allclose(tiles[1], whole[1], atol=1e-6)
        whole, tiles = whole[0], tiles[0]
    assert whole.unique().numel() > 1
    assert torch.equal(tiles, whole)


def test_a_last_layer_whose_rows_depend_on_each_other_stays_whole():
    graph = FrameGraph(PyTorchENet(5), [0.0] * 3, [1.0] * 3).eval()
    assert graph.in_row_tiles(48, 1).tile_rows == 0


def test_folding_changes_nothing_but_rounding():
    network = trained_like()
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        folded = fold_batch_norm(network)
        assert torch.allclose(folded(x), network(x), atol=1e-3, rtol=1e-3)
    norms = [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 1  # the initial block's, half of whose input is a pooling
    assert isinstance(network.down1.norm1, torch.nn.BatchNorm2d)


def test_the_matrix_product_is_the_full_convolution():
    fullconv = torch.nn.ConvTranspose2d(5, 3, 2, stride=2)
    x = torch.randn(2, 5, 4, 6)
    with torch.inference_mode():
        blocks = torch.stack(FullConvAsMatmul(fullconv)(x), dim=1)  # (N, classes, 4, H, W)
        pixels = F.pixel_shuffle(blocks.flatten(1, 2), 2)
        assert torch.allclose(pixels, fullconv(x), atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(arrays(np.float32, (2, 7, 3, 4), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])))
def test_argmax_by_comparison_is_argmax_and_max(values):
    logits = torch.from_numpy(values)
    ids, best = argmax_by_comparison(logits.unbind(1))
    # torch leaves open which of equal values argmax names; NumPy says the first.
    assert np.array_equal(ids.numpy(), values.argmax(1))
    assert np.array_equal(best.numpy(), values.max(1))


def test_logits_that_are_no_numbers_stand_for_unknown():
    logits = torch.tensor([[1.0, torch.nan, torch.nan, torch.inf],
                           [0.0, torch.nan, 5.0, -torch.inf]])
    ids, best = argmax_by_comparison(logits.unbind(0))
    assert ids.tolist() == [0, 255, 255, 0]
    assert best.isnan().tolist() == [False, True, True, False]


@pytest.mark.parametrize('temperature', [1.0, 2.5])
def test_frame_graph_is_normalize_segment_argmax_softmax(temperature):
    network = trained_like()
    mean, std = (0.3, 0.4, 0.5), (0.2, 0.25, 0.3)
    frames = torch.randint(0, 256, (2, 32, 40, 3), dtype=torch.uint8)
    graph = FrameGraph(network, mean, std, temperature, confidence=True).eval()
    x = (frames.permute(0, 3, 1, 2) / 255 - torch.tensor(mean).view(1, 3, 1, 1)) \
        / torch.tensor(std).view(1, 3, 1, 1)
    with torch.inference_mode():
        labels, confidence = graph(frames)
        logits = network(x)
    probability = (logits / temperature).softmax(1).amax(1)
    assert labels.dtype == torch.uint8
    assert (labels == logits.argmax(1)).float().mean() > 0.9999
    assert torch.allclose(confidence, probability, atol=1e-3)
