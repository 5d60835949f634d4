"""No camera info does more than be believed or refused in one sentence."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip('rclpy', reason='rclpy is not installed')

from sensor_msgs.msg import CameraInfo  # noqa: E402
from support.ground import calibration  # noqa: E402

from enet_ros.perception.camera_info import judge  # noqa: E402
from enet_ros.ros.messages import scaled_camera_info  # noqa: E402

pytestmark = pytest.mark.ros
numbers = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e-300, 1e300, 5e-324, -0.0]),
    st.floats(-10, 10), st.floats(-5000, 5000), st.floats())
sizes = st.one_of(st.integers(0, 3), st.integers(100, 2000), st.sampled_from([2**31, 2**32 - 1]))
names = st.one_of(
    st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant', 'fisheye', '', 'none']),
    st.text(max_size=8))


@st.composite
def damaged_infos(draw):
    """Return a camera info of the street with some fields replaced by anything."""
    info = calibration()
    for name, count in (('k', 9), ('p', 12), ('r', 9)):
        for index in draw(st.lists(st.integers(0, count - 1), max_size=3)):
            getattr(info, name)[index] = draw(numbers)
    if draw(st.booleans()):
        info.d = draw(st.lists(numbers, max_size=16))
    info.distortion_model = draw(names)
    for name in draw(st.lists(st.sampled_from(['width', 'height', 'binning_x', 'binning_y']),
                              max_size=2)):
        setattr(info, name, draw(sizes))
    for name in draw(st.lists(st.sampled_from(['x_offset', 'y_offset', 'width', 'height']),
                              max_size=2)):
        setattr(info.roi, name, draw(sizes))
    return info


frame_sizes = st.sampled_from([(320, 192), (640, 384), (320, 240), (1, 1), (8000, 8000)])


def check(info, size, *, rectified):
    """Check that a camera info is believed or refused in one line, and that rays are rays."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        judgement = judge(info, size, rectified=rectified)
        text = str(judgement)
        assert text and text.isprintable() and len(text) < 600, text
        assert (judgement.camera is None) == bool(judgement.problem)
        if judgement.is_publishable:
            assert isinstance(scaled_camera_info(judgement.info, (160, 96)), CameraInfo)
        if judgement.camera is not None:
            rays = judgement.camera.rays(np.array([[0., 0.], [80., 48.], [159., 95.]]), (160, 96))
            lengths = np.linalg.norm(rays, axis=1)
            assert np.all(np.isnan(lengths) | (np.abs(lengths - 1) < 0.02))


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged_infos(), frame_sizes, st.booleans())
def test_a_damaged_camera_info_is_judged_in_one_sentence(info, size, rectified):
    check(info, size, rectified=rectified)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(names, st.lists(numbers, max_size=16), st.lists(
    st.sampled_from([-1e300, -1e30, -1e6, -30., -1., -.3, 0., 1e-9, .3, 5., 1e4, 1e30, 1e300]),
    min_size=4, max_size=14))
def test_any_coefficients_are_judged_in_one_sentence(name, anything, extreme):
    for d in (anything, extreme):
        info = calibration()
        info.distortion_model, info.d = name, d
        check(info, (320, 192), rectified=False)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(1e-3, 1e5), min_size=4, max_size=4), st.integers(1, 2000),
       st.integers(1, 2000), st.integers(0, 4), st.integers(0, 4))
def test_any_matrix_is_judged_in_one_sentence(numbers, width, height, binning_x, binning_y):
    info = calibration()
    fx, cx, fy, cy = numbers
    info.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    info.width, info.height, info.binning_x, info.binning_y = width, height, binning_x, binning_y
    check(info, (width, height), rectified=False)
