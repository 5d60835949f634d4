"""Compile a network for OpenVINO: the program of the child process.

    python -P -m enet_ros.backends.compile_child < JOB

It reads a pickled :class:`enet_ros.backends.compile_job.CompileJob` from its standard input, a
pipe from its parent and nobody else's.
"""

from __future__ import annotations

import os
import pickle
import sys

from enet_ros.backends.child import end_with_parent, say
from enet_ros.backends.compile_job import CompileJob

NICENESS = 5  # the node answers first, and the rest of a robot that starts goes on


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
