"""Images as cameras, drivers and simulators send them, through a real node over DDS."""

import cv2
import numpy as np
import pytest
from support.jpegs import jpeg, of_size, with_extra_bytes

pytest.importorskip('rclpy', reason='rclpy is not installed')

from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from enet_ros.perception.encodings import ENCODINGS, encode_image  # noqa: E402

pytestmark = pytest.mark.ros


def raw(frame, encoding, bits=16, /, **fields):
    """An Image message of a frame, with some fields changed."""
    data, step = encode_image(frame, encoding, bits)
    message = Image(encoding=encoding, height=frame.shape[0], width=frame.shape[1], step=step)
    message.data.frombytes(data.data)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def compressed(data, text='jpeg'):
    message = CompressedImage(format=text)
    message.data.frombytes(data)
    return message


def labels_of(node, pixels, message):
    """The labels of a message, which is the next frame."""
    to = 'image/compressed' if isinstance(message, CompressedImage) else 'image'
    return pixels(node.reply(message, 'labels', to=to))


def refusal(node, message):
    """Why a message is refused."""
    health = node.camera.health
    before = health.dropped
    node.send(message, 'image/compressed' if isinstance(message, CompressedImage) else 'image')
    node.wait(lambda: health.dropped == before + 1, 'the refusal')
    return health.last_error


def values(node):
    """The values of the diagnostics, after a frame."""
    seen = len(node.messages['/diagnostics'])
    node.wait(lambda: len(node.messages['/diagnostics']) > seen + 1, 'new diagnostics')
    status = node.messages['/diagnostics'][-1].status[0]
    return {item.key: item.value for item in status.values}


def test_every_encoding_gives_the_labels_of_its_colors(bench, pixels, road_frame):
    node = bench()
    node.listen('labels')
    color = labels_of(node, pixels, raw(road_frame, 'rgb8'))
    gray = labels_of(node, pixels, raw(road_frame, 'mono8'))
    for encoding in ENCODINGS:
        labels = labels_of(node, pixels, raw(road_frame, encoding))
        wanted = gray if encoding in ('mono8', 'mono16', '8UC1') else color
        assert labels.shape == (192, 320)
        assert (labels == wanted).mean() > (0.85 if 'bayer' in encoding else 0.95), encoding


@pytest.mark.parametrize(('name', 'encoding', 'step'), [
    ('rgb8', 'rgb8', 4), ('bgr8', 'bgr8', 0), ('nv12', 'nv12', 480), ('YUV420', 'i420', 480),
    ('YUV420', 'i420', 320), ('BGR8', 'bgr8', 960), ('mono16', 'mono16', 0)])
def test_tight_rows_are_taken_whatever_the_step(bench, pixels, road_frame, name, encoding, step):
    node = bench(diagnostics_period=0.1)
    node.listen('labels', '/diagnostics')
    wanted = labels_of(node, pixels, raw(road_frame, encoding))
    for _ in range(3):
        message = raw(road_frame, encoding, encoding=name, step=step)
        assert np.array_equal(labels_of(node, pixels, message), wanted)
    if step < 320:
        layout = values(node)['image_layout']
        assert layout.startswith(f'step is {step}, but the rows of 320 pixels')
        assert layout.endswith('(3 frames)')


@pytest.mark.parametrize('encoding', ['mono16', 'rgb16', 'bayer_gbrg16'])
@pytest.mark.parametrize('bits', [10, 12, 14])
def test_the_significant_bits_are_found_and_named(bench, pixels, road_frame, encoding, bits):
    node = bench(diagnostics_period=0.1)
    node.listen('labels', 'overlay', '/diagnostics')
    message = raw(road_frame, encoding, bits)
    labels, overlay = node.reply(message, 'labels', 'overlay')
    wanted = labels_of(node, pixels, raw(road_frame, encoding.replace('16', '8')))
    assert (pixels(labels) == wanted).mean() > 0.95
    assert pixels(overlay).mean() > 60
    assert values(node)['bit_depth'].startswith(f'{bits} of 16 bits, found from the values')


def test_the_parameter_bit_depth_sets_them_between_two_frames(bench, pixels, road_frame):
    node = bench(bit_depth=10, diagnostics_period=0.1)
    node.listen('labels', '/diagnostics')
    wanted = labels_of(node, pixels, raw(road_frame, 'mono8'))
    for bits in (10, 12, 16):
        assert node.set(bit_depth=bits).successful
        labels = labels_of(node, pixels, raw(road_frame, 'mono16', bits))
        assert (labels == wanted).mean() > 0.95
        assert values(node)['bit_depth'] == f'{bits} of 16 bits, by the parameter bit_depth'
    assert node.set(bit_depth=10).successful
    labels_of(node, pixels, raw(road_frame, 'mono16', 16))
    assert 'the values need 16; brighter values are white' in values(node)['bit_depth']
    assert not node.set(bit_depth=7).successful
    assert not node.set(bit_depth=17).successful


def test_a_depth_image_is_refused_and_called_one(bench, road_frame):
    node = bench()
    node.listen('labels')
    for encoding in ('16UC1', '32FC1'):
        message = raw(road_frame, 'mono16', encoding=encoding)
        assert f"encoding is '{encoding}', a depth image" in refusal(node, message)
    assert not node.messages['labels']


def test_files_are_taken_as_they_are_stored(bench, pixels, road_frame):
    node = bench(image_transport='compressed', diagnostics_period=0.1)
    node.listen('labels', '/diagnostics')
    data = jpeg(road_frame, restart=10)
    wanted = labels_of(node, pixels, compressed(data))
    exif = b'\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0'
    for other in (data + bytes(5000), data + jpeg(road_frame[::-1], quality=99)[len(data):],
                  with_extra_bytes(data, 1, 4), data[:2] + exif + data[2:]):
        assert np.array_equal(labels_of(node, pixels, compressed(other)), wanted)
    shown = values(node)
    assert shown['jpeg_decoder'].startswith(('simplejpeg', 'OpenCV'))
    if shown['jpeg_decoder'].startswith('simplejpeg'):
        assert shown['jpeg_warnings'].endswith('no pixel is lost (1 frames)')


@pytest.mark.parametrize('extension', ['.png', '.tiff', '.webp'])
def test_other_files_give_the_labels_of_their_pixels(bench, pixels, road_frame, extension):
    node = bench(image_transport='compressed')
    node.listen('labels', 'overlay')
    lossless = jpeg(road_frame, quality=100, sampling='444')
    wanted = labels_of(node, pixels, compressed(lossless))
    data = cv2.imencode(extension, road_frame[..., ::-1])[1].tobytes()
    assert (labels_of(node, pixels, compressed(data, extension[1:])) == wanted).mean() > 0.9
    mosaic, _ = encode_image(road_frame, 'bayer_grbg8')
    data = cv2.imencode(extension, mosaic.reshape(192, 320))[1].tobytes()
    if extension != '.webp':  # It has no gray.
        text = f'bayer_grbg8; {extension[1:]} compressed bayer_grbg8'
        assert (labels_of(node, pixels, compressed(data, text)) == wanted).mean() > 0.8
        deep = road_frame[..., ::-1].astype(np.uint16) * 16
        data = cv2.imencode(extension, deep)[1].tobytes()
        assert (labels_of(node, pixels, compressed(data, 'bgr16; ')) == wanted).mean() > 0.95


def test_files_that_cannot_be_believed_are_refused(bench, pixels, road_frame):
    node = bench(image_transport='compressed')
    node.listen('labels')
    data = jpeg(road_frame)
    png = cv2.imencode('.png', road_frame)[1].tobytes()
    for bad, reason in (
            (of_size(jpeg(road_frame[:16, :16]), 8000, 8000), 'cut short or false'),
            (of_size(jpeg(road_frame[:16, :16], progressive=True), 1920, 1080), 'cut short or'),
            (data[:-2], 'Premature end|cut short'), (png[:-500], 'cut short'),
            (png[:33] + b'\xdd\0\0\0IDAT' + bytes(7000), 'cut short or false'),
            (b'GIF89a' + bytes(99), 'is a GIF, wanted a JPEG, PNG, TIFF or WebP')):
        message = refusal(node, compressed(bad))
        assert any(part in message for part in reason.split('|')), message
    assert 'a depth image' in refusal(node, compressed(png, '16UC1; compressedDepth png'))
    assert not node.messages['labels']
    assert labels_of(node, pixels, compressed(data)).shape == (192, 320)


@pytest.mark.parametrize(('encoding', 'bits'), [
    ('i420', 16), ('mono16', 10), ('bayer_rggb16', 12), ('tiff', 16), ('webp', 16)])
def test_what_replay_camera_sends_is_taken(bench, pixels, road_frame, encoding, bits):
    from enet_ros.ros.tools.replay_camera import make_image
    message = make_image(road_frame, encoding, bits)
    is_file = isinstance(message, CompressedImage)
    node = bench(image_transport='compressed' if is_file else 'raw')
    node.listen('overlay')
    sent = pixels(node.reply(message, 'overlay', to='image/compressed' if is_file else 'image'))
    assert sent.shape == road_frame.shape
    assert sent.mean() > 60
