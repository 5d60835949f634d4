"""``enet-ros compare``: two weights, precisions or settings on one recording."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enet_ros.cli.options import BACKENDS, add_force, resolution, threads
from enet_ros.cli.say import say
from enet_ros.common.overwrite import check_outputs

DESCRIPTION = """\
Tell two weights, precisions or settings apart on one recording, before a robot runs them.

  enet-ros compare enet_camvid own.safetensors drive.mp4
  enet-ros compare enet_camvid:float32 enet_camvid:bfloat16 images/ --out precision.html
  enet-ros compare old.yaml new.yaml drive.mp4

A and B are each one of:
  WEIGHTS             a .safetensors file, or the name of weights that ship
  FILE.yaml           a parameter file of the node
  either:PRECISION    with auto, float32, bfloat16, float16 or int8
The recording is a video, an image, a folder of images, or a recording of ROS 2 (a folder of
rosbag2, .mcap or .db3). Where it is a split of a data set of
folders (site/val with site/valannot and site/classes.yaml), both are scored with its labels too.

It prints agreement, drivable IoU, flicker, confidence and latency, and writes a page with the
frames on which A and B differ most. The page is one file and needs no network. Weights of
different classes are compared by their drivable area only.

exit code:
  0  everything was compared
  1  some frames or label images could not be used: the rest was compared
  2  called wrongly, and nothing was compared"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument('a', metavar='A', help='weights or parameter file, with :PRECISION or not')
    parser.add_argument('b', metavar='B', help='the same of the other side')
    parser.add_argument('recording', metavar='RECORDING',
                        help='a video, an image, a folder of images, or a recording of ROS 2')
    parser.add_argument('--topic', default='', metavar='T',
                        help='topic of the images in a recording of ROS 2 (default: its only '
                             'camera)')
    parser.add_argument('-o', '--out', type=Path, default=Path('compare.html'), metavar='FILE',
                        help='page to write, which must not exist yet (default: compare.html)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the figures as JSON')
    add_force(parser)
    parser.add_argument('--resolution', type=resolution, default=(640, 360), metavar='WxH',
                        help='resolution of the network for a side that is no parameter file '
                             '(default: 640x360)')
    parser.add_argument('--backend', default='auto', metavar='B',
                        help=f'runtime for a side that is no parameter file: {BACKENDS} '
                             '(default: the fastest that works)')
    parser.add_argument('--threads', type=threads, default=0, metavar='N',
                        help='number of CPU threads for such a side '
                             '(default: the backend chooses)')
    parser.add_argument('--node', default='/enet', metavar='NAME',
                        help='full name of the node in parameter files (default: /enet)')


def run(args: argparse.Namespace) -> int:
    """Compare; return the exit code."""
    from tqdm import tqdm

    from enet_ros.comparison.page import make_page
    from enet_ros.comparison.recording import open_recording
    from enet_ros.comparison.report import print_table
    from enet_ros.comparison.run import compare
    from enet_ros.comparison.sides import Options, Side
    from enet_ros.comparison.truth import find_truth
    check_outputs([args.out, args.json], force=args.force)
    recording = open_recording(args.recording, args.topic)
    for remark in recording.remarks:
        say(f'warning: {remark}')
    truth = find_truth(recording.path)
    options = Options(args.resolution, args.backend, args.threads, args.node)
    a, b = Side(args.a, options), Side(args.b, options)
    with tqdm(total=recording.count or None, unit='frame', disable=None) as bar:
        result = compare(a, b, recording, truth, bar.update)
    print_table(a, b, result)
    args.out.write_text(make_page(a, b, args.recording, result), encoding='utf-8')
    if args.json:
        _write_json(args.json, args, result)
    print(f'written to {args.out}')
    for problem in result.problems:
        print(problem.encode(errors='backslashreplace').decode(), file=sys.stderr)
    return 1 if result.problems else 0


def _write_json(path: Path, args: argparse.Namespace, result) -> None:
    import json

    from enet_ros.comparison.report import figures
    content = {'A': args.a, 'B': args.b, 'recording': args.recording} | figures(result)
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + '\n', encoding='utf-8')
