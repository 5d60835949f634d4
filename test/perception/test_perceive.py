"""Perception from arrays: the mask, the ground in meters, and what is left out."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.ground import hold_rays

from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.drivable import drivable_contours
from enet_ros.perception.encodings import BitDepth, EncodedImage, Scratch
from enet_ros.perception.frame import FrameInFlight
from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.ground_tables import make_ground_tables
from enet_ros.perception.parameters.settings import make_settings
from enet_ros.perception.perceive import Need, Perceiver
from enet_ros.perception.planner_outputs import nearest_edge, obstacle_points
from enet_ros.perception.segmenter import Segmentation
from enet_ros.perception.steps import decode_frame

ROAD, PAVEMENT, SIZE = 3, 4, (24, 16)
CAMERA = CameraModel(24, 16, (18, 0, 11.5, 0, 18, 7.5, 0, 0, 1))
POSE = Pose.from_mount(1.2, .2)
MASK_AND_GROUND = Need.MASK | Need.GROUND


def settings_of(**values):
    return CameraSettings.of(
        make_settings({name.replace('__', '.'): value for name, value in values.items()}),
        ClassMap.from_names(CAMVID_NAMES))


def segmentation(labels=ROAD, confidence=None):
    shape = SIZE[::-1]
    return Segmentation(np.full(shape, labels, np.uint8),
                        None if confidence is None else np.full(shape, confidence, np.float32))


def street():
    """Road with pavement from column 16."""
    result = segmentation()
    result.labels[:, 16:] = PAVEMENT
    return result


def tables(camera_settings, pose=POSE):
    return make_ground_tables(CAMERA, pose, SIZE, camera_settings)


def test_without_a_need_there_is_only_what_came():
    result = segmentation()
    perception = Perceiver().perceive(result, settings_of(), needs=Need.NOTHING)
    assert perception.labels is result.labels
    assert (perception.mask, perception.confidence, perception.ground) == (None, None, None)


def test_the_mask_is_the_drivable_classes():
    result = street()
    perception = Perceiver().perceive(result, settings_of(), needs=Need.MASK)
    assert np.array_equal(perception.mask == 255, result.labels == ROAD)


def test_a_pixel_below_the_confidence_floor_is_not_drivable():
    result = segmentation(confidence=.9)
    result.confidence[3, 4] = .5
    perception = Perceiver().perceive(result, settings_of(confidence_floor=.8), needs=Need.MASK)
    assert np.argwhere(perception.mask == 0).tolist() == [[3, 4]]


def test_a_class_that_is_forbidden_is_not_drivable_from_the_next_frame_on():
    voting = make_settings({'drivable.majority': 15})
    class_map = ClassMap.from_names(CAMVID_NAMES, ('Road', 'Pavement'))
    before = CameraSettings.of(voting, class_map)
    forbidden = CameraSettings.of(voting, class_map.override({'Pavement': {'drivable': False}}))
    perceiver = Perceiver()

    def drivable(camera_settings, labels, order_sec):
        return perceiver.perceive(segmentation(labels), camera_settings, needs=Need.MASK,
                                  order_sec=order_sec).mask.all()

    assert all(drivable(before, PAVEMENT, index / 30) for index in range(15))
    assert not drivable(CameraSettings.of(voting, class_map), UNKNOWN - 1, .5)
    assert drivable(before, ROAD, .51)  # with the votes before: nothing has changed
    assert not drivable(forbidden, PAVEMENT, .52)
    assert not drivable(forbidden, ROAD, .53)  # one vote of two
    assert drivable(forbidden, ROAD, .54)


@pytest.mark.parametrize('change', [{'time_epoch': 1}, {'frame_id': 'rear'}, {'height': 36}])
def test_votes_are_forgotten_after_a_jump_of_time_and_in_another_view(change):
    perceiver, camera_settings = Perceiver(), settings_of(drivable__majority=5)

    def drivable(labels, order_sec, frame_id='front', height=27, time_epoch=0):
        image = EncodedImage(bytes(48 * height), 'mono8', 48, height, 48)
        frame = FrameInFlight(0, SimpleNamespace(frame_id=frame_id), image, time_epoch=time_epoch,
                              camera_settings=camera_settings)
        decode_frame(frame, np.empty((*SIZE[::-1], 3), np.uint8), Scratch(), BitDepth())
        return perceiver.perceive(segmentation(labels), camera_settings, needs=Need.MASK,
                                  order_sec=order_sec, vote_group=frame.vote_group).mask.all()

    assert not any(drivable(PAVEMENT, order_sec) for order_sec in (1.0, 1.1, 1.2))
    assert not drivable(ROAD, 1.3)  # outvoted, as the next would be by 3 of 5
    assert drivable(ROAD, 1.4, **change)


def test_votes_do_not_need_every_frame_to_need_a_mask():
    perceiver, camera_settings = Perceiver(), settings_of(drivable__majority=3)
    for needs, order_sec in ((Need.MASK, 1.0), (Need.NOTHING, 1.1), (Need.MASK, 1.2)):
        perceiver.perceive(segmentation(PAVEMENT), camera_settings, needs=needs,
                           order_sec=order_sec)
    last = perceiver.perceive(segmentation(), camera_settings, needs=Need.MASK, order_sec=1.3)
    assert not last.mask.any()


def test_the_summary_without_a_ground_has_no_meters():
    result = Segmentation(street().labels, np.full(SIZE[::-1], .5, np.float32))
    summary = Perceiver().perceive(result, settings_of(), needs=Need.MASK | Need.CONFIDENCE
                                   ).drivable_summary((48, 32))
    assert summary.fraction == pytest.approx(16 / 24)
    assert summary.confidence == pytest.approx(.5)
    expected, = drivable_contours(np.where(result.labels == ROAD, 255, 0).astype(np.uint8),
                                  (48, 32))
    assert np.array_equal(summary.contours_px[0], expected)
    assert np.isnan(summary.nearest_edge_m) and summary.contours_m == ()


def test_outputs_in_meters_are_those_of_mask_and_ground():
    camera_settings = settings_of(ground__obstacle_height=.4, ground__max_range=12.)
    ground = tables(camera_settings)
    result = Segmentation(street().labels, np.ones(SIZE[::-1], np.float32))
    perception = Perceiver().perceive(result, camera_settings, needs=MASK_AND_GROUND,
                                      ground=ground)
    assert np.array_equal(perception.obstacles(),
                          obstacle_points(perception.mask, ground.table, .4))
    assert len(perception.free_space()) == camera_settings.settings.scan.count
    assert perception.grid().shape == camera_settings.grid.cells[::-1]
    assert {0, 100} <= set(np.unique(perception.grid()).tolist())
    summary = perception.drivable_summary(SIZE)
    assert summary.nearest_edge_m == nearest_edge(perception.mask, result.labels, ground.path)
    assert len(summary.contours_m) == 1


def test_unknown_ground_is_free_nowhere():
    camera_settings = settings_of()
    perception = Perceiver().perceive(segmentation(UNKNOWN), camera_settings,
                                      needs=MASK_AND_GROUND, ground=tables(camera_settings))
    assert not (perception.grid() == 0).any()
    assert np.isnan(perception.free_space()).all()


def test_tables_are_kept_while_nothing_changes_and_share_what_stays():
    before = settings_of()
    ground = tables(before)
    assert ground.updated(CAMERA, POSE, before) is ground
    other_settings = settings_of(overlay_opacity=.1)
    changed = ground.updated(CAMERA, POSE, other_settings)
    assert changed.table is ground.table and changed.camera_settings is other_settings
    moved = ground.updated(CAMERA, Pose.from_mount(1.3, .2), before)
    expected = tables(before, Pose.from_mount(1.3, .2))
    assert np.array_equal(moved.table.points, expected.table.points, equal_nan=True)
    farther = ground.updated(CAMERA, POSE, settings_of(ground__max_range=99.))
    assert farther.table.max_range_m == 99.


def test_points_of_another_size_are_those_of_its_own_table():
    camera_settings = settings_of()
    ground = tables(camera_settings)
    assert ground.points(SIZE) is ground.table.points
    expected = make_ground_tables(CAMERA, POSE, (48, 32), camera_settings).table.points
    assert np.array_equal(ground.points((48, 32)), expected, equal_nan=True)


def test_points_of_another_size_are_kept_until_they_change_and_undistorted_once(monkeypatch):
    undistorted, real = [], CameraModel.rays
    monkeypatch.setattr(CameraModel, 'rays', lambda self, pixels, size: (
        undistorted.append(size) or real(self, pixels, size)))
    ground, size, steeper = tables(settings_of()), (48, 32), Pose.from_mount(1.2, .3)
    points = ground.points(size)
    assert ground.updated(CAMERA, POSE, settings_of(overlay_opacity=.1)).points(size) is points
    for pose, max_range in ((steeper, 30.), (steeper, 3.), (POSE, 30.)):
        camera_settings = settings_of(ground__max_range=max_range)
        ground = ground.updated(CAMERA, pose, camera_settings)
        moved, undistorted_before = ground.points(size), len(undistorted)
        expected = make_ground_tables(CAMERA, pose, size, camera_settings).table.points
        assert np.array_equal(moved, expected, equal_nan=True)
        del undistorted[undistorted_before:]
    assert undistorted == [SIZE, size]
    other = replace(CAMERA, k=(20, 0, 11.5, 0, 20, 7.5, 0, 0, 1))
    expected = make_ground_tables(other, POSE, size, settings_of()).table.points
    assert np.array_equal(ground.updated(other, POSE, settings_of()).points(size), expected,
                          equal_nan=True)


def test_points_of_another_size_are_computed_meanwhile_and_have_the_newest_pose(monkeypatch):
    size, steeper, camera_settings = (48, 32), Pose.from_mount(1.2, .3), settings_of()
    held = hold_rays(monkeypatch, size)
    ground = tables(camera_settings)
    assert ground.points(size, wait_sec=.01) is None
    ground = ground.updated(CAMERA, steeper, camera_settings)
    assert ground.points(size, wait_sec=10.) is None  # Only the first call waits.
    assert ground.points(SIZE, wait_sec=.01) is ground.table.points
    held.set()
    points = ground.points(size)
    expected = make_ground_tables(CAMERA, steeper, size, camera_settings).table.points
    assert np.array_equal(points, expected, equal_nan=True)
    assert ground.points(size, wait_sec=0.) is points
    ground.forget_points()
    held.clear()
    assert ground.points(size, wait_sec=.01) is None
    held.set()
