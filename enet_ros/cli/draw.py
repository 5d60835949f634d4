"""``enet-ros draw``: a data set of synthetic roads."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
Draw synthetic roads with the exact class of every pixel, as a data set for enet-ros train. Nobody
else has rights in them.

  enet-ros draw roads/                                         # CamVid's eleven classes
  enet-ros draw roads/ --classes classes.yaml --frames 3000    # classes of your own
  enet-ros train --dataset synthetic=roads/ --out runs/drawn

The same options draw the same frames. The roads of the split val are none of those of train."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument('out', type=Path, metavar='OUT', help='new folder of the data set')
    parser.add_argument('--classes', type=Path, metavar='FILE',
                        help="class file; what a road has and the file lacks becomes 'Other' "
                             "(default: CamVid's eleven classes)")
    parser.add_argument('--frames', type=int, default=2000, metavar='N',
                        help='number of training frames, about six in a second (default: 2000)')
    parser.add_argument('--val-frames', type=int, default=200, metavar='N',
                        help='number of validation frames (default: 200)')
    parser.add_argument('--world', choices=('town', 'varied'), default='varied',
                        help='kind of roads: streets of a town by day, or also dirt, gravel, '
                             'verges, tunnels, hard shadows, crowds and night (default: varied)')


def run(args: argparse.Namespace) -> int:
    """Draw the frames; return the exit code."""
    from tqdm import tqdm

    from enet_ros.network.class_files import default_class_map, read_class_file
    from enet_ros.training.drawn_set import draw_dataset
    counts = {'train': args.frames, 'val': args.val_frames}
    for split, count in counts.items():
        if not 1 <= count <= 1_000_000:
            raise ValueError(f'{count} frames of {split}, wanted 1 to 1000000')
    class_map = read_class_file(args.classes) if args.classes else default_class_map(11)
    drawn = draw_dataset(args.out, class_map, counts, varied=args.world == 'varied')
    for _ in tqdm(drawn, total=sum(counts.values()), unit='frame', disable=None):
        pass
    print(f'{args.out}: {args.frames} frames to train on and {args.val_frames} to validate with')
    return 0
