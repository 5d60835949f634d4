"""cv_bridge and sensor_msgs_py as independent judges of what the node reads and publishes.

Both are packages of ROS that pip does not have. docs/downstream.md says where this was run.
"""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('cv_bridge.boost.cv_bridge_boost', reason='cv_bridge is not installed')
pytest.importorskip('sensor_msgs_py', reason='sensor_msgs_py is not installed')

import cv2  # noqa: E402
from cv_bridge import CvBridge, CvBridgeError  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from sensor_msgs_py.point_cloud2 import read_points, read_points_numpy  # noqa: E402
from support.ground import table  # noqa: E402

from enet_ros.perception.encodings import (  # noqa: E402
    ENCODINGS,
    decode_compressed,
    decode_raw_image,
)

pytestmark = pytest.mark.ros
BRIDGE = CvBridge()
WIDTH, HEIGHT = 24, 16
#: cv_bridge converts these to rgb8, whatever release it is of.
AT_LEAST = {'rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16', 'yuv422', 'yuv422_yuy2',
            'bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8'}
#: cv_bridge.core calls a method for big-endian images that NumPy 2 took away.
BYTE_ORDERS = (False, True) if hasattr(np.ndarray, 'newbyteorder') else (False,)


def random_message(encoding: str, padding: int = 0, *, is_bigendian: bool = False) -> Image:
    """Return an image of random bytes. Rows end with so many bytes of padding."""
    dtype, channels = BRIDGE.encoding_to_dtype_with_channels(encoding)
    step = WIDTH * channels * np.dtype(dtype).itemsize + padding
    data = np.random.default_rng(len(encoding)).integers(0, 256, HEIGHT * step, np.uint8)
    message = Image(encoding=encoding, width=WIDTH, height=HEIGHT, step=step,
                    is_bigendian=is_bigendian)
    message.data.frombytes(data.data)
    return message


def judged(message: Image) -> np.ndarray | None:
    """Return what cv_bridge makes of an image, (H, W, 3) RGB, or None if it does not know it."""
    try:
        return BRIDGE.imgmsg_to_cv2(message, 'rgb8')
    except CvBridgeError:
        return None


def is_known(encoding: str) -> bool:
    try:
        return judged(random_message(encoding)) is not None
    except CvBridgeError:
        return False


def decoded(message: Image) -> np.ndarray:
    return decode_raw_image(message.data, message.encoding, message.width, message.height,
                            message.step, is_bigendian=bool(message.is_bigendian))


KNOWN = [encoding for encoding in ENCODINGS if is_known(encoding)]


def test_cv_bridge_knows_most_of_our_encodings():
    assert set(KNOWN) >= AT_LEAST


@pytest.mark.parametrize('is_bigendian', BYTE_ORDERS)
@pytest.mark.parametrize('padding', [0, 24])
@pytest.mark.parametrize('encoding', KNOWN)
def test_cv_bridge_reads_an_image_as_we_do(encoding, padding, is_bigendian):
    message = random_message(encoding, padding, is_bigendian=is_bigendian)
    ours, theirs = decoded(message), judged(message)
    assert ours.shape == theirs.shape == (HEIGHT, WIDTH, 3) and theirs.dtype == np.uint8
    # One for rounding: the two may be built with OpenCV of different releases.
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert len(np.unique(ours)) > 50  # else the two agree on nothing


@pytest.mark.parametrize('encoding', ['8UC1', '8UC3'])
def test_images_without_a_color_order_are_gray_or_bgr_as_opencv_has_them(encoding):
    message = random_message(encoding)
    theirs = BRIDGE.imgmsg_to_cv2(message, 'passthrough').reshape(HEIGHT, WIDTH, -1)
    assert np.array_equal(decoded(message), np.broadcast_to(theirs[..., ::-1], (HEIGHT, WIDTH, 3)))


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', '8UC3', 'rgba8', 'bgra8', 'mono8', '8UC1',
                                      'mono16'])
def test_an_image_that_cv_bridge_made_is_read(encoding):
    channels = {'mono8': (), '8UC1': (), 'mono16': (), 'rgba8': (4,), 'bgra8': (4,)}
    shape = HEIGHT, WIDTH, *channels.get(encoding, (3,))
    dtype = np.uint16 if encoding == 'mono16' else np.uint8
    pixels = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype)
    wanted = pixels.reshape(HEIGHT, WIDTH, -1)[..., :3]
    if encoding in ('bgr8', 'bgra8', '8UC3'):
        wanted = wanted[..., ::-1]
    wanted = wanted * (255 / np.iinfo(dtype).max)
    found = decoded(BRIDGE.cv2_to_imgmsg(pixels, encoding))
    assert np.abs(found - np.broadcast_to(wanted, found.shape)).max() <= 1


def test_a_compressed_image_that_cv_bridge_made_is_read(road_frame):
    bgr = np.ascontiguousarray(road_frame[..., ::-1])
    for file_format, tolerance in (('png', 0), ('jpg', 12), ('jpeg', 12)):
        message = BRIDGE.cv2_to_compressed_imgmsg(bgr, file_format)
        error = np.abs(decode_compressed(message.data).astype(int) - road_frame)
        assert np.percentile(error, 90) <= tolerance


def test_a_camera_that_uses_cv_bridge_is_segmented(bench, pixels, road_frame):
    node = bench()
    node.listen('labels')
    ours = node.image(road_frame)
    theirs = BRIDGE.cv2_to_imgmsg(np.ascontiguousarray(road_frame[..., ::-1]), 'bgr8', ours.header)
    first, second = (pixels(node.reply(message, 'labels')).copy() for message in (ours, theirs))
    assert np.array_equal(first, second) and len(np.unique(first)) > 2


def test_cv_bridge_reads_the_image_outputs(bench, pixels, road_frame):
    node = bench()
    masks = ('labels', 'drivable_mask', 'confidence')
    node.listen(*masks, 'overlay')
    *found, overlay = node.reply(node.image(road_frame), *masks, 'overlay')
    for message in found:
        for encoding in ('passthrough', 'mono8', '8UC1'):
            assert np.array_equal(BRIDGE.imgmsg_to_cv2(message, encoding), pixels(message))
    rgb = pixels(overlay)
    assert np.array_equal(BRIDGE.imgmsg_to_cv2(overlay), rgb)
    assert np.array_equal(BRIDGE.imgmsg_to_cv2(overlay, 'bgr8'), rgb[..., ::-1])


def test_cv_bridge_reads_the_compressed_outputs(bench, pixels, road_frame):
    node = bench()
    names = ('labels', 'drivable_mask', 'overlay')
    node.listen(*names, *(f'{name}/compressed' for name in names))
    found = node.reply(node.image(road_frame), *names, *(f'{name}/compressed' for name in names))
    for raw, compressed in list(zip(found, found[3:]))[:2]:
        assert np.array_equal(BRIDGE.compressed_imgmsg_to_cv2(compressed), pixels(raw))
    overlay = BRIDGE.compressed_imgmsg_to_cv2(found[5], 'rgb8')
    assert cv2.PSNR(overlay, np.ascontiguousarray(pixels(found[2]))) > 28


def test_sensor_msgs_py_reads_the_points_of_every_pixel(metric, road_frame):
    node = metric('points', 'labels')
    cloud, labels = node.reply(node.image(road_frame), 'points', 'labels')
    assert (cloud.height, cloud.width) == (labels.height, labels.width)
    # reshape_organized_cloud would make it (width, height).
    points = read_points_numpy(cloud, ('x', 'y', 'z')).reshape(cloud.height, cloud.width, 3)
    wanted = table().points
    assert points.dtype == np.float32 and np.array_equal(points, wanted, equal_nan=True)
    finite = read_points(cloud, skip_nans=True)
    assert len(finite) == np.isfinite(wanted[..., 0]).sum() > 1000
    assert np.array_equal(finite['x'], wanted[..., 0][np.isfinite(wanted[..., 0])])


def test_sensor_msgs_py_reads_the_obstacles(metric, road_frame):
    node = metric('obstacles')
    assert node.set(ground__obstacle_height=0.25).successful
    cloud = node.reply(node.image(road_frame), 'obstacles')
    points = read_points_numpy(cloud, ('x', 'y', 'z'), skip_nans=True)
    assert points.shape == (cloud.width, 3) and len(points) > 10
    assert np.allclose(points[:, 2], 0.25) and (np.hypot(*points[:, :2].T) <= 30.0).all()
