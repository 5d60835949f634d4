"""Frames that a camera sends and that cannot be trusted, over DDS: what the node says and does."""

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from sensor_msgs.msg import CompressedImage  # noqa: E402
from support.node_bench import pixels  # noqa: E402

from enet_ros.network.checkpoint import (  # noqa: E402
    read_checkpoint,
    weights_path,
    write_checkpoint,
)

pytestmark = pytest.mark.ros
SHAPE = (192, 320, 3)


def noisy(level, deviation=3.0, seed=0):
    noise = np.random.default_rng(seed).normal(level, deviation, SHAPE)
    return np.clip(noise, 0, 255).astype(np.uint8)


SUSPECT = {
    'black': (np.zeros(SHAPE, np.uint8), 'the image is black: 100 % of it is at most 20 of 255'),
    'saturated': (np.full(SHAPE, 255, np.uint8), 'the image is saturated: 100 % of it'),
    'one color': (noisy((20, 30, 200)), 'the image has one color, red, green and blue are 20, 30'),
}


def status_of(node):
    """Return level, message and values of the newest diagnostics."""
    node.wait(lambda: node.messages['/diagnostics'], 'diagnostics')
    status = node.messages['/diagnostics'][-1].status[0]
    return status.level, status.message, {item.key: item.value for item in status.values}


def wait_for(node, level, image):
    node.wait(lambda: status_of(node)[0] == level and status_of(node)[2].get('image') == image,
              f'level {level} with image {image}')
    return status_of(node)


@pytest.mark.parametrize('image', SUSPECT)
def test_a_frame_without_a_scene_is_named_while_it_lasts(bench, road_frame, image):
    node = bench(diagnostics_period=0.1)
    node.listen('labels', '/diagnostics')
    frame, reason = SUSPECT[image]
    node.reply(node.image(road_frame), 'labels')
    wait_for(node, b'\x00', 'ok')
    node.reply(node.image(frame), 'labels')
    _, message, _ = wait_for(node, b'\x01', image)
    assert reason in message
    time.sleep(0.5)  # It is no single warning: the last frame is still what it is.
    assert status_of(node)[0] == b'\x01'
    node.reply(node.image(road_frame), 'labels')
    wait_for(node, b'\x00', 'ok')


def test_warn_leaves_the_labels_as_the_network_gives_them(bench):
    node = bench()
    node.listen('labels')
    assert (pixels(node.reply(node.image(np.zeros(SHAPE, np.uint8)), 'labels')) < 255).all()


@pytest.mark.parametrize('image', SUSPECT)
def test_unknown_makes_all_outputs_of_a_suspect_frame_unknown(metric, road_frame, image):
    topics = ('drivable_mask', 'labels', 'confidence', 'grid', 'free_space', 'obstacles',
              'drivable_area')
    node = metric(*topics, '/diagnostics', suspect_frames='unknown', diagnostics_period=0.1)
    assert pixels(node.reply(node.image(road_frame), *topics)[0]).any()
    mask, labels, confidence, grid, scan, obstacles, area = node.reply(
        node.image(SUSPECT[image][0]), *topics)
    assert not pixels(mask).any()
    assert (pixels(labels) == 255).all()
    assert not pixels(confidence).any()
    assert set(grid.data) == {-1}
    assert np.isnan(scan.ranges).all()
    assert obstacles.width == pixels(mask).shape[1]  # Unknown ground may not be driven on.
    assert (area.fraction, len(area.contours_px), len(area.contours_m)) == (0.0, 0, 0)
    assert np.isnan(area.nearest_edge)
    assert 'its outputs are unknown (suspect_frames)' in wait_for(node, b'\x01', image)[1]
    assert pixels(node.reply(node.image(road_frame), *topics)[0]).any()
    wait_for(node, b'\x00', 'ok')


def test_frames_before_a_suspect_one_vote_no_more(bench, road_frame):
    node = bench(suspect_frames='unknown', drivable__majority=9)
    node.listen('drivable_mask')

    def mask_of(frame):
        return pixels(node.reply(node.image(frame), 'drivable_mask'))

    for _ in range(9):
        assert mask_of(road_frame).any()
    assert not mask_of(np.zeros(SHAPE, np.uint8)).any()
    assert not mask_of(np.full(SHAPE, 255, np.uint8)).any()
    assert not mask_of(road_frame).any()  # One frame of three.


def test_the_parameter_changes_between_two_frames(bench):
    node = bench(suspect_frames='unknown')
    node.listen('labels')
    black = np.zeros(SHAPE, np.uint8)
    assert (pixels(node.reply(node.image(black), 'labels')) == 255).all()
    assert node.set(suspect_frames='warn').successful
    assert (pixels(node.reply(node.image(black), 'labels')) < 255).all()
    refused = node.set(suspect_frames='stop')
    assert not refused.successful
    assert "suspect_frames is 'stop', wanted" in refused.reason


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_a_frozen_image_is_named_and_recovers(bench, road_frame, transport):
    topic = 'image' if transport == 'raw' else 'image/compressed'
    node = bench(image_transport=transport, frozen_timeout=0.5, diagnostics_period=0.1,
                 suspect_frames='unknown')
    node.listen('drivable_mask', '/diagnostics')

    def message_of(frame):
        message = node.image(frame)
        if transport == 'raw':
            return message
        jpeg = CompressedImage(header=message.header, format='jpeg')
        jpeg.data.frombytes(cv2.imencode('.jpg', frame)[1].tobytes())
        return jpeg

    def mask_of(frame):
        return pixels(node.reply(message_of(frame), 'drivable_mask', to=topic))

    assert mask_of(road_frame).any()
    deadline = time.monotonic() + 20.0
    while mask_of(road_frame).any():
        assert time.monotonic() < deadline, 'the frozen image is still drivable'
        time.sleep(0.05)
    assert 'no pixel of the image has changed for' in wait_for(node, b'\x01', 'frozen')[1]
    moved = np.roll(road_frame, 1, axis=1)
    assert mask_of(moved).any()
    wait_for(node, b'\x00', 'ok')
    assert node.set(frozen_timeout=0.0).successful
    for _ in range(15):
        assert mask_of(moved).any()
        time.sleep(0.05)


def test_a_clock_in_a_corner_keeps_an_image_from_being_frozen(bench, road_frame):
    node = bench(frozen_timeout=0.3, diagnostics_period=0.1)
    node.listen('labels', '/diagnostics')
    for count in range(20):
        frame = road_frame.copy()
        frame[188, 3] = count  # one pixel, in a row that is not sampled
        node.reply(node.image(frame), 'labels')
        assert status_of(node)[2].get('image') in (None, 'ok')
        time.sleep(0.05)


def test_one_camera_may_have_a_rule_of_its_own(bench):
    node = bench(**{'cameras': ['front', 'rear'], 'rear.suspect_frames': 'unknown'})
    node.listen('front/labels', 'rear/labels')
    black = np.zeros(SHAPE, np.uint8)
    for camera, is_known in (('front', True), ('rear', False)):
        labels = node.reply(node.image(black), f'{camera}/labels', to=f'{camera}/image')
        assert (pixels(labels) < 255).all() == is_known


def test_diagnostics_say_why_the_confidence_is_not_judged(bench):
    node = bench(diagnostics_period=0.1)
    node.listen('/diagnostics')
    assert status_of(node)[2]['confidence_check'] == (
        'off: least_confidence holds near 640x360, and the network has 160x96')


def test_a_network_that_stays_unsure_makes_frames_suspect(bench, road_frame, tmp_path):
    """Only the labels have a subscriber, so the judge itself asks for the confidence."""
    checkpoint = read_checkpoint(weights_path(''))
    weights = tmp_path / 'own.safetensors'
    write_checkpoint(weights, replace(checkpoint, resolution=(160, 96), least_confidence=0.999))
    node = bench(weights=str(weights), diagnostics_period=0.1, suspect_frames='unknown')
    node.listen('labels', '/diagnostics')
    assert status_of(node)[2]['confidence_check'] == 'on: at least 1.00'
    deadline, count = time.monotonic() + 60.0, 0
    while (pixels(node.reply(node.image(np.roll(road_frame, count, axis=1)), 'labels'))
           < 255).any():
        assert time.monotonic() < deadline, 'the frames are not suspect'
        count += 1
        time.sleep(0.1)
    _, message, _ = wait_for(node, b'\x01', 'unlike the training images')
    assert 'the mean confidence is 0.' in message
    assert node.camera.health.published >= 5


def test_a_network_that_begins_to_compute_nan_is_named_and_its_pixels_are_unknown(
        bench, road_frame, monkeypatch):
    """With nobody who asks for the confidence, one frame a second is looked at."""
    node = bench(diagnostics_period=0.1)
    node.listen('drivable_mask', 'labels', '/diagnostics')
    assert pixels(node.reply(node.image(road_frame), 'drivable_mask')).any()
    wait_for(node, b'\x00', 'ok')
    backend = node.segmenter.backend
    infer = backend.infer

    def broken(batch, *, confidence):
        labels, probability = infer(batch, confidence=confidence)
        labels[:] = 3  # Road
        return labels, None if probability is None else np.full_like(probability, np.nan)

    monkeypatch.setattr(backend, 'infer', broken)
    deadline = time.monotonic() + 3.0
    while pixels(node.reply(node.image(road_frame), 'drivable_mask')).any():
        assert time.monotonic() < deadline
    _, message, _ = wait_for(node, b'\x01', 'no probabilities')
    assert 'the network gave no probability for 100 % of the pixels' in message
    for _ in range(20):  # Now every frame is looked at.
        mask, labels = node.reply(node.image(road_frame), 'drivable_mask', 'labels')
        assert not pixels(mask).any() and (pixels(labels) == 255).all()
    monkeypatch.setattr(backend, 'infer', infer)
    assert pixels(node.reply(node.image(road_frame), 'drivable_mask')).any()
    wait_for(node, b'\x00', 'ok')
