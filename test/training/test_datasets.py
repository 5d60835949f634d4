"""Data sets on tiny trees of every layout, intact and damaged."""

import json
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from enet_ros.network.class_map import UNKNOWN
from enet_ros.network.classes import CAMVID_LABEL_COLORS, CITYSCAPES_NAMES, SUNRGBD_NAMES
from enet_ros.training.datasets import (
    camvid,
    open_dataset,
    read_classes,
)
from enet_ros.training.labeled_frames import DatasetError


def write(path, image):
    """Write an RGB or one-channel image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.ndim == 3:
        image = image[..., ::-1]
    assert cv2.imwrite(str(path), image)


def frame(value=100, size=(16, 8)):
    return np.full((size[1], size[0], 3), value, np.uint8)


def labels(*rows):
    """Return (8, 16) labels whose rows begin with the given values."""
    label_map = np.zeros((8, 16), np.uint8)
    for i, row in enumerate(rows):
        label_map[i] = row
    return label_map


def camvid_tree(root, count=3, split='train'):
    for i in range(count):
        image = frame()
        image[0, 0] = (200, 10, 30)
        write(root / split / f'seq_{i:03}.png', image)
        write(root / f'{split}annot' / f'seq_{i:03}.png', labels(3, 10, 11))
    return root


def test_camvid_reads_rgb_and_ignores_void(tmp_path):
    data = open_dataset('camvid', camvid_tree(tmp_path), 'train')
    data.check()
    assert len(data) == 3
    assert data.class_map.names[3] == 'Road'
    assert data.class_map.drivable_names == ('Road',)
    image, truth = data.read(0)
    assert image.dtype == np.uint8
    assert image[0, 0].tolist() == [200, 10, 30]
    assert truth.dtype == np.uint8
    assert truth[:4, 0].tolist() == [3, 10, UNKNOWN, 0]


def test_original_camvid_maps_colors_to_eleven_classes(tmp_path):
    colors = [color for group in CAMVID_LABEL_COLORS.values() for color in group]
    assert len(set(colors)) == 32
    stored = np.zeros((8, 16, 3), np.uint8)
    stored.reshape(-1, 3)[:32] = colors
    write(tmp_path / '701_StillsRaw_full' / 'a.png', frame())
    write(tmp_path / '701_StillsRaw_full' / 'not_in_split.png', frame())
    write(tmp_path / 'LabeledApproved_full' / 'a_L.png', stored)
    (tmp_path / 'val.txt').write_text('a.png\n')
    data = camvid(tmp_path, 'val')
    data.check()
    assert len(data) == 1
    wanted = [i if name != 'Void' else UNKNOWN
              for i, (name, group) in enumerate(CAMVID_LABEL_COLORS.items()) for _ in group]
    assert data.read(0)[1].reshape(-1)[:32].tolist() == wanted


def original_camvid_tree(root, listed):
    for name in ('a', 'b', 'c'):
        write(root / '701_StillsRaw_full' / f'{name}.png', frame())
        write(root / 'LabeledApproved_full' / f'{name}_L.png', np.zeros((8, 16, 3), np.uint8))
    (root / 'val.txt').write_text(listed)
    return root


def test_original_camvid_list_takes_names_of_frames_and_of_labels(tmp_path):
    data = camvid(original_camvid_tree(tmp_path, 'a\n\nLabeledApproved_full/c_L.png x\n'), 'val')
    assert [path.name for path, _ in data.pairs] == ['a.png', 'c.png']


@pytest.mark.parametrize(('listed', 'said'), [
    ('a.png\nd.png\n0001\n', ['2 problem', 'd.png: no such frame', '0001: no such frame']),
    ('x_L.png\n', ['1 problem', 'x_L.png: no such frame in']), ('\n', ['empty'])])
def test_original_camvid_when_the_list_names_no_frame(tmp_path, listed, said):
    with pytest.raises(DatasetError, match=r'val\.txt') as error:
        camvid(original_camvid_tree(tmp_path, listed), 'val')
    for text in said:
        assert text in str(error.value)


def test_original_camvid_when_frames_have_no_labels(tmp_path):
    original_camvid_tree(tmp_path, 'a\n')
    (tmp_path / 'LabeledApproved_full' / 'a_L.png').unlink()
    with pytest.raises(DatasetError, match=r'a\.png: has no label file'):
        camvid(tmp_path, 'val')


def test_original_camvid_in_split_folders(tmp_path):
    write(tmp_path / 'train' / 'a.png', frame())
    write(tmp_path / 'train_labels' / 'a_L.png', np.full((8, 16, 3), (128, 64, 128), np.uint8))
    assert (camvid(tmp_path, 'train').read(0)[1] == 3).all()


def test_original_camvid_when_color_is_unknown(tmp_path):
    write(tmp_path / 'train' / 'a.png', frame())
    write(tmp_path / 'train_labels' / 'a_L.png', np.full((8, 16, 3), (1, 2, 3), np.uint8))
    with pytest.raises(DatasetError, match=r'a_L\.png: color \[1, 2, 3\] \(128 pixels'):
        camvid(tmp_path, 'train').check()


def test_cityscapes_maps_label_ids_to_train_ids(tmp_path):
    write(tmp_path / 'leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png', frame())
    write(tmp_path / 'gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png',
          labels(7, 8, 33, 0, 3, 26))
    data = open_dataset('cityscapes', tmp_path, 'val')
    data.check()
    assert data.class_map.names == CITYSCAPES_NAMES
    assert len(CITYSCAPES_NAMES) == 19
    assert data.read(0)[1][:6, 0].tolist() == [0, 1, 18, UNKNOWN, UNKNOWN, 13]


def test_cityscapes_when_label_is_out_of_range(tmp_path):
    write(tmp_path / 'leftImg8bit/val/ulm/ulm_1_leftImg8bit.png', frame())
    write(tmp_path / 'gtFine/val/ulm/ulm_1_gtFine_labelIds.png', labels(34))
    with pytest.raises(DatasetError, match=r'label value 34 \(16 pixels\), wanted 0-33, 255'):
        open_dataset('cityscapes', tmp_path, 'val').check()


def test_sunrgbd_shifts_ids_by_one(tmp_path):
    assert len(SUNRGBD_NAMES) == 37
    write(tmp_path / 'train' / 'img-000001.jpg', frame())
    write(tmp_path / 'trainannot' / 'img-000001.png', labels(1, 2, 37))
    data = open_dataset('sunrgbd', tmp_path, 'train')
    data.check()
    assert data.read(0)[1][:4, 0].tolist() == [0, 1, 36, UNKNOWN]
    assert data.class_map.drivable_names == ('floor',)


def test_the_lines_of_the_documentation_bring_sunrgbd_into_splits(tmp_path):
    page = (Path(__file__).resolve().parents[2] / 'docs' / 'training.md').read_text()
    block = re.search(r'^ +```sh\n( +python3 -c .*?)^ +```', page, re.DOTALL | re.MULTILINE)
    for folder, numbers in (('train', (1, 449, 450, 499, 500)), ('test', (1, 5050))):
        for number in numbers:
            write(tmp_path / f'{folder}_images' / 'tar' / f'img-{number:06}.jpg', frame())
            label = number + 5050 * (folder == 'train')
            write(tmp_path / 'labels37' / f'img-{label:06}.png', labels(1 + label % 37))
    done = subprocess.run(
        ['bash', '-c', textwrap.dedent(block[1]).replace('python3', shlex.quote(sys.executable))],
        cwd=tmp_path, check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == '7 labels, wanted 10335\n'
    wanted = {'train': (1, 449, 500), 'val': (450, 499), 'test': (1, 5050)}
    for split, numbers in wanted.items():
        data = open_dataset('sunrgbd', tmp_path / 'sunrgbd', split)
        data.check()
        assert [int(path.stem[4:]) for path, _ in data.pairs] == list(numbers)
        assert [read[1][0, 0] for read in data] == [
            (number + 5050 * (split != 'test')) % 37 for number in numbers]


CLASSES = [{'name': 'path', 'color': [10, 20, 30], 'drivable': True}, {'name': 'grass'}]


def test_folders_with_json_class_file(tmp_path):
    (tmp_path / 'classes.json').write_text(json.dumps(CLASSES))
    write(tmp_path / 'train' / 'a.png', frame())
    write(tmp_path / 'trainannot' / 'a.png', labels(1, 255))
    data = open_dataset('folders', tmp_path, 'train')
    data.check()
    assert data.class_map.names == ('path', 'grass')
    assert data.class_map.colors[0] == (10, 20, 30)
    assert data.class_map.drivable_names == ('path',)
    assert data.read(0)[1][:3, 0].tolist() == [1, 255, 0]


def test_folders_when_a_class_means_not_labeled(tmp_path):
    (tmp_path / 'classes.json').write_text(json.dumps([{'name': 'Void'}, *CLASSES]))
    write(tmp_path / 'train' / 'a.png', frame())
    write(tmp_path / 'trainannot' / 'a.png', labels(1, 2, 255))
    data = open_dataset('folders', tmp_path, 'train')
    data.check()
    assert data.class_map.names == ('Void', 'path', 'grass')
    assert data.read(0)[1][:4, 0].tolist() == [1, 2, 255, 255]


def test_class_file_in_yaml(tmp_path):
    pytest.importorskip('yaml')
    path = tmp_path / 'mine.yaml'
    path.write_text('- name: path\n  drivable: true\n- {name: grass, color: [0, 200, 0]}\n')
    assert read_classes(path).names == ('path', 'grass')
    assert read_classes(path).colors[1] == (0, 200, 0)


@pytest.mark.parametrize('suffix', ['json', 'yaml'])
def test_class_file_of_windows(tmp_path, suffix):
    pytest.importorskip('yaml')
    path = tmp_path / f'classes.{suffix}'
    path.write_bytes('[\r\n{"name": "Weg"}, {"name": "Straße"}]\r\n'.encode('utf-8-sig'))
    assert read_classes(path).names == ('Weg', 'Straße')


def test_original_camvid_when_the_list_is_no_text(tmp_path):
    original_camvid_tree(tmp_path, 'a\n')
    (tmp_path / 'val.txt').write_bytes(b'\xff\xfea\0')
    with pytest.raises(DatasetError, match=r'val\.txt: no text'):
        camvid(tmp_path, 'val')


@pytest.mark.parametrize(('text', 'said'), [
    ('{}', 'wanted a list'), ('[]', 'wanted a list'), ('[1]', 'entry 1'),
    ('[{"name": "a", "colour": 1}]', 'colour'), ('[', 'cannot be parsed'),
    ('[{"name": "a"}, {"name": "a"}]', "two classes are named 'a'"),
    ('[{"name": "a", "color": [1, 2]}]', 'color'), ('[{"name": "a", "color": 7}]', 'color'),
])
def test_class_file_when_malformed(tmp_path, text, said):
    path = tmp_path / 'classes.json'
    path.write_text(text)
    with pytest.raises(DatasetError, match=said) as error:
        read_classes(path)
    assert str(path) in str(error.value)


def test_check_names_each_bad_file(tmp_path):
    camvid_tree(tmp_path, 5)
    write(tmp_path / 'trainannot' / 'seq_000.png', labels(12))
    write(tmp_path / 'trainannot' / 'seq_001.png', np.zeros((8, 8), np.uint8))
    (tmp_path / 'train' / 'seq_002.png').write_bytes(b'no image')
    write(tmp_path / 'trainannot' / 'seq_003.png', frame())
    with pytest.raises(DatasetError) as error:
        open_dataset('camvid', tmp_path, 'train').check()
    said = str(error.value)
    assert '4 problem(s)' in said
    assert 'seq_000.png: label value 12 (16 pixels), wanted 0-11, 255' in said
    assert 'seq_001.png: 8x8, but its frame is 16x8' in said
    assert 'seq_002.png: unreadable' in said
    assert 'seq_003.png: 3 channels' in said
    assert 'seq_004' not in said


def test_check_lists_the_first_several_of_many(tmp_path):
    camvid_tree(tmp_path, 12)
    for i in range(12):
        (tmp_path / 'train' / f'seq_{i:03}.png').write_bytes(b'')
    with pytest.raises(DatasetError, match='12 problem') as error:
        open_dataset('camvid', tmp_path, 'train').check()
    assert '4 more' in str(error.value)
    assert len(str(error.value).splitlines()) == 10


def test_open_when_frames_and_labels_do_not_pair(tmp_path):
    camvid_tree(tmp_path)
    (tmp_path / 'trainannot' / 'seq_001.png').rename(tmp_path / 'trainannot' / 'other.png')
    with pytest.raises(DatasetError) as error:
        open_dataset('camvid', tmp_path, 'train')
    assert 'seq_001.png: has no label file' in str(error.value)
    assert 'other.png: has no frame' in str(error.value)


@pytest.mark.parametrize('suffix', ['.tif', '.webp', '.BMP', '.pgm'])
def test_frames_of_every_kind_that_is_read_are_no_silent_loss(tmp_path, suffix):
    camvid_tree(tmp_path)
    before = open_dataset('camvid', tmp_path, 'train')
    frame = before.pairs[0][0]
    Image.open(frame).convert('L').save(frame.with_suffix(suffix.lower()))
    frame.with_suffix(suffix.lower()).rename(frame.with_suffix(suffix))
    frame.unlink()
    data = open_dataset('camvid', tmp_path, 'train')
    assert len(data) == len(before)
    assert data.pairs[0][0].name == frame.stem + suffix
    data.check()


@pytest.mark.parametrize(('name', 'split', 'said'), [
    ('kitti', 'train', 'wanted one of camvid'),
    ('camvid', 'test', "no such folder, so there is no split 'test'; wanted one of train$"),
    ('cityscapes', 'train', 'leftImg8bit'), ('folders', 'train', 'classes.yaml')])
def test_open_when_it_is_not_there(tmp_path, name, split, said):
    camvid_tree(tmp_path)
    with pytest.raises(DatasetError, match=said):
        open_dataset(name, tmp_path, split)


def test_open_when_root_is_missing(tmp_path):
    with pytest.raises(DatasetError, match='nowhere: no such folder'):
        open_dataset('camvid', tmp_path / 'nowhere', 'train')


def test_the_home_folder_is_found_in_the_folder_and_in_the_class_file(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'own.json').write_text('[{"name": "a"}, {"name": "b"}]')
    write(tmp_path / 'site' / 'val' / '0.png', frame())
    write(tmp_path / 'site' / 'valannot' / '0.png', labels(1))
    assert len(open_dataset('folders', '~/site', 'val', '~/own.json')) == 1
