"""``enet-ros label-import``: names of files, the folder that is written, and what is printed."""

import io
import json
import os
import sys
import unicodedata

import numpy as np
import pytest
from support.labeling_tools import cvat_xml, label_import, png, write_cvat, write_cvat_masks

from enet_ros.media import read_image
from enet_ros.training.datasets import open_dataset
from enet_ros.training.label_import import label_studio
from enet_ros.training.label_import.shapes import ImportLabelsError
from enet_ros.training.label_import.splits import choose_validation, sequence_of


def frames_of(*names, size=(24, 16)):
    """Return name -> (frame, labels): each frame has a gray of its own, and road below kerb."""
    width, height = size
    labels = np.repeat(np.uint8([1, 0]), height // 2)[:, None].repeat(width, 1)
    return {name: (np.full((height, width, 3), 9 + i, np.uint8), labels)
            for i, name in enumerate(names)}


@pytest.fixture
def drawn():
    return frames_of('a_0.png', 'a_1.png', 'b_0.png')


def written(root):
    """Return the names of all files of a data set."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob('*') if path.is_file())


def write_images(folder, drawn, rename=str):
    folder.mkdir()
    for name, (frame, _) in drawn.items():
        (folder / rename(name)).write_bytes(png(frame))
    return folder


def test_mask_images_without_frames_find_them_by_their_stems(folder, tmp_path):
    drawn = frames_of('cam.front_1.png', 'cam.left_1.png')
    export = write_cvat_masks(folder, drawn, images=False)
    assert label_import(export, tmp_path / 'none') == 2  # not the label images
    frames = write_images(tmp_path / 'frames', drawn, lambda name: name.replace('png', 'PNG'))
    assert label_import(export, tmp_path / 'site', '--images', frames) == 0
    names = {path.split('/')[1] for path in written(tmp_path / 'site') if '/' in path}
    assert names == set(drawn)
    for path in tmp_path.glob('site/*/cam*.png'):
        if not path.parent.name.endswith('annot'):
            assert np.array_equal(read_image(path), drawn[path.name][0])


@pytest.mark.parametrize('form', ['NFC', 'NFD'])
def test_names_are_equal_in_both_forms_of_unicode(folder, tmp_path, form):
    other = {'NFC': 'NFD', 'NFD': 'NFC'}[form]
    drawn = frames_of('tür_0.png', 'weg_0.png')
    (folder / 'a.xml').write_text(unicodedata.normalize(form, cvat_xml(drawn)), encoding='utf-8')
    frames = write_images(tmp_path / 'frames', drawn,
                          lambda name: unicodedata.normalize(other, name))
    assert label_import(folder / 'a.xml', tmp_path / 'site', '--images', frames) == 0


def test_an_image_of_labelme_is_found_in_both_forms_of_unicode(folder, tmp_path):
    for i, (frame, _) in enumerate(frames_of('a', 'b').values()):
        (folder / unicodedata.normalize('NFD', f'tür{i}.png')).write_bytes(png(frame))
        (folder / f'{i}.json').write_text(json.dumps({'imagePath': f'tür{i}.png', 'shapes': [
            {'label': label, 'points': [[0, 0], [9, 0], [9, 9]]} for label in ('path', 'kerb')]}))
    assert label_import(folder, tmp_path / 'site', drivable='path') == 0


@pytest.mark.parametrize('is_link', [False, True])
def test_an_empty_folder_is_filled_and_stays_the_same_folder(folder, tmp_path, drawn, monkeypatch,
                                                            is_link):
    export = write_cvat(folder, drawn)
    (tmp_path / 'empty').mkdir()
    number = (tmp_path / 'empty').stat().st_ino
    (tmp_path / 'link').symlink_to('empty')
    monkeypatch.chdir(tmp_path / 'empty')
    assert label_import(export, '../link' if is_link else '.') == 0
    assert (tmp_path / 'empty').stat().st_ino == number
    assert {path.split('/')[0] for path in written(tmp_path / 'empty')} == set(
        os.listdir()) == {'classes.yaml', 'train', 'trainannot', 'val', 'valannot'}


def test_an_import_that_fails_leaves_an_empty_folder_empty(folder, tmp_path, drawn):
    export = write_cvat(folder, drawn)
    (tmp_path / 'site').mkdir()
    assert label_import(export, tmp_path / 'site', '--images', tmp_path / 'site') == 2
    assert not os.listdir(tmp_path / 'site')


def test_a_name_that_is_no_text_is_printed_with_escapes(tmp_path, drawn, monkeypatch):
    folder = tmp_path / os.fsdecode(b'exp\xff')
    folder.mkdir()
    printed = io.TextIOWrapper(io.BytesIO(), 'utf-8', 'strict')
    monkeypatch.setattr(sys, 'stdout', printed)
    assert label_import(write_cvat(folder, drawn), tmp_path / 'site') == 0
    printed.seek(0)
    assert r'exp\udcff' in printed.read()


def test_the_classes_are_read_back_whatever_a_label_has(folder, tmp_path, drawn):
    label = '\U0001F333 tree "x"'
    (folder / 'a.xml').write_text(cvat_xml(drawn).replace(
        'site road', label.replace('"', '&quot;')), encoding='utf-8')
    frames = write_images(tmp_path / 'frames', drawn)
    assert label_import(folder / 'a.xml', tmp_path / 'site', '--images', frames,
                        drivable=label) == 0
    classes = open_dataset('folders', tmp_path / 'site', 'train').class_map
    assert classes.drivable_names == (label,)


def test_a_corner_far_away_is_an_error_that_names_it(folder, tmp_path, drawn, capsys):
    text = cvat_xml(drawn)
    first = text.index('points="') + len('points="')
    (folder / 'a.xml').write_text(text[:first] + '3,1e308;-2,-1e308;' + text[first:])
    assert label_import(folder / 'a.xml', tmp_path / 'site') == 2
    assert 'has a corner at 1e+308, wanted at most 1e+06' in capsys.readouterr().err


def test_an_export_on_which_nobody_drew_is_said_to_be_one(folder, tmp_path, drawn, capsys):
    nothing = {name: (frame, np.full_like(labels, 255)) for name, (frame, labels) in drawn.items()}
    assert label_import(write_cvat(folder, nothing), tmp_path / 'site') == 2
    said = capsys.readouterr().err
    assert 'no frame has a polygon or a mask; draw some, or name the class' in said


@pytest.mark.parametrize(('image', 'name'), [
    ('/data/upload/1/0a1b2c3d-front.png', '/data/upload/1/front.png'),
    ('https://host/ls/data/upload/0a1b2c3d-front.png', '/ls/data/upload/front.png'),
    ('s3://bucket/uploads/0a1b2c3d-front.png', '/uploads/0a1b2c3d-front.png'),
    ('/data/local-files/?d=upload/0a1b2c3d-front.png', 'upload/0a1b2c3d-front.png')])
def test_label_studio_has_a_prefix_before_uploaded_names_alone(image, name):
    export = label_studio.read(None, 'project.json', [{'data': {'image': image},
                                                       'annotations': []}])
    assert export.frames[0].name == name


def test_stamps_of_one_drive_are_one_sequence():
    names = [f'17000000{i // 10:02d}_{i % 10}00000000.png' for i in range(30)]
    assert len({sequence_of(name) for name in names}) == 1
    assert choose_validation(names, 0.2, 0)[1] == ('6 of 30 frames validate, chosen by frame with '
                                                   'the seed 0')
    with pytest.raises(ImportLabelsError, match='there is one sequence'):
        choose_validation(names, 0.2, 0, 'sequence')
    assert sequence_of('d/front_1700000000_000000001.png') == sequence_of('d/front_3.jpg')
    assert sequence_of('drive_2_0001.png') != sequence_of('drive_3_0001.png')


def test_views_of_one_moment_are_of_one_sequence():
    names = [f'drive{drive}_{i:04}_{side}' for drive in (1, 2) for i in range(4)
             for side in ('left', 'front_right', 'cam1')]
    assert {sequence_of(name) for name in names} == {'drive1', 'drive2'}
    chosen, how = choose_validation(names, 0.5, 0)
    assert len({name[:6] for name in chosen}) == 1 and how.endswith('by sequence with the seed 0')


def test_the_name_of_a_camera_before_the_number_keeps_drives_apart():
    assert sequence_of('drive1_cam_0001') != sequence_of('drive2_cam_0001')
    assert sequence_of('drive1_left_0001') != sequence_of('drive2_left_0001')


@pytest.mark.parametrize(('names', 'shows'), [
    (['ant', 'bee', 'cow', 'dog', 'eel', 'fox'], False),
    ([f'{word}/0' for word in 'abcdef'] + [f'long/f_{i}' for i in range(5)], True)])
def test_names_that_show_no_drives_are_said(names, shows):
    _, how = choose_validation(names, 0.3, 0)
    assert ('put each drive into a folder of its own' not in how) == shows
