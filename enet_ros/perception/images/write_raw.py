"""RGB frames to the bytes of image messages, for replay_camera, demo and tests."""

from __future__ import annotations

import cv2
import numpy as np

from enet_ros.perception.images.raw_encodings import ENCODING_TABLE, find_encoding
from enet_ros.perception.images.raw_image import EncodingError, check_size

_COPIES = {'bgr8': cv2.COLOR_RGB2BGR, '8UC3': cv2.COLOR_RGB2BGR, 'rgba8': cv2.COLOR_RGB2RGBA,
           'bgra8': cv2.COLOR_RGB2BGRA, '8UC4': cv2.COLOR_RGB2BGRA, 'mono8': cv2.COLOR_RGB2GRAY,
           '8UC1': cv2.COLOR_RGB2GRAY}
#: 16-bit encoding -> the same in 8 bits
_EIGHT_BITS = {'mono16': 'mono8', 'rgb16': 'rgb8', 'bgr16': 'bgr8', '16UC3': 'bgr8',
               'rgba16': 'rgba8', 'bgra16': 'bgra8', '16UC4': 'bgra8'}
_PAIRS = {'uyvy': 'uyvy', 'yuv422': 'uyvy', 'yuyv': 'yuyv', 'yuv422_yuy2': 'yuyv',
          'yvyu': 'yvyu', 'vyuy': 'vyuy'}
#: BT.601 of limited range: (R, G, B, 1) -> (Y, U, V).
_TO_YUV = np.array([[0.256788, 0.504129, 0.097906, 16.0], [-0.148223, -0.290993, 0.439216, 128.0],
                    [0.439216, -0.367788, -0.071427, 128.0]])


def encode_image(rgb: np.ndarray, encoding: str, bits: int = 16) -> tuple[np.ndarray, int]:
    """Convert an RGB frame to the bytes of an image message, without padding.

    Args:
        rgb: (H, W, 3) uint8. H and W are even for YUV.
        encoding: One of ``ENCODINGS``. Samples of 16 bits become little-endian.
        bits: Significant bits of an encoding of 16 bits, 8 to 16.

    Returns:
        The bytes, flat uint8, and the step.

    Raises:
        EncodingError: The encoding is unknown, or the size does not fit it.
    """
    encoding, (height, width) = find_encoding(encoding), rgb.shape[:2]
    entry = ENCODING_TABLE[encoding]
    check_size('size', width, height, entry.memory)
    step = int(width * entry.planes[0][0])
    if encoding in _EIGHT_BITS or encoding.startswith('bayer') and entry.bits == 16:
        data, _ = encode_image(rgb, _EIGHT_BITS.get(encoding, f'{encoding[:-2]}8'))
        wide = data.astype('<u2')
        # The top bits are repeated below, so that white is the greatest value.
        wide = wide << (bits - 8) | wide >> (16 - bits)
        return wide.view(np.uint8), step
    if encoding in _COPIES:
        data = cv2.cvtColor(rgb, _COPIES[encoding])
    elif encoding == 'rgb8':
        data = np.ascontiguousarray(rgb)
    elif encoding.startswith('bayer'):
        data = np.empty((height, width), np.uint8)
        for i, letter in enumerate(encoding[6:10]):
            data[i // 2::2, i % 2::2] = rgb[i // 2::2, i % 2::2, 'rgb'.index(letter)]
    else:
        data = _encode_yuv(rgb, encoding)
    return data.reshape(-1), step


def _encode_yuv(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """Convert RGB to YUV. Colors of several pixels are averaged."""
    height, width = rgb.shape[:2]
    across, down = ENCODING_TABLE[encoding].even
    for name, value, multiple in (('width', width, across), ('height', height, down)):
        if value % multiple:
            raise EncodingError(f'{name} is {value}, wanted an even one for {encoding}')
    yuv = cv2.transform(rgb, _TO_YUV)
    luma = yuv[..., 0]
    if encoding == 'yuv444':
        return yuv
    u, v = (cv2.resize(yuv[..., i], (width // across, height // down),
                       interpolation=cv2.INTER_AREA) for i in (1, 2))
    if encoding in _PAIRS:
        pairs, order = luma.reshape(height, -1, 2), _PAIRS[encoding]
        parts, place = {'u': u, 'v': v}, iter((pairs[..., 0], pairs[..., 1]))
        return np.stack([parts[letter] if letter in parts else next(place)
                         for letter in order], -1)
    if encoding in ('nv21', 'nv61', 'nv42', 'yv12'):
        u, v = v, u
    if encoding.startswith('nv'):
        return np.concatenate((luma.reshape(-1), np.stack((u, v), -1).reshape(-1)))
    return np.concatenate([plane.reshape(-1) for plane in (luma, u, v)])
