"""Class maps and class files: what is never drivable, and what is refused by name."""

import json

import numpy as np
import pytest

from enet_ros.network.class_files import read_class_list, read_class_sets
from enet_ros.network.class_map import UNKNOWN, ClassMap, ClassMapError
from enet_ros.network.class_names import parameter_name
from enet_ros.network.resolution import check_resolution


@pytest.mark.parametrize('name', ['unlabeled', 'Unlabelled', 'VOID', 'unknown', 'Ignore'])
def test_each_name_of_what_is_not_labeled_is_published_as_unknown(name):
    class_map = ClassMap.from_names([name, 'Road'], [name, 'Road'])
    assert class_map.label_lut()[:2].tolist() == [UNKNOWN, 1]
    assert np.flatnonzero(class_map.drivable_lut()).tolist() == [1]


def test_a_class_is_a_parameter_without_spaces_and_dots():
    assert parameter_name(' traffic light v1.2 ') == 'traffic_light_v1_2'


def test_names_that_are_one_parameter_are_refused():
    with pytest.raises(ClassMapError, match="two classes are named 'a_b'"):
        ClassMap.from_names(['a b', 'a.b'])


@pytest.mark.parametrize('color', [(-1, 0, 0), (0, 0, 256), (0, True, 0), (0, 0), 'red'])
def test_a_color_that_is_none_is_refused(color):
    with pytest.raises(ClassMapError, match="the color of 'Sky' is .*, wanted three integers"):
        ClassMap.from_names(['Road', 'Sky']).override({'Sky': {'color': color}})


@pytest.mark.parametrize('entry', [
    {'name': 'a', 'drivable': 'no'}, {'name': 'a', 'drivable': 1}, {'name': 'a', 'drivabel': True},
    {'name': 'a', 'color': ['x', 0, 0]}, {'name': 'a', 'color': [0.5, 0, 0]},
    {'name': 'a', 'one_of': ['b'], 'drivable': True}, {'name': 'a', 'one_of': [1]}], ids=str)
def test_an_entry_that_would_be_taken_otherwise_is_refused(tmp_path, entry):
    """A text is true in Python, so "no" would make a class drivable."""
    path = tmp_path / 'c.json'
    path.write_text(json.dumps([{'name': 'Road', 'drivable': True}, entry]))
    with pytest.raises(ClassMapError, match=r'c\.json: entry .*, wanted name'):
        read_class_list(path)


@pytest.mark.parametrize(('entries', 'message'), [
    ([{'name': 'a'}, {'name': 's', 'one_of': ['a']}, {'name': 's', 'one_of': ['a']}],
     "two sets are named 's'"),
    ([{'name': 'a'}, {'name': 's', 'one_of': ['a']}, {'name': 'b'}],
     "the class 'b' follows a set"),
    ([{'name': 's', 'one_of': ['a']}], 'has sets and no classes')])
def test_sets_that_shift_the_values_of_labels_are_refused(tmp_path, entries, message):
    path = tmp_path / 'c.json'
    path.write_text(json.dumps(entries))
    with pytest.raises(ClassMapError, match=message):
        read_class_sets(path)


def test_colors_that_are_not_given_differ_from_those_that_are(tmp_path):
    """The first spare colors are given here, so that a class without one would get them again."""
    from enet_ros.network.class_map import distinct_colors
    path = tmp_path / 'c.json'
    path.write_text(json.dumps([{'name': 'a'}, *(
        {'name': f'b{i}', 'color': list(color)} for i, color in enumerate(distinct_colors(3)))]))
    assert len(set(read_class_list(path).colors)) == 4


def test_json_without_end_is_refused_by_its_name(tmp_path):
    path = tmp_path / 'c.json'
    path.write_text('[' * 200_000)
    with pytest.raises(ClassMapError, match=r'c\.json: cannot be parsed'):
        read_class_list(path)


@pytest.mark.parametrize('resolution', [(0, 8), (-8, 8), (8, 0), (4, 8), (80_000, 80_000),
                                        (8_000_000, 16), (8, 8, 8)])
def test_a_resolution_that_is_none_or_too_large_is_refused(resolution):
    with pytest.raises(ValueError, match='resolution is'):
        check_resolution(resolution)


def test_two_classes_of_one_color_are_refused_and_sets_are_no_classes(tmp_path):
    path = tmp_path / 'c.json'
    path.write_text(json.dumps([{'name': name, 'color': [1, 2, 3]} for name in 'ab']))
    with pytest.raises(ClassMapError, match=r"c\.json: 'a' and 'b' have one color"):
        read_class_list(path)
    path.write_text(json.dumps([{'name': 'a'}, {'name': 's', 'one_of': ['a']}]))
    assert read_class_list(path).names == ('a',)


@pytest.mark.parametrize(('name', 'text'), [
    ('c.txt', 'grass\nroad\n'), ('c.json', '[{"name": "grass"}, {"name": "road"}]'),
    ('c.yaml', '- name: grass\n- name: road\n')])
def test_a_class_file_of_a_windows_editor_is_read(tmp_path, name, text):
    from enet_ros.network.class_files import read_class_file
    (tmp_path / name).write_bytes(b'\xef\xbb\xbf' + text.replace('\n', '\r\n').encode())
    assert read_class_file(tmp_path / name).names == ('grass', 'road')
