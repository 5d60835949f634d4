"""YUV in packed and planar layouts, to what OpenCV converts to RGB.

YUV is BT.601 of limited range, as in OpenCV. A reader takes the planes of an encoding as (rows,
bytes) uint8 and returns pixels, OpenCV's code of the conversion to RGB, and the chroma plane of
4:2:0, as :class:`enet_ros.perception.images.raw_image.RawImage` has them.
"""

from __future__ import annotations

import cv2
import numpy as np

Read = tuple[np.ndarray, int | None, np.ndarray | None]

#: BT.601 of limited range: (Y, U, V, 1) -> (R, G, B).
_TO_RGB = np.array([[1.164383, 0.0, 1.596027], [1.164383, -0.391762, -0.812968],
                    [1.164383, 2.017232, 0.0]])
_MATRIX = np.column_stack((_TO_RGB, -_TO_RGB @ (16.0, 128.0, 128.0)))


def _pairs(plane: np.ndarray) -> np.ndarray:
    """View a plane of bytes as pairs: (rows, bytes) to (rows, bytes / 2, 2)."""
    rows, count = plane.shape
    return np.lib.stride_tricks.as_strided(plane, (rows, count // 2, 2), (plane.strides[0], 2, 1),
                                           writeable=False)


def _rgb_of(yuv: np.ndarray) -> Read:
    """Convert (H, W, 3) YUV 4:4:4, for which OpenCV has no limited range."""
    return cv2.transform(yuv, _MATRIX), None, None


def read_nv12(luma: np.ndarray, chroma: np.ndarray) -> Read:
    """Read Y, then rows of U V pairs of half the height."""
    return luma, cv2.COLOR_YUV2RGB_NV12, _pairs(chroma)


def read_nv21(luma: np.ndarray, chroma: np.ndarray) -> Read:
    """Read Y, then rows of V U pairs of half the height."""
    return luma, cv2.COLOR_YUV2RGB_NV21, _pairs(chroma)


def read_i420(luma: np.ndarray, u: np.ndarray, v: np.ndarray) -> Read:
    """Read three planes. U and V have half the width and height."""
    return luma, cv2.COLOR_YUV2RGB_NV12, cv2.merge((u, v))


def read_yv12(luma: np.ndarray, v: np.ndarray, u: np.ndarray) -> Read:
    """Read three planes, of which V comes before U."""
    return read_i420(luma, u, v)


def read_nv16(luma: np.ndarray, chroma: np.ndarray) -> Read:
    """Read Y, then rows of U V pairs of the same height."""
    return cv2.merge((luma, chroma)), cv2.COLOR_YUV2RGB_YUY2, None


def read_nv61(luma: np.ndarray, chroma: np.ndarray) -> Read:
    """Read Y, then rows of V U pairs of the same height."""
    return cv2.merge((luma, chroma)), cv2.COLOR_YUV2RGB_YVYU, None


def read_yuv422p(luma: np.ndarray, u: np.ndarray, v: np.ndarray) -> Read:
    """Read three planes. U and V have half the width."""
    return read_nv16(luma, cv2.merge((u, v)).reshape(luma.shape))


def read_nv24(luma: np.ndarray, chroma: np.ndarray) -> Read:
    """Read Y, then rows of U V pairs, one pair per pixel."""
    pairs = _pairs(chroma)
    return _rgb_of(cv2.merge((luma, pairs[..., 0], pairs[..., 1])))


def read_nv42(luma: np.ndarray, chroma: np.ndarray) -> Read:
    """Read Y, then rows of V U pairs, one pair per pixel."""
    pairs = _pairs(chroma)
    return _rgb_of(cv2.merge((luma, pairs[..., 1], pairs[..., 0])))


def read_yuv444(packed: np.ndarray) -> Read:
    """Read three bytes a pixel: Y, U, V."""
    rows, count = packed.shape
    return _rgb_of(np.lib.stride_tricks.as_strided(
        packed, (rows, count // 3, 3), (packed.strides[0], 3, 1), writeable=False))


def read_yuv444p(luma: np.ndarray, u: np.ndarray, v: np.ndarray) -> Read:
    """Read three planes of one size."""
    return _rgb_of(cv2.merge((luma, u, v)))


def read_vyuy(packed: np.ndarray) -> Read:
    """Read V Y U Y, which OpenCV lacks, as U Y V Y."""
    rows, count = packed.shape
    quads = packed.reshape(rows, count // 4, 4)[..., [2, 1, 0, 3]]
    return quads.reshape(rows, count // 2, 2), cv2.COLOR_YUV2RGB_UYVY, None


#: encoding -> what reads its planes
YUV_READERS = {
    'nv12': read_nv12, 'nv21': read_nv21, 'i420': read_i420, 'yv12': read_yv12,
    'nv16': read_nv16, 'nv61': read_nv61, 'yuv422p': read_yuv422p, 'nv24': read_nv24,
    'nv42': read_nv42, 'yuv444': read_yuv444, 'yuv444p': read_yuv444p, 'vyuy': read_vyuy}
