"""Pixels in which the camera does not see the scene, in a real node."""

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from support.black_border import rectify, write_mask  # noqa: E402
from support.ground import GROUND, NETWORK, SCENE, calibration  # noqa: E402

pytestmark = pytest.mark.ros
BONNET = np.zeros((192, 320), bool)
BONNET[150:] = True
IMAGES = ('labels', 'drivable_mask', 'confidence')


def below(unseen):
    """Return the lower half of the pixels of a mask; the sky above is not drivable anyway."""
    return unseen & (np.arange(len(unseen))[:, None] > len(unseen) // 2)


def check_unknown(unseen, labels, mask, confidence):
    assert (labels[unseen] == 255).all() and not mask[unseen].any()
    assert not confidence[unseen].any()
    assert (labels[~unseen] != 255).mean() > .9 and mask[~unseen].any()


@pytest.mark.parametrize('ground', [{}, GROUND], ids=['pixels', 'meters'])
def test_black_borders_of_rectified_images_are_unknown_and_never_free(bench, pixels, road_frame,
                                                                      ground):
    frame, fields, black = rectify(road_frame, SCENE.camera)
    topics = IMAGES + (('free_space', 'drivable_area') if ground else ())
    node = bench(rectified=True, ground__path_width=.5, resolution=[320, 192], **ground)
    node.listen(*topics)
    labels, mask = node.reply(node.image(frame), 'labels', 'drivable_mask')
    assert (pixels(labels)[black] != 255).any() and pixels(mask)[below(black)].any()
    info = calibration()
    info.d, info.k, info.p = fields['d'], fields['k'], fields['p']
    node.send(info, 'camera_info')
    node.wait(lambda: node.camera.calibration.newest() is not None, 'camera info')
    replies = node.reply(node.image(frame), *topics)
    check_unknown(black, *map(pixels, replies[:3]))
    assert not (pixels(replies[0]) == 255)[70:120, 100:220].any()
    if ground:
        table = node.camera._ground._tables.table
        assert np.isnan(table.points[black]).all()
    else:  # Without outputs in meters a missing camera info is no reason to warn.
        assert node.camera.health.summary()[0] == 0


def test_a_valid_mask_is_read_when_it_is_set_and_hides_its_pixels(bench, pixels, road_frame,
                                                                  tmp_path):
    path = write_mask(tmp_path / 'bonnet.png', BONNET)
    node = bench(valid_mask=path)
    node.listen(*IMAGES)
    check_unknown(BONNET, *map(pixels, node.reply(node.image(road_frame), *IMAGES)))
    write_mask(tmp_path / 'bonnet.png', BONNET[::-1])
    assert node.set(confidence_floor=.01).successful  # Another parameter does not read it anew.
    check_unknown(BONNET, *map(pixels, node.reply(node.image(road_frame), *IMAGES)))
    assert node.set(valid_mask=path).successful
    check_unknown(BONNET[::-1], *map(pixels, node.reply(node.image(road_frame), *IMAGES)))
    refused = node.set(valid_mask=str(tmp_path / 'nothing.png'))
    assert not refused.successful and 'there is no such file' in refused.reason
    write_mask(tmp_path / 'bonnet.png', BONNET)
    assert node.set(confidence_floor=.02).successful  # Neither does one after a refusal.
    check_unknown(BONNET[::-1], *map(pixels, node.reply(node.image(road_frame), *IMAGES)))
    assert node.set(valid_mask='').successful
    labels, mask, _ = map(pixels, node.reply(node.image(road_frame), *IMAGES))
    assert not (labels == 255).any() and mask[BONNET].any()


def test_a_node_with_a_mask_that_is_not_there_does_not_configure(bench, tmp_path):
    node = bench(start=False, autostart=False, valid_mask=str(tmp_path / 'nothing.png'))
    assert node.node.trigger_configure().name == 'FAILURE'


def test_a_mask_of_another_aspect_drops_the_frame_with_the_reason(bench, road_frame, tmp_path):
    path = write_mask(tmp_path / 'bonnet.png', BONNET)
    node = bench(**{'cameras': ['front'], 'front.valid_mask': path})
    node.listen('front/drivable_mask')
    node.send(node.image(cv2.resize(road_frame, (320, 240))), 'front/image')
    node.wait(lambda: node.camera.health.counts().dropped, 'a dropped frame')
    assert 'has 320x192 pixels and frames have 320x240' in node.camera.health.last_error
    node.reply(node.image(road_frame), 'front/drivable_mask', to='front/image')
    assert len(node.messages['front/drivable_mask']) == 1


def test_the_mask_of_an_upside_down_camera_is_that_of_the_image_as_sent(bench, pixels, road_frame,
                                                                        tmp_path):
    path = write_mask(tmp_path / 'bonnet.png', BONNET[::-1])
    node = bench(valid_mask=path, rotate=180)
    node.listen(*IMAGES)
    sent = node.image(np.ascontiguousarray(road_frame[::-1, ::-1]))
    check_unknown(BONNET[::-1], *map(pixels, node.reply(sent, *IMAGES)))


def test_what_a_mask_hides_is_no_ground(metric, road_frame, tmp_path):
    node = metric('grid', 'obstacles', 'drivable_area',
                  valid_mask=write_mask(tmp_path / 'bonnet.png', BONNET))
    grid, obstacles, _ = node.reply(node.image(road_frame), 'grid', 'obstacles', 'drivable_area')
    table = node.camera._ground._tables.table
    hidden = cv2.resize(BONNET.astype(np.uint8), NETWORK, interpolation=cv2.INTER_AREA) != 0
    assert np.isnan(table.points[hidden]).all() and (table.unseen != 0)[hidden].all()
    assert 0 in grid.data and obstacles.width
