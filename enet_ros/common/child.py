"""Child processes, which end when this process does.

A module of this package can work as a child. Its job is pickled into its standard input. It says
how far it is in lines that begin with :data:`SAYS`, and its exit code is 0 when the job is done.
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
from typing import Any

from enet_ros.common.one_line_error import describe_error, in_one_line

SAYS = 'enet_ros: '    # begins what is for the parent; compilers write lines of their own
_PR_SET_PDEATHSIG = 1  # sys/prctl.h
#: Becomes the command, in a process that gets a signal when the thread that started it ends.
_RUN = ('import ctypes, os, signal, sys; parent, number, *command = sys.argv[1:]; '
        'ctypes.CDLL(None).prctl(1, int(number), 0, 0, 0); '  # PR_SET_PDEATHSIG
        'signal.pthread_sigmask(signal.SIG_SETMASK, set()); '
        'os.getppid() == int(parent) or sys.exit("the parent is gone"); '
        'os.execv(command[0], command)')


def tied_to_parent(command: Sequence[object], number: int) -> list[str]:
    """Return a command that does the same, and gets a signal when this process ends.

    The kernel sends the signal when the thread that starts the command ends.

    Args:
        command: Path of any program, and its arguments.
        number: The signal.
    """
    return [sys.executable, '-IS', '-c', _RUN, str(os.getpid()), str(int(number)),
            *map(str, command)]


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
        return f'the build was ended by signal {-returncode}{memory_hint(returncode)}'
    return last_line.removeprefix(SAYS) or f'the build ended with exit code {returncode}'


def memory_hint(returncode: int) -> str:
    """Return what may have ended a child: '', or the kernel for want of memory."""
    return ', out of memory?' if returncode == -signal.SIGKILL else ''


def say(text: str) -> None:
    """Say something to the parent, in a line (in the child)."""
    print(SAYS + text, flush=True)


def do_job(work: Callable[[Any], object], niceness: int) -> int:
    """Do the job on the standard input (in the child).

    Args:
        work: Receives the job, whose ``parent`` is the process id of the parent.
        niceness: By how much this process yields to others.

    Returns:
        The exit code.
    """
    job = pickle.load(sys.stdin.buffer)
    _end_with_parent(job.parent)
    os.nice(niceness)
    try:
        work(job)
    except Exception as error:  # Whatever it is, the parent says it in one line.
        say(in_one_line(describe_error(error)))
        return 1
    return 0


def _end_with_parent(parent: int) -> None:
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
