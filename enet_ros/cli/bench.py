"""``enet-ros bench``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from enet_ros.cli.options import resolution
from enet_ros.machine import how_to_install

DESCRIPTION = """Measure ENet on this machine, side by side in one run. Leave the machine alone
meanwhile: while other processes keep the cores busy, no ratios and no growth are printed.

examples:
  enet-ros bench                              # our segmenter and every runtime that is here
  enet-ros bench --resolution 480x320,640x360,1280x720     # and how time grows with pixels
  enet-ros bench --paper                      # the paper's Tables 2 and 3, SegNet beside ENet
  enet-ros bench --node --cameras 2           # camera, DDS, node and back; needs ROS 2"""


def resolutions(text: str) -> list[tuple[int, int]]:
    """Parse WxH[,WxH...]."""
    return [resolution(part) for part in text.split(',')]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--paper', action='store_true', help="the paper's tables instead")
    kind.add_argument('--node', action='store_true',
                      help='the node instead, from camera stamp to mask received')
    parser.add_argument('--resolution', type=resolutions, metavar='WxH[,WxH]',
                        help="of the network (default: 640x360; with --paper the paper's four)")
    parser.add_argument('--camera', type=resolution, metavar='WxH',
                        help="of the frames (default: the network's)")
    parser.add_argument('--batch', type=int, default=1, metavar='N', help='frames a call')
    parser.add_argument('--threads', type=int, default=0, metavar='N',
                        help='processor threads (default: all)')
    parser.add_argument('--runs', type=int, default=50, metavar='N',
                        help='of each runtime (default: 50)')
    parser.add_argument('--only', type=lambda text: text.split(','), default=[], metavar='NAME',
                        help='runtimes, such as segmenter,openvino (default: all)')
    parser.add_argument('--weights', default='', metavar='W',
                        help='.safetensors file, or the name of one that ships')
    node = parser.add_argument_group('with --node')
    node.add_argument('--rate', type=float, default=15.0, metavar='HZ',
                      help='frames a second of each camera (default: 15)')
    node.add_argument('--cameras', type=int, default=1, metavar='N')
    node.add_argument('--duration', type=float, default=20.0, metavar='SEC')
    node.add_argument('--precision', default='auto', metavar='P',
                      help='of the network (default: the fastest)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures there')
    parser.add_argument('--plot', type=Path, metavar='FILE',
                        help='draw them there (default: beside --json, .png)')


def run(args: argparse.Namespace) -> int:
    """Measure, print, write; returns 1 if the machine was too busy for ratios."""
    for name, least in (('batch', 1), ('threads', 0), ('runs', 1), ('cameras', 1)):
        if getattr(args, name) < least:
            raise ValueError(f'--{name} is {getattr(args, name)}, wanted {least} or more')
    if args.json and not args.plot:
        args.plot = args.json.with_suffix('.png')
    if args.paper:
        return _paper(args)
    return _node(args) if args.node else _side_by_side(args)


def _write(args: argparse.Namespace, result: dict) -> None:
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + '\n')


def _draw(args: argparse.Namespace, draw, *what) -> None:
    """Draw if that was asked for; matplotlib is an extra."""
    if args.plot:
        try:
            draw(args.plot, *what)
        except ImportError as error:
            print(f'no picture: {error}: {how_to_install("bench")}', file=sys.stderr)


def _side_by_side(args: argparse.Namespace) -> int:
    from enet_ros.bench import report
    from enet_ros.bench.peers import PEERS, Workload
    from enet_ros.bench.sidebyside import side_by_side
    from enet_ros.network.checkpoint import read_checkpoint, weights_path
    from enet_ros.perception.segmenter import check_resolution

    known = [peer.name for peer in PEERS]
    unknown = [name for name in args.only if name not in known]
    if unknown:
        raise ValueError(f"--only has '{unknown[0]}', wanted of {', '.join(known)}")
    checkpoint, results = read_checkpoint(weights_path(args.weights)), []
    workloads = [Workload(checkpoint, check_resolution(size), args.camera or size, args.batch,
                          args.threads) for size in args.resolution or [(640, 360)]]
    for workload in workloads:
        results.append(side_by_side(workload, args.runs, args.only))
        print(report.format_result(results[-1]), flush=True)
    busy = next((result['busy'] for result in results if result['busy']), '')
    written = results[0]
    if len(results) > 1:
        found, busy = ({}, busy) if busy else _growth(workloads, results, args.runs)
        if found or busy:
            print(report.format_growth(found, busy))
        written = {'machine': written['machine'], 'results': results, 'growth': found,
                   'busy': busy}
    _write(args, written)
    _draw(args, report.draw_result, results)
    return int(bool(busy))


def _growth(workloads: list, results: list[dict], runs: int) -> tuple[dict, str]:
    """Return how time grows with pixels, or nothing and who kept the cores busy meanwhile."""
    from enet_ros.bench.sidebyside import growth, growth_in_turns
    found, busy = growth(results), ''
    if any(name.startswith('segmenter-') for name in found):
        turns, busy = growth_in_turns(workloads, runs)
        found |= turns
    return {} if busy else found, busy


def _paper(args: argparse.Namespace) -> int:
    from enet_ros.bench import paper
    from enet_ros.bench.machine import OtherLoad, describe_machine

    sizes = {'resolutions': args.resolution} if args.resolution else {}
    load = OtherLoad()
    result = {'machine': describe_machine(),
              **paper.paper_tables(**sizes, runs=args.runs, threads=args.threads)}
    result['busy'] = load.sentence() if load.is_high() else ''
    if result['busy']:
        result['segnet_over_enet']['time'] = result['segnet_over_enet']['time_torch'] = {}
    print(paper.format_tables(result))
    if result['busy']:
        print(f'no ratios of time: {result["busy"]}. Leave the machine alone and repeat.')
    _write(args, result)
    _draw(args, paper.draw_paper, result)
    return int(bool(result['busy']))


def _node(args: argparse.Namespace) -> int:
    from enet_ros.bench.report import draw_node
    from enet_ros.ros.tools.bench_node import NodeBench, bench_node, format_node
    from enet_ros.ros.tools.demo import DemoError

    options = NodeBench(resolution=(args.resolution or [(640, 360)])[0], camera=args.camera,
                        rate_hz=args.rate, cameras=args.cameras, duration_sec=args.duration,
                        weights=args.weights, precision=args.precision, threads=args.threads)
    try:
        result = bench_node(options)
    except DemoError as error:
        print(f'enet-ros bench: {error}', file=sys.stderr)
        return 1
    print(format_node(result))
    _write(args, result)
    _draw(args, draw_node, result)
    return int(bool(result['busy']))
