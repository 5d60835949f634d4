"""Networks for tests."""

import torch

from enet_ros.network.enet import ENet


def trained_like(num_classes=11, seed=0, decoder_activation='prelu'):
    """A network whose batch normalizations have statistics, as after training."""
    torch.manual_seed(seed)
    network = ENet(num_classes, decoder_activation)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
    return network.eval()
