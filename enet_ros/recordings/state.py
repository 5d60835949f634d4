"""What a camera remembers between two frames, as bytes: data only, nothing is ever executed.

A run that goes on at the last whole part needs the votes and the judgements of the frames before.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Mapping

import numpy as np

from enet_ros.perception.suspicion import Fault, Suspicion

_PLAIN = (bool, int, float, str, type(None))


class StateError(ValueError):
    """The state of a run cannot be read."""


def encode_state(state: Mapping[str, object]) -> bytes:
    """Return a state as JSON.

    Args:
        state: Names and values: numbers, texts, arrays, suspicions, and lists, tuples, deques and
            mappings of them.
    """
    return json.dumps(_encode(state)).encode()


def decode_state(data: bytes) -> dict[str, object]:
    """Return the state that :func:`encode_state` wrote.

    Raises:
        StateError: The bytes are none.
    """
    try:
        state = _decode(json.loads(data))
        if not isinstance(state, dict):
            raise TypeError(f'it is a {type(state).__name__}, wanted a mapping')
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f'the state of the run before cannot be read: {error}') from error
    return state


def set_fields(remembers: object, values: Mapping[str, object]) -> None:
    """Set attributes of an object that has them already."""
    for name, value in values.items():
        if not hasattr(remembers, name):
            raise StateError(f'{type(remembers).__name__} has no {name}; the run before was of '
                             'another version')
        setattr(remembers, name, value)


def _encode(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, np.ndarray):
        return {'array': b64encode(np.ascontiguousarray(value).tobytes()).decode(),
                'dtype': value.dtype.str, 'shape': value.shape}
    if isinstance(value, Suspicion):
        return {'fault': value.fault.name, 'reason': value.reason}
    if isinstance(value, Mapping):
        return {'mapping': [[key, _encode(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple, deque)):
        return {type(value).__name__: [_encode(item) for item in value],
                'maxlen': getattr(value, 'maxlen', None)}
    raise TypeError(f'a {type(value).__name__} cannot be kept')


def _decode(value: object) -> object:
    if isinstance(value, _PLAIN):
        return value
    if 'array' in value:
        dtype = np.dtype(value['dtype'])
        if dtype.hasobject:
            raise ValueError(f'an array of {dtype} is no data')
        return np.frombuffer(bytearray(b64decode(value['array'])), dtype).reshape(value['shape'])
    if 'fault' in value:
        return Suspicion(Fault[value['fault']], value['reason'])
    if 'mapping' in value:
        return {key: _decode(item) for key, item in value['mapping']}
    kind = next((kind for kind in ('list', 'tuple', 'deque') if kind in value), None)
    if kind is None:
        raise ValueError(f'{list(value)!r:.100} is no kind of value')
    items = [_decode(item) for item in value[kind]]
    return (deque(items, value['maxlen']) if kind == 'deque' else
            tuple(items) if kind == 'tuple' else items)
