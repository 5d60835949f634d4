"""The camera matrix of a picture of another size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enet_ros.ground import scale_camera_matrix

K = np.array([[500.0, 0, 319.5], [0, 510.0, 239.5], [0, 0, 1]])


def project(matrix, point):
    u, v, w = matrix[:, :3] @ point
    return np.array([u / w, v / w])


@given(st.integers(1, 1000), st.integers(1, 1000), st.floats(-2, 2), st.floats(-1, 1))
def test_a_point_keeps_its_place_in_the_picture(width, height, x, y):
    """Its distance from the picture's border, in widths and heights, does not change."""
    scaled = scale_camera_matrix(K, (640, 480), (width, height))
    before, after = project(K, (x, y, 3.0)), project(scaled, (x, y, 3.0))
    assert (after + 0.5) / (width, height) == pytest.approx((before + 0.5) / (640, 480), abs=1e-9)


def test_the_principal_point_of_a_centred_camera_stays_in_the_centre():
    scaled = scale_camera_matrix(K, (640, 480), (320, 240))
    assert (scaled[0, 2], scaled[1, 2]) == (159.5, 119.5)  # a half-pixel mistake gives 159.75


def test_region_of_interest_and_binning_are_honoured():
    """Sensor pixel 101 is the second of a crop that starts at 100, the first half of bin 0."""
    scaled = scale_camera_matrix(K, (200, 100), (100, 50), offset=(100, 60), binning=(2, 2))
    assert scaled[0, 0] == 250.0
    assert scaled[0, 2] == pytest.approx((319.5 - 100 + 0.5) / 2 - 0.5)
    assert scaled[1, 2] == pytest.approx((239.5 - 60 + 0.5) / 2 - 0.5)


def test_a_crop_that_binning_does_not_divide_loses_its_last_pixel():
    scaled = scale_camera_matrix(K, (201, 101), (100, 50), binning=(2, 2))
    assert (scaled[0, 0], scaled[1, 1]) == (250.0, 255.0)


def test_the_baseline_column_scales_as_the_focal_length():
    p = np.hstack((K, [[-50.0], [0], [0]]))
    scaled = scale_camera_matrix(p, (640, 480), (320, 240))
    assert scaled[0, 3] / scaled[0, 0] == pytest.approx(p[0, 3] / p[0, 0])
    assert p[0, 3] == -50.0  # the argument is left alone
