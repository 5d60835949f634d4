"""The launch files, parsed and started; and that they name what exists."""

import importlib.util
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import yaml
from support.launch_files import end_launch, start_launch

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


def test_only_the_first_start_waits_for_a_lifecycle_manager(monkeypatch):
    pytest.importorskip('ament_index_python')
    for name in ('', '.actions', '.substitutions'):
        monkeypatch.setitem(sys.modules, f'launch{name}', mock.MagicMock())
        monkeypatch.setitem(sys.modules, f'launch_ros{name}', mock.MagicMock())
    path = REPOSITORY / 'launch' / 'segment.launch.py'
    spec = importlib.util.spec_from_file_location('segment_launch', path)
    launch_file = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launch_file)
    launch_file.start_node(dict.fromkeys(launch_file.ARGUMENTS, '') | {
        'respawn': 'true', 'params_file': 'own.yaml'})
    assert launch_file.Node.call_args.kwargs['parameters'] == ['own.yaml']
    for _ in range(2):
        crash, running = SimpleNamespace(returncode=-9), SimpleNamespace(is_shutdown=False)
        launch_file.Node.call_args.kwargs['on_exit'](crash, running)
        assert launch_file.Node.call_args.kwargs['parameters'] == ['own.yaml', {'autostart': True}]


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
def test_demo_launch_brings_its_own_camera(launched):
    output = output_until(launched('demo.launch.py', 'rate:=10.0'), 'drawn at 10 frames a second')
    assert 'drawn at 10 frames a second' in output


@pytest.mark.ros
@pytest.mark.parametrize(('name', 'argument', 'said'), [
    ('segment.launch.py', 'params_file:=nope.yaml', "params_file is 'nope.yaml', wanted a file"),
    ('segment.launch.py', 'view:=yes', "view is 'yes', wanted true or false"),
    ('segment.launch.py', 'rviz:=maybe', "rviz is 'maybe', wanted true or false"),
    ('segment.launch.py', 'respawn:=maybe', "respawn is 'maybe', wanted true or false"),
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
