"""The significant bits of 16-bit images."""

import cv2
import numpy as np
import pytest
from support.encodings import encode_planes, smooth_frame

from enet_ros.perception.encodings import (
    CompressedFile,
    EncodedImage,
    decode_compressed,
    decode_raw_image,
    encode_image,
    read_compressed,
    read_raw_image,
)
from enet_ros.perception.images.bit_depth import BitDepth, find_depth
from enet_ros.scene.road_scene import RoadScene

FRAME = RoadScene(96, 64).render(1.0)[0]
GRAY = FRAME[..., 1]


@pytest.mark.parametrize('bits', [8, 10, 12, 14, 16])
@pytest.mark.parametrize('encoding', ['mono16', 'rgb16', 'bgra16', 'bayer_rggb16', '16UC3'])
def test_the_depth_is_found_from_the_values(encoding, bits):
    data, step = encode_image(FRAME, encoding, bits)
    frame = decode_raw_image(data, encoding, 96, 64, step)
    full, full_step = encode_image(FRAME, encoding)
    expected = decode_raw_image(full, encoding, 96, 64, full_step)
    assert np.abs(frame.astype(int) - expected).max() <= 1


@pytest.mark.parametrize('bits', [10, 12, 14])
def test_8_bits_that_were_shifted_up_to_the_depth(bits):
    frame = decode_raw_image((GRAY.astype('<u2') << (bits - 8)).tobytes(), 'mono16', 96, 64, 192)
    assert np.array_equal(frame[..., 0], GRAY)


@pytest.mark.parametrize('sensor', [10, 12, 14])
def test_values_at_the_top_of_the_16_bits_stay_as_they_are(sensor):
    """Dark or not: the zeros at their end tell."""
    rng = np.random.default_rng(0)
    for top in (1 << sensor, 1 << sensor - 1):
        values = (rng.integers(0, top, (64, 96)) << (16 - sensor)).astype(np.uint16)
        reduced, remark = BitDepth().to_uint8(values)
        assert np.array_equal(reduced, values >> 8)
        assert remark.value.startswith('16 of 16 bits, found')


def test_the_depth_grows_and_does_not_shrink():
    depth = BitDepth()
    values = GRAY.astype(np.uint16)
    for shift, bits in ((2, 10), (4, 12), (2, 12), (0, 12)):
        reduced, remark = depth.to_uint8(values << shift | values >> (8 - shift))
        assert remark.value.startswith(f'{bits} of 16 bits, found from the values so far')
        assert not remark.is_warning
    assert np.array_equal(reduced, values >> 4)


def test_a_depth_that_grows_late_is_found_as_well():
    depth = BitDepth()
    values = np.full((480, 640), 1001, np.uint16)
    for _ in range(30):
        assert depth.to_uint8(values)[1].value.startswith('10 ')
    values[200:280] = 4001
    assert depth.to_uint8(values)[1].value.startswith('12 ')


@pytest.mark.parametrize('frames', [0, 20])
@pytest.mark.parametrize('outliers', [np.s_[-1], np.s_[::60, ::60]])
@pytest.mark.parametrize('value', [16384, 65535])  # 16384 has low bits of 0
def test_a_row_of_telemetry_or_hot_pixels_do_not_darken_the_image(frames, outliers, value):
    """They are white in their own frame, and no later frame is darker for them."""
    depth, values = BitDepth(), np.full((240, 640), 9001, np.uint16)
    values[::2] = 3001
    for _ in range(frames):
        depth.to_uint8(values)
    spoilt = values.copy()
    spoilt[outliers] = value
    reduced, remark = depth.to_uint8(spoilt)
    assert remark.value.startswith('14 of 16 bits')
    assert (reduced[outliers] == 255).all()
    reduced, remark = depth.to_uint8(values)
    assert np.array_equal(reduced, values >> 6) and remark.value.startswith('14 of 16 bits')


def test_outliers_do_not_hide_that_values_are_shifted_to_the_top():
    depth, values = BitDepth(), np.full((240, 640), 0x3FF0, np.uint16)
    values[-1] = 65535
    assert depth.to_uint8(values)[1].value.startswith('16 of 16 bits')


def test_the_depth_that_the_user_gives_is_taken():
    values = GRAY.astype(np.uint16) * 4
    depth = BitDepth(12)
    reduced, remark = depth.to_uint8(values)
    assert np.array_equal(reduced, values >> 4)
    assert remark.value == '12 of 16 bits, by the parameter bit_depth'
    depth.bits = 9
    reduced, remark = depth.to_uint8(values)
    assert np.array_equal(reduced, np.minimum(values, 511) >> 1)
    assert remark.is_warning
    assert remark.value.startswith('9 of 16 bits by the parameter bit_depth, but the values need '
                                   '10; brighter values are white')


@pytest.mark.parametrize(('seen', 'depth'), [
    (0, 8), (255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 14), (16383, 14),
    (16384, 16), (65535, 16), (0x3FF0, 16), (0x0FF0, 12), (0x03FC, 10)])
def test_find_depth(seen, depth):
    assert find_depth(seen) == depth


@pytest.mark.parametrize('extension', ['.png', '.tiff'])
@pytest.mark.parametrize('bits', [10, 12, 16])
def test_16_bit_files(extension, bits):
    wide = FRAME[..., ::-1].astype(np.uint16)
    wide = wide << (bits - 8) | wide >> (16 - bits)
    for stored, rgb in ((wide, FRAME), (wide[..., 1], np.repeat(GRAY[..., None], 3, 2))):
        data = cv2.imencode(extension, stored)[1].tobytes()
        assert np.array_equal(decode_compressed(data), rgb)
        image = read_compressed(CompressedFile(data), BitDepth(16))
        assert np.array_equal(image.rgb(), rgb >> (16 - bits))


def test_alpha_says_nothing_about_the_depth():
    planes = encode_planes(smooth_frame(), 'rgba16', 10)[0].view('<u2').copy()
    planes[:, 3::4] = 65535
    image = read_raw_image(EncodedImage(planes.view(np.uint8).tobytes(), 'rgba16', 16, 12, 128))
    assert image.remarks[-1].value.startswith('10 of 16')
    assert np.abs(image.rgb().astype(int) - smooth_frame()).max() <= 1
