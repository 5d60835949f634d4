"""What training scripts save around the network: all of it is read, and none of it is executed."""

import argparse
import pickle
import random
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from support.other_weights import CLASSES, as_pytorch_enet, randomized

from enet_ros.cli.main import main
from enet_ros.importers.import_checkpoint import import_checkpoint
from enet_ros.importers.pickled_tensors import STAND_INS
from enet_ros.network.checkpoint import CheckpointError, write_checkpoint
from enet_ros.network.enet import ENet
from enet_ros.network.pytorch_enet import PyTorchENet

NUMPY_NAMES = ('numpy.core.multiarray', 'numpy._core.multiarray')


@pytest.fixture(scope='module')
def network():
    return randomized(PyTorchENet(CLASSES))


@pytest.fixture(scope='module')
def state(network):
    return as_pytorch_enet(network)


def prefixed(state, prefix):
    return OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def assert_imported(path, network):
    found = import_checkpoint(path)
    assert np.array_equal(found.tensors['initial.weight'],
                          network.state_dict()['initial.weight'].numpy())
    assert found.architecture == 'pytorch-enet'


def with_numpy_named(path, module):
    """Rewrite a zipped checkpoint as a NumPy of that version would have written it."""
    with zipfile.ZipFile(path) as archive:
        contents = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    (name,) = [name for name in contents if name.endswith('data.pkl')]
    for other in NUMPY_NAMES:
        contents[name] = contents[name].replace(f'c{other}\n'.encode(), f'c{module}\n'.encode())
    assert f'c{module}\nscalar\n'.encode() in contents[name]
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


@pytest.mark.parametrize('module', NUMPY_NAMES)
def test_a_checkpoint_of_pytorch_enets_own_main_is_imported(tmp_path, network, state, module):
    optimizer = torch.optim.Adam(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    torch.save({'epoch': 300, 'miou': np.float64(0.53), 'state_dict': OrderedDict(state),
                'optimizer': optimizer.state_dict()}, tmp_path / 'ENet')
    with_numpy_named(tmp_path / 'ENet', module)
    found = import_checkpoint(tmp_path / 'ENet')
    assert np.array_equal(found.tensors['fullconv.weight'],
                          state['transposed_conv.weight'].numpy())


@pytest.mark.parametrize('scalar', [np.float32(1), np.float16(1), np.int64(1), np.bool_(True),
                                    np.uint8(3), np.complex128(1j)])
def test_numpy_scalars_of_every_type_are_passed_over(tmp_path, network, state, scalar):
    with torch.no_grad():
        torch.save({'state_dict': as_pytorch_enet(network), 'best': scalar}, tmp_path / 'a.pth',
                   _use_new_zipfile_serialization=False)
    assert_imported(tmp_path / 'a.pth', network)


def test_the_states_of_random_numbers_are_passed_over(tmp_path, network, state):
    torch.save({'state_dict': state, 'history': np.zeros((3, 2)), 'numpy': np.random.get_state(),
                'torch': torch.get_rng_state(), 'python': random.getstate()}, tmp_path / 'a.pth')
    assert_imported(tmp_path / 'a.pth', network)


@pytest.mark.parametrize(('beside', 'said'), [
    ({'epoch': 3, 'best': 0.5}, 'left out 2 entries beside the network: epoch, best'),
    ({3: torch.zeros(2)}, 'left out 1 entry beside the network: 3')])
def test_numbers_among_the_tensors_are_left_out_and_named(tmp_path, state, beside, said):
    torch.save({**state, **beside}, tmp_path / 'a.pth')
    notes = []
    import_checkpoint(tmp_path / 'a.pth', note=notes.append)
    assert notes == [said]


@pytest.mark.parametrize('is_zipped', [False, True])
@pytest.mark.parametrize('protocol', [4, 5])
def test_a_newer_pickle_is_named(tmp_path, state, protocol, is_zipped):
    torch.save(state, tmp_path / 'a.pth', pickle_protocol=protocol,
               _use_new_zipfile_serialization=is_zipped)
    with pytest.raises(CheckpointError, match=f'with pickle protocol {protocol}, wanted 2, the '
                                              'default of torch.save'):
        import_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('prefix', ['module.', 'model.', 'net.', '_orig_mod.', 'module._orig_mod.',
                                    '_orig_mod.module.', 'model._orig_mod.', 'a.b.c.d.'])
def test_a_prefix_common_to_all_keys_is_taken_off(tmp_path, network, state, prefix):
    torch.save(prefixed(state, prefix), tmp_path / 'a.pth')
    assert_imported(tmp_path / 'a.pth', network)


@pytest.mark.parametrize('wrap', [
    lambda state: {'model_state_dict': state}, lambda state: {'model': state},
    lambda state: {'epoch': 1, 'net': {'state_dict': state}}, lambda state: {'ema': state},
    lambda state: (state, {'lr': 0.1}), lambda state: [3, state], lambda state: {'weights': state},
    lambda state: {'n_averaged': torch.tensor(4), **prefixed(state, 'module.')}])
def test_the_state_is_found_where_scripts_put_it(tmp_path, network, state, wrap):
    torch.save(wrap(state), tmp_path / 'a.pth')
    assert_imported(tmp_path / 'a.pth', network)


def test_a_checkpoint_of_lightning_is_imported_and_what_is_left_out_is_named(tmp_path, network,
                                                                             state, capsys):
    torch.save({
        'epoch': 3, 'global_step': 900, 'pytorch-lightning_version': '2.4.0', 'loops': {},
        'state_dict': {**prefixed(state, 'model.'), 'criterion.weight': torch.ones(12),
                       'val_iou.confmat': torch.zeros(12, 12)},
        'hyper_parameters': {'lr': 5e-4, 'args': argparse.Namespace(batch_size=8),
                             'root': Path('/data'), 'best': np.float64(0.5)},
        'optimizer_states': [torch.optim.SGD(network.parameters(), 0.1).state_dict()],
        'lr_schedulers': [], 'callbacks': {'ModelCheckpoint': {'best_score': torch.tensor(0.5)}},
    }, tmp_path / 'last.ckpt')
    assert_imported(tmp_path / 'last.ckpt', network)
    assert main(['import', str(tmp_path / 'last.ckpt'), '-o', str(tmp_path / 'w.st')]) == 0
    assert ('left out 2 entries beside the network: criterion.weight, val_iou.confmat'
            in capsys.readouterr().err)


def test_trained_weights_come_before_their_average(tmp_path, network, state):
    other = as_pytorch_enet(randomized(PyTorchENet(CLASSES), seed=1))
    said = []
    for saved in ({'ema': other, 'model': state}, {'model': state, 'model_ema': other},
                  {**prefixed(other, 'ema_model.'), **prefixed(state, 'model.')}):
        torch.save(saved, tmp_path / 'a.pth')
        assert_imported(tmp_path / 'a.pth', network)
        import_checkpoint(tmp_path / 'a.pth', note=said.append)
    assert len(said) == 3


def test_several_networks_are_refused_unless_they_are_one(tmp_path, network, state):
    other = as_pytorch_enet(randomized(PyTorchENet(CLASSES), seed=1))
    torch.save({'student': state, 'teacher': other}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r"several networks, at 'student', 'teacher'; save"):
        import_checkpoint(tmp_path / 'a.pth')
    torch.save({'net': state, 'model': state}, tmp_path / 'a.pth')
    assert_imported(tmp_path / 'a.pth', network)


def test_an_array_that_pytorch_enet_lacks_is_named_below_a_prefix_too(tmp_path, state):
    torch.save({**prefixed(state, 'model.'), 'model.head.weight': torch.zeros(3)},
               tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r"an array 'head\.weight', which PyTorch-ENet"):
        import_checkpoint(tmp_path / 'a.pth')


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('wrap', [lambda model: model, lambda model: {'model': model, 'epoch': 3}])
def test_a_whole_pickled_model_is_one_line_that_says_what_to_save(tmp_path, monkeypatch, capsys,
                                                                  wrap, zipped):
    module = types.ModuleType('their_models')
    module.ENet = type('ENet', (torch.nn.Conv2d,), {'__module__': 'their_models'})
    monkeypatch.setitem(sys.modules, 'their_models', module)
    torch.save(wrap(module.ENet(3, 4, 3)), tmp_path / 'whole.pth',
               _use_new_zipfile_serialization=zipped)
    monkeypatch.delitem(sys.modules, 'their_models')
    assert main(['import', str(tmp_path / 'whole.pth'), '-o', str(tmp_path / 'w')]) == 2
    said = capsys.readouterr().err
    assert said.count('\n') == 1
    assert '\x1b' not in said
    assert "a pickled object of 'their_models.ENet'" in said
    assert "torch.save(model.state_dict(), 'weights.pth')" in said


class Bomb:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('make', [
    lambda state: {'state_dict': state, 'miou': Bomb(Path.touch, Path('executed'))},
    lambda state: {'state_dict': state, 'miou': Bomb(eval, "open('executed', 'w')")},
    lambda state: {'state_dict': state, 'miou': Bomb(exec, "open('executed', 'w')")},
    lambda state: {'state_dict': state, 'miou': Bomb(open, 'executed', 'w')},
    lambda state: {'state_dict': state, 'miou': Bomb(pickle.loads, pickle.dumps(
        Bomb(open, 'executed', 'w')))},
    lambda state: {'state_dict': state, 'miou': Bomb(np.lib.format.open_memmap, 'executed', 'w+',
                                                     None, (1,))},
    lambda state: {'state_dict': state, 'miou': Bomb(np.save, 'executed', 1)},
])
@pytest.mark.parametrize('zipped', [True, False])
def test_code_beside_good_weights_is_not_executed(tmp_path, monkeypatch, state, make, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save(make(state), 'hostile.pth', _use_new_zipfile_serialization=zipped)
    before = set(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match='so it was not loaded'):
        import_checkpoint('hostile.pth')
    assert set(tmp_path.iterdir()) == before


def test_numpy_itself_is_not_called(tmp_path, monkeypatch, network, state):
    """A stand-in takes the place of NumPy's scalar, whatever the file gives it."""
    scalar = np.float64(1).__reduce__()[0]
    torch.save({'state_dict': state, 'miou': Bomb(scalar, np.dtype('f8'), b'not eight bytes')},
               tmp_path / 'a.pth')
    assert_imported(tmp_path / 'a.pth', network)


def test_what_was_allowed_for_a_file_is_not_allowed_afterwards(tmp_path, network, state):
    torch.save({'state_dict': state, 'miou': np.float64(0.5)}, tmp_path / 'a.pth')
    assert_imported(tmp_path / 'a.pth', network)
    assert not set(torch.serialization.get_safe_globals()) & set(STAND_INS)


def test_a_list_that_holds_itself_ends(tmp_path):
    endless = [torch.zeros(1)]
    endless += [endless] * 100
    torch.save(endless, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='holds no state_dict'):
        import_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize(('content', 'reason'), [
    (b'', 'it is empty'), (b'<!DOCTYPE html>\n<html>', 'it is a web page'),
    (b'\n <html>', 'it is a web page'), (b'epoch 3\n', "begins with b'epoch 3"),
    (b'version https://git-lfs.github.com/spec/v1\n', 'Git LFS pointer'),
    (b'PK\x03\x04 no archive', 'truncated or damaged'), (b'\x80\x02', 'truncated or damaged'),
    (b'\x89PNG\r\n\x1a\n', 'begins with')])
def test_what_is_no_checkpoint_is_named_in_one_line(tmp_path, capsys, content, reason):
    (tmp_path / 'a.pth').write_bytes(content)
    assert main(['import', str(tmp_path / 'a.pth'), '-o', str(tmp_path / 'w')]) == 2
    said = capsys.readouterr().err
    assert reason in said and 'a.pth: ' in said and said.count('\n') == 1


@pytest.mark.filterwarnings('ignore:.*torch.jit:DeprecationWarning')
def test_other_archives_are_named(tmp_path):
    torch.jit.script(torch.nn.ReLU()).save(str(tmp_path / 'script.pth'))
    with pytest.raises(CheckpointError, match='TorchScript'):
        import_checkpoint(tmp_path / 'script.pth')
    with zipfile.ZipFile(tmp_path / 'zipped.pth', 'w') as archive:
        archive.writestr('ENet.pth', b'anything')
    with pytest.raises(CheckpointError, match='not one of torch.save; if it was zipped'):
        import_checkpoint(tmp_path / 'zipped.pth')


@pytest.mark.parametrize('prefix', ['', 'model.'])
def test_safetensors_under_another_ending_are_read(tmp_path, network, state, prefix):
    from safetensors.torch import save_file
    save_file(dict(prefixed(state, prefix)), tmp_path / 'a.pth')
    assert_imported(tmp_path / 'a.pth', network)
    content = (tmp_path / 'a.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(content[:len(content) // 2])
    with pytest.raises(CheckpointError, match='damaged safetensors'):
        import_checkpoint(tmp_path / 'cut.pth')


def test_weights_of_this_project_need_no_import(tmp_path, torch7_bytes):
    (tmp_path / 'model.net').write_bytes(torch7_bytes)
    write_checkpoint(tmp_path / 'own.pth', import_checkpoint(tmp_path / 'model.net'))
    with pytest.raises(CheckpointError, match='weights of enet_ros already'):
        import_checkpoint(tmp_path / 'own.pth')
    torch.save({'state_dict': prefixed(ENet(3).state_dict(), 'network.')}, tmp_path / 'last.ckpt')
    with pytest.raises(CheckpointError, match='model.safetensors in the folder of the run'):
        import_checkpoint(tmp_path / 'last.ckpt')
