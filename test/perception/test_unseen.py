"""Pixels in which the camera does not see the scene are unknown, and no ground."""

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from support.black_border import BARREL, write_mask

from enet_ros.media.images import write_image
from enet_ros.network.class_map import ClassMap
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.encodings import EncodingError
from enet_ros.perception.geometry.camera_info import check_calibration
from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.ground import GroundTable, image_rays, unseen_pixels
from enet_ros.perception.ground_tables import make_ground_tables
from enet_ros.perception.parameters.settings import make_settings
from enet_ros.perception.parameters.table import ConfigError
from enet_ros.perception.perceive import Need, Perceiver
from enet_ros.perception.planner_outputs import (
    free_space_scan,
    near_border_range,
    nearest_edge,
    path_bin,
    scan_bins,
)
from enet_ros.perception.segmenter import Segmentation
from enet_ros.perception.valid_mask import ValidMask

WIDTH, HEIGHT = SIZE = 320, 192
CLASSES = ClassMap.from_names(('Road', 'Car'))
POSE = Pose.from_mount(1.4, .1)
K = np.array([[150., 0., 160.5], [0., 150., 95.], [0., 0., 1.]])


def rectified_info(alpha, lens=BARREL, d=None, model='plumb_bob'):
    """Return a camera info, and where OpenCV takes the pixels of its rectified images from."""
    d = lens if d is None else d
    p, _ = cv2.getOptimalNewCameraMatrix(K, lens, SIZE, alpha)
    maps = cv2.initUndistortRectifyMap(K, lens, None, p, SIZE, cv2.CV_32FC1)
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    return SimpleNamespace(
        width=WIDTH, height=HEIGHT, distortion_model=model, d=np.array(d), k=K.ravel(),
        r=np.eye(3).ravel(), p=np.hstack((p, np.zeros((3, 1)))).ravel(), binning_x=0, binning_y=0,
        roi=roi, header=SimpleNamespace(frame_id='')), maps


def settings_of(**values):
    values = {name.replace('__', '.'): value for name, value in values.items()}
    return CameraSettings.of(make_settings(values), CLASSES)


def perceive(camera, camera_settings, labels):
    tables = make_ground_tables(camera, POSE, SIZE, camera_settings)
    confidence = np.ones(labels.shape, np.float32)
    return Perceiver().perceive(
        Segmentation(labels, confidence), camera_settings, ground=tables,
        needs=Need.MASK | Need.CONFIDENCE | Need.GROUND, unseen=tables.table.unseen)


def check_nothing_is_free(perception, unseen):
    """Check every output where nothing is seen, and whether the others still see something."""
    assert (perception.labels[unseen] == 255).all() and not perception.mask[unseen].any()
    assert not perception.confidence[unseen].any() and perception.mask[~unseen].all()
    table, grid = perception.ground.table, perception.ground.grid
    assert np.isnan(table.points[unseen]).all()
    pixel_is_seen = ~unseen.ravel()[grid.pixel_indices]
    assert pixel_is_seen.all() and (perception.grid() == 0).sum() > 1000
    assert np.isposinf(perception.free_space()).sum() > 20


def test_black_borders_of_a_rectified_image_are_free_in_no_output():
    info, (x, y) = rectified_info(alpha=1)
    camera = check_calibration(info, SIZE, rectified=True).camera
    outside = (x < -1) | (x > WIDTH) | (y < -1) | (y > HEIGHT)
    assert outside[HEIGHT // 2:].mean() > .05
    unseen = unseen_pixels(image_rays(camera, SIZE), SIZE) != 0
    assert unseen[outside].all()
    assert not unseen[(x >= 0) & (x <= WIDTH - 1) & (y >= 0) & (y <= HEIGHT - 1)].any()
    road = np.zeros((HEIGHT, WIDTH), np.uint8)
    settings = settings_of(rectified=True, ground__path_width=.5, scan__range_max=10.)
    perception = perceive(camera, settings, road)
    check_nothing_is_free(perception, unseen)
    assert math.isinf(perception.drivable_summary(SIZE).nearest_edge_m)
    table = perception.ground.table
    first = np.nonzero(~unseen[:, WIDTH // 2])[0].max()  # the lowest row that is seen ahead
    assert first < HEIGHT - 5
    border_m = table.unlimited_range()[first, WIDTH // 2]
    assert near_border_range(table) >= border_m
    wall = perceive(camera, settings, np.ones_like(road))  # Its foot is at the border of the view.
    assert wall.drivable_summary(SIZE).nearest_edge_m == pytest.approx(border_m, rel=.1)
    ahead = np.abs(wall.obstacles()[:, 1]) < .05
    assert wall.obstacles()[ahead, 0].min() == pytest.approx(border_m, rel=.1)


@pytest.mark.parametrize('info', [
    rectified_info(alpha=0, lens=BARREL / 3)[0], rectified_info(alpha=1, d=())[0],
    rectified_info(alpha=1, d=(.1, .2), model='made up')[0],
    rectified_info(alpha=1, d=(9., 9., 0., 0.))[0],  # no lens
], ids=['alpha 0', 'no d', 'unknown model', 'impossible d'])
def test_without_a_border_that_is_known_all_pixels_of_a_rectified_image_are_seen(info):
    calibration = check_calibration(info, SIZE, rectified=True)
    assert not calibration.problem
    assert unseen_pixels(image_rays(calibration.camera, SIZE), SIZE) is None


def test_the_border_follows_region_of_interest_and_binning():
    info, (x, y) = rectified_info(alpha=1)
    info.roi = SimpleNamespace(x_offset=0, y_offset=96, width=320, height=96)
    info.binning_x = info.binning_y = 2
    camera = check_calibration(info, (160, 48), rectified=True).camera
    unseen = unseen_pixels(image_rays(camera, (160, 48)), (160, 48)) != 0
    x, y = (cv2.resize(each[96:], (160, 48), interpolation=cv2.INTER_AREA) for each in (x, y))
    assert unseen[(x < -2) | (x > WIDTH + 1) | (y < 94) | (y > HEIGHT + 1)].all()
    assert not unseen[(x > 1) & (x < WIDTH - 2) & (y > 97) & (y < HEIGHT - 2)].any()


def test_what_a_valid_mask_hides_is_free_in_no_output(tmp_path):
    row, column = np.mgrid[:HEIGHT, :WIDTH]
    bonnet = row > 150 + .001 * (column - 160) ** 2
    path = write_mask(tmp_path / 'mask.png', bonnet)
    camera = CameraModel(WIDTH, HEIGHT, K.ravel())
    settings = settings_of(valid_mask=path, ground__path_width=.5, scan__range_max=10.)
    road = np.zeros((HEIGHT, WIDTH), np.uint8)
    perception = perceive(camera, settings, road)
    check_nothing_is_free(perception, bonnet)
    assert math.isinf(perception.drivable_summary(SIZE).nearest_edge_m)
    assert np.isnan(perception.ground.points((640, 384))[310:, 300:340]).all()


@pytest.mark.parametrize('top', [0, 60, 120])
def test_no_ray_is_free_through_a_mast(tmp_path, top):
    """Neither does a mast make the near border so far that rays beside it need no ground."""
    mast = np.zeros((HEIGHT, WIDTH), bool)
    mast[top:, 150:162] = True
    camera = CameraModel(WIDTH, HEIGHT, K.ravel())
    bare = perceive(camera, settings_of(scan__range_max=10.), np.zeros(mast.shape, np.uint8))
    settings = settings_of(scan__range_max=10., valid_mask=write_mask(tmp_path / 'mask.png', mast))
    perception = perceive(camera, settings, np.zeros(mast.shape, np.uint8))
    free, free_before = np.isposinf(perception.free_space()), np.isposinf(bare.free_space())
    assert not (free & ~free_before).any()
    angles = settings.settings.scan.angle_min + np.arange(len(free)) * .0174533
    through = np.abs(np.tan(angles) - np.tan(math.atan((160.5 - 156) / 150))) < .03
    assert free_before[through].all() and not free[through].any()
    assert (free_before & ~free).sum() < 12
    assert math.isnan(perception.drivable_summary(SIZE).nearest_edge_m)


@pytest.mark.parametrize('row', range(110, 156, 6))
def test_a_hole_between_the_ends_of_a_ray_is_noticed(tmp_path, row):
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[row:row + 3, 140:180] = True
    settings = settings_of(scan__range_max=10., valid_mask=write_mask(tmp_path / 'mask.png', hole))
    perception = perceive(CameraModel(WIDTH, HEIGHT, K.ravel()), settings,
                          np.zeros(hole.shape, np.uint8))
    assert np.isnan(perception.free_space()[88:93]).all()


@pytest.mark.parametrize('row', range(120, 200, 9))
def test_a_ray_is_not_free_through_one_hidden_row(tmp_path, row):
    size, k = (640, 360), (400., 0., 319.5, 0., 400., 179.5, 0., 0., 1.)
    hidden = np.zeros(size[::-1], bool)
    hidden[row] = True
    mask = ValidMask.read(write_mask(tmp_path / 'mask.png', hidden))
    table = GroundTable(CameraModel(*size, k), Pose.from_mount(1.4, .3), size, 20., mask)
    settings = settings_of(scan__range_max=10.).settings.scan
    free = np.full(table.shape, 255, np.uint8)
    scan = free_space_scan(free, np.zeros_like(free), scan_bins(table, settings))
    ahead = np.abs(settings.angle_min + settings.angle_increment * np.arange(len(scan))) < .3
    assert np.hypot(*table.to_ground([(319.5, row)])[0]) < 9.5
    assert not np.isposinf(scan[ahead]).any()
    assert math.isnan(nearest_edge(free, np.zeros_like(free), path_bin(table, .2)))


def test_pixels_without_a_ray_are_unknown_where_the_ground_is_there():
    camera = CameraModel(WIDTH, HEIGHT, (60., 0, 159.5, 0, 60., 95.5, 0, 0, 1), (0.,) * 4,
                         distortion_model='equidistant')
    table = GroundTable(camera, POSE, SIZE, 30.)
    assert table.unseen is not None and table.unseen[-1, 0] == 255 and not table.unseen[96, 160]


def test_a_mask_of_another_size_hides_whatever_it_touches(tmp_path):
    unseen = np.zeros((720, 1280), bool)
    unseen[713:, 640] = True
    mask = ValidMask.read(write_mask(tmp_path / 'mask.png', unseen))
    mask.check_fits((1920, 1080))
    for size in ((640, 360), (1280, 720), (1920, 1080), (160, 96)):
        hidden = mask.unseen(size)
        assert hidden.shape == size[::-1] and hidden[-1, size[0] // 2] == 255
        assert (hidden != 0).sum() < .0005 * hidden.size
    with pytest.raises(EncodingError, match='has 1280x720 pixels and frames have 640x480'):
        mask.check_fits((640, 480))


@pytest.mark.parametrize(('write', 'reason'), [
    (lambda path: None, 'there is no such file'),
    (lambda path: path.mkdir(), 'there is no such file'),
    (lambda path: path.write_bytes(b'a: b'), 'is no PNG'),
    (lambda path: path.write_bytes(cv2.imencode('.jpg', np.eye(9) * 255)[1]), 'is no PNG'),
    (lambda path: path.write_bytes(cv2.imencode('.png', np.eye(9) * 255)[1][:-20]),
     'cannot be read'),
    (lambda path: write_image(path, np.zeros((9, 9), np.uint8)), 'all pixels are 0'),
    (lambda path: write_image(path, np.ones((9, 9, 3), np.uint8)), 'no pixel is 0'),
], ids=['nothing', 'a folder', 'text', 'JPEG', 'cut short', 'nothing valid', 'nothing hidden'])
def test_a_mask_that_cannot_be_used_is_refused_by_name(tmp_path, write, reason):
    write(tmp_path / 'mask.png')
    with pytest.raises(ConfigError, match=reason) as error:
        settings_of(valid_mask=str(tmp_path / 'mask.png'))
    assert f"valid_mask is '{tmp_path / 'mask.png'}'" in str(error.value)


def test_a_home_folder_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match='valid_mask is .~nobody.at.all/mask.png., which cannot'):
        settings_of(valid_mask='~nobody.at.all/mask.png')


def test_tables_follow_the_mask(tmp_path):
    hidden = np.zeros((HEIGHT, WIDTH), bool)
    hidden[180:] = True
    camera = CameraModel(WIDTH, HEIGHT, K.ravel())
    bare, masked = settings_of(), settings_of(valid_mask=write_mask(tmp_path / 'm.png', hidden))
    tables = make_ground_tables(camera, POSE, SIZE, bare)
    assert tables.table.unseen is None
    changed = tables.updated(camera, POSE, masked)
    assert np.array_equal(changed.table.unseen != 0, hidden)
    moved = changed.updated(camera, Pose.from_mount(1.5, .1), masked)
    assert np.array_equal(moved.table.unseen != 0, hidden)
    assert moved.updated(camera, POSE, bare).table.unseen is None
