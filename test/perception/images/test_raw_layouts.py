"""Steps and lengths of image messages as drivers and simulators send them."""

import numpy as np
import pytest
from support.encodings import encode_planes, lay_out, smooth_frame

from enet_ros.perception.encodings import (
    ENCODINGS,
    EncodedImage,
    EncodingError,
    decode_raw_image,
    read_raw_image,
)

HEIGHT, WIDTH = 12, 16
PLANAR = ('nv12', 'nv21', 'i420', 'yv12', 'nv16', 'nv61', 'yuv422p', 'nv24', 'nv42', 'yuv444p')


def read(data, encoding, step):
    return read_raw_image(EncodedImage(data, encoding, WIDTH, HEIGHT, step))


def tight(encoding):
    """The bytes of a frame without padding, the step, and the frame as it is decoded."""
    planes = encode_planes(smooth_frame(), encoding)
    step = planes[0].shape[1]
    data = lay_out(planes, step).tobytes()
    return data, step, decode_raw_image(data, encoding, WIDTH, HEIGHT, step)


@pytest.mark.parametrize('wrong', [0, 1, 4, 15])
@pytest.mark.parametrize('encoding', [name for name in ENCODINGS if name != 'yuv444'])
def test_a_step_below_a_row_is_taken_if_the_rows_are_tight(encoding, wrong):
    data, _, frame = tight(encoding)
    image = read(data, encoding, wrong)
    assert np.array_equal(image.rgb(), frame)
    remark = image.remarks[0]
    assert (remark.fact, remark.is_warning) == ('image_layout', True)
    assert f'step is {wrong}, but the rows of 16 pixels in {encoding} follow' in remark.value


def test_a_step_in_pixels_is_taken_if_the_rows_are_tight():
    data, _, frame = tight('rgb8')
    assert np.array_equal(read(data, 'rgb8', WIDTH).rgb(), frame)


@pytest.mark.parametrize('extra', [-1, 1, 40])
@pytest.mark.parametrize('encoding', ['rgb8', 'mono16', 'yuyv', 'nv12', 'i420'])
def test_a_step_below_a_row_is_refused_if_the_data_is_not_exactly_tight(encoding, extra):
    data = tight(encoding)[0]
    data = data + bytes(extra) if extra > 0 else data[:extra]
    with pytest.raises(EncodingError, match=r'step is 4, wanted at least \d+ for a width of 16'):
        read(data, encoding, 4)


@pytest.mark.parametrize('encoding', PLANAR)
def test_planes_whose_step_is_all_bytes_divided_by_the_height(encoding):
    """As OAK cameras send them."""
    data, _, frame = tight(encoding)
    image = read(data, encoding, len(data) // HEIGHT)
    assert np.array_equal(image.rgb(), frame)
    assert [remark.is_warning for remark in image.remarks] == [False]


@pytest.mark.parametrize('name', ['yuv444', 'YUV444'])
@pytest.mark.parametrize('encoding', ['yuv444', 'yuv444p'])
def test_the_step_tells_whether_yuv444_is_packed_or_in_planes(encoding, name):
    data, step, frame = tight(encoding)
    assert np.array_equal(read(data, name, step).rgb(), frame)


@pytest.mark.parametrize('padding', [2, 32])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_the_last_row_may_lack_its_padding(encoding, padding):
    planes = encode_planes(smooth_frame(), encoding)
    row = planes[0].shape[1]
    lacking = padding * planes[-1].shape[1] // row
    data = lay_out(planes, row + padding)[:-lacking].tobytes()
    image = read(data, encoding, row + padding)
    assert np.array_equal(image.rgb(), tight(encoding)[2])
    assert not [remark for remark in image.remarks if remark.fact == 'image_layout']
    with pytest.raises(EncodingError, match='data has'):
        read(data[:-1], encoding, row + padding)


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_more_bytes_than_the_rows_need_do_not_matter(encoding):
    data, step, frame = tight(encoding)
    assert np.array_equal(read(data + bytes(999), encoding, step).rgb(), frame)
