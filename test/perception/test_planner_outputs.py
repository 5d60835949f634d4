"""Scan, grid, obstacle points and contours against the drawn scene's truth in meters."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.perception.drivable import drivable_mask
from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.grid import GridCells, GridSpec, rolling_grid
from enet_ros.perception.ground import GroundTable
from enet_ros.perception.parameters.settings import GridSettings, ScanSettings
from enet_ros.perception.planner_outputs import (
    free_space_scan,
    ground_contours,
    nearest_edge,
    obstacle_points,
    path_bin,
    scan_bins,
)
from enet_ros.scene.road_scene import RoadScene
from enet_ros.scene.style import EMPTY

LUT = ClassMap.from_names(CAMVID_NAMES).drivable_lut()
ROAD, PAVEMENT = 3, 4
TIMES = (0., 7., 19., 31.)
NEAR_M = 15.

SMALL = GroundTable(CameraModel(24, 16, (18, 0, 11.5, 0, 18, 7.5, 0, 0, 1)),
                    Pose.from_mount(1.2, .2, .05, .1, .3, -.1), (24, 16), 12.)
SCAN = ScanSettings(-.8, .8, .1, 0., 10.)
small_maps = arrays(np.uint8, (16, 24), elements=st.sampled_from([ROAD] * 9 + [4, UNKNOWN]))


@pytest.fixture(scope='module')
def scene():
    return RoadScene(640, 360, 3, EMPTY)


@pytest.fixture(scope='module')
def table(scene):
    return GroundTable(CameraModel(640, 360, scene.camera.k),
                       Pose.from_mount(scene.camera.height_m, scene.camera.pitch_rad),
                       (640, 360), 30.)


def mask_of(labels):
    return drivable_mask(labels, LUT)


def all_road(table):
    return np.full(table.shape, ROAD, np.uint8)


@pytest.mark.parametrize('t', TIMES)
def test_the_grid_agrees_with_the_truth_of_the_scene(scene, table, t):
    labels, spec = scene.render(t)[1], GridSpec.of(GridSettings())
    data = rolling_grid(mask_of(labels), labels, GridCells(table, spec))
    assert data.shape == (200, 200) and data.dtype == np.int8
    x, y = np.meshgrid(np.arange(200) * .1 + .05, np.arange(200) * .1 - 9.95)
    truth = np.where(scene.ground_truth(x, y, t) == ROAD, 0, 100)
    seen = (data != -1) & (np.hypot(x, y) <= NEAR_M)
    assert seen.sum() > 8000
    assert (data == truth)[seen].mean() >= .98
    # Where it errs, it errs to the safe side, but for the pixel that a border runs through.
    assert ((data == 0) & (truth == 100))[seen].mean() <= .002


def test_every_cell_in_sight_is_covered_and_no_other(scene, table):
    labels, spec = all_road(table), GridSpec((40., 40.), .1, (-5., -20.))
    data = rolling_grid(mask_of(labels), labels, GridCells(table, spec))
    pixels = table.to_pixels(spec.centers()).reshape(400, 400, 2)
    in_picture = np.all((pixels > -.4) & (pixels < (639.4, 359.4)), axis=2)
    reach = np.hypot(*spec.centers().T).reshape(400, 400)
    assert np.all(data[in_picture & (reach <= 30.)] == 0)
    assert np.all(data[reach > 30.1] == -1)
    assert np.all(data[:, :50] == -1)   # behind
    # A cell at the picture's border is covered if some pixel is, so give it the size of a cell.
    outside = ~cv2.dilate(in_picture.astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert np.all(data[outside] == -1)


def test_cells_are_counted_along_x_first_and_have_their_center_in_the_middle():
    spec = GridSpec((1.5, 1.), .5, (-1., 2.))
    assert spec.cells == (3, 2)
    assert spec.centers()[[0, 1, 3]].tolist() == [[-.75, 2.25], [-.25, 2.25], [-.75, 2.75]]
    assert spec.cell_of(spec.centers()).tolist() == list(range(6))
    outside = np.array([(-1.1, 2.2), (.6, 2.2), (0., 1.9), (0., 3.1), (math.nan, math.nan)])
    assert spec.cell_of(outside).tolist() == [-1] * 5


@pytest.mark.parametrize('t', TIMES)
def test_the_scan_agrees_with_the_truth_of_the_scene(scene, table, t):
    labels, spec = scene.render(t)[1], ScanSettings(-.45, .45, math.radians(.5), 0., NEAR_M)
    ranges = free_space_scan(mask_of(labels), labels, scan_bins(table, spec))
    steps = np.arange(3.6, NEAR_M, .01)
    good = []
    for ray, distance in enumerate(ranges):
        bearing = spec.angle_min + spec.angle_increment * (ray + np.linspace(-.5, .5, 9)[:, None])
        road = scene.ground_truth(steps * np.cos(bearing), steps * np.sin(bearing), t) == ROAD
        first = np.where(road.all(1), np.inf, steps[np.argmin(road, axis=1)])
        pixel = table.ground_resolution([min(first.min(), NEAR_M)])[0, 1]
        if np.isfinite(distance):
            good.append(first.min() - .01 <= distance <= first.max() + pixel)
        else:
            good.append(distance == np.inf and first.max() > NEAR_M - pixel)
    assert len(good) == len(ranges) == 104
    assert np.mean(good) >= .98


def shows_ray(table, bearing, range_max):
    """Whether the image shows a ray from its lower corners on, within half a pixel."""
    width, height = table.size
    near = np.hypot(*table.to_ground([(0, height - 1), (width - 1, height - 1)]).T).max()
    ranges = np.linspace(near, range_max, 50)[:, None]
    pixels = table.to_pixels(ranges * (math.cos(bearing), math.sin(bearing)))
    return bool(np.all((pixels >= -.5) & (pixels < (width - .5, height - .5))))


@settings(max_examples=200, deadline=None)
@given(small_maps, small_maps)
def test_the_scan_never_reports_free_what_is_not_known_to_be(mask_labels, labels):
    """The mask comes from other labels, so that it calls unknown pixels drivable, too."""
    mask = mask_of(mask_labels)
    ranges = free_space_scan(mask, labels, scan_bins(SMALL, SCAN))
    rays = SCAN.ray_of(np.arctan2(SMALL.unlimited[..., 1], SMALL.unlimited[..., 0]))
    reach = SMALL.unlimited_range()
    free = (mask != 0) & (labels != UNKNOWN)
    in_view = [shows_ray(SMALL, SCAN.angle_min + ray * SCAN.angle_increment, SCAN.range_max)
               for ray in range(SCAN.count)]
    assert sum(in_view) == 11
    for ray in range(SCAN.count):
        here = (rays == ray) & (reach <= SCAN.range_max)
        nearest = reach[here & ~free].min(initial=np.inf)
        to_the_end = np.any(reach[rays == ray] > SCAN.range_max) and in_view[ray]
        if not (here & (labels != UNKNOWN)).any() or (nearest == np.inf and not to_the_end):
            assert np.isnan(ranges[ray])
        else:
            assert ranges[ray] == nearest


@settings(max_examples=200, deadline=None)
@given(small_maps, small_maps)
def test_a_cell_is_free_only_if_all_that_is_seen_of_it_is(mask_labels, labels):
    spec = GridSpec((8., 6.), .5, (0., -3.))
    mask = mask_of(mask_labels)
    data = rolling_grid(mask, labels, GridCells(SMALL, spec)).ravel()
    unknown = labels == UNKNOWN
    hit = spec.cell_of(SMALL.points[..., :2].reshape(-1, 2)).reshape(SMALL.shape)
    for cell in np.unique(hit[hit >= 0]):
        here = hit == cell
        if (here & ~unknown & (mask == 0)).any():
            assert data[cell] == 100
        elif (here & unknown).any():
            assert data[cell] != 0   # 100 if its center lies in a pixel that is blocked
    for cell, pixel in enumerate(SMALL.to_pixels(spec.centers())):
        column, row = np.floor(pixel + .5)
        if 0 <= column < 24 and 0 <= row < 16 and unknown[int(row), int(column)]:
            assert data[cell] != 0


def test_nothing_is_free_when_all_is_unknown(table):
    labels = np.full(table.shape, UNKNOWN, np.uint8)
    for mask in (np.zeros_like(labels), np.full_like(labels, 255)):
        assert np.isnan(free_space_scan(mask, labels, scan_bins(table, ScanSettings()))).all()
        cells = GridCells(table, GridSpec.of(GridSettings()))
        assert (rolling_grid(mask, labels, cells) == -1).all()
        assert math.isnan(nearest_edge(mask, labels, path_bin(table, 1.)))


def ranges_of(table, labels, **spec):
    spec = ScanSettings(**{'angle_min': -.1, 'angle_max': .1, 'angle_increment': .05, **spec})
    return free_space_scan(mask_of(labels), labels, scan_bins(table, spec)).tolist()


def rows_between(table, near, far):
    """Which rows show ground at these distances ahead."""
    x = table.points[:, table.size[0] // 2, 0]
    return np.flatnonzero((x >= near) & (x <= far))


def test_a_road_that_is_free_to_the_end_has_no_return(table):
    assert ranges_of(table, all_road(table)) == [math.inf] * 5
    labels = all_road(table)
    labels[rows_between(table, 20.5, 22.)] = PAVEMENT
    assert ranges_of(table, labels, range_max=20.) == [math.inf] * 5


def test_what_is_beyond_the_first_that_is_not_drivable_does_not_matter(table):
    labels = all_road(table)
    labels[rows_between(table, 8., 9.)] = PAVEMENT
    labels[rows_between(table, 5.9, 6.2)] = PAVEMENT
    assert ranges_of(table, labels) == pytest.approx([5.95] * 5, abs=.06)


def test_unknown_ends_what_is_free(table):
    labels = all_road(table)
    labels[rows_between(table, 5.9, 6.2)] = UNKNOWN
    assert ranges_of(table, labels) == pytest.approx([5.95] * 5, abs=.06)
    labels[:] = PAVEMENT
    labels[rows_between(table, 0, 6.2)] = UNKNOWN   # the nearest that is seen
    nearest = np.nanmin(table.points[..., 0])
    assert ranges_of(table, labels) == pytest.approx([nearest] * 5, abs=.05)


def test_ground_that_ends_at_the_pictures_border_is_not_called_free_beyond(table):
    ranges = np.array(ranges_of(table, all_road(table), angle_min=-1., angle_max=1.))
    bearing = -1. + .05 * np.arange(41)
    half = math.atan(.5 / .875)   # of the field of view
    assert np.isnan(ranges[np.abs(bearing) > half + .03]).all()
    assert np.isposinf(ranges[np.abs(bearing) < half - .03]).all()
    # A camera that looks down and sees to 6 m only.
    down = GroundTable(table.camera, Pose.from_mount(1.4, .55), (160, 90), 30.)
    assert np.nanmax(down.points[..., 0]) < 7.
    assert np.isnan(ranges_of(down, all_road(down), range_max=10.)).all()
    assert ranges_of(down, all_road(down), range_max=4.) == [math.inf] * 5


WIDE = CameraModel(320, 180, (277, 0, 159.5, 0, 277, 89.5, 0, 0, 1))


@settings(max_examples=40, deadline=None)
@given(st.floats(-1., 3.), st.floats(-1., 1.), st.floats(-math.pi, math.pi), st.floats(.12, .3),
       st.booleans())
def test_a_free_ray_sees_all_ground_behind_the_near_border(x_m, y_m, yaw_rad, pitch_rad, hangs):
    """A camera beside the origin sees the ground of a ray at its side only from farther on."""
    table = GroundTable(WIDE, Pose.from_mount(1.4, pitch_rad, hangs * math.pi, yaw_rad, x_m, y_m),
                        (320, 180), 15.)
    scan = ScanSettings(-math.pi, math.pi - .01, .005, 0., 9.)
    labels = all_road(table)
    angles = scan.angle_min + np.arange(scan.count) * scan.angle_increment
    free = angles[np.isposinf(free_space_scan(mask_of(labels), labels, scan_bins(table, scan)))]
    corners = table.to_ground([(0, 0), (319, 0)] if hangs else [(0, 179), (319, 179)])
    ranges = np.linspace(np.hypot(*corners.T).max(), 9., 50)
    directions = np.stack((np.cos(free), np.sin(free)), axis=-1)
    pixels = table.to_pixels((directions[:, None] * ranges[:, None]).reshape(-1, 2))
    outside = np.maximum(-pixels, pixels - (319, 179)).max(1)
    assert (outside < 2.).all()  # pixels, since a ray is as wide as what it sees
    if abs(x_m) + abs(y_m) < .5 and pitch_rad > .15:
        assert len(free)


def test_what_is_nearer_than_range_min_is_too_close(table):
    labels = all_road(table)
    labels[rows_between(table, 4.5, 4.9)] = PAVEMENT
    assert ranges_of(table, labels, range_min=5.) == [-math.inf] * 5


def test_bearings_go_round_and_rays_are_counted():
    assert ScanSettings(-.1, .1, .05).count == 5
    spec = ScanSettings(0., 1.5 * math.pi, math.pi / 2)
    bearings = np.array([0., -.1, math.pi / 2, math.pi, -math.pi, -math.pi / 2, math.nan])
    assert spec.ray_of(bearings).tolist() == [0, 0, 1, 2, 2, 3, -1]
    assert SCAN.ray_of(np.array([-.9, -.84, .84, .9, 3.])).tolist() == [-1, 0, 16, -1, -1]


def test_a_scan_reaches_no_farther_than_the_table(table):
    with pytest.raises(ValueError, match='range_max is 31.0, wanted at most the 30.0 m'):
        scan_bins(table, ScanSettings(range_max=31.))


@pytest.mark.parametrize(('build', 'message'), [
    (lambda: ScanSettings(0., 7.), 'angle_max is 7.0'),
    (lambda: ScanSettings(0., 2 * math.pi, .5), 'angle_max is 6.28'),   # the first ray once more
    (lambda: ScanSettings(angle_increment=0.), 'angle_increment is 0.0'),
    (lambda: ScanSettings(range_min=3., range_max=2.), 'range_min is 3.0 and range_max 2.0'),
    (lambda: ScanSettings(range_max=math.nan), 'range_max is nan'),
    (lambda: GridSpec((20., 20.), 0., (0., -10.)), 'resolution_m is 0.0'),
    (lambda: GridSpec((0., 5.), .1, (0., -10.)), 'size_m is .0.0, 5.0.'),
    (lambda: GridSpec((1000., 1000.), .01, (0., -10.)),
     'resolution_m 0.01, which are 10,000,000,000 cells'),
    (lambda: GridSpec((20., 20.), .1, (math.inf, 0.)), 'origin_m .inf'),
    (lambda: path_bin(SMALL, 0.), 'half_width_m is 0.0'),
])
def test_a_bad_specification_names_field_value_and_what_is_wanted(build, message):
    with pytest.raises(ValueError, match=f'{message}.*wanted'):
        build()


def test_the_nearest_edge_is_that_of_the_strip_ahead(table):
    labels, path = all_road(table), path_bin(table, 1.)
    labels[np.abs(table.unlimited[..., 1]) > 1.2] = PAVEMENT
    assert nearest_edge(mask_of(labels), labels, path) == math.inf
    labels[rows_between(table, 9.9, 10.4)] = PAVEMENT
    assert nearest_edge(mask_of(labels), labels, path) == pytest.approx(10., abs=.15)
    behind = GroundTable(table.camera, Pose.from_mount(1.4, yaw_rad=math.pi), (64, 36), 30.)
    labels = np.full(behind.shape, PAVEMENT, np.uint8)
    assert math.isnan(nearest_edge(mask_of(labels), labels, path_bin(behind, 1.)))


@pytest.mark.parametrize('t', TIMES)
def test_obstacle_points_lie_on_the_border_of_the_road(scene, table, t):
    labels = scene.render(t)[1]
    points = obstacle_points(mask_of(labels), table, .3)
    assert points.dtype == np.float32 and points.shape[1] == 3 and len(points) > 200
    assert np.all(points[:, 2] == np.float32(.3))
    assert np.all(scene.ground_truth(points[:, 0], points[:, 1], t) != ROAD)
    near = points[np.hypot(points[:, 0], points[:, 1]) <= NEAR_M]
    _, d = scene.road.to_plan(scene.road.pose(t), near[:, 0], near[:, 1])
    assert np.abs(np.abs(d) - scene.style.road_half_m).max() < .25
    assert len(obstacle_points(mask_of(all_road(table)), table, .3)) == 0


def test_the_far_side_of_an_obstacle_is_left_out_however_the_camera_hangs(table):
    labels = all_road(table)
    rows = rows_between(table, 6., 9.)
    labels[rows[0]:rows[-1] + 1, 250:390] = PAVEMENT
    points = obstacle_points(mask_of(labels), table, 0.)
    front, x = table.points[rows[-1], 320, 0], points[:, 0]
    assert np.sum(np.isclose(x, front)) == 140
    assert len(points) == 140 + 2 * (len(rows) - 1)   # front and sides
    hanging = GroundTable(table.camera, Pose.from_mount(1.4, table_pitch(table), math.pi),
                          table.size, 30.)
    turned = obstacle_points(mask_of(labels[::-1, ::-1].copy()), hanging, 0.)
    assert np.sort(turned, 0) == pytest.approx(np.sort(points, 0), abs=1e-3)


@pytest.mark.parametrize('roll_rad', [0., .6, math.pi / 2, math.pi])
def test_a_wall_that_fills_the_circle_of_a_fisheye_begins_at_its_near_border(roll_rad):
    focal = 150. / math.radians(95)  # 190 degrees over 300 of 480x320 pixels
    fisheye = CameraModel(480, 320, (focal, 0, 239.5, 0, focal, 159.5, 0, 0, 1), (0.,) * 4,
                          distortion_model='equidistant')
    table = GroundTable(fisheye, Pose.from_mount(1., .35, roll_rad), (480, 320), 30.)
    points = obstacle_points(np.zeros(table.shape, np.uint8), table, .3)
    assert len(points) > 100  # one for each column of the ground, or more
    assert np.hypot(points[:, 0], points[:, 1]).min() < .5
    assert len(obstacle_points(mask_of(all_road(table)), table, .3)) == 0


def table_pitch(table):
    return math.asin(-table.pose.rotation_matrix[2, 2])


def test_unknown_borders_the_road_too(table):
    labels = all_road(table)
    labels[100:, :320] = UNKNOWN
    assert len(obstacle_points(mask_of(labels), table, 0.)) > 50


@pytest.mark.parametrize('t', TIMES)
def test_contours_in_meters_enclose_the_road(scene, table, t):
    labels = scene.render(t)[1]
    contours = ground_contours(mask_of(labels), table)
    assert all(contour.dtype == np.float32 and contour.shape[1] == 2 for contour in contours)
    assert len(contours[0]) < 200
    assert np.hypot(*np.vstack(contours).T).max() <= 30.
    data = rolling_grid(mask_of(labels), labels, GridCells(table, GridSpec.of(GridSettings())))
    x, y = np.meshgrid(np.arange(200) * .1 + .05, np.arange(200) * .1 - 9.95)
    seen = (data != -1) & (np.hypot(x, y) <= NEAR_M)
    inside = [max(cv2.pointPolygonTest(contour, point, False) for contour in contours) >= 0
              for point in np.column_stack((x[seen], y[seen])).tolist()]
    road = scene.ground_truth(x[seen], y[seen], t) == ROAD
    assert np.mean(inside == road) >= .98


def test_contours_end_where_the_table_does(table):
    near = GroundTable(table.camera, table.pose, table.size, 8.)
    contour, = ground_contours(mask_of(all_road(near)), near)
    assert np.hypot(*contour.T).max() == pytest.approx(8., abs=.1)
    assert ground_contours(np.zeros(near.shape, np.uint8), near) == []
