"""``enet-ros bag``: label recordings, without ROS."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from enet_ros.cli.options import NETWORK, add_network_options, given_network
from enet_ros.cli.say import say
from enet_ros.common.one_line_error import printable
from enet_ros.common.signals import stops_as_ctrl_c

if TYPE_CHECKING:
    from enet_ros.recordings.segment import BagOptions, BagReport

DESCRIPTION = """\
Label recordings (rosbag2: folders, .mcap, .db3), without ROS.

  enet-ros bag drive/ -o drive_labeled
  enet-ros bag drive.mcap -o labeled --topic /front/image_raw --weights own.safetensors
  enet-ros bag drives/*.mcap -o labeled --jobs 4
  enet-ros bag drives/ -o labeled --cluster 10.0.0.5:6379

One recording gives one folder of rosbag2. Several, or a folder of them, give a folder with one of
each and manifest.json. Each has the original messages as they were, and the topics that the node
/enet would publish, with the stamps of the images. docs/recordings.md explains them.

Nothing is overwritten. A run that was stopped goes on when the same command is given again: what
is not finished lies beside its place, in a folder that ends in .partial.

exit code:
  0    everything was labeled
  1    the rest was labeled: some frames or recordings could not be read, and each is named; or
       a recording has no frame that could be labeled
  2    called wrongly, or no recording could be labeled
  130  stopped by Ctrl-C or SIGTERM
"""

MAX_PART_MIB = 1 << 20  # 1 TiB
_MEBIBYTE = 1 << 20
#: Namespaces and a name, as rcl takes them: letters of ASCII, and no two underscores in a row.
_NODE_NAME = re.compile(r'(?!.*__)[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options. An option that is not given takes the node's value."""
    parser.add_argument('inputs', nargs='+', type=Path, metavar='IN',
                        help='a recording, or a folder of recordings')
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='OUT',
                        help='folder to write; it must not exist, but for many recordings it '
                             'may be empty, or of a run of the same command that was stopped')
    parser.add_argument('--topic', action='append', default=[], metavar='[NAME=]TOPIC',
                        help='topic of a camera, as often as there are cameras; NAME is the '
                             'name of the camera (default: all cameras)')
    parser.add_argument('--outputs', metavar='A,B,...',
                        help='names of the outputs, as in the README (default: labels, '
                             'drivable_mask, camera_info, drivable_area and what is in meters)')
    parser.add_argument('--params', type=Path, metavar='FILE',
                        help='parameter file of the node')
    parser.add_argument('--node', default='/enet', metavar='NAME',
                        help='name of the node, in that file and in the topics '
                             '(default: /enet)')
    add_network_options(parser, (640, 360), as_node=True)
    parser.add_argument('--part-size', type=float, default=256, metavar='MIB',
                        help='size of a part before compression; a stopped run goes on at the '
                             'last whole part (default: 256)')
    parser.add_argument('--jobs', type=int, metavar='N',
                        help='number of recordings at a time, each in a process')
    parser.add_argument('--cluster', metavar='ADDRESS',
                        help='address of a Ray cluster, such as 10.0.0.5:6379, or auto '
                             '(needs Ray)')
    parser.add_argument('--retries', type=int, default=2, metavar='N',
                        help='how often a recording is tried again after a failure (default: 2)')


def run(args: argparse.Namespace) -> int:
    """Label recordings; return the exit code."""
    with stops_as_ctrl_c():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    from enet_ros.recordings.inputs import find_recordings, left_out
    options = _options(args)
    paths, is_one = find_recordings(args.inputs)
    for sentence in left_out(args.inputs):
        say(f'warning: {sentence}')
    if is_one and args.jobs is None and args.cluster is None:
        return _run_one(paths[0], args.out, options)
    from enet_ros.cli.bag_fleet import run_many
    return run_many(paths, args, options)


def _options(args: argparse.Namespace) -> BagOptions:
    """Return what is asked: options before the parameter file, before defaults."""
    from enet_ros.perception.parameters.files import values_of_node
    from enet_ros.perception.parameters.settings import make_settings
    from enet_ros.recordings.outputs import DEFAULT_OUTPUTS
    from enet_ros.recordings.segment import BagOptions
    node = args.node.strip('/')
    if not _NODE_NAME.fullmatch(node):
        raise ValueError(f"--node is '{args.node}', wanted the name of a node, such as /enet")
    if not 0 < args.part_size <= MAX_PART_MIB:
        raise ValueError(f'--part-size is {args.part_size:g}, wanted MiB above 0, at most '
                         f'{MAX_PART_MIB:,}')
    for name in ('jobs', 'retries'):
        value, least = getattr(args, name), int(name == 'jobs')
        if value is not None and value < least:
            raise ValueError(f'--{name} is {value}, wanted {least} or more')
    values = values_of_node(args.params, f'/{node}') if args.params else {}
    values |= given_network(args)
    make_settings({name: values[name] for name in NETWORK if name in values})
    outputs = tuple(name.strip() for name in args.outputs.split(',')) if args.outputs \
        else DEFAULT_OUTPUTS
    return BagOptions(tuple(args.topic), outputs, values, node,
                      max(1, int(args.part_size * _MEBIBYTE)))


def _run_one(path: Path, out: Path, options: BagOptions) -> int:
    """Label one recording; return the exit code."""
    from enet_ros.recordings.segment import open_segmenter, segment_recording
    from enet_ros.recordings.writer import partial_folder, refuse_existing
    refuse_existing(out)
    segmenter = open_segmenter(options.values)
    say(segmenter.choice)
    try:
        with ProgressBar(path.name) as bar:
            report = segment_recording(path, out, options, segmenter, bar.show)
    except KeyboardInterrupt:
        say(f'the parts that are whole stay in {partial_folder(out)}; the same command goes on '
            'from there')
        raise
    return tell(report, out)


def tell(report: BagReport, out: Path) -> int:
    """Print what became of a recording; return the exit code."""
    for line in report.lines:
        say(f'warning: {line}')
    resumed = f', {report.resumed_parts} of them from the run before' if report.resumed_parts \
        else ''
    say(f'{report.frames} frames labeled, {report.unreadable} could not be read; written to '
        f'{out} ({report.parts} parts{resumed})')
    return 1 if report.unreadable or not report.frames else 0


class ProgressBar:
    """A bar with the time that is left, also where the output is no terminal."""

    def __init__(self, name: str):
        from tqdm import tqdm
        self._bar = tqdm(unit='frame', desc=printable(name), file=sys.stderr,
                         mininterval=0.5 if sys.stderr.isatty() else 5.0)
        self._begin: int | None = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    @property
    def show(self) -> Callable[[int, int], None]:
        """What takes the numbers of frames that are done, and of all."""
        return self._show

    def _show(self, done: int, total: int) -> None:
        if self._begin is None:  # Frames of the run before say nothing about the time left.
            self._begin = done
            self._bar.initial = self._bar.n = done
            self._bar.total = total
            self._bar.refresh()
        else:
            self._bar.update(done - self._bar.n)
