"""The executable ``segment_node``, which also counts what it holds when it is asked on stdin.

Timers and threads of a node cannot be seen from outside. Everything else is as in
``bin/segment_node``.
"""

from enet_ros.ros.process import StopSignals

stop = StopSignals()  # before the imports, as in bin/segment_node

import json  # noqa: E402
import os  # noqa: E402
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
    threads = Counter(f'threads {path.read_text().strip()}'
                      for path in Path('/proc/self/task').glob('*/comm'))
    return {**entities, **threads, 'files': len(os.listdir('/proc/self/fd'))}


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
