"""Every encoding of the contract against an independent computation, and hostile input."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.encodings import (
    GRAY,
    encode_planes,
    expected,
    is_16_bit,
    is_lossy,
    lay_out,
    smooth_frame,
)

from enet_ros.perception.encodings import (
    ENCODINGS,
    EncodedImage,
    EncodingError,
    Scratch,
    decode_compressed,
    decode_raw_image,
    encode_image,
    read_raw_image,
)
from enet_ros.perception.resize import resize_frame

HEIGHT, WIDTH = 12, 16
OPENCV = tuple(map(int, cv2.__version__.split('.')[:2]))
INNER = np.s_[2:-2, 2:-2]  # a Bayer border is extrapolated


def difference(frame, rgb, encoding):
    return np.abs(frame[INNER].astype(int) - expected(rgb, encoding)[INNER]).max()


@pytest.mark.parametrize('padding', [0, 6, 32])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_decodes_to_rgb(encoding, padding):
    rgb = smooth_frame()
    planes = encode_planes(rgb, encoding)
    step = planes[0].shape[1] + padding
    frame = decode_raw_image(lay_out(planes, step).tobytes(), encoding, WIDTH, HEIGHT, step)
    assert frame.shape == (HEIGHT, WIDTH, 3)
    assert frame.dtype == np.uint8
    assert difference(frame, rgb, encoding) <= (8 if is_lossy(encoding) else 0)


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_encode_is_the_inverse_of_decode(encoding):
    gray = np.repeat(smooth_frame(32, 48)[..., 1:2], 3, 2)
    rgb = gray if encoding in GRAY else smooth_frame(32, 48)
    data, step = encode_image(rgb, encoding)
    frame = decode_raw_image(data, encoding, 48, 32, step)
    assert difference(frame, rgb, encoding) <= 8


@pytest.mark.parametrize('encoding', [name for name in ENCODINGS if is_16_bit(name)])
@pytest.mark.parametrize('step_padding', [0, 3])
def test_16_bits_of_either_byte_order_and_odd_rows(encoding, step_padding):
    rgb = smooth_frame()
    planes = encode_planes(rgb, encoding, order='>')
    step = planes[0].shape[1] + step_padding
    frame = decode_raw_image(lay_out(planes, step).tobytes(), encoding, WIDTH, HEIGHT, step,
                             is_bigendian=True)
    assert difference(frame, rgb, encoding) <= (8 if is_lossy(encoding) else 0)


@pytest.mark.parametrize(('name', 'encoding'), [
    ('YUV420', 'i420'), ('I420', 'i420'), ('yuv420p', 'i420'), ('YV12', 'yv12'), ('NV12', 'nv12'),
    ('YUYV', 'yuyv'), ('YUY2', 'yuyv'), ('UYVY', 'uyvy'), ('RGB8', 'rgb8'), (' bgr8 ', 'bgr8'),
    ('8uc4', '8UC4'), ('16uc3', '16UC3'), ('Mono8', 'mono8'), ('BayerRG8', 'bayer_rggb8'),
    ('BAYER_GBRG16', 'bayer_gbrg16'), ('yuv422-yuy2', 'yuv422_yuy2'), ('GRAY16', 'mono16'),
    ('RGBA', 'rgba8'), ('BGRA', 'bgra8'), ('RGB3', 'rgb8'), ('BGR3', 'bgr8'), ('Mono12', 'mono16'),
    ('BayerRG12', 'bayer_rggb16'), ('BayerGB8', 'bayer_gbrg8'), ('bayer_bggr12', 'bayer_bggr16'),
    ('YUV422_8_UYVY', 'uyvy'), ('YUV422_8', 'yuyv'), ('yuyv422', 'yuyv')])
def test_other_spellings_of_an_encoding(name, encoding):
    rgb = smooth_frame()
    data, step = encode_image(rgb, encoding)
    assert np.array_equal(decode_raw_image(data, name, WIDTH, HEIGHT, step),
                          decode_raw_image(data, encoding, WIDTH, HEIGHT, step))


@pytest.mark.parametrize('name', ['16UC1', '32FC1', '64FC1', '16uc1', '16SC1', '32SC1'])
def test_a_depth_image_is_refused_as_one(name):
    with pytest.raises(EncodingError, match=f"'{name}', a depth image, wanted a color or gray"):
        decode_raw_image(bytes(8 * WIDTH * HEIGHT), name, WIDTH, HEIGHT, 8 * WIDTH)


@pytest.mark.parametrize('name', ['32FC3', '8UC2', '8SC1', '16SC3', '64FC4'])
def test_numbers_without_a_meaning_are_refused(name):
    with pytest.raises(EncodingError, match=f"'{name}', numbers without a meaning"):
        decode_raw_image(bytes(32 * WIDTH * HEIGHT), name, WIDTH, HEIGHT, 32 * WIDTH)


def test_rgb8_is_a_view():
    data = bytearray(smooth_frame().tobytes())
    frame = decode_raw_image(data, 'rgb8', WIDTH, HEIGHT, 3 * WIDTH)
    data[0] = 99
    assert frame[0, 0, 0] == 99


@pytest.mark.parametrize(('fields', 'wanted'), [
    ({'encoding': ''}, "encoding is ''"),
    ({'encoding': 'rgb9'}, "encoding is 'rgb9', wanted one of rgb8"),
    ({'width': 0}, 'size is 0x12'),
    ({'height': 0}, 'size is 16x0'),
    ({'width': 100000, 'height': 100000}, 'wanted at most 64 MP'),
    ({'encoding': 'rgb16', 'width': 8000, 'height': 8000, 'step': 48000},
     '384 MB, wanted at most'),
    ({'step': 47, 'height': 11}, 'step is 47, wanted at least 48'),
    ({'step': 0, 'height': 13}, 'step is 0, wanted at least 48'),
    ({'step': 49}, 'data has 576 bytes, wanted 588'),
    ({'encoding': 'nv12', 'width': 15, 'step': 16}, 'width is 15, wanted an even one'),
    ({'encoding': 'nv21', 'height': 11, 'step': 16}, 'height is 11, wanted an even one'),
    ({'encoding': 'i420', 'height': 11, 'step': 16}, 'height is 11, wanted an even one'),
    ({'encoding': 'nv12', 'height': 36, 'step': 16},
     'height is 36, wanted that of the image without color, 24'),
    ({'encoding': 'yuyv', 'width': 15}, 'width is 15, wanted an even one'),
    ({'encoding': 'yuv444', 'step': 0}, r'wanted 48 \(packed\) or 16 \(planes\)'),
    ({'encoding': 'bayer_rggb8', 'width': 2, 'height': 2}, 'wanted at least 4x4'),
    ({'encoding': 'bayer_rggb16', 'width': 2, 'height': 2}, 'wanted at least 4x4'),
])
def test_refuses_contradictions_with_value_and_wish(fields, wanted):
    good = {'encoding': 'rgb8', 'width': WIDTH, 'height': HEIGHT, 'step': 3 * WIDTH}
    with pytest.raises(EncodingError, match='wanted') as caught:
        decode_raw_image(bytes(3 * WIDTH * HEIGHT), **{**good, **fields})
    assert wanted.replace('\\', '') in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(encoding=st.sampled_from((*ENCODINGS, '', 'nonsense', 'YUV420', '16UC1')),
       width=st.integers(0, 40), height=st.integers(0, 40), step=st.integers(0, 200),
       length=st.integers(0, 4000), big=st.booleans())
def test_any_fields_give_a_frame_or_an_encoding_error(encoding, width, height, step, length, big):
    try:
        frame = decode_raw_image(bytes(length), encoding, width, height, step,
                                 is_bigendian=big)
    except EncodingError:
        return
    assert frame.shape == (height, width, 3)
    assert length >= width * height


@settings(max_examples=300, deadline=None)
@given(encoding=st.sampled_from(ENCODINGS), width=st.integers(2, 20), height=st.integers(2, 20),
       size=st.tuples(st.integers(1, 30), st.integers(1, 30)), padding=st.integers(0, 7),
       seed=st.integers(0, 99))
def test_resized_pixels_are_the_rgb_frame_resized(encoding, width, height, size, padding, seed):
    assume(size != (1, 1) or OPENCV >= (4, 6))  # Before, OpenCV takes no array of one pixel.
    width, height = 2 * width, 2 * height
    step = 8 * width + 2 * padding
    data = np.random.default_rng(seed).integers(0, 256, 3 * height * step, np.uint8)
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
    assert out.any() != (image.conversion is None)  # those are RGB already


def test_scratch_is_the_same_memory_for_one_shape():
    scratch = Scratch()
    first = scratch.of((4, 6, 3))
    assert scratch.of((4, 6, 3)) is first
    assert scratch.of((6, 4, 3)).shape == (6, 4, 3)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_compressed_refuses_any_noise(noise):
    for start in (b'', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'II*\0', b'MM\0+',
                  b'RIFF\x40\0\0\0WEBP'):
        with pytest.raises(EncodingError):
            decode_compressed(start + noise)


@pytest.mark.parametrize('extension', ['.jpg', '.png', '.tiff', '.webp'])
def test_compressed_decodes_to_rgb(extension):
    rgb = smooth_frame(48, 64)
    data = cv2.imencode(extension, rgb[..., ::-1])[1].tobytes()
    frame = decode_compressed(data)
    assert np.abs(frame.astype(int) - rgb).max() <= (12 if extension in '.jpg.webp' else 0)


@pytest.mark.parametrize('extension', ['.jpg', '.png', '.tiff', '.webp'])
@pytest.mark.parametrize('share', [0.0, 0.1, 0.5, 0.95])
def test_compressed_refuses_a_file_that_is_cut_short(extension, share):
    data = cv2.imencode(extension, smooth_frame(48, 64))[1].tobytes()
    with pytest.raises(EncodingError):
        decode_compressed(data[:int(share * len(data))])
