"""The order to compile a network for OpenVINO, and the process that does it.

Converting and compiling takes seconds, for which it holds the interpreter's lock again and again.
A node that did it itself would leave its services waiting. So a child compiles into the cache
folder, and the parent loads the files, which takes a fraction of a second.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from enet_ros.backends.base import BackendRequest
from enet_ros.common.child import follow_child, module_command, start_child

COMPILE_COMMAND = module_command('enet_ros.backends.compile_child')


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
