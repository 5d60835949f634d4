"""Masks and outlines from label maps."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from enet_ros.class_map import CAMVID_NAMES, UNKNOWN, ClassMap
from enet_ros.drivable import (
    drivable_confidence,
    drivable_fraction,
    drivable_mask,
    drivable_outlines,
)

LUT = ClassMap.from_names(CAMVID_NAMES).drivable_lut()
label_maps = arrays(np.uint8, (6, 8), elements=st.sampled_from([0, 3, 4, UNKNOWN]))


@given(label_maps, arrays(np.float32, (6, 8), elements=st.floats(0, 1, width=32)),
       st.floats(0, 1))
def test_mask_is_road_above_the_floor_and_never_unknown(labels, confidence, floor):
    mask = drivable_mask(labels, LUT, confidence, floor)
    sure = confidence >= floor if floor > 0 else True
    assert np.array_equal(mask == 255, (labels == 3) & sure)
    assert set(np.unique(mask)) <= {0, 255}


def test_confidence_that_is_no_number_is_not_drivable():
    labels = np.full((1, 2), 3, np.uint8)
    assert drivable_mask(labels, LUT, np.array([[np.nan, 1]], np.float32), 0.1).tolist() \
        == [[0, 255]]


def test_fraction_and_mean_confidence():
    mask = np.array([[255, 0], [255, 0]], np.uint8)
    assert drivable_fraction(mask) == 0.5
    assert drivable_confidence(mask, np.array([[.25, 1], [.75, 1]], np.float32)) == 0.5
    assert math.isnan(drivable_confidence(np.zeros((2, 2), np.uint8), np.ones((2, 2), np.float32)))


def test_outlines_are_in_pixels_of_the_picture_largest_first():
    mask = np.zeros((90, 160), np.uint8)
    mask[60:, 20:140] = 255
    mask[5:9, 5:9] = 255
    outlines = drivable_outlines(mask, (320, 180))
    assert len(outlines) == 2
    # The centre of pixel 20 of 160 is at 40.5 of 320: (20 + 0.5) * 2 - 0.5.
    assert outlines[0].min(0).tolist() == [40.5, 120.5]
    assert outlines[0].max(0).tolist() == [278.5, 178.5]
    filled = cv2.fillPoly(np.zeros((180, 320), np.uint8), [outlines[0].round().astype(int)], 1)
    assert filled.sum() == pytest.approx(240 * 60, rel=0.03)


def test_no_outlines_without_anything_drivable():
    assert drivable_outlines(np.zeros((8, 8), np.uint8), (8, 8)) == []
