"""The camera matrix of a picture of another size, and the ground under its pixels.

The cameras' own formulas are written down here once more (:func:`sensor_pixels`), as they stand in
the definition of sensor_msgs/CameraInfo and in OpenCV's documentation of its models.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from enet_ros.perception.geometry.camera_model import (
    CameraModel,
    UncalibratedError,
    scale_camera_matrix,
)
from enet_ros.perception.geometry.pose import Pose, rotation_about
from enet_ros.perception.ground import GroundTable, GroundView
from enet_ros.perception.ground_tables import BackgroundTable
from enet_ros.scene.road_scene import RoadScene
from enet_ros.scene.style import EMPTY

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


def test_the_principal_point_of_a_centered_camera_stays_in_the_center():
    scaled = scale_camera_matrix(K, (640, 480), (320, 240))
    assert (scaled[0, 2], scaled[1, 2]) == (159.5, 119.5)  # a half-pixel mistake gives 159.75


def test_region_of_interest_and_binning_are_honored():
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


SENSOR = (1280, 960)
WIDE_K = (520., 0, 641.3, 0, 515., 477.6, 0, 0, 1)
P = (430., 0, 650.2, 0, 0, 425., 470.9, 0, 0, 0, 1, 0)
R = rotation_about('y', .02) @ rotation_about('x', -.01)
LENSES = {
    'pinhole': ('plumb_bob', ()),
    'plumb_bob': ('plumb_bob', (-.28, .09, .0011, -.0007, -.012)),
    'rational_polynomial': ('rational_polynomial',
                            (.31, -.02, .0006, -.0009, .001, .62, .04, .002)),
    'equidistant': ('equidistant', (.021, -.008, .003, -.0009)),
}
MOUNTS = {'level': Pose.from_mount(1.2, .05),
          'turned': Pose.from_mount(1.5, .12, -.06, .35, 1.4, -.3)}


def model(lens='pinhole', **changes):
    name, d = LENSES[lens]
    return CameraModel(*SENSOR, WIDE_K, d, R, P, name, **changes)


def bent(name, d, x, y):
    """Return x and y with the distortion of a lens."""
    if name == 'equidistant':
        r = np.hypot(x, y)
        a = np.arctan(r)
        scale = a * (1 + sum(k * a ** (2 * i + 2) for i, k in enumerate(d))) / r
        return x * scale, y * scale
    k1, k2, p1, p2, k3, k4, k5, k6 = (*d, *(0,) * 8)[:8]
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2 ** 2 + k3 * r2 ** 3) / (
        1 + k4 * r2 + k5 * r2 ** 2 + k6 * r2 ** 3)
    return (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y)


def sensor_pixels(camera, pose, ground):
    """Return where ground points (N, 2) are on the full sensor, pixels (N, 2)."""
    points = np.column_stack((ground, np.zeros(len(ground)))) - pose.position
    points = points @ np.reshape(pose.rotation, (3, 3))
    if camera.rectified:
        matrix = np.reshape(camera.p, (3, 4))[:, :3]
    else:   # the optical frame is the rectified one: R goes from the sensor's to it
        points, matrix = points @ np.reshape(camera.r, (3, 3)), np.reshape(camera.k, (3, 3))
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    if not camera.rectified:
        x, y = bent(camera.distortion_model, camera.d, x, y)
    return np.column_stack((matrix[0, 0] * x + matrix[0, 2], matrix[1, 1] * y + matrix[1, 2]))


def mask_pixels(camera, pixels, size):
    """Return sensor pixels as pixels of a mask, whose borders are those of the crop."""
    x, y, width, height = camera.roi
    width, height = width or camera.width, height or camera.height
    return (pixels - (x, y) + .5) * (size[0] / width, size[1] / height) - .5


def ground_ahead(pose):
    """Return points 3 to 30 m from the camera's foot and up to 35 degrees off, and how far."""
    reach, bearing = np.meshgrid(np.linspace(3, 30, 28), np.linspace(-.6, .6, 9))
    heading = math.atan2(pose.rotation[5], pose.rotation[2]) + bearing.ravel()
    return reach.ravel(), np.array(pose.position[:2]) + reach.reshape(-1, 1) * np.column_stack(
        (np.cos(heading), np.sin(heading)))


def allowed(reach):
    """1 cm up to 5 m, 1 % of the range (and never less than that) beyond."""
    return np.where(reach <= 5., .01, .01 * reach)


CAMERAS = {
    **{f'{lens}-raw': model(lens) for lens in LENSES},
    **{f'{lens}-rectified': model(lens, rectified=True) for lens in LENSES},
    **{f'{lens}-crop': model(lens, roi=(80, 160, 1120, 800), binning=(2, 2)) for lens in LENSES},
    'rectified-crop': model('plumb_bob', rectified=True, roi=(80, 160, 1120, 800), binning=(2, 4)),
}


@pytest.mark.parametrize('mount', MOUNTS)
@pytest.mark.parametrize('name', CAMERAS)
def test_pixels_of_known_ground_points_come_back_and_half_a_pixel_is_noticed(name, mount):
    camera, pose, size = CAMERAS[name], MOUNTS[mount], (640, 360)
    view = GroundView(camera, pose, size)
    reach, ground = ground_ahead(pose)
    pixels = mask_pixels(camera, sensor_pixels(camera, pose, ground), size)
    seen = np.all((pixels > -.5) & (pixels < np.array(size) - .5), axis=1)
    assert seen.sum() > 100
    reach, ground, pixels = reach[seen], ground[seen], pixels[seen]

    def error(shift):
        return np.linalg.norm(view.to_ground(pixels + shift) - ground, axis=1)

    assert np.all(error((0., 0.)) < allowed(reach) / 5)
    for shift in ((0., .5), (0., -.5)):
        failed = ~(error(shift) < allowed(reach))   # NaN, above the horizon, too
        assert failed[(reach == 5.) | (reach >= 10.)].all()
    assert view.to_pixels(ground) == pytest.approx(pixels, abs=.01)


#: d of the equidistant model for a stereographic lens, radius = 2 tan(angle / 2): 2 at 90 degrees.
STEREOGRAPHIC = (1 / 12, 1 / 120, 17 / 20160, 31 / 362880)


@pytest.mark.parametrize('d', [STEREOGRAPHIC, (0., 0., 0., 0.), (-.05, .01, -.02, .004)])
def test_a_fisheye_sees_as_far_as_90_degrees(d):
    fisheye = CameraModel(1280, 960, (300., 0, 639.5, 0, 300., 479.5, 0, 0, 1), d,
                          distortion_model='equidistant')
    degrees = np.array([.01, 10., 30., 60., 75., 80., 89., 89.9])
    angles = np.radians(degrees)
    radii = angles * (1. + sum(k * angles ** (2 * i + 2) for i, k in enumerate(d)))
    known = np.diff(radii, append=np.inf) > 0.  # else the polynomial folds
    pixels = np.column_stack((639.5 + 300. * radii * .6, 479.5 - 300. * radii * .8))
    rays = fisheye.rays(pixels, (1280, 960))
    expected = np.column_stack((np.sin(angles) * .6, -np.sin(angles) * .8, np.cos(angles)))
    assert np.allclose(rays[known], expected[known], atol=1e-8)
    assert np.allclose(fisheye.project(expected[known], (1280, 960)), pixels[known], atol=1e-3)
    beyond = np.column_stack((639.5 + 300. * np.array([radii.max() + .01, 5.]), (479.5, 479.5)))
    assert np.isnan(fisheye.rays(beyond, (1280, 960))).all()


def test_a_mistake_of_half_a_pixel_in_the_size_of_the_mask_is_noticed():
    """Scaling K as if (0, 0) were the pixel's corner moves the ground by more than 1 %."""
    camera, pose = model(), MOUNTS['level']
    reach, ground = ground_ahead(pose)
    view = GroundView(camera, pose, (320, 240))
    wrong = sensor_pixels(camera, pose, ground) / 4
    error = np.linalg.norm(view.to_ground(wrong) - ground, axis=1)
    assert np.all(error[reach >= 10] > allowed(reach)[reach >= 10])


@pytest.mark.parametrize('name', CAMERAS)
def test_the_table_has_the_ground_of_each_pixel_center(name):
    table = GroundTable(CAMERAS[name], MOUNTS['turned'], (160, 96), 30.)
    assert table.points.shape == (96, 160, 3) and table.points.dtype == np.float32
    rows, columns = np.nonzero(table.is_inside)
    assert len(rows) > 3000
    back = sensor_pixels(table.camera, table.pose, table.points[rows, columns, :2].astype(float))
    back = mask_pixels(table.camera, back, table.size)
    assert back == pytest.approx(np.column_stack((columns, rows)), abs=.02)
    assert np.all(table.points[rows, columns, 2] == 0.)


def test_the_table_of_the_drawn_scene_is_the_scene_itself():
    scene = RoadScene(320, 192, style=EMPTY)
    camera = CameraModel(320, 192, scene.camera.k)
    pose = Pose.from_mount(scene.camera.height_m, scene.camera.pitch_rad)
    x, y = scene.camera.to_ground(np.arange(320), np.arange(192)[:, None])
    table = GroundTable(camera, pose, (320, 192), 30.)
    inside = np.hypot(x, y) <= 30.
    assert np.array_equal(table.is_inside, inside)
    assert np.abs(table.points[..., 0] - x)[inside].max() < 1e-4
    assert np.abs(table.points[..., 1] - y)[inside].max() < 1e-4
    assert np.isnan(table.points[~inside]).all()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(CAMERAS)), st.floats(.3, 3), st.floats(-.2, 1.2),
       st.floats(-math.pi, math.pi), st.floats(-math.pi, math.pi), st.floats(0, 639),
       st.floats(0, 359))
@example('plumb_bob-crop', 1., 0., 0., 0., 85.75, 336.5)   # where the polynomial begins to fold
def test_a_pixel_comes_back_from_the_ground_it_shows(name, height, pitch, roll, yaw, u, v):
    pose = Pose.from_mount(height, pitch, roll, yaw, 1., -2.)
    view = GroundView(CAMERAS[name], pose, (640, 360))
    ground = view.to_ground([(u, v)])
    assume(np.hypot(*ground[0]) < 1000.)   # false for NaN
    assert view.to_pixels(ground) == pytest.approx(np.array([[u, v]]), abs=.02)


def test_nothing_lies_at_or_above_the_horizon():
    table = GroundTable(CameraModel(64, 49, (50, 0, 31.5, 0, 50, 24, 0, 0, 1)),
                        Pose.from_mount(1.), (64, 49), 1000.)
    assert np.isnan(table.points[:25]).all() and np.isnan(table.unlimited[:25]).all()
    assert np.isfinite(table.points[25:]).all()
    assert np.isnan(table.to_pixels([(-5., 0.)])).all()   # behind


def test_a_camera_may_look_back_or_hang_upside_down():
    camera = CameraModel(64, 48, (50, 0, 31.5, 0, 50, 23.5, 0, 0, 1))
    upright = GroundTable(camera, Pose.from_mount(1., .3), (64, 48), 30.)
    behind = GroundTable(camera, Pose.from_mount(1., .3, yaw_rad=math.pi), (64, 48), 30.)
    hanging = GroundTable(camera, Pose.from_mount(1., .3, math.pi), (64, 48), 30.)
    turned = upright.points[..., :2]
    assert np.allclose(behind.points[..., :2], -turned, atol=1e-4, equal_nan=True)
    assert np.allclose(hanging.points[::-1, ::-1, :2], turned, atol=1e-4, equal_nan=True)


def test_a_table_that_moves_is_that_of_the_new_pose_and_leaves_the_old_one():
    old = GroundTable(model('plumb_bob'), MOUNTS['level'], (64, 48), 30.)
    before = old.points.copy()
    moved = old.moved_to(MOUNTS['turned'], 7.)
    new = GroundTable(old.camera, MOUNTS['turned'], (64, 48), 7.)
    assert (moved.pose, moved.max_range_m) == (new.pose, new.max_range_m)
    assert np.array_equal(moved.points, new.points, equal_nan=True)
    assert np.array_equal(moved.unlimited, new.unlimited, equal_nan=True)
    assert np.array_equal(old.points, before, equal_nan=True) and old.pose == MOUNTS['level']


def test_the_points_of_another_size_follow_that_size():
    table, background = GroundTable(model(), MOUNTS['level'], (64, 48), 30.), BackgroundTable()
    for size in ((32, 24), (16, 12), (32, 24)):
        assert background.table_for(table, size, None).size == size


def test_the_signs_of_a_mount():
    """A point 10 m ahead moves up where the camera looks down, right where it looks left."""
    camera = CameraModel(64, 48, (50, 0, 31.5, 0, 50, 23.5, 0, 0, 1))

    def pixel(**mount):
        return GroundView(camera, Pose.from_mount(1., **mount), (64, 48)).to_pixels([(10, 0)])[0]

    u, v = pixel()
    assert (u, v) == pytest.approx((31.5, 28.5))
    assert pixel(pitch_rad=.1)[1] < v and pixel(yaw_rad=.1)[0] > u
    assert pixel(roll_rad=.1)[0] > u   # what hangs below the middle swings to the right
    assert pixel(x_m=5.)[1] > v and pixel(y_m=1.)[0] > u


def test_a_pose_from_a_transform_is_that_from_parameters():
    # The optical frame of a level camera: rpy = (-90, 0, -90) degrees, x y z w.
    level = Pose.from_quaternion((0, 0, 1.2), (-.5, .5, -.5, .5))
    assert level.rotation_matrix == pytest.approx(Pose.from_mount(1.2).rotation_matrix, abs=1e-12)
    assert level.position == (0, 0, 1.2)


def test_a_pixel_covers_more_ground_farther_away():
    """On flat ground z / x = h / r: a row covers (r^2 + h^2) / (f h), a column r / f (level)."""
    table = GroundTable(CameraModel(64, 49, (500, 0, 31.5, 0, 500, 24, 0, 0, 1)),
                        Pose.from_mount(1.), (64, 49), 30.)
    across, along = table.ground_resolution((11., 20., 30.)).T
    assert across == pytest.approx(np.array([11, 20, 30]) / 500, rel=1e-3)
    assert along == pytest.approx(np.array([11, 20, 30]) ** 2 / 500, rel=1e-2)
    assert np.isnan(table.ground_resolution([2000.])).any()   # half a pixel below the horizon
    shifted = GroundTable(table.camera, Pose.from_mount(1., yaw_rad=math.pi, x_m=-2.), (64, 49),
                          30.)
    assert shifted.ground_resolution([13.])[0] == pytest.approx([11 / 500, 121 / 500], rel=1e-2)


def test_distortion_that_cannot_be_undone_gives_no_ground():
    """This barrel folds at r = 0.58 (its slope 1 - 3 k r^2 is 0): no ray reaches the corners."""
    camera = CameraModel(640, 480, (400, 0, 319.5, 0, 400, 239.5, 0, 0, 1), (-1., 0, 0, 0))
    table = GroundTable(camera, Pose.from_mount(1., .6), (640, 480), 100.)
    assert np.isnan(table.points[-1, 0]).all() and np.isfinite(table.points[300, 320]).all()
    ground = table.to_ground([(319.5, 300.)])[0]
    far_aside = table.to_pixels([(ground[0], ground[0] * 2)])
    assert np.isnan(far_aside).all()   # the polynomial folds it back into the picture


@pytest.mark.parametrize(('changes', 'error', 'message'), [
    ({'k': (0,) * 9}, UncalibratedError, 'k is all zero'),
    ({'p': (0,) * 12, 'rectified': True}, UncalibratedError, 'p is all zero'),
    ({'k': (1, 0, 0, 0, -1, 0, 0, 0, 1)}, ValueError, 'k has the focal lengths 1 and -1, wanted'),
    ({'k': (1,) * 8}, ValueError, 'k has 8 values, wanted 9'),
    ({'k': (math.nan, *WIDE_K[1:])}, ValueError, 'k is .*nan.*, wanted finite'),
    ({'d': (math.inf,) * 5}, ValueError, 'd is .*inf.*, wanted finite'),
    ({'d': (.1,) * 3}, ValueError, "d has 3 values, wanted 4 or 5 for .* 'plumb_bob'"),
    ({'distortion_model': 'thin_prism'}, ValueError, "distortion_model is 'thin_prism', wanted"),
    ({'distortion_model': ''}, ValueError, "distortion_model is '', wanted one of plumb_bob"),
    ({'roi': (1000, 0, 400, 960)}, ValueError, 'roi is .*wanted a part of the sensor, 1280x960'),
])
def test_a_bad_calibration_names_field_value_and_what_is_wanted(changes, error, message):
    with pytest.raises(error, match=message):
        replace(model('plumb_bob'), **changes)


def test_what_drivers_leave_empty_is_read_as_it_is_meant():
    bare = CameraModel(640, 480, (400, 0, 320, 0, 400, 240, 0, 0, 1), (0,) * 5, (0,) * 9,
                       distortion_model='', binning=(0, 0))
    assert bare == CameraModel(640, 480, bare.k, distortion_model='')
    assert hash(bare) == hash(replace(bare)) and bare.binning == (1, 1)


@pytest.mark.parametrize(('build', 'message'), [
    (lambda: Pose.from_mount(0.), 'the camera is 0 m above the ground'),
    (lambda: Pose.from_mount(math.nan), 'position is .*nan.*, wanted finite'),
    (lambda: Pose((1,) * 9, (0, 0, 1)), 'wanted a rotation matrix'),
    (lambda: Pose.from_quaternion((0, 0, 1), (0, 0, 0, 0)), 'wanted a quaternion'),
    (lambda: GroundView(model(), MOUNTS['level'], (0, 5)), 'size is .0, 5., wanted'),
    (lambda: GroundTable(model(), MOUNTS['level'], (8, 8), math.inf), 'max_range_m is inf'),
])
def test_a_bad_pose_or_table_says_what_is_wanted(build, message):
    with pytest.raises(ValueError, match=message):
        build()
