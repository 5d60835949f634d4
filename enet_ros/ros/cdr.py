"""Serialized messages, read without a copy of their pixels.

``rclpy`` gives a message that is taken with ``raw=True`` as CDR, of either byte order (OMG DDS
Interoperability Wire Protocol 2.5, chapter 10). Four bytes come first, and the first two of them
name the encapsulation. Numbers of four bytes are aligned to four.
"""

from __future__ import annotations

import struct

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from enet_ros.perception.encodings import EncodedImage, EncodingError
from enet_ros.perception.stamps import to_ns

#: Encapsulation -> byte order of the numbers. CDR and plain CDR2 are the same for a message
#: without numbers of eight bytes.
_BYTE_ORDERS = {b'\0\0': '>', b'\0\1': '<', b'\0\6': '>', b'\0\7': '<'}
_ENCAPSULATION_BYTES = 4


def read_image_message(serialized: bytes) -> tuple[Header, EncodedImage]:
    """Read a sensor_msgs/Image. It takes half the time of a message whose pixels are copied.

    Args:
        serialized: The serialized message.

    Returns:
        The header, and the image, whose data is a view of ``serialized``.

    Raises:
        EncodingError: The bytes are no such message, or are cut off.
    """
    try:
        order, body = _BYTE_ORDERS[serialized[:2]], memoryview(serialized)[_ENCAPSULATION_BYTES:]
        sec, nanosec = struct.unpack_from(order + 'iI', body)
        frame_id, at = _read_text(order, body, 8)
        height, width = struct.unpack_from(order + 'II', body, at + -at % 4)
        encoding, at = _read_text(order, body, at + -at % 4 + 8)
        is_bigendian, at = body[at], at + 1
        step, size = struct.unpack_from(order + 'II', body, at + -at % 4)
        at += -at % 4 + 8
        if at + size > len(body):
            raise ValueError(f'{size} bytes were to follow, {len(body) - at} do')
        header = Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame_id)
    except KeyError:
        raise EncodingError(f'a message of {len(serialized)} bytes is no sensor_msgs/Image: its '
                            f'encapsulation is {serialized[:2].hex()}, wanted CDR') from None
    except (struct.error, ValueError, IndexError) as error:
        raise EncodingError(f'a message of {len(serialized)} bytes is no sensor_msgs/Image: '
                            f'{error}') from error
    return header, EncodedImage(body[at:at + size], encoding, width, height, step,
                                is_bigendian=bool(is_bigendian))


def _read_text(order: str, body: memoryview, at: int) -> tuple[str, int]:
    """Return the text whose length stands at a position, and the position after it."""
    length, = struct.unpack_from(order + 'I', body, at)
    at += 4
    if at + length > len(body):
        raise ValueError(f'{length} bytes were to follow, {len(body) - at} do')
    return str(body[at:at + length], 'utf-8').rstrip('\0'), at + length


def read_stamp_ns(serialized: bytes) -> int:
    """Read the stamp of a message that begins with a header, in nanoseconds.

    Raises:
        EncodingError: The bytes are no such message, or are cut off.
        StampError: The stamp is no time since 1970.
    """
    try:
        order = _BYTE_ORDERS[serialized[:2]]
        sec, nanosec = struct.unpack_from(order + 'iI', serialized, _ENCAPSULATION_BYTES)
    except (KeyError, struct.error):
        raise EncodingError(f'a message of {len(serialized)} bytes has no header: it begins with '
                            f'{serialized[:2].hex()}, wanted CDR') from None
    return to_ns(sec, nanosec)
