"""The start of the executables: cold caches, log folders, parameter files, and whoever asks."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
if not shutil.which('segment_node'):
    pytest.skip('segment_node is not on the PATH: . scripts/ros_env.sh', allow_module_level=True)

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402

from enet_ros.ros.start_errors import explain_start  # noqa: E402

pytestmark = pytest.mark.ros
SMALL = ['-p', 'resolution:=[160, 96]', '-p', 'precision:=float32', '-p', 'backend:=openvino']


def run(*arguments, name='segment_node', seconds=40.0, **environment):
    """Run an executable to its end; returns the exit code and what it said."""
    env = {key: value for key, value in {**os.environ, **environment}.items() if value is not None}
    done = subprocess.run([name, '--ros-args', *arguments], env=env, text=True, timeout=seconds,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


class Outside:
    """A node in a process of its own, and a client of its services."""

    def __init__(self, *arguments, **environment):
        import rclpy
        from rclpy.signals import SignalHandlerOptions
        self.process = subprocess.Popen(
            ['segment_node', '--ros-args', *arguments], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment})
        self.lines = []
        threading.Thread(target=lambda: self.lines.extend(self.process.stdout),
                         daemon=True).start()
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node('outside', context=self._context)
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self.diagnostics = []
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self.diagnostics.append,
                                       10)
        self._clients = {}

    def begin(self, kind, name, request=None):
        if name not in self._clients:
            self._clients[name] = self._node.create_client(kind, f'/enet/{name}')
            assert self._clients[name].wait_for_service(30.0), name
        return self._clients[name].call_async(request or kind.Request())

    def call(self, kind, name, request=None, seconds=60.0):
        """
        Ask and wait for the answer, asking again every ten seconds.

        On a busy machine a server may find a new client later than it gets the request. Its answer
        is lost then, by the rules of ROS 2: 'client will not receive response'.
        """
        deadline = time.monotonic() + seconds
        future = None
        while future is None or not future.done():
            assert time.monotonic() < deadline, self.said()
            future = self.begin(kind, name, request)
            self._executor.spin_until_future_complete(future, 10.0)
        return future.result()

    def said(self):
        return ''.join(self.lines)

    def close(self):
        self.process.kill()
        self.process.wait()
        self._node.destroy_node()
        self._context.try_shutdown()


def wait_until(condition, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def outside():
    made = []

    def make(*arguments, **environment):
        made.append(Outside(*arguments, **environment))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize('autostart', [True, False])
def test_a_cold_start_answers_and_tells_how_far_it_is(outside, tmp_path, autostart):
    node = outside('-p', f'autostart:={autostart}'.lower(), '-p', 'resolution:=[320, 192]',
                   ENET_ROS_CACHE=str(tmp_path))
    node.call(GetState, 'get_state')
    request = ChangeState.Request()
    request.transition.id = 1  # configure
    pending = None if autostart else node.begin(ChangeState, 'change_state', request)
    names = GetParameters.Request(names=['backend'])
    node.call(GetParameters, 'get_parameters', names)
    seconds, states = [], []
    while not states or states[-1] not in ('inactive', 'active'):
        for kind, name, ask in ((GetState, 'get_state', None),
                                (GetParameters, 'get_parameters', names)):
            started = time.monotonic()
            answer = node.call(kind, name, ask)
            seconds.append(time.monotonic() - started)
            states += [answer.current_state.label] if kind is GetState else []
        assert len(seconds) < 50_000
    assert 'configuring' in states
    # On an idle machine none takes 0.1 s. Others may use this one, so some of them may.
    assert sorted(seconds)[len(seconds) // 2] < 0.1 and max(seconds) < 2.0, sorted(seconds)[-20:]
    texts = {status.message for message in node.diagnostics for status in message.status}
    assert any('configuring: compiling the network for 320x192 in a child process, ' in text
               for text in texts), texts
    assert 'compiling the network for 320x192 in a child process' in node.said()
    if pending is not None:
        node.call(GetState, 'get_state')
        assert pending.done() and pending.result().success


def test_a_signal_ends_a_cold_start_and_its_child(outside, tmp_path):
    node = outside(ENET_ROS_CACHE=str(tmp_path))
    deadline = time.monotonic() + 60.0
    while 'in a child process' not in node.said():
        assert time.monotonic() < deadline, node.said()
        time.sleep(0.05)
    time.sleep(0.5)
    children = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(node.process.pid)],
                              capture_output=True, text=True).stdout.split()
    assert children
    node.process.terminate()
    assert node.process.wait(10) == 0
    deadline = time.monotonic() + 10.0
    while any(os.path.exists(f'/proc/{pid}/exe') for pid in children):
        assert time.monotonic() < deadline, 'the child lives on'
        time.sleep(0.05)


def test_a_callback_that_fails_does_not_end_the_node():
    code = ('from enet_ros.ros.process import StopSignals, run_node\n'
            'stop, calls = StopSignals(), []\n'
            'from rclpy.node import Node\n'  # on Kilted it starts threads
            'def fail():\n'
            '    calls.append(1)\n'
            '    if len(calls) == 3: print("third", flush=True)\n'
            '    raise LookupError("nothing there")\n'
            'def make():\n'
            '    node = Node("odd"); node.create_timer(0.05, fail); return node\n'
            'run_node(make, stop)\n')
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'third\n'
    process.terminate()
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert 'a callback failed, and the node goes on: LookupError: nothing there' in said


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_a_client_that_ends_before_its_answer_is_no_loss(outside, tmp_path, number):
    """As ``ros2 lifecycle set`` and Ctrl-C, or a manager that dies."""
    node = outside('-p', 'autostart:=false', *SMALL, ENET_ROS_CACHE=str(tmp_path))
    node.call(GetState, 'get_state')
    code = ('import rclpy, time\n'
            'from lifecycle_msgs.srv import ChangeState\n'
            'rclpy.init(); node = rclpy.create_node("impatient")\n'
            'client = node.create_client(ChangeState, "/enet/change_state")\n'
            'client.wait_for_service(); request = ChangeState.Request()\n'
            'request.transition.id = 1; client.call_async(request)\n'
            'time.sleep(100)\n')
    client = subprocess.Popen([sys.executable, '-c', code])
    wait_until(lambda: node.call(GetState, 'get_state').current_state.label == 'configuring')
    client.send_signal(number)
    client.wait(10)
    wait_until(lambda: node.call(GetState, 'get_state').current_state.label == 'inactive')
    time.sleep(0.5)
    assert node.call(GetState, 'get_state').current_state.label == 'inactive'
    assert node.process.poll() is None, node.said()


@pytest.mark.parametrize('name', ['segment_node', 'replay_camera'])
@pytest.mark.parametrize(('environment', 'message'), [
    ({'HOME': None}, 'HOME is not set, so there is no folder for the log: set ROS_LOG_DIR'),
    ({'HOME': ''}, 'HOME is not set, so there is no folder for the log: set ROS_LOG_DIR'),
    ({'HOME': '/proc/nowhere'}, 'the folder /proc/nowhere/.ros/log for the log cannot be made '
                                '(No such file or directory): set ROS_LOG_DIR'),
    ({'ROS_LOG_DIR': '/dev/null'}, 'the folder /dev/null for the log cannot be made (Not a '
                                   'directory): set ROS_LOG_DIR')])
def test_without_a_log_folder_the_start_names_what_to_set(name, environment, message):
    code, said = run(name=name, **{'ROS_LOG_DIR': None, 'ROS_HOME': None, **environment})
    assert code == 1
    assert message in said
    assert len(said.splitlines()) == 1, said


def test_without_a_home_all_works_where_the_log_has_a_folder(outside, tmp_path):
    node = outside(*SMALL, HOME='/proc/nowhere', ROS_LOG_DIR=str(tmp_path), ENET_ROS_CACHE='',
                   XDG_CACHE_HOME='')
    deadline = time.monotonic() + 90.0
    while 'subscribed to' not in node.said():
        assert time.monotonic() < deadline and node.process.poll() is None, node.said()
        time.sleep(0.05)
    assert node.said().count('the cache folder /proc/nowhere/.cache/enet_ros cannot be made') == 1


@pytest.mark.parametrize(('text', 'message'), [
    ('/**: {ros__parameters: {drivable: {seed: [0.5, 1]}}}',
     'is refused in line 1: a list has whole numbers beside others: write every number of it'),
    ('/**:\n  ros__parameters:\n    weights:\n', 'is refused in line 3: a name has no value'),
    ('/**:\n  ros__parameters:\n\tprecision: float32\n',  # rcl says line 2, "parsing a event"
     'given.yaml is refused: it is no YAML in line 3: found character that cannot start any'),
    ('/**:\n  ros__parameters: {precision: &a auto, backend: *a}\n',
     "given.yaml is refused: it has the alias '*a' in line 2, wanted the value itself"),
    ('enet:\n  resolution: [640, 360]\n', 'under its name and ros__parameters'),
    ('/**: {ros__parameters: {cameras: []}}', 'cameras has no value, or an empty list, wanted'),
    (None, 'the file is absent or cannot be read')])
def test_a_parameter_file_that_cannot_be_used_is_refused_in_a_sentence(tmp_path, text, message):
    path = tmp_path / 'given.yaml'
    if text is not None:
        path.write_text(text)
    code, said = run('--params-file', str(path))
    assert code == 1
    assert message in said
    assert 'parse.c' not in said and 'Exception' not in said


def test_sim_time_in_quotes_is_refused_in_a_sentence():
    code, said = run('-p', "use_sim_time:='true'")
    assert code == 1
    assert said.strip() == ("use_sim_time is 'true', wanted true or false; write it without "
                            'quotes')


@pytest.mark.parametrize(('option', 'advice'), [
    ('--param-file', "; did you mean '--params-file'?"),
    ('drive.mp4', ', wanted one of --remap, --param, --params-file, ')])
def test_an_option_that_ros_does_not_have_is_refused_in_a_sentence(option, advice):
    code, said = run(option, 'x.yaml')
    assert code == 1
    assert said.startswith(f"'{option}' after --ros-args is no option of ROS{advice}")
    assert len(said.splitlines()) == 1


def test_other_texts_of_rcl_are_shown_as_they_are(tmp_path):
    (tmp_path / 'p.yaml').write_text('/**: {ros__parameters: {a: 1}}\n')  # our reader takes it
    for name in ('p.yaml', 'nowhere.yaml'):
        assert explain_start(f"Couldn't parse params file: '--params-file {tmp_path / name}'. "
                             'Error: Some new trouble at line 7, at /project/x.c:3') == (
            f'the parameter file {tmp_path / name} is refused in line 7: Some new trouble at '
            'line 7')
    assert explain_start('resolution is 3') == 'resolution is 3'
    assert explain_start("Couldn't parse parameter override rule: '-p a:=[1, 2.5]'. Error: "
                         'Sequence should be of same type. Value type, at /project/x.c:3') == (
        'the argument -p a:=[1, 2.5] is refused: a list has whole numbers beside others: write '
        'every number of it with a point, such as [0.5, 1.0]')
    assert explain_start("Couldn't parse params file: '--params-file /a/logging/p.yaml'. Error: "
                         'Error opening YAML file, at /project/x.c:3') == (
        'the parameter file /a/logging/p.yaml is refused: the file is absent or cannot be read')
    assert 'ROS_LOG_DIR' in explain_start('failed to initialize logging: no space left')
