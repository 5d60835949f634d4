"""The network: its size, its unpooling, its shapes, and the graph that backends compile."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.networks import trained_like
from torch.nn import functional as F

from enet_ros.network.enet import ENet
from enet_ros.network.frame_graph import BlockClassifier, FrameGraph, fold_batch_norm, winners
from enet_ros.network.pytorch_enet import PyTorchENet


def test_has_364712_parameters_at_20_classes():
    assert sum(parameter.numel() for parameter in ENet(20).parameters()) == 364_712


@pytest.mark.parametrize('activation', ['prelu', 'relu'])
@pytest.mark.parametrize(('height', 'width'), [(8, 8), (64, 64), (40, 72)])
def test_logits_have_the_inputs_size(height, width, activation):
    network = ENet(5, activation).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, height, width)).shape == (2, 5, height, width)


def test_relu_decoder_has_no_prelu_after_stage_3():
    network = ENet(5, 'relu')
    decoder = (network.up4, network.stage4, network.up5, network.stage5)
    assert not any(isinstance(m, torch.nn.PReLU) for part in decoder for m in part.modules())


@pytest.mark.parametrize(('height', 'width'), [(63, 64), (64, 60), (4, 8)])
def test_refuses_sizes_that_are_no_multiple_of_8(height, width):
    with pytest.raises(ValueError, match=f'input is {width}x{height}, wanted multiples of 8'):
        ENet(2)(torch.zeros(1, 3, height, width))


@pytest.mark.parametrize('arguments', [(0,), (5, 'tanh')])
def test_refuses_impossible_networks(arguments):
    with pytest.raises(ValueError, match='wanted'):
        ENet(*arguments)


def test_stages_are_those_of_table_1():
    network = ENet(20)
    assert [block.kind for block in network.stage2] == [
        'regular', 'dilated2', 'asymmetric', 'dilated4',
        'regular', 'dilated8', 'asymmetric', 'dilated16']
    assert [block.kind for block in network.stage3] == [block.kind for block in network.stage2]
    dropouts = {block.dropout.p for block in (network.down1, *network.stage1)}
    assert dropouts == {0.01}
    assert {block.dropout.p for block in (network.down2, *network.stage2)} == {0.1}
    assert {block.dropout.p for block in (network.up4, *network.stage4, network.stage5)} == {0.0}


@pytest.mark.parametrize('confidence', [False, True])
@pytest.mark.parametrize('strip_pixels', [1, 200, 500])
def test_strips_give_the_labels_of_the_whole(strip_pixels, confidence):
    graph = FrameGraph(trained_like(), [0.4] * 3, [0.3] * 3, confidence=confidence).eval()
    frames = torch.randint(0, 256, (2, 40, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        whole = graph(frames)
        strips = graph.in_strips(48, strip_pixels)(frames)
    assert graph.strip_rows == {1: 1, 200: 2, 500: 5}[strip_pixels]
    if confidence:
        assert torch.allclose(strips[1], whole[1], atol=1e-6)
        whole, strips = whole[0], strips[0]
    assert whole.unique().numel() > 1
    assert torch.equal(strips, whole)


def test_a_last_layer_whose_rows_depend_on_each_other_stays_whole():
    graph = FrameGraph(PyTorchENet(5), [0.0] * 3, [1.0] * 3).eval()
    assert graph.in_strips(48, 1).strip_rows == 0


def test_folding_changes_nothing_but_rounding():
    network = trained_like()
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        folded = fold_batch_norm(network)
        assert torch.allclose(folded(x), network(x), atol=1e-3, rtol=1e-3)
    norms = [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 1  # the initial block's, half of whose input is a pooling
    assert isinstance(network.down1.norm1, torch.nn.BatchNorm2d)


def test_block_classifier_is_the_last_layer():
    fullconv = torch.nn.ConvTranspose2d(5, 3, 2, stride=2)
    x = torch.randn(2, 5, 4, 6)
    with torch.inference_mode():
        blocks = torch.stack(BlockClassifier(fullconv)(x), dim=1)  # (N, classes, 4, H, W)
        pixels = F.pixel_shuffle(blocks.flatten(1, 2), 2)
        assert torch.allclose(pixels, fullconv(x), atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(arrays(np.float32, (2, 7, 3, 4), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])))
def test_winners_are_argmax_and_max(values):
    logits = torch.from_numpy(values)
    ids, best = winners(logits.unbind(1))
    # torch leaves open which of equal values argmax names; NumPy says the first.
    assert np.array_equal(ids.numpy(), values.argmax(1))
    assert np.array_equal(best.numpy(), values.max(1))


@pytest.mark.parametrize('temperature', [1.0, 2.5])
def test_frame_graph_is_normalise_segment_argmax_softmax(temperature):
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
