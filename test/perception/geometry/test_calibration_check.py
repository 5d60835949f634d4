"""Distortion names as cameras send them, and calibrations that cannot be true."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enet_ros.perception.geometry.calibration_check import calibration_problem
from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.distortion import read_distortion

K = (525., 0, 319.5, 0, 525., 239.5, 0, 0, 1)
P = (520., 0, 321., 0, 0, 520., 238., 0, 0, 0, 1, 0)
IDENTITY = (1., 0, 0, 0, 1, 0, 0, 0, 1)
SIZE = (640, 480)


def matrix_k(fx, cx, cy, fy=None):
    return (fx, 0, cx, 0, fy or fx, cy, 0, 0, 1)


def matrix_p(fx, cx, cy, tx=0.):
    return (fx, 0, cx, tx, 0, fx, cy, 0, 0, 0, 1, 0)


def rotation_x(angle_deg):
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return (1., 0, 0, 0, cos, -sin, 0, sin, cos)


def problem(frame_size=SIZE, size=SIZE, **changes):
    camera = CameraModel(*size, **{'k': K, 'p': P, **changes})
    return calibration_problem(camera, frame_size)


@pytest.mark.parametrize(('name', 'd', 'model', 'count'), [
    ('equidistant', (.1, .2, .3, .4, 0), 'equidistant', 4),                  # T265
    ('equidistant', (.1, .2, .3, .4, 0, 0, 0, 0), 'equidistant', 4),
    ('equidistant', (0, 0, 0, 0), 'equidistant', 4),                         # ideal fisheye
    ('plumb_bob', (.1, .2, .3, .4, .5, 0, 0, 0), 'plumb_bob', 5),            # Orbbec
    ('plumb_bob', (.1, .2, .3, .4, 0), 'plumb_bob', 4),
    ('plumb_bob', (.1, .2, .3, .4, .5, .6, .7, .8), 'rational_polynomial', 8),
    ('plumb_bob', (.1, .2, .3, .4, .5, 0, 0, .8), 'rational_polynomial', 8),
    ('plumb_bob', (.1, .2, .3, .4, .5, .6, 0, 0), 'rational_polynomial', 8),
    ('rational_polynomial', (.1,) * 8 + (0,) * 6, 'rational_polynomial', 8),
    ('rational_polynomial', (.1,) * 12, 'rational_polynomial', 12),
    ('rational_polynomial', (.1,) * 14, 'rational_polynomial', 14),
    ('rational_polynomial', (.1, .2, .3, .4, .5), 'rational_polynomial', 8),
    (' Plumb Bob', (.1, .2, .3, .4, .5), 'plumb_bob', 5),
    ('PLUMB-BOB', (.1, .2, .3, .4), 'plumb_bob', 4),
    ('radtan', (.1, .2, .3, .4), 'plumb_bob', 4),
    ('Radial Tangential', (.1, .2, .3, .4), 'plumb_bob', 4),
    ('fisheye', (.1, .2, .3, .4), 'equidistant', 4),
    ('kannala_brandt4', (.1, .2, .3, .4), 'equidistant', 4),
    ('Kannala-Brandt', (.1, .2, .3, .4), 'equidistant', 4)])
def test_a_model_is_read_as_drivers_write_it(name, d, model, count):
    found = read_distortion(name, d)
    assert (found.model, len(found.coefficients)) == (model, count)
    assert found.coefficients == pytest.approx((*d, *(0,) * count)[:count])
    assert bool(found.note) == (name == 'plumb_bob' and model == 'rational_polynomial')


@pytest.mark.parametrize('name', [
    '', 'none', 'None', 'pinhole', ' Plumb Bob', 'plumb_bob', 'double_sphere',
    'inverse_brown_conrady', 'made up'])
@pytest.mark.parametrize('d', [(), (0., 0, 0, 0, 0)])
def test_without_a_coefficient_there_is_no_distortion_whatever_the_name(name, d):
    assert read_distortion('fisheye', ()).coefficients == ()  # but its four zeros are some
    assert read_distortion(name, d).coefficients == ()


@pytest.mark.parametrize(('name', 'd', 'parts'), [
    ('inverse_brown_conrady', (.1,) * 5, ['inverse_brown_conrady', 'wanted one of plumb_bob']),
    ('modified_brown_conrady', (.1, .2, .3, 0, .5), ['tangential distortion is another one']),
    ('modified_brown_conrady', (.1, .2, 0, .4, .5), ['tangential distortion is another one']),
    ('double_sphere', (.1,) * 2, ['double_sphere', 'equidistant', 'rectified: true']),
    ('none', (.1,) * 5, ["'none'", 'not 0']),
    ('equidistant', (.1,) * 5, ['5 values', 'at most 4']),
    ('equidistant', (.1,) * 3, ["distortion_model is 'equidistant'"]),
    ('rational_polynomial', (.1,) * 15, ['15 values', 'at most 14']),
    ('plumb_bob', (.1,) * 15, ['15 values'])])
def test_a_model_that_cannot_be_done_names_what_can(name, d, parts):
    with pytest.raises(ValueError) as error:
        read_distortion(name, d)
    assert all(part in str(error.value) for part in parts) or 'd has 3 values' in str(error.value)


def test_the_distortion_of_rectified_images_does_not_matter():
    camera = CameraModel(*SIZE, K, (.1,) * 3, p=P, distortion_model='made up', rectified=True)
    assert camera.d == ()
    assert calibration_problem(camera, SIZE) == ''


@pytest.mark.parametrize(('changes', 'parts'), [
    ({'k': IDENTITY}, ['K has a focal length of 1 pixels', 'P is plausible', 'rectified to true']),
    ({'k': IDENTITY, 'p': (0.,) * 12}, ['K has a focal length of 1', 'calibrate anew']),
    ({'k': IDENTITY, 'p': matrix_p(1., 321., 238.)}, ['K has a focal length', 'calibrate anew']),
    ({'p': (*IDENTITY[:3], 0, *IDENTITY[3:6], 0, *IDENTITY[6:], 0), 'rectified': True},
     ['P has a focal length of 1', 'rectified to false']),
    ({'k': matrix_k(60., 319.5, 239.5)}, ['focal length of 60', 'wanted 64 to']),
    ({'k': matrix_k(65000., 319.5, 239.5)}, ['focal length of 65000', 'to 64000']),
    ({'k': matrix_k(525., 319.5, 239.5, fy=5.)}, ['focal length of 5 ']),
    ({'k': matrix_k(525., 319.5, 239.5, fy=150.)}, ['nearly equal']),
    ({'k': matrix_k(525., 5000., 239.5)}, ['cx = 5000', '-320 to 960']),
    ({'k': matrix_k(525., 319.5, -900.)}, ['cy = -900', '-240 to 720']),
    ({'k': matrix_k(1050., 639.5, 479.5)}, ['about 1280x960', 'not of 640x480', 'P is plausible']),
    ({'k': matrix_k(262., 159.5, 119.5)}, ['about 320x240']),
    ({'p': matrix_p(1040., 642., 476.)}, ['images of different sizes']),
    ({'r': (2., 0, 0, 0, 1, 0, 0, 0, 1)}, ['R is', 'rotation matrix']),
    ({'r': (1., 0, 0, 0, 1, 0, 0, 0, -1)}, ['R is']),
    ({'r': rotation_x(65.)}, ['R rotates the camera by 65 degrees']),
    ({'d': (-.9, 0, 0, 0, 0)}, ['folds inside the image', 'equidistant for a fisheye']),
    ({'d': (-.3, 0, 0, 0, 0), 'k': matrix_k(200., 319.5, 239.5)}, ['folds inside']),
    ({'k': matrix_k(1050., 639.5, 479.5), 'p': (0.,) * 12, 'binning': (2, 2)},
     ['binning of 2x2'])])
def test_a_calibration_that_cannot_be_true_says_which_number_and_what_to_do(changes, parts):
    text = problem(**changes)
    assert all(part in text for part in parts), text
    assert '\n' not in text


@pytest.mark.parametrize(('size', 'changes'), [
    ((640, 480), {}),                                                         # Kinect
    ((640, 480), {'r': rotation_x(55.)}),
    ((640, 480), {'k': matrix_k(615., 320.4, 240.6), 'p': matrix_p(615., 320.4, 240.6)}),
    ((848, 800), {'k': matrix_k(286., 420., 401.), 'd': (-.009, .047, -.045, .009),
                  'p': matrix_p(286., 420., 401., tx=-18.3), 'distortion_model': 'equidistant'}),
    ((1920, 1080), {'k': matrix_k(1400., 967., 525.), 'p': matrix_p(1380., 965., 521.),
                    'd': (-.17, .025, 0, 0, 0)}),                             # ZED
    ((1280, 960), {'k': matrix_k(800., 640., 470.), 'd': (-.28, .07, 0, 0, -.008),
                   'p': matrix_p(600., 660., 480.)}),                         # wide USB camera
    ((1241, 376), {'k': matrix_k(718.856, 607.1928, 185.2157),
                   'p': matrix_p(718.856, 607.1928, 185.2157, tx=-386.)}),    # KITTI
    ((752, 480), {'k': matrix_k(458.654, 367.215, 248.375, fy=457.296),
                  'd': (-.28340811, .07395907, .00019359, 1.76e-05, 0),
                  'r': (.999966, -.001422, .007854, .001461, .999985, -.005166, -.007847, .005177,
                        .999956)}),                                           # EuRoC
    ((640, 480), {'k': matrix_k(12000., 330., 250.), 'p': (0.,) * 12}),       # tele lens
    ((640, 240), {'k': matrix_k(525., 319.5, 0.), 'p': (0.,) * 12}),          # lower half, cropped
    ((1280, 960), {'k': matrix_k(1050., 639.5, 479.5), 'roi': (320, 480, 640, 480),
                   'p': (0.,) * 12}),
    ((1280, 960), {'k': matrix_k(1050., 639.5, 479.5), 'binning': (2, 2), 'p': (0.,) * 12}),
    ((640, 240), {'k': matrix_k(525., 319.5, 119.5, fy=262.5), 'p': (0.,) * 12}),  # one field
    ((640, 480), {'k': matrix_k(400., 319.5, 239.5), 'd': (.5, 8., 0, 0, .3, .9, 8., 2.),
                  'distortion_model': 'rational_polynomial', 'p': (0.,) * 12}),   # Azure Kinect
    ((640, 480), {'k': matrix_k(160., 319.5, 239.5), 'd': (0., 0, 0, 0),
                  'distortion_model': 'equidistant', 'p': (0.,) * 12})])      # 229 degrees wide
def test_real_cameras_are_believed(size, changes):
    x, y, width, height = changes.get('roi', (0, 0, *size))
    binning = changes.get('binning', (1, 1))
    frame_size = width // binning[0], height // binning[1]
    assert problem(frame_size, size, **changes) == ''


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([(640, 480), (1280, 720), (1920, 1080), (800, 800)]), st.floats(.3, 4.),
       st.floats(-.12, .12), st.floats(-.12, .12), st.floats(.95, 1.05), st.floats(-.3, .3),
       st.floats(.7, 1.1))
def test_plausible_calibrations_are_never_doubted(size, focal, x, y, aspect, k1, rectified_focal):
    fx = focal * size[0]
    cx, cy = ((.5 + shift) * length for shift, length in zip((x, y), size))
    # Of a plumb_bob that does not fold before the corner.
    corner = (math.hypot(*size) * .75 / fx) ** 2
    k1 = max(k1, -.25 / corner) if k1 < 0 else k1
    text = problem(size, size, k=matrix_k(fx, cx, cy, fy=fx * aspect),
                   p=matrix_p(fx * rectified_focal, cx + 5, cy - 5), d=(k1, 0, 0, 0, 0))
    assert text == ''


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([.25, .4, .5, 1.5, 1.8, 2., 3.]),
       st.sampled_from([(640, 480), (1280, 720)]), st.floats(.6, 1.5), st.floats(-.03, .03))
def test_a_calibration_of_another_size_is_found(scale, size, focal, shift):
    center = [(.5 + shift) * length * scale for length in size]
    text = problem(size, size, k=matrix_k(focal * size[0] * scale, *center), p=(0.,) * 12)
    assert 'principal point' in text


def test_a_camera_info_without_a_size_is_refused():
    with pytest.raises(ValueError, match='0x0 pixels'):
        CameraModel(0, 0, K)


def test_rays_of_trailing_zeros_are_those_without():
    pixels = np.array([[10., 20.], [600., 400.]])
    plain = CameraModel(*SIZE, K, (-.2, .05, .001, .002, -.01))
    padded = CameraModel(*SIZE, K, (-.2, .05, .001, .002, -.01, 0, 0, 0))
    assert np.array_equal(plain.rays(pixels, SIZE), padded.rays(pixels, SIZE))
