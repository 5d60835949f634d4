"""``enet-ros bench``: how fast the network and the node are on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from enet_ros.cli.options import WEIGHTS_HELP, add_force, png, resolution, threads
from enet_ros.common.overwrite import check_outputs
from enet_ros.common.signals import stops_as_ctrl_c
from enet_ros.machine import how_to_install

if TYPE_CHECKING:
    from enet_ros.bench.baselines import Workload
    from enet_ros.bench.comparison import Comparison
    from enet_ros.bench.scaling import Scaling

DESCRIPTION = """\
Measure ENet on this machine. All runtimes are timed in one run, in turns, so that ratios hold.

  enet-ros bench                              # our segmenter and every runtime that is installed
  enet-ros bench --resolution 480x320,640x360,1280x720     # and how time grows with pixels
  enet-ros bench --paper                      # Tables 2 and 3 of the paper, SegNet beside ENet
  enet-ros bench --node --cameras 2           # from camera stamp to mask received; needs ROS 2
  enet-ros bench --only segmenter,openvino --json figures.json

It prints a table. --json writes the figures, and an image of them beside that file. Leave the
machine alone meanwhile: while other processes keep the cores busy, no ratios and no growth are
printed, and the exit code is 1."""


#: Kinds of measurement, and how each is called.
COMPARE, PAPER, NODE = 'without --node and --paper', 'with --paper', 'with --node'
#: option -> the kinds that it changes, and its default there
KIND_OPTIONS = {
    'camera': ((COMPARE, NODE), None), 'weights': ((COMPARE, NODE), ''),
    'batch': ((COMPARE,), 1), 'only': ((COMPARE,), []), 'runs': ((COMPARE, PAPER), 50),
    'rate': ((NODE,), 15.0), 'cameras': ((NODE,), 1), 'duration': ((NODE,), 20.0),
    'precision': ((NODE,), 'auto')}


def resolutions(text: str) -> list[tuple[int, int]]:
    """Parse WxH[,WxH...]."""
    return [resolution(part) for part in text.split(',')]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--paper', action='store_true',
                      help='measure Tables 2 and 3 of the paper instead')
    kind.add_argument('--node', action='store_true',
                      help='measure the node instead, from camera stamp to mask received')
    parser.add_argument('--resolution', type=resolutions, metavar='WxH[,WxH]',
                        help='resolution of the network; several show how time grows with pixels '
                             "(default: 640x360; with --paper the paper's four)")
    parser.add_argument('--camera', type=resolution, metavar='WxH',
                        help="size of the camera's frames (default: the network's resolution)")
    parser.add_argument('--batch', type=int, metavar='N',
                        help='frames a call (default: 1)')
    parser.add_argument('--threads', type=threads, default=0, metavar='N',
                        help='number of CPU threads (default: the backend chooses)')
    parser.add_argument('--runs', type=int, metavar='N',
                        help='number of runs of each runtime (default: 50)')
    parser.add_argument('--only', type=lambda text: text.split(','), metavar='NAME',
                        help='time only these runtimes, such as segmenter,openvino '
                             '(default: all)')
    parser.add_argument('--weights', metavar='W', help=WEIGHTS_HELP)
    _add_node_arguments(parser.add_argument_group('with --node'))
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='write the figures to this JSON file')
    parser.add_argument('--plot', type=png, metavar='FILE.png',
                        help='draw the figures into this file (default: beside --json)')
    add_force(parser)


def _add_node_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--rate', type=float, metavar='HZ',
                       help='frames a second of each camera (default: 15)')
    group.add_argument('--cameras', type=int, metavar='N',
                       help='number of cameras (default: 1)')
    group.add_argument('--duration', type=float, metavar='SEC',
                       help='seconds to measure, after a warm-up (default: 20)')
    group.add_argument('--precision', metavar='P',
                       help='precision of the network (default: the fastest)')


def run(args: argparse.Namespace) -> int:
    """Measure, print and write; return 1 if the machine was too busy for ratios."""
    fill_in_defaults(args)
    for name, least in (('batch', 1), ('threads', 0), ('runs', 1), ('cameras', 1)):
        if getattr(args, name) < least:
            raise ValueError(f'--{name} is {getattr(args, name)}, wanted {least} or more')
    if args.json and not args.plot:
        args.plot = args.json.with_suffix('.png')
    check_outputs([args.json, args.plot], force=args.force)
    if args.paper:
        return _measure_paper(args)
    return _measure_node(args) if args.node else _compare(args)


def fill_in_defaults(args: argparse.Namespace) -> None:
    """Give each option that was left out its default.

    Raises:
        ValueError: An option was given that this kind of measurement does not know.
    """
    kind = NODE if args.node else PAPER if args.paper else COMPARE
    for name, (kinds, default) in KIND_OPTIONS.items():
        if getattr(args, name) is None:
            setattr(args, name, default)
        elif kind not in kinds:
            raise ValueError(f'--{name} changes nothing {kind}, wanted it {" or ".join(kinds)}')
    if args.node and len(args.resolution or []) > 1:
        raise ValueError('--resolution names several sizes, wanted one with --node')


def _write(args: argparse.Namespace, content: dict) -> None:
    if args.json:
        args.json.write_text(json.dumps(content, indent=2) + '\n')


def _draw(args: argparse.Namespace, draw: Callable, figures) -> None:
    """Draw if that was asked for; matplotlib is an extra."""
    if args.plot:
        try:
            draw(args.plot, figures)
        except ImportError as error:
            print(f'no image: {error}: {how_to_install("bench")}', file=sys.stderr)


def _compare(args: argparse.Namespace) -> int:
    from enet_ros.bench import report
    from enet_ros.bench.comparison import compare

    workloads, comparisons = _workloads(args), []
    for workload in workloads:
        comparisons.append(compare(workload, args.runs, args.only))
        print(report.format_comparison(comparisons[-1]), flush=True)
    busy = next((one.busy for one in comparisons if one.busy), '')
    content = asdict(comparisons[0])
    if len(comparisons) > 1:
        scaling, busy = ({}, busy) if busy else _scaling(workloads, comparisons, args.runs)
        if scaling or busy:
            print(report.format_scaling(scaling, busy))
        content = {'machine': content['machine'], 'results': [asdict(one) for one in comparisons],
                   'growth': scaling, 'busy': busy}
    _write(args, content)
    _draw(args, report.draw_comparisons, comparisons)
    return int(bool(busy))


def _workloads(args: argparse.Namespace) -> list[Workload]:
    """Return the work at each resolution.

    Raises:
        ValueError: A runtime or the weights are not known, or a resolution is impossible.
    """
    from enet_ros.bench.baselines import BASELINES, Workload
    from enet_ros.common.suggestions import suggest
    from enet_ros.network.checkpoint import read_checkpoint, weights_path
    from enet_ros.network.resolution import check_resolution

    names = [baseline.name for baseline in BASELINES]
    unknown = [name for name in args.only if name not in names]
    if unknown:
        raise ValueError(f"--only has '{unknown[0]}', wanted some of {', '.join(names)}"
                         + suggest(unknown[0], names))
    checkpoint = read_checkpoint(weights_path(args.weights))
    return [Workload(checkpoint, check_resolution(size), args.camera or size, args.batch,
                     args.threads) for size in args.resolution or [(640, 360)]]


def _scaling(workloads: list[Workload], comparisons: list[Comparison],
             runs: int) -> tuple[Scaling, str]:
    """Return how time grows with pixels; or nothing, and who kept the cores busy meanwhile."""
    from enet_ros.bench.scaling import measure_scaling, scaling_of
    scaling, busy = scaling_of(comparisons), ''
    if any(name.startswith('segmenter-') for name in scaling):
        measured, busy = measure_scaling(workloads, runs)
        scaling |= measured
    return {} if busy else scaling, busy


def _measure_paper(args: argparse.Namespace) -> int:
    from enet_ros.bench.background_load import BackgroundLoad
    from enet_ros.bench.baselines import PACKAGES
    from enet_ros.bench.paper import PAPER_RESOLUTIONS, paper_tables
    from enet_ros.bench.paper_report import draw_tables, format_tables
    from enet_ros.machine import describe_machine

    load = BackgroundLoad()
    tables = paper_tables(args.resolution or PAPER_RESOLUTIONS, args.runs, args.threads,
                          machine=describe_machine(*PACKAGES))
    if busy := load.warning():
        tables = tables.without_time_ratios(busy)
    print(format_tables(tables))
    if busy:
        print(f'no ratios of time: {busy}. Leave the machine alone and repeat.')
    _write(args, asdict(tables))
    _draw(args, draw_tables, tables)
    return int(bool(busy))


def _measure_node(args: argparse.Namespace) -> int:
    from enet_ros.bench.node_report import draw_node, format_node
    from enet_ros.ros.tools.bench_node import NodeBench, bench_node
    from enet_ros.ros.tools.processes import ProcessError

    options = NodeBench(resolution=(args.resolution or [(640, 360)])[0], camera=args.camera,
                        rate_hz=args.rate, cameras=args.cameras, duration_sec=args.duration,
                        weights=args.weights, precision=args.precision, threads=args.threads)
    try:
        with stops_as_ctrl_c():
            report = bench_node(options)
    except ProcessError as error:
        print(f'enet-ros bench: {error}', file=sys.stderr)
        return 1
    print(format_node(report))
    _write(args, report.as_json())
    _draw(args, draw_node, report)
    return int(bool(report.busy))
