"""Many recordings: one after the other here, or at a time by Ray, on this machine or on many."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from enet_ros.machine import processor_name
from enet_ros.recordings.manifest import DONE, FAILED, WAITING, Entry, Manifest
from enet_ros.recordings.segment import BagOptions, open_segmenter, segment_recording

#: Packages that decide the bytes of the result, beside the processor.
_PACKAGES = ('openvino', 'torch', 'numpy', 'opencv-python-headless', 'rosbags')
CONNECT_SEC = 10.0
#: Environment variables that a worker on this machine needs to find the package.
_ENVIRONMENT = ('PYTHONPATH', 'ENET_ROS_CACHE', 'LD_LIBRARY_PATH')


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
            else f'{type(error).__name__}: {error}'
        return Outcome(job.index, reason, isinstance(error, ValueError), where)
    return Outcome(job.index, changes={
        **where, 'frames': report.frames, 'unreadable': report.unreadable,
        'warnings': report.lines, 'facts': {**report.facts, **machine_kind()},
        'seconds': round(time.monotonic() - started_sec, 3)})


def machine_kind() -> dict[str, str]:
    """Return what decides the bytes of the result beside weights and options."""
    found = []
    for name in _PACKAGES:
        try:
            found.append(f'{name} {version(name)}')
        except PackageNotFoundError:
            continue
    return {'processor': f'{processor_name()} ({platform.machine()})', 'versions': ' '.join(found)}


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
            manifest.entries[job.index].attempts += 1
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
    """Runs jobs by Ray. Use it in a ``with`` statement.

    Attributes:
        place: Where the jobs run, in words.
    """

    def __init__(self, jobs: int | None, cluster: str | None):
        """Connect to a cluster, or start Ray on this machine.

        Args:
            jobs: Number of jobs at a time, or None for all that the processors allow.
            cluster: Address of a cluster, or None for this machine.

        Raises:
            ConnectionError: There is no such cluster.
        """
        if cluster is not None:
            _check_address(cluster)
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')
        import ray
        self._ray = ray
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        options = {'log_to_driver': False, 'logging_level': 'ERROR', 'ignore_reinit_error': True}
        try:
            if cluster is None:
                ray.init('local', num_cpus=jobs or os.cpu_count(), include_dashboard=False,
                         runtime_env={'env_vars': environment}, **options)
            else:
                ray.init(cluster, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise _no_cluster(cluster, first) from error
        self._most = jobs
        # Each job has one CPU of Ray, so as many threads as that stands for.
        self._threads = max(1, (os.cpu_count() or 1) // jobs) if jobs and not cluster else 1
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
                job = self._with_threads(left.pop(0))
                running[task.remote(job)] = job
            ready, _ = ray.wait(list(running), num_returns=1)
            for reference in ready:
                job = running.pop(reference)
                try:
                    yield ray.get(reference)
                except ray.exceptions.RayError as error:
                    yield Outcome(job.index, _died(error))

    def _with_threads(self, job: Job) -> Job:
        values = {'threads': self._threads, **job.options.values}
        return replace(job, options=replace(job.options, values=values))


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


def _no_cluster(cluster: str | None, reason: str) -> ConnectionError:
    where = f"no Ray cluster answers at '{cluster}'" if cluster else 'Ray does not start here'
    return ConnectionError(f"{where}: {reason}; start one by 'ray start --head', or give no "
                           '--cluster')


def _died(error: Exception) -> str:
    """Return why a worker gave no outcome."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'its process ended ({type(error).__name__}): {(lines or ["no reason is known"])[0]}'


def asked_of(options: BagOptions) -> dict[str, object]:
    """Return what is asked, for the manifest."""
    return asdict(options)
