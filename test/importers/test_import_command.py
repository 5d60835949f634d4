"""``enet-ros import``: weights that load, class files, and what it refuses."""

import numpy as np
import pytest
from support.other_weights import as_modules, as_torch7, imported

from enet_ros.cli.main import main
from enet_ros.network.checkpoint import CheckpointError, read_checkpoint
from enet_ros.network.enet import ENet


def test_command_writes_weights_that_load(tmp_path, torch7_bytes, capsys):
    (tmp_path / 'model.net').write_bytes(torch7_bytes)
    out = tmp_path / 'w.safetensors'
    assert main(['import', str(tmp_path / 'model.net'), '-o', str(out)]) == 0
    assert '12 classes, drivable: Road' in capsys.readouterr().err
    checkpoint = read_checkpoint(out)
    assert 'model.net (sha256 ' in checkpoint.origin
    assert checkpoint.tensors['initial.weight'].dtype == np.float32


@pytest.mark.parametrize(('name', 'content'), [
    ('classes.txt', '\n'.join(f'c{i}' for i in range(11)) + '\nroad\n'),
    ('classes.yaml', ''.join(f'- name: c{i}\n' for i in range(11))
     + '- {name: road, color: [1, 2, 3], drivable: true}\n'),
])
def test_command_takes_a_class_file(tmp_path, torch7_bytes, name, content):
    (tmp_path / 'model.net').write_bytes(torch7_bytes)
    (tmp_path / name).write_text(content)
    assert main(['import', str(tmp_path / 'model.net'), '-o', str(tmp_path / 'w.safetensors'),
                 '--classes', str(tmp_path / name)]) == 0
    class_map = read_checkpoint(tmp_path / 'w.safetensors').class_map
    assert class_map.names[-1] == 'road'
    assert class_map.drivable_names == ('road',)


@pytest.mark.parametrize(('content', 'message'), [
    ('one\ntwo\n', '12 classes, the class file 2'),
    ('one\none\n', "two classes are named 'one'"),
    ('', 'has 0 classes'),
    ('\x00\xff', 'no text'),
])
def test_command_refuses_a_class_file_that_does_not_fit(tmp_path, torch7_bytes, capsys, content,
                                                        message):
    (tmp_path / 'model.net').write_bytes(torch7_bytes)
    (tmp_path / 'c.txt').write_bytes(content.encode('latin-1'))
    assert main(['import', str(tmp_path / 'model.net'), '-o', str(tmp_path / 'w.safetensors'),
                 '--classes', str(tmp_path / 'c.txt')]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'w.safetensors').exists()


def test_classes_must_be_named_when_their_number_says_nothing(tmp_path):
    with pytest.raises(CheckpointError, match='has 3 classes: say which with --classes'):
        imported(tmp_path / 'model.net', as_torch7(as_modules(ENet(3).eval())))


def test_a_missing_file_is_named(tmp_path, capsys):
    assert main(['import', str(tmp_path / 'nowhere.net'), '-o', str(tmp_path / 'w')]) == 2
    assert 'nowhere.net: No such file' in capsys.readouterr().err
