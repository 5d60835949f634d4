"""From a checkpoint to its network and its frame graph."""

from __future__ import annotations

import torch

from enet_ros.network.checkpoint import Checkpoint, CheckpointError
from enet_ros.network.enet import ENet
from enet_ros.network.frame_graph import FrameGraph
from enet_ros.network.pytorch_enet import PyTorchENet

#: Network by the name of its architecture in a checkpoint.
NETWORKS = {'enet': ENet, 'pytorch-enet': PyTorchENet}


def build_network(checkpoint: Checkpoint) -> ENet | PyTorchENet:
    """Build the network of a checkpoint, in eval mode and float32.

    Raises:
        CheckpointError: Its arrays are not those of its architecture. The message names one.
    """
    network = NETWORKS[checkpoint.architecture](
        len(checkpoint.class_map), checkpoint.decoder_activation)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()
                if not name.endswith('num_batches_tracked')}
    shapes = {name: array.shape for name, array in checkpoint.tensors.items()}
    for name in expected.keys() | shapes.keys():
        if expected.get(name) != shapes.get(name):
            raise CheckpointError(f"the weights have '{name}' of shape {shapes.get(name, 'none')},"
                                  f' this ENet wants {expected.get(name, "none")}')
    network.load_state_dict({name: torch.from_numpy(array.astype('float32'))
                             for name, array in checkpoint.tensors.items()})
    return network.eval()


def build_graph(checkpoint: Checkpoint, *, confidence: bool = False,
                label_dtype: torch.dtype = torch.uint8) -> FrameGraph:
    """Build the frame graph of a checkpoint, in eval mode and float32.

    Args:
        checkpoint: The weights, their normalization and their temperature.
        confidence: Whether the probability of the most probable class is a second output.
        label_dtype: Dtype of the labels; int32 for TensorRT.

    Raises:
        CheckpointError: As :func:`build_network`.
    """
    return FrameGraph(build_network(checkpoint), checkpoint.mean, checkpoint.std,
                      checkpoint.temperature, confidence=confidence,
                      label_dtype=label_dtype).eval()
