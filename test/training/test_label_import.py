"""``enet-ros label-import``: exports of labeling tools as a data set, and hostile ones."""

import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.labeling_tools import (
    CLASSES,
    COLORS,
    brush_rle,
    cvat_xml,
    label_import,
    png,
    write_cvat,
    write_cvat_masks,
    write_label_studio,
    write_labelme,
)

from enet_ros.media import read_image
from enet_ros.training.datasets import open_dataset
from enet_ros.training.label_import.label_studio import decode_brush
from enet_ros.training.label_import.shapes import ImportLabelsError, fill_polygon
from enet_ros.training.label_import.splits import choose_validation

#: name -> writer of an export, and whether its label images are exact
EXPORTS = {
    'CVAT polygons': (write_cvat, False),
    'CVAT masks': (lambda folder, drawn: write_cvat(folder, drawn, masks=True), True),
    'CVAT mask images': (write_cvat_masks, True),
    'Label Studio polygons': (write_label_studio, False),
    'Label Studio brush': (lambda *args: write_label_studio(*args, brush=True), True),
    'labelme': (write_labelme, False),
    'labelme embedded': (lambda *args: write_labelme(*args, embedded=True), False),
    'labelme masks': (lambda *args: write_labelme(*args, masks=True), True),
}


def read_pairs(root):
    """Return stem -> (frame, labels) of both splits."""
    return {path.stem: (read_image(path), cv2.imread(
        str(path.parent.with_name(path.parent.name + 'annot') / f'{path.stem}.png'), -1))
        for split in ('train', 'val') for path in (root / split).iterdir()}


@pytest.mark.parametrize('kind', EXPORTS)
def test_what_was_drawn_is_what_train_reads(folder, tmp_path, drawn, kind):
    write, is_exact = EXPORTS[kind]
    assert label_import(write(folder, drawn), tmp_path / 'site') == 0
    classes = open_dataset('folders', tmp_path / 'site', 'train').class_map
    assert classes.drivable_names == ('site road',)
    pairs = read_pairs(tmp_path / 'site')
    assert sorted(pairs) == sorted(name[:-4] for name in drawn)
    for name, (frame, truth) in drawn.items():
        shown, labels = pairs[name[:-4]]
        assert np.array_equal(shown, frame)
        order = [*CLASSES]
        mapped = np.full_like(labels, 255)
        for i, label in enumerate(classes.names):
            mapped[labels == i] = order.index(label)
        agreement = (mapped == truth).mean()
        assert agreement == 1.0 if is_exact else agreement > 0.97


def test_colors_of_cvat_become_those_of_the_classes(folder, tmp_path, drawn):
    assert label_import(write_cvat(folder, drawn), tmp_path / 'site') == 0
    classes = open_dataset('folders', tmp_path / 'site', 'val').class_map
    assert dict(zip(classes.names, classes.colors)) == COLORS


@pytest.mark.parametrize('split_by', ['auto', 'sequence'])
def test_whole_drives_validate_where_there_are_several(folder, tmp_path, drawn, capsys, split_by):
    assert label_import(write_labelme(folder, drawn), tmp_path / 'site', '--val', 0.4,
                        '--split-by', split_by) == 0
    drives = {split: {path.name.split('_')[0] for path in (tmp_path / 'site' / split).iterdir()}
              for split in ('train', 'val')}
    assert not drives['train'] & drives['val'] and all(drives.values())
    assert 'chosen by sequence' in capsys.readouterr().out


def test_a_seed_gives_the_same_split_again_and_another_seed_another(folder, tmp_path, drawn):
    export = write_labelme(folder, drawn)
    splits = []
    for i, seed in enumerate((1, 1, 2, 3, 4)):
        assert label_import(export, tmp_path / f'{i}', '--split-by', 'frame', '--seed', seed,
                            '--val', 0.34) == 0
        splits.append(frozenset(path.name for path in (tmp_path / f'{i}' / 'val').iterdir()))
    assert splits[0] == splits[1] and len(set(splits)) > 1
    assert {len(split) for split in splits} == {2}


def test_nothing_is_overwritten(folder, tmp_path, drawn, capsys):
    (tmp_path / 'site').mkdir()
    (tmp_path / 'site' / 'mine.txt').write_text('mine')
    assert label_import(write_labelme(folder, drawn), tmp_path / 'site') == 2
    assert "site' exists and is not empty; wanted a new folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / 'site').iterdir()] == ['mine.txt']


def test_a_class_file_sets_the_ids_and_an_unknown_label_is_named(folder, tmp_path, drawn, capsys):
    classes = tmp_path / 'classes.yaml'
    classes.write_text('- name: sky\n- name: kerb\n- {name: site road, drivable: true}\n')
    export = write_cvat(folder, drawn, masks=True)
    assert label_import(export, tmp_path / 'site', '--classes', classes, drivable='') == 0
    labels = read_pairs(tmp_path / 'site')['drive0_000'][1]
    assert np.array_equal(labels == 2, drawn['drive0_000.png'][1] == 0)
    classes.write_text('- name: sky\n- {name: site road, drivable: true}\n')
    assert label_import(export, tmp_path / 'other', '--classes', classes, drivable='') == 2
    assert 'labels that are no class' in (said := capsys.readouterr().err) and "'kerb'" in said
    assert label_import(export, tmp_path / 'other', '--classes', classes, '--ignore', 'kerb',
                        drivable='') == 0
    assert (read_pairs(tmp_path / 'other')['drive0_000'][1] == 255).mean() > 0.1


def test_the_background_is_a_class_only_where_it_is_named(folder, tmp_path, drawn):
    export = write_cvat(folder, drawn, masks=True)
    assert label_import(export, tmp_path / 'site', '--background', 'other') == 0
    _, labels = read_pairs(tmp_path / 'site')['drive0_000']
    assert np.array_equal(labels == 3, drawn['drive0_000.png'][1] == 255)


@pytest.mark.parametrize(('options', 'said'), [
    (['--ignore', 'kreb'], "--ignore is 'kreb', which is no label; wanted some of site road, "),
    (['--ignore', 'kreb'], "; did you mean 'kerb'?"),
    (['--background', 'kreb', '--classes', 'FILE'], "the background is 'kreb', wanted one of"),
    (['--drivable', 'kreb'], "--drivable 'kreb' is no label")])
def test_a_misspelt_label_is_named_with_the_labels(folder, tmp_path, drawn, capsys, options, said):
    classes = tmp_path / 'classes.yaml'
    classes.write_text('[{name: site road, drivable: true}, {name: kerb}, {name: sky}]')
    words = [classes if word == 'FILE' else word for word in options]
    assert label_import(write_labelme(folder, drawn), tmp_path / 'site', *words,
                        drivable='' if 'FILE' in options else 'site road') == 2
    text = capsys.readouterr().err
    assert said in text and "did you mean 'kerb'?" in text
    assert not (tmp_path / 'site').exists()


def test_a_class_without_a_shape_may_be_ignored(folder, tmp_path, drawn):
    (tmp_path / 'classes.yaml').write_text('[{name: site road, drivable: true}, {name: kerb}, '
                                           '{name: sky}, {name: mud}]')
    assert label_import(write_labelme(folder, drawn), tmp_path / 'site', '--classes',
                        tmp_path / 'classes.yaml', '--ignore', 'mud', drivable='') == 0


@pytest.mark.parametrize('drivable', ['site road', 'nothing'])
def test_archives_are_closed(folder, tmp_path, drawn, monkeypatch, drivable):
    opened = []
    monkeypatch.setattr(zipfile, 'ZipFile', lambda *args, make=zipfile.ZipFile: (
        opened.append(make(*args)) or opened[-1]))
    write_labelme(folder, drawn)
    for name, ending in (('labels', '.json'), ('frames', '.png')):
        with zipfile.ZipFile(tmp_path / f'{name}.zip', 'w') as archive:
            for path in folder.glob(f'*{ending}'):
                archive.write(path, path.name)
    code = label_import(tmp_path / 'labels.zip', tmp_path / 'site', '--images',
                        tmp_path / 'frames.zip', drivable=drivable)
    assert code == (0 if drivable == 'site road' else 2)
    assert len(opened) == 4 and all(archive.fp is None for archive in opened)


def test_a_single_class_is_said_to_be_too_few(folder, tmp_path, drawn, capsys):
    road = {name: (frame, np.where(labels == 0, 0, 255).astype(np.uint8))
            for name, (frame, labels) in drawn.items()}
    export = write_labelme(folder, road)
    assert label_import(export, tmp_path / 'site') == 0
    assert "the only class is 'site road', and enet-ros train wants two" in capsys.readouterr().err
    assert label_import(export, tmp_path / 'other', '--background', 'rest') == 0
    assert 'the only class' not in capsys.readouterr().err


def test_nothing_drivable_is_an_error_that_lists_the_labels(folder, tmp_path, drawn, capsys):
    assert label_import(write_labelme(folder, drawn), tmp_path / 'site', drivable='') == 2
    assert 'nothing is drivable: wanted --drivable with one of' in capsys.readouterr().err
    assert not (tmp_path / 'site').exists()


def test_frames_of_another_size_are_named_and_leave_nothing(folder, tmp_path, drawn, capsys):
    export = write_labelme(folder, drawn)
    cv2.imwrite(str(folder / 'drive1_004.png'), np.zeros((48, 80, 3), np.uint8))
    assert label_import(export, tmp_path / 'site') == 2
    said = capsys.readouterr().err
    assert 'drive1_004.png' in said and 'labeled at 160x96, but the frame has 80x48' in said
    assert [path.name for path in tmp_path.iterdir()] == ['export']


def test_boxes_and_lines_are_counted_and_left_out(folder, tmp_path, drawn, capsys):
    text = cvat_xml(drawn).replace('</image>', '<box label="kerb" xtl="1" ytl="1" xbr="9" '
                                   'ybr="9"/></image>')
    (folder / 'a.xml').write_text(text)
    for name, (frame, _) in drawn.items():
        (folder / name).write_bytes(png(frame))
    assert label_import(folder / 'a.xml', tmp_path / 'site') == 0
    assert "6 annotations of the kind 'box' were left out" in capsys.readouterr().err


def test_uncovered_frames_are_left_out_with_a_warning(folder, tmp_path, drawn, capsys):
    nothing = {'drive0_900.png': (drawn['drive0_000.png'][0], np.full((96, 160), 255, np.uint8))}
    assert label_import(write_cvat(folder, drawn | nothing), tmp_path / 'site') == 0
    assert '1 frames without any shape were left out' in capsys.readouterr().err


BOMB = ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
        '<annotations>&b;</annotations>')
STEAL = ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations><image name="&x;"/>'
         '</annotations>')
HOSTILE = {
    'entities': ('a.xml', BOMB, "declares the document type 'a'"),
    'a file of the machine': ('a.xml', STEAL, "declares the document type 'a'"),
    'cut XML': ('a.xml', '<annotations><image>', 'a.xml is no XML'),
    'another XML': ('a.xml', '<svg/>', 'begins with <svg>'),
    'a CVAT video': ('a.xml', '<annotations><track/></annotations>', 'an export for video'),
    'no polygon': ('a.xml', '<annotations><image name="x.png" width="9" height="9"><polygon '
                   'label="a" points="1,nan;2,3;4,5"/></image></annotations>', 'no pairs of num'),
    'runs of 10^9': ('a.xml', '<annotations><image name="x.png" width="9" height="9"><mask '
                     'label="a" left="0" top="0" width="99999999" height="99999999" rle="0, '
                     '999999999"/></image></annotations>', 'do not add up'),
    'deep JSON': ('a.json', '[' * 100_000, 'is no JSON'),
    'other JSON': ('a.json', '{"a": 1}', 'is no export that is known'),
    'JSON-MIN': ('a.json', '[{"image": "a.png", "annotation_id": 1}]', "not as 'JSON-MIN'"),
    'a rotated image': ('a.json', json.dumps([{'id': 7, 'data': {'image': 'a.png'}, 'annotations':
                        [{'result': [{'image_rotation': 90, 'type': 'polygonlabels', 'value': {
                            'points': [], 'polygonlabels': ['a']}}]}]}]), 'rotated by 90 degrees'),
    'no zip': ('a.zip', 'PK', 'cannot be read as a zip archive'),
    'bad imageData': ('a.json', json.dumps({'shapes': [], 'imagePath': 'a', 'imageData': '%'}),
                      'no base64 text'),
    'two corners': ('a.json', json.dumps({'imagePath': 'a', 'shapes': [
        {'label': 'a', 'points': [[1, 2], [3, 4]]}]}), 'has 2 corners'),
}


@pytest.mark.parametrize('case', HOSTILE)
def test_a_bad_export_is_one_sentence_and_writes_nothing(folder, tmp_path, capsys, case):
    name, content, reason = HOSTILE[case]
    (folder / name).write_text(content)
    assert label_import(folder / name, tmp_path / 'site', drivable='a') == 2
    said = capsys.readouterr().err
    assert reason in said and len(said.strip().splitlines()) == 1
    assert not (tmp_path / 'site').exists()


def test_no_name_of_an_export_leads_out_of_the_folders(tmp_path, folder, drawn):
    """A zip archive, a frame's name and an imagePath may all say ``../``."""
    (name, (frame, _)), (_, other) = list(drawn.items())[:2]
    evil = f'../../../{name}'
    with zipfile.ZipFile(folder / 'evil.zip', 'w') as archive:
        archive.writestr('annotations.xml', cvat_xml({evil: drawn[name], '/tmp/x.png': other}))
        archive.writestr(evil, png(frame))
        archive.writestr('/tmp/x.png', png(other[0]))
    before = {path for path in tmp_path.rglob('*')}
    assert label_import(folder / 'evil.zip', tmp_path / 'site') == 0
    after = {path for path in tmp_path.rglob('*')} - before
    assert all(tmp_path / 'site' in (path, *path.parents) for path in after)
    assert sorted(path.suffix for path in after if path.is_file()) == ['.png'] * 4 + ['.yaml']


def test_an_image_path_reads_no_file_outside_the_images(folder, tmp_path, drawn, capsys):
    (tmp_path / 'secret.png').write_bytes(png(drawn['drive0_000.png'][0]))
    write_labelme(folder, drawn)
    path = folder / 'drive0_000.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'imagePath': '../secret.png'}))
    assert label_import(folder, tmp_path / 'site') == 2
    assert f"'../secret.png' lies outside of '{folder}'" in capsys.readouterr().err
    path.write_text(json.dumps({**json.loads(path.read_text()), 'imagePath': '..'}))
    assert label_import(folder, tmp_path / 'site') == 2
    assert "imagePath is '..', wanted the path of an image" in capsys.readouterr().err


#: Number of a frame -> path of its JSON file, path of its image, and imagePath.
LABELME_LAYOUTS = {
    'Windows': lambda i: (f'd{i % 2}/labels/{i // 2}.json', f'd{i % 2}/images/{i // 2}.png',
                          f'..\\images\\{i // 2}.png'),
    'Linux': lambda i: (f'd{i % 2}/labels/{i // 2}.json', f'd{i % 2}/images/{i // 2}.png',
                        f'./../images/{i // 2}.png'),
    'absolute, beside': lambda i: (f'd{i % 2}/{i // 2}.json', f'd{i % 2}/{i // 2}.png',
                                   f'C:\\{i // 2}.png'),
    'absolute, elsewhere': lambda i: (f'json/{i}.json', f'd{i % 2}/{i // 2}.png',
                                      f'/home/me/d{i % 2}/{i // 2}.png')}


def write_labelme_as(folder, drawn, layout):
    """Write an export whose JSON files and images lie where a layout says."""
    for i, (name, pair) in enumerate(drawn.items()):
        json_path, image_path, text = LABELME_LAYOUTS[layout](i)
        for path in (json_path, image_path):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_labelme(folder, {name: pair})
        (folder / name).rename(folder / image_path)
        content = json.loads((folder / f'{name[:-4]}.json').read_text())
        (folder / f'{name[:-4]}.json').unlink()
        (folder / json_path).write_text(json.dumps({**content, 'imagePath': text}))


@pytest.mark.parametrize('kind', ['folder', 'zip'])
@pytest.mark.parametrize('layout', LABELME_LAYOUTS)
def test_labelme_finds_images_from_the_folder_of_the_json_file(folder, tmp_path, drawn, layout,
                                                               kind):
    write_labelme_as(folder, drawn, layout)
    export = folder if kind == 'folder' else Path(shutil.make_archive(
        str(tmp_path / 'export'), 'zip', folder))
    (tmp_path / 'classes.yaml').write_text('[{name: site road, drivable: true}, {name: kerb}, '
                                           '{name: sky}]')
    assert label_import(export, tmp_path / 'site', '--classes', tmp_path / 'classes.yaml',
                        drivable='') == 0
    pairs = read_pairs(tmp_path / 'site')
    assert len(pairs) == len(drawn)
    for frame, labels in pairs.values():
        own = [truth for image, truth in drawn.values() if np.array_equal(image, frame)]
        assert len(own) == 1 and (labels == own[0]).mean() > 0.97


def test_labelme_takes_no_image_of_another_folder(folder, tmp_path, drawn, capsys):
    write_labelme_as(folder, drawn, 'Linux')
    (folder / 'd0' / 'images' / '1.png').rename(folder / '1.png')
    assert label_import(folder, tmp_path / 'site') == 2
    said = capsys.readouterr().err
    assert f"'d0/images/1.png' is no image in '{folder}'; wanted it there, or --images" in said


def test_two_frames_of_one_name_are_an_error(folder, tmp_path, drawn, capsys):
    write_labelme(folder, drawn)
    path = folder / 'drive0_000.json'
    (folder / 'copy.json').write_text(path.read_text())
    assert label_import(folder, tmp_path / 'site') == 2
    assert "has 2 frames named 'drive0_000.png', wanted one" in capsys.readouterr().err


def test_a_huge_member_of_an_archive_is_not_unpacked(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('enet_ros.training.label_import.files.MAX_FILE_BYTES', 10**6)
    with zipfile.ZipFile(folder / 'bomb.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('annotations.xml', b' ' * (10**6 + 1))
    assert label_import(folder / 'bomb.zip', tmp_path / 'site') == 2
    assert 'annotations.xml has 1000001 bytes, wanted at most 1000000' in capsys.readouterr().err


def test_a_brush_stroke_of_another_size_takes_no_memory():
    mask = np.eye(8, dtype=bool)
    packed = bytes(brush_rle(mask))
    assert np.array_equal(decode_brush(packed, 256, 'a')[3::4].reshape(8, 8) > 0, mask)
    with pytest.raises(ImportLabelsError, match='has 256 values, but the frame has 400'):
        decode_brush(packed, 400, 'a')
    with pytest.raises(ImportLabelsError, match='cut short'):
        decode_brush(packed[:20], 256, 'a')


def test_a_polygon_covers_the_pixels_whose_centers_it_holds():
    rng = np.random.default_rng(3)
    for _ in range(20):
        corners = rng.uniform(-5, 25, (6, 2))
        covered = fill_polygon(corners, (20, 16))
        for row in range(16):
            for column in range(20):
                x, y, inside = column + 0.5, row + 0.5, False
                for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0)):
                    if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                        inside = not inside
                assert covered[row, column] == inside


def test_neighboring_polygons_neither_overlap_nor_leave_a_gap():
    left, right = ([(0, 0), (7.5, 0), (3.2, 9), (0, 9)], [(7.5, 0), (12, 0), (12, 9), (3.2, 9)])
    masks = [fill_polygon(np.array(corners, float), (12, 9)) for corners in (left, right)]
    assert (masks[0] ^ masks[1]).all()


def test_the_class_file_is_yaml_whatever_a_label_has(folder, tmp_path, drawn):
    export = write_labelme(folder, drawn)
    for path in Path(folder).glob('*.json'):
        path.write_text(path.read_text().replace('site road', 'way: {x} # 1'))
    assert label_import(export, tmp_path / 'site', drivable='way: {x} # 1') == 0
    assert 'way: {x} # 1' in open_dataset('folders', tmp_path / 'site', 'val').class_map.names


@pytest.mark.parametrize(('counts', 'wanted'), [((900, 50, 50), (50, 100)), ((180, 20), (20,))])
def test_a_sequence_far_above_the_share_is_left_to_training(counts, wanted):
    names = [f'{kind}_{i:04d}.png' for kind, count in zip('abc', counts) for i in range(count)]
    for seed in range(12):
        assert len(choose_validation(names, 0.2, seed)[0]) in wanted
    assert len(choose_validation(names, 0.001, 0)[0]) == min(counts)
