"""``enet-ros export``: write the node's graph for other runtimes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enet_ros.cli.options import resolution

DESCRIPTION = """\
Write the graph the node runs for another runtime, and check the file by running it against torch.

  enet-ros export --format onnx --resolution 640x360 -o enet.onnx

input   frames      (N, H, W, 3) uint8 RGB at the resolution; normalisation is inside
output  labels      (N, H, W) uint8 class ids
output  confidence  (N, H, W) float32, the winning class's probability; with --confidence

Class names are stored with the file. openvino writes .xml and .bin, torch-export .pt2. A file
whose outputs differ from torch's on more than 0.1 % of pixels is not kept."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument('--format', required=True, metavar='F',
                        help='onnx, openvino or torch-export')
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='PATH',
                        help='file to write: .onnx, .xml or .pt2')
    parser.add_argument('--weights', default='', metavar='W',
                        help='.safetensors file, or the name of one that ships '
                             '(default: enet_camvid)')
    parser.add_argument('--resolution', type=resolution, default=(640, 360), metavar='WxH',
                        help='of the network, multiples of 8, fixed in the file '
                             '(default: 640x360)')
    parser.add_argument('--batch', type=int, default=1, metavar='N',
                        help='frames a call, fixed in the file (default: 1)')
    parser.add_argument('--confidence', action='store_true',
                        help='also output the probability of the winning class')


def run(args: argparse.Namespace) -> int:
    """Export and check; returns the exit code."""
    from enet_ros.checkpoint import read_checkpoint, weights_path
    from enet_ros.export import export

    checkpoint = read_checkpoint(weights_path(args.weights))
    agreement = export(checkpoint, args.out, args.format, args.resolution, args.batch,
                       args.confidence)
    width, height = args.resolution
    print(f'{args.out}: {args.batch} x {width}x{height}; agrees with torch on '
          f'{100 * agreement:.3f} % of pixels', file=sys.stderr)
    return 0
