"""PReLU from operators that TensorRT fuses."""

import pytest
import torch
from support.networks import trained_like
from torch import nn

from enet_ros.network.frame_graph import FrameGraph
from enet_ros.network.fusible import FusiblePReLU, with_fusible_prelu


def prelu_with(weights):
    """Make a PReLU of the given weights."""
    prelu = nn.PReLU(len(weights))
    with torch.no_grad():
        prelu.weight.copy_(torch.tensor(weights))
    return prelu


@pytest.mark.parametrize(('weights', 'is_exact'), [
    ([0.25], True),
    ([1.0, -0.5, 0.0], True),
    ([1.5, -0.5, 0.25], False),
    ([7.0], False),
])
def test_a_fusible_prelu_equals_prelu(weights, is_exact):
    prelu = prelu_with(weights)
    x = torch.linspace(-9, 9, 2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    with torch.inference_mode():
        ours, theirs = FusiblePReLU(prelu)(x), prelu(x)
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert torch.equal(ours, theirs) or not is_exact


def network_with_steep_prelu():
    """Make a network of which some PReLU weights are above 1."""
    network = trained_like()
    with torch.no_grad():
        network.act.weight.uniform_(-0.5, 0.9)
        network.down1.act.weight.uniform_(0.5, 1.5)
        network.stage2[2].act1.weight.fill_(1.25)
    return network


@pytest.mark.parametrize('decoder_activation', ['prelu', 'relu'])
def test_a_network_with_fusible_prelu_gives_equal_logits(decoder_activation):
    network = trained_like(decoder_activation=decoder_activation)
    fusible = with_fusible_prelu(network)
    x = torch.randn(1, 3, 32, 48)
    with torch.inference_mode():
        assert torch.equal(fusible(x), network(x))


def test_steep_weights_change_nothing_but_rounding():
    network = network_with_steep_prelu()
    fusible = with_fusible_prelu(network)
    x = torch.randn(1, 3, 32, 48)
    with torch.inference_mode():
        assert torch.allclose(fusible(x), network(x), atol=1e-4, rtol=1e-4)


def test_every_prelu_of_the_copy_is_replaced_and_the_network_stays():
    network = trained_like()
    count = sum(isinstance(module, nn.PReLU) for module in network.modules())
    fusible = with_fusible_prelu(network)
    assert not any(isinstance(module, nn.PReLU) for module in fusible.modules())
    assert sum(isinstance(module, FusiblePReLU) for module in fusible.modules()) == count > 50
    assert sum(isinstance(module, nn.PReLU) for module in network.modules()) == count


def test_a_frame_graph_with_fusible_prelu_exports_without_prelu():
    graph = FrameGraph(network_with_steep_prelu(), [0.4] * 3, [0.3] * 3, confidence=True).eval()
    frames = torch.randint(0, 256, (1, 32, 48, 3), dtype=torch.uint8)
    fusible = with_fusible_prelu(graph)
    with torch.no_grad():
        program = torch.export.export(fusible, (frames,))
        labels, confidence = program.module()(frames)
        expected_labels, expected_confidence = graph(frames)
    operators = {str(node.target) for node in program.graph.nodes if node.op == 'call_function'}
    assert not any('prelu' in name for name in operators)
    assert {'aten.maximum.default', 'aten.minimum.default'} <= operators
    assert (labels == expected_labels).float().mean() > 0.999
    assert torch.allclose(confidence, expected_confidence, atol=1e-3)
