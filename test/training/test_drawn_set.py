"""Data sets of synthetic roads on disk, and what weights say that they were trained on."""

import json

import numpy as np
import pytest

from enet_ros.cli.main import main
from enet_ros.network.class_map import ClassMap
from enet_ros.training.drawn_set import draw_dataset
from enet_ros.training.labeled_frames import DatasetError

CLASSES = '[{name: Road, drivable: true}, {name: Pavement}, {name: Other}]'


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """Return a data set of three and two frames in three classes, drawn by the command."""
    folder = tmp_path_factory.mktemp('drawn')
    (folder / 'classes.yaml').write_text(CLASSES)
    assert main(['draw', str(folder / 'roads'), '--classes', str(folder / 'classes.yaml'),
                 '--frames', '3', '--val-frames', '2']) == 0
    return folder / 'roads'


def opened(root, split='train'):
    from enet_ros.training.datasets import open_dataset
    return open_dataset('synthetic', root, split)


def test_the_frames_are_a_data_set_in_the_classes_of_the_file(drawn):
    data = opened(drawn)
    assert (data.name, len(data), len(opened(drawn, 'val'))) == ('synthetic', 3, 2)
    assert data.class_map.names == ('Road', 'Pavement', 'Other')
    assert data.class_map.drivable_names == ('Road',)
    for frame, labels in data:
        assert frame.shape[:2] in {(360, 640), (360, 480)}
        assert set(np.unique(labels)) <= {0, 1, 2}
        assert (labels[-20:] == 0).mean() > .1, 'no road before the vehicle'


def test_the_same_options_draw_the_same_bytes_and_no_road_is_in_both_splits(drawn, tmp_path):
    class_map = opened(drawn).class_map
    list(draw_dataset(tmp_path / 'again', class_map, {'train': 3, 'val': 2}))
    for path in drawn.rglob('*.*'):
        assert path.read_bytes() == (tmp_path / 'again' / path.relative_to(drawn)).read_bytes()
    first, held_out = opened(drawn).read(0)[0], opened(drawn, 'val').read(0)[0]
    assert first.shape != held_out.shape or not np.array_equal(first, held_out)


def test_a_folder_with_something_in_it_is_left_alone(drawn, capsys):
    before = {path: path.stat().st_mtime_ns for path in drawn.rglob('*')}
    assert main(['draw', str(drawn), '--frames', '1']) == 2
    assert 'is not empty, wanted a new folder' in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in drawn.rglob('*')}


def test_classes_that_no_road_has_are_named_and_nothing_is_written(tmp_path, capsys):
    (tmp_path / 'classes.yaml').write_text('[{name: path, drivable: true}, {name: Other}]')
    classes = str(tmp_path / 'classes.yaml')
    assert main(['draw', str(tmp_path / 'roads'), '--classes', classes]) == 2
    assert 'synthetic roads have none of the classes path, Other' in capsys.readouterr().err
    assert not (tmp_path / 'roads').exists()


@pytest.mark.parametrize('option', ['--frames', '--val-frames'])
def test_a_number_of_frames_that_cannot_be_is_named(tmp_path, option, capsys):
    assert main(['draw', str(tmp_path / 'new'), option, '0']) == 2
    assert '0 frames of' in capsys.readouterr().err
    assert not (tmp_path / 'new').exists()


def test_a_folder_of_another_origin_is_no_synthetic_set(drawn, tmp_path):
    """Weights say where they come from, so a name must not be borrowed."""
    (tmp_path / 'classes.yaml').write_text(CLASSES)
    with pytest.raises(DatasetError, match='no drawn.json, wanted a folder that enet-ros draw'):
        opened(tmp_path)
    half = draw_dataset(tmp_path / 'half', ClassMap.from_names(('Road', 'Other')), {'train': 4})
    next(half)
    half.close()  # as when the command is stopped
    with pytest.raises(DatasetError, match=r'no drawn\.json'):
        opened(tmp_path / 'half')


def test_weights_name_all_that_they_come_from(drawn, tmp_path, shipped_like):
    pytest.importorskip('torch')
    from dataclasses import replace

    from enet_ros.training.finish import provenance_of
    from enet_ros.training.options import TrainOptions
    from enet_ros.training.run_folder import prepare_run_folder
    from enet_ros.training.sources import Source

    def run(**changes):
        return TrainOptions(**{'dataset': [], 'root': None, 'out': str(tmp_path), 'sources':
                               (Source('synthetic', str(drawn)), Source('lums', '/lums')),
                               **changes})
    assert provenance_of(run()) == ('lums', 'synthetic')
    assert provenance_of(run(sources=(Source('lums', '/lums'),))) == ('lums',)
    mixed = run(sources=(Source('lums', '/lums'),), drawn=0.1)
    assert provenance_of(mixed) == ('lums', 'synthetic')
    told = shipped_like(tmp_path / 'told.safetensors', sources=('camvid',))
    assert provenance_of(run(weights=str(told))) == ('camvid', 'lums', 'synthetic')
    first = run(sources=(Source('lums', '/lums'),), drawn=0.5)
    prepare_run_folder(tmp_path, first)
    (tmp_path / 'last.ckpt').write_bytes(b'')
    for _ in range(2):  # starts that go on without drawn roads
        prepare_run_folder(tmp_path, replace(first, drawn=0.0))
        assert provenance_of(replace(first, drawn=0.0)) == ('lums', 'synthetic')
    silent = shipped_like(tmp_path / 'silent.safetensors', sources=())
    assert provenance_of(run(weights=str(silent))) == ('lums', 'synthetic',
                                                       'weights silent.safetensors')


@pytest.fixture
def shipped_like():
    """Return a function that writes the default weights with other metadata."""
    from dataclasses import replace

    from enet_ros.network.checkpoint import read_checkpoint, weights_path, write_checkpoint

    def write(path, **changes):
        write_checkpoint(path, replace(read_checkpoint(weights_path('')), **changes))
        return path
    return write


def test_the_record_says_how_it_was_drawn(drawn):
    record = json.loads((drawn / 'drawn.json').read_text())
    assert record == {'frames': {'train': 3, 'val': 2}, 'varied': True}
