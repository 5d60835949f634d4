"""``enet-ros bench --node``: camera, DDS, node and back, beside the bare segmenter.

Cameras and node are processes of their own; the masks are received here, as a planner would. The
bare segmenter is timed in this process before and after, when nothing else runs.
"""

from __future__ import annotations

import statistics
import struct
import time
from collections import defaultdict
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
from enet_ros.checkpoint import read_checkpoint, weights_path
from enet_ros.msg import FrameTiming
from enet_ros.ros.camera_stream import OUTPUT_QOS, copy_of
from enet_ros.ros.demo import START_LIMIT_SEC, Process, isolate, wait_until
from enet_ros.ros.receiver import Receiver
from enet_ros.segmenter import Segmenter, check_resolution

WARM_UP_SEC = 3.0
SEGMENTER_RUNS = 40
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
    """Receives the masks and the timing of every camera, at the least cost to the machine."""

    def __init__(self, names: list[str]):
        super().__init__('bench')
        self.latencies_ms: dict[str, list[float]] = defaultdict(list)
        self.timings: dict[str, list[FrameTiming]] = defaultdict(list)
        subscriptions = []
        for name in names:
            prefix = f'enet/{name}/' if name else 'enet/'
            subscriptions += [
                self.create_subscription(
                    Image, f'{prefix}drivable_mask', partial(self._on_mask, name),
                    copy_of(OUTPUT_QOS), raw=True),
                self.create_subscription(FrameTiming, f'{prefix}timing',
                                         self.timings[name].append, copy_of(OUTPUT_QOS))]
        self._receiver = Receiver(self, subscriptions)

    def _on_mask(self, name: str, serialized: bytes) -> None:
        now = self.get_clock().now().nanoseconds
        self.latencies_ms[name].append((now - stamp_ns(serialized)) / 1e6)

    def forget(self) -> None:
        """Start anew."""
        for values in (*self.latencies_ms.values(), *self.timings.values()):
            values.clear()

    def close(self) -> None:
        """Stop receiving."""
        self._receiver.close()
        self.destroy_node()


def stamp_ns(serialized: bytes) -> int:
    """Read the stamp of a serialised message that begins with a header (CDR, 4 bytes of which
    say the byte order first)."""
    seconds, nanoseconds = struct.unpack_from('<iI' if serialized[1] & 1 else '>iI', serialized, 4)
    return seconds * 10**9 + nanoseconds


def bench_node(options: NodeBench) -> dict:
    """Run cameras and node, and measure.

    Args:
        options: what is run.

    Returns:
        'fps' (of all cameras together), 'fps_each', 'latency_ms' {'p50', 'p95', 'p99', 'max'} from
        camera stamp to mask received, 'segmenter_ms' (median of the bare segmenter),
        'overhead_ratio' (p50 over it), 'published_share' (of what cameras send or the bare
        segmenter could do, whichever is less), 'dropped', 'stages_ms' (medians of ~/timing),
        'cpu_percent' (of a core), 'rss_mb', 'rss_growth_mb' of the node, 'start_sec' from process
        start to the first mask, 'machine', and 'busy': a sentence where other processes kept the
        cores busy.

    Raises:
        ValueError: a bad option, or weights that cannot be used.
        DemoError: a process ended or said nothing.
    """
    workload = _checked(options)
    segmenter = Segmenter(workload.checkpoint, workload.resolution, 'auto', options.precision,
                          options.threads)
    isolate()
    load = OtherLoad()
    bare_ms = _segmenter_ms(segmenter, workload)
    measured = _measure(options, workload.camera)
    bare_ms += _segmenter_ms(segmenter, workload)
    return {
        'machine': describe_machine(), 'backend': segmenter.backend.name,
        'precision': segmenter.backend.precision, 'resolution': list(workload.resolution),
        'camera': list(workload.camera), 'cameras': options.cameras, 'rate_hz': options.rate_hz,
        **_figures(options, statistics.median(bare_ms), measured),
        'busy': load.sentence() if load.is_high() else ''}


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


def _segmenter_ms(segmenter: Segmenter, workload: Workload) -> list[float]:
    """Time the bare segmenter, alone."""
    seconds = alternate({'segmenter': lambda: segmenter.segment(workload.frames)}, SEGMENTER_RUNS)
    return list(1e3 * seconds['segmenter'])


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
class Measured:
    """What was seen while node and cameras ran.

    Attributes:
        latencies_ms: of every mask, a list a camera.
        timings: of every frame, a list a camera.
        seconds: how long that took.
        cpu_percent: of a core, by the node.
        rss_mb: of the node, at the beginning and at the end.
        start_sec: from process start to the first mask.
    """

    latencies_ms: list[list[float]]
    timings: list[list[FrameTiming]]
    seconds: float
    cpu_percent: float
    rss_mb: tuple[float, float]
    start_sec: float


def _measure(options: NodeBench, camera: tuple[int, int]) -> Measured:
    """Run node and cameras and receive the masks.

    Raises:
        DemoError: a process ended or said nothing.
    """
    rclpy.init()
    watcher = MaskWatcher(options.names)
    processes, started = _start(options, camera), time.monotonic()
    try:
        wait_until(lambda: all(watcher.latencies_ms[name] for name in options.names),
                   processes, START_LIMIT_SEC, 'the first mask')
        start_sec = time.monotonic() - started
        _wait(processes, WARM_UP_SEC, 'warming up')
        watcher.forget()
        node = psutil.Process(processes[0].pid)
        rss, cpu, began = node.memory_info().rss, sum(node.cpu_times()[:2]), time.monotonic()
        _wait(processes, options.duration_sec, 'measuring')
        seconds = time.monotonic() - began
        return Measured(
            list(watcher.latencies_ms.values()), list(watcher.timings.values()), seconds,
            100 * (sum(node.cpu_times()[:2]) - cpu) / seconds,
            (rss / 1e6, node.memory_info().rss / 1e6), start_sec)
    finally:
        for process in processes:
            process.stop()
        watcher.close()
        rclpy.try_shutdown()


def _wait(processes: list[Process], seconds: float, what: str) -> None:
    """Let the masks come for a while, with a progress bar."""
    end = time.monotonic() + seconds
    with tqdm(total=round(seconds), unit='s', desc=what, disable=None) as bar:
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            bar.update(1)
            for process in processes:
                process.check()


def _figures(options: NodeBench, segmenter_ms: float, measured: Measured) -> dict:
    """Sum up; see :func:`bench_node`."""
    latencies = np.concatenate([np.array(one) for one in measured.latencies_ms])
    counts = [len(one) for one in measured.latencies_ms]
    possible = min(options.rate_hz * options.cameras, 1e3 / segmenter_ms)
    timings = [timing for one in measured.timings for timing in one]
    quantiles = {f'p{q}': round(float(np.percentile(latencies, q)), 2) for q in (50, 95, 99)}
    return {
        'fps': round(len(latencies) / measured.seconds, 2),
        'fps_each': [round(count / measured.seconds, 2) for count in counts],
        'latency_ms': {**quantiles, 'max': round(float(latencies.max()), 2)},
        'segmenter_ms': round(segmenter_ms, 2),
        'overhead_ratio': round(quantiles['p50'] / segmenter_ms, 3),
        'published_share': round(len(latencies) / measured.seconds / possible, 3),
        'dropped': sum(one[-1].dropped - one[0].dropped for one in measured.timings if one),
        'stages_ms': {stage.removesuffix('_ms'): round(statistics.median(
            getattr(timing, stage) for timing in timings), 2) for stage in STAGES},
        'cpu_percent': round(measured.cpu_percent, 1), 'rss_mb': round(measured.rss_mb[1], 1),
        'rss_growth_mb': round(measured.rss_mb[1] - measured.rss_mb[0], 1),
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
        f'of what was sent or the bare segmenter could do, {result["dropped"]} dropped',
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
