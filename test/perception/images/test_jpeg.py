"""JPEG files that webcams send, that are damaged, or whose header is false."""

import importlib
import re
import sys
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.jpegs import jpeg, of_size, scan_start, with_extra_bytes
from support.traced_memory import memory_below

from enet_ros.perception.encodings import (
    CompressedFile,
    EncodingError,
    decode_compressed,
    read_compressed,
)
from enet_ros.perception.images.formats import jpeg as reader
from enet_ros.scene.road_scene import RoadScene

FRAME = RoadScene(320, 192).render(1.0)[0]
FRAME = np.clip(FRAME + np.random.default_rng(0).integers(-9, 10, FRAME.shape), 0, 255).astype(
    np.uint8)
simplejpeg = pytest.importorskip('simplejpeg', reason='without it OpenCV decodes, see below')


def warnings_of(data):
    return [remark.value for remark in read_compressed(CompressedFile(data)).remarks
            if remark.is_warning]


def clean_without(frame, **options):
    """A file, and its pixels by OpenCV."""
    data = jpeg(frame, **options)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    return data, pixels


@pytest.mark.parametrize('progressive', [False, True])
@pytest.mark.parametrize('sampling', ['411', '420', '422', '440', '444'])
@pytest.mark.parametrize('frame', [FRAME, FRAME[..., 1], FRAME[:33, :77]], ids='CGo')
def test_the_pixels_are_those_of_opencv(frame, sampling, progressive):
    data, pixels = clean_without(frame, sampling=sampling, progressive=progressive)
    assert np.array_equal(decode_compressed(data), pixels)
    assert warnings_of(data) == []


@pytest.mark.parametrize('restart', [0, 1, 3, 20, 300])
@pytest.mark.parametrize('sampling', ['420', '422', '444'])
@pytest.mark.parametrize('frame', [FRAME, FRAME[:50, :90, 1]], ids='CG')
@pytest.mark.parametrize(('least', 'most'), [(1, 1), (1, 4), (4, 4)])
def test_extra_bytes_before_markers_lose_no_pixel(frame, sampling, restart, least, most):
    data, pixels = clean_without(frame, sampling=sampling, restart=restart)
    for seed in range(3):
        extended = with_extra_bytes(data, least, most, seed)
        assert np.array_equal(decode_compressed(extended), pixels)
        assert warnings_of(extended) in (
            [], ['extraneous bytes before markers, as some webcams send; no pixel is lost'])


def test_extra_bytes_at_restart_markers_are_remarked():
    assert warnings_of(with_extra_bytes(jpeg(FRAME, restart=3), 4, 4))


@pytest.mark.parametrize('count', [100, 5000])
def test_many_extra_bytes_are_damage(count):
    data = jpeg(FRAME)
    with pytest.raises(EncodingError, match='the JPEG is damaged: .* extraneous bytes'):
        decode_compressed(data[:-2] + b'\x55' * count + data[-2:])


@pytest.mark.parametrize('piece', [0, 7, 11])
@pytest.mark.parametrize('damage', ['gone', 'zero', 'last bytes gone', 'swapped', 'marker gone'])
def test_a_damaged_piece_among_extra_bytes_is_refused(piece, damage):
    """The first warning, which is harmless, must not hide the later one."""
    data = with_extra_bytes(jpeg(FRAME, restart=20), 1, 4)
    marks = [scan_start(data), *(match.end() for match in re.finditer(
        rb'\xff[\xd0-\xd7\xd9]', data[scan_start(data):]))]
    marks[1:] = [marks[0] + mark for mark in marks[1:]]
    start, stop = marks[piece], marks[piece + 1] - 2
    pixels = decode_compressed(data)
    changed = {'gone': data[:start] + data[stop:],
               'zero': data[:start] + bytes(stop - start) + data[stop:],
               'last bytes gone': data[:stop - 40] + data[stop:],
               'swapped': data[:start] + data[start:stop][::-1].replace(b'\xff', b'\xfe')
               + data[stop:],
               'marker gone': data[:stop] + data[stop + 2:]}[damage]
    try:
        decoded = decode_compressed(changed)
    except EncodingError:
        pass
    else:  # Then no decoder can know it: each piece by itself is whole.
        assert damage in ('zero', 'swapped')
        assert piece_by_piece(changed)
        assert not np.array_equal(decoded, pixels)


def piece_by_piece(data):
    """Tell whether libjpeg-turbo finds each piece whole by itself."""
    view = memoryview(data)
    return reader._is_whole_between_restarts(view, reader.read_jpeg_header(view))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(['flip', 'zero', 'noise', 'cut', 'twice']),
       restart=st.sampled_from([0, 4, 20]), extra=st.booleans(), length=st.integers(1, 300))
def test_damage_is_refused_where_libjpeg_warns_of_lost_pixels(seed, kind, restart, extra, length):
    rng = np.random.default_rng(seed)
    data = jpeg(FRAME, restart=restart)
    if extra:
        data = with_extra_bytes(data, 1, 4, seed)
    damaged = bytearray(data)
    at = int(rng.integers(scan_start(data), len(data) - 2 - length))
    if kind == 'flip':
        damaged[at] ^= 1 << int(rng.integers(8))
    elif kind == 'zero':
        damaged[at:at + length] = bytes(length)
    elif kind == 'noise':
        damaged[at:at + length] = rng.integers(0, 256, length).astype(np.uint8).tobytes()
    elif kind == 'cut':
        del damaged[at:at + length]
    else:
        damaged[at:at] = damaged[at:at + length]
    try:
        pixels = decode_compressed(bytes(damaged))
    except EncodingError:
        return
    assert pixels.shape == FRAME.shape
    if not restart and not extra:  # The whole file is one piece, so the first warning says all.
        warning = warning_of(bytes(damaged))
        assert warning is None or int(re.search(r'(\d+) extraneous', warning)[1]) <= 8


def warning_of(data):
    """The first warning of libjpeg-turbo, or None."""
    try:
        simplejpeg.decode_jpeg(data)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize('restart', [0, 20])
def test_most_damage_in_the_middle_is_seen(restart):
    """Some is not: bits that make other codes of the same length. Nobody can see those."""
    data, rng, count = jpeg(FRAME, restart=restart), np.random.default_rng(1), Counter()
    for _ in range(60):
        damaged = bytearray(data)
        at = int(rng.integers(scan_start(data), len(data) * 3 // 4))
        del damaged[at:at + int(rng.integers(100, 1000))]
        try:
            decode_compressed(bytes(damaged))
            count['taken'] += 1
        except EncodingError:
            count['refused'] += 1
    assert count['refused'] >= 57


@pytest.mark.parametrize('progressive', [False, True])
@pytest.mark.parametrize('tail', [bytes(9000), b'\xff\xd9', b'\xff' * 99, b'older'])
def test_what_follows_the_end_does_not_matter(progressive, tail):
    data = jpeg(FRAME, progressive=progressive)
    older = jpeg(FRAME[::-1], quality=99)
    tail = older[len(data):] if tail == b'older' else tail
    assert np.array_equal(decode_compressed(data + tail), decode_compressed(data))
    assert warnings_of(data + tail) == []
    for lost in (2, 1, 30):
        with pytest.raises(EncodingError):
            decode_compressed(data[:-lost])
        with pytest.raises(EncodingError):
            decode_compressed(data[:-lost] + tail.replace(b'\xff\xd9', b''))


def test_an_older_end_is_not_the_end_of_a_file_that_lacks_its_own():
    data, older = jpeg(FRAME), jpeg(FRAME[::-1], quality=99)
    with pytest.raises(EncodingError, match='damaged'):
        decode_compressed(data[:-2] + older[len(data) - 2:])


def false_sizes():
    for progressive in (False, True):
        for frame in (FRAME[:16, :16], FRAME[:16, :16, 0]):
            for size in ((8000, 8000), (1920, 1080), (200, 200), (65, 40)):
                yield jpeg(frame, progressive=progressive), size


@pytest.mark.parametrize(('data', 'size'), list(false_sizes()))
@pytest.mark.parametrize('tail', [0, 300])
def test_a_size_that_the_bytes_cannot_fill_is_refused_before_it_takes_memory(data, size, tail):
    with memory_below(1e6):
        with pytest.raises(EncodingError, match='cut short or false|damaged|would take'):
            decode_compressed(of_size(data, *size) + bytes(tail))


@pytest.mark.parametrize(('size', 'most'), [((192, 96), 100), ((3840, 2160), 48)])
def test_more_scans_than_an_encoder_writes_are_refused(size, most):
    """A scan of a few bytes can take the time of the whole image."""
    data = jpeg(np.full((size[1], size[0]), 77, np.uint8), progressive=True)
    at, last = data.count(b'\xff\xda'), data[data.rindex(b'\xff\xda'):-2]
    many = data[:-2] + (most + 2 - at) * last + data[-2:]
    with pytest.raises(EncodingError, match=f'has {most + 2} scans, wanted at most {most + 1}'):
        decode_compressed(many)
    assert at < 12 and decode_compressed(data).any()


def test_a_black_file_with_the_shortest_codes_is_not_taken_for_a_false_size():
    from PIL import Image  # It optimizes codes, as cameras do not.
    data = io_bytes(Image.new('RGB', (1920, 1080)), optimize=True)
    assert len(data) < 25_000
    assert not decode_compressed(data).any()


def io_bytes(image, **options):
    import io
    file = io.BytesIO()
    image.save(file, 'JPEG', **options)
    return file.getvalue()


@pytest.mark.parametrize(('data', 'reason'), [
    (of_size(jpeg(FRAME), 9000, 9000), '9000x9000, wanted at most 64 MP'),
    (of_size(jpeg(FRAME), 65535, 65535), '65535x65535, wanted at most 64 MP'),
    (of_size(jpeg(FRAME), 0, 192), '0x192, wanted at least 1x1'),
    (of_size(jpeg(FRAME, progressive=True, sampling='444'), 7000, 7000),
     'would take 441 MB, wanted at most 256 MB'),
    (jpeg(FRAME)[:20], 'cut short'), (jpeg(FRAME)[:scan_start(jpeg(FRAME))], 'cut short'),
    (b'\xff\xd8\xff\xd9', 'no image'), (b'\xff\xd8\xff\xe0\0\0\xff\xd9', 'cut short'),
    (b'\xff\xd8\xff\xdd\0\2', 'cut short'), (b'\xff\xd8\xff\xda\0\2', 'no image'),
    (b'\xff\xd8\xff\xc0\0\x08\x08\0\x10\0\x10\3', 'a frame header that is cut short'),
    (b'\xff\xd8\xff\xc0\0\x0b\x08\0\x10\0\x10\1\1\x01\0', r'has components \(\(0, 1\),\)'),
    (jpeg(FRAME).replace(b'\xff\xc0', b'\xff\xc9'), 'arithmetic'),
    (jpeg(FRAME).replace(b'\xff\xc0', b'\xff\xc3'), 'lossless'),
    (jpeg(FRAME).replace(b'\xff\xc0\0\x11\x08', b'\xff\xc0\0\x11\x0c'), '12 bits a sample'),
])
def test_a_header_that_is_not_read_is_named(data, reason):
    with pytest.raises(EncodingError, match=reason):
        decode_compressed(data)


@pytest.mark.parametrize(('old', 'new', 'warning'), [
    (b'JFIF\0\x01', b'JFIF\0\x03', 'unknown JFIF revision'),
    (b'\0\x3f\0', b'\0\0\0', 'Invalid SOS parameters'),
    (b'\xff\xdb', b'\xff\xe2\0\x20ICC_PROFILE\0\x01\x02' + bytes(16) + b'\xff\xdb', 'bad ICC'),
    (jpeg(FRAME)[2:20], b'\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x07', 'Adobe color transform'),
    (b'\xff\xdb', b'\xff\xe7\0\x06odd!\xff\xdb', None),
    (b'\xff\xdb', b'\xff\xff\xff\xff\xdb', None)])
def test_odd_headers_lose_no_pixel(old, new, warning):
    data = jpeg(FRAME, restart=20)
    odd = data.replace(old, new, 1)
    assert np.array_equal(decode_compressed(odd), decode_compressed(data))
    assert [warning in text for text in warnings_of(odd)] == ([True] if warning else [])
    extended = with_extra_bytes(odd, 4, 4)
    assert np.array_equal(decode_compressed(extended), decode_compressed(data))
    with pytest.raises(EncodingError):  # The harmless warning hides no loss.
        decode_compressed(odd[:-3000] + odd[-2:])


def gray_of_sampling(sampling, width=64, height=32):
    """A middle gray by hand: each block is 00 (no change) and 1010 (end), the rest the padding."""
    across, down = (8 * max(factors) for factors in zip(*sampling))
    mcus = -(-width // across) * -(-height // down)
    bits = '001010' * (mcus * sum(h * v for h, v in sampling))
    bits += '1' * (-len(bits) % 8)
    model = bytearray(of_size(jpeg(FRAME[:64, :64]), width, height)[:scan_start(jpeg(FRAME))])
    at, scan_at = model.index(b'\xff\xc0'), model.index(b'\xff\xda')
    for i, (h, v) in enumerate(sampling):
        model[at + 11 + 3 * i] = h << 4 | v
        model[scan_at + 6 + 2 * i] = 0  # the code tables of the luma
    return bytes(model) + int(bits, 2).to_bytes(len(bits) // 8, 'big') + b'\xff\xd9'


@pytest.mark.parametrize('sampling', [((3, 1), (1, 1), (1, 1)), ((1, 3), (1, 1), (1, 1))])
def test_a_subsampling_that_simplejpeg_does_not_know(sampling):
    data = gray_of_sampling(sampling)
    assert (decode_compressed(data) == 128).all()
    with pytest.raises(ValueError, match='subsampling'):
        simplejpeg.decode_jpeg(data)
    assert 'OpenCV decodes' in warnings_of(data)[0]


@pytest.fixture
def without_simplejpeg(monkeypatch):
    """A machine without simplejpeg, as apt alone makes it."""
    monkeypatch.setitem(sys.modules, 'simplejpeg', None)
    importlib.reload(reader)
    monkeypatch.setattr('enet_ros.perception.images.read_compressed.read_jpeg', reader.read_jpeg)
    yield
    monkeypatch.undo()
    importlib.reload(reader)


def test_without_simplejpeg_opencv_decodes_with_the_same_limits(without_simplejpeg):
    data = jpeg(FRAME)
    image = read_compressed(CompressedFile(data))
    assert np.array_equal(image.rgb(), clean_without(FRAME)[1])
    assert image.remarks[0].fact == 'jpeg_decoder'
    assert image.remarks[0].value.startswith(f'OpenCV {cv2.__version__}: damage in the middle')
    assert np.array_equal(decode_compressed(data + bytes(5000)), image.rgb())
    for bad in (data[:-2], data[:-2] + bytes(99), of_size(data, 9000, 9000),
                of_size(jpeg(FRAME[:16, :16]), 8000, 8000)):
        with pytest.raises(EncodingError):
            decode_compressed(bad)


def test_with_simplejpeg_the_diagnostics_name_it():
    remark = read_compressed(CompressedFile(jpeg(FRAME))).remarks[0]
    assert (remark.fact, remark.value) == ('jpeg_decoder', f'simplejpeg {simplejpeg.__version__}')
