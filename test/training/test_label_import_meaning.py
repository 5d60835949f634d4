"""What an export means: several in a folder, boxes, labels and markers with a special meaning."""

import cv2
import numpy as np
from support.labeling_tools import (
    COLORS,
    cvat_xml,
    label_import,
    png,
    write_cvat_masks,
    write_label_studio,
    write_labelme,
)

from enet_ros.training.datasets import open_dataset


def test_several_exports_in_a_folder_are_refused(folder, tmp_path, drawn, capsys):
    first, second = dict(list(drawn.items())[:3]), dict(list(drawn.items())[3:])
    for name, part, write in (('a', first, write_label_studio), ('b', second, write_label_studio),
                              ('c', second, write_labelme)):
        (folder / name).mkdir()
        write(folder / name, part)
    assert label_import(folder, tmp_path / 'site') == 2
    assert 'has 3 exports, such as a/project.json and b/project.json' in capsys.readouterr().err
    assert not (tmp_path / 'site').exists()


def test_what_was_marked_without_an_area_never_becomes_drivable(folder, tmp_path, drawn, capsys):
    text = cvat_xml(drawn).replace('</image>', '<tag label="night"></tag><box label="person" '
                                   'xtl="1" ytl="1" xbr="9" ybr="9"></box></image>', 1)
    for name, (frame, _) in drawn.items():
        (folder / name).write_bytes(png(frame))
    (folder / 'annotations.xml').write_text(text)
    assert label_import(folder, tmp_path / 'site', '--background', 'site road') == 2
    error = capsys.readouterr().err
    assert "the background 'site road' is drivable" in error and "1 of the kind 'box'" in error
    assert 'tag' not in error
    assert label_import(folder, tmp_path / 'site', '--background', 'rest') == 0
    assert "'box' were left out" in (error := capsys.readouterr().err) and "are 'rest'" in error


def test_a_label_named_background_counts_unless_it_is_black(folder, tmp_path, drawn):
    labelmap = '\n'.join(f'{name}:{red},{green},{blue}::' for name, (red, green, blue) in zip(
        ('site road', 'kerb', 'background'), COLORS.values()))
    export = write_cvat_masks(folder, drawn, labelmap=labelmap)
    assert label_import(export, tmp_path / 'site') == 0
    assert open_dataset('folders', tmp_path / 'site', 'train').class_map.names == (
        'site road', 'kerb', 'background')


def test_markers_of_labelme_are_no_classes(folder, tmp_path, drawn):
    write_labelme(folder, drawn)
    for path in folder.glob('*.json'):
        path.write_text(path.read_text().replace('"kerb"', '"__ignore__"').replace(
            '"sky"', '"_background_"'))
    assert label_import(folder, tmp_path / 'site', '--background', 'rest') == 0
    assert open_dataset('folders', tmp_path / 'site', 'train').class_map.names == (
        'site road', 'rest')
    labels = [cv2.imread(str(path), -1) for path in (tmp_path / 'site').glob('*annot/*.png')]
    assert {0, 1, 255} == set(np.unique(labels))


def test_a_json_file_beside_an_export_of_cvat_is_passed_over(folder, tmp_path, drawn):
    for name, (frame, _) in drawn.items():
        (folder / name).write_bytes(png(frame))
    (folder / 'annotations.xml').write_text(cvat_xml(drawn))
    (folder / 'sidecar.json').write_text('{}\n{}\n')
    assert label_import(folder, tmp_path / 'site') == 0
