"""Labels that mean something else are named, and right ones, however few, are not."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enet_ros.cli.main import main
from enet_ros.network.class_map import UNKNOWN
from enet_ros.network.classes import CITYSCAPES_LABEL_IDS
from enet_ros.training.datasets import open_dataset
from enet_ros.training.label_checks import check_not_train_ids
from enet_ros.training.labeled_frames import DatasetError

#: Shares of a street in train ids: road, sidewalk, building, ..., bicycle (Cityscapes, rounded).
STREET = np.array([33, 6, 23, .7, .9, 1.2, .2, .6, 16, 1.2, 4, 1.2, .1, 7, .3, .2, .2, .1, .4])


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def folders(root, *labels, names=('ground', 'path')):
    (root / 'classes.json').write_text(json.dumps([{'name': name} for name in names]))
    for i, label in enumerate(labels):
        write(root / 'train' / f'{i}.png', np.zeros((*label.shape, 3), np.uint8))
        write(root / 'trainannot' / f'{i}.png', label)
    return open_dataset('folders', root, 'train')


def cityscapes(root, *labels, ending='labelIds'):
    for i, label in enumerate(labels):
        write(root / f'leftImg8bit/train/ulm/ulm_{i}_leftImg8bit.png',
              np.zeros((*label.shape, 3), np.uint8))
        write(root / f'gtFine/train/ulm/ulm_{i}_gtFine_{ending}.png', label)
    return open_dataset('cityscapes', root, 'train')


def street(seed, classes=6):
    """Return train ids of a street with few of the rarer classes, and its bonnet as 255."""
    rng = np.random.default_rng(seed)
    shares = np.where(np.isin(np.arange(19), (0, 1, 2, 8, 10, 13)), STREET, 0)
    rarer = rng.choice(19, classes, False)
    shares[rarer] = np.maximum(shares[rarer], 1)
    ids = np.sort(rng.choice(19, 60 * 40, p=shares / shares.sum())).astype(np.uint8)
    ids[-200:] = UNKNOWN
    return ids.reshape(40, 60)


def as_label_ids(train_ids):
    lut = np.zeros(256, np.uint8)
    lut[:19], lut[UNKNOWN] = CITYSCAPES_LABEL_IDS, 1
    return lut[train_ids]


def mask(value=255):
    label = np.zeros((8, 16), np.uint8)
    label[4:] = value
    return label


@pytest.mark.parametrize('names', [('ground', 'path'), ('ground', 'path', 'grass')])
def test_masks_of_0_and_255_are_named(tmp_path, names):
    with pytest.raises(DatasetError, match=(
            "folders train: its labels hold only 0 and 255, so they are masks; here 0 is "
            "'ground', .* Write 1 for 255 where that is 'path'; docs/training.md")):
        folders(tmp_path, mask(), np.zeros((8, 16), np.uint8), mask(), names=names).check()


def test_masks_of_0_and_1_and_pixels_without_a_label_are_right(tmp_path):
    folders(tmp_path, mask(1), mask()).check()
    folders(tmp_path, mask(), mask(), names=('ground',)).check()


def test_labels_without_any_class_are_named(tmp_path):
    with pytest.raises(DatasetError, match='no pixel of its 2 label images has a class'):
        folders(tmp_path, mask(0) + 255, mask(0) + 255).check()


@pytest.mark.parametrize('count', [1, 2, 20])
def test_train_ids_of_cityscapes_are_named(tmp_path, count):
    with pytest.raises(DatasetError, match=(
            rf'cityscapes train: its labels hold train ids, .* {count} of {count} images .*'
            'Take the .*_gtFine_labelIds.png.*--dataset folders')):
        cityscapes(tmp_path, *map(street, range(count))).check()


def test_few_train_ids_that_all_mean_void_are_named(tmp_path):
    label = mask(1)
    label[0] = UNKNOWN
    with pytest.raises(DatasetError, match='no pixel of its 1 label images has a class'):
        cityscapes(tmp_path, label).check()


def test_some_images_of_train_ids_among_label_ids_are_named(tmp_path):
    labels = [as_label_ids(street(seed)) for seed in range(12)] + [street(s) for s in range(3)]
    with pytest.raises(DatasetError, match='3 of 15 images'):
        cityscapes(tmp_path, *labels).check()


@pytest.mark.parametrize('seed', range(5))
def test_one_street_in_label_ids_is_right(tmp_path, seed):
    data = cityscapes(tmp_path, as_label_ids(street(seed)))
    data.check()
    assert np.array_equal(data.read(0)[1], street(seed))


@pytest.mark.parametrize('values', [
    (7, 8), (0, 7), (0, 7, 8, 11), (0, 0, 0, 7, 8), (0, 1, 2, 3, 7, 7, 7, 8), (7, 255), (0, 0, 24),
    (8, 11, 13), (0, 0, 1, 2, 3, 4, 11)])
def test_a_few_classes_of_ones_own_in_label_ids_are_right(tmp_path, values):
    label = np.repeat(np.array(values, np.uint8), 16).reshape(-1, 16)
    cityscapes(tmp_path, label).check()


def test_files_of_train_ids_beside_missing_label_ids_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r'0 gtFine.*there are 2 \*_gtFine_labelTrainIds.png'):
        cityscapes(tmp_path, street(0), street(1), ending='labelTrainIds')


def test_mac_files_and_upper_case_in_the_folders_of_cities(tmp_path):
    cityscapes(tmp_path, as_label_ids(street(0)))
    city = tmp_path / 'leftImg8bit' / 'train' / 'ulm'
    (city / 'ulm_0_leftImg8bit.png').rename(city / 'ulm_0_leftImg8bit.PNG')
    for folder in (city, tmp_path / 'gtFine' / 'train' / 'ulm',
                   tmp_path / 'gtFine' / 'train' / '__MACOSX'):
        folder.mkdir(exist_ok=True)
        (folder / '._ulm_0_leftImg8bit.png').write_bytes(b'no image')
        (folder / '._ulm_0_gtFine_labelIds.png').write_bytes(b'no image')
    data = open_dataset('cityscapes', tmp_path, 'train')
    data.check()
    assert len(data) == 1


@pytest.mark.parametrize('command', ['train', 'eval'])
def test_train_and_eval_refuse_masks_before_they_start(tmp_path, capsys, command):
    folders(tmp_path, mask(), mask())
    for name in ('train', 'trainannot'):
        shutil.copytree(tmp_path / name, tmp_path / name.replace('train', 'val'))
    options = (['--out', str(tmp_path / 'run'), '--steps', '1']
               if command == 'train' else ['--split', 'train'])
    assert main([command, '--dataset', 'folders', '--root', str(tmp_path), *options]) == 2
    assert 'so they are masks' in capsys.readouterr().err


def test_the_rule_about_turned_frames_is_said_once_by_eval(tmp_path, capsys):
    names = ('Sky', 'Building', 'Pole', 'Road', 'Pavement', 'Tree', 'SignSymbol', 'Fence', 'Car',
             'Pedestrian', 'Bicyclist')
    folders(tmp_path, mask(3), mask(3), names=names)
    exif = Image.Exif()
    exif[0x0112] = 3
    for path in Path(tmp_path / 'train').iterdir():
        Image.open(path).save(path, exif=exif)
    assert main(['eval', '--dataset', 'folders', '--root', str(tmp_path), '--split', 'train',
                 '--resolution', '160x96', '--precision', 'float32']) == 0
    said = capsys.readouterr().err
    assert said.count('2 frames have an EXIF orientation that keeps their size') == 1


@pytest.mark.parametrize(('which', 'label'), [
    (0, mask()), (1, np.repeat(np.uint8([[[128, 64, 128]], [[0, 200, 0]]]), 16, 1))])
def test_the_conversions_of_the_documentation_give_labels_that_are_right(tmp_path, which, label):
    page = (Path(__file__).resolve().parents[2] / 'docs' / 'training.md').read_text()
    command = re.findall(r'```sh\n(python3 -c "\nimport pathlib.*?)```', page, re.DOTALL)[which]
    data = folders(tmp_path, label if label.ndim == 2 else label[..., 0])
    write(tmp_path / 'trainannot' / '0.png', label)
    with pytest.raises(DatasetError):
        data.check()
    subprocess.run(['bash', '-c', command.replace('python3', shlex.quote(sys.executable))],
                   cwd=tmp_path, check=True, timeout=60)
    data.check()
    rows = data.read(0)[1][:, 0].tolist()
    assert rows == ([0] * 4 + [1] * 4 if which == 0 else [0, 1])


def test_real_streets_one_by_one_are_told_to_be_train_ids_or_label_ids():
    """The labels of CamVid as Cityscapes would have them, in train ids and in label ids."""
    root = Path('/work/shared/camvid')
    if not (root / 'val').is_dir():
        pytest.skip('/work/shared/camvid is absent')
    data = open_dataset('camvid', root, 'val')
    assert data.check() == ()
    train_ids = np.full(256, UNKNOWN, np.uint8)
    train_ids[:11] = [10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 18]
    streets = [train_ids[labels] for _, labels in data]

    def are_refused(images):
        return [check_not_train_ids(np.bincount(image.ravel(), minlength=256)[None]) != ''
                for image in images]

    assert all(are_refused(streets))
    assert not any(are_refused(map(as_label_ids, streets)))
