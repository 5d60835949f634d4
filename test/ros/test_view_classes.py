"""The viewer takes other classes from a node that is started anew or changes its parameters."""

import time

import pytest
from support.absence import import_or_skip

import_or_skip('rclpy', 'rclpy is not installed: make setup')
rr = import_or_skip('rerun', 'rerun-sdk is not installed: scripts/setup.sh view')

import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.signals import SignalHandlerOptions  # noqa: E402

from enet_ros.network.checkpoint import read_checkpoint, weights_path  # noqa: E402
from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.ros.tools import view  # noqa: E402
from enet_ros.ros.tools.view_classes import ClassWatch, ask_classes  # noqa: E402
from enet_ros.ros.tools.view_target import find_target  # noqa: E402
from enet_ros.view.drawing import CameraDrawing  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.fixture
def viewer():
    """A node in a context of its own, and what spins it until a condition holds."""
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('view', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def until(condition, seconds=40.0):
        deadline = time.monotonic() + seconds
        while not condition():
            executor.spin_once(timeout_sec=0.1)
            assert time.monotonic() < deadline, 'it did not come'

    yield node, executor, until
    node.destroy_node()
    context.try_shutdown()


def test_classes_follow_parameters_and_another_start_of_the_node(viewer, bench):
    node, executor, until = viewer
    first = bench()
    target = find_target(node, executor, '/enet', (), '', 20.0, print)
    assert target.class_map == read_checkpoint(weights_path('')).class_map
    maps = []
    ClassWatch(node, executor, '/enet', ['/enet/labels'], target.class_map,
               lambda class_map, doubt: maps.append((class_map, doubt)))
    results = first.node.set_parameters([Parameter('class_map.Road.color', value=[1, 2, 3])])
    assert results[0].successful
    until(lambda: maps)
    class_map, doubt = maps.pop()
    assert class_map.colors[class_map.names.index('Road')] == (1, 2, 3) and not doubt
    first.close()
    bench(weights='enet_road')
    until(lambda: maps)
    assert maps == [(read_checkpoint(weights_path('enet_road')).class_map, '')]


def test_a_node_that_ends_before_it_answers_is_asked_again(viewer, monkeypatch):
    from enet_ros.ros.tools import view_classes
    node, executor, until = viewer
    monkeypatch.setattr(view_classes, 'ANSWER_SEC', 0.2)
    monkeypatch.setattr(view_classes, 'LOOK_PERIOD_SEC', 0.05)
    asked = []

    async def ask(client):
        asked.append(client)
        if len(asked) == 1:
            await rclpy.task.Future()  # It never comes.
        return ClassMap.from_names(['Road', 'Sky']), ''
    monkeypatch.setattr(view_classes, 'ask_classes', ask)
    maps = []
    watch = ClassWatch(node, executor, '/enet', [], ClassMap.from_names(['Road']),
                       lambda class_map, doubt: maps.append(class_map.names))
    monkeypatch.setattr(watch._client, 'service_is_ready', lambda: True)
    watch._due = True
    until(lambda: maps)
    assert len(asked) == 2 and maps == [('Road', 'Sky')]


def test_weights_that_are_not_here_give_numbers_and_say_so(viewer):
    _, executor, _ = viewer

    class Client:
        async def call_async(self, request):
            from rcl_interfaces.msg import ParameterValue
            from rcl_interfaces.srv import GetParameters
            return GetParameters.Response(values=[ParameterValue(
                type=4, string_value='/robot/own.safetensors')])
    task = executor.create_task(ask_classes(Client()))
    executor.spin_until_future_complete(task, timeout_sec=10)
    class_map, doubt = task.result()
    assert class_map.names[:2] == ('class 0', 'class 1')
    assert '/robot/own.safetensors' in doubt and '--weights' in doubt


def test_other_classes_are_drawn_with_their_legend(monkeypatch, capsys):
    """The callback that the watch gets draws names and colors of every camera."""
    from types import SimpleNamespace
    given = []
    monkeypatch.setattr(view, 'ClassWatch', lambda *arguments: given.append(arguments))
    recording = rr.RecordingStream('test')
    memory = recording.memory_recording()
    old, new = ClassMap.from_names(['Sky', 'Road']), ClassMap.from_names(['Grass', 'Road', 'Car'])
    drawing = CameraDrawing(recording, '', old, 0.5)
    camera = SimpleNamespace(name='', outputs='/enet/')
    target = SimpleNamespace(name='/enet', cameras=[camera], class_map=old)
    view._watch_classes(None, None, target, SimpleNamespace(show=('labels',)), recording,
                        [drawing])
    assert given[0][2:5] == ('/enet', ['/enet/labels'], old)
    given[0][5](new, 'they may be others')
    drawn = memory.drain_as_bytes()
    assert b'Grass' in drawn
    assert capsys.readouterr().out.splitlines() == [
        'view: /enet has other classes now: Grass, Road, Car',
        'view: warning: they may be others']
