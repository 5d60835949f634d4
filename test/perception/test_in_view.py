"""What is called free to its end lies in the image in its full width, from the near border on."""

import math

import numpy as np
import pytest

from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.ground import GroundTable
from enet_ros.perception.parameters.settings import ScanSettings
from enet_ros.perception.planner_outputs import (
    free_space_scan,
    nearest_edge,
    obstacle_points,
    path_bin,
    scan_bins,
)


def table_of(pose, size=(640, 360), focal=560., d=(), max_range_m=30.):
    width, height = size
    camera = CameraModel(*size, (focal, 0, width / 2 - .5, 0, focal, height / 2 - .5, 0, 0, 1), d)
    return GroundTable(camera, pose, size, max_range_m)


def mask_with(table, blocked):
    mask = np.full(table.shape, 255, np.uint8)
    if blocked is not None:
        mask[blocked] = 0
    return mask


def edge_of(table, half_width_m=1., blocked=None):
    mask = mask_with(table, blocked)
    return nearest_edge(mask, np.zeros_like(mask), path_bin(table, half_width_m))


def scan_of(table, scan, blocked=None):
    mask = mask_with(table, blocked)
    return free_space_scan(mask, np.zeros_like(mask), scan_bins(table, scan))


@pytest.mark.parametrize(('table', 'half_width_m'), [
    (table_of(Pose.from_mount(1.4, .035, 0., .55)), 1.),   # at 10 m only y from 0.26 to 1 is seen
    (table_of(Pose.from_mount(1.4, .035, 0., -.45)), 1.),
    (table_of(Pose.from_mount(.3, .1), focal=1200.), 1.),  # at 3 m only 0.84 m to either side
    (table_of(Pose.from_mount(1.4, .035)), 3.),            # at 4 m only 2.44 m to either side
], ids=['yawed left', 'yawed right', 'narrow lens', 'wide strip'])
def test_a_strip_that_is_not_seen_in_its_full_width_is_unknown(table, half_width_m):
    assert math.isnan(edge_of(table, half_width_m))
    x, y = table.unlimited[..., 0], table.unlimited[..., 1]
    obstacle = (np.abs(x - 20.) < .6) & (np.abs(y - .5) < .1)
    assert obstacle.any()  # Something nearer may stand beside the image.
    assert math.isnan(edge_of(table, half_width_m, obstacle))


@pytest.mark.parametrize(('pitch_rad', 'half_width_m', 'limit_m'), [
    (.209, 1., 0.),    # A low camera sees the strip in its full width only from x = 1.7 m on.
    (.5, .2, 1.9),     # One that looks down sees it from its near border to its upper border.
])
def test_a_number_ends_where_the_strip_is_not_seen_in_its_full_width(
        pitch_rad, half_width_m, limit_m):
    table = table_of(Pose.from_mount(.4, pitch_rad))
    ranges = table.unlimited_range()
    in_strip = np.abs(table.unlimited[..., 1]) < half_width_m
    for range_m in (1., 1.5, 1.8, 2.1, 3., 9.):
        edge = edge_of(table, half_width_m, ranges > range_m)
        if (in_strip & (ranges > range_m)).any() and range_m < limit_m:
            assert edge == pytest.approx(range_m, rel=.02)
        else:
            assert math.isnan(edge)


@pytest.mark.parametrize(('size', 'd'), [
    ((160, 96), ()), ((320, 192), (-.2, .05, 0., 0., 0.)), ((640, 360), ())])
@pytest.mark.parametrize('field_of_view_deg', [50., 100.])
@pytest.mark.parametrize(('height_m', 'half_width_m'), [(.6, .5), (.8, .6), (1.4, 1.), (2., 1.)])
def test_the_strip_ahead_of_an_ordinary_camera_is_free_to_the_end(
        size, d, field_of_view_deg, height_m, half_width_m):
    focal = size[0] / 2 / math.tan(math.radians(field_of_view_deg) / 2)
    for pitch_rad in (.035, .1):
        table = table_of(Pose.from_mount(height_m, pitch_rad), size, focal, d)
        assert edge_of(table, half_width_m) == math.inf


@pytest.mark.parametrize('increment', [.0174533, .1, .2, .5, 1., 3.15])
def test_a_ray_whose_own_bearing_leaves_the_image_is_not_free(increment):
    table, scan = table_of(Pose.from_mount(1.4, .035)), ScanSettings(angle_increment=increment)
    ranges = scan_of(table, scan)
    angles = scan.angle_min + np.arange(scan.count) * increment
    for distance in (5., 10., 20.):
        ground = distance * np.column_stack((np.cos(angles), np.sin(angles)))
        columns = table.to_pixels(ground)[:, 0]
        outside = ~((columns >= -.5) & (columns < 639.5))
        assert np.isnan(ranges[outside]).all()
        assert np.isposinf(ranges[(columns > 5.) & (columns < 634.)]).all()


def test_a_range_that_only_a_pixel_above_the_horizon_shows_is_not_seen():
    """The horizon lies just below a pixel's center, so that its lower part is ground."""
    table = table_of(Pose.from_mount(.2, math.atan(.3 / 140)), (160, 96), 140., max_range_m=100.)
    assert np.isnan(scan_of(table, ScanSettings(-.1, .1, .01, 0., 95.))).all()


def test_ground_behind_the_origin_is_not_ahead_although_the_camera_sees_it():
    table = table_of(Pose.from_mount(1., .25, x_m=-4.), (160, 96), 140.)
    x = table.unlimited[..., 0]
    assert edge_of(table, .2, (x > -1.5) & (x < -1.)) == math.inf


def test_a_strip_wider_than_all_that_is_seen_has_no_edge_even_if_nothing_is_drivable():
    table = table_of(Pose.from_mount(1., .3), (160, 96), 140.)
    assert math.isnan(edge_of(table, 40., table.is_inside))


def test_an_obstacle_straight_behind_blocks_only_the_rays_that_it_lies_in():
    """The bearings of its pixels go from pi to -pi."""
    table = table_of(Pose.from_mount(1., .3, yaw_rad=math.pi), (160, 96), 140.)
    x, y = table.unlimited[..., 0], table.unlimited[..., 1]
    ranges = scan_of(table, ScanSettings(2.8, 3.4, .02, 0., 10.),
                     (np.abs(y) < .05) & (x > -5.) & (x < -4.))
    assert 1 <= np.isfinite(ranges).sum() <= 4


def test_narrow_rays_see_the_pixels_of_a_camera_on_its_side():
    """Its columns lie side by side on the ground, and its rows one behind the other."""
    table = table_of(Pose.from_mount(1., .3, math.pi / 2), (160, 96), 140.)
    assert np.isposinf(scan_of(table, ScanSettings(-.2, .2, .002, 0., 10.))).all()


@pytest.mark.parametrize(('roll_deg', 'sides'), [
    (10., ['lower']), (45., ['lower', 'right']), (-45., ['left', 'lower'])])
def test_a_wall_that_fills_the_image_begins_at_the_sides_that_face_the_ground(roll_deg, sides):
    table = table_of(Pose.from_mount(1., .5, math.radians(roll_deg)), (160, 96), 140.)
    points = obstacle_points(np.zeros(table.shape, np.uint8), table, .5)[:, :2]
    borders = {'left': np.s_[:, 0], 'right': np.s_[:, -1], 'upper': np.s_[0], 'lower': np.s_[-1]}
    expected = [table.points[borders[side]][..., :2] for side in sides]
    expected = np.unique(np.concatenate(expected), axis=0)
    assert len(points) == len(expected[np.isfinite(expected[:, 0])])
