"""Masks and contours from label maps."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.perception.drivable import (
    DrivableFilter,
    TemporalMajority,
    close_holes,
    drivable_confidence,
    drivable_contours,
    drivable_fraction,
    drivable_mask,
    labels_above_floor,
    large_regions,
    seed_region,
)
from enet_ros.perception.parameters.settings import DrivableSettings

LUT = ClassMap.from_names(CAMVID_NAMES).drivable_lut()
label_maps = arrays(np.uint8, (6, 8), elements=st.sampled_from([0, 3, 4, UNKNOWN]))


@given(label_maps, arrays(np.float32, (6, 8), elements=st.floats(0, 1, width=32)),
       st.floats(0, 1))
def test_mask_is_road_above_the_floor_and_never_unknown(labels, confidence, floor):
    mask = drivable_mask(labels_above_floor(labels, confidence, floor), LUT)
    sure = confidence >= floor if floor > 0 else True
    assert np.array_equal(mask == 255, (labels == 3) & sure)
    assert set(np.unique(mask)) <= {0, 255}


def test_confidence_that_is_no_number_is_not_drivable():
    labels = np.full((1, 2), 3, np.uint8)
    assert drivable_mask(
        labels_above_floor(labels, np.array([[np.nan, 1]], np.float32), 0.1), LUT).tolist() \
        == [[0, 255]]


@pytest.mark.parametrize('settings', [{'max_hole': 0.5}, {'majority': 3}])
def test_neither_votes_nor_closed_holes_make_a_pixel_below_the_floor_drivable(settings):
    asked, road = DrivableFilter(DrivableSettings(**settings)), np.full((6, 8), 3, np.uint8)
    for i in range(2):
        assert asked.update(drivable_mask(road, LUT), road, i * .1).all()
    confidence = np.ones((6, 8), np.float32)
    confidence[2:4, 3:5] = 0.1
    labels = labels_above_floor(road, confidence, 0.5)
    mask = asked.update(drivable_mask(labels, LUT), labels, .2)
    assert np.array_equal(mask == 255, confidence == 1)


def test_fraction_and_mean_confidence():
    mask = np.array([[255, 0], [255, 0]], np.uint8)
    assert drivable_fraction(mask) == 0.5
    assert drivable_confidence(mask, np.array([[.25, 1], [.75, 1]], np.float32)) == 0.5
    assert math.isnan(drivable_confidence(np.zeros((2, 2), np.uint8), np.ones((2, 2), np.float32)))


def test_contours_are_in_pixels_of_the_picture_largest_first():
    mask = np.zeros((90, 160), np.uint8)
    mask[60:, 20:140] = 255
    mask[5:9, 5:9] = 255
    contours = drivable_contours(mask, (320, 180))
    assert len(contours) == 2
    # The center of pixel 20 of 160 is at 40.5 of 320: (20 + 0.5) * 2 - 0.5.
    assert contours[0].min(0).tolist() == [40.5, 120.5]
    assert contours[0].max(0).tolist() == [278.5, 178.5]
    filled = cv2.fillPoly(np.zeros((180, 320), np.uint8), [contours[0].round().astype(int)], 1)
    assert filled.sum() == pytest.approx(240 * 60, rel=0.03)


def test_a_triangle_has_a_contour_and_a_line_has_none():
    triangle = np.tril(np.full((20, 20), 255, np.uint8))
    contour, = drivable_contours(triangle, (20, 20))
    assert contour.shape == (3, 2)
    assert drivable_contours(np.diag(np.full(20, 255, np.uint8)), (20, 20)) == []


def test_no_contours_without_anything_drivable():
    assert drivable_contours(np.zeros((8, 8), np.uint8), (8, 8)) == []


def picture(*rows):
    """A map of labels: '#' road, '.' pavement, '?' unknown."""
    return np.array([[{'#': 3, '.': 4, '?': UNKNOWN}[pixel] for pixel in row] for row in rows],
                    np.uint8)


def filtered(labels, **settings):
    drivable_filter = DrivableFilter(DrivableSettings(**settings))
    return drivable_filter.update(drivable_mask(labels, LUT), labels, 0.)


@given(label_maps)
def test_the_default_policy_changes_nothing(labels):
    mask = drivable_mask(labels, LUT)
    assert DrivableFilter().update(mask, labels, 0.) is mask


@given(st.lists(label_maps, min_size=1, max_size=5), st.booleans(), st.floats(0, 1),
       st.floats(0, 1), st.integers(1, 4))
def test_unknown_is_never_drivable_whatever_the_policy(frames, connected, area, hole, majority):
    asked = DrivableFilter(DrivableSettings(
        connected=connected, min_area=area, max_hole=hole, majority=majority))
    for i, labels in enumerate(frames):
        mask = asked.update(drivable_mask(labels, LUT), labels, i * .1)
        assert mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 255}
        assert not mask[labels == UNKNOWN].any()


def test_only_the_region_of_the_seed_counts():
    labels = picture('###.##', '......', '###.##')
    mask = filtered(labels, connected=True, seed=(0., 1.))
    assert np.argwhere(mask).tolist() == [[2, 0], [2, 1], [2, 2]]


def test_regions_that_touch_at_a_corner_are_two():
    mask = drivable_mask(picture('..##', '##..'), LUT)
    assert seed_region(mask, (0., 1.)).tolist() == [[0, 0, 0, 0], [255, 255, 0, 0]]
    assert not large_regions(mask, 3 / 8).any()


@pytest.mark.parametrize(('rows_missing', 'found'), [(5, True), (6, False)])
def test_a_seed_off_the_road_takes_the_nearest_region_within_reach(rows_missing, found):
    mask = np.zeros((100, 100), np.uint8)
    mask[:100 - rows_missing, 30:70] = 255   # SEED_REACH is 5 of 100 rows
    mask[:100 - rows_missing, 72:] = 255
    kept = seed_region(mask, (.5, 1.))
    assert kept[:, 30:70].any() == found and not kept[:, 72:].any()


def test_small_regions_do_not_count():
    labels = picture('#.####', '......', '#....#')
    mask = filtered(labels, min_area=4 / 18)
    assert np.argwhere(mask).tolist() == [[0, 2], [0, 3], [0, 4], [0, 5]]
    assert not filtered(labels, min_area=2 / 18, connected=True, seed=(1., 1.)).any()


@pytest.mark.parametrize(('rows', 'size', 'closes'), [
    (('#####', '#..##', '#####'), 2, True),
    (('#####', '#..##', '#####'), 1, False),
    (('#####', '#.?##', '#####'), 9, False),   # what is unknown may be anything
    (('###?#', '#..##', '#####'), 9, False),   # through the corner, too
    (('#.###', '#..##', '#####'), 9, False),   # its size beyond the picture is not known
    (('#####', '#..##', '###.#'), 9, False),   # through a corner it reaches the border
])
def test_holes_are_closed_up_to_a_size_and_never_over_what_is_unknown(rows, size, closes):
    labels = picture(*rows)
    mask = drivable_mask(labels, LUT)
    closed = close_holes(mask, labels, size / 15)
    assert np.array_equal(closed, np.full((3, 5), 255) if closes else mask)


def test_each_hole_is_judged_by_its_own_size():
    labels = picture('########', '#.#..#?#', '########')
    closed = close_holes(drivable_mask(labels, LUT), labels, 1 / 24)
    assert np.argwhere(closed == 0).tolist() == [[1, 3], [1, 4], [1, 6]]


def vote(frames, count=3, step=.1, start=10.):
    """Feed one-pixel frames; return the last answer, 0 or 255."""
    majority = TemporalMajority(count)
    for i, frame in enumerate(frames):
        labels = picture(frame)
        last = majority.update(drivable_mask(labels, LUT), start + i * step)
    return int(last[0, 0])


@given(st.lists(label_maps, min_size=1, max_size=6), st.integers(1, 5))
def test_votes_only_take_away(frames, count):
    """A post that moves across the image is 0 in each frame that shows it."""
    majority, masks = TemporalMajority(count), []
    for i, labels in enumerate(frames):
        masks.append(drivable_mask(labels, LUT) == 255)
        most = np.mean(masks[-count:], axis=0) > .5
        voted = majority.update(drivable_mask(labels, LUT), i * .1)
        assert np.array_equal(voted, np.where(masks[-1] & most, 255, 0))


@pytest.mark.parametrize(('frames', 'drivable'), [
    ('#', True), ('.', False), ('.#', False), ('##.', False), ('#.#', True), ('#..', False),
    ('##?', False), ('##?#', True), ('#?#.', False), ('...##', True), ('...#', False),
])
def test_most_of_the_last_frames_and_the_newest_must_be_drivable(frames, drivable):
    assert vote(frames) == 255 * drivable


def test_most_of_an_even_number_is_more_than_half():
    assert vote('##..', count=4) == 0
    assert vote('##.#', count=4) == 255


@pytest.mark.parametrize('order_sec', [9.9, 0., 11.2, float('nan')])
def test_a_jump_of_time_forgets_the_frames_before(order_sec):
    majority = TemporalMajority(3)
    for stamp, row in ((10., '.'), (10.1, '.'), (order_sec, '#'), (50., '.'), (90., '#')):
        last = majority.update(drivable_mask(picture(row), LUT), stamp)
        assert last[0, 0] == 255 * (row == '#')


def test_a_frame_that_comes_twice_votes_once():
    majority = TemporalMajority(3)
    for stamp, row in ((10., '.'), (10.1, '#'), (10.1, '#')):
        last = majority.update(drivable_mask(picture(row), LUT), stamp)
    assert last[0, 0] == 0


def test_a_mask_of_another_size_forgets_the_frames_before():
    majority = TemporalMajority(3)
    for i, row in enumerate(('.', '.', '.#')):
        last = majority.update(drivable_mask(picture(row), LUT), i * .1)
    assert last.tolist() == [[0, 255]]


def test_masks_that_were_given_stay_as_they_were():
    labels = picture('####', '#..#', '####')
    mask = drivable_mask(labels, LUT)
    before = mask.copy()
    settings = DrivableSettings(connected=True, min_area=.1, max_hole=.5, majority=3)
    DrivableFilter(settings).update(mask, labels, 0.)
    assert np.array_equal(mask, before)


def test_a_new_policy_keeps_the_frames_where_as_many_vote():
    asked = DrivableFilter(DrivableSettings(majority=3))
    for i in range(2):
        asked.update(np.zeros((1, 1), np.uint8), picture('.'), i * .1)
    asked.settings = DrivableSettings(majority=3, max_hole=.1)
    assert asked.update(np.full((1, 1), 255, np.uint8), picture('#'), .2)[0, 0] == 0
    asked.settings = DrivableSettings(majority=5)
    assert asked.update(np.full((1, 1), 255, np.uint8), picture('#'), .3)[0, 0] == 255


@pytest.mark.parametrize(('field', 'value', 'wanted'), [
    ('connected', 2, 'true or false'), ('seed', (0.5,), 'x and y from 0 to 1'),
    ('seed', (0.5, 1.1), 'x and y from 0 to 1'), ('min_area', -.1, '0.0 to 1.0'),
    ('max_hole', math.nan, '0.0 to 1.0'), ('majority', 0, '1 to 255'),
    ('majority', 2.5, '1 to 255'), ('majority', 256, '1 to 255'),
])
def test_a_bad_policy_names_field_value_and_what_is_wanted(field, value, wanted):
    with pytest.raises(ValueError, match=f'{field} is .*wanted.*{wanted}'):
        DrivableSettings(**{field: value})
