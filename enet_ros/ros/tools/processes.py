"""Executables of this package as child processes, started, watched and ended by a tool."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ament_index_python import get_package_prefix

from enet_ros.common.child import tied_to_parent

START_TIMEOUT_SEC = 120.0  # a first start compiles the network
TAIL_LINES = 20
PRELOADED_FRAMES = 11  # of each camera: more than the node takes for a ring that is frozen


class ProcessError(RuntimeError):
    """A process ended by itself or gave nothing in time. The message says which and why."""


class Process:
    """A child process with its output in a file, ended by SIGINT as from a keyboard.

    It gets that signal as well when the thread that started it ends.
    """

    def __init__(self, name: str, *parameters: str, remap: Sequence[str] = ()):
        """Start an executable.

        Args:
            name: Name of the executable.
            parameters: ``name:=value`` of its node.
            remap: ``from:=to`` of its topics.
        """
        self.name = name
        self._log = tempfile.TemporaryFile('w+')
        arguments = [word for parameter in parameters for word in ('-p', parameter)]
        arguments += [word for rule in remap for word in ('-r', rule)]
        path = Path(get_package_prefix('enet_ros'), 'lib', 'enet_ros', name)
        self._process = subprocess.Popen(
            tied_to_parent([path, '--ros-args', *arguments], signal.SIGINT), stdout=self._log,
            stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, number: int) -> None:
        """Send a signal if the process still runs."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def check(self) -> None:
        """Raise a ProcessError if the process has ended by itself."""
        code = self._process.poll()
        if code is not None:
            raise ProcessError(f'{self.name} ended with exit code {code}; it said:\n{self.tail()}')

    def tail(self) -> str:
        """Return the last lines of the output."""
        self._log.seek(0)
        return ''.join(self._log.readlines()[-TAIL_LINES:]).rstrip()

    def stop(self) -> None:
        """Ask the process to end, and kill it if it does not."""
        self.send(signal.SIGINT)
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def camera_names(count: int) -> list[str]:
    """Return names of cameras, as in the node's parameter ``cameras``."""
    return [''] if count == 1 else [f'cam{i}' for i in range(count)]


def start_cameras(names: Sequence[str], size: tuple[int, int], rate_hz: float,
                  *parameters: str) -> list[Process]:
    """Start a process for each camera, which holds its frames ready.

    Args:
        names: From :func:`camera_names`.
        size: (width, height) of the frames, in pixels.
        rate_hz: Frames a second of each camera.
        parameters: More parameters of each, ``name:=value``.
    """
    cameras = []
    for index, name in enumerate(names):
        remap = [f'{topic}:={name}/{topic}' for topic in ('image', 'camera_info') if name]
        cameras.append(Process(
            'replay_camera', f'width:={size[0]}', f'height:={size[1]}', f'seed:={index}',
            f'rate:={rate_hz}', f'preload:={PRELOADED_FRAMES}', *parameters,
            remap=[f'__node:=camera{index}', *remap]))
    return cameras


def isolate() -> None:
    """Take a ROS domain of our own unless the user chose one, since demos may run side by side."""
    if 'ROS_DOMAIN_ID' not in os.environ:
        os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
        print('to look with tools of your own: export '
              f'ROS_DOMAIN_ID={os.environ["ROS_DOMAIN_ID"]}')


def check_all(processes: Iterable[Process]) -> None:
    """Raise a ProcessError if one of the processes has ended by itself."""
    for process in processes:
        process.check()


def stop_all(processes: Iterable[Process]) -> None:
    """End processes, halted ones too."""
    for process in processes:
        process.send(signal.SIGCONT)
        process.stop()


def wait_until(is_done: Callable[[], object], processes: Sequence[Process], subject: str,
               poll: Callable[[], object] = lambda: time.sleep(0.02)) -> None:
    """Wait up to START_TIMEOUT_SEC for an event that the processes cause.

    Args:
        is_done: Tells whether the event has come.
        processes: Have to live meanwhile.
        subject: The event in words, for the message.
        poll: Called between looks, such as spinning an executor once.

    Raises:
        ProcessError: A process ended, or the time ran out.
    """
    deadline = time.monotonic() + START_TIMEOUT_SEC
    while not is_done():
        poll()
        check_all(processes)
        if time.monotonic() > deadline:
            said = '\n'.join(f'{process.name}: {process.tail()}' for process in processes)
            raise ProcessError(f'{subject} did not come within '
                               f'{START_TIMEOUT_SEC:.0f} s\n{said}')
