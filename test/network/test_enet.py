"""The network: its size, its shapes, and the stages of Table 1."""

import pytest
import torch

from enet_ros.network.enet import ENet


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
