"""Compressed images: formats, color spaces, orientation, limits and damage."""

import contextlib
import io
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.jpegs import jpeg
from support.tiffs import tiff
from support.traced_memory import memory_below

from enet_ros.perception.encodings import (
    EncodingError,
    decode_compressed,
    decode_raw_image,
    encode_image,
)
from enet_ros.scene.road_scene import RoadScene

FRAME = RoadScene(96, 64).render(1.0)[0]
HEIGHT, WIDTH = FRAME.shape[:2]


def opencv(extension, rgb, *options):
    stored = rgb[..., ::-1] if rgb.ndim == 3 else rgb
    return cv2.imencode(extension, stored, list(options))[1].tobytes()


def png(chunks):
    """A PNG of chunks (name, content), with true lengths and checksums."""
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))
        for name, body in chunks)


def header(width, height, bits=8, color_type=2):
    return b'IHDR', struct.pack('>IIBBBBB', width, height, bits, color_type, 0, 0, 0)


def pixels(data):
    return b'IDAT', zlib.compress(data)


def tiff_of(samples, order='<', big=False, **changes):
    """An uncompressed TIFF of (H, W[, C]) uint8 or uint16; ``changes`` are tags by t<number>."""
    channels, bits = samples.shape[2] if samples.ndim == 3 else 1, samples.dtype.itemsize * 8
    rows = [row.astype(samples.dtype.newbyteorder(order)).tobytes() for row in samples]
    strips = [b''.join(rows[i:i + 16]) for i in range(0, len(rows), 16)]
    tags = {256: (3, [samples.shape[1]]), 257: (3, [samples.shape[0]]),
            258: (3, [bits] * channels), 259: (3, [1]), 262: (3, [2 if channels > 1 else 1]),
            277: (3, [channels]), 278: (3, [16])}
    for name, value in changes.items():
        tags[int(name[1:])] = (4 if max(value) > 65535 else 3, value)
    return tiff(tags, strips, order, big)


# What the text of the format says ------------------------------------------------------------

@pytest.mark.parametrize('text', [
    'jpeg', 'jpg', 'JPEG', 'png', '', 'nonsense', 'bgr8; jpeg compressed bgr8', 'rgb8; jpg',
    'mono8; jpeg compressed ', 'rgb8; jpeg compressed rgb8', 'tiff', 'h264', 'bayer_rggb8; jpeg '
    'compressed bgr8'])
@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_the_bytes_say_which_kind_of_file_it_is(extension, text):
    data = opencv(extension, FRAME)
    assert np.array_equal(decode_compressed(data, text), decode_compressed(data))


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('text', [
    'bayer_{0}; {1} compressed bayer_{0}', 'bayer_{0}; {1} compressed ',
    'bayer_{0};{1} compressed', 'bayer_{0}', 'BAYER_{0}; {1}'])
def test_a_mosaic_becomes_a_color_image(pattern, bits, text):
    mosaic, step = encode_image(FRAME, f'bayer_{pattern}{bits}')
    raw = decode_raw_image(mosaic, f'bayer_{pattern}{bits}', WIDTH, HEIGHT, step)
    stored = mosaic.view(f'<u{bits // 8}').reshape(HEIGHT, WIDTH)
    for extension in ('.png', '.tiff') + (('.jpg',) if bits == 8 else ()):
        data = cv2.imencode(extension, stored, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
        frame = decode_compressed(data, text.format(f'{pattern}{bits}', extension[1:]))
        assert np.abs(frame.astype(int) - raw).mean() < (2 if extension == '.jpg' else 1e-9)


@pytest.mark.parametrize('text', [
    'BayerRG8; png compressed BayerRG8', 'bayer-rggb8; png compressed', 'bayer_rggb', 'BayerRG',
    'BayerRG12; png compressed BayerRG12', 'bayer_rggb10'])
def test_a_mosaic_is_known_by_every_spelling_of_its_name(text):
    mosaic, step = encode_image(FRAME, 'bayer_rggb8')
    raw = decode_raw_image(mosaic, 'bayer_rggb8', WIDTH, HEIGHT, step)
    data = cv2.imencode('.png', mosaic.reshape(HEIGHT, WIDTH))[1].tobytes()
    assert np.array_equal(decode_compressed(data, text), raw)


@pytest.mark.parametrize('word', ['bayer_rgbg8', 'BayerXY8', 'bayer'])
def test_a_pattern_that_is_not_known_is_refused_and_not_taken_for_gray(word):
    data = cv2.imencode('.png', FRAME[..., 0])[1].tobytes()
    with pytest.raises(EncodingError, match=f"the Bayer pattern '{word.lower()}', wanted"):
        decode_compressed(data, f'{word}; png compressed {word}')


def test_colors_that_image_transport_made_before_are_left_alone():
    mosaic, _ = encode_image(FRAME, 'bayer_rggb8')
    gray = cv2.imencode('.png', mosaic.reshape(HEIGHT, WIDTH))[1].tobytes()
    text = 'bayer_rggb8; png compressed mono8'
    assert np.array_equal(decode_compressed(gray, text), decode_compressed(gray))
    color, text = opencv('.png', FRAME), 'bayer_rggb8; png compressed bayer_rggb8'
    assert np.array_equal(decode_compressed(color, text), FRAME)


@pytest.mark.parametrize('text', [
    '16UC1; png compressed ', '16UC1; compressedDepth png', '32FC1; compressedDepth', '16UC1',
    '32FC1; tiff compressed ', '16uc1; png compressed mono16', '64FC1; tiff compressed 64FC1'])
def test_a_depth_image_is_refused_as_one(text):
    data = opencv('.png', FRAME[..., 0].astype(np.uint16) * 9)
    for depth in (data, bytes(12) + data):
        with pytest.raises(EncodingError, match='a depth image, wanted a color or gray image'):
            decode_compressed(depth, text)


@pytest.mark.parametrize(('data', 'name'), [
    (b'GIF89a' + bytes(99), 'is a GIF'), (b'BM' + bytes(99), 'is a BMP'),
    (b'\0\0\0\x01\x67' + bytes(99), 'is a H.264'), (b'hello', 'starts with 68656c6c'),
    (b'', 'starts with nothing')])
def test_another_kind_of_file_is_named(data, name):
    with pytest.raises(EncodingError, match=f'{name}.*, wanted a JPEG, PNG, TIFF or WebP'):
        decode_compressed(data, 'jpeg')


# Color spaces ---------------------------------------------------------------------------------

def pillow(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope='module')
def pil():
    return pytest.importorskip('PIL.Image', reason='Pillow is not installed')


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK'])
@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'JPEG', 'WEBP'])
def test_every_color_space_becomes_the_colors_that_it_means(pil, mode, kind):
    image = pil.fromarray(FRAME)
    image = image.quantize(64) if mode == 'P' else image.convert(mode)
    if mode.endswith('A'):
        image.putalpha(pil.fromarray(FRAME[..., 0]))
    try:
        data = pillow(image, kind, **({'lossless': True} if kind == 'WEBP' else {}))
    except (OSError, ValueError):
        pytest.skip(f'{kind} has no {mode}')
    frame = decode_compressed(data)
    wanted = np.asarray(image.convert('RGB'))  # alpha is dropped, not blended
    if mode == 'CMYK':
        wanted = FRAME
    visible = np.asarray(image.getchannel('A')) > 0 if mode.endswith('A') else np.s_[:]
    assert np.abs(frame.astype(int) - wanted)[visible].mean() < (6 if kind == 'JPEG' else 1.5)


@pytest.mark.parametrize('bits', [1, 2, 4, 8])
@pytest.mark.parametrize('color_type', [0, 3])
def test_pngs_of_few_bits(color_type, bits):
    width, levels = 16, 2 ** bits
    values = np.arange(width * 8).reshape(8, width) % levels
    rows = [b'\0' + np.packbits(((row[:, None] >> np.arange(bits)[::-1]) & 1).reshape(-1).astype(
        np.uint8)).tobytes() for row in values]
    palette = np.random.default_rng(0).integers(0, 256, (levels, 3)).astype(np.uint8)
    data = png([header(width, 8, bits, color_type),
                *([(b'PLTE', palette.tobytes())] if color_type == 3 else []),
                pixels(b''.join(rows)), (b'IEND', b'')])
    wanted = palette[values] if color_type == 3 else np.repeat(
        values[..., None] * 255 // (levels - 1), 3, 2)
    assert np.array_equal(decode_compressed(data), wanted)


def test_cmyk_without_adobes_marker_is_not_inverted(pil):
    cmyk = pil.fromarray(FRAME).convert('CMYK')
    data = pillow(pil.fromarray(255 - np.asarray(cmyk), 'CMYK'), 'JPEG', quality=98)
    at = data.index(b'\xff\xee')
    plain = data[:at] + data[at + 2 + int.from_bytes(data[at + 2:at + 4], 'big'):]
    assert b'Adobe' not in plain
    assert np.abs(decode_compressed(plain).astype(int) - FRAME).mean() < 4


# Orientation ----------------------------------------------------------------------------------

@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
def test_an_orientation_is_not_applied(pil, kind, orientation):
    exif = pil.Exif()
    exif[0x0112] = orientation
    options = {'lossless': True} if kind == 'WEBP' else {}
    image = pil.fromarray(FRAME)
    turned = decode_compressed(pillow(image, kind, exif=exif, **options))
    assert np.array_equal(turned, decode_compressed(pillow(image, kind, **options)))
    assert turned.shape == FRAME.shape


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('samples', [FRAME, FRAME[..., 0], FRAME.astype(np.uint16) * 257])
@pytest.mark.parametrize('orientation', [1, 6])
def test_tiffs_of_either_byte_order_and_size(order, big, samples, orientation):
    data = tiff_of(samples, order, big, t274=[orientation])
    frame = decode_compressed(data)
    wanted = samples if samples.dtype == np.uint8 else FRAME
    if wanted.ndim == 2:
        wanted = np.repeat(wanted[..., None], 3, 2)
    assert np.array_equal(frame, wanted)


# Tails, cuts and damage -----------------------------------------------------------------------

@pytest.mark.parametrize('tail', [bytes(9000), b'\xff' * 99, opencv('.png', FRAME[::-1])])
@pytest.mark.parametrize('extension', ['.png', '.webp', '.tiff'])
def test_what_follows_the_end_does_not_matter(extension, tail):
    data = opencv(extension, FRAME)
    assert np.array_equal(decode_compressed(data + tail), decode_compressed(data))


@pytest.mark.parametrize('extension', ['.png', '.webp', '.tiff'])
@pytest.mark.parametrize('lost', [1, 5, 12, 100])
def test_a_file_without_its_end_is_refused(extension, lost):
    data = opencv(extension, FRAME)[:-lost]
    with pytest.raises(EncodingError, match='cut short'):
        decode_compressed(data)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), length=st.integers(1, 200))
@pytest.mark.parametrize(('extension', 'option'), [
    ('.png', None), ('.tiff', 8), ('.tiff', 32946)])
def test_damaged_pixels_are_refused_where_the_format_can_tell(extension, option, seed, length):
    rng = np.random.default_rng(seed)
    options = [] if option is None else [cv2.IMWRITE_TIFF_COMPRESSION, option]
    data = bytearray(opencv(extension, FRAME, *options))
    at = int(rng.integers(60, len(data) - 250 - length))
    data[at:at + length] = rng.integers(0, 256, length).astype(np.uint8).tobytes()
    if data == opencv(extension, FRAME, *options):
        return
    with pytest.raises(EncodingError, match='damaged|cut short|cannot be read'):
        decode_compressed(bytes(data))


def test_most_damage_of_lzw_is_refused():
    """It has no checksum: wrong codes that unpack to as many bytes cannot be seen."""
    rng, refused = np.random.default_rng(0), 0
    data = opencv('.tiff', FRAME, cv2.IMWRITE_TIFF_COMPRESSION, 5)
    for _ in range(60):
        damaged = bytearray(data)
        at = int(rng.integers(60, len(data) - 400))
        damaged[at:at + 100] = rng.integers(0, 256, 100).astype(np.uint8).tobytes()
        try:
            decode_compressed(bytes(damaged))
        except EncodingError:
            refused += 1
    assert refused >= 54


def test_an_lzw_strip_of_every_length_is_counted():
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (3, 5), (64, 96), (64, 96, 3), (301, 77)):
        for frame in (np.zeros(shape, np.uint8), rng.integers(0, 256, shape).astype(np.uint8),
                      rng.integers(0, 3, shape).astype(np.uint8)):
            data = opencv('.tiff', frame, cv2.IMWRITE_TIFF_COMPRESSION, 5)
            rgb = frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, 2)
            assert np.array_equal(decode_compressed(data), rgb)


@settings(max_examples=200, deadline=None)
@given(extension=st.sampled_from(['.png', '.webp', '.tiff', '.jpg']), seed=st.integers(0, 10**6),
       length=st.integers(1, 40))
def test_any_damage_gives_a_frame_or_an_encoding_error(extension, seed, length):
    rng = np.random.default_rng(seed)
    data = bytearray(opencv(extension, FRAME[:20, :20]))
    at = int(rng.integers(4, len(data) - 1))
    data[at:at + length] = rng.integers(0, 256, length).astype(np.uint8).tobytes()
    with contextlib.suppress(EncodingError):
        assert decode_compressed(bytes(data)).ndim == 3


# Limits ---------------------------------------------------------------------------------------

def black(width, height, channels=3, size=1):
    return b''.join([b'\0' + bytes(width * channels * size)] * height)


BOMBS = {
    'PNG chunk of 3.7 GB': (lambda: opencv('.png', FRAME)[:33] + b'\xdd\0\0\0IDAT' + bytes(7000),
                            'cut short or false: its chunk'),
    'PNG with a note of 3.7 GB': (lambda: png([header(16, 16)]) + b'\xdd\0\0\0tEXt' + bytes(7000),
                                  'cut short or false: its chunk'),
    'PNG of 6000x6000 in few bytes': (
        lambda: png([header(6000, 6000), pixels(black(16, 16)), (b'IEND', b'')]),
        'cut short or false: it has'),
    'PNG of 16 bits and 64 MP': (
        lambda: png([header(8000, 8000, 16), pixels(b''), (b'IEND', b'')]), 'would take 768 MB'),
    'PNG of 65 MP': (lambda: png([header(8125, 8001), (b'IEND', b'')]), 'wanted at most 64 MP'),
    'PNG of 4 billion': (lambda: png([header(2**31 - 1, 2**31 - 1), (b'IEND', b'')]),
                         'wanted at most 64 MP'),
    'PNG of no size': (lambda: png([header(0, 9), (b'IEND', b'')]), 'wanted at least 1x1'),
    'PNG of 3 bits': (lambda: png([header(9, 9, 3), (b'IEND', b'')]), 'color type 2 with 3 bits'),
    'TIFF of 70 MP': (lambda: tiff_of(FRAME, t256=[10000], t257=[7000]), 'wanted at most 64 MP'),
    'TIFF larger than its strips': (lambda: tiff_of(FRAME, t256=[4000], t257=[4000],
                                                    t278=[1000]), 'a piece has'),
    'TIFF of too few strips': (lambda: tiff_of(FRAME, t257=[640]), '4 pieces, wanted 40'),
    'TIFF of doubles': (lambda: tiff_of(FRAME, t258=[64] * 3, t339=[3] * 3), 'floating-point'),
    'TIFF of floats in one channel': (lambda: tiff_of(FRAME[..., 0], t258=[32], t339=[3]),
                                      'such as a depth image'),
    'TIFF of 16 bits and 64 MP': (
        lambda: tiff_of(FRAME.astype(np.uint16), t256=[8000], t257=[8000]), 'would take 960 MB'),
    'TIFF of 32 bits': (lambda: tiff_of(FRAME, t258=[32] * 3), '3 channels of 32 bits'),
    'TIFF packed as JPEG': (lambda: tiff_of(FRAME, t259=[7]), 'compression 7'),
    'TIFF in planes': (lambda: tiff_of(FRAME, t284=[2]), 'planes'),
    'TIFF with a strip outside': (lambda: tiff_of(FRAME)[:3000], 'cut short'),
    'TIFF that inflates': (
        lambda: tiff({256: (3, [7000]), 257: (3, [7000]), 258: (3, [8]), 259: (3, [8]),
                      262: (3, [1]), 277: (3, [1]), 278: (3, [7000])}, [zlib.compress(bytes(9))]),
        'a piece has'),
    'WebP of 16383x16383': (
        lambda: b'RIFF\x40\0\0\0WEBPVP8L\x30\0\0\0\x2f' + b'\xff' * 3 + b'\x0f' + bytes(60),
        '16384x16384, wanted at most 64 MP'),
    'WebP canvas of a billion': (
        lambda: b'RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0' + b'\xff' * 6 + bytes(60),
        'wanted at most 64 MP'),
}


@pytest.mark.parametrize('name', BOMBS)
def test_a_size_above_a_limit_is_refused_at_once(name):
    make, reason = BOMBS[name]
    data = make()
    start = time.perf_counter()
    with memory_below(4e6):
        with pytest.raises(EncodingError, match=reason):
            decode_compressed(data)
    assert time.perf_counter() - start < 1.0


def test_a_large_black_png_is_no_bomb():
    data = opencv('.png', np.zeros((3000, 4000, 3), np.uint8), cv2.IMWRITE_PNG_COMPRESSION, 9)
    assert len(data) < 60_000
    assert decode_compressed(data).shape == (3000, 4000, 3)


def test_of_several_pictures_the_first_is_taken(pil):
    first, second = pil.fromarray(FRAME), pil.fromarray(FRAME[::-1])
    for kind in ('PNG', 'TIFF'):
        data = pillow(first, kind, save_all=True, append_images=[second])
        assert np.array_equal(decode_compressed(data), FRAME)
    with pytest.raises(EncodingError, match='the WebP is an animation, wanted one image'):
        decode_compressed(pillow(first, 'WEBP', save_all=True, append_images=[second]))
    assert np.array_equal(decode_compressed(jpeg(FRAME) + jpeg(FRAME[::-1])),
                          decode_compressed(jpeg(FRAME)))
