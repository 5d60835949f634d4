"""Other members of the kinds of calibrations that drivers send: what is believed, what is not."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enet_ros.perception.geometry.calibration_check import calibration_problem
from enet_ros.perception.geometry.camera_info import (
    CalibrationChecker,
    check_calibration,
    scaled_matrices,
)
from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.distortion import read_distortion

SIZE = (640, 480)
IDENTITY = (1., 0., 0., 0., 1., 0., 0., 0., 1.)
P_IDENTITY = (1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1., 0.)
K = (525., 0., 319.5, 0., 525., 239.5, 0., 0., 1.)


def matrix_p(focal, cx=319.5, cy=239.5, tx=0.):
    return (focal, 0., cx, tx, 0., focal, cy, 0., 0., 0., 1., 0.)


def problem(k=K, **fields):
    return calibration_problem(CameraModel(*SIZE, k, **fields), SIZE)


@st.composite
def spellings(draw):
    """Return a name of a model in other letters and separators, and the model."""
    name = draw(st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant']))
    words = [draw(st.sampled_from([word, word.upper(), word.title()])) for word in name.split('_')]
    blanks = st.sampled_from(['', ' ', '\t', '\n', '\0'])
    return (draw(blanks) + draw(st.sampled_from(['', '_', '-', ' ', '__', '::'])).join(words)
            + draw(blanks), name)


@given(spellings())
def test_letters_and_separators_of_a_name_do_not_matter(spelling):
    name, model = spelling
    count = {'plumb_bob': 5, 'rational_polynomial': 8, 'equidistant': 4}[model]
    assert read_distortion(name, (.01,) * count).model == model


@pytest.mark.parametrize(('name', 'count', 'model'), [
    ('KannalaBrandt', 4, 'equidistant'), ('kannala_brandt8', 4, 'equidistant'),
    ('equi', 4, 'equidistant'), ('pinhole-equi', 4, 'equidistant'), ('KB4', 4, 'equidistant'),
    ('opencv_fisheye', 4, 'equidistant'), ('radtan8', 8, 'rational_polynomial'),
    ('radial-tangential8', 8, 'rational_polynomial'), ('radialtangential', 4, 'plumb_bob'),
    ('pinhole-radtan', 4, 'plumb_bob'), ('Brown Conrady', 5, 'plumb_bob')])
def test_names_of_other_libraries_are_known(name, count, model):
    assert read_distortion(name, (.01,) * count).model == model


def test_the_modified_model_is_plumb_bob_only_without_tangential_distortion():
    assert read_distortion('Modified Brown Conrady', (.1, .1, 0., 0., .1)).model == 'plumb_bob'
    with pytest.raises(ValueError, match='modified_brown_conrady.*tangential'):
        read_distortion('modified_brown_conrady', (.1,) * 5)


def test_the_inverse_model_says_why_it_is_another_one():
    with pytest.raises(ValueError, match='inverse_brown_conrady.*from distorted to undistorted'):
        read_distortion('inverse_brown_conrady', (.1,) * 5)


@pytest.mark.parametrize('count', [1, 2, 3, 6, 7])
def test_a_count_that_no_order_of_coefficients_has_is_refused(count):
    with pytest.raises(ValueError, match=f'd has {count} values'):
        read_distortion('rational_polynomial', (.1,) * count)


def test_zeros_fill_up_a_count_that_no_order_has():
    assert read_distortion('rational_polynomial', (.1,) * 5 + (0.,) * 2).coefficients[:5] \
        == (.1,) * 5


@pytest.mark.parametrize('fields', [
    {'k': IDENTITY, 'p': matrix_p(500.), 'rectified': True},   # what the advice asks for
    {'k': (524., *K[1:]), 'p': P_IDENTITY},                    # P that was never filled in
    {'p': (0.,) * 12}, {'p': matrix_p(1.)},
    {'p': matrix_p(300.)}, {'p': matrix_p(800.)},
    {'k': (*K[:8], 0.9999999)}, {'k': (*K[:6], 1e-9, -1e-9, 1.0000002)},  # as programs compute it
    {'p': (math.nan,) * 12},                                   # that of a raw camera is not used
    {'p': matrix_p(500.), 'rectified': True, 'd': (math.nan,) * 5, 'r': (math.nan,) * 9}])
def test_the_matrix_that_is_not_used_does_not_take_the_meters_away(fields):
    assert problem(**fields) == ''


@pytest.mark.parametrize(('fields', 'parts'), [
    ({'p': matrix_p(5200.)}, ['K has a focal length of 525', 'P one of 5200', 'one is wrong']),
    ({'k': (525., 0, 0, 0, 525, 0, 319.5, 239.5, 1)}, ['K ends with', '319.5', 'row by row']),
    ({'k': (*K[:8], 0.)}, ['K ends with', 'wanted 0 0 1']),
    ({'k': (525., 200., *K[2:])}, ['K has a skew of 200', 'wanted 0']),
    ({'p': (*matrix_p(500.)[:10], 0., 0.), 'rectified': True}, ['P ends with']),
    ({'r': (0., 0, 1, 0, 1, 0, -1, 0, 0)}, ['R rotates the camera by 90 degrees', 'rectif'])])
def test_what_cannot_be_true_is_named(fields, parts):
    text = problem(**fields)
    assert all(part in text for part in parts), text


def test_an_upside_down_stereo_pair_is_believed():
    assert problem(r=(-1., 0, 0, 0, -1, 0, 0, 0, 1)) == ''


def test_a_small_skew_of_a_calibration_program_is_believed():
    assert problem(k=(525., .8, *K[2:])) == ''


def camera_info(k=K, p=(0.,) * 12, *, binning=0, roi=(0, 0, 0, 0)):
    x_offset, y_offset, width, height = roi
    return SimpleNamespace(
        width=640, height=480, k=np.array(k), d=(), r=np.array(IDENTITY), p=np.array(p),
        distortion_model='plumb_bob', binning_x=binning, binning_y=binning,
        roi=SimpleNamespace(x_offset=x_offset, y_offset=y_offset, width=width, height=height))


@pytest.mark.parametrize('binning', [0, 2])
def test_frames_of_the_whole_sensor_contradict_a_region_of_interest(binning):
    """Nobody can tell whether the driver cuts the region out or only names it."""
    info = camera_info(binning=binning, roi=(160, 120, 320, 240))
    merged = max(1, binning)
    whole, region = (640 // merged, 480 // merged), (320 // merged, 240 // merged)
    calibration = check_calibration(info, whole, rectified=False)
    assert calibration.camera is None and not calibration.is_publishable
    assert 'roi is 320x240 at 160, 120, and frames are {}x{}'.format(*whole) in calibration.problem
    assert check_calibration(info, region, rectified=False).problem == ''


@pytest.mark.parametrize(('fields', 'rectified', 'missing'), [
    ({'k': K}, False, 1), ({'k': (0.,) * 9, 'p': matrix_p(500.)}, True, 0)])
def test_the_matrix_that_is_not_used_may_be_empty_and_stays_so(fields, rectified, missing):
    info = camera_info(**fields)
    calibration = check_calibration(info, SIZE, rectified=rectified)
    assert calibration.problem == '' and calibration.camera is not None
    matrices = scaled_matrices(info, (320, 240))
    assert not matrices[missing].any()
    assert matrices[1 - missing][0] == (info.k, info.p)[1 - missing][0] / 2
    assert 'all zero' in check_calibration(info, SIZE, rectified=not rectified).problem
    wrong = check_calibration(info, (640, 300), rectified=rectified)
    assert 'the camera info is for 640x480' in wrong.problem


def test_a_matrix_that_is_no_number_is_scaled_to_zeros():
    k, p = scaled_matrices(camera_info(p=(math.nan,) * 12), (320, 240))
    assert k[0] == K[0] / 2 and not p.any()


@pytest.mark.parametrize(('matrices', 'rectified'), [
    ({'k': K}, True),
    ({'k': (0.,) * 9, 'p': (500., 0, 320, 0, 0, 500, 240, 0, 0, 0, 1, 0)}, False),
])
def test_what_lacks_a_matrix_is_published_only_for_frames_of_its_size(matrices, rectified):
    """Else the other matrix would be scaled unevenly."""
    info = camera_info(**matrices)
    assert check_calibration(info, (320, 240), rectified=rectified).is_publishable
    other = check_calibration(info, (1280, 720), rectified=rectified)
    assert other.camera is None and not other.is_publishable and 'zero' in other.problem


def test_a_calibration_that_comes_again_is_judged_once_and_has_its_own_frame_id():
    infos = [camera_info() for _ in range(3)]
    for info, frame_id in zip(infos, ('rear', 'rear', 'front')):
        info.header = SimpleNamespace(frame_id=frame_id)
    checker = CalibrationChecker()
    first, again, corrected = (checker.check(info, SIZE, rectified=False) for info in infos)
    assert again is first and corrected.camera is first.camera
    assert corrected.info.header.frame_id == 'front'


@pytest.mark.parametrize(('field', 'value'), [
    ('width', 644), ('height', 484), ('distortion_model', 'equidistant'), ('binning_x', 2),
    ('binning_y', 2), ('roi', SimpleNamespace(x_offset=1, y_offset=0, width=0, height=0)),
    ('d', (.1, 0., 0., 0.)), ('k', np.array((530., *K[1:]))), ('p', np.array(matrix_p(520.))),
    ('r', np.array((-1., 0, 0, 0, -1, 0, 0, 0, 1)))])
def test_a_calibration_of_which_one_field_changed_is_judged_anew(field, value):
    info, other, checker = camera_info(), camera_info(), CalibrationChecker()
    setattr(other, field, value)
    first = checker.check(info, SIZE, rectified=False)
    assert checker.check(other, SIZE, rectified=False).info is other
    assert checker.check(info, SIZE, rectified=False) is not first
