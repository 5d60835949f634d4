"""Several recordings at a time on this machine, each in a process, without any network.

A process labels one recording and ends. So a process that is killed costs one try of one
recording. Jobs and outcomes go through pipes that nobody else can open.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path

from enet_ros.common.child import SAYS, memory_hint, module_command, start_child
from enet_ros.machine import available_cores
from enet_ros.recordings.fleet import Job, Outcome

COMMAND = module_command('enet_ros.recordings.job_process')
#: Time that processes have for removing their temporary files after a signal.
STOP_SEC = 5.0
_MOST_BYTES = 1 << 20  # of what a process prints; its outcome comes last


class LocalRunner:
    """Runs jobs in processes of this machine. Use it in a ``with`` statement.

    Args:
        jobs: Number of jobs at a time.

    Attributes:
        place: Where the jobs run, in words.
    """

    def __init__(self, jobs: int):
        self._most = jobs
        self._threads = max(1, len(available_cores()) // jobs)
        self._running: dict[subprocess.Popen, tuple[Job, bytearray]] = {}
        self.place = f'{jobs} processes of this machine' if jobs > 1 else 'one process at a time'

    def __enter__(self) -> LocalRunner:
        return self

    def __exit__(self, *exception: object) -> None:
        """End all processes. Each leaves its whole parts, as a run does that is stopped."""
        for child in self._running:
            child.terminate()
        deadline = time.monotonic() + STOP_SEC
        for child in self._running:
            with suppress(subprocess.TimeoutExpired):
                child.communicate(timeout=max(0.0, deadline - time.monotonic()))
            child.kill()
            child.wait()
            child.stdout.close()
        self._running.clear()

    def __call__(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run jobs, and yield what became of each as soon as it is known."""
        left = list(jobs)
        while left or self._running:
            while left and len(self._running) < self._most:
                job = left.pop(0)
                try:
                    self._start(job)
                except OSError as error:
                    yield Outcome(job.index, f'its process cannot be started: {error}')
            if self._running:  # Perhaps none could be started.
                yield from self._ended()

    def _start(self, job: Job) -> None:
        values = {'threads': self._threads, **job.options.values}
        job = replace(job, options=replace(job.options, values=values))
        child = start_child(COMMAND, Path('/'))
        self._running[child] = job, bytearray()
        with suppress(BrokenPipeError), child.stdin as pipe:  # Its output says why it ended.
            pickle.dump((os.getpid(), os.getcwd(), job), pipe)
        child.stdin = None  # It is closed, which communicate does not take.

    def _ended(self) -> Iterator[Outcome]:
        """Wait for the processes, and yield the outcomes of those that have ended."""
        of_pipe = {child.stdout: child for child in self._running}
        for pipe in wait(list(of_pipe)):
            child = of_pipe[pipe]
            job, output = self._running[child]
            piece = os.read(pipe.fileno(), 1 << 16)
            output += piece
            del output[:-_MOST_BYTES]
            if not piece:
                returncode = child.wait()
                pipe.close()
                del self._running[child]
                yield outcome_of(job, returncode, output.decode(errors='replace'))


def outcome_of(job: Job, returncode: int, output: str) -> Outcome:
    """Return what a process says of its job, or how it ended without a word.

    Args:
        job: The job.
        returncode: Exit code of the process, or minus the signal that ended it.
        output: What it has printed.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith(SAYS):
            return Outcome(**json.loads(line[len(SAYS):]))
    how = f'exit code {returncode}'
    if returncode < 0:
        with suppress(ValueError):
            how = signal.Signals(-returncode).name
        how += memory_hint(returncode)
    return Outcome(job.index, f'its process ended ({how})' + (f': {lines[-1]}' if lines else ''))
