"""No command overwrites a file unasked: it stops before any work, and --force replaces it."""

import argparse
import importlib
import json
import os
import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.other_weights import as_modules, as_torch7

from enet_ros.cli.main import COMMANDS, _module_name, main
from enet_ros.common.overwrite import check_absent
from enet_ros.media import write_image
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.network.enet import ENet
from enet_ros.training.options import TrainingError, TrainOptions
from enet_ros.training.run_folder import prepare_run_folder

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = ['--resolution', '160x96']
MINE = b'this was here before'
#: Destinations of options that name something to write.
WRITTEN = {'out', 'json', 'plot', 'output', 'floors', 'worst'}
#: They write a folder: a run is continued or refused, and a data set wants a new folder.
FOLDERS = {'bag', 'draw', 'label-import', 'train'}


@pytest.fixture
def place(tmp_path, monkeypatch, road_frame):
    """A folder with a picture to work on, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    write_image('a.png', road_frame)
    return tmp_path


#: command -> (arguments, files that it would write)
COMMAND_LINES = {
    'segment': (['segment', 'a.png', '--out', '.', *SMALL],
                ['a_labels.png', 'a_drivable.png', 'a_overlay.png']),
    'import': (['import', 'nowhere.net', '-o', 'w.safetensors'], ['w.safetensors']),
    'export': (['export', '-o', 'enet.onnx', *SMALL], ['enet.onnx']),
    'export openvino': (['export', '-o', 'enet.xml', *SMALL], ['enet.xml', 'enet.bin']),
    'export int8': (['export', '--precision', 'int8', '--calibrate', '.', *SMALL],
                    ['enet_camvid_int8.safetensors']),
    'calibrate': (['calibrate', '--images', 'a.png', '--out', 'w.safetensors', *SMALL],
                  ['w.safetensors']),
    'eval': (['eval', '--dataset', 'folders', '--root', 'nowhere', '--json', 's.json'],
             ['s.json']),
    'bench': (['bench', '--resolution', '64x48', '--runs', '1', '--only', 'segmenter', '--json',
               'b.json'], ['b.json', 'b.png']),
}


@pytest.mark.parametrize('name', COMMAND_LINES)
def test_each_file_that_exists_stops_the_command_before_any_work(place, capsys, name):
    arguments, files = COMMAND_LINES[name]
    for file in files:
        (place / file).write_bytes(MINE)
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert f"{file}' exists already and is not overwritten" in said
        assert 'or --force to replace it' in said and 'Traceback' not in said
        assert (place / file).read_bytes() == MINE
        assert {path.name for path in place.iterdir()} == {'a.png', file}
        (place / file).unlink()


@pytest.mark.parametrize('name', ['segment', 'export openvino', 'bench'])
def test_force_replaces_each_file(place, name):
    arguments, files = COMMAND_LINES[name]
    for file in files:
        (place / file).write_bytes(MINE)
    assert main([*arguments, '--force']) in (0, 1)  # 1: other processes kept bench busy
    assert all((place / file).read_bytes() != MINE for file in files)


def test_force_replaces_imported_weights(place):
    (place / 'model.net').write_bytes(as_torch7(as_modules(ENet(12).eval())))
    (place / 'w.safetensors').write_bytes(MINE)
    arguments = ['import', 'model.net', '-o', 'w.safetensors']
    assert main(arguments) == 2
    assert main([*arguments, '--force']) == 0
    assert (place / 'w.safetensors').stat().st_size > 1e6


def test_force_replaces_scores(place):
    for folder in ('val', 'valannot'):
        (place / folder).mkdir(parents=True)
    cv2.imwrite(str(place / 'val/a.png'), np.zeros((96, 160, 3), np.uint8))
    cv2.imwrite(str(place / 'valannot/a.png'), np.full((96, 160), 3, np.uint8))
    (place / 'classes.json').write_text(json.dumps([{'name': name} for name in CAMVID_NAMES]))
    (place / 's.json').write_bytes(MINE)
    arguments = ['eval', '--dataset', 'folders', '--root', '.', '--json', 's.json', *SMALL]
    assert main(arguments) == 2
    assert main([*arguments, '--force']) == 0
    assert b'"miou"' in (place / 's.json').read_bytes()


@pytest.mark.parametrize(('arguments', 'problem'), [
    (['eval', '--worst', 'a.png', '--floors', './a.png'], 'a.png, a.png) two are one'),
    (['compare', 'a', 'b', 'v.mp4', '--out', 's.x', '--json', 's.x'], 's.x, s.x) two are one'),
    (['bench', '--json', 'b.png'], 'b.png, b.png) two are one'),
    (['soak', '--json', 'b.png'], 'b.png, b.png) two are one'),
    (['compare', 'a', 'b', 'v.mp4', '-o', 'no/a.html'], "'no' is no folder, wanted one to"),
    (['eval', '--json', 'no/a.json'], "'no' is no folder, wanted one to write a.json to"),
    (['compare', 'a', 'b', 'v.mp4', '-o', '/proc/a.html'], "'/proc' takes no new file ("),
    (['eval', '--json', '/proc/a.json'], 'wanted another folder to write a.json to'),
    (['calibrate', '--images', 'a', '--out', '/proc/a.safetensors'], "'/proc' takes no new file"),
    (['import', 'a.net', '-o', '/proc/a.safetensors'], "'/proc' takes no new file"),
    (['export', '-o', '/proc/a.onnx'], "'/proc' takes no new file"),
    (['eval', '--json', '.'], "'.' is a folder, wanted the name of a file to write"),
])
def test_outputs_that_cannot_all_be_written_are_refused_first(place, capsys, arguments, problem):
    assert main([*arguments, '--force']) == 2
    assert problem in capsys.readouterr().err
    assert [path.name for path in place.iterdir()] == ['a.png']


@pytest.mark.parametrize('arguments', [['eval', '--worst', 'w'], ['eval', '--floors', 'f.xyz'],
                                       ['bench', '--plot', 'p.svg'], ['soak', '--plot', 'p']])
def test_a_drawing_has_a_name_that_ends_in_png(place, capsys, arguments):
    with pytest.raises(SystemExit, match='2'):
        main(arguments)
    assert 'wanted a name that ends in .png' in capsys.readouterr().err


@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_that_names_a_file_to_write_has_force(name):
    module = importlib.import_module(f'enet_ros.cli.{_module_name(name)}')
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    writes = {action.dest for action in parser._actions
              if action.dest in WRITTEN and action.nargs != 0}  # a switch names no file
    assert name in FOLDERS or not writes or '--force' in parser._option_string_actions


def test_a_link_into_nowhere_is_taken_and_a_pipe_or_a_terminal_is_not(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(FileExistsError, match=r"link' exists already \(and 1 more\)"):
        check_absent([tmp_path / 'link', None, tmp_path], force=False)
    check_absent([tmp_path / 'link'], force=True)
    os.mkfifo(tmp_path / 'pipe')
    check_absent([tmp_path / 'pipe', tmp_path / 'new'], force=False)


@pytest.mark.parametrize('name', ['model.safetensors', 'scores.json', 'options.json', 'data.json',
                                  'data.txt', 'data.png', 'best.ckpt', 'last.ckpt'])
def test_training_writes_into_no_folder_whose_files_are_of_something_else(tmp_path, name):
    (tmp_path / name).write_bytes(MINE)
    with pytest.raises(TrainingError, match=f'holds {name} and no run to continue'):
        prepare_run_folder(tmp_path, TrainOptions(['camvid'], 'camvid', str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == MINE


def test_a_run_that_stopped_before_its_first_checkpoint_begins_anew(tmp_path):
    options = TrainOptions(['camvid'], 'camvid', str(tmp_path))
    prepare_run_folder(tmp_path, options)
    (tmp_path / 'data.txt').write_text('of this run')
    assert prepare_run_folder(tmp_path, options) == tmp_path / 'last.ckpt'
    (tmp_path / 'model.safetensors').write_bytes(MINE)
    with pytest.raises(TrainingError, match='holds model.safetensors and no run'):
        prepare_run_folder(tmp_path, options)


def test_make_demo_is_forced_by_a_variable_and_says_so(tmp_path):
    pytest.importorskip('rclpy', reason='the demo needs ROS 2')
    (tmp_path / 'report.json').write_bytes(MINE)
    done = subprocess.run(['demo', '--out', tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert 'exists already' in done.stderr and 'or FORCE=1 (--force) to replace it' in done.stderr
    for variables, is_forced in ((['FORCE=1', 'OUT=x'], True), (['OUT=x'], False), ([], True)):
        recipe = subprocess.run(['make', '--dry-run', 'demo', *variables], cwd=REPOSITORY,
                                capture_output=True, text=True, check=True).stdout
        assert ('--force' in recipe) == is_forced, variables


def test_the_files_of_the_demo_in_the_readme_stay_out_of_git():
    folders = re.findall(r'^make demo .*OUT=(\S+)', (REPOSITORY / 'README.md').read_text(),
                         re.MULTILINE)
    assert folders and all(folder.startswith('demo_out') for folder in folders)
    assert 'demo_out*/' in (REPOSITORY / '.gitignore').read_text().splitlines()
