"""Exported graphs: they do as torch, or are not kept."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from enet_ros.cli.main import main
from enet_ros.export import formats as exporting
from enet_ros.export.formats import FORMATS, ExportError, agreement_of_outputs, export
from enet_ros.network.build import build_graph
from enet_ros.network.checkpoint import read_checkpoint, weights_path

SIZE = (160, 96)
ONNX = ('onnx', 'onnxscript', 'onnxruntime')


@pytest.fixture(scope='module')
def shipped():
    return read_checkpoint(weights_path(''))


@pytest.fixture(params=list(FORMATS))
def file_format(request):
    """Every format whose packages are here."""
    if request.param == 'onnx':
        for package in ONNX:
            pytest.importorskip(package)
    return request.param


@pytest.mark.parametrize(('batch', 'confidence'), [(1, False), (2, True)])
def test_the_exported_file_does_as_torch(tmp_path, shipped, file_format, batch, confidence):
    path = tmp_path / f'enet{FORMATS[file_format].suffix}'
    assert export(shipped, path, file_format, SIZE, batch, confidence=confidence) >= 0.999
    frames = exporting.street_frames(SIZE, batch + 3, seed=4)[3:]  # not those it was checked with
    with torch.inference_mode():
        wanted = build_graph(shipped, confidence=True)(torch.from_numpy(frames))
    found = FORMATS[file_format].run(path, frames)
    assert len(found) == 1 + confidence
    assert (found[0].dtype, found[0].shape) == (np.uint8, (batch, 96, 160))
    assert np.mean(found[0] == wanted[0].numpy()) >= 0.999
    if confidence:
        assert np.allclose(found[1], wanted[1].numpy(), atol=0.01)
    beside = {'enet.bin'} if file_format == 'openvino' else set()
    assert {file.name for file in tmp_path.iterdir()} == {path.name} | beside


def test_a_file_that_differs_from_torch_is_not_kept(tmp_path, shipped, monkeypatch):
    def other_labels(path, frames):
        assert path.is_file()
        labels = np.full(frames.shape[:3], 3, np.uint8)
        return [labels]

    monkeypatch.setitem(FORMATS, 'torch-export',
                        replace(FORMATS['torch-export'], run=other_labels))
    (tmp_path / 'enet.pt2').write_text('the former one')
    with pytest.raises(ExportError, match=r'agree on [\d.]+ % of pixels, wanted 99.9 %'):
        export(shipped, tmp_path / 'enet.pt2', 'torch-export', SIZE)
    assert [file.name for file in tmp_path.iterdir()] == ['enet.pt2']
    assert (tmp_path / 'enet.pt2').read_text() == 'the former one'


def test_a_link_stays_one(tmp_path, shipped):
    (tmp_path / 'kept').mkdir()
    (tmp_path / 'enet.xml').symlink_to('kept/other.xml')
    export(shipped, tmp_path / 'enet.xml', 'openvino', SIZE)
    assert (tmp_path / 'enet.xml').is_symlink() and (tmp_path / 'enet.bin').is_file()
    assert [file.name for file in (tmp_path / 'kept').iterdir()] == ['other.xml']
    import openvino as ov
    ov.Core().read_model(tmp_path / 'enet.xml')


def test_class_names_go_with_the_file(tmp_path, shipped):
    names = list(shipped.class_map.names)
    export(shipped, tmp_path / 'enet.pt2', 'torch-export', SIZE)
    extra = {'classes': ''}
    torch.export.load(tmp_path / 'enet.pt2', extra_files=extra)
    assert json.loads(extra['classes']) == names
    import openvino as ov
    export(shipped, tmp_path / 'enet.xml', 'openvino', SIZE)
    model = ov.Core().read_model(tmp_path / 'enet.xml')
    assert json.loads(model.get_rt_info(['enet_ros', 'classes']).astype(str)) == names
    assert model.input(0).get_any_name() == 'frames'


def test_class_names_go_with_onnx(tmp_path, shipped):
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    pytest.importorskip('onnxruntime')
    export(shipped, tmp_path / 'enet.onnx', 'onnx', SIZE, confidence=True)
    model = onnx.load(tmp_path / 'enet.onnx')
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata['classes']) == list(shipped.class_map.names)
    assert [output.name for output in model.graph.output] == ['labels', 'confidence']
    onnx.checker.check_model(model)


@pytest.mark.parametrize(('change', 'message'), [
    ({'file_format': 'tflite'}, "format is 'tflite', wanted one of onnx, openvino, torch-export"),
    ({'path': 'enet.onnx'}, "ends in '.onnx', wanted .pt2 for torch-export"),
    ({'path': 'nowhere/enet.pt2'}, 'is no folder'),
    ({'batch': 0}, 'batch is 0, wanted 1 or more'),
    ({'resolution': (100, 96)}, 'resolution is 100x96'),
])
def test_what_cannot_be_exported_is_refused(tmp_path, shipped, change, message):
    options = {'path': 'enet.pt2', 'file_format': 'torch-export', 'resolution': SIZE, **change}
    options['path'] = tmp_path / options['path']
    with pytest.raises(ValueError, match=message):
        export(shipped, **options)
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(tmp_path, shipped, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec',
                        lambda name, *rest: None if name in ONNX else find(name, *rest))
    with pytest.raises(ExportError, match='pip install onnx onnxscript onnxruntime'):
        export(shipped, tmp_path / 'enet.onnx', 'onnx', SIZE)


@pytest.mark.parametrize(('found', 'share'), [
    ([np.zeros((1, 2, 2)), np.full((1, 2, 2), 0.5)], 1.0),
    ([np.zeros((1, 2, 2)), np.full((1, 2, 2), 0.6)], 0.0),
    ([np.eye(2)[None], np.full((1, 2, 2), 0.5)], 0.5),
    ([np.zeros((1, 2, 2))], 0.0),
    ([np.zeros((1, 2, 1)), np.full((1, 2, 1), 0.5)], 0.0),
])
def test_agreement_counts_labels_and_confidence(found, share):
    assert agreement_of_outputs(found, [np.zeros((1, 2, 2)), np.full((1, 2, 2), 0.5)]) == share


def test_command_exports(tmp_path, capsys):
    out = tmp_path / 'enet.pt2'
    assert main(['export', '--format', 'torch-export', '--resolution', '160x96',
                 '-o', str(out)]) == 0
    assert 'agrees with torch on 100.000 % of pixels' in capsys.readouterr().err
    assert out.stat().st_size > 1e6


def test_command_says_what_is_wrong(tmp_path, capsys):
    assert main(['export', '--format', 'tflite', '-o', str(tmp_path / 'x.tflite')]) == 2
    assert "format is 'tflite'" in capsys.readouterr().err
