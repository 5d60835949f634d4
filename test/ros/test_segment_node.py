"""The node over real DDS: the images that it publishes for the images that it receives."""

import time

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from sensor_msgs.msg import CameraInfo, CompressedImage  # noqa: E402

from enet_ros.network.checkpoint import read_checkpoint, weights_path  # noqa: E402
from enet_ros.perception.encodings import ENCODINGS, decode_compressed, decode_raw_image  # noqa: E402
from enet_ros.perception.resize import resize_frame, resize_labels  # noqa: E402
from enet_ros.perception.segmenter import Segmenter  # noqa: E402

pytestmark = pytest.mark.ros
ROAD, PAVEMENT = 3, 4
NETWORK = (160, 96)


@pytest.fixture(scope='module')
def segmenter():
    return Segmenter.from_file(resolution=NETWORK, precision='float32')


def decoded(message):
    return decode_raw_image(message.data, message.encoding, message.width, message.height,
                            message.step, is_bigendian=bool(message.is_bigendian))


def check_header(message, sent):
    assert message.header == sent.header


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_labels_and_mask_for_every_encoding(bench, pixels, segmenter, road_frame, encoding):
    node = bench()
    node.listen('labels', 'drivable_mask')
    sent = node.image(road_frame, encoding)
    labels, mask = node.reply(sent, 'labels', 'drivable_mask')
    expected = segmenter.segment([decoded(sent)])[0].labels
    for message in (labels, mask):
        check_header(message, sent)
        assert (message.encoding, message.width, message.height) == ('mono8', 320, 192)
    assert np.array_equal(pixels(labels), expected)
    assert np.array_equal(pixels(mask), np.where(expected == ROAD, 255, 0))
    if 'mono' not in encoding and '8UC1' not in encoding:  # without color the street is lost
        assert 0.05 < np.mean(pixels(mask) == 255) < 0.95


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_compressed_images(bench, pixels, segmenter, road_frame, extension):
    node = bench(image_transport='compressed')
    node.listen('labels')
    sent = CompressedImage(format=extension)
    sent.header.frame_id = 'cam'
    sent.data.frombytes(cv2.imencode(extension, road_frame[..., ::-1])[1].tobytes())
    labels = node.reply(sent, 'labels', to='image/compressed')
    check_header(labels, sent)
    expected = segmenter.segment([decode_compressed(sent.data)])[0].labels
    assert np.array_equal(pixels(labels), expected)


def test_confidence_overlay_and_area(bench, pixels, segmenter, road_frame):
    node = bench(overlay_opacity=1.0)
    node.listen('confidence', 'overlay', 'drivable_area')
    sent = node.image(road_frame)
    confidence, overlay, area = node.reply(sent, 'confidence', 'overlay', 'drivable_area')
    expected = segmenter.segment([road_frame], confidence=True)[0]
    for message in (confidence, overlay, area):
        check_header(message, sent)
    assert np.abs(pixels(confidence) - 255 * expected.confidence).max() <= 1
    colors = segmenter.checkpoint.class_map.color_lut()[expected.labels]
    assert overlay.encoding == 'rgb8'
    assert np.array_equal(pixels(overlay), colors)
    road = segmenter.infer(cv2.resize(road_frame, NETWORK)[None])[0].labels == ROAD
    assert area.fraction == pytest.approx(road.mean(), abs=1e-6)
    assert (area.width, area.height, area.base_frame) == (320, 192, '')
    assert 0.3 < area.confidence <= 1.0
    assert np.isnan(area.nearest_edge)
    assert not area.contours_m
    outline = np.array([[p.x, p.y] for p in area.contours_px[0].points])
    inside = cv2.fillPoly(np.zeros((192, 320), np.uint8), [outline.round().astype(int)], 1)
    mask = resize_labels(road.astype(np.uint8), (320, 192))
    assert (inside & mask).sum() > 0.8 * mask.sum()


def test_overlay_blends_frame_and_colors(bench, pixels, segmenter, road_frame):
    node = bench(overlay_opacity=0.0)
    node.listen('overlay')
    assert np.array_equal(pixels(node.reply(node.image(road_frame, 'bgr8'), 'overlay')),
                          road_frame)


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'bgra8', 'mono8', 'yuyv'])
def test_an_overlay_of_the_network_s_size_has_the_frame_stretched(bench, pixels, road_frame,
                                                                  encoding):
    node = bench(overlay_opacity=0.0, output_size='network')
    node.listen('overlay')
    sent = node.image(road_frame, encoding)
    assert np.array_equal(pixels(node.reply(sent, 'overlay')),
                          resize_frame(decoded(sent), NETWORK))


def test_an_overlay_is_of_its_own_frame_while_the_next_is_decoded(bench, pixels, road_frame):
    node = bench(overlay_opacity=0.0)
    node.listen('overlay')
    camera = node.camera
    publish, decode = camera.publish, camera.decode
    decoded_frames = []

    def note_decoded(frame, network_input):
        result = decode(frame, network_input)
        decoded_frames.append(frame)
        return result

    def publish_late(frame):
        deadline = time.monotonic() + 5.0
        while len(decoded_frames) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        return publish(frame)

    camera.decode, camera.publish = note_decoded, publish_late
    node.send(node.image(road_frame, 'bgr8'))
    node.wait(lambda: decoded_frames, 'the first frame')
    node.send(node.image(np.zeros_like(road_frame), 'bgr8'))
    node.wait(lambda: len(node.messages['overlay']) == 2, 'both overlays')
    first, second = map(pixels, node.messages['overlay'])
    assert np.array_equal(first, road_frame)
    assert not second.any()


def test_masks_of_the_networks_size(bench, pixels, segmenter, road_frame):
    node = bench(output_size='network')
    node.listen('labels', 'overlay', 'drivable_mask', 'confidence')
    found = node.reply(node.image(road_frame), 'labels', 'overlay', 'drivable_mask', 'confidence')
    assert {(message.width, message.height) for message in found} == {NETWORK}
    expected = segmenter.infer(cv2.resize(road_frame, NETWORK)[None])[0].labels
    assert np.array_equal(pixels(found[0]), expected)


def test_upside_down_camera_keeps_its_orientation(bench, pixels, segmenter, road_frame):
    node = bench(rotate=180)
    node.listen('labels', 'confidence')
    upside_down = np.ascontiguousarray(road_frame[::-1, ::-1])
    labels, _ = node.reply(node.image(upside_down), 'labels', 'confidence')
    upright = segmenter.segment([road_frame])[0].labels
    assert np.mean(pixels(labels)[::-1, ::-1] == upright) > 0.98


def test_confidence_floor_changes_the_mask_alone(bench, pixels, segmenter, road_frame):
    node = bench(confidence_floor=0.8, output_size='network')
    node.listen('labels', 'drivable_mask')
    labels, mask = node.reply(node.image(road_frame), 'labels', 'drivable_mask')
    batch = cv2.resize(road_frame, NETWORK)[None]
    expected = segmenter.infer(batch, confidence=True)[0]
    assert np.array_equal(pixels(labels), expected.labels)
    sure = (expected.labels == ROAD) & (expected.confidence >= 0.8)
    assert np.array_equal(pixels(mask) == 255, sure)
    assert sure.sum() < (expected.labels == ROAD).sum()


def test_class_map_parameters_change_colors_and_mask(bench, pixels, segmenter, road_frame):
    node = bench(class_map__Pavement__drivable=True, class_map__Road__color=[1, 2, 3],
                 overlay_opacity=1.0)
    node.listen('labels', 'drivable_mask', 'overlay')
    labels, mask, overlay = node.reply(node.image(road_frame), 'labels', 'drivable_mask',
                                       'overlay')
    assert np.array_equal(pixels(mask) == 255, np.isin(pixels(labels), (ROAD, PAVEMENT)))
    assert (pixels(overlay)[pixels(labels) == ROAD] == (1, 2, 3)).all()
    assert node.set(class_map__Road__drivable=False).successful
    labels, mask = node.reply(node.image(road_frame), 'labels', 'drivable_mask')
    assert np.array_equal(pixels(mask) == 255, pixels(labels) == PAVEMENT)


def test_camera_info_is_scaled_to_the_masks(bench, road_frame):
    node = bench(output_size='network')
    node.listen('camera_info')
    info = CameraInfo(width=640, height=384, distortion_model='plumb_bob', d=[0.1] * 5,
                      k=[500.0, 0.0, 319.5, 0.0, 510.0, 191.5, 0.0, 0.0, 1.0],
                      p=[400.0, 0.0, 309.5, -40.0, 0.0, 410.0, 181.5, 0.0, 0.0, 0.0, 1.0, 0.0])
    node.send(info, 'camera_info')
    time.sleep(0.3)
    sent = node.image(road_frame)
    found = node.reply(sent, 'camera_info')
    check_header(found, sent)
    assert (found.width, found.height) == NETWORK
    assert found.k.reshape(3, 3) == pytest.approx(np.array(
        [[125, 0, 79.5], [0, 127.5, 47.5], [0, 0, 1]]))
    assert found.p.reshape(3, 4) == pytest.approx(np.array(
        [[100, 0, 77, -10], [0, 102.5, 45, 0], [0, 0, 1, 0]]))
    assert list(found.d) == [0.1] * 5


def test_timing_counts_and_adds_up(bench, road_frame):
    node = bench()
    node.listen('labels', 'timing')
    for _ in range(3):
        timing = node.reply(node.image(road_frame), 'timing')
    assert (timing.received, timing.published, timing.dropped) == (3, 3, 0)
    assert (timing.backend, timing.precision, timing.camera) == ('openvino', 'float32', '')
    stages = (timing.wait_ms + timing.preprocess_ms + timing.inference_ms
              + timing.postprocess_ms + timing.publish_ms)
    assert timing.inference_ms > 0
    assert 0 < timing.age_at_receive_ms + stages <= timing.age_at_publish_ms * 1.01 + 0.5


def test_several_cameras_have_names_and_sizes_of_their_own(bench, pixels, segmenter, road_frame):
    node = bench(cameras=['front', 'left'])
    node.listen('front/labels', 'left/labels')
    small = cv2.resize(road_frame, (200, 120))
    for name, frame in (('front', road_frame), ('left', small)):
        sent = node.image(frame, frame_id=name)
        labels = node.reply(sent, f'{name}/labels', to=f'{name}/image')
        check_header(labels, sent)
        assert np.array_equal(pixels(labels), segmenter.segment([frame])[0].labels)


def test_label_info_is_latched_with_ids_and_names(bench):
    vision_msgs = pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')
    from enet_ros.ros.qos import LATCHED_QOS
    node = bench()
    found = []
    node.tester.create_subscription(vision_msgs.LabelInfo, '/enet/label_info', found.append,
                                    LATCHED_QOS)
    node.wait(lambda: found, 'label info')
    names = {item.class_id: item.class_name for item in found[0].class_map}
    assert names == dict(enumerate(read_checkpoint(weights_path('')).class_map.names))


@pytest.mark.parametrize('topic', ['labels', 'drivable_mask', 'overlay', 'confidence'])
def test_qos_of_outputs_suits_rviz_and_of_inputs_any_camera(bench, topic):
    node = bench()
    info = node.tester.get_publishers_info_by_topic(f'/enet/{topic}')[0].qos_profile
    assert info.reliability.name == 'RELIABLE'
    assert info.durability.name == 'VOLATILE'
    camera = node.tester.get_subscriptions_info_by_topic('/image')[0].qos_profile
    assert camera.reliability.name == 'BEST_EFFORT'


def test_qos_overrides_are_honored(bench):
    node = bench(**{'qos_overrides./enet/labels.publisher.reliability': 'best_effort'})
    info = node.tester.get_publishers_info_by_topic('/enet/labels')[0].qos_profile
    assert info.reliability.name == 'BEST_EFFORT'
