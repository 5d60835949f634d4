"""The launch files, parsed and started; and that they name what exists."""

import importlib.util
import os
import re
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import yaml
from support.launch_files import end_launch, start_launch, write_bringup

REPOSITORY = Path(__file__).resolve().parents[2]


def rviz_topics():
    content = yaml.safe_load((REPOSITORY / 'config' / 'segment.rviz').read_text())
    return {display['Name']: display['Topic'] for display
            in content['Visualization Manager']['Displays']}


def test_rviz_shows_topics_that_the_node_has_with_qos_that_fits(bench):
    node = bench().node
    topics = rviz_topics()
    assert set(topics) == {'Camera', 'Overlay', 'Labels', 'Drivable mask'}
    for name, topic in topics.items():
        full = '/' + topic['Value']
        if name == 'Camera':  # a camera may be best effort, so RViz must be
            assert topic['Reliability Policy'] == 'Best Effort'
            assert node.get_subscriptions_info_by_topic(full)
        else:
            [info] = node.get_publishers_info_by_topic(full)
            assert info.qos_profile.reliability.name == 'RELIABLE'


def test_launch_files_are_python_that_compiles():
    for path in (REPOSITORY / 'launch').glob('*.launch.py'):
        compile(path.read_text(), str(path), 'exec')


@pytest.fixture
def load_launch_file(monkeypatch):
    """Load a launch file as a module, without launch and launch_ros."""
    pytest.importorskip('ament_index_python')
    for name in ('', '.actions', '.substitutions', '.utilities', '.launch_description_sources',
                 '.parameter_descriptions'):
        monkeypatch.setitem(sys.modules, f'launch{name}', mock.MagicMock())
        monkeypatch.setitem(sys.modules, f'launch_ros{name}', mock.MagicMock())

    def load(name):
        spec = importlib.util.spec_from_file_location('launch_file', REPOSITORY / 'launch' / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    return load


@pytest.fixture
def launch_file(load_launch_file):
    """segment.launch.py."""
    return load_launch_file('segment.launch.py')


def start_without_launch(launch_file, restore_scope=None, **given):
    launch_file.start_node(dict.fromkeys(launch_file.ARGUMENTS, '') | {
        'respawn': 'true', 'namespaced_tf': 'false', 'params_file': 'own.yaml', **given},
        restore_scope)


def crash(launch_file):
    launch_file.Node.call_args.kwargs['on_exit'](
        SimpleNamespace(returncode=-9), SimpleNamespace(is_shutdown=False))


def test_only_the_first_start_waits_for_a_lifecycle_manager(launch_file):
    start_without_launch(launch_file)
    assert launch_file.Node.call_args.kwargs['parameters'] == ['own.yaml']
    for _ in range(2):
        crash(launch_file)
        assert launch_file.Node.call_args.kwargs['parameters'] == ['own.yaml', {'autostart': True}]


def test_a_node_that_ends_at_once_waits_longer_each_time(launch_file, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(launch_file.time, 'monotonic', lambda: clock[0])
    start_without_launch(launch_file)
    delays = []
    for seconds in [2.0] * 7 + [31.0, 2.0]:
        clock[0] += seconds
        crash(launch_file)
        delays.append(launch_file.TimerAction.call_args.kwargs['period'])
        clock[0] += delays[-1]
    assert delays == [1, 2, 4, 8, 16, 30, 30, 1, 2]


def test_a_node_that_is_started_anew_gets_the_scope_of_the_first(launch_file):
    context = SimpleNamespace(
        launch_configurations={'ros_namespace': '/robot1', 'ros_remaps': [('/tf', 'tf')]},
        environment={'ROBOT': '1'})
    restore_scope = launch_file.keep_scope(context)
    context.launch_configurations['ros_remaps'].append(('later', 'elsewhere'))
    context.launch_configurations.update(ros_namespace='/robot2', later='')
    context.environment.clear()
    start_without_launch(launch_file, restore_scope)
    crash(launch_file)
    assert launch_file.OpaqueFunction.call_args.kwargs == {'function': restore_scope}
    assert launch_file.GroupAction.call_args.args == (
        [launch_file.OpaqueFunction.return_value, launch_file.Node.return_value],)
    restore_scope(context)
    assert context.launch_configurations == {'ros_namespace': '/robot1',
                                             'ros_remaps': [('/tf', 'tf')]}
    assert context.environment == {'ROBOT': '1'}


@pytest.mark.parametrize(('text', 'topics'), [
    ('true', {'/tf': 'tf', '/tf_static': 'tf_static'}), ('false', {})])
def test_tf_is_in_the_namespace_if_asked_for_and_stays_there(
        launch_file, monkeypatch, text, topics):
    monkeypatch.setattr(launch_file, 'get_package_prefix', str)  # as if RViz was installed
    start_without_launch(launch_file, namespaced_tf=text)
    crash(launch_file)
    launch_file.rviz({'namespace': 'r1', 'image_topic': 'image', 'namespaced_tf': text})
    remappings = [dict(call.kwargs['remappings']) for call in launch_file.Node.call_args_list]
    assert len(remappings) == 3
    for each in remappings:
        assert {name: each[name] for name in each if name.startswith('/tf')} == topics


def test_launch_names_the_parameter_file_and_the_arguments_that_override_it(launch_file):
    given = dict.fromkeys(launch_file.ARGUMENTS, '') | {'params_file': 'own.yaml'}
    sentence = 'segment_node reads the parameter file own.yaml'
    assert launch_file.describe_parameters(given) == sentence
    given |= {'autostart': 'true', 'use_sim_time': 'false'}
    assert launch_file.describe_parameters(given) == (
        f'{sentence}, which the launch arguments use_sim_time:=false and autostart:=true override')


@pytest.mark.parametrize(('environment', 'names'), [
    ({'ROS_DISTRO': 'humble'}, ['FASTRTPS_DEFAULT_PROFILES_FILE']),
    ({'ROS_DISTRO': 'jazzy'}, ['FASTRTPS_DEFAULT_PROFILES_FILE']),
    ({'ROS_DISTRO': 'kilted'}, ['FASTDDS_DEFAULT_PROFILES_FILE']),
    ({'ROS_DISTRO': 'kilted', 'FASTDDS_DEFAULT_PROFILES_FILE': 'own.xml'}, []),
    ({'ROS_DISTRO': 'kilted', 'FASTRTPS_DEFAULT_PROFILES_FILE': 'own.xml'}, []),
    ({'ROS_DISTRO': 'jazzy', 'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}, [])])
def test_the_demo_leaves_the_profile_of_a_user_alone(load_launch_file, environment, names):
    demo = load_launch_file('demo.launch.py')
    demo.enlarge_shared_memory(SimpleNamespace(environment=environment))
    assert [call.args[0] for call in demo.SetEnvironmentVariable.call_args_list] == names


@pytest.fixture
def launched():
    """Start ``ros2 launch enet_ros FILE ARGUMENT...`` through the launch library."""
    pytest.importorskip('launch_ros', reason='launch and launch_ros are not installed: they are '
                                             'not among the ROS 2 wheels')
    started = []

    def launch(name, *arguments):
        started.append(start_launch(name, *arguments))
        return started[-1]

    yield launch
    for process in started:
        end_launch(process)


def output_until(process, text, seconds=60.0):
    lines, deadline = [], time.monotonic() + seconds
    for line in process.stdout:
        lines.append(line)
        if text in line or time.monotonic() > deadline:
            break
    return ''.join(lines)


@pytest.mark.ros
def test_segment_launch_starts_the_node_on_a_camera_topic(launched):
    output = output_until(launched('segment.launch.py', 'image_topic:=/front/image_raw',
                                   'namespace:=robot', 'backend:=torch'), 'subscribed to')
    assert 'subscribed to /front/image_raw' in output
    assert '[robot.enet]' in output
    assert 'backend torch' in output


@pytest.mark.ros
@pytest.mark.parametrize('folder', ['{home}', '~'])
def test_launch_arguments_left_alone_do_not_override_the_parameter_file(
        launched, tmp_path, monkeypatch, folder):
    (tmp_path / 'own.yaml').write_text(
        '/**: {ros__parameters: {backend: torch, resolution: [160, 96]}}')
    monkeypatch.setenv('HOME', str(tmp_path))
    output = output_until(
        launched('segment.launch.py', f'params_file:={folder.format(home=tmp_path)}/own.yaml'),
        'subscribed to')
    assert 'backend torch' in output
    assert '160x96' in output
    assert 'gives no value' not in output  # no file of empty overrides is blamed


@pytest.mark.ros
def test_a_node_that_is_started_anew_stays_in_its_group(launched, tmp_path):
    (tmp_path / 'own.yaml').write_text('/**: {ros__parameters: {backend: torch}}')
    process = launched(write_bringup(tmp_path, params_file=str(tmp_path / 'own.yaml')))
    for _ in range(2):
        output = output_until(process, 'subscribed to')
        assert 'BRINGUP [robot1.enet]: subscribed to /robot1/front/image' in output
        assert 'differ from their defaults: stall_timeout' in output
        os.kill(int(re.search(r'process started with pid \[(\d+)\]', output)[1]), signal.SIGKILL)


@pytest.mark.ros
def test_demo_launch_brings_its_own_camera(launched):
    output = output_until(launched('demo.launch.py', 'rate:=10.0'), 'drawn at 10 frames a second')
    assert 'drawn at 10 frames a second' in output


@pytest.mark.ros
@pytest.mark.parametrize(('name', 'argument', 'said'), [
    ('segment.launch.py', 'params_file:=nope.yaml', "params_file is 'nope.yaml', wanted a file"),
    ('segment.launch.py', 'view:=yes', "view is 'yes', wanted true or false"),
    ('segment.launch.py', 'rviz:=maybe', "rviz is 'maybe', wanted true or false"),
    ('segment.launch.py', 'respawn:=maybe', "respawn is 'maybe', wanted true or false"),
    ('segment.launch.py', 'namespaced_tf:=r1', "namespaced_tf is 'r1', wanted true or false"),
    ('segment.launch.py', 'rviz:=true', 'rviz2 is not installed: sudo apt install'),
    ('demo.launch.py', 'rate:=fast', "rate is 'fast', wanted a number"),
    ('demo.launch.py', 'view:=yes', "view is 'yes', wanted true or false")])
def test_a_launch_that_is_refused_has_started_nothing(launched, name, argument, said):
    if argument == 'rviz:=true':
        from ament_index_python.packages import get_packages_with_prefixes
        if 'rviz2' in get_packages_with_prefixes():
            pytest.skip('rviz2 is installed')
    output, _ = launched(name, argument).communicate(timeout=60)
    assert said in output
    assert 'process started with pid' not in output


def started(launch_file, **given):
    """Start the node; return the arguments of its action."""
    start_without_launch(launch_file, **given)
    return launch_file.Node.call_args.kwargs


@pytest.mark.parametrize(('code', 'is_shutdown', 'anew'), [
    (70, False, True), (-9, False, True), (-11, False, True), (2, False, True),
    (0, False, False), (1, False, False), (70, True, False)])
def test_which_ends_of_the_node_start_it_anew(launch_file, code, is_shutdown, anew):
    on_exit = started(launch_file)['on_exit']
    actions = on_exit(SimpleNamespace(returncode=code), SimpleNamespace(is_shutdown=is_shutdown))
    assert bool(actions) == anew


def test_respawn_can_be_turned_off(launch_file):
    assert started(launch_file, respawn='False')['on_exit'] is None
    with pytest.raises(RuntimeError, match="respawn is 'no', wanted true or false"):
        started(launch_file, respawn='no')


def test_the_topics_of_the_camera_are_remapped(launch_file):
    found = started(launch_file, image_topic='/cam/image_raw', camera_info_topic='/cam/info')
    assert dict(found['remappings']) == {
        'image': '/cam/image_raw', 'image/compressed': '/cam/image_raw/compressed',
        'camera_info': '/cam/info'}


def context_of(launch_file, **given):
    """Stand in for the launch context whose arguments are given."""
    values = {name: '' for name in launch_file.ARGUMENTS} | {
        'respawn': 'true', 'namespaced_tf': 'false', 'rviz': 'false', 'view': 'false'} | given
    launch_file.LaunchConfiguration.side_effect = lambda name: SimpleNamespace(
        perform=lambda _: values[name])
    return SimpleNamespace(launch_configurations={}, environment={})


def test_a_parameter_file_in_the_home_folder_or_none_at_all(launch_file, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'own.yaml').write_text('')
    launch_file.start(context_of(launch_file, params_file='~/own.yaml'))
    assert launch_file.Node.call_args.kwargs['parameters'] == [f'{tmp_path}/own.yaml']
    with pytest.raises(RuntimeError, match="params_file is '.*/no.yaml', wanted a file"):
        launch_file.start(context_of(launch_file, params_file='~/no.yaml'))


def test_the_node_of_the_demo_comes_before_its_camera(load_launch_file):
    """A launch that fails ends no process, and the node's file checks the arguments."""
    demo = load_launch_file('demo.launch.py')
    demo.generate_launch_description()
    actions = demo.LaunchDescription.call_args.args[0]
    assert actions.index(demo.IncludeLaunchDescription.return_value) < actions.index(
        demo.Node.return_value)
