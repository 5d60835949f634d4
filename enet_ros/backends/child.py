"""Child processes that compile for this process, which goes on meanwhile.

A job is pickled into the child's standard input. The child says how far it is in lines that begin
with :data:`SAYS`, and its exit code is 0 when the file that it makes is there. It dies with its
parent.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

SAYS = 'enet_ros: '    # begins what is for the parent; compilers write lines of their own
_PR_SET_PDEATHSIG = 1  # sys/prctl.h


def python_command() -> list[str]:
    """Return the command of this Python.

    -P keeps the working directory out of the import path; Python 3.10 does not know it.
    """
    return [sys.executable, *(['-P'] if sys.version_info >= (3, 11) else [])]


def module_command(module: str) -> list[str]:
    """Return the command that runs a module of this package."""
    return [*python_command(), '-m', module]


def start_child(command: Sequence[str], folder: Path) -> subprocess.Popen:
    """Start a child with the import path of this process, away from any working directory.

    The kernel ends the child when the thread that started it ends, so that thread waits.

    Args:
        command: From :func:`module_command`.
        folder: Working directory of the child.

    Raises:
        OSError: The process cannot be started.
    """
    paths = [os.path.abspath(path) for path in sys.path if path]
    return subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)})


def follow_child(child: subprocess.Popen, job: object,
                 hear: Callable[[str], object] = lambda text: None) -> str:
    """Give a child its job, and wait until it ends.

    Args:
        child: From :func:`start_child`.
        job: What the child unpickles.
        hear: Receives what the child says.

    Returns:
        Why the child failed, or '' if it did its job.
    """
    with child:
        try:
            with child.stdin as pipe:
                pickle.dump(job, pipe)
        except BrokenPipeError:
            pass  # It ended already, and its output says why.
        last = ''
        for line in child.stdout:
            text = line.decode(errors='replace').strip()
            last = text or last
            if text.startswith(SAYS):
                hear(text[len(SAYS):])
    return '' if child.returncode == 0 else _reason(child.returncode, last)


def _reason(returncode: int, last_line: str) -> str:
    """Say in a line why a build ended."""
    if returncode < 0:
        memory = ', out of memory?' if returncode == -signal.SIGKILL else ''
        return f'the build was ended by signal {-returncode}{memory}'
    return last_line.removeprefix(SAYS) or f'the build ended with exit code {returncode}'


def say(text: str) -> None:
    """Say something to the parent, in a line (in the child)."""
    print(SAYS + text, flush=True)


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent ends, and let signals end it at once.

    The node blocks stop signals in all its threads, and a child inherits that. Python's handler of
    SIGINT would wait for the compiler to return.

    Args:
        parent: Process id of the parent.
    """
    stop = {signal.SIGINT, signal.SIGTERM}
    for number in stop:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stop | {signal.SIGHUP})  # ignored under nohup
    signal_with_parent(parent, signal.SIGKILL)


def signal_with_parent(parent: int, number: int) -> None:
    """Have the kernel send a signal to this process when its parent ends.

    Args:
        parent: Process id of the parent.
        number: The signal.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit('the parent is gone')
