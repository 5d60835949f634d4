"""Class maps from files, and by the number of classes; and the tables they are made from."""

import json

import pytest

from enet_ros.network.class_files import (
    class_list_text,
    default_class_map,
    read_class_file,
    read_class_list,
)
from enet_ros.network.class_map import ClassMap, ClassMapError
from enet_ros.network.classes import (
    CAMVID_LABEL_COLORS,
    CAMVID_NAMES,
    CITYSCAPES,
    CITYSCAPES_NAMES,
    SUNRGBD_NAMES,
)


def test_the_tables_have_the_classes_of_their_data_sets():
    assert (len(CAMVID_NAMES), len(CITYSCAPES), len(SUNRGBD_NAMES)) == (11, 19, 37)
    assert tuple(CAMVID_LABEL_COLORS) == (*CAMVID_NAMES, 'Void')
    colors = [color for group in CAMVID_LABEL_COLORS.values() for color in group]
    assert len(set(colors)) == len(colors) == 32
    assert len({item.label_id for item in CITYSCAPES}) == 19
    assert CITYSCAPES_NAMES[:2] == ('road', 'sidewalk')


def test_twenty_classes_are_those_of_cityscapes_after_what_is_not_labeled():
    class_map = default_class_map(20)
    assert class_map.names[:2] == ('Unlabeled', 'Road')
    assert class_map.names[7:9] == ('TrafficLight', 'TrafficSign')
    assert class_map.colors[-1] == (119, 11, 32)
    assert class_map.drivable_names == ('Road',)


@pytest.mark.parametrize(('count', 'names'), [
    (11, CAMVID_NAMES), (12, (*CAMVID_NAMES, 'Unlabeled'))])
def test_eleven_or_twelve_classes_are_those_of_camvid(count, names):
    assert default_class_map(count).names == names
    assert default_class_map(count).drivable_names == ('Road',)


def test_another_number_of_classes_must_be_named():
    with pytest.raises(ClassMapError, match='it has 3 classes: say which with --classes'):
        default_class_map(3)


def test_a_list_says_names_colors_and_what_is_drivable(tmp_path):
    path = tmp_path / 'classes.json'
    path.write_text(json.dumps([{'name': 'path', 'color': [10, 20, 30], 'drivable': True},
                                {'name': 'grass'}]))
    for class_map in (read_class_list(path), read_class_file(path)):
        assert class_map.names == ('path', 'grass')
        assert class_map.colors[0] == (10, 20, 30)
        assert class_map.drivable_names == ('path',)


@pytest.mark.parametrize('suffix', ['yaml', 'yml', 'json'])
def test_a_list_is_known_by_its_suffix_in_capitals_too(tmp_path, suffix):
    for name in (f'c.{suffix}', f'C.{suffix.upper()}'):
        (tmp_path / name).write_text('[{"name": "Road", "drivable": true}, {"name": "Rest"}]')
        assert read_class_file(tmp_path / name).names == ('Road', 'Rest')


def test_a_list_that_is_written_is_read_back_whatever_names_have(tmp_path):
    class_map = ClassMap.from_names(['\U0001F333 tree', 'Straße "1"', 'a: {b} # \\c'],
                                    ['Straße "1"'])
    (tmp_path / 'c.yaml').write_text(class_list_text(class_map), encoding='utf-8')
    assert read_class_list(tmp_path / 'c.yaml') == class_map


def test_a_text_has_a_name_a_line_and_the_road_is_drivable(tmp_path):
    path = tmp_path / 'classes.txt'
    path.write_text('grass\n\n  road \n')
    assert read_class_file(path).names == ('grass', 'road')
    assert read_class_file(path).drivable_names == ('road',)


@pytest.mark.parametrize(('content', 'message'), [
    (b'one\none\n', "two classes are named 'one'"), (b'', 'has 0 classes'),
    (b'\x00\xff', 'no text'), (None, 'No such file'),
])
def test_a_text_that_is_no_class_map_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / 'c.txt'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ClassMapError, match=rf'c\.txt: .*{message}'):
        read_class_file(path)


@pytest.mark.parametrize(('text', 'message'), [
    ('{}', 'wanted a list'), ('[1]', 'entry 1'), ('[', 'cannot be parsed'),
    ('[{"name": "a", "color": 7}]', 'color'),
])
def test_a_list_that_is_malformed_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / 'c.json'
    path.write_text(text)
    with pytest.raises(ClassMapError, match=rf'c\.json: .*{message}'):
        read_class_file(path)


@pytest.mark.parametrize(('name', 'text'), [
    ('c.json', '[{"name": "a", "drivable": true, "drivable": false}]'),
    ('c.yaml', '- name: a\n  drivable: true\n  drivable: false\n')])
def test_a_key_that_is_there_twice_is_refused(tmp_path, name, text):
    """Parsers take the last one without a word, which would decide what is drivable."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ClassMapError, match="has the key 'drivable' again"):
        read_class_file(path)


def test_one_key_in_two_entries_is_not_there_twice(tmp_path):
    path = tmp_path / 'c.yaml'
    path.write_text('- {name: a, drivable: true}\n- {name: b, drivable: false}\n')
    assert read_class_file(path).names == ('a', 'b')
