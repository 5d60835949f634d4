"""Weights of github.com/davidtvs/PyTorch-ENet, under the names of our network."""

from __future__ import annotations

import re

import numpy as np
import torch

from enet_ros.network.checkpoint import CheckpointError
from enet_ros.network.enet import STAGE_2_AND_3
from enet_ros.network.pytorch_enet import PyTorchENet


def _block_names() -> dict[str, str]:
    """Return PyTorch-ENet's name of each block -> ours."""
    names = {'initial_block': '', 'downsample1_0': 'down1', 'downsample2_0': 'down2',
             'upsample4_0': 'up4', 'upsample5_0': 'up5', 'regular5_1': 'stage5'}
    names |= {f'regular1_{i + 1}': f'stage1.{i}' for i in range(4)}
    names |= {f'regular4_{i + 1}': f'stage4.{i}' for i in range(2)}
    for i, kind in enumerate(STAGE_2_AND_3):
        names[f'{kind.rstrip("0123456789")}2_{i + 1}'] = f'stage2.{i}'
        names[f'{kind.rstrip("0123456789")}3_{i}'] = f'stage3.{i}'
    return names


BLOCKS = _block_names()

#: PyTorch-ENet's part of a block -> our sequence for it, and the index of its first layer there.
#: Where more convolutions come before the expansion, its index is 3 higher.
PARTS = {'ext_conv1': ('branch', 0), 'ext_conv2': ('branch', 3), 'ext_conv3': ('branch', 6),
         'ext_tconv1': ('branch', 3), 'ext_tconv1_bnorm': ('branch', 4),
         'ext_tconv1_activation': ('branch', 5), 'main_conv1': ('main', 0)}

INITIAL = {'main_branch': 'initial', 'batch_norm': 'norm', 'out_activation': 'act'}

_KEY = re.compile(r'(\w+?)\.(\w+)(?:\.(\d))?\.(\w+)')


def our_name(key: str) -> str:
    """Return our name of an array of PyTorch-ENet.

    Raises:
        CheckpointError: PyTorch-ENet has no such array.
    """
    if key == 'transposed_conv.weight':
        return 'fullconv.weight'
    match = _KEY.fullmatch(key)
    block, part, place, array = match.groups() if match else ('', '', None, '')
    if block == 'initial_block' and part in INITIAL:
        return f'{INITIAL[part]}.{array}'
    if block in BLOCKS and part == 'out_activation':
        return f'{BLOCKS[block]}.act.{array}'
    if block not in BLOCKS or part not in PARTS:
        raise CheckpointError(f"it has an array '{key[:80]}', which PyTorch-ENet does not have")
    sequence, first = PARTS[part]
    if (block.startswith('upsample') and part == 'ext_conv2') or (
            block.startswith('asymmetric') and part == 'ext_conv3'):
        first += 3
    return f'{BLOCKS[block]}.{sequence}.{first + int(place or 0)}.{array}'


def from_state_dict(state: dict[str, torch.Tensor]) -> tuple[dict[str, np.ndarray], int, str]:
    """Give the arrays of PyTorch-ENet our names.

    Args:
        state: Tensors by PyTorch-ENet's names, without a prefix.

    Returns:
        Arrays by the names of :class:`enet_ros.network.pytorch_enet.PyTorchENet`, float32; the
        number of classes; and the activation of the decoder, 'prelu' or 'relu'.

    Raises:
        CheckpointError: The arrays are not those of PyTorch-ENet; the message names the first
            that differs.
    """
    found = {our_name(key): value for key, value in state.items()
             if not key.endswith('num_batches_tracked')}
    last = found.get('fullconv.weight')
    if last is None or last.ndim != 4 or not 1 <= last.shape[1] <= 255:
        raise CheckpointError("it has no 'transposed_conv.weight' of 1 to 255 classes, so it "
                              'holds no PyTorch-ENet')
    count = last.shape[1]
    activation = 'prelu' if 'up4.act.weight' in found else 'relu'
    found['fullconv.bias'] = torch.zeros(count)
    wanted = {name: value for name, value in PyTorchENet(count, activation).state_dict().items()
              if not name.endswith('num_batches_tracked')}
    if 'act.weight' not in found:  # encoder_relu=True: a PReLU of weight 0 is a ReLU
        found |= {name: torch.zeros(1) for name, value in wanted.items()
                  if value.shape == (1,) and name not in found}
    return {name: _array(name, found.get(name), value) for name, value in
            _same_names(found, wanted).items()}, count, activation


def _same_names(found: dict, wanted: dict) -> dict:
    """Return the wanted arrays after checking that their names agree with those of the file."""
    for name in sorted(found.keys() ^ wanted.keys()):
        raise CheckpointError(f"{'it lacks' if name in wanted else 'it has'} '{name}' (as named "
                              'here), unlike PyTorch-ENet')
    return wanted


def _array(name: str, found: torch.Tensor, wanted: torch.Tensor) -> np.ndarray:
    """Return a tensor as float32.

    The shape is checked before anything is copied, since a few bytes can claim any size.
    """
    place, plain = f' as {found.layout} on {found.device.type}', ' as torch.strided on cpu'
    if found.shape != wanted.shape or not found.is_floating_point() or place != plain:
        raise CheckpointError(f"'{name}' is {found.dtype} {list(found.shape)}"
                              f'{place if place != plain else ""}, wanted floating point '
                              f'{list(wanted.shape)}{plain if place != plain else ""}')
    return found.detach().to(torch.float32).contiguous().numpy()
