"""Cases for weights: safetensors with damaged and hostile headers, metadata and arrays."""

from __future__ import annotations

import json
import struct
from functools import cache

import numpy as np
from safetensors.numpy import save
from support.fuzz_bytes import damaged
from support.fuzz_texts import check_class_map, scratch_file

from enet_ros.network.build import build_network
from enet_ros.network.checkpoint import _to_metadata, read_checkpoint, weights_path
from enet_ros.network.class_names import parameter_name

VALUES = ('', '[', 'null', 'NaN', '[NaN, 0, 0]', '1e999', '-1', '0', '"x"', '{}', '[]', '[[]]',
          '[0, 0]', '[-8, 8]', '[1e299, 1]', '[640.5, 360]', '[true, true]', '[0, 0, 0]',
          '[1e-320, 1, 1]', '[1e299, 1, 1]', '9' * 400, '9' * 5000, '[' * 5000, '{"a":' * 5000,
          '["a\\nb"]', '["\\ud800", "b"]', '["\\u0000"]', '["a", "a"]', '["", "b"]', '[1, 2]',
          '["\\u001b[31m"]', '[[256, 0, 0]]', '[[0, 0]]', '[{"a": 1}]', '[["a", 0, 0]]', 'relu',
          'pytorch-enet', 'enet', '"' + 'x' * 5000 + '"', '\x1b[31mred', 'line\nline', '\u20ac')
KEYS = ('format', 'classes', 'colors', 'drivable', 'mean', 'std', 'resolution', 'temperature',
        'least_confidence', 'decoder_activation', 'architecture', 'scores', 'origin',
        'int8_resolution', 'int8_made_from', 'int8_frames', 'int8_versions')
DTYPES = ('F16', 'F32', 'F64', 'BF16', 'I64', 'U8', 'BOOL', 'F8_E4M3', 'X', 'C64', 'F4')


@cache
def whole_file():
    """Return the weights that ship."""
    return weights_path('').read_bytes()


@cache
def small_file(with_int8):
    """Return weights of one layer: enough for every check but the last."""
    checkpoint = read_checkpoint(weights_path(''))
    arrays = {'fullconv.weight': checkpoint.tensors['fullconv.weight'],
              'norm.running_var': np.ones(16, np.float32)}
    metadata = _to_metadata(checkpoint)
    if with_int8:
        arrays |= {'int8.openvino.xml': np.frombuffer(b'<?xml version="1.0"?>', np.uint8),
                   'int8.openvino.bin': np.zeros(9, np.uint8)}
        metadata |= {'int8_resolution': '[640, 360]', 'int8_made_from': 'x', 'int8_frames': '[1]',
                     'int8_versions': '{}'}
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata)


def _with_header_changes(rng, header):
    """Change entries of a header in place."""
    for _ in range(rng.randint(1, 3)):
        kind = rng.randrange(6)
        metadata = header.get('__metadata__')
        names = [name for name in header if name != '__metadata__']
        name = rng.choice(names) if names else ''
        if kind < 3 and isinstance(metadata, dict):
            metadata[rng.choice(KEYS)] = rng.choice(VALUES)
        elif kind == 3 and isinstance(metadata, dict) and metadata:
            del metadata[rng.choice(list(metadata))]
        elif kind == 4 and name:
            header[name][rng.choice(('dtype', 'shape', 'data_offsets'))] = rng.choice((
                rng.choice(DTYPES), [0], [2**40, 2**40], [], [1] * 50, [-1], 'x', None, [8, 4],
                [0, 2**63], header[name].get('data_offsets')))
        elif name:
            header[rng.choice(('fullconv.weight', 'evil', '\x1b[31m', 'a\nb', 'int8.openvino.xml',
                               'x' * 3000))] = header.pop(name)
    return header


def draw_weights(rng):
    """Draw a weights file."""
    content = whole_file() if rng.random() < 0.06 else small_file(rng.random() < 0.3)
    length = struct.unpack('<Q', content[:8])[0]
    header, rest = content[8:8 + length], content[8 + length:]
    kind = rng.random()
    if kind < 0.75:
        tree = _with_header_changes(rng, json.loads(header))
        header = json.dumps(tree).encode()
        content = struct.pack('<Q', len(header)) + header + rest
    if kind > 0.7:
        content = damaged(rng, content, within=rng.choice((12, 2000, 5000, 30_000)))
    return content


def run_weights(content):
    """Read weights and build their network as configure does."""
    path = scratch_file('.safetensors')
    path.write_bytes(content)
    checkpoint = read_checkpoint(path)
    check_class_map(checkpoint.class_map)
    checkpoint.least_confidence_at((640, 360))
    checkpoint.fingerprint()
    first = parameter_name(checkpoint.class_map.names[0])
    checkpoint.class_map.override({first: {'drivable': True}})
    assert checkpoint.origin.isprintable()
    if len(checkpoint.tensors) > 2:  # building takes as long for one layer, and always refuses
        build_network(checkpoint)
