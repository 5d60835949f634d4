"""A run that is continued on other data: refused, or said where only contents differ."""

import json
import shutil

import cv2
import numpy as np
import pytest
from support.training_runs import read_state, run_options

pytest.importorskip('torch')
pytest.importorskip('pytorch_lightning', reason='training needs pytorch-lightning')
pytest.importorskip('matplotlib', reason='training draws its curves with matplotlib')

from enet_ros.training.options import TrainingError  # noqa: E402
from enet_ros.training.train import train  # noqa: E402


@pytest.fixture(scope='module')
def stopped_run(tree, tmp_path_factory):
    """Return data and the folder of a run on it that stopped after a step."""
    folder = tmp_path_factory.mktemp('stopped')
    root = shutil.copytree(tree, folder / 'data')
    assert train(run_options(root, folder / 'run', hours=1e-6)) == 3
    return root, folder / 'run'


@pytest.fixture
def stopped(stopped_run, tmp_path):
    """Return the same, to be changed: data in its place, and a copy of the run."""
    root, run = stopped_run
    kept = shutil.copytree(root, tmp_path / 'kept')
    yield root, shutil.copytree(run, tmp_path / 'run')
    shutil.rmtree(root)
    kept.rename(root)


def add_frame(root):
    for folder in ('train', 'trainannot'):
        shutil.copy(root / folder / '0.png', root / folder / '00.png')


def remove_frames(root):
    for number in (1, 4):
        for folder in ('val', 'valannot'):
            (root / folder / f'{number}.png').unlink()


def rename_frame(root):
    for folder in ('train', 'trainannot'):
        (root / folder / '2.png').rename(root / folder / '9.png')


def swap_classes(root):
    (root / 'classes.json').write_text(json.dumps(
        [{'name': 'grass'}, {'name': 'path', 'drivable': True}]))


def add_set(root):
    (root / 'classes.json').write_text(json.dumps(
        [{'name': 'path', 'drivable': True}, {'name': 'grass'}, {'name': 'tree'},
         {'name': 'green', 'one_of': ['grass', 'tree']}]))


@pytest.mark.parametrize(('change', 'said'), [
    (add_frame, 'folders train: train/00.png is new.'),
    (remove_frames, 'folders val: 2 frames (first val/1.png) are missing.'),
    (rename_frame, 'folders train: train/9.png is new; folders train: train/2.png is missing.'),
    (swap_classes, 'folders train: its classes were path*, grass, now grass, path*;'),
    (add_set, 'folders train: its sets were none, now grass or tree;')])
def test_a_run_is_not_continued_on_other_data(stopped, change, said):
    root, run = stopped
    before = (run / 'data.txt').read_bytes()
    change(root)
    with pytest.raises(TrainingError) as error:
        train(run_options(root, run, hours=1e-6))
    assert f'{run} began on other data: ' in str(error.value)
    assert said in str(error.value)
    assert 'choose another --out' in str(error.value)
    assert (run / 'data.txt').read_bytes() == before
    assert read_state(run)['global_step'] == 1


def test_replaced_labels_are_said_and_used(stopped, capsys):
    root, run = stopped
    cv2.imwrite(str(root / 'trainannot' / '3.png'), np.zeros((32, 48), np.uint8))
    assert train(run_options(root, run, hours=1e-6)) == 3
    assert ('folders train: frame or labels of train/3.png changed since the run began'
            in capsys.readouterr().out)
    assert read_state(run)['global_step'] == 2


def test_a_run_from_before_there_was_a_record_goes_on(stopped):
    root, run = stopped
    (run / 'data.json').unlink()
    assert train(run_options(root, run, hours=1e-6)) == 3
    assert [entry['name'] for entry in json.loads((run / 'data.json').read_text())] == [
        'folders train', 'folders val']


@pytest.mark.parametrize('text', ['', '{}x', '[1]', '[{"name": 1}]', '[' * 100_000, json.dumps(
    [{'name': 'a', 'classes': [], 'sets': 3, 'pairs': [[]], 'checksums': []}])])
def test_a_damaged_record_is_one_sentence(stopped, text):
    root, run = stopped
    (run / 'data.json').write_text(text)
    with pytest.raises(TrainingError, match='data.json is damaged: delete it'):
        train(run_options(root, run, hours=1e-6))
