"""``enet-ros soak``: what a node holds for a long time on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enet_ros.cli.options import add_force, png, resolution
from enet_ros.common.overwrite import check_outputs
from enet_ros.common.signals import stops_as_ctrl_c
from enet_ros.machine import how_to_install

DESCRIPTION = """\
Run a node among its cameras for a long time, with all outputs subscribed and a subscriber that
comes and goes. It needs ROS 2.

  enet-ros soak --minutes 30 --json docs/soak/one.json
  enet-ros soak --minutes 30 --cameras 4 --json docs/soak/four.json
  enet-ros soak --table docs/soak/one.json docs/soak/four.json    # the README's table

It passes if every frame that the node received was published or dropped, if the memory after the
first minute grows by less than 5 MB, and if the p99 of the latency in the last minute is at most
20 % above that of the first. Frames that this machine cannot hold are counted as lost, and are no
failure. A soak of less than three minutes is judged by its thirds instead of minutes. --json
writes the figures, and an image of them beside that file. The exit code is 1 if it failed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--minutes', type=float, default=30.0, metavar='M',
                        help='how long, at most 1440 (default: 30)')
    parser.add_argument('--cameras', type=int, default=1, metavar='N',
                        help='number of cameras, each a process of its own (default: 1)')
    parser.add_argument('--rate', type=float, default=30.0, metavar='HZ',
                        help='frames a second of each camera (default: 30)')
    parser.add_argument('--resolution', type=resolution, default=(640, 360), metavar='WxH',
                        help='resolution of the network (default: 640x360)')
    parser.add_argument('--camera', type=resolution, metavar='WxH',
                        help="size of the cameras' frames (default: the network's resolution)")
    parser.add_argument('--precision', default='auto', metavar='P',
                        help='precision of the network (default: the fastest)')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='write the figures to this JSON file')
    parser.add_argument('--plot', type=png, metavar='FILE.png',
                        help='draw the figures into this file (default: beside --json)')
    parser.add_argument('--table', type=Path, nargs='+', metavar='FILE',
                        help='print the table of these JSON files instead')
    add_force(parser)


def run(args: argparse.Namespace) -> int:
    """Soak, print and write; return 1 if something is not as it has to be."""
    from enet_ros.bench.soak_report import draw_soak, format_soak, format_table, read_soak
    from enet_ros.bench.soak_report import write_soak as write

    if args.table:
        print(format_table([read_soak(path) for path in args.table]))
        return 0
    plot = args.plot or (args.json.with_suffix('.png') if args.json else None)
    check_outputs([args.json, plot], force=args.force)
    from enet_ros.ros.tools.processes import ProcessError
    from enet_ros.ros.tools.soak import Soak, run_soak

    try:
        with stops_as_ctrl_c():
            report, series = run_soak(Soak(args.minutes, args.cameras, args.rate, args.resolution,
                                           args.camera, args.precision))
    except ProcessError as error:
        print(f'enet-ros soak: failed: {error}', file=sys.stderr)
        return 1
    if args.json:
        write(args.json, report, series)
    if plot:
        try:
            draw_soak(plot, report, series)
        except ImportError as error:
            print(f'no image: {error}: {how_to_install("bench")}', file=sys.stderr)
    print(format_soak(report))
    return int(bool(report.failures))
