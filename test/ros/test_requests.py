"""No request ends the node: lifecycle transitions over the real services.

test_walk.py asks for them in any order.
"""

import random
import threading
import time

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402

pytestmark = pytest.mark.ros
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4
UNCONFIGURED, INACTIVE, ACTIVE, CONFIGURING = 1, 2, 3, 10


class Caller:
    """Calls services of the node from the bench's tester."""

    def __init__(self, node):
        self._node, self._clients = node, {}

    def begin(self, kind, name, **fields):
        """Send a request; returns the future."""
        if name not in self._clients:
            client = self._node.tester.create_client(kind, f'/enet/{name}')
            self._node.wait(client.service_is_ready, name)
            self._clients[name] = client
        return self._clients[name].call_async(kind.Request(**fields))

    def call(self, kind, name, **fields):
        future = self.begin(kind, name, **fields)
        self._node.wait(future.done, name)
        return future.result()

    def change(self, number=0, label=''):
        return self.call(ChangeState, 'change_state', transition=Transition(
            id=number, label=label)).success

    def state(self):
        return self.call(GetState, 'get_state').current_state.id


@pytest.fixture
def idle(bench):
    """An unconfigured node, and who calls its services."""
    node = bench(start=False, autostart=False)
    return node, Caller(node)


@pytest.mark.parametrize(('number', 'label'), [
    (ACTIVATE, ''), (DEACTIVATE, ''), (CLEANUP, ''), (6, ''), (7, ''), (0, ''), (8, ''), (10, ''),
    (60, ''), (99, ''), (255, ''), (0, 'activate'), (0, 'nonsense'), (CONFIGURE, 'nonsense'),
    (0, 'transition_success'), (0, 'Configure'), (0, 'é' * 10_000_000)])
def test_an_impossible_transition_is_refused_and_the_node_lives(idle, number, label):
    node, caller = idle
    assert not caller.change(number, label)
    assert caller.state() == UNCONFIGURED
    assert caller.change(label='configure')
    assert caller.state() == INACTIVE


def test_requests_of_many_clients_at_once_are_all_answered(idle):
    node, caller = idle
    walk = random.Random(3)
    results = []
    for _ in range(8):  # A service keeps no more than ten requests.
        futures = [caller.begin(ChangeState, 'change_state', transition=Transition(
            id=walk.choice([CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE, 10, 77]))) for _ in range(8)]
        node.wait(lambda futures=futures: all(future.done() for future in futures),
                  'all answers', seconds=60.0)
        results += [future.result().success for future in futures]
    assert any(results) and not all(results)
    assert caller.state() in (UNCONFIGURED, INACTIVE, ACTIVE)


@pytest.fixture
def slow(idle, monkeypatch):
    """An unconfigured node whose network is built only when the event is set."""
    from enet_ros.perception.segmenter import Segmenter
    node, caller = idle
    go = threading.Event()
    warm_up = Segmenter.warm_up
    monkeypatch.setattr(Segmenter, 'warm_up', lambda self: (go.wait(30.0), warm_up(self)))
    yield node, caller, go
    go.set()


def test_a_transition_during_a_transition_is_refused(slow):
    node, caller, go = slow
    first = caller.begin(ChangeState, 'change_state', transition=Transition(id=CONFIGURE))
    node.wait(lambda: caller.state() == CONFIGURING, 'configuring')
    for number in (CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE, 5, 6, 7, 10, 11, 12):
        assert not caller.change(number)
    assert not caller.change(label='transition_success')
    assert not first.done()
    assert caller.state() == CONFIGURING
    go.set()
    node.wait(first.done, 'the end of configure')
    assert first.result().success
    assert caller.state() == INACTIVE


def test_services_answer_at_once_and_diagnostics_come_while_the_network_is_built(slow):
    from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters
    node, caller, go = slow
    first = caller.begin(ChangeState, 'change_state', transition=Transition(id=CONFIGURE))
    node.wait(lambda: caller.state() == CONFIGURING, 'configuring')
    calls = [(GetState, 'get_state', {}), (ListParameters, 'list_parameters', {}),
             (GetParameters, 'get_parameters', {'names': ['backend']}),
             (DescribeParameters, 'describe_parameters', {'names': ['backend']})]
    for kind, name, fields in calls:
        caller.call(kind, name, **fields)  # the client is found now
        started = time.monotonic()
        caller.call(kind, name, **fields)
        assert time.monotonic() - started < 0.1, name
    node.listen('/diagnostics')
    node.wait(lambda: node.messages['/diagnostics'], 'diagnostics')
    [status] = node.messages['/diagnostics'][-1].status
    assert (status.name, status.level) == ('enet: segmentation', b'\x01')
    assert 'configuring: ' in status.message and 's so far' in status.message
    assert not first.done()


def test_while_the_network_is_built_its_parameters_are_fixed_and_others_change(slow):
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter
    node, caller, go = slow
    first = caller.begin(ChangeState, 'change_state', transition=Transition(id=CONFIGURE))
    node.wait(lambda: caller.state() == CONFIGURING, 'configuring')

    def set_one(name, value):
        message = Parameter(name, value=value).to_parameter_msg()
        return caller.call(SetParameters, 'set_parameters', parameters=[message]).results[0]

    refused = set_one('resolution', [320, 192])
    assert not refused.successful
    assert 'only while the node is unconfigured' in refused.reason
    assert set_one('overlay_opacity', 0.25).successful
    go.set()
    node.wait(first.done, 'the end of configure')
    settings = node.node._node_parameters.camera_settings[''].settings
    assert (settings.overlay_opacity, settings.resolution) == (0.25, (160, 96))


@pytest.mark.parametrize('name', ['on_activate', 'on_deactivate', 'on_cleanup'])
def test_a_callback_that_raises_leads_to_unconfigured(idle, name, monkeypatch):
    node, caller = idle

    def fail(*arguments):
        raise RuntimeError('a library failed')

    assert caller.change(CONFIGURE)
    if name != 'on_activate':
        assert caller.change(ACTIVATE)
    if name == 'on_cleanup':
        assert caller.change(DEACTIVATE)
    with monkeypatch.context() as patch:
        patch.setattr(type(node.node), '_stop', fail)
        patch.setattr('enet_ros.ros.camera.Camera.activate', fail)
        assert not caller.change({'on_activate': ACTIVATE, 'on_deactivate': DEACTIVATE,
                                  'on_cleanup': CLEANUP}[name])
    assert caller.state() == UNCONFIGURED
    assert caller.change(CONFIGURE) and caller.change(ACTIVATE)


def test_a_configure_that_fails_leaves_the_node_unconfigured_and_can_be_asked_again(idle):
    node, caller = idle
    assert node.set(weights='nowhere').successful
    assert not caller.change(CONFIGURE)
    assert caller.state() == UNCONFIGURED
    assert node.set(weights='').successful
    assert caller.change(CONFIGURE)
