"""Signals that stop a command, and child processes that end with it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

#: Becomes the command, in a process that gets a signal when the thread that started it ends.
_RUN = ('import ctypes, os, signal, sys; parent, number, *command = sys.argv[1:]; '
        'ctypes.CDLL(None).prctl(1, int(number), 0, 0, 0); '  # PR_SET_PDEATHSIG
        'signal.pthread_sigmask(signal.SIG_SETMASK, set()); '
        'os.getppid() == int(parent) or sys.exit("the parent is gone"); '
        'os.execv(command[0], command)')


def ends_with_parent(command: Sequence[object], number: int) -> list[str]:
    """Return a command that does the same, and gets a signal when this process ends.

    The kernel sends the signal when the thread that starts the command ends.

    Args:
        command: Path of a program, and its arguments.
        number: The signal.
    """
    return [sys.executable, '-IS', '-c', _RUN, str(os.getpid()), str(int(number)),
            *map(str, command)]


@contextmanager
def stops_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the block as Ctrl-C does.

    So no part of a file and no child process stays. Under nohup a closed terminal ends nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in earlier.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
