"""The executable ``segment_node``, which also counts what it holds when it is asked on stdin.

Timers and threads of a node cannot be seen from outside. Everything else is as in
``bin/segment_node``.
"""

from enet_ros.ros.process import StopSignals

stop = StopSignals()  # before the imports, as in bin/segment_node

import contextlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import threading  # noqa: E402
from collections import Counter  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402

from enet_ros.ros.process import run_node  # noqa: E402
from enet_ros.ros.segment_node import SegmentNode  # noqa: E402

KINDS = ('publishers', 'subscriptions', 'services', 'clients', 'timers', 'guards', 'waitables')


def count_things(node):
    """Return how many entities, threads and open files the process has."""
    entities = {kind: len(list(getattr(node, kind))) for kind in KINDS}
    return {**entities, **Counter(f'threads {name}' for name in thread_names()),
            'files': len(os.listdir('/proc/self/fd'))}


def thread_names():
    """Yield the name of each thread, with # for numbers: Python's name, or that of the system."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    for path in Path('/proc/self/task').glob('*/comm'):
        with contextlib.suppress(OSError):  # It ends just now.
            yield re.sub(r'\d+', '#', names.get(int(path.parent.name), path.read_text().strip()))


def answer(node):
    """Write the counts to stdout for each line on stdin."""
    # A thread that waits in sys.stdin holds its lock, and a process that forks from this one
    # would wait for that lock for ever when multiprocessing closes its sys.stdin.
    for _ in open(os.dup(0)):
        print(json.dumps(count_things(node)), flush=True)


def make_node():
    """Build the node, and the thread that answers."""
    node = SegmentNode()
    threading.Thread(target=partial(answer, node), name='probe', daemon=True).start()
    return node


run_node(make_node, stop, SegmentNode.start)
