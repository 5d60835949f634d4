"""Compressed outputs: image_transport's names and formats, and work only for subscribers."""

import threading

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from sensor_msgs.msg import CompressedImage  # noqa: E402

from enet_ros.perception import outputs as shared_outputs  # noqa: E402
from enet_ros.perception.images.write_compressed import CompressionError  # noqa: E402
from enet_ros.ros import outputs  # noqa: E402

pytestmark = pytest.mark.ros
FORMATS = {'labels': 'mono8; png compressed mono8',
           'drivable_mask': 'mono8; png compressed mono8',
           'overlay': 'rgb8; jpeg compressed bgr8'}


def decoded(message) -> np.ndarray:
    """Return the (H, W) or (H, W, 3) RGB pixels of a CompressedImage."""
    assert isinstance(message, CompressedImage)
    read = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
    return read[..., ::-1] if read.ndim == 3 else read


@pytest.fixture
def count(monkeypatch):
    """A maker of counters of calls of a function that a module has."""
    def make(name, module=outputs):
        original, calls = getattr(module, name), []

        def counting(*arguments):
            calls.append(arguments)
            return original(*arguments)

        monkeypatch.setattr(module, name, counting)
        return calls

    return make


@pytest.mark.parametrize('output_size', ['input', 'network'])
def test_compressed_outputs_show_what_the_raw_ones_show(bench, pixels, road_frame, output_size):
    node = bench(output_size=output_size, jpeg_quality=95)
    names = [*FORMATS, *(f'{name}/compressed' for name in FORMATS)]
    node.listen(*names)
    sent = node.image(road_frame)
    found = dict(zip(names, node.reply(sent, *names)))
    for name, file_format in FORMATS.items():
        raw, compressed = found[name], found[f'{name}/compressed']
        assert compressed.header == raw.header == sent.header
        assert compressed.format == file_format
        image, wanted = decoded(compressed), pixels(raw)
        if name == 'overlay':
            assert image.shape == wanted.shape and cv2.PSNR(np.ascontiguousarray(image),
                                                            wanted) > 30
        else:
            assert np.array_equal(image, wanted)
        assert len(compressed.data) < len(raw.data) / 2
    assert len(np.unique(pixels(found['labels']))) > 2  # else the test shows nothing


@pytest.mark.parametrize('name', FORMATS)
def test_a_compressed_output_alone_is_enough(bench, road_frame, name):
    node = bench()
    node.listen(f'{name}/compressed')
    sent = node.image(road_frame)
    message = node.reply(sent, f'{name}/compressed')
    assert message.header == sent.header
    assert decoded(message).shape[:2] == road_frame.shape[:2]


def test_compressed_outputs_follow_every_frame(bench, pixels, road_frame):
    """The raw image is made once a frame, but anew for each."""
    node = bench()
    node.listen('labels/compressed', 'labels')
    for frame in (road_frame, np.ascontiguousarray(road_frame[::-1]), np.zeros_like(road_frame)):
        raw, compressed = node.reply(node.image(frame), 'labels', 'labels/compressed')
        assert raw.header == compressed.header
        assert np.array_equal(decoded(compressed), pixels(raw))


def test_nothing_is_compressed_without_a_subscriber(bench, road_frame, count):
    calls = count('png_of'), count('jpeg_of')
    node = bench()
    node.listen('labels', 'drivable_mask', 'overlay')
    node.reply(node.image(road_frame), 'labels', 'drivable_mask', 'overlay')
    node.listen('timing')
    node.reply(node.image(road_frame), 'timing')
    assert calls == ([], [])
    node.listen('labels/compressed')
    node.reply(node.image(road_frame), 'labels/compressed')
    assert (len(calls[0]), calls[1]) == (1, [])


def test_the_overlay_is_drawn_once_for_both_of_its_topics(bench, road_frame, count):
    drawn, compressed = count('blend', shared_outputs), count('jpeg_of')
    node = bench()
    node.listen('overlay', 'overlay/compressed')
    for _ in range(3):
        node.reply(node.image(road_frame), 'overlay', 'overlay/compressed')
    assert (len(drawn), len(compressed)) == (3, 3)


def test_raw_outputs_do_not_wait_for_an_encoder(bench, road_frame, monkeypatch):
    release, original = threading.Event(), outputs.jpeg_of

    def slow(*arguments):
        assert release.wait(20.0)
        return original(*arguments)

    monkeypatch.setattr(outputs, 'jpeg_of', slow)
    node = bench()
    node.listen('overlay/compressed', 'drivable_mask', 'overlay')
    try:
        node.reply(node.image(road_frame), 'drivable_mask', 'overlay')
        assert node.messages['overlay/compressed'] == []
    finally:
        release.set()
    node.wait(lambda: node.messages['overlay/compressed'], 'the overlay')


def test_every_camera_has_its_own(bench, road_frame):
    node = bench(cameras=['front', 'left'])
    node.listen('front/drivable_mask/compressed', 'left/drivable_mask/compressed')
    message = node.reply(node.image(road_frame), 'left/drivable_mask/compressed', to='left/image')
    assert decoded(message).shape == road_frame.shape[:2]
    assert node.messages['front/drivable_mask/compressed'] == []


def test_a_stall_is_seen_on_the_compressed_mask_too(bench, road_frame):
    node = bench(stall_timeout=0.3)
    node.listen('drivable_mask/compressed', 'drivable_mask')
    sent = node.image(road_frame)
    first = node.reply(sent, 'drivable_mask/compressed')
    assert decoded(first).any()
    messages = node.messages['drivable_mask/compressed']
    node.wait(lambda: len(messages) > 1 and len(node.messages['drivable_mask']) > 1, 'the stall')
    last = messages[-1]
    assert last.header == node.messages['drivable_mask'][-1].header
    assert last.header.frame_id == sent.header.frame_id and last.header.stamp != sent.header.stamp
    assert last.format == FORMATS['drivable_mask']
    assert decoded(last).shape == road_frame.shape[:2] and not decoded(last).any()


def test_the_quality_of_the_overlay_changes_between_frames(bench, road_frame):
    node = bench()
    node.listen('overlay/compressed')
    sizes = []
    for quality in (100, 10):
        assert node.set(jpeg_quality=quality).successful
        sizes.append(len(node.reply(node.image(road_frame), 'overlay/compressed').data))
    assert sizes[1] < sizes[0] / 3
    for value in (0, 101):
        result = node.set(jpeg_quality=value)
        assert not result.successful and f'{value}' in result.reason


def test_an_overlay_too_large_for_a_jpeg_is_named_and_the_rest_goes_on(bench):
    node = bench()
    node.listen('overlay/compressed', 'labels', 'drivable_mask/compressed')
    wide = np.zeros((16, 65504, 3), np.uint8)
    node.reply(node.image(wide), 'labels', 'drivable_mask/compressed')
    health = node.camera.health
    node.wait(lambda: '65500 a side' in health.summary()[1], 'the reason')
    assert node.messages['overlay/compressed'] == []


@pytest.mark.parametrize(('error', 'said'), [
    (CompressionError('OpenCV could not encode it'), 'OpenCV could not encode it'),
    (MemoryError('no room'), 'MemoryError: no room')])
def test_an_encoder_that_fails_costs_its_output_alone(bench, road_frame, monkeypatch, error, said):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(outputs, 'png_of', fail)
    node = bench()
    node.listen('labels/compressed', 'labels', 'overlay/compressed', 'timing')
    for _ in range(2):
        node.reply(node.image(road_frame), 'labels', 'timing', 'overlay/compressed')
    health = node.camera.health
    assert (health.received, health.published, health.dropped) == (2, 2, 0)
    assert f'no ~/labels/compressed: {said}' in health.summary()[1]
    assert node.messages['labels/compressed'] == []
