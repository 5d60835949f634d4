"""The int8 graph inside a weights file: how it is kept, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from enet_ros.network.checkpoint import (
    CheckpointError,
    read_checkpoint,
    write_checkpoint,
)
from enet_ros.network.quantized import INT8_ARRAYS, QuantizedGraph


def with_graph(checkpoint):
    """Give a checkpoint what a quantized graph looks like from outside."""
    return replace(checkpoint, int8=QuantizedGraph(
        b'<?xml version="1.0"?><net/>', bytes(range(100)), (160, 96),
        checkpoint.float_fingerprint(), 92, {'openvino': '2026.4', 'nncf': '3.4'}))


def test_a_quantized_graph_goes_round_with_the_weights(tmp_path, shipped):
    wanted = with_graph(shipped)
    write_checkpoint(tmp_path / 'w.safetensors', wanted)
    found = read_checkpoint(tmp_path / 'w.safetensors')
    assert found.int8 == wanted.int8
    assert found.tensors.keys() == wanted.tensors.keys()
    assert found.fingerprint() == wanted.fingerprint() != shipped.fingerprint()
    pytest.importorskip('torch', reason='torch is not installed')
    from enet_ros.network.build import build_network
    build_network(found)


@pytest.mark.parametrize(('arrays', 'metadata', 'message'), [
    ({INT8_ARRAYS[0]: None}, {}, "wants 'int8.openvino.xml', .* is not there"),
    ({INT8_ARRAYS[1]: None}, {}, "wants 'int8.openvino.bin', .* is not there"),
    (dict.fromkeys(INT8_ARRAYS), {}, "wants 'int8.openvino.xml', .* is not there"),
    ({INT8_ARRAYS[1]: np.zeros(9, np.float32)}, {}, r'is float32 of shape \(9,\)'),
    ({INT8_ARRAYS[0]: np.zeros((3, 3), np.uint8)}, {}, r'is uint8 of shape \(3, 3\)'),
    ({INT8_ARRAYS[0]: np.frombuffer(b'ONNX', np.uint8)}, {}, 'no OpenVINO IR, wanted'),
    ({INT8_ARRAYS[0]: np.zeros(0, np.uint8)}, {}, 'no OpenVINO IR, wanted'),
    ({INT8_ARRAYS[1]: np.zeros(0, np.uint8)}, {}, 'no OpenVINO IR, wanted'),
    ({'int8.other': np.zeros(9, np.uint8)}, {}, "'int8.other' is uint8, wanted float32 or"),
    ({'fullconv.bias': np.ones(11, np.float16)}, {}, 'was made from other weights'),
    ({}, {'temperature': '2.0'}, 'was made from other weights'),
    ({}, {'int8_made_from': None}, 'was made from other weights'),
    ({}, {'int8_resolution': None}, "no 'int8_resolution'"),
    ({}, {'int8_resolution': '[160, 100]'}, 'for 160x100, wanted .* multiples of 8'),
    ({}, {'int8_resolution': '[160.0, 96]'}, 'wanted width and height in multiples of 8'),
    ({}, {'int8_resolution': '[-8, 0]'}, 'for -8x0, wanted'),
    ({}, {'int8_resolution': '"160x96"'}, "'int8_resolution' is 160x96, wanted 2 finite"),
    ({}, {'int8_frames': '["many"]'}, "'int8_frames' is .*, wanted 1 finite number"),
    ({}, {'int8_versions': '{'}, "'int8_versions' is no JSON"),
])
def test_a_quantized_graph_that_contradicts_its_file_is_refused(tmp_path, shipped, arrays,
                                                                metadata, message):
    path = tmp_path / 'w.safetensors'
    write_checkpoint(path, with_graph(shipped))
    with safe_open(path, 'np') as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()} | arrays
        metadata = file.metadata() | metadata
    save_file({name: array for name, array in tensors.items() if array is not None}, path,
              {key: value for key, value in metadata.items() if value is not None})
    with pytest.raises(CheckpointError, match=f'w.safetensors.*{message}'):
        read_checkpoint(path)
