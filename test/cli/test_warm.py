"""``enet-ros warm`` fills the cache, and says what it did."""

from types import SimpleNamespace

import pytest

from enet_ros.cli import warm
from enet_ros.cli.main import main
from enet_ros.perception.segmenter import Segmenter

SMALL = ['--resolution', '160x96', '--precision', 'float32', '--backend', 'openvino']


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    folder = tmp_path / 'cache'
    monkeypatch.setenv('ENET_ROS_CACHE', str(folder))
    return folder


def test_the_second_time_all_is_there_and_the_node_finds_it(empty_cache, capsys):
    assert main(['warm', *SMALL]) == 0
    assert 'compiled in' in capsys.readouterr().out
    files = {path: path.stat().st_mtime_ns for path in empty_cache.iterdir()}
    assert len(files) == 2  # with and without confidence
    assert main(['warm', *SMALL]) == 0
    assert f'in the cache already: {empty_cache}' in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in empty_cache.iterdir()} == files
    said = []
    segmenter = Segmenter.from_file(resolution=(160, 96), precision='float32',
                                    report=said.append)
    segmenter.warm_up()
    assert segmenter.backend.from_cache and not said


def test_a_parameter_file_says_what_is_compiled_and_options_come_first(tmp_path, capsys):
    path = tmp_path / 'own.yaml'
    path.write_text('robot: {enet: {ros__parameters: {resolution: [320, 192], precision: f32, '
                    'backend: openvino, threads: 1.0, cameras: [a, b], use_sim_time: true}}}')
    with pytest.raises(SystemExit):
        main(['warm', '--params'])
    assert main(['warm', '--params', str(path)]) == 2
    assert 'has values for /robot/enet, and this node is /enet' in capsys.readouterr().err
    path.write_text(path.read_text().replace('f32', 'float32'))
    assert main(['warm', '--params', str(path), '--node', '/robot/enet',
                 '--resolution', '160x96']) == 0
    assert 'openvino, float32' in capsys.readouterr().out


def test_what_a_shared_file_says_to_other_nodes_is_passed_over(tmp_path, capsys):
    path = tmp_path / 'shared.yaml'
    path.write_text('/**: {ros__parameters: {robot_radius: 0.3, resolution: [160, 96], '
                    'precision: float32, backend: openvino}}')
    assert main(['warm', '--params', str(path)]) == 0
    text = path.read_text()
    for key in ('/enet', '/**/enet'):  # of this node alone
        path.write_text(text.replace('/**', key))
        assert main(['warm', '--params', str(path)]) == 2
        assert "parameter 'robot_radius' is not known" in capsys.readouterr().err
    for name in ('class_map.Sidewalk.driveable', 'ground.elevation', 'front.ground.elevation',
                 'resolutoin'):
        path.write_text(text.replace('robot_radius', name))
        assert main(['warm', '--params', str(path)]) == 2
        assert f"parameter '{name}' is not known" in capsys.readouterr().err


@pytest.mark.parametrize(('text', 'message'), [
    ('a: [', 'is no YAML in line'), ('', 'has no key ros__parameters'),
    ('/**: {ros__parameters: {resolution: [642, 360]}}', 'resolution is 642x360'),
    ('/**: {ros__parameters: {weights: 1}}', 'weights is 1, wanted text'),
    ('/**: {ros__parameters: {ground: {hieght: 1.0}}}', "did you mean 'ground.height'?"),
    ('/**: {ros__parameters: {confidence_floor: 2.0}}', 'confidence_floor is 2.0, wanted'),
    ('/**: {ros__parameters: {weights: nowhere}}', "weights 'nowhere' not found")])
def test_a_bad_parameter_file_is_an_error_in_a_sentence(tmp_path, capsys, text, message):
    path = tmp_path / 'own.yaml'
    path.write_text(text)
    assert main(['warm', '--params', str(path)]) == 2
    assert message in capsys.readouterr().err


def test_without_a_cache_it_says_so(monkeypatch, capsys):
    monkeypatch.setenv('ENET_ROS_CACHE', '/proc/nowhere')
    assert main(['warm', *SMALL]) == 2
    said = capsys.readouterr().err
    assert 'the cache folder /proc/nowhere cannot be made' in said and 'ENET_ROS_CACHE' in said


def test_a_full_disk_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr('enet_ros.backends.openvino.write_cached', lambda *arguments: False)
    assert main(['warm', *SMALL]) == 1
    assert 'did not keep it' in capsys.readouterr().err


def test_torch_has_nothing_to_keep(capsys):
    assert main(['warm', '--resolution', '160x96', '--backend', 'torch']) == 0
    assert 'nothing to keep: torch' in capsys.readouterr().out


@pytest.mark.parametrize(('served', 'code'), [({False, True}, 0), ({False}, 1)])
def test_engines_are_waited_for(monkeypatch, capsys, served, code):
    backend = SimpleNamespace(name='tensorrt', status=lambda: 'labels: serving', from_cache=None,
                              wait=lambda *, confidence: confidence in served)
    monkeypatch.setattr(warm, '_open', lambda values: SimpleNamespace(
        backend=backend, choice='backend tensorrt'))
    assert main(['warm']) == code
    assert 'labels: serving' in capsys.readouterr().out
