"""The node over real DDS: what comes out for what goes in."""

import time
from operator import attrgetter

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.parameter import Parameter  # noqa: E402
from rclpy.time import Time  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402

from enet_ros.network.checkpoint import read_checkpoint, weights_path  # noqa: E402
from enet_ros.perception.encodings import ENCODINGS, decode_compressed, decode_image  # noqa: E402
from enet_ros.perception.resize import resize_frame, resize_labels  # noqa: E402
from enet_ros.perception.segmenter import Segmenter  # noqa: E402

pytestmark = pytest.mark.ros
ROAD, PAVEMENT = 3, 4
NETWORK = (160, 96)


@pytest.fixture(scope='module')
def segmenter():
    return Segmenter.from_file(resolution=NETWORK, precision='float32')


def decoded(message):
    return decode_image(message.data, message.encoding, message.width, message.height,
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
    if 'mono' not in encoding and '8UC1' not in encoding:  # without colour the street is lost
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
    camera = node.node._cameras[0]
    publish, decode = camera.publish, camera.decode
    decoded_frames = []

    def note_decoded(frame, network_input):
        result = decode(frame, network_input)
        decoded_frames.append(result)
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


def bad_frames(good: Image):
    def change(**fields):
        message = Image(header=good.header, encoding=good.encoding, width=good.width,
                        height=good.height, step=good.step)
        message.data.frombytes(good.data)
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    short = change()
    del short.data[100:]
    return {'data has 100 bytes': short, 'step is 5': change(step=5),
            'size is 0x': change(width=0),
            "encoding is ''": change(encoding=''), "encoding is 'jpg'": change(encoding='jpg'),
            'wanted at most 64 MP': change(width=20000, height=20000, step=60000)}


def test_bad_frames_are_dropped_and_the_next_good_one_is_segmented(bench, road_frame):
    node = bench(diagnostics_period=0.1)
    node.listen('labels', 'timing', '/diagnostics')
    good = node.image(road_frame)
    for count, (reason, message) in enumerate(bad_frames(good).items(), start=1):
        node.send(message)
        node.wait(lambda reason=reason: node.messages['/diagnostics'] and reason in str(
            node.messages['/diagnostics'][-1]), reason)
        timing = node.reply(good, 'timing')
        assert (timing.dropped, timing.published) == (count, count)
    assert len(node.messages['labels']) == count


def test_a_broken_jpeg_is_dropped(bench, road_frame):
    node = bench(image_transport='compressed')
    node.listen('labels', 'timing')
    data = cv2.imencode('.jpg', road_frame)[1].tobytes()
    for part in (data[:len(data) // 2], b'', b'nonsense'):
        broken = CompressedImage(format='jpeg')
        broken.data.frombytes(part)
        node.send(broken, 'image/compressed')
        time.sleep(0.1)
    good = CompressedImage(format='jpeg')
    good.data.frombytes(data)
    timing = node.reply(good, 'timing', to='image/compressed')
    assert (timing.received, timing.published, timing.dropped) == (4, 1, 3)


def test_bytes_that_are_no_image_are_dropped(bench, road_frame):
    """As another middleware may send them; rclpy hands them on unread."""
    from rclpy.serialization import serialize_message
    node = bench()
    node.listen('timing')
    good = node.image(road_frame)
    publisher, health = node.publisher(Image, 'image'), node.node._cameras[0].health
    for count, part in enumerate((serialize_message(good)[:200], b'\0\1\0\0', b'\0\3' * 40), 1):
        publisher.publish(part)
        node.wait(lambda count=count: health.dropped == count, f'{count} dropped')
        assert f'a message of {len(part)} bytes is no sensor_msgs/Image' in health.last_error
    timing = node.reply(good, 'timing')
    assert (timing.received, timing.published, timing.dropped) == (4, 1, 3)


def test_old_frames_are_dropped_when_max_frame_age_is_set(bench, road_frame):
    node = bench(max_frame_age=1.0)
    node.listen('labels', 'timing')
    now = node.tester.get_clock().now().nanoseconds
    node.send(node.image(road_frame, stamp_ns=now - 5_000_000_000))
    time.sleep(0.2)
    timing = node.reply(node.image(road_frame), 'timing')
    assert (timing.published, timing.dropped) == (1, 1)


def test_stall_publishes_one_unknown_mask_and_recovers(bench, pixels, road_frame):
    node = bench(stall_timeout=0.5, diagnostics_period=0.1)
    node.listen('drivable_mask', '/diagnostics')
    first = node.reply(node.image(road_frame), 'drivable_mask')
    assert pixels(first).any()
    node.wait(lambda: len(node.messages['drivable_mask']) == 2, 'the unknown mask')
    time.sleep(0.8)
    masks = node.messages['drivable_mask']
    assert len(masks) == 2
    assert not pixels(masks[1]).any()
    assert masks[1].header.frame_id == 'cam'
    age = node.tester.get_clock().now().nanoseconds - Time.from_msg(
        masks[1].header.stamp).nanoseconds
    assert 0 < age < 5e9
    node.wait(lambda: node.messages['/diagnostics'][-1].status[0].level == b'\x02', 'an error')
    assert pixels(node.reply(node.image(road_frame), 'drivable_mask')).any()
    node.wait(lambda: node.messages['/diagnostics'][-1].status[0].level == b'\x00', 'recovery')


def test_a_stall_is_looked_for_when_one_could_be_due(bench, road_frame):
    node = bench(stall_timeout=100.0)
    node.listen('labels')
    node.reply(node.image(road_frame), 'labels')
    camera, timer = node.node._cameras[0], node.node._watchdog.stall_timer
    assert 0.0 < camera.check_stall() <= 100.0
    node.wait(lambda: timer.timer_period_ns == 5e8, 'the longest time between two looks')
    assert node.set(stall_timeout=0.2).successful
    node.wait(lambda: camera.health.is_stalled, 'the stall')
    assert camera.check_stall() == np.inf
    assert node.set(stall_timeout=0.0).successful
    node.reply(node.image(road_frame), 'labels')
    assert camera.check_stall() == np.inf


def test_frames_go_on_when_stamps_jump_back(bench, road_frame):
    node = bench()
    node.listen('labels')
    for stamp in (5_000_000_000, 1_000_000_000, 1_100_000_000):
        sent = node.image(road_frame, stamp_ns=stamp)
        check_header(node.reply(sent, 'labels'), sent)


def test_nothing_is_computed_when_nobody_listens(bench, road_frame):
    node = bench()
    calls = []
    backend = node.node._pipeline.segmenter.backend
    infer = backend.infer
    backend.infer = lambda *args, **options: calls.append(options) or infer(*args, **options)
    node.send(node.image(road_frame))
    node.wait(lambda: node.node._cameras[0].health.received == 1)
    time.sleep(0.3)
    assert not calls
    node.listen('drivable_mask')
    node.reply(node.image(road_frame), 'drivable_mask')
    assert [options['confidence'] for options in calls] == [False]


def test_silent_until_active_and_after_deactivate(bench, road_frame):
    node = bench(start=False, autostart=False)
    assert node.node.trigger_configure().name == 'SUCCESS'
    node.listen('labels')
    node.send(node.image(road_frame))
    time.sleep(0.4)
    assert not node.messages['labels']
    node.node.trigger_activate()
    node.reply(node.image(road_frame), 'labels')
    node.node.trigger_deactivate()
    node.send(node.image(road_frame))
    time.sleep(0.4)
    assert len(node.messages['labels']) == 1
    node.node.trigger_cleanup()
    node.wait(lambda: not node.tester.count_publishers('/enet/labels'), 'the end of the topic')
    assert node.node.trigger_configure().name == 'SUCCESS'
    node.node.trigger_activate()


@pytest.mark.parametrize(('parameters', 'mended'), [
    ({'resolution': [642, 360]}, {'resolution': [160, 96]}),
    ({'confidence_floor': 2.0}, {'confidence_floor': 0.5}),
    ({'backend': 'tpu'}, {'backend': 'openvino'}),
    ({'base_frame': ''}, {'base_frame': 'base_link'}),
    ({'weights': '/nowhere.safetensors'}, {'weights': 'enet_camvid'}),
])
def test_a_bad_parameter_fails_configure_and_the_node_lives(bench, parameters, mended):
    node = bench(start=False, autostart=False, **parameters)
    assert node.node.trigger_configure().name == 'FAILURE'
    assert node.set(**mended).successful
    assert node.node.trigger_configure().name == 'SUCCESS'


@pytest.mark.parametrize('parameters', [
    {'class_map__Raod__drivable': True},
    {'class_map__Road__colour': [1, 2, 3]},
    {'class_map__Road__color': [128, 128, 128]},
    {'class_map__Road__color': [1, 2]},
    {'class_map__Road__drivable': False},
    {'class_map__Road__drivable': 'yes'},
])
def test_a_bad_class_map_fails_configure(bench, parameters):
    node = bench(start=False, autostart=False, **parameters)
    assert node.node.trigger_configure().name == 'FAILURE'


def test_parameter_changes_are_all_or_none(bench, pixels, road_frame):
    node = bench(overlay_opacity=0.0)
    refused = node.set(overlay_opacity=1.0, class_map__Road__drivable=False)
    assert not refused.successful
    assert 'no class is drivable' in refused.reason
    assert node.node.get_parameter('overlay_opacity').value == 0.0
    node.listen('overlay')
    assert np.array_equal(pixels(node.reply(node.image(road_frame), 'overlay')), road_frame)


def test_an_engine_parameter_is_refused_with_a_reason_while_configured(bench):
    node = bench()
    refused = node.set(resolution=[320, 192])
    assert not refused.successful
    assert 'only while the node is unconfigured' in refused.reason
    assert node.set(resolution=list(NETWORK)).successful


def test_a_slow_network_delays_no_parameter_or_lifecycle_call(bench, road_frame):
    from lifecycle_msgs.srv import ChangeState, GetState
    from rcl_interfaces.srv import GetParameters, SetParameters
    node = bench()
    node.listen('labels')
    backend = node.node._pipeline.segmenter.backend
    infer = backend.infer
    backend.infer = lambda *args, **options: time.sleep(1.0) or infer(*args, **options)

    def seconds(kind, name, **fields):
        client = node.tester.create_client(kind, f'/enet/{name}')
        node.wait(client.service_is_ready, name)
        node.send(node.image(road_frame))
        time.sleep(0.05)  # the frame is inside the network now
        started = time.monotonic()
        future = client.call_async(kind.Request(**fields))
        node.wait(future.done, name)
        return time.monotonic() - started

    change = Parameter('overlay_opacity', value=0.2).to_parameter_msg()
    assert seconds(GetParameters, 'get_parameters', names=['backend']) < 0.1
    assert seconds(SetParameters, 'set_parameters', parameters=[change]) < 0.1
    assert seconds(GetState, 'get_state') < 0.1
    request = ChangeState.Request()
    for transition in (4, 2):  # deactivate, cleanup
        request.transition.id = transition
        assert seconds(ChangeState, 'change_state', transition=request.transition) < 0.1


def test_a_slow_network_drops_all_but_the_newest(bench, road_frame):
    node = bench()
    node.listen('labels', 'timing')
    backend = node.node._pipeline.segmenter.backend
    infer = backend.infer
    backend.infer = lambda *args, **options: time.sleep(0.4) or infer(*args, **options)
    start = node.tester.get_clock().now().nanoseconds
    stamps = [start + i * 1_000_000 for i in range(8)]
    for stamp in stamps:
        node.send(node.image(road_frame, stamp_ns=stamp))
        time.sleep(0.03)
    node.wait(lambda: len(node.messages['timing']) == 2, 'two frames')
    found = [Time.from_msg(message.header.stamp).nanoseconds
             for message in node.messages['labels']]
    assert found == [stamps[0], stamps[-1]]
    timing = node.messages['timing'][-1]
    assert (timing.received, timing.published, timing.dropped) == (8, 2, 6)


def test_a_frame_from_before_1970_is_dropped_counted_and_named(bench, road_frame):
    node = bench()
    node.listen('labels', 'timing')
    broken = node.image(road_frame)
    broken.header.stamp.sec = -5
    node.send(broken)
    node.wait(lambda: node.node._cameras[0].health.dropped == 1)
    assert node.node._cameras[0].health.last_error.startswith('its stamp is -5 s: ')
    timing = node.reply(node.image(road_frame), 'timing')
    assert (timing.received, timing.published, timing.dropped) == (2, 1, 1)


@pytest.mark.parametrize(('owner', 'method', 'error', 'said'), [
    ('segmenter.backend', 'infer', RuntimeError('out of memory'),
     'the network failed: RuntimeError: out of memory'),
    ('segmenter', 'new_batch', MemoryError('no room'), 'resizing failed: MemoryError: no room')])
def test_a_failing_step_drops_the_frame_and_goes_on(bench, road_frame, owner, method, error, said):
    node = bench()
    node.listen('labels', 'timing')
    owner = attrgetter(owner)(node.node._pipeline)
    works = getattr(owner, method)

    def fail_once(*args, **options):
        setattr(owner, method, works)
        raise error

    setattr(owner, method, fail_once)
    node.send(node.image(road_frame))
    node.wait(lambda: node.node._cameras[0].health.dropped == 1)
    assert node.node._cameras[0].health.last_error == said
    assert node.reply(node.image(road_frame), 'timing').published == 1


def test_several_cameras_have_names_and_sizes_of_their_own(bench, pixels, segmenter, road_frame):
    node = bench(cameras=['front', 'left'])
    node.listen('front/labels', 'left/labels')
    small = cv2.resize(road_frame, (200, 120))
    for name, frame in (('front', road_frame), ('left', small)):
        sent = node.image(frame, frame_id=name)
        labels = node.reply(sent, f'{name}/labels', to=f'{name}/image')
        check_header(labels, sent)
        assert np.array_equal(pixels(labels), segmenter.segment([frame])[0].labels)


def test_diagnostics_say_what_runs(bench, road_frame):
    node = bench(diagnostics_period=0.1)
    node.listen('/diagnostics', 'labels')
    node.wait(lambda: node.messages['/diagnostics'])
    status = node.messages['/diagnostics'][-1].status[0]
    assert status.name == 'enet: segmentation'
    assert status.level == b'\x01'
    assert 'no frame has come on /image' in status.message
    node.reply(node.image(road_frame), 'labels')
    node.wait(lambda: node.messages['/diagnostics'][-1].status[0].level == b'\x00')
    values = {item.key: item.value for item in node.messages['/diagnostics'][-1].status[0].values}
    assert values['backend'] == 'openvino'
    assert values['resolution'] == '160x96'
    assert (values['received'], values['published'], values['dropped']) == ('1', '1', '0')
    assert float(values['latency_p50_ms']) > 0


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


def test_qos_overrides_are_honoured(bench):
    node = bench(**{'qos_overrides./enet/labels.publisher.reliability': 'best_effort'})
    info = node.tester.get_publishers_info_by_topic('/enet/labels')[0].qos_profile
    assert info.reliability.name == 'BEST_EFFORT'
