"""Weights files: what goes round, and what is refused."""

import json
import pickle
import re
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from enet_ros.network.checkpoint import (
    CheckpointError,
    read_checkpoint,
    weights_path,
    write_checkpoint,
)
from enet_ros.network.class_map import ClassMap
from enet_ros.network.classes import CAMVID_NAMES


def build_network(checkpoint):
    """Build the network, or skip where torch is not installed."""
    pytest.importorskip('torch', reason='torch is not installed')
    from enet_ros.network import build
    return build.build_network(checkpoint)


@pytest.fixture(scope='module')
def shipped():
    return read_checkpoint(weights_path(''))


def metadata_of(path):
    content = path.read_bytes()
    length = struct.unpack('<Q', content[:8])[0]
    return json.loads(content[8:8 + length])['__metadata__']


def rewritten(path, checkpoint, **changes):
    """Write a checkpoint whose metadata was changed; None leaves a key out."""
    write_checkpoint(path, checkpoint)
    metadata = {**metadata_of(path), **changes}
    save_file({name: np.asarray(array, np.float16) for name, array in checkpoint.tensors.items()},
              path, {key: value for key, value in metadata.items() if value is not None})
    return path


def test_shipped_weights_say_what_they_are(shipped):
    assert shipped.class_map.names == CAMVID_NAMES
    assert shipped.class_map.drivable_names == ('Road',)
    assert 'CC BY-NC 4.0' in shipped.origin
    path = weights_path('')
    assert path.stat().st_size < 0.85e6
    assert all(array.dtype == np.float16 for array in shipped.tensors.values())
    assert sum(p.numel() for p in build_network(shipped).parameters()) > 360_000


@pytest.mark.parametrize('dtype', ['float16', 'float32'])
def test_writing_and_reading_goes_round(tmp_path, shipped, dtype):
    wanted = replace(shipped, temperature=1.7, scores={'x': {'miou': 0.5}}, origin='here',
                     sources=('lums', 'synthetic'),
                     class_map=ClassMap.from_names(CAMVID_NAMES, ['Road', 'Pavement']))
    write_checkpoint(tmp_path / 'w.safetensors', wanted, dtype)
    found = read_checkpoint(tmp_path / 'w.safetensors')
    assert (found.class_map, found.mean, found.std) == (wanted.class_map, wanted.mean, wanted.std)
    assert (found.temperature, found.scores, found.origin) == (1.7, {'x': {'miou': 0.5}}, 'here')
    assert found.sources == ('lums', 'synthetic')
    for name, array in wanted.tensors.items():
        assert found.tensors[name].dtype == dtype
        assert np.array_equal(found.tensors[name], array)


def test_names_with_bytes_that_are_no_text_can_be_written(tmp_path, shipped):
    write_checkpoint(tmp_path / 'w.safetensors',
                     replace(shipped, origin='train --root H\udcf6fe', sources=('H\udcf6fe',)))
    found = read_checkpoint(tmp_path / 'w.safetensors')
    assert (found.origin, found.sources) == (r'train --root H\udcf6fe', (r'H\udcf6fe',))


def test_a_link_to_weights_stays_one(tmp_path, shipped):
    (tmp_path / 'current.safetensors').symlink_to('of_may.safetensors')
    write_checkpoint(tmp_path / 'current.safetensors', shipped)
    assert (tmp_path / 'current.safetensors').is_symlink()
    assert read_checkpoint(tmp_path / 'of_may.safetensors').fingerprint() == shipped.fingerprint()


def test_fingerprint_tells_weights_and_temperature_apart(shipped):
    name = 'fullconv.bias'
    other = replace(shipped, tensors={**shipped.tensors, name: shipped.tensors[name] + 1})
    prints = {c.fingerprint() for c in (shipped, other, replace(shipped, temperature=2.0))}
    assert len(prints) == 3
    assert replace(shipped, origin='elsewhere').fingerprint() == shipped.fingerprint()


def test_the_limit_of_the_confidence_goes_round_and_may_be_absent(tmp_path, shipped):
    path = tmp_path / 'w.safetensors'
    write_checkpoint(path, replace(shipped, least_confidence=0.61))
    assert read_checkpoint(path).least_confidence == 0.61
    assert read_checkpoint(rewritten(path, shipped, least_confidence=None)).least_confidence == 0.0
    for value in ('-0.1', '1.0', 'NaN', '"high"', 'true', '[0.7]'):
        with pytest.raises(CheckpointError, match="'least_confidence' is .*, wanted a number"):
            read_checkpoint(rewritten(path, shipped, least_confidence=value))
    assert replace(shipped, least_confidence=0.5).fingerprint() == shipped.fingerprint()


@pytest.mark.parametrize(('resolution', 'limit', 'said'), [
    ((640, 480), 0.7, 'on: at least 0.70'), ((640, 360), 0.7, 'on: at least 0.70'),
    ((480, 360), 0.7, 'on: at least 0.70'), ((320, 184), 0.0, 'off: .*640x480.*320x184'),
    ((1280, 720), 0.0, 'off: .*640x480.*1280x720'),
    ((360, 640), 0.0, 'off: .*640x480.*360x640')])
def test_the_limit_of_the_confidence_holds_near_its_resolution(shipped, resolution, limit, said):
    checkpoint = replace(shipped, least_confidence=0.7, resolution=(640, 480))
    found, text = checkpoint.least_confidence_at(resolution)
    assert found == limit
    assert re.match(said, text)
    found, text = replace(checkpoint, least_confidence=0.0).least_confidence_at(resolution)
    assert (found, text) == (0.0, 'off: the weights have no least_confidence; '
                                  'enet-ros calibrate writes it')


@pytest.mark.parametrize('share', [0.0, 0.00001, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    content = weights_path('').read_bytes()
    path = tmp_path / 'cut.safetensors'
    path.write_bytes(content[:int(share * len(content))])
    with pytest.raises(CheckpointError, match='cut.safetensors'):
        read_checkpoint(path)


class Bomb:
    def __reduce__(self):
        import os
        return os.mkdir, ('executed',)


def test_a_pickle_is_refused_and_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'hostile.pth'
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match='not a readable safetensors file'):
        read_checkpoint(path)
    assert not (tmp_path / 'executed').exists()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_refused(tmp_path, content, as_header):
    path = tmp_path / 'noise.safetensors'
    path.write_bytes(struct.pack('<Q', len(content)) + content if as_header else content)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


def test_a_file_far_too_large_is_refused_unread(tmp_path):
    path = tmp_path / 'large.safetensors'
    with open(path, 'wb') as file:
        file.truncate(1 << 30)
    with pytest.raises(CheckpointError, match='1073741824 bytes, wanted at most'):
        read_checkpoint(path)


@pytest.mark.parametrize(('changes', 'message'), [
    ({'classes': None}, "no 'classes'"),
    ({'classes': '["a", "b"]'}, '2 class names, 11 colors'),
    ({'classes': '["a", "b"]', 'colors': None}, '11 classes and its metadata names 2'),
    ({'scores': '[' + '[],' * 1_000_000 + '[]]'}, "metadata 'scores' has 3000004 characters"),
    ({'classes': '{"a": 1}'}, 'wanted a list of names'),
    ({'classes': '['}, "'classes' is no JSON"),
    ({'classes': '[' * 50_000}, "'classes' is no JSON"),
    ({'classes': json.dumps(['x'] * 11)}, "two classes are named 'x'"),
    ({'colors': '[[1, 2, 3]]'}, '1 colors'),
    ({'colors': '"red"'}, 'wanted a list of \\[r, g, b\\]'),
    ({'mean': '[0.1, 0.2]'}, "'mean' is \\[0.1, 0.2\\], wanted 3 finite numbers"),
    ({'mean': None}, "no 'mean'"),
    ({'std': '[0.1, 0, 0.2]'}, 'wanted all above 0'),
    ({'std': '[NaN, 1, 1]'}, 'finite'),
    ({'temperature': '0'}, "'temperature' is 0"),
    ({'resolution': f'[1{"0" * 400}, 360]'}, "'resolution' is .* wanted 2 finite numbers"),
    ({'decoder_activation': 'tanh'}, 'wanted prelu or relu'),
    ({'sources': '"lums"'}, "'sources' is lums, wanted a list of names"),
])
def test_metadata_that_cannot_be_used_is_refused(tmp_path, shipped, changes, message):
    path = rewritten(tmp_path / 'w.safetensors', shipped, **changes)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


def test_the_start_weights_layout_is_read(tmp_path, shipped):
    path = rewritten(tmp_path / 'w.safetensors', shipped, colors=None, drivable=None,
                     temperature=None, scores=None, origin=None, decoder_activation=None)
    assert read_checkpoint(path).class_map == shipped.class_map


def test_a_foreign_file_without_metadata_is_refused(tmp_path):
    path = tmp_path / 'foreign.safetensors'
    save_file({'layer.weight': np.zeros((3, 3), np.float32)}, path)
    with pytest.raises(CheckpointError, match='enet-ros import'):
        read_checkpoint(path)


@pytest.mark.parametrize(('name', 'array', 'message'), [
    ('fullconv.bias', np.full(11, np.nan, np.float32), 'not finite'),
    ('norm.running_var', np.full(16, -1, np.float32), 'negative variance'),
])
def test_weights_that_cannot_be_computed_with_are_refused(tmp_path, shipped, name, array, message):
    with pytest.raises(CheckpointError, match=message):
        write_checkpoint(tmp_path / 'w.safetensors', replace(
            shipped, tensors={**shipped.tensors, name: array}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('change', [
    lambda tensors: tensors.pop('stage2.3.conv.weight'),
    lambda tensors: tensors.update(extra=np.zeros(3, np.float32)),
    lambda tensors: tensors.update({'initial.weight': np.zeros((13, 3, 5, 5), np.float32)}),
])
def test_arrays_of_another_network_are_refused_by_name(shipped, change):
    tensors = dict(shipped.tensors)
    change(tensors)
    with pytest.raises(CheckpointError, match="'(stage2.3.conv.weight|extra|initial.weight)'"):
        build_network(replace(shipped, tensors=tensors))


def test_missing_weights_name_what_ships():
    with pytest.raises(CheckpointError, match="'nowhere' not found.*enet_camvid"):
        weights_path('nowhere')
