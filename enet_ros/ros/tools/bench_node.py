"""``enet-ros bench --node``: camera, DDS, node and back, beside the bare segmenter.

Cameras and node are processes of their own; the masks are received here, as a planner would.
Before and after each turn the cameras are halted, the node has nothing to do, and the bare
segmenter is timed here: so both see the machine as it is just then, which on a shared one changes.
It is timed once more with the node halted instead: what the cameras cost is not the node's doing.
"""

from __future__ import annotations

import signal
import statistics
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import psutil
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image
from tqdm import tqdm

from enet_ros.bench.machine import OtherLoad, describe_machine, machine_line
from enet_ros.bench.peers import Workload
from enet_ros.bench.timing import alternate
from enet_ros.msg import FrameTiming
from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.perception.segmenter import Segmenter, check_resolution
from enet_ros.ros.cdr import read_stamp_ns
from enet_ros.ros.qos import INPUT_QOS, OUTPUT_QOS, copy_of
from enet_ros.ros.receiver import Receiver
from enet_ros.ros.tools.demo import START_LIMIT_SEC, DemoError, Process, isolate, wait_until

WARM_UP_SEC = 2.0
STAGES_SEC = 0.5     # after each turn: the node's own account, which costs it a message a frame
TURN_SEC = 1.5       # a shared machine changes its speed every few seconds
PAUSE_SEC = 0.3
SEGMENTER_RUNS = 10  # before each turn, and after it
PRELOADED_FRAMES = 8
STAGES = ('age_at_receive_ms', 'wait_ms', 'preprocess_ms', 'inference_ms', 'postprocess_ms',
          'publish_ms')


@dataclass(frozen=True)
class NodeBench:
    """What is run.

    Attributes:
        resolution: (width, height) of the network.
        camera: (width, height) of the frames; None for the network's.
        rate_hz: of each camera.
        cameras: how many.
        duration_sec: after a warm-up.
        weights, precision, threads: as the node's parameters.
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
        """Of the cameras, as in the node's parameter."""
        return [''] if self.cameras == 1 else [f'cam{i}' for i in range(self.cameras)]


class MaskWatcher(Node):
    """Receives the masks of every camera, as a planner would, at the least cost to the machine."""

    def __init__(self, names: list[str]):
        super().__init__('bench')
        self._prefixes = {name: f'enet/{name}/' if name else 'enet/' for name in names}
        self.latencies_ms: dict[str, list[float]] = {name: [] for name in names}
        self._receiver = Receiver(self, [
            self.create_subscription(Image, f'{prefix}drivable_mask', partial(self._on_mask, name),
                                     copy_of(INPUT_QOS), raw=True)
            for name, prefix in self._prefixes.items()])

    def _on_mask(self, name: str, serialized: bytes) -> None:
        now = self.get_clock().now().nanoseconds
        self.latencies_ms[name].append((now - read_stamp_ns(serialized)) / 1e6)

    def forget(self) -> None:
        """Start anew."""
        for values in self.latencies_ms.values():
            values.clear()

    def timings(self, seconds: float) -> list[list[FrameTiming]]:
        """Receive what the node says of its frames for a while; return a list a camera."""
        found: list[list[FrameTiming]] = [[] for _ in self._prefixes]
        subscriptions = [
            self.create_subscription(FrameTiming, f'{prefix}timing', one.append,
                                     copy_of(OUTPUT_QOS))
            for prefix, one in zip(self._prefixes.values(), found)]
        receiver = Receiver(self, subscriptions)
        time.sleep(seconds)
        receiver.close()
        for subscription in subscriptions:
            self.destroy_subscription(subscription)
        return found

    def close(self) -> None:
        """Stop receiving."""
        self._receiver.close()
        self.destroy_node()


def bench_node(options: NodeBench) -> dict:
    """Run cameras and node, and measure.

    Args:
        options: what is run.

    Returns:
        'fps' (of all cameras together), 'fps_each', 'latency_ms' {'p50', 'p95', 'p99', 'max'} from
        camera stamp to mask received, 'segmenter_ms' (median of the bare segmenter),
        'overhead_ratio' (p50 over that, median of the turns), 'published_share' (of what cameras
        send or the bare segmenter could do, whichever is less, likewise),
        'published_share_beside_cameras' (the same with a bare segmenter that shares the machine
        with the cameras), 'dropped' (since the start), 'stages_ms' (medians of ~/timing, after the
        turns), 'cpu_percent' (of a core), 'rss_mb', 'rss_growth_mb' of the node, 'start_sec' from
        process start to the first mask, 'machine', and 'busy': a sentence where other processes
        kept the cores busy.

    Raises:
        ValueError: a bad option, or weights that cannot be used.
        DemoError: a process ended or said nothing.
    """
    workload = _checked(options)
    segmenter = Segmenter(workload.checkpoint, workload.resolution, 'auto', options.precision,
                          options.threads)
    isolate()
    load = OtherLoad()
    measured = _measure(options, workload, segmenter)
    return {
        'machine': describe_machine(), 'backend': segmenter.backend.name,
        'precision': segmenter.backend.precision, 'resolution': list(workload.resolution),
        'camera': list(workload.camera), 'cameras': options.cameras, 'rate_hz': options.rate_hz,
        **_figures(options, measured), 'busy': load.sentence() if load.is_high() else ''}


def _checked(options: NodeBench) -> Workload:
    """Return what the bare segmenter has to do.

    Raises:
        ValueError: an option out of range, or weights that cannot be used.
    """
    if not 0.1 <= options.rate_hz <= 1000.0:
        raise ValueError(f'--rate is {options.rate_hz}, wanted 0.1 to 1000 frames a second')
    if not 1.0 <= options.duration_sec <= 3600.0:
        raise ValueError(f'--duration is {options.duration_sec}, wanted 1 to 3600 seconds')
    resolution = check_resolution(options.resolution)
    return Workload(read_checkpoint(weights_path(options.weights)), resolution,
                    options.camera or resolution, threads=options.threads)


def _segmenter_ms(segmenter: Segmenter, workload: Workload) -> float:
    """Return the median of some runs of the bare segmenter."""
    seconds = alternate({'segmenter': lambda: segmenter.segment(workload.frames)}, SEGMENTER_RUNS)
    return 1e3 * float(np.median(seconds['segmenter']))


def _start(options: NodeBench, camera: tuple[int, int]) -> list[Process]:
    """Start the node and a process a camera; each camera holds its frames ready."""
    width, height = options.resolution
    node = [f'resolution:=[{width}, {height}]', f'precision:={options.precision}',
            f'threads:={options.threads}', f"weights:='{options.weights}'"]
    if options.cameras > 1:
        node.append(f'cameras:=[{", ".join(options.names)}]')
    processes = [Process('segment_node', *node)]
    for index, name in enumerate(options.names):
        remap = [f'{topic}:={name}/{topic}' for topic in ('image', 'camera_info') if name]
        processes.append(Process(
            'replay_camera', f'width:={camera[0]}', f'height:={camera[1]}', f'seed:={index}',
            f'rate:={options.rate_hz}', f'preload:={PRELOADED_FRAMES}',
            remap=[f'__node:=camera{index}', *remap]))
    return processes


@dataclass
class Turn:
    """What was seen in one turn: node and cameras, and before and after it the bare segmenter.

    Attributes:
        bare_ms: of the bare segmenter, the mean of the medians before and after.
        beside_ms: the same while the cameras run and the node is halted.
        latencies_ms: of every mask, a list a camera.
        timings: of the frames just after them, likewise.
        seconds: how long node and cameras ran.
        cpu_sec: what the node took of that.
        rss_mb: of the node at the end.
    """

    bare_ms: float
    beside_ms: float
    latencies_ms: list[list[float]]
    timings: list[list[FrameTiming]]
    seconds: float
    cpu_sec: float
    rss_mb: float


@dataclass
class Measured:
    """All turns, and the seconds from process start to the first mask."""

    turns: list[Turn]
    start_sec: float


def _measure(options: NodeBench, workload: Workload, segmenter: Segmenter) -> Measured:
    """Run node and cameras and receive the masks, in turns with the bare segmenter.

    Raises:
        DemoError: a process ended or said nothing.
    """
    rclpy.init()
    watcher = MaskWatcher(options.names)
    processes, started = _start(options, workload.camera), time.monotonic()
    try:
        wait_until(lambda: all(watcher.latencies_ms[name] for name in options.names),
                   processes, START_LIMIT_SEC, 'the first mask')
        start_sec = time.monotonic() - started
        time.sleep(WARM_UP_SEC)
        two_frames_sec = 2 / options.rate_hz
        count = max(1, round(options.duration_sec / max(TURN_SEC, two_frames_sec)))
        turns = [_turn(max(options.duration_sec / count, two_frames_sec),
                       max(STAGES_SEC, two_frames_sec), watcher, processes, segmenter, workload)
                 for _ in tqdm(range(count), unit='turn', desc='measuring', disable=None)]
        return Measured(turns, start_sec)
    finally:
        for process in processes:
            process.send(signal.SIGCONT)
            process.stop()
        watcher.close()
        rclpy.try_shutdown()


def _turn(seconds: float, stages_sec: float, watcher: MaskWatcher, processes: list[Process],
          segmenter: Segmenter, workload: Workload) -> Turn:
    """Let node and cameras run, and time the bare segmenter before and after."""
    node, *cameras = processes
    bare_before_ms = _timed_while_halted(cameras, segmenter, workload)
    time.sleep(PAUSE_SEC)
    process = psutil.Process(node.pid)
    watcher.forget()
    cpu, began = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    elapsed, cpu = time.monotonic() - began, sum(process.cpu_times()[:2]) - cpu
    latencies_ms = [list(one) for one in watcher.latencies_ms.values()]
    timings = watcher.timings(stages_sec)
    for one in processes:
        one.check()
    if not all((*latencies_ms, *timings)):
        raise DemoError(f'no mask or no timing came of a camera within {elapsed:.1f} s; the node '
                        f'said:\n{node.tail()}')
    beside_ms = _timed_while_halted([node], segmenter, workload)
    bare_after_ms = _timed_while_halted(cameras, segmenter, workload)
    return Turn((bare_before_ms + bare_after_ms) / 2, beside_ms, latencies_ms, timings, elapsed,
                cpu, process.memory_info().rss / 1e6)


def _timed_while_halted(processes: list[Process], segmenter: Segmenter,
                        workload: Workload) -> float:
    """Time the bare segmenter, milliseconds, while some processes are halted."""
    for process in processes:
        process.send(signal.SIGSTOP)
    time.sleep(PAUSE_SEC)  # for the frame in hand
    median_ms = _segmenter_ms(segmenter, workload)
    for process in processes:
        process.send(signal.SIGCONT)
    return median_ms


def _figures(options: NodeBench, measured: Measured) -> dict:
    """Sum up; see :func:`bench_node`."""
    turns = measured.turns
    latencies = [ms for turn in turns for one in turn.latencies_ms for ms in one]
    timings = [timing for turn in turns for one in turn.timings for timing in one]
    seconds, sent_hz = sum(turn.seconds for turn in turns), options.rate_hz * options.cameras
    each = [sum(len(turn.latencies_ms[i]) for turn in turns) for i in range(options.cameras)]
    bare = [turn.bare_ms for turn in turns]
    p50 = [float(np.median(np.concatenate(turn.latencies_ms))) for turn in turns]
    rates = [sum(map(len, turn.latencies_ms)) / turn.seconds for turn in turns]

    def share(possible_ms: list[float]) -> float:
        return round(statistics.median(rate / min(sent_hz, 1e3 / ms)
                                       for rate, ms in zip(rates, possible_ms)), 3)

    return {
        'fps': round(sum(each) / seconds, 2),
        'fps_each': [round(count / seconds, 2) for count in each],
        'latency_ms': {**{f'p{q}': round(float(np.percentile(latencies, q)), 2)
                          for q in (50, 95, 99)}, 'max': round(max(latencies), 2)},
        'segmenter_ms': round(statistics.median(bare), 2),
        'overhead_ratio': round(statistics.median(a / b for a, b in zip(p50, bare)), 3),
        'published_share': share(bare),
        'published_share_beside_cameras': share([turn.beside_ms for turn in turns]),
        'dropped': sum({timing.camera: timing.dropped for timing in timings}.values()),
        'stages_ms': {stage.removesuffix('_ms'): round(float(np.median(
            [getattr(timing, stage) for timing in timings])), 2) for stage in STAGES},
        'cpu_percent': round(100 * sum(turn.cpu_sec for turn in turns) / seconds, 1),
        'rss_mb': round(turns[-1].rss_mb, 1),
        'rss_growth_mb': round(turns[-1].rss_mb - turns[0].rss_mb, 1),
        'start_sec': round(measured.start_sec, 2)}


def format_node(result: dict) -> str:
    """Lay out what :func:`bench_node` returns."""
    latency, width, height = result['latency_ms'], *result['resolution']
    stages = ', '.join(f'{name} {value:.1f}' for name, value in result['stages_ms'].items())
    lines = [
        f'{machine_line(result["machine"])}; {result["backend"]} {result["precision"]}, network '
        f'{width}x{height}, camera {result["camera"][0]}x{result["camera"][1]}, '
        f'{result["cameras"]} at {result["rate_hz"]:g} Hz',
        f'masks           {result["fps"]:.1f} a second, {100 * result["published_share"]:.0f} % '
        f'of what was sent or the bare segmenter could do alone '
        f'({100 * result["published_share_beside_cameras"]:.0f} % beside the cameras), '
        f'{result["dropped"]} dropped',
        f'latency         p50 {latency["p50"]:.1f}, p95 {latency["p95"]:.1f}, '
        f'p99 {latency["p99"]:.1f} ms from camera stamp to mask received',
        f'bare segmenter  {result["segmenter_ms"]:.1f} ms: p50 is '
        f'{result["overhead_ratio"]:.2f} times that',
        f'stages          {stages} ms (medians)',
        f'node            {result["cpu_percent"]:.0f} % of a core, {result["rss_mb"]:.0f} MB, '
        f'{result["rss_growth_mb"]:+.1f} MB meanwhile; first mask after '
        f'{result["start_sec"]:.1f} s']
    if result['busy']:
        lines.append(f'not to be trusted: {result["busy"]}. Leave the machine alone and repeat.')
    return '\n'.join(lines)
