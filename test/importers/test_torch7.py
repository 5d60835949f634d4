"""Torch7 files: equal arrays, and nothing hostile gets through."""

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.other_weights import (
    CLASSES,
    arrays_of,
    as_modules,
    as_torch7,
    flipped,
    imported,
    outcome,
    randomized,
    text,
)
from support.traced_memory import memory_below

from enet_ros.importers.torch7 import read_torch7
from enet_ros.importers.torch7_enet import from_torch7
from enet_ros.network.checkpoint import CheckpointError
from enet_ros.network.enet import ENet

fuzz = settings(deadline=None, max_examples=60,
                suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize('value', [
    None, 2.5, 3, float('inf'), 'text', '', True, False, {}, {1: 'a', 'b': {2: None}, 0.5: False}])
def test_torch7_values_are_read(value):
    assert read_torch7(as_torch7(value)) == value


def test_torch7_tensors_and_references_are_read():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(read_torch7(as_torch7(array)), array)
    itself = struct.pack('<iii', 3, 1, 1) + as_torch7('me') + struct.pack('<ii', 3, 1)
    table = read_torch7(itself)
    assert table['me'] is table


@pytest.mark.parametrize('activation', ['prelu', 'relu'])
def test_torch7_model_is_imported_array_by_array(tmp_path, activation):
    network = randomized(ENet(CLASSES, activation))
    checkpoint = imported(tmp_path / 'model.net', as_torch7(as_modules(network)))
    assert checkpoint.decoder_activation == activation
    assert (checkpoint.mean, checkpoint.std) == ((0, 0, 0), (1, 1, 1))
    wanted = arrays_of(network)
    assert checkpoint.tensors.keys() == wanted.keys()
    for name, array in wanted.items():
        assert np.array_equal(checkpoint.tensors[name], array), name


def test_dropout_of_torch7_scales_a_trained_network(tmp_path):
    network = randomized(ENet(CLASSES))
    found = imported(tmp_path / 'model.net', as_torch7(as_modules(network, dropout=0.25))).tensors
    wanted = arrays_of(network)
    for name in ('stage1.0.norm3.weight', 'stage1.0.norm3.bias'):
        assert np.allclose(found[name], 0.75 * wanted[name])
    for name in ('stage1.0.norm3.running_var', 'stage1.0.norm2.weight'):
        assert np.array_equal(found[name], wanted[name])


def changed(change):
    """Return the modules of an ENet after a change to the first bottleneck's branch."""
    model = as_modules(ENet(CLASSES).eval())
    block = model.fields['modules'][5]
    change(block.fields['modules'][1].fields['modules'][1].fields['modules'], model)
    return as_torch7(model)


@pytest.mark.parametrize(('change', 'message'), [
    (lambda branch, model: branch.pop(8), 'holds 7 modules, this ENet has 8'),
    (lambda branch, model: branch[1].fields.update(kW=5), 'has kW 5, this ENet has 2'),
    (lambda branch, model: branch[2].fields.update(eps=1e-5), 'has eps 1e-05, this ENet has'),
    (lambda branch, model: branch[4].fields.pop('bias'), 'bias is NoneType, wanted a float'),
    (lambda branch, model: branch[1].fields.update(bias=np.ones(16, 'f4')), 'has a bias'),
    (lambda branch, model: branch[3].__setattr__('kind', 'ReLU'), 'this ENet has PReLU there'),
    (lambda branch, model: branch[9].fields.update(p=2), 'has p 2, wanted 0 to 1'),
    (lambda branch, model: branch[3].fields.update(weight=np.ones(5, 'f4')), 'of shape \\(5,\\)'),
    (lambda branch, model: branch[2].fields.update(running_var=-np.ones(16, 'f4')),
     'negative variance'),
    (lambda branch, model: branch[2].fields.update(bias=np.full(16, np.nan, 'f4')), 'not finite'),
    (lambda branch, model: model.fields['modules'].pop(32), 'holds no ENet'),
    (lambda branch, model: branch[9].fields.update(p=0.5)
     or branch.update({8: branch[9], 9: branch[8]}), 'a dropout follows'),
])
def test_another_torch7_network_is_refused(tmp_path, change, message):
    with pytest.raises(CheckpointError, match=f'other.net: .*{message}'):
        imported(tmp_path / 'other.net', changed(change))


def test_no_torch7_tensor_of_another_shape_is_copied():
    giant, model = np.ones(2**20, 'f4'), as_modules(ENet(CLASSES).eval())

    def share(module):
        for name in ('weight', 'bias', 'running_mean', 'running_var'):
            if module.fields.get(name) is not None:
                module.fields[name] = giant
        for child in module.children():
            share(child)

    share(model)
    with memory_below(giant.nbytes):
        with pytest.raises(CheckpointError, match=r'of shape \(1048576,\), wanted \(13, 3'):
            from_torch7(model)


HEAD = struct.pack('<ii', 4, 1) + text('V 1') + text('nn.Sequential')


@pytest.mark.parametrize(('content', 'message'), [
    (HEAD + struct.pack('<iii', 6, 2, 4) + b'\x1bLua', 'a Lua function .* never run'),
    (HEAD + struct.pack('<iii', 8, 2, 4) + b'\x1bLua', 'a Lua recursive function'),
    (struct.pack('<ii', 4, 1) + text('V 1') + text('nn.Evil'), "class 'nn.Evil'"),
    (struct.pack('<ii', 4, 1) + text('nn.Evil'), "class 'nn.Evil'"),
    (HEAD + as_torch7(3), 'holds int, wanted a table'),
    (HEAD + struct.pack('<iii', 3, 2, 2**31 - 1), 'truncated'),
    (HEAD + struct.pack('<iii', 3, 2, -1), 'truncated'),
    (HEAD + struct.pack('<iiiiii', 3, 2, 1, 3, 3, 0) + as_torch7(1), 'key of type dict'),
    (HEAD + struct.pack('<i', 99), 'type 99'),
    (struct.pack('<ii', 4, 1) + text('torch.FloatStorage') + struct.pack('<q', 2**62),
     'truncated'),
    (struct.pack('<ii', 4, 1) + text('torch.FloatTensor') + struct.pack('<i', 1000),
     'has 1000 dimensions'),
    (struct.pack('<ii', 4, 1) + text('torch.FloatTensor') + struct.pack(
        '<iqqqq', 2, 2**40, 2**40, 0, 0) + struct.pack('<q', 1) + as_torch7(None), 'no storage'),
    (struct.pack('<ii', 4, 7) + text('torch.FloatTensor') + struct.pack(
        '<iqqqqq', 2, 2**20, 2**20, 0, 0, 1) + struct.pack('<ii', 4, 8)
     + text('torch.FloatStorage') + struct.pack('<qf', 1, 1), 'does not lie densely'),
    (b'4\n1\n3\nV 1\n', 'begins with'),
    (b'', 'is empty'),
], ids=lambda value: value if isinstance(value, str) else 'file')
def test_hostile_torch7_is_refused(tmp_path, content, message):
    with pytest.raises(CheckpointError, match=f'evil.net: .*({message})'):
        imported(tmp_path / 'evil.net', content)


def test_endless_nesting_is_refused(tmp_path):
    content = HEAD + b''.join(struct.pack('<iii', 3, index, 1) for index in range(2, 5000))
    with pytest.raises(CheckpointError, match='nests deeper'):
        imported(tmp_path / 'deep.net', content)


def test_a_module_inside_itself_is_refused(tmp_path):
    table = struct.pack('<iii', 3, 2, 1) + as_torch7('modules') + struct.pack('<iii', 3, 3, 2)
    inside = b''.join(as_torch7(i) + struct.pack('<ii', 4, 1) for i in (1, 2))
    with pytest.raises(CheckpointError, match='holds no ENet'):
        imported(tmp_path / 'loop.net', HEAD + table + inside)


@fuzz
@given(st.sampled_from([b'', HEAD, HEAD[:4], b'PK\x03\x04', b'\x80\x02', b'\x80\x04']),
       st.binary(max_size=400))
def test_any_bytes_are_refused(tmp_path, start, content):
    assert outcome(tmp_path / 'noise', start + content) is None


@fuzz
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_torch7_file_is_refused(tmp_path, torch7_bytes, share):
    assert outcome(tmp_path / 'cut', torch7_bytes[:int(share * len(torch7_bytes))]) is None


@fuzz
@given(flips=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_in_torch7_do_no_harm(tmp_path, torch7_bytes, flips):
    outcome(tmp_path / 'flip', flipped(torch7_bytes, flips))
