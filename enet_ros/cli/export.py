"""``enet-ros export``: write the graph of the node for other runtimes, or weights in int8."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enet_ros.cli.options import WEIGHTS_HELP, add_force, resolution
from enet_ros.common.overwrite import check_outputs

DESCRIPTION = """\
Write the graph that the node runs as a file for another runtime, and check the file against torch.

  enet-ros export --resolution 640x360 -o enet.onnx

input   frames      (N, H, W, 3) uint8 RGB at the resolution; normalization is part of the graph
output  labels      (N, H, W) uint8 class ids
output  confidence  (N, H, W) float32, the winning class's probability; only with --confidence

The class names are stored with the file. openvino writes .xml and .bin, torch-export .pt2. A file
whose outputs differ from torch's on more than 0.1 % of pixels is not kept.

With --precision int8 the command writes weights instead, for the node, eval and segment. They run
in 8-bit integers by openvino at this resolution, and in float everywhere else:

  enet-ros export --precision int8 --calibrate images/ -o enet_int8.safetensors

--calibrate gives images, by which NNCF chooses the scales of the 8-bit numbers. It calibrates no
camera. The images should be like those that the network will see, best those it was trained
on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument('--format', metavar='F',
                        help="onnx, openvino or torch-export (default: by the file's suffix)")
    parser.add_argument('-o', '--out', type=Path, metavar='PATH',
                        help='file to write: .onnx, .xml or .pt2; with int8 .safetensors '
                             '(default with int8: <weights>_int8.safetensors in this folder)')
    parser.add_argument('--weights', default='', metavar='W', help=WEIGHTS_HELP)
    parser.add_argument('--resolution', type=resolution, default=(640, 360), metavar='WxH',
                        help='resolution of the network, multiples of 8, fixed in the file '
                             '(default: 640x360)')
    parser.add_argument('--batch', type=int, default=1, metavar='N',
                        help='frames a call, fixed in the file (default: 1)')
    parser.add_argument('--confidence', action='store_true',
                        help='also output the probability of the winning class')
    parser.add_argument('--precision', default='float32', metavar='P',
                        help='float32 or int8 (default: float32)')
    parser.add_argument('--calibrate', metavar='DIR',
                        help='folder of images by which the scales of int8 are chosen; '
                             'calibrates no camera')
    add_force(parser)


def run(args: argparse.Namespace) -> int:
    """Export and check; return the exit code."""
    from enet_ros.backends.base import canonical_precision
    from enet_ros.export.formats import ExportError

    precision = canonical_precision(args.precision)
    if precision not in ('float32', 'int8'):
        raise ExportError(f"precision is '{args.precision}', wanted float32 or int8")
    return _export_int8(args) if precision == 'int8' else _export_graph(args)


def _export_graph(args: argparse.Namespace) -> int:
    from enet_ros.export.formats import ExportError, export, format_of
    from enet_ros.network.checkpoint import read_checkpoint, weights_path

    if args.calibrate is not None:
        raise ExportError('--calibrate is given with precision float32, wanted --precision int8')
    if args.out is None:
        raise ExportError('no file to write, wanted -o PATH')
    file_format = args.format or format_of(args.out)
    weights_file = args.out.with_suffix('.bin') if file_format == 'openvino' else None
    check_outputs([args.out, weights_file], force=args.force)
    checkpoint = read_checkpoint(weights_path(args.weights))
    agreement = export(checkpoint, args.out, file_format, args.resolution, args.batch,
                       confidence=args.confidence)
    width, height = args.resolution
    print(f'{args.out}: {args.batch} x {width}x{height}; agrees with torch on '
          f'{100 * agreement:.3f} % of pixels', file=sys.stderr)
    return 0


def _export_int8(args: argparse.Namespace) -> int:
    from enet_ros.export.formats import ExportError
    from enet_ros.export.quantize import export_int8
    from enet_ros.network.checkpoint import read_checkpoint, weights_path

    if args.calibrate is None:
        raise ExportError('int8 needs images to choose its scales by, wanted --calibrate DIR')
    if args.format is not None:
        raise ExportError(f"format is '{args.format}', wanted none with int8: it is written as "
                          '.safetensors, for openvino')
    if args.confidence:
        raise ExportError('--confidence is given with precision int8, wanted none: these weights '
                          'give the confidence in any case')
    if args.batch != 1:
        raise ExportError(f'batch is {args.batch}, wanted 1 with int8')
    weights = weights_path(args.weights)
    out = args.out or Path(f'{weights.stem}_int8.safetensors')
    check_outputs([out], force=args.force)
    agreement, count = export_int8(read_checkpoint(weights), out, args.calibrate, args.resolution)
    width, height = args.resolution
    print(f'{out}: int8 at {width}x{height}, calibrated on {count} images; agrees with float32 '
          f'on {100 * agreement:.2f} % of pixels', file=sys.stderr)
    return 0
