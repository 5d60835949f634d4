"""The rules of the doctor that need no running graph: files, variables, names and frames."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from enet_ros.network.checkpoint import read_checkpoint, weights_path  # noqa: E402
from enet_ros.ros.graph_doctor import look as look_module  # noqa: E402
from enet_ros.ros.graph_doctor import machine_settings  # noqa: E402
from enet_ros.ros.graph_doctor.findings import Finding, Kind, Severity, exit_code, table  # noqa: E402
from enet_ros.ros.graph_doctor.graph_findings import graph_findings  # noqa: E402
from enet_ros.ros.graph_doctor.input_findings import Sample, _transform_findings  # noqa: E402
from enet_ros.ros.graph_doctor.look import look_at_graph  # noqa: E402
from enet_ros.ros.graph_doctor.nav2_file import Nav2Source, read_nav2_file  # noqa: E402
from enet_ros.ros.graph_doctor.observation import Observation, Topic  # noqa: E402
from enet_ros.ros.graph_doctor.observer import Observer  # noqa: E402

pytestmark = pytest.mark.ros
REPOSITORY = Path(__file__).resolve().parents[2]


def kinds(findings):
    return [finding.kind for finding in findings]


def test_the_page_has_the_table_of_the_code():
    assert table() in (REPOSITORY / 'docs/doctor.md').read_text()


def test_the_worst_level_is_the_exit_code():
    assert exit_code([]) == exit_code([Finding(Kind.BACKEND, '')]) == 0
    assert exit_code([Finding(Kind.SLOW, '')]) == 1
    assert exit_code([Finding(Kind.SLOW, ''), Finding(Kind.QOS, '')]) == 2


@pytest.mark.parametrize(('variables', 'wanted'), [
    ({}, []), ({'ROS_DOMAIN_ID': '42'}, []), ({'ROS_DOMAIN_ID': 'x'}, [Kind.DOMAIN_ID]),
    ({'ROS_DOMAIN_ID': '233'}, [Kind.DOMAIN_ID]),
    ({'ROS_DOMAIN_ID': '102'}, [Kind.DOMAIN_PORTS]),
    ({'ROS_DOMAIN_ID': '214'}, [Kind.DOMAIN_PORTS]), ({'ROS_DOMAIN_ID': '101'}, []),
    ({'ROS_DOMAIN_ID': '215'}, []), ({'ROS_DOMAIN_ID': '232'}, []),
    ({'ROS_LOCALHOST_ONLY': '1'}, [Kind.LOCAL_ONLY]),
    ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'localhost'}, [Kind.LOCAL_ONLY])])
def test_variables_of_the_middleware(variables, wanted):
    assert kinds(machine_settings.environment_findings(variables)) == wanted


def test_a_domain_that_is_no_number_keeps_the_doctor_out_of_the_graph():
    assert kinds(look_at_graph({'ROS_DOMAIN_ID': 'x'}).findings) == [Kind.DOMAIN_ID]


def test_a_node_behind_another_shared_memory_is_told_by_its_topics(monkeypatch):
    node = SimpleNamespace(
        get_name=lambda: 'doctor', get_node_names_and_namespaces=lambda: [('camera', '/')],
        get_topic_names_and_types=lambda: [('/image', ['sensor_msgs/msg/Image']),
                                           ('/imu', ['sensor_msgs/msg/Imu']),
                                           ('/enet/timing', ['enet_ros/msg/FrameTiming'])],
        get_publishers_info_by_topic=lambda topic: [SimpleNamespace(
            node_name='camera' if topic == '/image' else '_NODE_NAME_UNKNOWN_')])
    observer = Observer.__new__(Observer)
    observer._node = node
    monkeypatch.setattr(observer, 'find', lambda name: [])
    monkeypatch.setattr(look_module, 'open_observer', lambda: nullcontext(observer))
    monkeypatch.setattr(look_module, 'local_nodes', lambda: iter(()))
    [finding] = look_at_graph({}).findings
    assert finding.kind is Kind.NO_NODE_INFO
    assert finding.text == '/enet/timing has a publisher whose node is not known'


def test_a_node_of_another_domain_or_middleware_is_named(tmp_path):
    process = tmp_path / '123'
    process.mkdir()
    (process / 'cmdline').write_bytes(b'python\0/x/lib/enet_ros/segment_node\0')
    (process / 'environ').write_bytes(b'ROS_DOMAIN_ID=7\0RMW_IMPLEMENTATION=rmw_cyclonedds_cpp\0')
    found = machine_settings.process_findings(machine_settings.local_nodes(tmp_path),
                                              machine_settings.settings_of({}))
    assert [finding.text for finding in found] == [
        "segment_node (process 123) runs with ROS_DOMAIN_ID='7', and this shell has '0'",
        "segment_node (process 123) runs with RMW_IMPLEMENTATION='rmw_cyclonedds_cpp', and this "
        "shell has ''"]
    assert {finding.severity for finding in found} == {Severity.ERROR}
    beside = machine_settings.process_findings(
        machine_settings.local_nodes(tmp_path), machine_settings.settings_of({}), is_error=False)
    assert {(finding.kind, finding.severity) for finding in beside} == {
        (Kind.OTHER_DOMAIN, Severity.FINE)}


def test_shared_memory_that_is_absent_or_full(tmp_path, monkeypatch):
    assert machine_settings.shared_memory_findings(tmp_path) == []
    assert kinds(machine_settings.shared_memory_findings(tmp_path / 'no')) == [Kind.SHARED_MEMORY]
    monkeypatch.setattr(machine_settings, 'LEAST_SHARED_MB', 1 << 40)
    assert 'MiB free' in machine_settings.shared_memory_findings(tmp_path)[0].text


def test_the_nav2_file_of_the_package_fits_its_weights():
    source, *others = read_nav2_file(REPOSITORY / 'config/nav2_semantic.yaml')
    assert all(other.classes is None for other in others)
    class_map = read_checkpoint(weights_path('')).class_map
    names = [name for name, unlabeled in zip(class_map.names, class_map.unlabeled, strict=True)
             if not unlabeled]
    observation = Observation('/enet', state='active', class_names=names)
    found = kinds(graph_findings(observation, [source]))
    assert {Kind.CLASS_MISSING, Kind.CLASS_UNKNOWN}.isdisjoint(found)
    assert source.topics['labels_topic'] == '/enet/label_info'


@pytest.mark.parametrize(('file', 'topics'), [
    ('nav2_obstacle.yaml', {'/enet/obstacles', '/enet/free_space'}),
    ('nav2_grid.yaml', {'/enet/grid', '/enet/free_space', '/enet/obstacles'})])
def test_the_topics_of_files_without_the_semantic_layer_are_compared(file, topics):
    sources = read_nav2_file(REPOSITORY / 'config' / file)
    assert {topic for source in sources for topic in source.topics.values()} == topics
    silent = [item for source in sources for item in source.topics.items()]
    observation = Observation('/enet', state='active', class_names=['Road'], silent_topics=silent)
    texts = [finding.text for finding in graph_findings(observation, sources)
             if finding.kind in (Kind.NAV2_TOPIC, Kind.CLASS_MISSING, Kind.LABEL_INFO)]
    assert texts and all(text.endswith('which nobody publishes') for text in texts)


def test_class_names_that_differ_from_the_nav2_file():
    observation = Observation('/enet', state='active', class_names=['Road', 'Sky'])
    texts = {finding.kind: finding.text for finding in graph_findings(
        observation, [Nav2Source({}, frozenset({'Road', 'sky'}))])}
    assert texts[Kind.CLASS_MISSING] == "class 'Sky' of /enet is not in the file"
    assert texts[Kind.CLASS_UNKNOWN] == "class 'sky' of the file is none of Road, Sky"


def test_frames_that_tf_does_not_connect():
    observation = Observation('/enet', parameters={'ground.pose': 'tf', 'base_frame': 'base'})
    sample = Sample((1, 1), 'cam', 1, 0)
    assert kinds(_transform_findings(observation, [sample])) == [Kind.NO_TF]
    observation.frames = {('base', 'mast'), ('mast', 'cam')}
    assert list(_transform_findings(observation, [sample])) == []
    # A slash before a name means nothing.
    observation.parameters |= {'base_frame': '/base', 'odom_frame': '/mast'}
    assert list(_transform_findings(observation, [Sample((1, 1), '/cam', 1, 0)])) == []
    observation.frames = set()
    observation.inputs = [Topic('/r1/tf', 'tf2_msgs/msg/TFMessage', [], [])]
    text = next(iter(_transform_findings(observation, [sample]))).text
    assert text.endswith('frames that came on /r1/tf: none')
    observation.frames = None  # without tf2_msgs nothing is known
    assert list(_transform_findings(observation, [sample])) == []


def test_a_stamp_before_1970_is_named():
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import Image

    from enet_ros.ros.graph_doctor.input_findings import _read_samples
    from enet_ros.ros.graph_doctor.observation import IMAGE
    message = Image(height=4, width=4, encoding='mono8', step=4, data=bytes(16))
    message.header.stamp.sec = -5
    topic = Topic('/image', IMAGE, [], [])
    topic.messages.append((0, serialize_message(message)))
    samples, problem = _read_samples(topic)
    assert not samples and 'its stamp is -5 s' in problem
