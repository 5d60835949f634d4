"""The labels beside a recording, which ``enet-ros compare`` reads as training does."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from enet_ros.cli.main import main
from enet_ros.comparison.truth import find_truth
from enet_ros.media import write_image
from enet_ros.perception.segmenter import Segmenter
from enet_ros.scene.road_scene import RoadScene

SIZE = (160, 96)
ROAD = 3
WAY_AND_REST = '- {name: way, drivable: true}\n- name: rest\n'


@pytest.fixture(scope='module')
def frames():
    street = RoadScene(320, 192, seed=5)
    return [street.render(i * 0.1)[0] for i in range(2)]


def compare(tmp_path, recording):
    """Compare weights with themselves; return the exit code and the figures."""
    code = main(['compare', 'enet_camvid:float32', 'enet_camvid:float32', str(recording),
                 '--out', str(tmp_path / 'page.html'), '--json', str(tmp_path / 'figures.json'),
                 '--resolution', f'{SIZE[0]}x{SIZE[1]}'])
    return code, json.loads((tmp_path / 'figures.json').read_text())


def make_site(root, frames, labels, classes, ending='.png'):
    """Write frames with one label image each; return the path of the folder of frames."""
    for name in ('val', 'valannot'):
        (root / name).mkdir(parents=True)
    for i, frame in enumerate(frames):
        write_image(root / 'val' / f'{i:03d}.png', frame)
        write_image(root / 'valannot' / f'{i:03d}.png', labels)
        (root / 'valannot' / f'{i:03d}.png').rename(root / 'valannot' / f'{i:03d}{ending}')
    (root / 'classes.yaml').write_text(classes)
    return root / 'val'


def test_labels_are_read_as_train_reads_them(tmp_path, frames):
    labels = np.full((192, 320), 3, np.uint8)  # a curb or the rest: neither is drivable
    labels[96:] = 0
    labels[:, :100] = 4  # the way or the rest: tells nothing
    classes = (f'{WAY_AND_REST}- name: curb\n- {{name: border, one_of: [rest, curb]}}\n'
               '- {name: blurred, one_of: [way, rest]}\n')
    path = make_site(tmp_path / 'site', frames, labels, classes, '.PNG')
    code, found = compare(tmp_path, path)
    assert code == 0 and found['labelled_frames'] == 2
    segmenter = Segmenter.from_file(resolution=SIZE, precision='float32')
    overlap = union = 0
    for frame in frames:
        road = segmenter.infer(cv2.resize(frame, SIZE)[None])[0].labels == ROAD
        road = cv2.resize(road.astype(np.uint8), (320, 192), interpolation=cv2.INTER_NEAREST) > 0
        ours, truth = road[:, 100:], (labels == 0)[:, 100:]
        overlap, union = overlap + (ours & truth).sum(), union + (ours | truth).sum()
    assert found['a']['drivable_iou_with_labels'] == pytest.approx(overlap / union, abs=0.01)


def test_the_folder_in_which_the_command_runs_has_its_labels(tmp_path, frames, monkeypatch):
    path = make_site(tmp_path / 'site', frames, np.zeros((192, 320), np.uint8), WAY_AND_REST)
    monkeypatch.chdir(path)
    truth = find_truth(Path('.'))
    assert truth.of(Path('000.png'))[0].all()


@pytest.mark.parametrize(('values', 'classes', 'reason'), [
    ((0, 7), WAY_AND_REST, 'label value 7 (15360 pixels), wanted 0-1, 255'),
    ((0, 255), WAY_AND_REST, 'its labels hold only 0 and 255, so they are masks'),
    ((0, 1), '- name: way\n- name: rest\n', 'classes.yaml: no class is drivable'),
    ((0, 0), '- {name: way, drivable: true}\n', "classes.yaml: the only class is 'way'")])
def test_labels_that_mean_something_else_give_no_score(tmp_path, frames, capsys, values, classes,
                                                       reason):
    labels = np.full((192, 320), values[0], np.uint8)
    labels[:48] = values[1]
    path = make_site(tmp_path / 'site', frames, labels, classes)
    code, found = compare(tmp_path, path)
    assert code == 1 and found['frames'] == 2 and found['labelled_frames'] == 0
    assert found['a']['drivable_iou_with_labels'] is None
    assert reason in capsys.readouterr().err


def test_label_images_that_fit_no_frame_are_named(tmp_path, frames, capsys):
    path = make_site(tmp_path / 'site', frames, np.zeros((192, 320), np.uint8), WAY_AND_REST)
    annot = tmp_path / 'site' / 'valannot'
    (annot / '000.png').rename(annot / '0000.png')
    shutil.copy(annot / '001.png', annot / '001.PNG')
    code, found = compare(tmp_path, path)
    assert code == 1 and found['labelled_frames'] == 1
    said = capsys.readouterr().err
    assert '0000.png: has no frame' in said and '001.png: has the name of 001.PNG' in said
