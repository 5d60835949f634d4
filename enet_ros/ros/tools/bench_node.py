"""``enet-ros bench --node``: camera, DDS, node and back, beside the bare segmenter.

Cameras and node are processes of their own. The masks are received in this one, as a planner would
receive them. Before and after each round the cameras are halted, so that the node has nothing to
do, and the bare segmenter is timed here. Both thus meet the same machine, which may be a shared
one whose speed changes. The segmenter is timed once more while the node is halted and the cameras
run: what the cameras cost is not the node's doing.
"""

from __future__ import annotations

import signal
import statistics
import time
from dataclasses import dataclass
from itertools import chain

import numpy as np
import psutil
from tqdm import tqdm

from enet_ros.bench.background_load import BackgroundLoad
from enet_ros.bench.baselines import PACKAGES, Workload
from enet_ros.bench.node_report import NodeFigures, NodeReport
from enet_ros.bench.timing import alternate
from enet_ros.machine import describe_machine
from enet_ros.msg import FrameTiming
from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.network.resolution import check_resolution
from enet_ros.perception.segmenter import Segmenter
from enet_ros.ros.tools.observer import MaskObserver, observing
from enet_ros.ros.tools.processes import (
    Process,
    ProcessError,
    camera_names,
    isolate,
    start_cameras,
    stop_all,
    wait_until,
)

WARM_UP_SEC = 2.0
ROUND_SEC = 1.5      # a shared machine changes its speed every few seconds
TIMING_SEC = 0.5     # after each round: ~/timing costs the node a message a frame
PAUSE_SEC = 0.3
SEGMENTER_RUNS = 10  # before each round and after it
STAGES = ('age_at_receive_ms', 'wait_ms', 'preprocess_ms', 'inference_ms', 'postprocess_ms',
          'publish_ms')


@dataclass(frozen=True)
class NodeBench:
    """What is run.

    Attributes:
        resolution: (width, height) of the network, in pixels.
        camera: (width, height) of the cameras' frames; None takes the network's.
        rate_hz: Frames a second of each camera.
        cameras: Number of cameras.
        duration_sec: Seconds to measure, after a warm-up.
        weights, precision, threads: Parameters of the node.
    """

    resolution: tuple[int, int] = (640, 360)
    camera: tuple[int, int] | None = None
    rate_hz: float = 15.0
    cameras: int = 1
    duration_sec: float = 20.0
    weights: str = ''
    precision: str = 'auto'
    threads: int = 0

    @property
    def names(self) -> list[str]:
        """The names of the cameras, as in the node's parameter ``cameras``."""
        return camera_names(self.cameras)

    @property
    def two_frames_sec(self) -> float:
        """The shortest time in which a camera is sure to send a frame."""
        return 2 / self.rate_hz


@dataclass(frozen=True)
class Bench:
    """What takes part in the measurement.

    Attributes:
        observer: Receives the masks.
        node: The process of the node.
        cameras: The processes of the cameras.
        segmenter: The bare segmenter.
        workload: The frames that it segments.
    """

    observer: MaskObserver
    node: Process
    cameras: list[Process]
    segmenter: Segmenter
    workload: Workload

    @property
    def processes(self) -> list[Process]:
        """The node and the cameras."""
        return [self.node, *self.cameras]


@dataclass(frozen=True)
class Round:
    """What was measured in one round, and of the bare segmenter before and after it.

    Attributes:
        bare_ms: The bare segmenter's time while the cameras are halted, the mean of the medians
            before and after the round.
        beside_cameras_ms: The same while the cameras run and the node is halted.
        latencies_ms: Time from camera stamp to mask received of every mask, a list a camera.
        timings: ``~/timing`` of the frames just after the round, a list a camera.
        dropped: Frames that the node dropped, from just before the round to just after it. Those
            that wait when the halted node goes on are not among them.
        seconds: How long node and cameras ran.
        cpu_sec: CPU time that the node took of that.
        rss_mb: Memory of the node at the end.
    """

    bare_ms: float
    beside_cameras_ms: float
    latencies_ms: list[list[float]]
    timings: list[list[FrameTiming]]
    dropped: int
    seconds: float
    cpu_sec: float
    rss_mb: float


def bench_node(options: NodeBench) -> NodeReport:
    """Run cameras and node, and measure.

    Raises:
        ValueError: An option is out of range, or the weights cannot be used.
        ProcessError: A process ended, or said nothing.
    """
    workload = _checked(options)
    segmenter = Segmenter(workload.checkpoint, workload.resolution, 'auto', options.precision,
                          options.threads)
    isolate()
    load = BackgroundLoad()
    figures = _measure(options, workload, segmenter)
    return NodeReport(
        describe_machine(*PACKAGES), segmenter.backend.name, segmenter.backend.precision,
        list(workload.resolution), list(workload.camera), options.cameras, options.rate_hz,
        figures, load.warning())


def _checked(options: NodeBench) -> Workload:
    """Return the work of the bare segmenter.

    Raises:
        ValueError: An option is out of range, or the weights cannot be used.
    """
    if not 0.1 <= options.rate_hz <= 1000.0:
        raise ValueError(f'--rate is {options.rate_hz}, wanted 0.1 to 1000 frames a second')
    if not 1.0 <= options.duration_sec <= 3600.0:
        raise ValueError(f'--duration is {options.duration_sec}, wanted 1 to 3600 seconds')
    resolution = check_resolution(options.resolution)
    return Workload(read_checkpoint(weights_path(options.weights)), resolution,
                    options.camera or resolution, threads=options.threads)


def _measure(options: NodeBench, workload: Workload, segmenter: Segmenter) -> NodeFigures:
    """Run node and cameras in rounds with the bare segmenter, and sum up.

    Raises:
        ProcessError: A process ended, or said nothing.
    """
    with observing(MaskObserver, options.names) as observer:
        started = time.monotonic()
        node, *cameras = processes = _start(options, workload.camera)
        try:
            wait_until(observer.has_all, processes, 'the first mask')
            start_sec = time.monotonic() - started
            time.sleep(WARM_UP_SEC)
            rounds = _run_rounds(options, Bench(observer, node, cameras, segmenter, workload))
        finally:
            stop_all(processes)
    return _sum_up(rounds, options.rate_hz, start_sec)


def _start(options: NodeBench, camera: tuple[int, int]) -> list[Process]:
    """Start the node, and one process for each camera, which holds its frames ready."""
    width, height = options.resolution
    parameters = [f'resolution:=[{width}, {height}]', f'precision:={options.precision}',
                  f'threads:={options.threads}', f"weights:='{options.weights}'"]
    if options.cameras > 1:
        parameters.append(f'cameras:=[{", ".join(options.names)}]')
    return [Process('segment_node', *parameters),
            *start_cameras(options.names, camera, options.rate_hz)]


def _run_rounds(options: NodeBench, bench: Bench) -> list[Round]:
    count = max(1, round(options.duration_sec / max(ROUND_SEC, options.two_frames_sec)))
    round_sec = max(options.duration_sec / count, options.two_frames_sec)
    timing_sec = max(TIMING_SEC, options.two_frames_sec)
    return [_run_round(bench, round_sec, timing_sec)
            for _ in tqdm(range(count), unit='round', desc='measuring', disable=None)]


def _run_round(bench: Bench, round_sec: float, timing_sec: float) -> Round:
    """Let node and cameras run, and time the bare segmenter before and after.

    Raises:
        ProcessError: A process ended, or no mask or no timing came of a camera.
    """
    bare_before_ms = _segmenter_ms(bench, halted=bench.cameras)
    time.sleep(PAUSE_SEC)
    node = psutil.Process(bench.node.pid)
    timings_before = bench.observer.timings(timing_sec)
    bench.observer.clear()
    cpu_before, started = sum(node.cpu_times()[:2]), time.monotonic()
    time.sleep(round_sec)
    seconds, cpu_sec = time.monotonic() - started, sum(node.cpu_times()[:2]) - cpu_before
    latencies_ms = bench.observer.latencies_ms()
    timings = bench.observer.timings(timing_sec)
    for process in bench.processes:
        process.check()
    if not all((*latencies_ms, *timings_before, *timings)):
        raise ProcessError(f'no mask or no timing came of a camera within {seconds:.1f} s; the '
                           f'node said:\n{bench.node.tail()}')
    beside_cameras_ms = _segmenter_ms(bench, halted=[bench.node])
    bare_after_ms = _segmenter_ms(bench, halted=bench.cameras)
    return Round((bare_before_ms + bare_after_ms) / 2, beside_cameras_ms, latencies_ms, timings,
                 _count_dropped(timings_before, timings), seconds, cpu_sec,
                 node.memory_info().rss / 1e6)


def _count_dropped(before: list[list[FrameTiming]], after: list[list[FrameTiming]]) -> int:
    """Return the frames that were dropped between the last timings of two lists a camera."""
    return sum(late[-1].dropped - early[-1].dropped for early, late in zip(before, after))


def _segmenter_ms(bench: Bench, halted: list[Process]) -> float:
    """Return the bare segmenter's median time, in milliseconds, while processes are halted."""
    for process in halted:
        process.send(signal.SIGSTOP)
    time.sleep(PAUSE_SEC)  # the frame in flight ends meanwhile
    seconds = alternate({'segmenter': lambda: bench.segmenter.segment(bench.workload.frames)},
                        SEGMENTER_RUNS)
    for process in halted:
        process.send(signal.SIGCONT)
    return 1e3 * float(np.median(seconds['segmenter']))


def _sum_up(rounds: list[Round], rate_hz: float, start_sec: float) -> NodeFigures:
    """Sum up rounds; see :class:`enet_ros.bench.node_report.NodeFigures`.

    Args:
        rounds: At least one.
        rate_hz: Frames a second of each camera.
        start_sec: From the start of the processes to the first mask.
    """
    by_camera = [list(chain.from_iterable(masks))
                 for masks in zip(*(one.latencies_ms for one in rounds))]
    latencies = np.concatenate(by_camera)
    timings = [timing for one in rounds for timing in chain.from_iterable(one.timings)]
    seconds, sent_hz = sum(one.seconds for one in rounds), rate_hz * len(by_camera)
    return NodeFigures(
        fps=round(len(latencies) / seconds, 2),
        fps_each=[round(len(masks) / seconds, 2) for masks in by_camera],
        latency_ms={**{f'p{q}': round(float(np.percentile(latencies, q)), 2)
                       for q in (50, 95, 99)}, 'max': round(float(latencies.max()), 2)},
        segmenter_ms=round(statistics.median(one.bare_ms for one in rounds), 2),
        overhead_ratio=round(statistics.median(
            float(np.median(np.concatenate(one.latencies_ms))) / one.bare_ms
            for one in rounds), 3),
        published_share=_share(rounds, [one.bare_ms for one in rounds], sent_hz),
        published_share_beside_cameras=_share(
            rounds, [one.beside_cameras_ms for one in rounds], sent_hz),
        dropped=sum(one.dropped for one in rounds),
        stages_ms={stage.removesuffix('_ms'): round(float(np.median(
            [getattr(timing, stage) for timing in timings])), 2) for stage in STAGES},
        cpu_percent=round(100 * sum(one.cpu_sec for one in rounds) / seconds, 1),
        rss_mb=round(rounds[-1].rss_mb, 1),
        rss_growth_mb=round(rounds[-1].rss_mb - rounds[0].rss_mb, 1),
        start_sec=round(start_sec, 2))


def _share(rounds: list[Round], segmenter_ms: list[float], sent_hz: float) -> float:
    """Return the masks a second over what was possible, median of the rounds.

    Args:
        rounds: The rounds.
        segmenter_ms: The bare segmenter's time in each.
        sent_hz: Frames a second of all cameras together.
    """
    return round(statistics.median(
        sum(map(len, one.latencies_ms)) / one.seconds / min(sent_hz, 1e3 / ms)
        for one, ms in zip(rounds, segmenter_ms)), 3)
