"""The lines that end a training run, and that its commands are ones that work."""

import os
import shlex
import shutil
import sys
from contextlib import redirect_stdout

import pytest
from PIL import Image
from support.training_runs import run_options

torch = pytest.importorskip('torch')
pytest.importorskip('pytorch_lightning', reason='training needs pytorch-lightning')
pytest.importorskip('matplotlib', reason='training draws its curves with matplotlib')

from enet_ros.cli.main import main  # noqa: E402
from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.training.options import TrainingError  # noqa: E402
from enet_ros.training.summary import summarize  # noqa: E402
from enet_ros.training.train import train  # noqa: E402

SCORES = {'images': 5, 'miou': 0.612, 'drivable_iou': 0.9, 'class_avg': 0.7, 'global_avg': None}


def test_a_run_ends_with_its_weights_scores_and_commands_that_work(tree, tmp_path, capsys):
    run = tmp_path / 'my run'
    assert train(run_options(tree, run, steps=3)) == 0
    said = capsys.readouterr().out
    weights = run / 'model.safetensors'
    assert f'weights: {weights}\nscores on 5 validation images: class IoU ' in said
    evaluate, segment, node = said.split('next:\n')[1].splitlines()
    assert main(shlex.split(evaluate)[1:]) == 0
    assert 'class IoU' in capsys.readouterr().out
    assert shlex.split(segment)[-4:] == ['--weights', str(weights), '--resolution', '48x32']
    assert shlex.split(node) == ['segment_node', '--ros-args', '-p', f'weights:={weights}', '-p',
                                 'resolution:=[48, 32]']


def test_a_folder_whose_name_is_no_text_is_trained_on(tree, tmp_path, monkeypatch):
    root = shutil.copytree(tree, tmp_path / os.fsdecode(b'H\xf6fe'))
    frame = root / 'train/0.png'
    exif = Image.Exif()
    exif[0x0112] = 2  # mirrored: a note names the frame
    Image.open(frame).save(frame, exif=exif)
    monkeypatch.setattr(sys, 'argv', ['enet-ros', 'train', '--root', str(root)])
    done = run_options(root, tmp_path / 'run', steps=2)
    with open(tmp_path / 'said', 'w', encoding='utf-8') as said, redirect_stdout(said):
        assert train(done) == 0
    assert r'H\udcf6fe/train/0.png' in (tmp_path / 'run/data.txt').read_text()
    assert (tmp_path / 'run/model.safetensors').is_file()


def test_a_run_whose_name_is_no_text_is_refused_first(tree, tmp_path):
    with pytest.raises(TrainingError, match='wanted a path in UTF-8'):
        train(run_options(tree, tmp_path / os.fsdecode(b'H\xf6fe')))
    assert not list(tmp_path.iterdir())


def test_scores_without_a_value_and_the_resolution_of_the_node_are_left_out(tree, tmp_path):
    lines = summarize(run_options(tree, tmp_path, resolution=(640, 360)).checked(), SCORES,
                      ClassMap.from_names(['Road', 'Car']))
    assert 'class IoU 61.2 %, drivable IoU 90.0 %, class average 70.0 %\n' in lines
    assert 'resolution' not in lines


def test_a_data_file_is_scored_as_a_whole(tree, tmp_path):
    (tmp_path / 'site.yaml').write_text(
        f'sources:\n  - {{dataset: folders, root: {tree}}}\n')
    options = run_options(tree, tmp_path, dataset=[], root=None,
                          data=str(tmp_path / 'site.yaml')).checked()
    lines = summarize(options, SCORES, ClassMap.from_names(['Road', 'Car']))
    assert f'next:\n  enet-ros eval --data {tmp_path}/site.yaml --weights ' in lines


def test_classes_of_which_none_is_drivable_are_named_before_and_after(tree, tmp_path, capsys):
    classes = tmp_path / 'c.json'
    classes.write_text('[{"name": "dirt path"}, {"name": "grass"}]')
    assert train(run_options(tree, tmp_path / 'run', classes=str(classes), steps=1)) == 0
    before, after = capsys.readouterr().out.split('next (NAME is the class to drive on):\n')
    assert before.count('no class is drivable') == 1
    assert 'class_map.NAME.drivable:=true, with a NAME of dirt_path, grass' in before
    node = after.splitlines()[2]
    assert shlex.split(node)[-2:] == ['-p', 'class_map.NAME.drivable:=true']
