"""The demo: a camera and the node as processes of their own, watched from a third.

Started by ``make demo``; writes overlay.png, overlay.mp4 and report.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import rclpy
from ament_index_python import get_package_prefix
from rclpy.executors import SingleThreadedExecutor
from tqdm import tqdm

from enet_ros.media import SourceError, VideoWriter, existing, write_picture
from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.perception.grid import GridSpec
from enet_ros.perception.overlay import birds_eye, with_legend
from enet_ros.ros.tools.observer import Record, Watcher
from enet_ros.scene.road_scene import RoadScene

RATE_HZ = 15.0
START_LIMIT_SEC = 120.0  # a first start compiles the network


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why."""


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog='make demo', description=__doc__)
    parser.add_argument('--source', default='drawn', help='drawn, a video, a picture or a folder')
    parser.add_argument('--duration', type=float, default=20.0, help='seconds to watch')
    parser.add_argument('--out', type=Path, default=Path('demo_out'), help='folder to write to')
    arguments = parser.parse_args(argv)
    if not 0.5 <= arguments.duration <= 36000:
        parser.error(f'DURATION is {arguments.duration}, wanted 0.5 to 36000 seconds')
    return arguments


class Process:
    """A child with its output in a file, ended by SIGINT as from a keyboard."""

    def __init__(self, name: str, *parameters: str, remap: Sequence[str] = ()):
        """Start an executable with ``name:=value`` parameters and ``from:=to`` remappings."""
        self.name = name
        self._log = tempfile.TemporaryFile('w+')
        arguments = [word for parameter in parameters for word in ('-p', parameter)]
        arguments += [word for rule in remap for word in ('-r', rule)]
        path = Path(get_package_prefix('enet_ros'), 'lib', 'enet_ros', name)
        self._process = subprocess.Popen([path, '--ros-args', *arguments], stdout=self._log,
                                         stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def check(self) -> None:
        """Raise if the process has ended by itself."""
        code = self._process.poll()
        if code is not None:
            raise DemoError(f'{self.name} ended with exit code {code}; it said:\n{self.tail()}')

    def tail(self) -> str:
        """Return the last lines of its output."""
        self._log.seek(0)
        return ''.join(self._log.readlines()[-20:]).rstrip()

    def stop(self) -> None:
        """Ask it to end, and make sure that it does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()


def isolate() -> None:
    """Take a ROS domain of our own, unless the user chose one: demos may run side by side."""
    if 'ROS_DOMAIN_ID' not in os.environ:
        os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
        print('to look with tools of your own: export '
              f'ROS_DOMAIN_ID={os.environ["ROS_DOMAIN_ID"]}')


def start_processes(source: str) -> list[Process]:
    """Start node and camera; of the drawn one it is known where it is above the ground."""
    pose = []
    if source == 'drawn':
        camera = RoadScene().camera
        pose = ['ground.pose:=parameters', f'ground.height:={float(camera.height_m)}',
                f'ground.pitch:={float(camera.pitch_rad)}']
    else:
        source = str(existing(source).resolve())
    return [Process('segment_node', *pose),
            Process('replay_camera', f"source:='{source}'", f'rate:={RATE_HZ}', 'loop:=true')]


def wait_until(done: Callable[[], object], processes: list[Process], limit_sec: float, what: str,
               each: Callable[[], object] = lambda: time.sleep(0.02)) -> None:
    """Wait until ``done()``, at most ``limit_sec``.

    Args:
        done: tells whether it has come.
        processes: that have to live meanwhile.
        limit_sec: seconds.
        what: is waited for, in words.
        each: called between looks, such as spinning an executor once.

    Raises:
        DemoError: a process ended, or time ran out.
    """
    deadline = time.monotonic() + limit_sec
    while not done():
        each()
        for process in processes:
            process.check()
        if time.monotonic() > deadline:
            said = '\n'.join(f'{process.name}: {process.tail()}' for process in processes)
            raise DemoError(f'{what} did not come within {limit_sec:.0f} s\n{said}')


def watch(watcher: Watcher, processes: list[Process], duration_sec: float) -> None:
    """Spin for the duration after the first mask, with a progress bar."""
    executor = SingleThreadedExecutor()
    executor.add_node(watcher)
    print('starting node and camera (a first start compiles the network) ...', flush=True)
    wait_until(lambda: watcher.record.masks and watcher.record.timing, processes,
               START_LIMIT_SEC, 'the first mask', lambda: executor.spin_once(timeout_sec=0.1))
    end = time.monotonic() + duration_sec
    record = watcher.record
    with tqdm(total=duration_sec, unit='s', bar_format='{l_bar}{bar}| {n:.0f}/{total:.0f} s'
              '{postfix}') as bar:
        while (left := end - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=min(left, 0.1))
            for process in processes:
                process.check()
            if duration_sec - left - bar.n >= 0.5:
                bar.set_postfix_str(f' {record.fps():.1f} frames/s, '
                                    f'{record.latencies_ms[-1]:.0f} ms')
                bar.update(duration_sec - left - bar.n)
    if time.monotonic() - record.last > 2.0:
        raise DemoError(f'no mask came for {time.monotonic() - record.last:.1f} s\n'
                        + '\n'.join(process.tail() for process in processes))


def report_of(record: Record, source: str, resolution: tuple[int, int]) -> dict:
    """Return what report.json says.

    Counted are the frames that were done with between the first and the last mask: each was
    either published or dropped.
    """
    first, last = record.first_timing, record.timing
    published = last.published - first.published + 1
    dropped = last.dropped - first.dropped
    return {
        'source': source, 'backend': last.backend, 'precision': last.precision,
        'resolution': list(resolution),
        'frames_in': published + dropped, 'frames_out': published, 'dropped': dropped,
        'fps': round(record.fps(), 2), 'latency_ms': record.latency_ms(),
        'road_iou': record.road.iou(), 'drivable_iou_metres': record.metres.iou(),
    }


def run(arguments: argparse.Namespace) -> None:
    """Run the demo and write its files.

    Raises:
        DemoError, SourceError, OSError: it cannot; the message says why.
    """
    arguments.out.mkdir(parents=True, exist_ok=True)
    class_map = read_checkpoint(weights_path('')).class_map
    isolate()
    processes = start_processes(arguments.source)
    video = VideoWriter(arguments.out / 'overlay.mp4', RATE_HZ)
    rclpy.init()
    watcher = Watcher()
    has_ground = arguments.source == 'drawn'

    def write_frame(overlay: np.ndarray) -> None:
        if not has_ground or watcher.record.grid is not None:  # all frames of a video are alike
            video.write(picture_of(watcher.record))

    watcher.on_overlay = write_frame
    try:
        watch(watcher, processes, arguments.duration)
    finally:
        for process in processes:
            process.stop()
        video.close()
        watcher.destroy_node()
        rclpy.try_shutdown()
    report = report_of(watcher.record, arguments.source, (640, 360))
    write_picture(arguments.out / 'overlay.png',
                  with_legend(picture_of(watcher.record), class_map))
    (arguments.out / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
    print_summary(report, arguments.out)


def picture_of(record: Record) -> np.ndarray:
    """Return the last overlay, and beside it the ground from above where it is known."""
    if record.grid is None:
        return record.overlay
    height = record.overlay.shape[0]
    return np.hstack((record.overlay, birds_eye(record.grid, GridSpec().resolution_m, height)))


def print_summary(report: dict, out: Path) -> None:
    """Print the figures, and where the pictures are."""
    latency = report['latency_ms']
    iou, metres = report['road_iou'], report['drivable_iou_metres']
    print(f'{report["backend"]} {report["precision"]}: {report["fps"]} frames/s, latency '
          f'p50 {latency["p50"]} ms, p95 {latency["p95"]} ms, {report["dropped"]} dropped'
          + ('' if iou is None else f', road IoU {iou:.3f}')
          + ('' if metres is None else f', in metres {metres:.3f}'))
    print(f'picture: {out / "overlay.png"}\nvideo:   {out / "overlay.mp4"}\n'
          f'report:  {out / "report.json"}')


def main(argv: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    arguments = parse_arguments(argv)
    try:
        run(arguments)
    except (DemoError, SourceError, OSError) as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('demo: stopped', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
