"""Weights in the files of other projects, made from networks of this one."""

import struct
import time

import torch

from enet_ros.importers.import_checkpoint import import_checkpoint
from enet_ros.importers.pytorch_enet_weights import BLOCKS
from enet_ros.importers.torch7 import Module
from enet_ros.importers.torch7_enet import layout
from enet_ros.network.checkpoint import Checkpoint, CheckpointError

CLASSES = 12


class Torch7Writer:
    """Write Python values as Torch7 does."""

    def __init__(self):
        self.count = 0

    def object_start(self, name):
        self.count += 1
        return struct.pack('<ii', 4, self.count) + text('V 1') + text(name)

    def write(self, value):
        if value is None:
            return struct.pack('<i', 0)
        if isinstance(value, bool):
            return struct.pack('<ii', 5, value)
        if isinstance(value, (int, float)):
            return struct.pack('<id', 1, value)
        if isinstance(value, str):
            return struct.pack('<i', 2) + text(value)
        if isinstance(value, dict):
            self.count += 1
            return struct.pack('<iii', 3, self.count, len(value)) + b''.join(
                self.write(key) + self.write(item) for key, item in value.items())
        if isinstance(value, Module):
            return self.object_start(f'nn.{value.kind}') + self.write(value.fields)
        return self.tensor(value)

    def tensor(self, array):
        strides = [stride // array.itemsize for stride in array.strides]
        start = self.object_start('torch.FloatTensor') + struct.pack(
            f'<i{array.ndim}q{array.ndim}qq', array.ndim, *array.shape, *strides, 1)
        return (start + self.object_start('torch.FloatStorage') + struct.pack('<q', array.size)
                + array.astype('<f4').tobytes())


def text(value):
    return struct.pack('<i', len(value)) + value.encode('latin-1')


def as_torch7(value):
    return Torch7Writer().write(value)


def randomized(network, seed=0):
    """Give a network weights and statistics by chance, as if trained; in eval mode."""
    torch.manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.2)
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.3, 2)
        elif isinstance(layer, torch.nn.PReLU):
            torch.nn.init.uniform_(layer.weight, -0.3, 0.6)
    return network.eval()


def arrays_of(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()
            if not name.endswith('num_batches_tracked')}


def as_modules(network, dropout=0.0):
    """Build the Torch7 modules of an ENet, with Identity and dropout as the authors have them."""
    arrays = arrays_of(network)

    def module(wanted):
        inside = [module(child) for child in wanted.inside]
        if [child.kind for child in inside[-2:]] == ['SpatialConvolution',
                                                     'SpatialBatchNormalization']:
            inside.append(Module('SpatialDropout', {'p': dropout}))
        if wanted.kinds[0] == 'Sequential' and not inside:
            inside = [Module('Identity', {})]
        fields = {**wanted.fields, 'train': False,
                  **{name: arrays[f'{wanted.name}.{name}'] for name in wanted.arrays}}
        if inside:
            fields['modules'] = dict(enumerate(inside, start=1))
        return Module(wanted.kinds[0], fields)
    return module(layout(network))


def as_pytorch_enet(network):
    """Return a state_dict under that project's names."""
    state = dict(network.state_dict())
    theirs = {'transposed_conv.weight': state.pop('fullconv.weight')}
    state.pop('fullconv.bias')
    ours = sorted(((name, block) for block, name in BLOCKS.items() if name), key=len)
    initial = {'initial': 'main_branch', 'norm': 'batch_norm', 'act': 'out_activation'}
    for name, tensor in state.items():
        part, _, rest = name.partition('.')
        if part in initial:
            theirs[f'initial_block.{initial[part]}.{rest}'] = tensor
            continue
        prefix, block = next(pair for pair in ours if name.startswith(pair[0] + '.'))
        theirs[f'{block}.{their_part(block, name[len(prefix) + 1:])}'] = tensor
    return theirs


def their_part(block, part):
    sequence, *rest = part.split('.')
    if sequence == 'act':
        return f'out_activation.{rest[0]}'
    if sequence == 'main':
        return f'main_conv1.{rest[0]}.{rest[1]}'
    place, array = int(rest[0]), rest[1]
    if block.startswith('upsample') and 3 <= place < 6:
        return f'{("ext_tconv1", "ext_tconv1_bnorm", "ext_tconv1_activation")[place - 3]}.{array}'
    starts = (0, 3, 9) if block.startswith('asymmetric') else (0, 3, 6)
    number = max(i for i, start in enumerate(starts) if place >= start)
    last = 'ext_conv2' if block.startswith('upsample') and number == 2 else f'ext_conv{number + 1}'
    return f'{last}.{place - starts[number]}.{array}'


def imported(path, content, class_map=None):
    path.write_bytes(content)
    return import_checkpoint(path, class_map)


def outcome(path, content):
    """Import; anything but a checkpoint or a CheckpointError fails, as does a second of work."""
    start = time.process_time()
    try:
        result = imported(path, content)
    except CheckpointError:
        result = None
    assert result is None or isinstance(result, Checkpoint)
    assert time.process_time() - start < 1.0
    return result


def flipped(content, flips):
    data = bytearray(content)
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    return bytes(data)
