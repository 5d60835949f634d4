"""Frames of the walk, good and bad, and what a network says of the good ones."""

from __future__ import annotations

import functools
import io

import cv2
import numpy as np
from PIL import Image as PillowImage
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from support.ground import calibration

from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.perception.encodings import decode_raw_image, encode_image
from enet_ros.perception.resize import resize_frame, resize_labels
from enet_ros.perception.segmenter import Segmenter
from enet_ros.scene.frames import street_frame

SIZES = ((320, 192), (160, 96), (200, 150))
ENCODINGS = ('rgb8', 'bgr8', 'rgba8', 'mono8', 'rgb16', 'yuv422_yuy2', 'nv12', 'bayer_rggb8')
BAD_KINDS = ('short', 'empty', 'no size', 'unknown', 'huge', 'depth', 'narrow', 'before 1970',
             'no message')
BAD_FILES = ('empty', 'text', 'half', 'huge')


@functools.cache
def street(size, number):
    """Return one of the walk's frames, (H, W, 3) uint8 RGB."""
    return cv2.resize(_view(number), size, interpolation=cv2.INTER_AREA)


@functools.cache
def _view(number):
    return street_frame((640, 360), second=1.0 + 0.7 * number, seed=number % 2)


def good_frame(rgb, encoding, stamp_ns):
    """Return an Image message of a frame, and the RGB that a camera of this encoding means."""
    data, step = encode_image(rgb, encoding)
    message = Image(encoding=encoding, height=rgb.shape[0], width=rgb.shape[1], step=step)
    message.data.frombytes(data.data)
    _stamp(message, stamp_ns)
    meant = decode_raw_image(message.data, encoding, message.width, message.height, step)
    return message, np.ascontiguousarray(meant)


def good_file(rgb, stamp_ns):
    """Return a CompressedImage with a PNG, and the frame that is in it."""
    message = CompressedImage(format='png')
    message.data.frombytes(_png(rgb))
    _stamp(message, stamp_ns)
    return message, rgb


def bad_frame(kind, stamp_ns):
    """Return an Image message, or bytes, that the node has to refuse."""
    message, _ = good_frame(street(SIZES[0], 0), 'rgb8', stamp_ns)
    changes = {'no size': {'width': 0}, 'unknown': {'encoding': 'jpg\0é' * 50},
               'huge': {'width': 2**31, 'height': 2**31, 'step': 2**32 - 1},
               'depth': {'encoding': '16UC1', 'step': 640}, 'narrow': {'step': 5}}
    for name, value in changes.get(kind, {}).items():
        setattr(message, name, value)
    if kind in ('short', 'empty'):
        del message.data[100 if kind == 'short' else 0:]
    if kind == 'narrow':
        message.data.append(0)  # Exactly tight rows would be taken.
    if kind == 'before 1970':
        message.header.stamp.sec = -7
    return b'\0\1\0\0' + b'\3' * 40 if kind == 'no message' else message


def bad_file(kind, stamp_ns):
    """Return a CompressedImage that the node has to refuse."""
    png = _png(street(SIZES[0], 0))
    data = {'empty': b'', 'text': b'no image', 'half': png[:len(png) // 2],
            'huge': png[:16] + b'\x7f\xff\xff\xff' * 2 + png[24:]}[kind]
    message = CompressedImage(format='png')
    message.data.frombytes(data)
    _stamp(message, stamp_ns)
    return message


def camera_info(kind, stamp_ns):
    """Return a calibration, good or useless."""
    info = CameraInfo() if kind == 'zero' else calibration()
    if kind == 'nan':
        info.k[0] = info.p[0] = float('nan')
    if kind == 'infinite':
        info.d = [float('inf')] * 5
    if kind == 'odd':
        info.width, info.distortion_model, info.d = 7, 'é' * 300, [1e308] * 99
    _stamp(info, stamp_ns)
    return info


class Reference:
    """The network of one configuration, in this process: what a right mask is.

    Attributes:
        refusal: Why the configuration is impossible, or ''.
    """

    def __init__(self, weights, resolution, backend, precision):
        """Compile the network, or find out that it is not possible."""
        self.refusal, self._labels = '', {}
        try:
            checkpoint = read_checkpoint(weights_path(weights))
            self._segmenter = Segmenter(checkpoint, resolution, backend, precision)
            self.class_map = checkpoint.class_map
        except (ValueError, OSError) as error:
            self.refusal = str(error)

    def labels(self, key, rgb, rotate, size):
        """Return the labels of a frame, (H, W) uint8.

        Args:
            key: Names the frame, so that its labels are computed once.
            rgb: The frame, (H, W, 3) uint8.
            rotate: 0 or 180, see the parameter.
            size: (width, height) of the labels, or None for the network's.
        """
        if (key, rotate) not in self._labels:
            batch = self._segmenter.new_batch(1)
            resize_frame(rgb, self._segmenter.resolution, batch[0])
            if rotate:
                batch[0] = batch[0, ::-1, ::-1].copy()
            labels = self._segmenter.infer(batch)[0].labels
            self._labels[key, rotate] = (labels[::-1, ::-1] if rotate else labels).copy()
        labels = self._labels[key, rotate]
        return labels if size is None else resize_labels(labels, size)


@functools.cache
def reference(weights, resolution, backend, precision):
    """Return the :class:`Reference` of a configuration."""
    return Reference(weights, resolution, backend, precision)


def _png(rgb):
    data = io.BytesIO()
    PillowImage.fromarray(rgb).save(data, 'PNG', compress_level=1)
    return data.getvalue()


def _stamp(message, stamp_ns):
    message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    message.header.frame_id = 'cam'
