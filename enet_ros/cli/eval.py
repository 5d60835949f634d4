"""``enet-ros eval``."""

from __future__ import annotations

import argparse

from enet_ros.cli.options import add_engine_options

DESCRIPTION = """Score weights on a labelled split as the paper does. Pixels without a label do not
count. Frames are resized as the node does it, and labels are compared at their own size.

example:
  enet-ros eval --dataset camvid --root ~/data/camvid --split val --json scores.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--dataset', required=True, metavar='NAME',
                        help='data set: camvid, cityscapes, sunrgbd, idd_lite, lums, '
                             'synthetic or folders')
    parser.add_argument('--root', required=True, metavar='DIR', help='folder of the data set')
    parser.add_argument('--split', default='val', metavar='NAME',
                        help='split to score (default: val)')
    parser.add_argument('--classes', metavar='FILE',
                        help='class file of folders (default: classes.yaml or .json in --root)')
    parser.add_argument('--change', default='', metavar='NAME',
                        help='change every frame first, in the same way each time: dusk, rain, '
                             'fog, shadow, blur, noise, jpeg, ... (a wrong name lists them all)')
    add_engine_options(parser, None)
    parser.add_argument('--json', metavar='FILE', help='write the scores to this file as well')


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the tables and write the scores."""
    import json
    import sys
    from pathlib import Path

    from enet_ros.network.checkpoint import read_checkpoint, weights_path
    from enet_ros.training.datasets import open_dataset
    from enet_ros.training.evaluate import report
    from enet_ros.training.metrics import without_nan
    data = open_dataset(args.dataset, args.root, args.split, args.classes)
    checkpoint = read_checkpoint(weights_path(args.weights))
    for sentence in data.check():
        print(sentence, file=sys.stderr)
    scores, text = report(checkpoint, data, args.resolution, args.backend, args.precision,
                          args.threads, args.change)
    print(text)
    if args.json:
        Path(args.json).write_text(json.dumps(without_nan(scores), indent=2) + '\n')
    return 0
