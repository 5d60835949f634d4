"""Every encoding of the contract against an independent computation, and hostile input."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enet_ros.perception.encodings import (
    ENCODINGS,
    EncodedImage,
    EncodingError,
    Scratch,
    decode_compressed,
    decode_image,
    encode_image,
    read_raw_image,
)
from enet_ros.perception.resize import resize_frame

HEIGHT, WIDTH = 12, 16


def smooth_frame(height=HEIGHT, width=WIDTH):
    """A colourful frame without hard edges, (height, width, 3) uint8 RGB."""
    y, x = np.mgrid[0:height, 0:width]
    x, y = x / width, y / height
    return np.stack((60 + 96 * x, 200 - 96 * y, 90 + 48 * x + 36 * y), -1).astype(np.uint8)


def bt601(rgb):
    """Y, U, V of limited range by the formula of ITU-R BT.601, float."""
    r, g, b = (rgb[..., i].astype(float) for i in range(3))
    return (16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255,
            128 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255,
            128 + (112.0 * r - 93.786 * g - 18.214 * b) / 255)


def pair_mean(plane):
    return plane.reshape(plane.shape[0], -1, 2).mean(2)


def encode(rgb, encoding):
    """Encode by numpy alone: rows of bytes, (rows, row bytes) uint8."""
    height, width = rgb.shape[:2]
    alpha = np.full((height, width, 1), 77, np.uint8)
    if encoding == 'rgb8':
        return rgb.reshape(height, -1)
    if encoding in ('bgr8', '8UC3'):
        return rgb[..., ::-1].reshape(height, -1)
    if encoding == 'rgba8':
        return np.concatenate((rgb, alpha), 2).reshape(height, -1)
    if encoding == 'bgra8':
        return np.concatenate((rgb[..., ::-1], alpha), 2).reshape(height, -1)
    if encoding in ('mono8', '8UC1'):
        return rgb[..., 1]
    if encoding == 'mono16':
        return (rgb[..., 1].astype('<u2') * 257).view(np.uint8)
    if encoding.startswith('bayer'):
        pattern = encoding[6:10]
        rows = np.empty((height, width), np.uint8)
        for i, letter in enumerate(pattern):
            rows[i // 2::2, i % 2::2] = rgb[i // 2::2, i % 2::2, 'rgb'.index(letter)]
        return rows
    luma, u, v = bt601(rgb)
    if encoding in ('nv12', 'nv21'):
        u, v = (pair_mean(plane).reshape(height // 2, 2, -1).mean(1) for plane in (u, v))
        chroma = np.stack((u, v) if encoding == 'nv12' else (v, u), -1).reshape(height // 2, -1)
        return np.concatenate((luma, chroma)).round().astype(np.uint8)
    u, v, pairs = pair_mean(u), pair_mean(v), luma.reshape(height, -1, 2)
    first = encoding in ('uyvy', 'yuv422')
    order = (u, pairs[..., 0], v, pairs[..., 1]) if first else (pairs[..., 0], u, pairs[..., 1], v)
    return np.stack(order, -1).reshape(height, -1).round().astype(np.uint8)


def expected(rgb, encoding):
    if encoding in ('mono8', '8UC1', 'mono16'):
        return np.repeat(rgb[..., 1:2], 3, 2)
    return rgb


@pytest.mark.parametrize('padding', [0, 5, 32])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_decodes_to_rgb(encoding, padding):
    rgb = smooth_frame()
    rows = encode(rgb, encoding)
    step = rows.shape[1] + padding
    data = np.full((rows.shape[0], step), 171, np.uint8)
    data[:, :rows.shape[1]] = rows
    frame = decode_image(data.tobytes(), encoding, WIDTH, HEIGHT, step)
    assert frame.shape == (HEIGHT, WIDTH, 3)
    assert frame.dtype == np.uint8
    inner = np.s_[2:-2, 2:-2]  # a Bayer border is extrapolated
    lossy = encoding.startswith(('bayer', 'nv', 'yu', 'uy'))
    difference = np.abs(frame[inner].astype(int) - expected(rgb, encoding)[inner])
    assert difference.max() <= (8 if lossy else 0)


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_encode_is_the_inverse_of_decode(encoding):
    gray = np.repeat(smooth_frame(32, 48)[..., 1:2], 3, 2)
    color = smooth_frame(32, 48)
    rgb = gray if encoding in ('mono8', '8UC1', 'mono16') else color
    data, step = encode_image(rgb, encoding)
    frame = decode_image(data, encoding, 48, 32, step)
    assert np.abs(frame[2:-2, 2:-2].astype(int) - rgb[2:-2, 2:-2]).max() <= 8


def test_mono16_honours_byte_order():
    rgb = smooth_frame()
    big = (rgb[..., 1].astype('>u2') * 257).astype('>u2').tobytes()
    frame = decode_image(big, 'mono16', WIDTH, HEIGHT, 2 * WIDTH, is_bigendian=True)
    assert np.array_equal(frame[..., 0], rgb[..., 1])


def test_rgb8_is_a_view():
    data = bytearray(smooth_frame().tobytes())
    frame = decode_image(data, 'rgb8', WIDTH, HEIGHT, 3 * WIDTH)
    data[0] = 99
    assert frame[0, 0, 0] == 99


@pytest.mark.parametrize(('fields', 'wanted'), [
    ({'encoding': ''}, "encoding is ''"),
    ({'encoding': 'rgb9'}, "encoding is 'rgb9', wanted one of rgb8"),
    ({'width': 0}, 'size is 0x12'),
    ({'height': 0}, 'size is 16x0'),
    ({'width': 100000, 'height': 100000}, 'wanted at most 64 MP'),
    ({'step': 47}, 'step is 47, wanted at least 48'),
    ({'step': 49}, 'data has 576 bytes, wanted 588'),
    ({'encoding': 'nv12', 'width': 15, 'step': 16}, 'width is 15, wanted an even one'),
    ({'encoding': 'nv21', 'height': 11, 'step': 16}, 'height is 11, wanted an even one'),
    ({'encoding': 'yuyv', 'width': 15}, 'width is 15, wanted an even one'),
    ({'encoding': 'bayer_rggb8', 'width': 2, 'height': 2}, 'wanted at least 4x4'),
])
def test_refuses_contradictions_with_value_and_wish(fields, wanted):
    good = {'encoding': 'rgb8', 'width': WIDTH, 'height': HEIGHT, 'step': 3 * WIDTH}
    with pytest.raises(EncodingError, match='wanted') as caught:
        decode_image(bytes(3 * WIDTH * HEIGHT), **{**good, **fields})
    assert wanted in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(encoding=st.sampled_from((*ENCODINGS, '', 'nonsense')), width=st.integers(0, 40),
       height=st.integers(0, 40), step=st.integers(0, 200), length=st.integers(0, 4000),
       big=st.booleans())
def test_any_fields_give_a_frame_or_an_encoding_error(encoding, width, height, step, length, big):
    try:
        frame = decode_image(bytes(length), encoding, width, height, step,
                             is_bigendian=big)
    except EncodingError:
        return
    assert frame.shape == (height, width, 3)
    assert length >= step * height


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_compressed_decodes_to_rgb(extension):
    rgb = smooth_frame(48, 64)
    data = cv2.imencode(extension, rgb[..., ::-1])[1].tobytes()
    frame = decode_compressed(data)
    assert np.abs(frame.astype(int) - rgb).max() <= (12 if extension == '.jpg' else 0)


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
@pytest.mark.parametrize('share', [0.0, 0.1, 0.5, 0.95])
def test_compressed_refuses_a_file_that_is_cut_short(extension, share):
    data = cv2.imencode(extension, smooth_frame(48, 64))[1].tobytes()
    with pytest.raises(EncodingError):
        decode_compressed(data[:int(share * len(data))])


def test_compressed_refuses_a_picture_of_billions_of_pixels():
    data = bytearray(cv2.imencode('.jpg', smooth_frame())[1].tobytes())
    start = data.index(b'\xff\xc0')
    data[start + 5:start + 9] = b'\xff\xff\xff\xff'
    with pytest.raises(EncodingError, match='65535x65535, wanted at most 64 MP'):
        decode_compressed(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_compressed_refuses_any_noise(noise):
    with pytest.raises(EncodingError):
        decode_compressed(noise)
    with pytest.raises(EncodingError):
        decode_compressed(b'\xff\xd8\xff' + noise)


@settings(max_examples=200, deadline=None)
@given(encoding=st.sampled_from(ENCODINGS), width=st.integers(2, 20), height=st.integers(2, 20),
       size=st.tuples(st.integers(1, 30), st.integers(1, 30)), padding=st.integers(0, 7),
       seed=st.integers(0, 99))
def test_resized_pixels_are_the_rgb_frame_resized(encoding, width, height, size, padding, seed):
    width, height = 2 * width, 2 * height
    rows = height * 3 // 2 if encoding.startswith('nv') else height
    step = 4 * width + padding
    data = np.random.default_rng(seed).integers(0, 256, rows * step, np.uint8)
    image = read_raw_image(EncodedImage(data, encoding, width, height, step))
    before, scratch = data.copy(), Scratch()
    for to in (size, (width, height), size):  # memory is used again
        out = np.full((to[1], to[0], 3), 7, np.uint8)
        assert image.resize_into(out, scratch) is out
        assert np.array_equal(out, resize_frame(image.rgb(), to))
    assert np.array_equal(data, before)
    assert image.pixels.shape[:2] == (height, width)


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_a_frame_becomes_rgb_in_the_memory_that_is_given(encoding):
    data, step = encode_image(smooth_frame(), encoding)
    image = read_raw_image(EncodedImage(data, encoding, WIDTH, HEIGHT, step))
    out = np.zeros_like(smooth_frame())
    assert np.array_equal(image.rgb(out), image.rgb())
    assert out.any() != (encoding == 'rgb8')  # that one is a view already


def test_scratch_is_the_same_memory_for_one_shape():
    scratch = Scratch()
    first = scratch.of((4, 6, 3))
    assert scratch.of((4, 6, 3)) is first
    assert scratch.of((6, 4, 3)).shape == (6, 4, 3)
