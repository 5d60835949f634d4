"""The demo: a camera and the node as processes of their own, observed from a third process.

``make demo`` starts it. It writes overlay.png, overlay.mp4 and report.json into a folder. Files of
another folder than demo_out are replaced only with FORCE=1.

  make demo SOURCE=drive.mp4 DURATION=10 OUT=demo_out_drive WEIGHTS=enet_road FORCE=1
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import rclpy
from ament_index_python import get_package_prefix
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from enet_ros.cli.options import add_force
from enet_ros.common.child import tied_to_parent
from enet_ros.common.overwrite import check_absent
from enet_ros.common.signals import stops_as_ctrl_c
from enet_ros.media import SourceError, VideoWriter, existing, write_image
from enet_ros.network.checkpoint import CheckpointError, read_checkpoint, weights_path
from enet_ros.network.class_map import ClassMap, ClassMapError
from enet_ros.perception.overlay import birds_eye, with_legend
from enet_ros.perception.parameters.settings import GridSettings
from enet_ros.ros.tools.observer import DemoObserver, Record
from enet_ros.ros.tools.processes import (
    Process,
    ProcessError,
    check_all,
    isolate,
    stop_all,
    wait_until,
)
from enet_ros.scene.road_scene import RoadScene

RATE_HZ = 15.0
MASK_TIMEOUT_SEC = 2.0
BAR_STEP_SEC = 0.5
BAR_FORMAT = '{l_bar}{bar}| {n:.0f}/{total:.0f} s{postfix}'


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog='make demo', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--source', default='drawn',
                        help='what the camera shows: drawn (the synthetic street), a video, an '
                             'image or a folder of images (default: drawn)')
    parser.add_argument('--duration', type=float, default=20.0,
                        help='seconds to observe (default: 20)')
    parser.add_argument('--out', type=Path, default=Path('demo_out'),
                        help='folder to write to (default: demo_out)')
    parser.add_argument('--weights', default='', metavar='W',
                        help='weights of the node: a file, or the name of some that ship, such '
                             'as enet_road (default: enet_camvid)')
    parser.add_argument('--view', action='store_true',
                        help='show the node in a browser meanwhile (make demo VIEW=1)')
    add_force(parser)
    arguments = parser.parse_args(argv)
    if not 0.5 <= arguments.duration <= 36000:
        parser.error(f'DURATION is {arguments.duration}, wanted 0.5 to 36000 seconds')
    return arguments


def start_processes(source: str, weights: Path) -> list[Process]:
    """Start node and camera. The pose of the synthetic street's camera is known to the node."""
    pose = []
    if source == 'drawn':
        camera = RoadScene().camera
        pose = ['ground.pose:=parameters', f'ground.height:={float(camera.height_m)}',
                f'ground.pitch:={float(camera.pitch_rad)}']
    else:
        source = str(existing(source).resolve())
    return [Process('segment_node', f"weights:='{weights.resolve()}'", *pose),
            Process('replay_camera', f"source:='{source}'", f'rate:={RATE_HZ}', 'loop:=true')]


def observe(observer: DemoObserver, processes: list[Process], duration_sec: float) -> None:
    """Spin for the duration after the first mask, with a progress bar.

    Raises:
        ProcessError: A process ended, or masks ceased to come.
    """
    executor = SingleThreadedExecutor()
    executor.add_node(observer)
    record = observer.record
    print('starting node and camera (a first start compiles the network) ...', flush=True)
    wait_until(lambda: record.masks and record.timing, processes, 'the first mask',
               lambda: executor.spin_once(timeout_sec=0.1))
    end = time.monotonic() + duration_sec
    with tqdm(total=duration_sec, unit='s', bar_format=BAR_FORMAT) as bar:
        while (left := end - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=min(left, 0.1))
            check_all(processes)
            if duration_sec - left - bar.n >= BAR_STEP_SEC:
                bar.set_postfix_str(f' {record.fps():.1f} frames/s, '
                                    f'{record.latencies_ms[-1]:.0f} ms')
                bar.update(duration_sec - left - bar.n)
    silence_sec = time.monotonic() - record.last_mask
    if silence_sec > MASK_TIMEOUT_SEC:
        raise ProcessError(f'no mask came for {silence_sec:.1f} s\n'
                           + '\n'.join(process.tail() for process in processes))


@dataclass(frozen=True)
class Report:
    """The content of report.json.

    Frames count between the first mask and the last. Each was either published or dropped.

    Attributes:
        source: What the camera showed.
        backend, precision: What ran the network.
        resolution: (width, height) of the network, in pixels.
        frames_in: frames_out and dropped together.
        frames_out: Number of frames published.
        dropped: Number of frames dropped.
        fps: Masks a second.
        latency_ms: Percentiles of the time from camera stamp to mask received.
        road_iou: IoU of the road in the image, or None where the truth is not known.
        drivable_iou_metres: IoU of the drivable ground in meters, or None likewise.
    """

    source: str
    backend: str
    precision: str
    resolution: list[int]
    frames_in: int
    frames_out: int
    dropped: int
    fps: float
    latency_ms: dict[str, float]
    road_iou: float | None
    drivable_iou_metres: float | None


def report_of(record: Record, source: str, resolution: tuple[int, int]) -> Report:
    """Sum up what was observed."""
    first, last = record.first_timing, record.timing
    published = last.published - first.published + 1
    dropped = last.dropped - first.dropped
    return Report(
        source=source, backend=last.backend, precision=last.precision,
        resolution=list(resolution), frames_in=published + dropped, frames_out=published,
        dropped=dropped, fps=round(record.fps(), 2), latency_ms=record.latency_ms(),
        road_iou=_rounded(record.road.iou()), drivable_iou_metres=_rounded(record.meters.iou()))


def _rounded(iou: float | None) -> float | None:
    return None if iou is None else round(iou, 4)


def run(arguments: argparse.Namespace) -> None:
    """Run the demo and write its files.

    Raises:
        ProcessError, SourceError, CheckpointError, ClassMapError, OSError: The demo cannot go on;
            the message says why.
    """
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    files = {name: out / name for name in ('overlay.mp4', 'overlay.png', 'report.json')}
    check_absent(files.values(), force=arguments.force, option='FORCE=1 (--force)')
    weights = weights_path(arguments.weights)
    class_map = read_checkpoint(weights).class_map
    isolate()
    with viewer() if arguments.view else nullcontext():
        record = observe_demo(arguments, weights, class_map.checked(need_drivable=True))
    report = report_of(record, arguments.source, (640, 360))
    write_image(files['overlay.png'], with_legend(image_of(record), class_map))
    files['report.json'].write_text(json.dumps(asdict(report), indent=2) + '\n')
    print_summary(report, out)


@contextmanager
def viewer() -> Iterator[None]:
    """Run enet-ros view, which prints the URL to open, until the end of the block."""
    program = Path(get_package_prefix('enet_ros'), 'lib', 'enet_ros', 'enet-ros')
    process = subprocess.Popen(tied_to_parent([program, 'view', '--show', 'all'],
                                              signal.SIGTERM), start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def observe_demo(arguments: argparse.Namespace, weights: Path, class_map: ClassMap) -> Record:
    """Run node and camera, record a video of the overlays, and return what was observed."""
    processes = start_processes(arguments.source, weights)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    observer = DemoObserver(road_id=class_map.drivable.index(True))
    has_ground = arguments.source == 'drawn'

    def write_frame(overlay: np.ndarray) -> None:
        # All frames of a video have one size, so the first one waits for the ground.
        if not has_ground or observer.record.grid is not None:
            video.write(image_of(observer.record))

    video = VideoWriter(arguments.out / 'overlay.mp4', RATE_HZ)
    observer.on_overlay = write_frame
    try:
        with video:
            observe(observer, processes, arguments.duration)
    finally:
        stop_all(processes)
        observer.destroy_node()
        rclpy.try_shutdown()
    return observer.record


def image_of(record: Record) -> np.ndarray:
    """Return the last overlay, and beside it the ground from above where that is known."""
    if record.grid is None:
        return record.overlay
    height = record.overlay.shape[0]
    return np.hstack((record.overlay, birds_eye(record.grid, GridSettings().resolution, height)))


def print_summary(report: Report, out: Path) -> None:
    """Print the figures, and the paths of the files."""
    latency, iou, meters = report.latency_ms, report.road_iou, report.drivable_iou_metres
    print(f'{report.backend} {report.precision}: {report.fps} frames/s, latency '
          f'p50 {latency["p50"]} ms, p95 {latency["p95"]} ms, {report.dropped} dropped'
          + ('' if iou is None else f', road IoU {iou:.3f}')
          + ('' if meters is None else f', in meters {meters:.3f}'))
    print(f'image:  {out / "overlay.png"}\nvideo:  {out / "overlay.mp4"}\n'
          f'report: {out / "report.json"}')


def main(argv: list[str] | None = None) -> int:
    """Run the demo; return the exit code."""
    arguments = parse_arguments(argv)
    try:
        with stops_as_ctrl_c():
            run(arguments)
    except (ProcessError, SourceError, CheckpointError, ClassMapError, OSError) as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('demo: stopped', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
