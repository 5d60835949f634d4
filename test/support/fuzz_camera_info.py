"""Cases for camera infos: any numbers in any field, and damage to the serialized message."""

from __future__ import annotations

import math
import struct
import warnings

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo
from support.fuzz_bytes import damaged
from support.fuzz_images import padded, text
from support.ground import calibration

from enet_ros.perception.geometry.camera_info import check_calibration
from enet_ros.ros.messages import scaled_camera_info

FRAME_SIZES = ((320, 192), (640, 384), (320, 240), (1, 1), (8000, 8000))
SPECIAL = (
    0.0,
    1.0,
    -1.0,
    math.nan,
    math.inf,
    -math.inf,
    1e-300,
    1e300,
    5e-324,
    -0.0,
    1e30,
    -1e30,
    1e-9,
    1e4,
    -1e6,
)
SIZES = (0, 1, 2, 3, 100, 320, 192, 2000, 2**31, 2**32 - 1)
MODELS = (
    'plumb_bob',
    'rational_polynomial',
    'equidistant',
    'fisheye',
    '',
    'none',
    ' Plumb Bob',
    'kannala_brandt4',
    'thin_prism',
    'x' * 3000,
    'plumb\nbob',
    '\x1b[31m',
    '\u20ac\0',
)


class UnreadableMessage(Exception):
    """A message that the middleware itself refuses, so that it never reaches the node."""


#: What run_camera_info raises for a case that the product never sees.
UNREADABLE = (UnreadableMessage,)


def number(rng):
    """Draw a number that a calibration may hold by mistake."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice(SPECIAL)
    if kind == 1:
        return struct.unpack('<d', rng.randbytes(8))[0]
    return rng.uniform(-1, 1) * rng.choice((1, 1, 10, 5000))


def coefficients(rng):
    """Draw a distortion: any numbers, or extreme ones alone."""
    if rng.random() < 0.5:
        return [number(rng) for _ in range(rng.randint(0, 16))]
    return [
        rng.choice((-1e300, -1e30, -1e6, -30.0, -1.0, -0.3, 0.0, 1e-9, 0.3, 5.0, 1e4, 1e30, 1e300))
        for _ in range(rng.randint(4, 14))
    ]


def camera_info(rng):
    """Draw a camera info of the street with some fields replaced."""
    info = calibration()
    for name, count in (('k', 9), ('p', 12), ('r', 9)):
        for _ in range(rng.choice((0, 0, 1, 2, 3))):
            getattr(info, name)[rng.randrange(count)] = number(rng)
    if rng.random() < 0.2:
        info.k = [
            rng.uniform(1e-3, 2000),
            0.0,
            rng.uniform(0, 1000),
            0.0,
            rng.uniform(1e-3, 2000),
            rng.uniform(0, 1000),
            0.0,
            0.0,
            1.0,
        ]
    if rng.random() < 0.5:
        info.d = coefficients(rng)
    if rng.random() < 0.5:
        info.distortion_model = rng.choice(MODELS)
    for name in rng.sample(
        ('width', 'height', 'binning_x', 'binning_y'), rng.choice((0, 0, 1, 2))
    ):
        setattr(info, name, rng.choice(SIZES))
    for name in rng.sample(('x_offset', 'y_offset', 'width', 'height'), rng.choice((0, 0, 1, 2))):
        setattr(info.roi, name, rng.choice(SIZES))
    return info


def serialized(info):
    """Return a camera info as CDR. rclpy leaves memory of earlier messages between the fields."""
    body = struct.pack('<iI', 1700000000, 5) + text('<', 'camera')
    body = padded(body, 4) + struct.pack('<II', info.height, info.width)
    body = padded(body + text('<', info.distortion_model), 4) + struct.pack('<I', len(info.d))
    body = padded(body, 8) + struct.pack(
        f'<{len(info.d) + 30}d', *info.d, *info.k, *info.r, *info.p
    )
    roi = info.roi
    body += struct.pack(
        '<6I?',
        info.binning_x,
        info.binning_y,
        roi.x_offset,
        roi.y_offset,
        roi.height,
        roi.width,
        roi.do_rectify,
    )
    return b'\0\1\0\0' + body


def draw_camera_info(rng):
    """Draw a case: a byte for the size of the frames and rectified, then the message."""
    content = serialized(camera_info(rng))
    if rng.random() < 0.3:
        content = damaged(rng, content)
    return bytes([rng.randrange(2 * len(FRAME_SIZES))]) + content


def run_camera_info(content):
    """Check a camera info as the node does.

    Raises:
        UnreadableMessage: The middleware refuses the message.
    """
    number_of_case = content[0] if content else 0
    try:
        info = deserialize_message(bytes(content[1:]), CameraInfo)
    except Exception as error:
        raise UnreadableMessage(type(error).__name__) from error
    check(
        info,
        FRAME_SIZES[number_of_case // 2 % len(FRAME_SIZES)],
        rectified=bool(number_of_case % 2),
    )


def check(info, size, *, rectified):
    """Check that a camera info is believed or refused in one line, and that rays are rays."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        calibration = check_calibration(info, size, rectified=rectified)
        text = str(calibration)
        assert text and text.isprintable() and len(text) < 600, text
        assert (calibration.camera is None) == bool(calibration.problem)
        if calibration.is_publishable:
            assert isinstance(scaled_camera_info(calibration.info, (160, 96)), CameraInfo)
        if calibration.camera is not None:
            rays = calibration.camera.rays(
                np.array([[0.0, 0.0], [80.0, 48.0], [159.0, 95.0]]), (160, 96)
            )
            lengths = np.linalg.norm(rays, axis=1)
            assert np.all(np.isnan(lengths) | (np.abs(lengths - 1) < 0.02))
