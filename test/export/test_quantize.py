"""int8: quantized with the weights, loaded like any weights, refused when it is none."""

import importlib.util
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from enet_ros.backends.base import BackendError
from enet_ros.cli.main import main
from enet_ros.network.checkpoint import CheckpointError, read_checkpoint, weights_path
from enet_ros.network.quantized import QuantizedGraph
from enet_ros.perception.segmenter import Segmenter
from enet_ros.scene.road_scene import RoadScene

SMALL = (160, 96)
OTHER = (96, 160)
XML = b'<?xml version="1.0"?><net name="m" version="11"><layers/><edges/></net>'


@pytest.fixture(scope='module')
def shipped():
    return read_checkpoint(weights_path(''))


@pytest.fixture(scope='module')
def streets():
    """Drawn streets, (H, W, 3) uint8 RGB."""
    scene = RoadScene(320, 192, seed=4)
    return [scene.render(float(second))[0] for second in range(6)]


@pytest.fixture(scope='module')
def pictures(tmp_path_factory, streets):
    folder = tmp_path_factory.mktemp('pictures')
    for i, street in enumerate(streets):
        cv2.imwrite(str(folder / f'{i}.png'), street[..., ::-1])
    return folder


@pytest.fixture(scope='module')
def exported(tmp_path_factory, pictures):
    """A quantized file of the weights that ship, made by the command."""
    pytest.importorskip('nncf', reason='nncf is not installed')
    path = tmp_path_factory.mktemp('int8') / 'enet_int8.safetensors'
    assert main(['export', '--precision', 'int8', '--calibrate', str(pictures), '--resolution',
                 '160x96', '-o', str(path)]) == 0
    return path


def segmented(weights, frames, **options):
    segmenter = Segmenter.from_file(weights, **{'resolution': SMALL, **options})
    results = segmenter.segment(frames, confidence=True)
    return segmenter, np.stack([r.labels for r in results]), results


@pytest.mark.parametrize('precision', ['auto', 'int8'])
def test_int8_runs_from_a_path_and_agrees_with_float32(exported, streets, precision):
    found, labels, results = segmented(exported, streets, backend='openvino', precision=precision)
    assert (found.backend.name, found.backend.precision) == ('openvino', 'int8')
    wanted = segmented('', streets, backend='torch', precision='float32')[1]
    assert np.mean(labels == wanted) >= 0.95
    assert 0 < results[0].confidence.min() <= results[0].confidence.max() <= 1.0001
    assert np.mean(found.segment(streets[:1])[0].labels == labels[0]) > 0.98


@pytest.mark.ros
def test_the_node_takes_a_quantized_file_like_any_weights(exported, streets, bench, pixels):
    tested = bench(weights=str(exported), precision='auto', backend='openvino')
    tested.listen('labels', 'timing')
    labels, timing = tested.reply(tested.image(streets[0]), 'labels', 'timing')
    assert (timing.backend, timing.precision) == ('openvino', 'int8')
    assert labels.header.frame_id == 'cam'
    wanted = segmented(exported, streets[:1], backend='openvino')[1][0]
    assert np.mean(pixels(labels) == wanted) > 0.98


def test_int8_comes_from_the_cache_too(exported, streets, monkeypatch, tmp_path):
    monkeypatch.setenv('ENET_ROS_CACHE', str(tmp_path))
    first, second = (segmented(exported, streets[:1], backend='openvino') for _ in range(2))
    assert [one[0].backend.from_cache for one in (first, second)] == [False, True]
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize('resolution', [SMALL, OTHER])
def test_a_quantized_file_still_holds_its_float_weights(exported, streets, resolution):
    options = {'backend': 'torch', 'precision': 'float32', 'resolution': resolution}
    found = segmented(exported, streets[:2], **options)[1]
    assert np.array_equal(found, segmented('', streets[:2], **options)[1])


def test_auto_is_float_at_another_resolution(exported):
    found = Segmenter.from_file(exported, resolution=OTHER, backend='openvino')
    assert found.backend.precision in ('bfloat16', 'float32')


def test_a_quantized_file_says_what_it_was_made_of(exported, shipped):
    graph = read_checkpoint(exported).int8
    assert (graph.resolution, graph.frames) == (SMALL, 6)
    assert set(graph.versions) == {'openvino', 'nncf'}
    assert graph.made_from == shipped.float_fingerprint()
    assert exported.stat().st_size < 4e6
    assert [file.name for file in exported.parent.iterdir()] == [exported.name]


@pytest.mark.parametrize(('backend', 'resolution', 'message'), [
    ('openvino', OTHER, 'precision int8: the weights have an int8 graph only for 160x96; make '
                        'one for 96x160: enet-ros export --precision int8 --calibrate DIR'),
    ('torch', SMALL, 'precision int8: torch on'),
])
def test_int8_is_refused_where_it_is_not(exported, backend, resolution, message):
    with pytest.raises(BackendError, match=message):
        Segmenter.from_file(exported, resolution=resolution, backend=backend, precision='i8')


def test_int8_is_refused_without_a_graph_and_the_way_to_one_is_named():
    with pytest.raises(BackendError, match='have no int8 graph; make one for 160x96: enet-ros '
                                           'export --precision int8 --calibrate DIR '
                                           '--resolution 160x96'):
        Segmenter.from_file(resolution=SMALL, precision='int8')


def with_graph(checkpoint, **changes):
    graph = QuantizedGraph(XML, b'\0' * 64, SMALL, checkpoint.float_fingerprint())
    return replace(checkpoint, int8=replace(graph, **changes))


def test_fingerprint_tells_quantized_graphs_apart(shipped):
    ones = (shipped, with_graph(shipped), with_graph(shipped, xml=XML + b' '),
            with_graph(shipped, bin=b'\1' * 64), with_graph(shipped, resolution=OTHER))
    assert len({one.fingerprint() for one in ones}) == 5
    assert len({one.float_fingerprint() for one in ones}) == 1


@pytest.mark.parametrize(('changes', 'message'), [
    ({'xml': b'not xml'}, 'is refused by openvino'),
    ({'xml': XML}, 'the int8 graph of the weights takes'),
    ({'xml': XML[:40]}, 'is refused by openvino'),
])
def test_what_openvino_cannot_read_as_the_frame_graph_is_refused(shipped, changes, message):
    for precision in ('int8', 'auto'):
        with pytest.raises(CheckpointError, match=message):
            Segmenter(with_graph(shipped, **changes), SMALL, 'openvino', precision)
    with pytest.raises(CheckpointError, match='precision float32 does without it|wanted'):
        Segmenter(with_graph(shipped, **changes), SMALL)


@pytest.mark.parametrize('cut', ['xml', 'bin'])
def test_a_truncated_graph_is_refused(exported, cut):
    checkpoint = read_checkpoint(exported)
    for share in (0.1, 0.5, 0.99):
        content = getattr(checkpoint.int8, cut)
        graph = replace(checkpoint.int8, **{cut: content[:int(share * len(content))]})
        with pytest.raises(CheckpointError, match='is refused by openvino'):
            Segmenter(replace(checkpoint, int8=graph), SMALL, 'openvino', 'int8', use_cache=False)


def test_a_graph_of_another_size_than_it_says_is_refused(exported):
    checkpoint = read_checkpoint(exported)
    graph = replace(checkpoint.int8, resolution=OTHER)
    with pytest.raises(CheckpointError, match=r'u8 \[1,96,160,3\].*wanted.*u8 \[1,160,96,3\]'):
        Segmenter(replace(checkpoint, int8=graph), OTHER, 'openvino', 'int8', use_cache=False)


def test_less_agreement_than_wanted_keeps_nothing(tmp_path, shipped, pictures, monkeypatch):
    from enet_ros.export import quantize
    from enet_ros.export.formats import ExportError
    monkeypatch.setattr(quantize, 'check_packages', lambda *_: None)
    monkeypatch.setattr(quantize, 'quantize', lambda checkpoint, *_: with_graph(checkpoint).int8)
    monkeypatch.setattr(quantize, 'int8_agreement', lambda *_: 0.9)
    (tmp_path / 'w.safetensors').write_text('the former one')
    with pytest.raises(ExportError, match='agree on 90.00 % of pixels, wanted 95 %'):
        quantize.export_int8(shipped, tmp_path / 'w.safetensors', pictures, SMALL)
    assert [file.name for file in tmp_path.iterdir()] == ['w.safetensors']
    assert (tmp_path / 'w.safetensors').read_text() == 'the former one'


def test_pictures_are_spread_evenly_and_not_too_many(tmp_path):
    from enet_ros.export.quantize import calibration_images
    for i in range(701):
        (tmp_path / f'{i:03}.png').touch()
    found = [int(path.stem) for path in calibration_images(tmp_path)]
    assert (len(found), found[0], found[-1]) == (300, 0, 700)
    assert set(np.diff(found)) == {2, 3}


def test_the_default_file_is_named_after_the_weights(monkeypatch, tmp_path, capsys, pictures):
    from enet_ros.export import quantize
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr(quantize, 'export_int8', lambda *args: seen.append(args) or (0.99, 6))
    assert main(['export', '--precision', 'int8', '--calibrate', str(pictures)]) == 0
    assert [str(argument) for argument in seen[0][1:3]] == ['enet_camvid_int8.safetensors',
                                                            str(pictures)]
    assert 'calibrated on 6 images; agrees with float32 on 99.00 %' in capsys.readouterr().err


INT8 = ('--precision', 'int8')


@pytest.mark.parametrize(('arguments', 'message'), [
    (INT8, 'wanted --calibrate DIR'),
    ((*INT8, '--calibrate', '.', '--format', 'onnx'), "format is 'onnx', wanted none with int8"),
    ((*INT8, '--calibrate', '.', '-o', 'enet.onnx'), "ends in '.onnx', wanted .safetensors"),
    ((*INT8, '--calibrate', '.', '--batch', '2'), 'batch is 2, wanted 1 with int8'),
    ((*INT8, '--calibrate', '.', '--confidence'), '--confidence is given with precision int8'),
    ((*INT8, '--calibrate', 'nowhere'), "'nowhere' does not exist"),
    ((*INT8, '--calibrate', '.'), "'.' has no images"),
    ((*INT8, '--calibrate', '.', '-o', 'no/w.safetensors'), "'no' is no folder"),
    (('--precision', 'bfloat16', '-o', 'enet.onnx'), "'bfloat16', wanted float32 or int8"),
    (('--precision', 'float8', '-o', 'enet.onnx'), "precision is 'float8', wanted one of"),
    (('--calibrate', '.', '-o', 'enet.onnx'), '--calibrate is given with precision float32'),
    (('-o', 'enet.tflite'), r"'enet.tflite' ends in '.tflite', wanted one of .onnx \(onnx\)"),
    ((), 'no file to write, wanted -o PATH'),
])
def test_the_command_says_what_is_wrong(tmp_path, monkeypatch, capsys, arguments, message):
    from enet_ros.export import quantize
    monkeypatch.setattr(quantize, 'check_packages', lambda *_: None)
    monkeypatch.chdir(tmp_path)
    assert main(['export', *arguments]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_missing_nncf_is_named(tmp_path, shipped, pictures, monkeypatch):
    from enet_ros.export.formats import ExportError
    from enet_ros.export.quantize import export_int8
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec',
                        lambda name, *rest: None if name == 'nncf' else find(name, *rest))
    with pytest.raises(ExportError, match='int8 needs nncf: pip install nncf'):
        export_int8(shipped, tmp_path / 'w.safetensors', pictures, SMALL)


@pytest.mark.parametrize('architecture', ['enet', 'pytorch-enet'])
def test_what_is_left_in_float_is_what_is_large(architecture, monkeypatch):
    pytest.importorskip('torch')
    import torch

    from enet_ros.backends import openvino as openvino_backend
    monkeypatch.setattr(openvino_backend, 'TILE_PIXELS', 3200)

    from enet_ros.backends.openvino import to_openvino
    from enet_ros.export.quantize import names_left_in_float
    from enet_ros.network.build import NETWORKS
    from enet_ros.network.frame_graph import FrameGraph
    torch.manual_seed(0)
    graph = FrameGraph(NETWORKS[architecture](11).eval(), (0.4,) * 3, (0.2,) * 3, confidence=True)
    model = to_openvino(graph, torch.zeros((1, 96, 160, 3), dtype=torch.uint8))
    left = set(names_left_in_float(model))
    convolutions = [op for op in model.get_ordered_ops() if 'Convolution' == op.get_type_name()]
    inside = [op for op in convolutions if op.get_friendly_name() not in left]
    assert 40 < len(inside) < len(convolutions)
    assert all(op.output(0).shape[2] < 48 for op in inside)
    assert all(op.output(0).shape[2] >= 48 for op in convolutions if op not in inside)
    products = [op for op in model.get_ordered_ops() if op.get_type_name() == 'MatMul']
    assert len(products) == (5 if architecture == 'enet' else 0)  # tiles of 10 of 48 rows
    assert {op.get_friendly_name() for op in products} <= left
