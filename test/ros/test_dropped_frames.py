"""Frames that the node drops, camera stalls, and what it says of them."""

import time
from operator import attrgetter

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.time import Time  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

pytestmark = pytest.mark.ros


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
    longer = change(step=5)
    longer.data.append(0)  # Exactly tight rows would be taken.
    return {'data has 100 bytes': short, 'step is 5': longer,
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
    publisher, health = node.publisher(Image, 'image'), node.camera.health
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


@pytest.mark.parametrize('output_size', ['input', 'network'])
def test_stall_publishes_one_unknown_mask_and_recovers(bench, pixels, road_frame, output_size):
    node = bench(stall_timeout=0.5, diagnostics_period=0.1, output_size=output_size)
    node.listen('drivable_mask', '/diagnostics')
    first = node.reply(node.image(road_frame), 'drivable_mask')
    assert pixels(first).any()
    node.wait(lambda: len(node.messages['drivable_mask']) == 2, 'the unknown mask')
    time.sleep(0.8)
    masks = node.messages['drivable_mask']
    assert len(masks) == 2
    assert not pixels(masks[1]).any()
    assert (masks[1].width, masks[1].height) == (first.width, first.height)
    assert masks[1].header.frame_id == 'cam'
    age = node.tester.get_clock().now().nanoseconds - Time.from_msg(
        masks[1].header.stamp).nanoseconds
    assert 0 < age < 5e9
    node.wait(lambda: node.messages['/diagnostics'][-1].status[0].level == b'\x02', 'an error')
    assert pixels(node.reply(node.image(road_frame), 'drivable_mask')).any()
    node.wait(lambda: node.messages['/diagnostics'][-1].status[0].level == b'\x00', 'recovery')


def slow_down(node, seconds):
    """Let the network take longer, until the returned list of seconds is empty."""
    backend, delays = node.segmenter.backend, [*seconds]
    infer = backend.infer

    def infer_late(*args, **options):
        time.sleep(delays.pop(0) if delays else 0.0)
        return infer(*args, **options)

    backend.infer = infer_late


@pytest.mark.parametrize('needs_calibration', [False, True])
def test_a_frame_that_becomes_too_old_in_the_node_is_dropped(bench, road_frame, needs_calibration):
    node = bench(max_frame_age=1.0, stall_timeout=0.0)
    node.listen('labels', 'timing', *(['camera_info'] if needs_calibration else []))
    node.reply(node.image(road_frame), 'timing')
    camera, located = node.camera, []
    locate, health = camera._ground.locate, camera.health
    camera._ground.locate = lambda frame: located.append(frame) or locate(frame)
    slow_down(node, [1.2])
    node.send(node.image(road_frame))
    node.wait(lambda: health.dropped == 1, 'the drop')
    assert 'wanted at most 1 s (max_frame_age)' in health.last_error
    assert 's of that passed in the node' in health.last_error
    assert node.reply(node.image(road_frame), 'timing').published == 2
    assert len(node.messages['labels']) == 2
    assert len(located) == needs_calibration  # It takes time that the late frame was not worth.


def test_no_frame_from_before_the_mask_of_a_stall_follows_it(bench, pixels, road_frame):
    node = bench(stall_timeout=0.4)
    node.listen('drivable_mask')
    assert pixels(node.reply(node.image(road_frame), 'drivable_mask')).any()
    health = node.camera.health
    slow_down(node, [1.0])
    node.send(node.image(road_frame))
    node.wait(lambda: health.dropped == 1, 'the drop')
    assert 'before a stall made ~/drivable_mask unknown, and took 1.' in health.last_error
    assert 'stall_timeout 0.4 s' in health.last_error
    assert health.is_stalled
    assert [bool(pixels(mask).any()) for mask in node.messages['drivable_mask']] == [True, False]
    assert pixels(node.reply(node.image(road_frame), 'drivable_mask')).any()


def test_a_network_slower_than_stall_timeout_still_gives_masks(bench, pixels, road_frame):
    node = bench(stall_timeout=0.2)
    node.listen('drivable_mask')
    slow_down(node, [0.4] * 100)
    for _ in range(60):
        node.send(node.image(road_frame))
        time.sleep(0.05)
    is_free = [bool(pixels(mask).any()) for mask in node.messages['drivable_mask']]
    assert is_free.count(True) >= 3
    assert not any(one and other for one, other in zip(is_free[1:], is_free[2:]))


def test_a_stall_is_looked_for_when_one_could_be_due(bench, road_frame):
    node = bench(stall_timeout=100.0)
    node.listen('labels')
    node.reply(node.image(road_frame), 'labels')
    camera, timer = node.camera, node.node._watchdog._stall_timer
    assert 0.0 < camera.publish_stall_if_due() <= 100.0
    node.wait(lambda: timer.timer_period_ns == 5e8, 'the longest time between two looks')
    assert node.set(stall_timeout=0.2).successful
    node.wait(lambda: camera.health.is_stalled, 'the stall')
    assert camera.publish_stall_if_due() == np.inf
    assert node.set(stall_timeout=0.0).successful
    node.reply(node.image(road_frame), 'labels')
    assert camera.publish_stall_if_due() == np.inf


def test_frames_go_on_when_stamps_jump_back(bench, road_frame):
    node = bench()
    node.listen('labels')
    for stamp in (5_000_000_000, 1_000_000_000, 1_100_000_000):
        sent = node.image(road_frame, stamp_ns=stamp)
        assert node.reply(sent, 'labels').header == sent.header


def test_a_slow_network_drops_all_but_the_newest(bench, road_frame):
    node = bench()
    node.listen('labels', 'timing')
    backend = node.segmenter.backend
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


@pytest.mark.parametrize(('sec', 'nanosec'), [(-5, 0), (5, 10**9)])
def test_a_frame_from_before_1970_is_dropped_counted_and_named(bench, road_frame, sec, nanosec):
    node = bench()
    node.listen('labels', 'timing')
    broken = node.image(road_frame)
    broken.header.stamp.sec, broken.header.stamp.nanosec = sec, nanosec
    node.send(broken)
    node.wait(lambda: node.camera.health.dropped == 1)
    assert node.camera.health.last_error == (
        f'its stamp is {sec} s and {nanosec} ns, wanted 0 s or more and fewer than 1000000000 ns')
    timing = node.reply(node.image(road_frame), 'timing')
    assert (timing.received, timing.published, timing.dropped) == (2, 1, 1)


@pytest.mark.parametrize(('owner', 'method', 'error', 'said'), [
    ('segmenter.backend', 'infer', RuntimeError('out of memory'),
     'the network failed: RuntimeError: out of memory'),
    ('segmenter', 'new_batch', MemoryError('no room'),
     'no memory for the input of the network: MemoryError: no room')])
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
    node.wait(lambda: node.camera.health.dropped == 1)
    assert node.camera.health.last_error == said
    assert node.reply(node.image(road_frame), 'timing').published == 1


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
