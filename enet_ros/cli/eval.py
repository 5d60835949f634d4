"""``enet-ros eval``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from enet_ros.cli.options import add_force, add_network_options, png
from enet_ros.common.overwrite import check_outputs

if TYPE_CHECKING:
    from enet_ros.network.class_map import ClassMap
    from enet_ros.training.labeled_frames import SegmentationData

WORST_FRAMES = 6

DESCRIPTION = """Score weights on a labeled split as the paper does. Pixels without a label do not
count. Frames are resized as the node does it, and labels are compared at their own size.

examples:
  enet-ros eval --dataset camvid --root ~/data/camvid --split val --json scores.json
  enet-ros eval --data roads.yaml --weights enet_road --floors floors.png --worst worst.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--dataset', metavar='NAME',
                        help='data set: camvid, cityscapes, sunrgbd, idd_lite, lums, '
                             'synthetic or folders')
    parser.add_argument('--root', metavar='DIR', help='folder of the data set')
    parser.add_argument('--data', metavar='FILE',
                        help='YAML file of several data sets (docs/training.md), each scored on '
                             'its val_split in the classes of the weights')
    parser.add_argument('--split', metavar='NAME',
                        help='split of the --dataset to score (default: val)')
    parser.add_argument('--classes', metavar='FILE',
                        help='class file of folders (default: classes.yaml or .json in --root)')
    parser.add_argument('--change', default='', metavar='NAME',
                        help='change every frame first, in the same way each time: dusk, rain, '
                             'fog, shadow, blur, noise, jpeg, ... (a wrong name lists them all)')
    add_network_options(parser, None)
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='write the scores to this file as well')
    parser.add_argument('--floors', type=png, metavar='FILE.png',
                        help='draw how precise drivable pixels are above each confidence_floor')
    parser.add_argument('--worst', type=png, metavar='FILE.png',
                        help='draw the frames of the first data set with the least drivable IoU, '
                             'as they were scored')
    add_force(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the tables and write the scores."""
    import json

    from enet_ros.network.checkpoint import read_checkpoint, weights_path
    from enet_ros.training.drivable_scores import DrivableScores
    from enet_ros.training.evaluate import names_of, read_changed, report
    from enet_ros.training.metrics import without_nan
    check_outputs([args.json, args.floors, args.worst], force=args.force)
    checkpoint = read_checkpoint(weights_path(args.weights))
    splits = _open(args, checkpoint.class_map)
    keep = WORST_FRAMES if args.worst else 0  # of the first data set
    drivable = [DrivableScores(split.class_map, split.sets, keep * (split is splits[0]))
                for split in splits]
    results = {}
    for name, split, watch in zip(names_of(splits), splits, drivable):
        scores, text = report(checkpoint, split, args.resolution, args.backend, args.precision,
                              args.threads, args.change, watch)
        scores['floors'] = watch.curve.to_json()
        results[name] = scores
        print(f'{text}\n{watch.curve}')
    if args.json:
        found = results if args.data else scores
        args.json.write_text(json.dumps(without_nan(found), indent=2) + '\n')
    if args.floors:
        from enet_ros.training.result_images import draw_floors
        draw_floors(args.floors, {name: watch.curve for name, watch
                                  in zip(results, drivable)})
    if args.worst:
        from enet_ros.training.result_images import draw_samples
        draw_samples(args.worst, checkpoint.class_map, [
            (*read_changed(splits[0], index, args.change), labels)
            for index, labels in drivable[0].worst_labels.items()])
    return 0


def _open(args: argparse.Namespace, class_map: ClassMap) -> list[SegmentationData]:
    """Open and check the splits that are to be scored."""
    from enet_ros.training.data_file import read_sources
    from enet_ros.training.datasets import open_dataset
    from enet_ros.training.evaluate import in_classes_of
    from enet_ros.training.sources import (
        Source,
        check_two_classes,
        each_in_class_map,
        other_drivable,
    )
    if bool(args.data) == bool(args.dataset) or bool(args.root) != bool(args.dataset):
        raise ValueError('wanted --dataset NAME --root DIR, or --data FILE alone')
    if args.data and (args.classes, args.split) != (None, None):
        raise ValueError('--data says classes and val_split of each data set, so --classes and '
                         '--split are refused beside it')
    check_two_classes(class_map, 'the weights')
    if args.data:
        sources = [source for source in read_sources(Path(args.data)) if source.val_split]
        opened = [source.open(source.val_split) for source in sources]
        splits = each_in_class_map(opened, sources, class_map)
        _check(splits)
    else:
        split = 'val' if args.split is None else args.split
        sources = [Source(args.dataset, args.root)]
        opened = [open_dataset(args.dataset, args.root, split, args.classes)]
        check_two_classes(opened[0].class_map, opened[0].name)
        _check(opened)  # before the classes are compared: masks have other classes as well
        splits = [in_classes_of(class_map, opened[0])]
    for data, source in zip(opened, sources):
        if sentence := other_drivable(class_map, 'the weights call', data, source):
            print(sentence, file=sys.stderr)
    return splits


def _check(splits: Sequence[SegmentationData]) -> None:
    """Read every frame once, and print what may be meant otherwise."""
    for split in splits:
        for sentence in split.check():
            print(sentence, file=sys.stderr)
