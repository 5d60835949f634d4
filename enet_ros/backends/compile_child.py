"""Compile a network for OpenVINO: the program of the child process.

    python -P -m enet_ros.backends.compile_child < JOB

It reads a pickled :class:`enet_ros.backends.compile_job.CompileJob` from its standard input, a
pipe from its parent and nobody else's.
"""

from __future__ import annotations

import os
import sys

from enet_ros.backends.compile_job import CompileJob
from enet_ros.common.child import do_job

NICENESS = 5  # the node answers first, and the rest of a robot that starts goes on


def compile_network(job: CompileJob) -> None:
    """Compile a network with and without confidence into the cache folder of the job."""
    os.environ['ENET_ROS_CACHE'] = str(job.folder)
    from enet_ros.backends.openvino import OpenVinoBackend
    OpenVinoBackend(job.request).compile_all()


if __name__ == '__main__':
    sys.exit(do_job(compile_network, NICENESS))
