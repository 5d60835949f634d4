"""``enet-ros policy``: the live graph of the real node is allowed, and nothing more than that."""

import importlib.util
import subprocess
import time
import xml.etree.ElementTree as ET

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
pytestmark = pytest.mark.ros

SMALL = ['-p', 'resolution:=[160, 96]', '-p', 'precision:=float32']
#: arguments of the node -> its name and namespace
NODES = {
    'as it comes': ([], 'enet', '/'),
    'with a namespace, a name and remappings': (
        ['-r', '__ns:=/robot', '-r', '__node:=eye', '-r', 'image:=/cam/image_raw', '-r',
         'camera_info:=/cam/camera_info', '-r', '~/drivable_mask:=/road'], 'eye', '/robot'),
    'with two cameras, compressed': (
        ['-p', 'cameras:=[front, left]', '-p', 'image_transport:=compressed', '-r',
         'front/image:=/front/image_raw', '-p', 'use_sim_time:=true'], 'enet', '/'),
    'with transforms of one camera': (
        ['-p', 'cameras:=[front, left]', '-p', 'left.ground.pose:=tf'], 'enet', '/'),
}


def policy_of(*arguments):
    """Return what the command prints for ROS arguments."""
    done = subprocess.run(['enet-ros', 'policy', '--ros-args', *arguments], text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return ET.fromstring(done.stdout)


def allowed(policy):
    """Return publish, subscribe and reply -> names."""
    return {qualifier: {rule.text for rule in rules}
            for rules in policy.iter() for qualifier in ('publish', 'subscribe', 'reply')
            if rules.get(qualifier) == 'ALLOW'}


def graph_of(observer, name, namespace):
    """Return what a running node has, by the same keys, and what it calls or has as actions."""
    def names(method):
        return {topic for topic, _ in method(name, namespace)}
    from rclpy.action import get_action_client_names_and_types_by_node as action_clients
    from rclpy.action import get_action_server_names_and_types_by_node as action_servers
    return {'publish': names(observer.get_publisher_names_and_types_by_node),
            'subscribe': names(observer.get_subscriber_names_and_types_by_node),
            'reply': names(observer.get_service_names_and_types_by_node)}, {
                *names(observer.get_client_names_and_types_by_node),
                *names(lambda *node: action_clients(observer, *node)),
                *names(lambda *node: action_servers(observer, *node))}


def not_installed_here(rules):
    """Return what the node has only where a package is that this machine lacks."""
    absent = set()
    if importlib.util.find_spec('vision_msgs') is None:
        absent |= {name for name in rules['publish'] if name.endswith('/label_info')}
    if importlib.util.find_spec('tf2_ros') is None:
        absent |= {'/tf', '/tf_static'} & rules['subscribe']
    return absent


@pytest.fixture
def observer():
    """A node that looks at the graph."""
    context = rclpy.Context()
    rclpy.init(context=context)
    yield rclpy.create_node('observer', context=context)
    context.try_shutdown()


@pytest.mark.parametrize('case', NODES)
def test_the_policy_is_the_graph_of_the_real_node(start, observer, case):
    arguments, name, namespace = NODES[case]
    rules = allowed(policy_of(*SMALL, *arguments))
    start('segment_node', *SMALL, *arguments)
    deadline, graph, settled = time.monotonic() + 90.0, {}, 0
    while settled < 4 and time.monotonic() < deadline:  # 2 s without a change
        time.sleep(0.5)
        before = graph
        try:
            graph, others = graph_of(observer, name, namespace)
        except rclpy._rclpy_pybind11.NodeNameNonExistentError:
            continue
        has_topics = any(topic.endswith('/timing') for topic in graph['publish'])
        settled = settled + 1 if has_topics and graph == before else 0
    assert settled, 'the node did not come'
    assert others == set()
    absent = not_installed_here(rules)
    assert {key: found - absent for key, found in rules.items()} == graph


def test_transforms_are_allowed_where_a_camera_needs_them_and_else_not():
    for arguments, expected in ((NODES['with transforms of one camera'][0], True), ([], False)):
        assert ({'/tf', '/tf_static'} <= allowed(policy_of(*arguments))['subscribe']) is expected


def test_the_policy_has_the_form_that_sros2_reads():
    policy = policy_of('-r', '__ns:=/robot')
    assert (policy.tag, policy.attrib) == ('policy', {'version': '0.2.0'})
    assert [child.tag for child in policy] == ['enclaves']
    enclave, = policy.find('enclaves')
    assert (enclave.tag, enclave.attrib) == ('enclave', {'path': '/robot/enet'})
    profile, = enclave.find('profiles')
    assert profile.attrib == {'ns': '/robot', 'node': 'enet'}
    assert [(rules.tag, rules.attrib) for rules in profile] == [
        ('topics', {'publish': 'ALLOW'}), ('topics', {'subscribe': 'ALLOW'}),
        ('services', {'reply': 'ALLOW'})]
    for rules in profile:
        assert len(rules) and {rule.tag for rule in rules} == {rules.tag[:-1]}
        assert all(rule.text.startswith('/') and not len(rule) for rule in rules)


@pytest.mark.parametrize(('arguments', 'said'), [
    (['-p', 'resolution:=[3, 3]'], 'resolution is 3x3, wanted'),
    (['-p', 'weights:=nowhere'], "weights 'nowhere' not found"),
    (['-r', 'nonsense'], 'no node can be made of --ros-args -r nonsense')])
def test_what_the_node_refuses_gives_no_policy(arguments, said):
    done = subprocess.run(['enet-ros', 'policy', '--ros-args', *arguments], text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 2 and done.stdout == ''
    assert said in done.stderr and 'Traceback' not in done.stderr
