"""Compile a network for OpenVINO, in a process of its own.

    python -P -m enet_ros.backends.compile < JOB

Converting and compiling takes seconds, for which it holds the interpreter's lock again and again.
A node that did it itself would leave its services waiting. So a child compiles into the cache
folder, and the parent loads the files, which takes a fraction of a second.
"""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from enet_ros.backends.base import BackendRequest
from enet_ros.backends.child import end_with_parent, follow_child, module_command, say, start_child

NICENESS = 5  # the node answers first, and the rest of a robot that starts goes on
COMPILE_COMMAND = module_command('enet_ros.backends.compile')


@dataclass(frozen=True)
class CompileJob:
    """What to compile, and where it goes.

    Attributes:
        request: The network, without ``report``.
        folder: Cache folder that the files go to.
        parent: Process id of the parent.
    """

    request: BackendRequest
    folder: Path
    parent: int


def compile_in_child(request: BackendRequest, folder: Path) -> str:
    """Fill a cache folder from a child process, and wait for it.

    Args:
        request: The network.
        folder: Cache folder of this user.

    Returns:
        Why that failed, or ''.
    """
    job = CompileJob(replace(request, report=None), folder, os.getpid())
    try:
        child = start_child(COMPILE_COMMAND, folder)
    except OSError as error:
        return f'no process can be started: {error}'
    return follow_child(child, job)


def main() -> int:
    """Compile the job on the standard input with and without confidence; return the exit code."""
    job: CompileJob = pickle.load(sys.stdin.buffer)
    end_with_parent(job.parent)
    os.nice(NICENESS)
    os.environ['ENET_ROS_CACHE'] = str(job.folder)
    try:
        from enet_ros.backends.openvino import OpenVinoBackend
        OpenVinoBackend(job.request).compile_all()
    except Exception as error:  # Whatever it is, the parent says it in one line.
        say(f'{type(error).__name__}: {" ".join(str(error).split())[:500]}')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
