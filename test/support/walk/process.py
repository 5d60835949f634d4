"""The process of the node that is walked, its memory and what it holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

#: Python finds ``support`` from here, and the built package, not its sources, for the rest.
TESTS = Path(__file__).resolve().parents[2]


class WalkFailed(AssertionError):
    """The node broke a promise. The message says which, and the step."""


class ProbedProcess:
    """A node in a process of its own, which counts its entities when it is asked."""

    def __init__(self, cameras, resolution, **environment):
        """Start the node, unconfigured.

        Args:
            cameras: Names of the cameras.
            resolution: (width, height) of the network.
            **environment: Variables beside those of this process.
        """
        self._log = tempfile.TemporaryFile('w+')
        width, height = resolution
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'support.walk.probed_node', '--ros-args',
             '-p', 'autostart:=false', '-p', f'cameras:=[{", ".join(cameras)}]',
             '-p', f'resolution:=[{width}, {height}]'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
            start_new_session=True, env={**os.environ, **environment}, cwd=TESTS)

    @property
    def pid(self):
        """The process id."""
        return self._process.pid

    def check(self):
        """Raise WalkFailed if the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise WalkFailed(f'the node ended with exit code {code}; it said:\n{self.tail()}')

    def tail(self, lines=25):
        """Return the last lines of the node's log."""
        self._log.seek(0)
        return ''.join(self._log.readlines()[-lines:])

    def counts(self):
        """Return how many entities, threads and files the node has."""
        self.check()
        self._process.stdin.write('count\n')
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def rss_mb(self):
        """Return the memory of the process that is in RAM, in MB."""
        pages = int(Path(f'/proc/{self._process.pid}/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGE_SIZE') / 1e6

    def stop(self):
        """End the process as Ctrl-C does; return its exit code."""
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
