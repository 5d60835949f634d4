"""``enet-ros soak``: a node among its cameras for a long time.

Node and cameras are processes of their own. This one subscribes to every output, receives the
masks as a planner would, and lets one more subscriber come and go. The cameras say at their end
how many frames they sent, and the node says in ``/diagnostics`` what became of them.
"""

from __future__ import annotations

import re
import signal
import time
from dataclasses import dataclass

import numpy as np
import psutil
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from tqdm import tqdm

from enet_ros.bench.background_load import BackgroundLoad
from enet_ros.bench.baselines import PACKAGES
from enet_ros.bench.soak_report import CameraCounts, SoakReport, SoakSeries, failures_of
from enet_ros.machine import describe_machine
from enet_ros.network.resolution import check_resolution
from enet_ros.ros.outputs import OUTPUTS
from enet_ros.ros.qos import INPUT_QOS, OUTPUT_QOS, copy_of
from enet_ros.ros.receiver import Receiver
from enet_ros.ros.tools.observer import MaskObserver, observing
from enet_ros.ros.tools.processes import (
    Process,
    ProcessError,
    camera_names,
    check_all,
    isolate,
    start_cameras,
    stop_all,
    wait_until,
)

SAMPLE_SEC = 0.5
VISIT_SEC = 3.0      # a subscriber comes for so long, and is away for so long
QUIET_SEC = 20.0     # in which the last frames have to come through at the end
VISITED = ('overlay', 'labels/compressed', 'points')


@dataclass(frozen=True)
class Soak:
    """What is run.

    Attributes:
        minutes: How long, from the first mask on.
        cameras: Number of cameras, each a process of its own.
        rate_hz: Frames a second of each.
        resolution: (width, height) of the network, in pixels.
        camera_size: (width, height) of the frames; None takes the network's.
        precision: Parameter of the node.
        node: Name or path of the node's executable.
    """

    minutes: float = 30.0
    cameras: int = 1
    rate_hz: float = 30.0
    resolution: tuple[int, int] = (640, 360)
    camera_size: tuple[int, int] | None = None
    precision: str = 'auto'
    node: str = 'segment_node'

    @property
    def names(self) -> list[str]:
        """The names of the cameras, as in the node's parameter ``cameras``."""
        return camera_names(self.cameras)

    def size(self) -> tuple[int, int]:
        """Return the size of the frames."""
        return self.camera_size or self.resolution

    def command(self) -> str:
        """Return the command that repeats the soak."""
        words = ['enet-ros soak', f'--minutes {self.minutes:g}', f'--cameras {self.cameras}',
                 f'--rate {self.rate_hz:g}', f'--resolution {self.resolution[0]}x'
                 f'{self.resolution[1]}']
        if self.camera_size:
            words.append(f'--camera {self.camera_size[0]}x{self.camera_size[1]}')
        if self.precision != 'auto':
            words.append(f'--precision {self.precision}')
        return ' '.join(words)

    def check(self) -> None:
        """Check the options.

        Raises:
            ValueError: One of them is out of range.
        """
        for name, value, least, most in (
                ('minutes', self.minutes, 0.05, 1440.0), ('cameras', self.cameras, 1, 64),
                ('rate', self.rate_hz, 0.1, 1000.0)):
            if not least <= value <= most:
                raise ValueError(f'--{name} is {value}, wanted {least:g} to {most:g}')
        check_resolution(self.resolution)


@dataclass(frozen=True)
class Followed:
    """What was seen of a node over time.

    Attributes:
        series: Its memory, threads and masks.
        cpu_percent: CPU time of the node, in percent of one core.
        machine_percent: CPU time of all processes, in percent of all cores.
        visits: How often a subscriber came and went.
    """

    series: SoakSeries
    cpu_percent: float
    machine_percent: float
    visits: int


class SoakObserver(MaskObserver):
    """Subscribes to every output, and follows the counters of the node.

    Attributes:
        values: Camera -> the newest values of ``/diagnostics``.
    """

    def __init__(self, cameras: list[str]):
        """Subscribe.

        Args:
            cameras: Names of the cameras, as in the node's parameter.
        """
        self.values: dict[str, dict[str, str]] = {}
        self._visitor: Visitor | None = None
        super().__init__(cameras)
        others = [self.create_subscription(
                      output.message_type, f'{prefix}{output.name}', _ignore, copy_of(OUTPUT_QOS),
                      raw=True)
                  for prefix in self._prefixes.values() for output in OUTPUTS.values()
                  if output.name != 'drivable_mask']
        self._others = Receiver(self, [*others, self.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, copy_of(INPUT_QOS))])

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        values = [{pair.key: pair.value for pair in status.values} for status in message.status]
        if len(values) == len(self.masks) and all('received' in one for one in values):
            self.values = dict(zip(self.masks, values))

    def visit(self) -> Visitor:
        """Return one more subscriber, which is there until it or the observer is closed."""
        self._visitor = Visitor(self, self._prefixes.values())
        return self._visitor

    def close(self) -> None:
        """Stop receiving, a visitor too."""
        if self._visitor is not None:
            self._visitor.close()
        self._others.close()
        self._others.join()
        super().close()


class Visitor:
    """A subscriber of some outputs that comes while the node runs, and goes."""

    def __init__(self, node: Node, prefixes):
        """Subscribe on a node to the outputs VISITED behind each prefix."""
        self._node = node
        self._subscriptions = [
            node.create_subscription(OUTPUTS[name].message_type, f'{prefix}{name}', _ignore,
                                     copy_of(OUTPUT_QOS), raw=True)
            for prefix in prefixes for name in VISITED]
        self._receiver = Receiver(node, self._subscriptions)

    def close(self) -> None:
        """Go."""
        self._receiver.close()
        self._receiver.join()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


def _ignore(serialized: bytes) -> None:
    """Take a message that nobody looks at."""


def run_soak(options: Soak) -> tuple[SoakReport, SoakSeries]:
    """Run node and cameras, and measure.

    Raises:
        ValueError: An option is out of range.
        ProcessError: A process ended, or said nothing.
    """
    options.check()
    isolate()
    load = BackgroundLoad()
    with observing(SoakObserver, options.names) as observer:
        processes = [Process(options.node, *_node_parameters(options))]
        try:
            wait_until(lambda: observer.values, processes, 'the activation of the node')
            # They wait for the node before their first frames.
            processes += start_cameras(options.names, options.size(), options.rate_hz,
                                       'wait:=true')
            wait_until(observer.has_all, processes, 'the first mask')
            followed = _follow(options, observer, processes)
            counts = _count(options, observer, processes)
        finally:
            stop_all(processes)
        values = next(iter(observer.values.values()))
    series = followed.series
    latencies_ms = series.latency_ms if len(series.latency_ms) else [float('nan')]
    return SoakReport(
        str(describe_machine(*PACKAGES)), options.command(), values['backend'],
        values['precision'], list(options.resolution), list(options.size()), options.rate_hz,
        round(series.seconds / 60.0, 2), counts, _rounded(series.memory_mb()),
        _rounded(series.p99_ms()), round(float(np.median(latencies_ms)), 2),
        round(followed.cpu_percent, 1), followed.machine_percent, followed.visits,
        load.warning(), failures_of(counts, series)), series


def _rounded(pair: tuple[float, float]) -> tuple[float, float]:
    return round(pair[0], 2), round(pair[1], 2)


def _node_parameters(options: Soak) -> list[str]:
    width, height = options.resolution
    # At the end the cameras stop. A mask for that would be one more than there are frames.
    return ['stall_timeout:=0.0', f'resolution:=[{width}, {height}]',
            f'precision:={options.precision}', 'ground.pose:=parameters',
            f'diagnostics_period:={SAMPLE_SEC}',
            *([f'cameras:=[{", ".join(options.names)}]'] if options.cameras > 1 else ())]


def _follow(options: Soak, observer: SoakObserver,
            processes: list[Process]) -> Followed:
    """Look at the node until the time is over, while a subscriber comes and goes."""
    node, visitor, visits = psutil.Process(processes[0].pid), None, 0
    started, cpu_before = time.monotonic(), sum(node.cpu_times()[:2])
    psutil.cpu_percent()  # The next call counts from here.
    samples: list[tuple[float, float, int]] = []
    for index in tqdm(range(round(60.0 * options.minutes / SAMPLE_SEC)), desc='soaking',
                      disable=None):
        due = started + (index + 1) * SAMPLE_SEC
        time.sleep(max(0.0, due - time.monotonic()))
        check_all(processes)
        samples.append((time.monotonic() - started, node.memory_info().rss / 1e6,
                        node.num_threads()))
        is_here = int(samples[-1][0] / VISIT_SEC) % 2 == 1
        if is_here and visitor is None:
            visitor, visits = observer.visit(), visits + 1
        elif visitor is not None and not is_here:
            visitor.close()
            visitor = None
    if visitor is not None:
        visitor.close()
    seconds = time.monotonic() - started
    machine_percent = psutil.cpu_percent()
    cpu_percent = 100.0 * (sum(node.cpu_times()[:2]) - cpu_before) / seconds
    masks = sorted((arrival - started, latency_ms)
                   for masks in observer.masks.values() for arrival, latency_ms in masks
                   if 0.0 <= arrival - started <= seconds)
    series = SoakSeries(*map(list, zip(*samples)), [mask[0] for mask in masks],
                        [mask[1] for mask in masks])
    return Followed(series, cpu_percent, machine_percent, visits)


def _count(options: Soak, observer: SoakObserver,
           processes: list[Process]) -> list[CameraCounts]:
    """End the cameras, and count when no frame is on its way any more.

    Raises:
        ProcessError: A camera did not say how many frames it sent.
    """
    node, *cameras = processes
    for camera in cameras:
        camera.send(signal.SIGINT)
    sent = [_sent_by(camera) for camera in cameras]
    deadline, last = time.monotonic() + QUIET_SEC, None
    while time.monotonic() < deadline:
        time.sleep(2.5 * SAMPLE_SEC)
        node.check()
        counters = [_counters(values) for values in observer.values.values()]
        if counters == last and all(received == published + dropped
                                    for received, published, dropped in counters):
            break
        last = counters
    return [CameraCounts(name, frames, *_counters(observer.values[name]),
                         len(observer.masks[name]))
            for name, frames in zip(options.names, sent)]


def _counters(values: dict[str, str]) -> tuple[int, int, int]:
    return int(values['received']), int(values['published']), int(values['dropped'])


def _sent_by(camera: Process) -> int:
    """Return the number of frames that a camera says it sent, once it has ended.

    Raises:
        ProcessError: It says nothing of it.
    """
    camera.stop()
    said = re.findall(r'(\d+) frames sent', camera.tail())
    if not said:
        raise ProcessError(f'{camera.name} did not say how many frames it sent; it said:\n'
                           f'{camera.tail()}')
    return int(said[-1])
