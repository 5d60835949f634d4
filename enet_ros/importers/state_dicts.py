"""The network's tensors among all that a training script saved with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from enet_ros.importers.pickled_tensors import SAVE_THE_STATE
from enet_ros.network.checkpoint import CheckpointError

#: The array that every PyTorch-ENet has. What stands before it in its key is the prefix that
#: wrappers (DataParallel, Lightning, torch.compile, a script's own class) put before every key.
ANCHOR = 'transposed_conv.weight'
OURS = 'fullconv.weight'

MAX_DEPTH = 4  # of dictionaries in dictionaries

#: Words in the names of averaged weights. The weights that were trained come before them.
_AVERAGE = re.compile(r'(?<![a-z])(ema|swa|averaged?)(?![a-z])')


@dataclass(frozen=True)
class NetworkState:
    """The tensors of one network.

    Attributes:
        tensors: Tensors by their key without the prefix.
        place: Where they stood, such as 'state_dict: model.'.
        left_out: What stood beside them and is not used: keys, or the place of other networks.
    """

    tensors: dict[str, torch.Tensor]
    place: str
    left_out: tuple[str, ...]


def find_network(loaded) -> NetworkState:
    """Find the tensors of a PyTorch-ENet in what a file holds.

    Args:
        loaded: Dictionaries in dictionaries, as training scripts save them.

    Raises:
        CheckpointError: There is no network, or several that differ.
    """
    states = list(_state_dicts(loaded)) if isinstance(loaded, (dict, list, tuple)) else []
    networks = [_network(path, state, key.removesuffix(ANCHOR))
                for path, state in states for key in state
                if isinstance(key, str) and (key == ANCHOR or key.endswith(f'.{ANCHOR}'))
                and isinstance(state[key], torch.Tensor)]
    if not networks:
        raise CheckpointError(_why_none([state for _, state in states]))
    trained = [one for one in networks if not _AVERAGE.search(one.place.lower())] or networks
    if any(not _equal(one.tensors, trained[0].tensors) for one in trained[1:]):
        places = ', '.join(f"'{one.place}'" for one in trained)
        raise CheckpointError(f'it holds several networks, at {places}; save the one that is '
                              f'wanted alone: {SAVE_THE_STATE}')
    chosen = trained[0]
    others = tuple(one.place for one in networks if one is not chosen)
    return NetworkState(chosen.tensors, chosen.place,
                        (*(key for key in chosen.left_out if not key.endswith(ANCHOR)), *others))


def _state_dicts(loaded) -> Iterator[tuple[tuple[str, ...], dict]]:
    """Yield every dictionary that holds a tensor, with its path in the file."""
    waiting, met = [((), loaded)], set()
    while waiting:
        path, value = waiting.pop(0)
        if id(value) in met:  # a hostile file may put a list into itself, many times
            continue
        met.add(id(value))
        if isinstance(value, dict) and any(isinstance(item, torch.Tensor)
                                           for item in value.values()):
            yield path, value
        items = value.items() if isinstance(value, dict) else enumerate(value)
        if len(path) < MAX_DEPTH:
            waiting += [((*path, str(key)[:80]), item) for key, item in items
                        if isinstance(item, (dict, list, tuple))]


def _network(path: tuple[str, ...], state: dict, prefix: str) -> NetworkState:
    """Return the tensors under a prefix of a dictionary; all else in it is left out."""
    inside = {key.removeprefix(prefix): value for key, value in state.items()
              if isinstance(key, str) and key.startswith(prefix)
              and isinstance(value, torch.Tensor)}
    place = ': '.join(part for part in ('.'.join(path), prefix) if part)
    names = {prefix + name for name in inside}
    return NetworkState(inside, place, tuple(str(key) for key in state if key not in names))


def _why_none(states: list[dict]) -> str:
    """Say why no PyTorch-ENet was found."""
    if any(isinstance(key, str) and (key == OURS or key.endswith(f'.{OURS}'))
           for state in states for key in state):
        return ("it was written by 'enet-ros train' itself, to continue from; the finished "
                'weights are model.safetensors in the folder of the run')
    if any(isinstance(key, str) for state in states for key in state):
        return f"it has no '{ANCHOR}' of 1 to 255 classes, so it holds no PyTorch-ENet"
    return 'it holds no state_dict, which is names and tensors'


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Tell whether two networks are the same one under two names."""
    return one.keys() == other.keys() and all(
        value.shape == other[key].shape and (value.data_ptr() == other[key].data_ptr()
                                             or torch.equal(value, other[key]))
        for key, value in one.items())
