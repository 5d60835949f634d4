"""Parameters over the real services and from files: what is taken, and how the rest is refused."""

import time
from functools import partial

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rcl_interfaces.msg import Parameter as ParameterMessage  # noqa: E402
from rcl_interfaces.msg import ParameterValue  # noqa: E402
from rcl_interfaces.srv import (  # noqa: E402
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from enet_ros.perception.parameters.files import explain_file, matches  # noqa: E402
from enet_ros.ros.segment_node import SegmentNode  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.fixture
def call(bench):
    """An active node whose services are called: ``call(kind, name, **fields)``."""
    node = bench(cameras=['front'], **{'front.ground.height': 1})
    clients = {}

    def call(kind, name, **fields):
        if name not in clients:
            clients[name] = node.tester.create_client(kind, f'/enet/{name}')
            node.wait(clients[name].service_is_ready, name)
        future = clients[name].call_async(kind.Request(**fields))
        node.wait(future.done, f'an answer of {name}')
        return future.result()

    call.node = node.node
    return call


def set_one(call, name, value):
    message = Parameter(name, value=value).to_parameter_msg()
    [result] = call(SetParameters, 'set_parameters', parameters=[message]).results
    atomic = call(SetParametersAtomically, 'set_parameters_atomically', parameters=[message])
    assert atomic.result == result
    return result


@pytest.mark.parametrize(('name', 'value', 'expected'), [
    ('ground.height', 2, 2.0), ('confidence_floor', 1, 1.0), ('drivable.seed', [0, 1], [0.0, 1.0]),
    ('ground.pose', False, 'off'), ('front.ground.height', 3, 3.0), ('drivable.majority', 3.0, 3),
    ('class_map.Road.color', [1.0, 2.0, 3.0], [1, 2, 3]), ('stall_timeout', '4', 4.0)])
def test_a_value_with_one_meaning_is_set(call, name, value, expected):
    result = set_one(call, name, value)
    assert result.successful, result.reason
    found = call.node.get_parameter(name).value
    assert (list(found) if isinstance(expected, list) else found) == expected


@pytest.mark.parametrize(('name', 'value', 'message'), [
    ('confidence_floor', float('nan'), 'confidence_floor is nan, wanted 0.0 to 1.0'),
    ('max_frame_age', float('inf'), 'max_frame_age is inf, wanted 0.0 to 3600.0'),
    ('drivable.seed', [float('nan'), 0.5], 'drivable.seed is [nan, 0.5], wanted x and y'),
    ('confidence_floor', 'high', "confidence_floor is 'high', wanted a number, 0.0 to 1.0"),
    ('ground.pose', True, 'write the text in quotes'),
    ('base_frame', 7, 'base_frame is 7, wanted text, a frame; write the text in quotes'),
    ('front.ground.height', 'x', "front.ground.height is 'x', wanted a number"),
    ('class_map.Road.drivable', 'no', "class_map.Road.drivable is 'no', wanted true or false"),
    ('class_map.Road.color', [1, 2], 'wanted three integers'),
    ('cameras', ['left'], 'cameras is fixed at the start: write it into the parameter file'),
    ('groud.height', 1.0, "'groud.height' is not known; did you mean 'ground.height'?"),
    ('ground.height', None, 'ground.height has no value'),
    ('resolution', [320, 192], 'resolution can change only while the node is unconfigured')])
def test_a_value_that_cannot_be_used_is_refused_in_a_sentence(call, name, value, message):
    before = call.node.get_parameters_by_prefix('')
    result = set_one(call, name, value)
    assert not result.successful
    assert message in result.reason
    assert 'Type.' not in result.reason and 'Error' not in result.reason
    assert {key: p.value for key, p in call.node.get_parameters_by_prefix('').items()} == {
        key: p.value for key, p in before.items()}


def test_requests_that_no_tool_sends_are_answered(call):
    nonsense = ParameterMessage(name='ground.height', value=ParameterValue(type=77))
    assert not call(SetParameters, 'set_parameters', parameters=[nonsense]).results[0].successful
    assert not call(SetParametersAtomically, 'set_parameters_atomically',
                    parameters=[nonsense]).result.successful
    empty = ParameterMessage(name='', value=ParameterValue(type=1))
    good = Parameter('overlay_opacity', value=1).to_parameter_msg()
    results = call(SetParameters, 'set_parameters', parameters=[nonsense, empty, good]).results
    assert [result.successful for result in results] == [False, False, True]
    call(GetParameters, 'get_parameters', names=['', 'nothing', 'é'])
    call(DescribeParameters, 'describe_parameters', names=['nothing'])
    call(ListParameters, 'list_parameters', prefixes=['', '.', 'ground'], depth=2**63)
    sim_time = Parameter('use_sim_time', value='maybe').to_parameter_msg()
    assert not call(SetParameters, 'set_parameters', parameters=[sim_time]).results[0].successful
    assert call(GetParameters, 'get_parameters', names=['overlay_opacity']).values


def test_an_answer_that_cannot_be_sent_is_no_loss(call, monkeypatch, capfd):
    from rclpy._rclpy_pybind11 import RCLError
    from rclpy.service import Service

    def fail(self, response, header):
        raise RCLError('the client is gone')

    with monkeypatch.context() as patch:
        patch.setattr(Service, 'send_response', fail)
        node = SegmentNode('other', context=call.node.context)
    try:
        [service] = [service for service in node.services
                     if service.service_name == '/other/change_state']
        service.send_response(None, None)
        assert 'an answer of /other/change_state was not sent' in capfd.readouterr().err
    finally:
        node.destroy_node()


def test_descriptors_keep_the_type_of_the_table(call):
    [descriptor] = call(DescribeParameters, 'describe_parameters',
                        names=['front.ground.height']).descriptors
    assert (descriptor.type, descriptor.dynamic_typing) == (3, False)


@pytest.fixture
def from_file(bench, tmp_path):
    """A maker of unconfigured nodes from the text of a parameter file."""
    def make(text, *arguments):
        path = tmp_path / 'given.yaml'
        path.write_text(text)
        return bench(start=False, make_node=partial(
            SegmentNode, cli_args=['--ros-args', '--params-file', str(path), *arguments])).node
    return make


def test_a_file_may_have_whole_numbers_and_an_unquoted_off(from_file):
    node = from_file("""
/**:
  ros__parameters:
    cameras: [front]
    ground: {height: 2, pose: off}
    drivable: {seed: [0, 1]}
    confidence_floor: 1
    front: {ground: {height: 3, pose: off}, drivable: {seed: [1, 1]}}
    class_map: {Road: {color: [1.0, 2.0, 3.0]}}
""", '-p', 'stall_timeout:=3')
    assert node.trigger_configure().name == 'SUCCESS'
    settings = node._node_parameters.camera_settings['front'].settings
    assert (settings.ground.height, settings.ground.pose) == (3.0, 'off')
    assert settings.drivable.seed == (1.0, 1.0)
    assert (settings.confidence_floor, settings.stall_timeout) == (1.0, 3.0)
    assert node.get_parameter('ground.height').value == 2.0


@pytest.mark.parametrize(('text', 'message'), [
    ('cameras: []', 'cameras has no value, or an empty list, wanted'),
    ('cameras: [1, 2]', 'write the text in quotes'),
    ('weights: 1', 'weights is 1, wanted text, path or name; write the text in quotes'),
    ('ground: {pose: on}', 'ground.pose is true, wanted text, one of off, parameters, tf; YAML'),
    ('{cameras: [front], front: {ground: {pose: yes}}}', 'front.ground.pose is true'),
    ('class_map: {Road: {drivable: maybe}}', "Road.drivable is 'maybe', wanted true or false"),
    ('class_map: {Road: {color: []}}', "the color of 'Road' is []"),
    ("{'qos_overrides./enet/labels.publisher.depth': -1}", 'depth is -1, wanted a whole number'),
    ("{'qos_overrides./enet/labels.publisher.depth': many}", "depth is 'many', wanted a whole"),
    ("{'qos_overrides./enet/labels.publisher.depth': 99999999999}", 'wanted a whole number, 0 to'),
    ("{'qos_overrides./image.subscription.reliability': maybe}", 'wanted one of system_'),
    ("{'qos_overrides./image.subscription.history': unknown}", "'unknown', wanted one of"),
    ("{'qos_overrides./image.subscription.durability': true}", 'durability is true, wanted one')])
def test_a_value_in_a_file_is_refused_in_a_sentence(from_file, capfd, text, message):
    node = from_file(f'/**: {{ros__parameters: {text}}}' if text[0] == '{'
                     else f'/**: {{ros__parameters: {{{text}}}}}')
    assert node.trigger_configure().name == 'FAILURE'
    said = capfd.readouterr().err
    assert message in said
    assert 'Exception' not in said and 'Error:' not in said and 'Traceback' not in said


def test_an_override_that_no_topic_reads_is_named(from_file, capfd):
    node = from_file("/**: {ros__parameters: {'qos_overrides./nothing.publisher.depth': 3, "
                     "'qos_overrides./enet/labels.publisher.deadline': 5}}")
    assert node.trigger_configure().name == 'SUCCESS'
    said = capfd.readouterr().err + capfd.readouterr().out
    assert "'qos_overrides./nothing.publisher.depth' has no effect" in said
    assert "'qos_overrides./enet/labels.publisher.deadline' has no effect" in said


@pytest.mark.parametrize(('key', 'name', 'is_match'), [
    ('/**', '/robot/enet', True), ('/*', '/enet', True), ('/*', '/robot/enet', False),
    ('/**/enet', '/enet', True), ('/**/enet', '/a/b/enet', True), ('/*/enet', '/a/enet', True),
    ('/enet', '/enet', True), ('/enet', '/robot/enet', False), ('/robot/enet', '/enet', False),
    ('/robot/**', '/robot/a/enet', True), ('/ene', '/enet', False)])
def test_keys_of_a_file_match_as_in_rcl(from_file, tmp_path, key, name, is_match):
    assert matches(key, name) == is_match
    namespace, _, own = name.rpartition('/')
    node = from_file(f"'{key}': {{ros__parameters: {{overlay_opacity: 0.25}}}}",
                     '-r', f'__ns:={namespace or "/"}', '-r', f'__node:={own}')
    assert (node.get_parameter('overlay_opacity').value == 0.25) == is_match
    assert (explain_file(str(tmp_path / 'given.yaml'), name) == '') == is_match


def test_the_start_says_what_differs_and_which_file_gave_nothing(from_file, capfd):
    from_file('robot: {enet: {ros__parameters: {overlay_opacity: 0.1}}, b: {ros__parameters: {}}}',
              '-p', 'confidence_floor:=1', '-p', 'overlay_opacity:=0.5')
    said = ''.join(capfd.readouterr())
    assert 'differ from their defaults: confidence_floor, resolution, precision\n' in said
    assert 'given.yaml gives this node no value: it has values for /robot/enet, /robot/b' in said
    assert "this node is /enet; name it '/enet', or '/**' for every node" in said


def test_a_file_that_gives_something_is_not_warned_of(from_file, capfd):
    from_file('{a: {ros__parameters: {x: 1}}, enet: {ros__parameters: {overlay_opacity: 0.1}}}')
    said = ''.join(capfd.readouterr())
    assert 'gives' not in said
    assert 'differ from their defaults: overlay_opacity, resolution, precision\n' in said


@pytest.mark.parametrize(('arguments', 'topics'), [
    ([], {'/image/compressed'}),
    (['-r', 'image:=/cam/image_raw'], {'/cam/image_raw/compressed'}),
    (['-r', 'image/compressed:=/cam/jpeg'], {'/cam/jpeg'}),
    (['-r', 'image:=/cam/image_raw', '-r', 'image/compressed:=/cam/image_raw/compressed'],
     {'/cam/image_raw/compressed'}),
    (['-r', 'image:=/a', '-r', 'image/compressed:=/b'], {'/b'}),
    (['-r', 'image:=cam/raw', '-r', '__ns:=/robot'], {'/robot/cam/raw/compressed'}),
    (['-r', '__ns:=/robot'], {'/robot/image/compressed'}),
    (['-p', "cameras:=['front','left']", '-r', 'front/image:=/f/image_rect'],
     {'/f/image_rect/compressed', '/left/image/compressed'})])
def test_compressed_images_are_beside_the_raw_topic(from_file, arguments, topics):
    node = from_file('/**: {ros__parameters: {image_transport: compressed, '
                     'resolution: [160, 96]}}', *arguments)
    assert node.trigger_configure().name == 'SUCCESS'
    assert {camera.images.topic_name for camera in node._cameras} == topics
    assert all(camera.images.msg_type is CompressedImage for camera in node._cameras)


@pytest.mark.parametrize('qos', [
    {'reliability': 'best_effort'}, {'reliability': 'reliable', 'durability': 'transient_local'},
    {'deadline_ns': 1_000_000}, {'lifespan_ns': 1}, {'liveliness_ns': 1_000_000},
    {'history': 'keep_all'}])
def test_a_camera_of_any_qos_leaves_the_node_alive(bench, road_frame, qos):
    from rclpy.duration import Duration
    from rclpy.qos import (
        DurabilityPolicy,
        HistoryPolicy,
        LivelinessPolicy,
        QoSProfile,
        ReliabilityPolicy,
    )
    node = bench()
    profile = QoSProfile(
        depth=1, history=HistoryPolicy[qos.get('history', 'keep_last').upper()],
        reliability=ReliabilityPolicy[qos.get('reliability', 'reliable').upper()],
        durability=DurabilityPolicy[qos.get('durability', 'volatile').upper()],
        deadline=Duration(nanoseconds=qos.get('deadline_ns', 0)),
        lifespan=Duration(nanoseconds=qos.get('lifespan_ns', 0)))
    if 'liveliness_ns' in qos:
        profile.liveliness = LivelinessPolicy.MANUAL_BY_TOPIC
        profile.liveliness_lease_duration = Duration(nanoseconds=qos['liveliness_ns'])
    odd = node.tester.create_publisher(Image, 'image', profile)
    node.wait(odd.get_subscription_count, 'the node')
    odd.publish(node.image(road_frame))
    node.tester.destroy_publisher(odd)
    node.listen('labels')
    assert node.reply(node.image(road_frame), 'labels').width == 320


def test_a_request_of_very_many_names_is_refused_at_once(call):
    """The executor also watches for stalls, so no request may keep it for seconds."""
    messages = [Parameter(f'x{i}', value=1).to_parameter_msg() for i in range(20_000)]
    started = time.monotonic()
    results = call(SetParameters, 'set_parameters', parameters=messages).results
    atomic = call(SetParametersAtomically, 'set_parameters_atomically', parameters=messages).result
    names = [message.name for message in messages]
    assert call(GetParameters, 'get_parameters', names=names).values == []
    assert call(DescribeParameters, 'describe_parameters', names=names).descriptors == []
    assert not call(ListParameters, 'list_parameters', prefixes=names).result.names
    assert time.monotonic() - started < 10.0  # 2 s on an idle machine, and 6 s for each before
    assert len(results) == 20_000 and not any(result.successful for result in results)
    for result in (results[0], atomic):
        assert result.reason.endswith('has 20000 entries, wanted at most 1000')
    assert not atomic.successful


def test_an_unknown_name_of_a_megabyte_is_quoted_in_part(call):
    result = set_one(call, 'x' * 1_000_000, 1)
    assert not result.successful and len(result.reason) < 400
