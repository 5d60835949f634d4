"""The lifecycle and the parameters of the node, and that it does nothing for nobody."""

import gc
import time
import weakref

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.parameter import Parameter  # noqa: E402

pytestmark = pytest.mark.ros
NETWORK = (160, 96)


def test_nothing_is_computed_when_nobody_listens(bench, road_frame):
    node = bench()
    calls = []
    backend = node.segmenter.backend
    infer = backend.infer
    backend.infer = lambda *args, **options: calls.append(options) or infer(*args, **options)
    node.send(node.image(road_frame))
    node.wait(lambda: node.camera.health.received == 1)
    time.sleep(0.3)
    assert not calls
    node.listen('drivable_mask')
    for _ in range(2):
        node.reply(node.image(road_frame), 'drivable_mask')
    # One frame a second has its confidence looked at.
    assert [options['confidence'] for options in calls] == [True, False]


def test_the_time_to_the_first_frame_is_logged_once(bench, road_frame, capfd):
    node = bench()
    node.listen('labels')
    for _ in range(2):
        node.reply(node.image(road_frame), 'labels')
        time.sleep(0.3)  # The watchdog looks for the first frame every 0.05 s.
    assert capfd.readouterr().err.count('first frame published') == 1


def test_silent_until_active_and_after_deactivate(bench, road_frame):
    node = bench(start=False, autostart=False)
    assert node.node.trigger_configure().name == 'SUCCESS'
    node.listen('labels')
    node.send(node.image(road_frame))
    time.sleep(0.4)
    assert not node.messages['labels'] and not node.camera.health.received
    node.node.trigger_activate()
    node.reply(node.image(road_frame), 'labels')
    node.node.trigger_deactivate()
    node.send(node.image(road_frame))
    time.sleep(0.4)
    assert len(node.messages['labels']) == node.camera.health.received == 1
    node.node.trigger_cleanup()
    node.wait(lambda: not node.tester.count_publishers('/enet/labels'), 'the end of the topic')
    assert node.node.trigger_configure().name == 'SUCCESS'
    node.node.trigger_activate()


def test_a_new_activation_begins_without_the_frames_of_the_one_before(bench, road_frame):
    node, cleared = bench(stall_timeout=0.3), []
    camera = node.camera
    camera.transforms.jumps.note = lambda *jump: cleared.append(jump)
    node.listen('drivable_mask')
    node.reply(node.image(road_frame), 'drivable_mask')
    node.node.trigger_deactivate()
    node.node.trigger_activate()
    node.wait(lambda: camera.health.is_stalled, 'a stall')
    time.sleep(0.2)
    assert len(node.messages['drivable_mask']) == 1  # A mask of this stall would have its header.
    node.reply(node.image(road_frame, stamp_ns=10**12), 'drivable_mask')
    assert not cleared  # An earlier stamp is no jump of time.
    assert camera.health.facts['image'] == 'ok'


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


def test_configure_without_memory_says_what_to_do_and_the_node_lives(bench, monkeypatch, capfd):
    def starved(*_):
        raise MemoryError

    node = bench(start=False, autostart=False)
    with monkeypatch.context() as patch:
        patch.setattr('enet_ros.ros.segment_node.Preparation.result', starved)
        assert node.node.trigger_configure().name == 'FAILURE'
    assert 'configure failed: no memory is left; end other programs' in capfd.readouterr().err
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


def test_a_class_that_was_forbidden_stays_so_over_cleanup(bench):
    node = bench(start=False, autostart=False)
    assert node.node.trigger_configure().name == 'SUCCESS'
    assert node.set(class_map__Road__drivable=False, class_map__Pavement__drivable=True,
                    class_map__Car__color=[1, 2, 3]).successful
    for width in (128, 160):
        assert node.node.trigger_cleanup().name == 'SUCCESS'
        assert node.set(resolution=[width, 96]).successful
        assert node.node.trigger_configure().name == 'SUCCESS'
        assert node.node._node_parameters.drivable_names() == ('Pavement',)
        assert list(node.node.get_parameter('class_map.Car.color').value) == [1, 2, 3]


def test_classes_that_other_weights_lack_are_named_and_wait_for_their_own(bench, capfd):
    node = bench(start=False, autostart=False)
    assert node.node.trigger_configure().name == 'SUCCESS'
    assert node.set(class_map__Car__drivable=True).successful

    def configure_with(weights):
        assert node.node.trigger_cleanup().name == 'SUCCESS'
        assert node.set(weights=weights).successful
        assert node.node.trigger_configure().name == 'SUCCESS'
        return node.node._node_parameters.drivable_names(), capfd.readouterr().err

    drivable, log = configure_with('enet_road')
    assert drivable == ('Road',)
    assert 'class_map.Car.drivable was set and has no effect, since these weights have no' in log
    drivable, log = configure_with('enet_camvid')
    assert drivable == ('Road', 'Car') and 'has no effect' not in log


def test_classes_that_were_set_and_leave_nothing_drivable_fail_the_next_configure(bench, capfd):
    node = bench(start=False, autostart=False)
    assert node.node.trigger_configure().name == 'SUCCESS'
    assert node.set(class_map__Car__drivable=True, class_map__Road__drivable=False).successful
    assert node.node.trigger_cleanup().name == 'SUCCESS'
    assert node.set(weights='enet_road').successful
    assert node.node.trigger_configure().name == 'FAILURE'
    assert 'class_map.Road.drivable was set before cleanup' in capfd.readouterr().err


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
    backend = node.segmenter.backend
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


def test_cleanup_releases_the_network_without_waiting_for_the_garbage_collector(bench, road_frame):
    """It may hold hundreds of MB, or a GPU's memory, and threads of its runtime."""
    node = bench()
    node.listen('labels', 'drivable_mask')
    node.reply(node.image(road_frame), 'labels')
    gc.collect()
    network = weakref.ref(node.segmenter)
    gc.disable()
    try:
        node.node.trigger_deactivate()
        node.node.trigger_cleanup()
        node.wait(lambda: network() is None, 'the end of the network', seconds=5.0)
    finally:
        gc.enable()


def test_a_topic_that_cannot_be_created_leaves_none_of_its_camera(bench, monkeypatch):
    node = bench(start=False, autostart=False)
    before = len(list(node.node.publishers))
    create = node.node.create_subscription
    monkeypatch.setattr(node.node, 'create_subscription', lambda kind, name, *args, **options: (
        create(kind, name, *args, **options) if 'camera_info' not in name else 1 / 0))
    assert node.node.trigger_configure().name == 'FAILURE'
    assert len(list(node.node.publishers)) == before
    monkeypatch.undo()
    assert node.node.trigger_configure().name == 'SUCCESS'
