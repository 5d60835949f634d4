"""Images to PNG and JPEG: what another decoder makes of the bytes."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from enet_ros.perception.encodings import decode_compressed
from enet_ros.perception.images.write_compressed import CompressionError, jpeg_of, png_of

maps = arrays(np.uint8, st.tuples(st.integers(1, 33), st.integers(1, 70)))


@settings(max_examples=100, deadline=None)
@given(maps)
def test_a_png_keeps_every_value(label_map):
    read = cv2.imdecode(np.frombuffer(png_of(label_map), np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint8 and np.array_equal(read, label_map)


def test_a_png_is_one_channel_of_eight_bits_for_a_decoder_that_is_not_opencv():
    image = pytest.importorskip('PIL.Image', reason='Pillow is not installed')
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    read = image.open(io.BytesIO(png_of(labels)))
    assert (read.format, read.mode, read.size) == ('PNG', 'L', (16, 16))
    assert np.array_equal(np.asarray(read), labels)


def test_the_node_reads_what_it_writes(road_frame):
    """As from a bag. The reader refuses files that are not whole, so these are."""
    labels = np.ascontiguousarray(road_frame[..., 0])
    assert np.array_equal(decode_compressed(png_of(labels))[..., 1], labels)
    overlay = decode_compressed(jpeg_of(road_frame, 95))
    assert cv2.PSNR(np.ascontiguousarray(overlay), road_frame) > 30


def test_a_png_of_a_street_is_a_fiftieth_of_its_pixels():
    from enet_ros.scene.road_scene import RoadScene
    labels = RoadScene(1280, 720).render(1.0)[1]
    assert len(png_of(labels)) < labels.size / 50


def test_a_jpeg_keeps_red_red(road_frame):
    red = np.zeros((64, 48, 3), np.uint8)
    red[..., 0] = 200
    read = cv2.imdecode(np.frombuffer(jpeg_of(red, 90), np.uint8), cv2.IMREAD_COLOR)
    assert read.shape == (64, 48, 3)
    assert np.abs(read.astype(int) - red[..., ::-1]).max() < 12


def test_a_higher_quality_is_nearer_to_the_image_and_larger(road_frame):
    sizes, errors = [], []
    for quality in (1, 30, 80, 100):
        data = np.frombuffer(jpeg_of(road_frame, quality), np.uint8)
        read = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
        sizes.append(data.size)
        errors.append(np.abs(read.astype(int) - road_frame).mean())
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


@pytest.mark.parametrize('shape', [(2, 65501, 3), (65501, 2, 3), (2, 70000, 3)])
def test_what_a_jpeg_cannot_hold_is_refused_in_one_sentence(shape):
    with pytest.raises(CompressionError, match=f'{shape[1]}x{shape[0]} pixels.*65500 a side'):
        jpeg_of(np.zeros(shape, np.uint8), 80)
    assert len(jpeg_of(np.zeros((2, 65500, 3), np.uint8), 80))
