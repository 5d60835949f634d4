"""Serialized images are read as ROS reads them, and refused where they are cut off."""

import array
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from enet_ros.perception.encodings import EncodingError
from enet_ros.perception.stamps import StampError
from enet_ros.ros.cdr import read_image_message, read_stamp_ns

pytestmark = pytest.mark.ros

names = st.text(st.characters(blacklist_characters='\0', blacklist_categories=['Cs']),
                max_size=9)  # of every length, so that all that follows is aligned in every way
def filled(name, encoding, sizes, stamp, data, big):
    message = Image(height=sizes[0], width=sizes[1], step=sizes[2], encoding=encoding,
                    is_bigendian=big, data=array.array('B', data))
    message.header.frame_id = name
    message.header.stamp.sec, message.header.stamp.nanosec = stamp
    return message


images = st.builds(
    filled, names, names, st.tuples(*[st.integers(0, 2**32 - 1)] * 3),
    st.tuples(st.integers(-2**31, 2**31 - 1), st.integers(0, 2**32 - 1)), st.binary(max_size=40),
    st.integers(0, 1))


@given(images)
def test_what_is_read_is_what_was_sent(message):
    header, image = read_image_message(serialize_message(message))
    assert header == message.header
    for field in ('height', 'width', 'encoding', 'is_bigendian', 'step'):
        assert getattr(image, field) == getattr(message, field)
    assert bytes(image.data) == message.data.tobytes()


@given(images)
def test_the_stamp_is_read_without_the_rest(message):
    stamp, serialized = message.header.stamp, serialize_message(message)
    if stamp.sec < 0 or stamp.nanosec >= 10**9:
        with pytest.raises(StampError, match=f'is {stamp.sec} s and {stamp.nanosec} ns'):
            read_stamp_ns(serialized)
    else:
        assert read_stamp_ns(serialized) == stamp.sec * 10**9 + stamp.nanosec


def test_pixels_are_not_copied():
    serialized = serialize_message(Image(data=array.array('B', b'abc')))
    assert read_image_message(serialized)[1].data.obj is serialized


@pytest.mark.parametrize(('kind', 'order'), [(b'\0\0', '>'), (b'\0\1', '<'), (b'\0\6', '>'),
                                             (b'\0\7', '<')])
def test_both_byte_orders(kind, order):
    text = b'mono8\0'
    serialized = (kind + b'\0\0' + struct.pack(order + 'iI', 7, 8)
                  + struct.pack(order + 'I', 2) + b'a\0' + b'\0\0'
                  + struct.pack(order + 'III', 1, 2, len(text)) + text
                  + b'\0' + b'\0' + struct.pack(order + 'II', 2, 2) + b'\x05\x06')
    header, image = read_image_message(serialized)
    assert (header.stamp.sec, header.stamp.nanosec) == (7, 8)
    assert (header.frame_id, image.encoding) == ('a', 'mono8')
    assert (image.height, image.width, image.step, bytes(image.data)) == (1, 2, 2, b'\x05\x06')


@given(images, st.data())
def test_what_is_cut_off_is_refused(message, data):
    serialized = serialize_message(message)
    whole = len(serialized) - -len(message.data) % 4  # it may end in padding
    shorter = serialized[:data.draw(st.integers(0, whole - 1))]
    with pytest.raises(EncodingError, match=f'of {len(shorter)} bytes is no sensor_msgs/Image'):
        read_image_message(shorter)


@given(st.binary(max_size=80))
def test_no_bytes_at_all_do_more_than_be_refused(noise):
    try:
        read_image_message(b'\0\1\0\0' + noise)
    except EncodingError:
        pass


def test_another_encapsulation_is_named():
    with pytest.raises(EncodingError, match='encapsulation is 0003, wanted CDR'):
        read_image_message(b'\0\3' + bytes(60))
