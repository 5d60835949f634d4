"""Class maps: lookup tables, overrides, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enet_ros.network.class_map import (
    UNKNOWN,
    ClassMap,
    ClassMapError,
    distinct_colors,
)
from enet_ros.network.class_names import parameter_name
from enet_ros.network.classes import CAMVID_NAMES


def camvid():
    return ClassMap.from_names(CAMVID_NAMES)


def test_camvid_has_road_alone_drivable():
    assert camvid().drivable_names == ('Road',)
    lut = camvid().drivable_lut()
    assert np.flatnonzero(lut).tolist() == [3]
    assert lut[3] == 255


@pytest.mark.parametrize(('names', 'wanted', 'drivable'), [
    (('Road', 'road'), 'Road', ('Road',)),
    (('Path', 'path'), 'path', ('path',)),
    (('Sky', 'ROAD'), 'Road', ('ROAD',)),
])
def test_a_drivable_name_in_other_capitals_adds_no_class_to_one_that_has_it(names, wanted,
                                                                            drivable):
    assert ClassMap.from_names(names, [wanted]).drivable_names == drivable


def test_a_drivable_name_that_can_mean_two_classes_is_refused():
    with pytest.raises(ClassMapError, match="'Road' can mean road or ROAD; wanted one of these"):
        ClassMap.from_names(['road', 'ROAD', 'Sky'])


def test_unknown_is_never_drivable_and_black():
    everything = ClassMap.from_names(CAMVID_NAMES, CAMVID_NAMES)
    assert everything.drivable_lut()[UNKNOWN] == 0
    assert everything.color_lut()[UNKNOWN].tolist() == [0, 0, 0]


def test_an_unlabeled_class_is_no_drivable_one():
    alone = ClassMap.from_names(('Unlabeled', 'Car'), ('Unlabeled',))
    assert alone.drivable_names == ()
    with pytest.raises(ClassMapError, match='no class is drivable: .* at least one of Car$'):
        alone.override({})
    both = ClassMap.from_names(('Unlabeled', 'Road'), ('Unlabeled', 'Road'))
    assert both.override({'Unlabeled': {'drivable': True}}).drivable_names == ('Road',)
    plain = ClassMap.from_names(('void', 'Road'))
    with pytest.raises(ClassMapError, match='class_map.void.drivable is true, wanted false'):
        plain.override({'void': {'drivable': True}})


@pytest.mark.parametrize('name', ['Unlabeled', 'void', 'UNKNOWN'])
def test_a_class_that_means_unlabeled_maps_to_255_and_is_never_drivable(name):
    class_map = ClassMap.from_names([name, 'Road'], [name, 'Road'])
    assert class_map.label_lut()[:2].tolist() == [UNKNOWN, 1]
    assert class_map.drivable_lut()[:2].tolist() == [0, 255]
    assert camvid().label_lut() is None


@given(st.lists(st.text('abcxyz', min_size=1, max_size=4), min_size=1, max_size=255, unique=True))
def test_any_names_get_distinct_colors(names):
    class_map = ClassMap.from_names(names, names)
    assert len(set(class_map.colors)) == len(names)
    assert np.array_equal(class_map.color_lut()[:len(names)], class_map.colors)


def test_distinct_colors_avoid_those_taken():
    first = distinct_colors(3)
    assert not set(distinct_colors(20, first)) & set(first)
    assert (0, 0, 0) not in first  # the color of unknown


def test_override_is_sparse():
    changed = camvid().override({'Pavement': {'drivable': True}, 'Road': {'color': [1, 2, 3]}})
    assert changed.drivable_names == ('Road', 'Pavement')
    assert changed.colors[3] == (1, 2, 3)
    assert changed.colors[4:] == camvid().colors[4:]


def test_names_with_spaces_are_written_with_underscores():
    class_map = ClassMap.from_names(['Traffic light', 'Road'])
    assert parameter_name('Traffic light') == 'Traffic_light'
    assert class_map.override({'Traffic_light': {'drivable': True}}).drivable == (True, True)


@pytest.mark.parametrize(('changes', 'message'), [
    ({'Raod': {'drivable': True}}, "unknown class 'Raod'"),
    ({'Road': {'drivable': False}}, 'no class is drivable'),
    ({'Road': {'color': [128, 128, 128]}}, "'Sky' and 'Road' have one color"),
    ({'Road': {'color': [1, 2]}}, "color of 'Road' is \\[1, 2\\]"),
    ({'Road': {'color': [1, 2, 256]}}, 'wanted three integers'),
    ({'Road': {'color': 'red'}}, 'wanted three integers'),
    ({'Road': {'color': [1.5, 2, 3]}}, 'wanted three integers'),
    ({'Road': {'color': [True, 2, 3]}}, 'wanted three integers'),
    ({'Road': {'colour': [1, 2, 3]}}, "unknown property 'colour'"),
])
def test_override_refuses(changes, message):
    with pytest.raises(ClassMapError, match=message):
        camvid().override(changes)


@pytest.mark.parametrize('names', [[str(i) for i in range(255)], ['a' * 100]],
                         ids=['255 classes', '100 characters'])
def test_as_many_names_and_characters_as_there_may_be(names):
    assert ClassMap.from_names(names).names == tuple(names)


@pytest.mark.parametrize(('names', 'message'), [
    ([], 'has 0 classes'),
    ([str(i) for i in range(256)], 'has 256 classes'),
    (['a b', 'a_b'], "two classes are named 'a_b'"),
    (['a', ' '], 'a class name is'),
    (['a\nb'], 'wanted one line of printable text'),
    (['a' * 101], 'of at most 100 characters'),
])
def test_names_that_are_refused(names, message):
    with pytest.raises(ClassMapError, match=message):
        ClassMap.from_names(names)
