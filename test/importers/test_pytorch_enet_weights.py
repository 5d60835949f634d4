"""Checkpoints of PyTorch-ENet: equal outputs, and nothing hostile gets through."""

import importlib.util
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.other_weights import (
    CLASSES,
    as_pytorch_enet,
    flipped,
    imported,
    outcome,
    randomized,
)

from enet_ros.importers.import_checkpoint import import_checkpoint
from enet_ros.network.build import build_network
from enet_ros.network.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.network.frame_graph import fold_batch_norm
from enet_ros.network.pytorch_enet import PyTorchENet
from enet_ros.perception.segmenter import Segmenter

fuzz = settings(deadline=None, max_examples=60,
                suppress_health_check=[HealthCheck.function_scoped_fixture])


def saved(path, state, **options):
    torch.save({'epoch': 3, 'miou': 0.5, 'state_dict': state}, path, **options)
    return path


@pytest.fixture(scope='module')
def pytorch_network():
    network = randomized(PyTorchENet(CLASSES))
    torch.nn.init.zeros_(network.fullconv.bias)
    return network


@pytest.fixture(scope='module')
def pytorch_bytes(pytorch_network, tmp_path_factory):
    path = tmp_path_factory.mktemp('pth') / 'ENet'
    saved(path, as_pytorch_enet(pytorch_network), _use_new_zipfile_serialization=False)
    return path.read_bytes()


@pytest.mark.parametrize('zipped', [True, False])
def test_pytorch_enet_checkpoint_is_imported(tmp_path, pytorch_network, zipped):
    path = saved(tmp_path / 'ENet', as_pytorch_enet(pytorch_network),
                 _use_new_zipfile_serialization=zipped)
    found = import_checkpoint(path)
    assert (found.architecture, found.decoder_activation) == ('pytorch-enet', 'relu')
    assert found.class_map.names == (*CAMVID_NAMES, 'Unlabeled')
    assert found.resolution == (480, 360)
    write_checkpoint(tmp_path / 'w.safetensors', found, 'float32')
    network = build_network(read_checkpoint(tmp_path / 'w.safetensors'))
    x = torch.rand(1, 3, 32, 64)
    with torch.inference_mode():
        assert torch.equal(network(x), pytorch_network(x))


def test_an_unknown_architecture_is_refused(tmp_path, pytorch_bytes):
    checkpoint = imported(tmp_path / 'ENet', pytorch_bytes)
    checkpoint.architecture = 'unet'
    with pytest.raises(CheckpointError, match="'architecture' is 'unet', wanted one of enet, py"):
        write_checkpoint(tmp_path / 'w.safetensors', checkpoint)


def test_folding_keeps_the_outputs_of_pytorch_enet(pytorch_network):
    folded = fold_batch_norm(pytorch_network)
    left = [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    x = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        assert torch.allclose(folded(x), pytorch_network(x), atol=1e-4)
    assert len(left) == 1


def test_imported_pytorch_enet_runs_on_both_backends(tmp_path, pytorch_bytes, road_frame):
    checkpoint = imported(tmp_path / 'ENet', pytorch_bytes)
    labels = [Segmenter(checkpoint, (160, 96), backend, 'float32').segment([road_frame])[0].labels
              for backend in ('torch', 'openvino')]
    assert np.mean(labels[0] == labels[1]) >= 0.999


def test_relu_in_the_encoder_becomes_a_prelu_of_zero(tmp_path, pytorch_network):
    state = {name: tensor for name, tensor in as_pytorch_enet(pytorch_network).items()
             if tensor.shape != (1,)}
    found = import_checkpoint(saved(tmp_path / 'relu.pth', state))
    assert found.tensors['stage2.2.branch.5.weight'] == np.zeros(1)


def test_a_bare_state_dict_of_several_gpus_is_read(tmp_path, pytorch_network):
    state = {f'module.{name}': tensor
             for name, tensor in as_pytorch_enet(pytorch_network).items()}
    torch.save(state, tmp_path / 'bare.pth')
    assert import_checkpoint(tmp_path / 'bare.pth').architecture == 'pytorch-enet'


def test_outputs_equal_the_original_code(tmp_path):
    """ENET_ROS_PYTORCH_ENET names models/enet.py of that repository, run as it is."""
    source = os.environ.get('ENET_ROS_PYTORCH_ENET')
    if not source:
        pytest.skip('ENET_ROS_PYTORCH_ENET does not name the original models/enet.py')
    spec = importlib.util.spec_from_file_location('original_enet', source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for options in ({}, {'encoder_relu': True}, {'decoder_relu': False}):
        original = randomized(module.ENet(20, **options))
        network = build_network(import_checkpoint(
            saved(tmp_path / 'ENet', original.state_dict())))
        x = torch.rand(2, 3, 96, 160)
        with torch.inference_mode():
            assert torch.equal(network(x), original(x))


@pytest.mark.parametrize(('change', 'message'), [
    (lambda state: state.pop('dilated2_4.ext_conv2.0.weight'), "it lacks 'stage2.3.branch.3"),
    (lambda state: state.update(extra=torch.zeros(3)), "an array 'extra'"),
    (lambda state: state.update({'regular1_1.ext_conv9.0.weight': torch.zeros(3)}), 'ext_conv9'),
    (lambda state: state.pop('transposed_conv.weight'), "no 'transposed_conv.weight'"),
    (lambda state: state.update({'regular1_1.ext_conv1.1.bias': torch.zeros(5)}),
     'torch.float32 \\[5\\], wanted floating point \\[16\\]'),
    (lambda state: state.update({'regular1_1.ext_conv1.1.bias':
                                 torch.zeros(1).expand(1 << 40)}), '1099511627776'),
    (lambda state: state.update({'regular1_1.ext_conv1.1.bias':
                                 torch.zeros(16, dtype=torch.int64)}), 'torch.int64'),
    (lambda state: state.update({'regular1_1.ext_conv1.1.bias': torch.zeros(16).to_sparse()}),
     r'\[16\] as torch.sparse_coo on cpu, wanted .* \[16\] as torch.strided on cpu'),
    (lambda state: state.update({'regular1_1.ext_conv1.1.bias': torch.zeros(16, device='meta')}),
     r'\[16\] as torch.strided on meta, wanted .* \[16\] as torch.strided on cpu'),
    (lambda state: state.update({'regular1_1.ext_conv1.1.bias': torch.full((16,), np.nan)}),
     'not finite'),
    (lambda state: state.update({'transposed_conv.weight': 3}), 'no .transposed_conv.weight'),
    (lambda state: state.clear(), 'no state_dict'),
])
def test_another_state_dict_is_refused(tmp_path, pytorch_network, change, message):
    state = as_pytorch_enet(pytorch_network)
    change(state)
    with pytest.raises(CheckpointError, match=f'other.pth: .*{message}'):
        import_checkpoint(saved(tmp_path / 'other.pth', state))


class Bomb:
    def __reduce__(self):
        return os.mkdir, ('executed',)


@pytest.mark.parametrize('write', [
    lambda path: torch.save({'state_dict': Bomb()}, path),
    lambda path: torch.save(Bomb(), path, _use_new_zipfile_serialization=False),
    lambda path: path.write_bytes(pickle.dumps(Bomb(), 2)),
])
def test_a_hostile_pickle_is_not_executed(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / 'hostile.pth')
    with pytest.raises(CheckpointError, match=r"pth: it holds a pickled object of '\w+\.mkdir'"):
        import_checkpoint(tmp_path / 'hostile.pth')
    assert not (tmp_path / 'executed').exists()


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / 'bomb.pth', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', bytes(80 << 20))
    with pytest.raises(CheckpointError, match='unpacks to 83886080 bytes'):
        import_checkpoint(tmp_path / 'bomb.pth')


def test_a_file_far_too_large_is_refused_unread(tmp_path):
    with open(tmp_path / 'large.net', 'wb') as file:
        file.truncate(1 << 30)
    with pytest.raises(CheckpointError, match='1073741824 bytes, wanted at most'):
        import_checkpoint(tmp_path / 'large.net')


@fuzz
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_pickle_is_refused(tmp_path, pytorch_bytes, share):
    assert outcome(tmp_path / 'cut', pytorch_bytes[:int(share * len(pytorch_bytes))]) is None


@fuzz
@given(flips=st.lists(st.tuples(st.integers(0, 20000), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_in_a_pickle_do_no_harm(tmp_path, pytorch_bytes, flips):
    outcome(tmp_path / 'flip', flipped(pytorch_bytes, flips))
