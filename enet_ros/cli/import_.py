"""``enet-ros import``: use other projects' weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enet_ros.cli.options import add_force
from enet_ros.common.overwrite import check_outputs

DESCRIPTION = """\
Turn another project's weights into a .safetensors file. Nothing in them is executed.

  enet-ros import enet-model.net -o cityscapes.safetensors
  enet-ros import ENet.pth --classes classes.yaml -o own.safetensors

SRC is the Torch7 model of ENet's authors (e-lab/ENet-training), or a checkpoint of
github.com/davidtvs/PyTorch-ENet: a state dict, alone or in the dictionary that a training script
or Lightning saved. A prefix of the network's keys, such as module. or model., is taken off; what
stands beside the network is left out and named. The file that is written gives the outputs of the
original and keeps its license.

A whole pickled model is refused, since its code would have to run. Where the model is known, save
its state dict: torch.save(model.state_dict(), 'weights.pth').

Weights with 20 classes get the class names of Cityscapes, weights with 12 or 11 those of CamVid,
with the road drivable. For other weights --classes names a text file with a name a line, or a
YAML or JSON file with a list of {name: Road, color: [128, 64, 128], drivable: true}. Classes
stand in the order of their ids."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument('source', type=Path, metavar='SRC',
                        help='a Torch7 file or a PyTorch-ENet checkpoint')
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='X.safetensors',
                        help='file to write')
    parser.add_argument('--classes', type=Path, metavar='FILE',
                        help='file with the names of the classes (default: by their number)')
    add_force(parser)


def run(args: argparse.Namespace) -> int:
    """Read, check and write; return the exit code."""
    from enet_ros.importers.import_checkpoint import import_checkpoint
    from enet_ros.network.checkpoint import write_checkpoint
    from enet_ros.network.class_files import read_class_file

    check_outputs([args.out], force=args.force)
    class_map = read_class_file(args.classes) if args.classes else None
    checkpoint = import_checkpoint(
        args.source, class_map, lambda text: print(f'{args.source}: {text}', file=sys.stderr))
    # Float32 as in the original: weights in half precision could not be compared with it again.
    write_checkpoint(args.out, checkpoint, 'float32')
    width, height = checkpoint.resolution
    drivable = ', '.join(checkpoint.class_map.drivable_names) or 'nothing'
    print(f'{args.out}: {checkpoint.architecture}, {len(checkpoint.class_map)} classes, drivable: '
          f'{drivable}, made for {width}x{height}', file=sys.stderr)
    return 0
