"""The process of one job: the module that :mod:`enet_ros.recordings.local_jobs` starts.

The job comes through the standard input, and its outcome is the last line of the output.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
from contextlib import suppress
from dataclasses import asdict

from enet_ros.common.child import say, signal_with_parent


def main() -> int:
    """Do the job of the standard input; return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        parent, folder, job = pickle.load(sys.stdin.buffer)
        signal_with_parent(parent, signal.SIGTERM)
        with suppress(OSError), open('/proc/self/oom_score_adj', 'w') as score:
            score.write('500')  # If memory is full, the kernel ends this process, not its parent.
        os.chdir(folder)  # Only now: Python 3.10 imports from the folder that it starts in.
        from enet_ros.recordings.fleet import run_job
        outcome = run_job(job)
        print(flush=True)  # Libraries may have left half a line.
        say(json.dumps(asdict(outcome)))
    except KeyboardInterrupt:
        return 130
    return 0


def _stop(number: int, frame: object) -> None:
    """Stop the job, and let no further signal disturb the removal of its temporary files."""
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == '__main__':
    sys.exit(main())
