"""What a fingerprint tells apart, and what goes round or is refused beside it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from enet_ros.network.checkpoint import (
    CheckpointError,
    read_checkpoint,
    weights_path,
    write_checkpoint,
)
from enet_ros.network.quantized import QuantizedGraph


@pytest.mark.parametrize('change', [
    {'mean': (0.1, 0.2, 0.3)}, {'std': (0.1, 0.2, 0.3)}, {'temperature': 2.0},
    {'decoder_activation': 'relu'}, {'architecture': 'pytorch-enet'}], ids=str)
def test_each_number_of_the_network_changes_the_fingerprint(shipped, change):
    """A compiled network of the cache would serve the other weights, else."""
    assert replace(shipped, **change).fingerprint() != shipped.fingerprint()


def test_names_and_shapes_of_arrays_change_the_fingerprint_and_their_order_does_not(shipped):
    values = np.arange(6, dtype=np.float32)
    one = replace(shipped, tensors={'a': values, 'b': values})
    assert one.fingerprint() != replace(shipped, tensors={'a': values, 'c': values}).fingerprint()
    assert one.fingerprint() != replace(
        shipped, tensors={'a': values.reshape(2, 3), 'b': values}).fingerprint()
    assert one.fingerprint() == replace(
        shipped, tensors={'b': values, 'a': values}).fingerprint()


def test_each_part_of_an_int8_graph_changes_the_fingerprint(shipped):
    graph = QuantizedGraph(b'<?xml 1', b'1', (64, 32), shipped.float_fingerprint())
    one = replace(shipped, int8=graph)
    others = [replace(one, int8=replace(graph, **change)) for change in (
        {'xml': b'<?xml 2'}, {'bin': b'2'}, {'resolution': (32, 64)})]
    others += [shipped, replace(one, temperature=2.0)]
    assert one.fingerprint() not in {other.fingerprint() for other in others}


def test_activation_and_architecture_go_round(tmp_path, shipped):
    path = tmp_path / 'w.safetensors'
    for change in ({'decoder_activation': 'relu'}, {'architecture': 'pytorch-enet'}):
        write_checkpoint(path, replace(shipped, **change))
        found = read_checkpoint(path)
        assert (found.decoder_activation, found.architecture) == (
            change.get('decoder_activation', 'prelu'), change.get('architecture', 'enet'))


def changed(path, checkpoint, **changes):
    """Write weights whose metadata was changed; None leaves a key out."""
    from safetensors import safe_open
    write_checkpoint(path, checkpoint)
    with safe_open(path, 'np') as file:
        metadata = {**file.metadata(), **changes}
    save_file({name: np.asarray(array, np.float16) for name, array in checkpoint.tensors.items()},
              path, {key: value for key, value in metadata.items() if value is not None})
    return path


@pytest.mark.parametrize(('key', 'value', 'words'), [
    ('mean', '[0.1, 0.2, 0.3, 0.4]', "'mean' is .*wanted 3 finite numbers"),
    ('mean', '[true, 0.2, 0.3]', "'mean' is .*wanted 3 finite numbers"),
    ('resolution', '[640, 360, 1]', "'resolution' is .*wanted 2 finite numbers"),
    ('resolution', '[640.5, 360]', "'resolution' is .*wanted width and height"),
    ('resolution', '[640, 99999]', "'resolution' is .*wanted width and height"),
    ('temperature', 'true', "'temperature' is True, wanted a number"),
    ('temperature', '"1"', "'temperature' is 1, wanted a number"),
    ('temperature', '1e-9', "'temperature' is 1e-09, wanted a number"),
    ('temperature', '1e9', "'temperature' is .*wanted a number"),
    ('classes', '["Road", 2]', "'classes' is .*wanted a list of names"),
    ('drivable', '[1]', "'drivable' is .*wanted a list of names"),
    ('colors', '["abc"]', "'colors' is .*wanted a list of"),
    ('decoder_activation', '', "'decoder_activation' is ''"),
    ('architecture', 'segnet', "'architecture' is 'segnet'")])
def test_metadata_that_lie_are_refused(tmp_path, shipped, key, value, words):
    path = changed(tmp_path / 'w.safetensors', shipped, **{key: value})
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(path)


def test_scores_of_another_type_are_none_and_codes_of_the_origin_are_shown(tmp_path, shipped):
    path = changed(tmp_path / 'w.safetensors', shipped, scores='[1]', resolution=None,
                   origin='here\x1b[2J\nthere')
    found = read_checkpoint(path)
    assert found.scores == {} and found.resolution == (640, 360)
    assert found.origin == r'here\x1b[2J there'


def test_more_classes_in_the_metadata_than_in_the_last_layer_are_refused(tmp_path, shipped):
    names = json.dumps([f'c{i}' for i in range(12)])
    path = changed(tmp_path / 'w.safetensors', shipped, classes=names, colors=None)
    with pytest.raises(CheckpointError, match='last layer has 11 classes and its metadata names'):
        read_checkpoint(path)


def test_numbers_that_half_precision_cannot_hold_are_refused_before_they_are_written(
        tmp_path, shipped):
    large = {**shipped.tensors, 'fullconv.bias': np.full(11, 1e6, np.float32)}
    with pytest.raises(CheckpointError, match="'fullconv.bias' has values that are not finite"):
        write_checkpoint(tmp_path / 'w.safetensors', replace(shipped, tensors=large))
    assert not list(tmp_path.iterdir())


def test_weights_are_found_by_home_and_not_by_the_name_alone(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'own.safetensors').write_bytes(b'')
    assert weights_path('~/own.safetensors') == tmp_path / 'own.safetensors'
    with pytest.raises(CheckpointError, match="weights '/nowhere/enet_road' not found"):
        weights_path('/nowhere/enet_road')
