"""The synthetic street: its geometry, its labels and its repeatability."""

import hashlib
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.ground import GroundTable
from enet_ros.scene.camera import FAR_M, Camera
from enet_ros.scene.road_scene import RoadScene
from enet_ros.scene.style import EMPTY, LIGHTS, Style

SKY, ROAD, PAVEMENT, TREE, CAR = 0, 3, 4, 5, 8
SMALL = (160, 90)


@pytest.fixture(scope='module')
def scene():
    """Return one small default scene; rendering does not change it."""
    return RoadScene(*SMALL)


@pytest.fixture(scope='module')
def bare():
    """Return a scene without objects, with tight bends and a steeper camera."""
    return RoadScene(*SMALL, seed=3, style=replace(EMPTY, curve_m=6., pitch_rad=.06))


def ground_of(scene, t_seconds):
    """Return a frame's ground truth, and a mask of the pixels where rounding cannot matter."""
    v, u = np.mgrid[0:scene.camera.height, 0:scene.camera.width]
    x, y = scene.camera.to_ground(u, v)
    near = x <= FAR_M
    x, y = np.where(near, x, 1.), np.where(near, y, 0.)
    _, d = scene.road.to_plan(scene.road.pose(t_seconds), x, y)
    edge = scene.style.road_half_m
    sure = near & (np.abs(np.abs(d) - edge) > 1e-3)
    sure &= np.abs(np.abs(d) - edge - scene.style.pavement_m) > 1e-3
    return scene.ground_truth(x, y, t_seconds), sure


def test_shapes_and_types_when_rendered(scene):
    frame, label_map = scene.render(0.)
    assert frame.shape == (90, 160, 3) and frame.dtype == np.uint8
    assert label_map.shape == (90, 160) and label_map.dtype == np.uint8
    assert frame.flags.c_contiguous and label_map.flags.c_contiguous


def test_same_bytes_when_rendered_again_in_another_order(scene):
    times = (0., 12.3, 3599.9, 7200.5)
    first = [scene.render(t) for t in times]
    twin = RoadScene(*SMALL)
    again = [twin.render(t) for t in times[::-1]][::-1]
    for (frame, label_map), (frame2, label_map2) in zip(first, again):
        assert np.array_equal(frame, frame2) and np.array_equal(label_map, label_map2)


def test_caller_may_write_into_results(scene):
    frame, label_map = scene.render(1.)
    frame[:], label_map[:] = 0, 0
    assert scene.render(1.)[1].any()


def test_a_negative_seed_is_refused_with_its_value():
    with pytest.raises(ValueError, match='seed is -1, wanted 0 or more'):
        RoadScene(*SMALL, seed=-1)


def test_frame_and_labels_change_when_seed_changes(scene):
    frame, label_map = RoadScene(*SMALL, seed=1).render(2.)
    frame0, label_map0 = scene.render(2.)
    assert np.mean(frame != frame0) > .5
    assert np.mean(label_map != label_map0) > .05


def test_frame_moves_when_time_passes(scene):
    label_maps = [scene.render(t)[1] for t in (0., .1, 5.)]
    assert 0. < np.mean(label_maps[0] != label_maps[1]) < .2
    assert np.mean(label_maps[0] != label_maps[2]) > .05


def test_loop_closes_after_an_hour(scene):
    frame_a, labels_a = scene.render(1.5)
    frame_b, labels_b = scene.render(3601.5)
    assert np.array_equal(labels_a, labels_b)
    assert np.abs(frame_a.astype(int) - frame_b).max() < 40   # the sensor's noise alone


@pytest.mark.parametrize('seed', range(4))
def test_ids_are_camvid_when_style_is_random(seed):
    random = RoadScene.random(seed, *SMALL)
    frame, label_map = random.render(seed * 11.)
    assert label_map.max() <= 10
    assert 0.1 < np.mean(label_map == ROAD) < .8
    assert 20 < frame.mean() < 220 and frame.std() > 10


def test_same_bytes_when_random_scene_is_made_again():
    frame, label_map = RoadScene.random(1, *SMALL).render(4.)
    frame2, label_map2 = RoadScene.random(1, *SMALL).render(4.)
    assert np.array_equal(frame, frame2) and np.array_equal(label_map, label_map2)


@pytest.mark.parametrize('light', LIGHTS)
def test_every_light_renders_when_wet_or_dry(light):
    frame, _ = RoadScene(*SMALL, style=Style(light=light, wet=.5)).render(0.)
    assert frame.std() > 10


def test_every_class_appears_over_a_loop():
    scene = RoadScene(320, 180)
    seen = set()
    for t in range(0, 60, 2):
        seen |= set(np.unique(scene.render(float(t))[1]).tolist())
    assert seen == set(range(11))


def test_sky_lies_above_the_horizon_alone(scene):
    horizon = scene.camera.horizon_px
    for t in range(0, 60, 7):
        _, label_map = scene.render(float(t))
        rows = np.nonzero(label_map == SKY)[0]
        assert rows.size and rows.max() < horizon


def test_road_is_before_the_vehicle(scene):
    for t in range(0, 60, 3):
        assert scene.render(float(t))[1][-1, SMALL[0] // 2] == ROAD


@pytest.mark.parametrize('t_seconds', [0., 7.7, 31., 59.9])
def test_labels_equal_ground_truth_when_nothing_stands_there(bare, t_seconds):
    truth, sure = ground_of(bare, t_seconds)
    _, label_map = bare.render(t_seconds)
    assert sure.mean() > .3
    assert np.array_equal(label_map[sure], truth[sure])
    assert set(np.unique(truth[sure])) == {ROAD, PAVEMENT, TREE}


@pytest.mark.parametrize('seed', range(3))
def test_road_and_pavement_are_true_when_scene_is_full(seed):
    scene = RoadScene.random(seed, *SMALL)
    truth, sure = ground_of(scene, 13.)
    _, label_map = scene.render(13.)
    flat = sure & np.isin(label_map, (ROAD, PAVEMENT))
    assert flat.mean() > .2
    assert np.array_equal(label_map[flat], truth[flat])


def test_ground_point_carries_its_class_when_projected(bare):
    x, y = np.meshgrid(np.arange(6., 30., .5), np.arange(-8., 8., .25))
    points = np.stack((x.ravel(), y.ravel(), np.zeros(x.size)), axis=1)
    u, v = np.rint(bare.camera.project(points)).astype(int).T
    inside = (u >= 0) & (u < SMALL[0]) & (v >= 0) & (v < SMALL[1])
    # A point's pixel covers some ground: take points whose class does not change around them.
    reach = bare.camera.to_ground(u[inside] + .5, v[inside] - .5)[0].max() / bare.camera.fx * 2
    around = [bare.ground_truth(points[inside, 0], points[inside, 1] + dy, 4.)
              for dy in (-reach, 0, reach)]
    steady = (around[0] == around[1]) & (around[1] == around[2])
    found = bare.render(4.)[1][v[inside], u[inside]]
    assert np.mean(steady) > .5
    assert np.mean(found[steady] == around[1][steady]) > .995


def test_projection_and_its_inverse_agree():
    camera = Camera(640, 360, 560., 560., 319.5, 179.5, 1.4, .035)
    u, v = np.array([0., 320., 639.]), np.array([359., 250., 200.])
    x, y = camera.to_ground(u, v)
    points = np.stack((x, y, np.zeros(3)), axis=1)
    assert np.allclose(camera.project(points), np.stack((u, v), axis=1), atol=1e-6)
    assert np.isnan(camera.to_ground(10, camera.horizon_px - 1)[0])
    assert np.isnan(camera.project(np.array([[-5., 0., 0.]]))).all()


def test_known_point_projects_as_a_pinhole_does():
    camera = Camera(640, 360, 500., 500., 319.5, 179.5, 1.4, 0.)
    u, v = camera.project(np.array([[10., 2., 0.]]))[0]
    assert (u, v) == pytest.approx((319.5 - 100., 179.5 + 70.))
    assert camera.k.tolist() == [[500., 0, 319.5], [0, 500., 179.5], [0, 0, 1.]]


def test_plan_and_base_are_inverse(scene):
    pose = scene.road.pose(21.)
    plan_x, d = scene.road.to_plan(pose, np.array([5., 90.]), np.array([-2., 3.]))
    assert np.allclose(scene.road.to_base(pose, plan_x, d), [[5., 90.], [-2., 3.]])


def test_vehicle_keeps_its_speed_and_lane(scene):
    a, b = scene.road.pose(10.), scene.road.pose(11.)
    assert b.x - a.x == pytest.approx(scene.style.speed_mps)
    assert scene.ground_truth(0., 0., 10.) == ROAD
    side = scene.road.to_plan(a, 0., 0.)[1]
    assert 0 < side < scene.style.lane_m


@pytest.mark.parametrize('size', [(32, 32), (33, 35), (320, 32), (32, 240), (1281, 719)])
def test_any_size_renders(size):
    frame, label_map = RoadScene(*size).render(3.)
    assert frame.shape == (size[1], size[0], 3) and label_map.shape == size[::-1]
    assert label_map[-1, size[0] // 2] == ROAD


@pytest.mark.parametrize(('size', 'name'), [
    ((0, 90), 'width is 0'), ((160, -4), 'height is -4'), ((31, 90), 'width is 31'),
    ((160, 90.5), 'height is 90.5'), ((float('nan'), 90), 'width is nan'),
    ((160, float('inf')), 'height is inf')])
def test_value_error_names_the_size_when_it_is_bad(size, name):
    with pytest.raises(ValueError, match=name):
        RoadScene(*size)


@pytest.mark.parametrize('t_seconds', [float('nan'), float('inf'), -float('inf')])
def test_value_error_names_the_time_when_it_is_not_finite(scene, t_seconds):
    with pytest.raises(ValueError, match=f't_seconds is {t_seconds}'):
        scene.render(t_seconds)
    with pytest.raises(ValueError, match=f't_seconds is {t_seconds}'):
        scene.ground_truth(1., 0., t_seconds)


@pytest.mark.parametrize('t_seconds', [-3., 1e9, 1e300, 7])
def test_any_finite_time_renders(scene, t_seconds):
    assert (scene.render(t_seconds)[1] == ROAD).mean() > .1


@pytest.mark.skipif(cv2.__version__ != '4.14.0', reason='pinned with the OpenCV of constraints, '
                    'whose versions resample and fill with other roundings')
@pytest.mark.parametrize(('make', 'digest'), [
    (lambda: RoadScene(*SMALL), 'b0b3f569df263ed4'),
    (lambda: RoadScene.random(1, *SMALL), '237fd66542d46bb0'),
    (lambda: RoadScene(*SMALL, 3, EMPTY), '671094fe9e74b2aa')])
def test_labels_stay_as_they_were_when_flat_and_without_obstacle(make, digest):
    scene = make()
    drawn = b''.join(scene.render(t)[1].tobytes() for t in (0., 7.7, 31.))
    assert hashlib.sha256(drawn).hexdigest()[:16] == digest


SLOPES = [(0., 0.), (.02, 0.), (-.03, 0.), (.1, 9.), (-.05, 9.)]


def behind_obstacle(slope=0., slope_from_m=0., base=EMPTY):
    """Return a scene of 320x180 pixels with an obstacle on bends."""
    return RoadScene(320, 180, 3, replace(base, obstacle=True, curve_m=6., pitch_rad=.06,
                                          slope=slope, slope_from_m=slope_from_m))


def dilate(mask, pixels=1):
    """Return a mask extended by some pixels in every direction."""
    return cv2.dilate(mask.astype(np.uint8), np.ones(2 * (2 * pixels + 1,), np.uint8)) > 0


def prism_over(scene, corners):
    """Return the pixels, (H, W) bool, of the space up to 1.47 m above a footprint."""
    points = [(x, y, scene.camera.rise(x) + up) for x, y in corners for up in (0., 1.47)]
    hull = cv2.convexHull(scene.camera.project(np.array(points)).astype(np.float32))
    mask = np.zeros((scene.camera.height, scene.camera.width), np.uint8)
    return cv2.fillConvexPoly(mask, np.rint(hull).astype(int), 1) > 0


@pytest.mark.parametrize(('slope', 'slope_from_m'), SLOPES)
@pytest.mark.parametrize('t_seconds', [0., 4.3, 10., 3617.])
def test_obstacle_covers_its_footprint_and_truth_holds_around_it(slope, slope_from_m, t_seconds):
    scene = behind_obstacle(slope, slope_from_m)
    truth, sure = ground_of(scene, t_seconds)
    _, label_map = scene.render(t_seconds)
    stood_on = (truth == CAR) & sure
    assert stood_on.any()
    # cv2.fillPoly decides about the pixels that a polygon's border crosses.
    assert (label_map[stood_on & ~dilate(truth != CAR)] == CAR).all()
    flat = sure & np.isin(label_map, (ROAD, PAVEMENT, TREE)) & ~dilate(label_map == CAR)
    assert flat.mean() > .3
    assert np.array_equal(label_map[flat], truth[flat])
    assert not ((label_map == CAR) & ~dilate(prism_over(scene, scene.obstacle(t_seconds)))).any()


@pytest.mark.parametrize(('slope', 'slope_from_m'), SLOPES)
@pytest.mark.parametrize('t_seconds', [0., 4.3, 10., 3617.])
def test_obstacle_meets_the_ground_at_its_rear_edge(slope, slope_from_m, t_seconds):
    scene = behind_obstacle(slope, slope_from_m)
    _, label_map = scene.render(t_seconds)
    rear = scene.obstacle(t_seconds)[[0, 3]]
    right, left = scene.camera.project(np.column_stack((rear, scene.camera.rise(rear[:, 0]))))
    rows, columns = np.nonzero(label_map == CAR)
    lowest = np.array([rows[columns == u].max() for u in range(math.ceil(left[0]) + 1,
                                                               math.floor(right[0]))])
    wanted = np.interp(np.arange(len(lowest)) + math.ceil(left[0]) + 1, (left[0], right[0]),
                       (left[1], right[1]))
    assert np.abs(lowest - wanted).max() <= 1.


def test_obstacle_swings_from_20_m_to_6_m_and_back(scene):
    style = replace(EMPTY, obstacle=True, curve_m=0., wander_m=0.)
    straight = RoadScene(*SMALL, style=style)
    for t_seconds, rear_m in ((0., 20.), (5., 13.), (10., 6.), (20., 20.), (3610., 6.)):
        rear, front = rear_m, rear_m + 4.07
        assert straight.obstacle(t_seconds) == pytest.approx(
            np.array([(rear, -.86), (front, -.86), (front, .86), (rear, .86)]))
        inside = straight.ground_truth(rear + np.array([-.01, .01, 4.06, 4.08]), np.zeros(4),
                                       t_seconds)
        assert inside.tolist() == [ROAD, CAR, CAR, ROAD]
    assert scene.obstacle(0.) is None
    with pytest.raises(ValueError, match='t_seconds is nan'):
        straight.obstacle(float('nan'))


def test_obstacle_is_alone_in_its_lane_when_the_road_is_full():
    busy = behind_obstacle(base=Style(car_density=2.))
    for t_seconds in range(0, 60, 4):
        truth, sure = ground_of(busy, t_seconds)
        stood_on = (truth == CAR) & sure & ~dilate(truth != CAR)
        assert (busy.render(t_seconds)[1][stood_on] == CAR).all()


@pytest.mark.parametrize(('slope', 'slope_from_m'), SLOPES[1:])
def test_rays_meet_the_slope_where_its_points_project_to(slope, slope_from_m):
    camera = behind_obstacle(slope, slope_from_m).camera
    x, y = np.meshgrid(np.arange(3., 60., .5), np.arange(-8., 8., .5))
    height = math.tan(slope) * np.maximum(0., x - slope_from_m)
    assert camera.rise(x) == pytest.approx(height)
    pixels = camera.project(np.stack((x.ravel(), y.ravel(), height.ravel()), axis=1))
    found = camera.to_ground(*pixels.T)
    assert np.allclose(found, (x.ravel(), y.ravel()), atol=1e-8)
    assert np.isnan(camera.to_ground(10., camera.horizon_px - 1e-6)[0])
    far = camera.project(np.array([[1e9, 0., camera.rise(1e9)]]))[0, 1]
    assert far == pytest.approx(camera.horizon_px, abs=1e-4)


@pytest.mark.parametrize(('slope', 'slope_from_m'), SLOPES[1:])
def test_labels_equal_ground_truth_when_sloped(slope, slope_from_m):
    sloped = RoadScene(*SMALL, 3, replace(EMPTY, curve_m=6., slope=slope,
                                          slope_from_m=slope_from_m))
    truth, sure = ground_of(sloped, 7.7)
    assert sure.mean() > .3
    assert np.array_equal(sloped.render(7.7)[1][sure], truth[sure])


def test_a_constant_slope_looks_like_a_pitch_that_nobody_knows():
    """Tilting the ground about the base frame's y axis equals rotating and moving the camera."""
    style, slope = replace(EMPTY, curve_m=0., wander_m=0., noise=0.), .02
    sloped = RoadScene(*SMALL, style=replace(style, slope=slope)).camera
    u, v = np.meshgrid(np.arange(0., 160., 8.), np.arange(50., 90.))
    along = sloped.to_ground(u, v)[0] / math.cos(slope)   # meters on the incline itself
    pitched = RoadScene(*SMALL, style=replace(
        style, pitch_rad=style.pitch_rad + slope,
        camera_height_m=style.camera_height_m * math.cos(slope))).camera
    moved = style.camera_height_m * math.sin(slope)
    assert np.allclose(along, pitched.to_ground(u, v)[0] + moved)


@pytest.mark.parametrize(('x_m', 'slope', 'error_m'), [
    (5., .02, .3847), (10., .02, 1.6671), (20., .02, 8.0020), (10., -.02, -1.2502),
    (10., .01, .7693)])
def test_flat_ground_projection_errs_on_a_slope_as_geometry_says(x_m, slope, error_m):
    """A point x ahead is x tan(slope) high: its ray meets z = 0 at x h / (h - x tan(slope))."""
    scene = RoadScene(640, 360, style=replace(EMPTY, slope=slope))
    camera, height = scene.camera, scene.camera.height_m
    assert height == 1.4
    table = GroundTable(CameraModel(640, 360, camera.k), Pose.from_mount(height, camera.pitch_rad),
                        (640, 360), 30.)
    pixel = camera.project(np.array([[x_m, 1., camera.rise(x_m)]]))
    [[found_x, found_y]] = table.to_ground(pixel)
    lift = x_m * math.tan(slope)
    assert found_x - x_m == pytest.approx(x_m * lift / (height - lift), abs=1e-6)
    assert found_x - x_m == pytest.approx(error_m, abs=1e-3)
    assert found_y == pytest.approx(found_x / x_m, abs=1e-6)   # sideways by the same factor
    row, column = np.rint(pixel[0, ::-1]).astype(int)
    true_x = camera.to_ground(column, row)[0]
    pixel_lift = true_x * math.tan(slope)
    assert table.unlimited[row, column, 0] == pytest.approx(
        true_x * height / (height - pixel_lift), rel=1e-5)


@pytest.mark.parametrize(('change', 'message'), [
    ({'slope': .3}, 'slope is 0.3, wanted -0.2 to 0.2 radians'),
    ({'slope': float('nan')}, 'slope is nan, wanted'),
    ({'slope_from_m': -1.}, 'slope_from_m is -1.0, wanted 0 to 400 m'),
    ({'slope': -.1, 'slope_from_m': 20.}, r'slope is -0.1 from 20.0 m on, wanted')])
def test_value_error_names_the_slope_when_it_is_bad(change, message):
    with pytest.raises(ValueError, match=message):
        RoadScene(*SMALL, style=replace(EMPTY, **change))


def test_value_error_when_the_slope_leaves_no_ground_in_the_frame():
    with pytest.raises(ValueError, match='wanted one that the camera looks down upon'):
        RoadScene(320, 32, style=Style(slope=-.2))
