"""Image files as they are shown, or one sentence about why one cannot be read."""

import os
from contextlib import suppress

import cv2
import numpy as np
import pytest
from PIL import Image
from support.damaged import as_file, damaged_files, hidden_files, png_of, street
from support.traced_memory import memory_below

from enet_ros.media import (
    SourceError,
    Video,
    as_shown,
    decode_image_file,
    existing,
    list_images,
    open_image,
    orient,
    read_frames,
    read_image,
)
from enet_ros.perception.images.raw_image import CompressedFile
from enet_ros.perception.images.read_compressed import read_compressed

FRAME = street(64, 48)

#: orientation -> how a viewer shows an image that is stored upright
SHOWN = {1: lambda f: f, 2: lambda f: f[:, ::-1], 3: lambda f: f[::-1, ::-1],
         4: lambda f: f[::-1], 5: lambda f: np.rot90(f[:, ::-1]), 6: lambda f: np.rot90(f, -1),
         7: lambda f: np.rot90(f[::-1]), 8: lambda f: np.rot90(f)}


@pytest.mark.parametrize('orientation', SHOWN)
@pytest.mark.parametrize(('kind', 'options'), [
    ('JPEG', {'quality': 95}), ('PNG', {}), ('WEBP', {'lossless': True}), ('TIFF', {})])
def test_a_picture_is_read_as_it_is_shown(tmp_path, kind, options, orientation):
    (tmp_path / 'a').write_bytes(as_file(FRAME, kind, orientation, **options))
    stored = cv2.imdecode(np.frombuffer(as_file(FRAME, kind, **options), np.uint8), 1)[..., ::-1]
    found = read_image(tmp_path / 'a')
    assert found.flags.c_contiguous and found.flags.writeable
    assert np.array_equal(found, SHOWN[orientation](stored))
    assert open_image(tmp_path / 'a').orientation == orientation


@pytest.mark.parametrize('orientation', [0, 9, 65535])
def test_an_impossible_orientation_means_as_stored(tmp_path, orientation):
    (tmp_path / 'a.png').write_bytes(as_file(FRAME, 'PNG', orientation))
    assert np.array_equal(read_image(tmp_path / 'a.png'), FRAME)


def test_damaged_exif_is_no_reason_to_refuse_a_picture(tmp_path):
    data = as_file(FRAME, orientation=6)
    start = data.index(b'Exif') + 6
    (tmp_path / 'a.jpg').write_bytes(data[:start] + b'\xff' * 12 + data[start + 12:])
    assert read_image(tmp_path / 'a.jpg').shape == FRAME.shape


def test_orientation_keeps_other_axes():
    assert orient(np.zeros((2, 3, 4)), 6).shape == (3, 2, 4)
    assert orient(np.zeros((2, 3)), 8).shape == (3, 2)


def test_each_damage_has_its_reason_in_one_line(tmp_path):
    for name, reason in damaged_files(tmp_path, FRAME).items():
        with pytest.raises(SourceError) as error:
            read_image(tmp_path / name)
        assert reason in str(error.value)
        assert str(tmp_path / name) in str(error.value)
        assert '\n' not in str(error.value)


def test_sizes_are_checked_before_memory_is_taken(tmp_path):
    (tmp_path / 'a.png').write_bytes(png_of([], 20_000, 5_000, 8, 2))
    with memory_below(5_000_000):
        with pytest.raises(SourceError, match='20000x5000, wanted at most 64 million pixels'):
            read_image(tmp_path / 'a.png')


def test_a_file_too_large_is_refused_unread(tmp_path):
    with open(tmp_path / 'a.png', 'wb') as file:
        file.truncate(257_000_000)
    with pytest.raises(SourceError, match='257000000 bytes, wanted at most 256000000'):
        read_image(tmp_path / 'a.png')


@pytest.mark.parametrize('cut', [0.1, 0.3, 0.5, 0.9, 0.98])
@pytest.mark.parametrize(('kind', 'options'), [
    ('JPEG', {}), ('JPEG', {'progressive': True}), ('PNG', {}), ('WEBP', {}), ('BMP', {}),
    ('TIFF', {}), ('TIFF', {'compression': 'tiff_lzw'}), ('PPM', {})])
def test_a_file_cut_short_is_refused(tmp_path, kind, options, cut):
    data = as_file(FRAME, kind, **options)
    (tmp_path / 'a').write_bytes(data[:int(cut * len(data))])
    with pytest.raises(SourceError, match='cannot be read as an image'):
        read_image(tmp_path / 'a')


def test_a_changed_byte_in_a_png_is_seen(tmp_path):
    data, rng = as_file(FRAME, 'PNG'), np.random.default_rng(0)
    start, end = data.index(b'IDAT') + 4, data.index(b'IEND') - 8
    for position in rng.integers(start, end, 200):
        changed = bytearray(data)
        changed[position] ^= 1 << int(rng.integers(8))
        (tmp_path / 'a.png').write_bytes(changed)
        with pytest.raises(SourceError, match='damaged or cut short'):
            read_image(tmp_path / 'a.png')


def test_a_jpeg_damaged_in_its_middle_is_refused(tmp_path):
    """Unless the damage is valid code, which nobody can tell from a picture."""
    data, rng = as_file(street(320, 192), quality=90), np.random.default_rng(0)
    refused = 0
    for position in rng.integers(len(data) // 3, 2 * len(data) // 3, 30):
        span = rng.integers(0, 256, 200, np.uint8).tobytes()
        (tmp_path / 'a.jpg').write_bytes(data[:position] + span + data[position + 200:])
        with suppress(SourceError):
            read_image(tmp_path / 'a.jpg')
            continue
        refused += 1
    assert refused >= 15


def test_bytes_that_lose_no_pixel_are_no_damage(tmp_path):
    data = as_file(FRAME)
    for content in (data + bytes(1000), data + data, data[:-2] + b'\x12\x34' + data[-2:]):
        (tmp_path / 'a.jpg').write_bytes(content)
        assert np.array_equal(read_image(tmp_path / 'a.jpg'), as_shown(decode_image_file(data)))


@pytest.mark.parametrize(('kind', 'options'), [('JPEG', {}), ('PNG', {}), ('WEBP', {}),
                                               ('TIFF', {'compression': 'tiff_lzw'})])
def test_a_file_has_the_pixels_of_the_same_file_on_a_topic(tmp_path, kind, options):
    data = as_file(FRAME, kind, 3, **options)
    (tmp_path / 'a').write_bytes(data)
    on_topic = read_compressed(CompressedFile(memoryview(data))).rgb()
    assert np.array_equal(read_image(tmp_path / 'a'), on_topic[::-1, ::-1])


def test_sixteen_bits_that_are_shifted_up_keep_their_scale(tmp_path):
    assert cv2.imwrite(str(tmp_path / 'a.png'), np.full((8, 8), 0x0FC0, np.uint16))
    assert read_image(tmp_path / 'a.png')[0, 0].tolist() == [15, 15, 15]


@pytest.mark.parametrize('bits', [10, 12, 14, 16])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_sixteen_bits_become_eight_by_the_significant_ones(tmp_path, bits, channels):
    deep = FRAME.astype(np.uint16) << (bits - 8)
    deep[0, 0] = (1 << bits) - 1
    stored = {1: deep[..., 1], 3: deep[..., ::-1],
              4: np.dstack((deep[..., ::-1], np.full_like(deep[..., :1], 65535)))}[channels]
    assert cv2.imwrite(str(tmp_path / 'a.png'), stored)
    expected = FRAME.copy()
    expected[0, 0] = 255
    if channels == 1:
        expected = np.repeat(expected[..., 1:2], 3, 2)
    assert np.array_equal(read_image(tmp_path / 'a.png'), expected)


@pytest.mark.parametrize(('mode', 'kind'), [
    ('P', 'PNG'), ('RGBA', 'PNG'), ('L', 'PNG'), ('LA', 'PNG'), ('1', 'PNG'), ('CMYK', 'JPEG'),
    ('L', 'JPEG'), ('RGBA', 'WEBP'), ('CMYK', 'TIFF')])
def test_palettes_gray_alpha_and_cmyk_become_rgb(tmp_path, mode, kind):
    image = Image.fromarray(FRAME)
    image = image.quantize(200) if mode == 'P' else image.convert(mode)
    (tmp_path / 'a').write_bytes(as_file(image, kind))
    found = read_image(tmp_path / 'a').astype(int)
    gray = image.mode in ('L', 'LA')
    expected = FRAME @ (0.299, 0.587, 0.114) if gray else FRAME
    assert found.shape == FRAME.shape
    if image.mode == '1':
        assert set(np.unique(found)) == {0, 255}
    else:
        assert np.abs(found - (expected[..., None] if gray else expected)).mean() < 8


def test_a_transparent_pixel_keeps_its_color(tmp_path):
    rgba = np.dstack((FRAME, np.zeros(FRAME.shape[:2], np.uint8)))
    (tmp_path / 'a.png').write_bytes(as_file(rgba, 'PNG'))
    assert np.array_equal(read_image(tmp_path / 'a.png'), FRAME)


def test_hidden_files_are_skipped_and_counted(tmp_path):
    hidden_files(tmp_path)
    with pytest.raises(SourceError, match=r'no images \(3 hidden files are skipped\)'):
        list_images(tmp_path)
    for name in ('b.JPG', 'd.pgm', 'straße 一.png'):
        (tmp_path / name).write_bytes(as_file(FRAME, 'PNG'))
    (tmp_path / 'c.png').symlink_to('b.JPG')
    assert [path.name for path in list_images(tmp_path)] == ['b.JPG', 'c.png', 'd.pgm',
                                                             'straße 一.png']
    assert len(list(read_frames(tmp_path))) == 4


def test_a_hidden_folder_that_is_named_is_read(tmp_path):
    (tmp_path / '.cache').mkdir()
    (tmp_path / '.cache' / 'a.png').write_bytes(as_file(FRAME, 'PNG'))
    assert len(list_images(tmp_path / '.cache')) == 1


def test_a_folder_is_read_on_past_its_bad_pictures(tmp_path):
    reasons = damaged_files(tmp_path, FRAME)
    (tmp_path / 'good.png').write_bytes(as_file(FRAME, 'PNG'))
    said = []
    assert len(list(read_frames(tmp_path, said.append))) == 1
    assert len(said) == len(reasons)
    (tmp_path / 'good.png').unlink()
    with pytest.raises(SourceError, match='no image that can be read'):
        list(read_frames(tmp_path, said.append))


@pytest.mark.parametrize('name', ['a.png', 'a.mp4'])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(SourceError, match='is a device or a pipe, wanted a file'):
        existing(str(tmp_path / name))
    with pytest.raises(SourceError, match='a device or a pipe, wanted a file'):
        Video(tmp_path / name) if name.endswith('mp4') else read_image(tmp_path / name)


def test_a_live_camera_is_told_to_need_a_driver(tmp_path):
    with pytest.raises(SourceError, match='such as usb_cam or v4l2_camera'):
        existing('/dev/video99')
    with pytest.raises(SourceError, match='a video or a folder$'):
        existing(str(tmp_path / 'video99'))


@pytest.mark.parametrize('orientation', [1, 6])
def test_a_jpeg_with_more_images_behind_the_first_is_a_jpeg(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(FRAME)
    image.save(tmp_path / 'a.jpg', 'MPO', quality=95, exif=exif, save_all=True,
               append_images=[image])
    assert Image.open(tmp_path / 'a.jpg').format == 'MPO'
    found, stored = read_image(tmp_path / 'a.jpg'), open_image(tmp_path / 'a.jpg')
    assert (stored.kind, stored.orientation) == ('JPEG', orientation)
    assert found.shape == SHOWN[orientation](FRAME).shape
    assert np.abs(found.astype(int) - SHOWN[orientation](FRAME)).mean() < 8


@pytest.mark.parametrize('name', ['~nosuchuser/a.jpg', '~$a.jpg'])
def test_a_home_that_is_not_there_is_no_file(name):
    with pytest.raises(SourceError, match='does not exist'):
        existing(name)


def test_an_image_of_a_phone_is_named(tmp_path):
    path = tmp_path / 'IMG_1.jpg'
    path.write_bytes(b'\0\0\0\x18ftypheic' + bytes(100))
    with pytest.raises(SourceError, match='it is HEIC or AVIF, wanted a PNG'):
        read_image(path)
