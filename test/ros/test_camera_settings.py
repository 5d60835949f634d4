"""Settings of single cameras, and drivable settings that change at run time."""

import time

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from support.ground import GROUND, NETWORK, calibration, xyz  # noqa: E402

from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.network.classes import CAMVID_NAMES  # noqa: E402
from enet_ros.perception.drivable import DrivableFilter, drivable_mask  # noqa: E402
from enet_ros.perception.parameters.settings import DrivableSettings  # noqa: E402

pytestmark = pytest.mark.ros
LUT = ClassMap.from_names(CAMVID_NAMES).drivable_lut()


def test_drivable_policy_is_applied_and_changes_at_run_time(bench, pixels, road_frame):
    node = bench(output_size='network')
    node.listen('labels', 'drivable_mask')
    for settings in (DrivableSettings(), DrivableSettings(connected=True, min_area=0.01),
                     DrivableSettings(max_hole=0.01)):
        assert node.set(drivable__connected=settings.connected,
                        drivable__min_area=settings.min_area,
                        drivable__max_hole=settings.max_hole).successful
        labels, mask = node.reply(node.image(road_frame), 'labels', 'drivable_mask')
        labels = pixels(labels)
        plain = drivable_mask(labels, LUT)
        assert np.array_equal(pixels(mask), DrivableFilter(settings).update(plain, labels, 0.0))
    refused = node.set(drivable__seed=[0.5, 1.5])
    assert not refused.successful
    assert 'wanted x and y from 0 to 1' in refused.reason


def test_a_closed_hole_leaves_out_what_is_below_the_floor(bench, road_frame):
    node = bench(confidence_floor=0.5, drivable__max_hole=0.5, output_size='network')
    node.listen('drivable_mask')
    labels, sure = np.full((96, 160), 3, np.uint8), np.ones((96, 160), np.float32)
    labels[10:20, 10:20] = 4           # pavement, a hole that is closed
    sure[50:60, 70:90] = 0.1
    node.segmenter.backend.infer = lambda batch, *, confidence: (
        labels[None].copy(), sure[None].copy())
    mask = node.reply(node.image(road_frame), 'drivable_mask')
    assert np.array_equal(np.array(mask.data).reshape(96, 160) == 255, sure == 1)


def test_majority_follows_stamps_and_forgets_on_a_jump(bench, pixels, road_frame):
    node = bench(drivable__majority=5, output_size='network')
    node.listen('drivable_mask')
    black = np.zeros_like(road_frame)
    start = 10_000_000_000
    masks = []
    for i, frame in enumerate((black, black, black, road_frame)):
        sent = node.image(frame, stamp_ns=start + i * 50_000_000)
        masks.append(pixels(node.reply(sent, 'drivable_mask')))
    assert not masks[3][masks[2] == 0].any()  # One road of four frames is outvoted.
    sent = node.image(road_frame, stamp_ns=1_000_000_000)
    jumped = pixels(node.reply(sent, 'drivable_mask'))
    assert jumped[masks[2] == 0].any()


def test_cameras_have_poses_and_policies_of_their_own(bench, pixels, road_frame):
    node = bench(cameras=['front', 'left'], output_size='network', left__rotate=180,
                 left__ground__x=-1.0, **GROUND)
    node.listen('front/points', 'left/points', 'left/labels')
    clouds = {}
    for name in ('front', 'left'):
        node.send(calibration(), f'{name}/camera_info')
    node.wait(lambda: all(s.calibration.newest() is not None for s in node.cameras))
    for name, frame in (('front', road_frame), ('left', road_frame[::-1, ::-1].copy())):
        clouds[name] = xyz(node.reply(node.image(frame), f'{name}/points', to=f'{name}/image'))
    shift = clouds['left'][70:, :, 0] - clouds['front'][70:, :, 0]
    assert np.nanmax(np.abs(shift + 1.0)) < 1e-3
    assert node.set(left__ground__x=0.0).successful
    again = xyz(node.reply(node.image(road_frame), 'left/points', to='left/image'))
    assert np.allclose(again, clouds['front'], equal_nan=True)
    assert 'rotate is 90' in node.set(left__rotate=90).reason


def test_no_camera_starves(bench, road_frame):
    """Four cameras at an equal rate beyond what the network can do: each gets its share."""
    names = ['a', 'b', 'c', 'd']
    node = bench(cameras=names)
    node.listen(*(f'{name}/timing' for name in names))
    backend = node.segmenter.backend
    infer = backend.infer
    backend.infer = lambda batch, **options: (
        time.sleep(0.02 * len(batch)) or infer(batch, **options))
    message = node.image(cv2.resize(road_frame, NETWORK))
    for _ in range(40):
        for name in names:
            node.send(message, f'{name}/image')
        time.sleep(0.02)
    node.wait(lambda: all(node.messages[f'{name}/timing'] for name in names))
    time.sleep(0.5)
    published = [node.messages[f'{name}/timing'][-1].published for name in names]
    assert max(published) < 40
    assert min(published) >= 0.8 * max(published)
