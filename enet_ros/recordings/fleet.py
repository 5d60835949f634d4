"""Many recordings: one after the other here, or at a time by Ray on a cluster.

Several at a time on one machine need no Ray: :mod:`enet_ros.recordings.local_jobs`.
"""

from __future__ import annotations

import os
import platform
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from enet_ros.common.one_line_error import describe_error
from enet_ros.machine import package_version, processor_name
from enet_ros.recordings.manifest import DONE, FAILED, NO_FRAME, WAITING, Entry, Manifest
from enet_ros.recordings.segment import (
    BagOptions,
    open_segmenter,
    segment_recording,
    weights_sha256,
)

#: Packages that decide the bytes of the result, beside the processor.
_PACKAGES = ('enet_ros', 'openvino', 'torch', 'numpy', 'opencv-python-headless', 'rosbags')
CONNECT_SEC = 10.0


@dataclass(frozen=True)
class Job:
    """One try of one recording.

    Attributes:
        index: Index in the manifest.
        path: The recording.
        out: Folder of its result.
        options: What is asked.
    """

    index: int
    path: str
    out: str
    options: BagOptions


@dataclass
class Outcome:
    """What became of a try.

    Attributes:
        index: Index in the manifest.
        error: Why it failed, or ''.
        is_final: Whether another try would fail as well.
        changes: Fields of the entry in the manifest.
    """

    index: int
    error: str = ''
    is_final: bool = False
    changes: dict[str, object] | None = None


def run_job(job: Job, progress: Callable[[int, int], object] = lambda done, total: None
            ) -> Outcome:
    """Segment a recording. It runs in any process, on any machine that has the package."""
    started_sec, where = time.monotonic(), {'host': socket.gethostname()}
    try:
        report = segment_recording(Path(job.path), Path(job.out), job.options,
                                   open_segmenter(job.options.values), progress)
    except Exception as error:  # Whatever it is, the other recordings go on.
        reason = str(error) if isinstance(error, (ValueError, OSError)) \
            else describe_error(error)
        return Outcome(job.index, reason, isinstance(error, ValueError), where)
    return Outcome(job.index, '' if report.frames else NO_FRAME, not report.frames, {
        **where, 'frames': report.frames, 'unreadable': report.unreadable,
        'warnings': report.lines, 'facts': {**report.provenance, **machine_kind()},
        'seconds': round(time.monotonic() - started_sec, 3)})


def machine_kind() -> dict[str, str]:
    """Return what decides the bytes of the result beside weights and options."""
    versions = {name: package_version(name) for name in _PACKAGES}
    return {'processor': f'{processor_name()} ({platform.machine()})',
            'versions': ' '.join(f'{name} {version}' for name, version in versions.items()
                                 if version)}


Runner = Callable[[Sequence[Job]], Iterator[Outcome]]


def run_here(jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Run jobs one after the other in this process."""
    yield from map(run_job, jobs)


def run_all(manifest: Manifest, out: Path, options: BagOptions, runner: Runner, retries: int,
            tell: Callable[[Entry], object]) -> None:
    """Segment the recordings of a manifest that are not done.

    Args:
        manifest: The manifest, which is written after each recording.
        out: Folder of the results.
        options: What is asked of each.
        runner: Runs jobs.
        retries: How often a recording is tried again. One that cannot be read is not.
        tell: Is told of each recording that is done, or failed for good.
    """
    tries_left = {index: retries for index, entry in enumerate(manifest.entries)
                  if entry.state == WAITING}
    waiting = list(tries_left)
    while waiting:
        jobs = [Job(index, manifest.entries[index].input,
                    str((out / manifest.entries[index].output).resolve()), options)
                for index in waiting]
        for job in jobs:
            manifest.entries[job.index].begin_try()
        manifest.write()
        waiting = []
        for outcome in runner(jobs):
            if _take(manifest, outcome, tries_left, tell):
                waiting.append(outcome.index)
            manifest.write()


def _take(manifest: Manifest, outcome: Outcome, tries_left: dict[int, int],
          tell: Callable[[Entry], object]) -> bool:
    """Take an outcome into the manifest. Return whether the recording is tried again."""
    entry = replace(manifest.entries[outcome.index], error=outcome.error,
                    **(outcome.changes or {}))
    manifest.entries[outcome.index] = entry
    if outcome.error and not outcome.is_final and tries_left[outcome.index] > 0:
        tries_left[outcome.index] -= 1
        return True
    entry.state = FAILED if outcome.error else DONE
    tell(entry)
    return False


class RayRunner:
    """Runs jobs on a Ray cluster. Use it in a ``with`` statement.

    Attributes:
        place: Where the jobs run, in words.
    """

    def __init__(self, jobs: int | None, cluster: str):
        """Connect to a cluster.

        Args:
            jobs: Number of jobs at a time, or None for all that the processors allow.
            cluster: Address of the cluster.

        Raises:
            ConnectionError: There is no such cluster.
        """
        _check_address(cluster)
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')
        import ray
        self._ray, self._most = ray, jobs
        earlier = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(cluster, log_to_driver=False, logging_level='ERROR',
                     ignore_reinit_error=True)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise _no_cluster(cluster, first) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, earlier)  # Ray has put its own in its place.
        nodes = [node for node in ray.nodes() if node['Alive']]
        cpus = int(ray.cluster_resources().get('CPU', 0))
        self.place = f'Ray, {len(nodes)} nodes, {cpus} CPUs'

    def __enter__(self) -> RayRunner:
        return self

    def __exit__(self, *exception: object) -> None:
        self._ray.shutdown()

    def __call__(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run jobs, and yield what became of each as soon as it is known."""
        ray = self._ray
        # A worker that dies is an outcome like others: it is counted and tried again by run_all.
        task = ray.remote(max_retries=0, num_cpus=1, max_calls=1)(run_job)
        left, running = list(jobs), {}
        while left or running:
            while left and (self._most is None or len(running) < self._most):
                job = _with_one_thread(left.pop(0))
                running[task.remote(job)] = job
            ready, _ = ray.wait(list(running), num_returns=1)
            for reference in ready:
                job = running.pop(reference)
                try:
                    yield ray.get(reference)
                except ray.exceptions.RayError as error:
                    yield Outcome(job.index, _died(error))


def _with_one_thread(job: Job) -> Job:
    """Return a job for one CPU of Ray."""
    return replace(job, options=replace(job.options, values={'threads': 1, **job.options.values}))


def _check_address(cluster: str) -> None:
    """Check that something answers at an address, since Ray waits for many minutes.

    Args:
        cluster: 'auto', or host:port with or without 'ray://' before it.

    Raises:
        ConnectionError: Nothing answers.
    """
    host, _, port = cluster.removeprefix('ray://').rpartition(':')
    if cluster == 'auto':
        return
    try:
        socket.create_connection((host.strip('[]'), int(port)), timeout=CONNECT_SEC).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_cluster(cluster, str(error)) from error


def _no_cluster(cluster: str, reason: str) -> ConnectionError:
    return ConnectionError(f"no Ray cluster answers at '{cluster}': {reason}; start one by 'ray "
                           "start --head', or give --jobs and no --cluster")


def _died(error: Exception) -> str:
    """Return why a worker gave no outcome."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'its process ended ({type(error).__name__}): {(lines or ["no reason is known"])[0]}'


def asked_of(options: BagOptions) -> dict[str, object]:
    """Return what is asked, for the manifest: a file of weights may change under its name."""
    return {**asdict(options), 'weights_sha256': weights_sha256(options.values)}
