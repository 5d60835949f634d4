"""``enet-ros calibrate``: the least confidence of weights, below which a frame is suspect."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enet_ros.cli.options import add_force, add_network_options
from enet_ros.common.overwrite import check_outputs

DESCRIPTION = """\
Find the least confidence of weights: the mean confidence below which a frame is suspect, since it
is unlike what the weights were trained on. This calibrates no camera: the node has the
calibration of a camera from camera_info. The images need no labels. Choose some of a place that
the weights fit, which training has not seen.

  enet-ros calibrate --images camvid/val                              # only print
  enet-ros calibrate --images camvid/val --weights old.safetensors --out new.safetensors
  enet-ros calibrate --images drive/ --alarms                         # how often would it warn?

--out writes the weights with the limit as least_confidence in their metadata. The weights
themselves do not change. With --force it may be the file of --weights itself. It is refused at a
resolution far from that of the weights.
docs/suspect_frames.md says what the node does with it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--images', type=Path, required=True, metavar='DIR',
                        help='an image, a video, or a folder of images')
    parser.add_argument('-o', '--out', type=Path, metavar='FILE',
                        help='.safetensors file to write')
    add_force(parser)
    parser.add_argument('--alarms', action='store_true',
                        help='do not calibrate: judge all images in the order of their names, as '
                             'if they came one a second, and count the warnings')
    parser.add_argument('--change', default='', metavar='NAME',
                        help='with --alarms: change every image first, as enet-ros eval --change '
                             'does: fog, rain, dusk, dirt, defocus, ...')
    add_network_options(parser, None)


def run(args: argparse.Namespace) -> int:
    """Measure the confidences, print them, and write the limit."""
    from enet_ros.media import existing, read_frames
    from enet_ros.network.checkpoint import read_checkpoint, weights_path
    from enet_ros.network.resolution import check_resolution
    from enet_ros.perception.segmenter import Segmenter
    if args.alarms and args.out:
        raise ValueError('--alarms and --out are given; wanted one, for --alarms writes nothing')
    if args.change and not args.alarms:
        raise ValueError(f"--change is '{args.change}' without --alarms; wanted both or none")
    if args.out and args.out.suffix != '.safetensors':
        raise ValueError(f"--out is '{args.out}', wanted a name that ends in .safetensors")
    check_outputs([args.out], force=args.force)
    path, checkpoint = existing(str(args.images)), read_checkpoint(weights_path(args.weights))
    resolution = check_resolution(args.resolution or checkpoint.resolution)
    if not args.alarms:
        _check_limit_holds(checkpoint, resolution, writes=args.out is not None)
    segmenter = Segmenter(checkpoint, resolution, args.backend, args.precision, args.threads)
    print(segmenter.choice, file=sys.stderr)
    if args.alarms:
        from enet_ros.cli.suspects import count_alarms
        from enet_ros.training.photometric import apply_change
        frames = read_frames(path)
        if args.change:
            frames = (apply_change(args.change, frame, seed) for seed, frame in enumerate(frames))
        print(f'confidence: {segmenter.confidence_check}')
        alarms = count_alarms(segmenter, frames, segmenter.least_confidence)
        print(alarms.describe_alarms())
        return 0
    return _calibrate(segmenter, path, args.out)


def _check_limit_holds(checkpoint, resolution: tuple[int, int], *, writes: bool) -> None:
    """Refuse what gives no limit of the weights; where nothing is written, a far size is said."""
    from enet_ros.training.confidence_limit import describe_far
    if len(checkpoint.class_map.labeled) < 2:
        raise ValueError('these weights know one class, of which they are always sure, so their '
                         'confidence tells nothing; wanted weights of two classes or more')
    if sentence := describe_far(checkpoint, resolution):
        if writes:
            raise ValueError(f'--out is refused: {sentence}')
        print(f'warning: {sentence}', file=sys.stderr)


def _calibrate(segmenter, path: Path, out: Path | None) -> int:
    """Choose the limit, print what it was chosen by, and write it."""
    from enet_ros.network.checkpoint import write_checkpoint
    from enet_ros.training.confidence_limit import measure_confidence_limit, spread_frames
    limit = measure_confidence_limit(segmenter, spread_frames(path))
    print(limit.table())
    if limit.finds_nothing:
        print('warning: clean and ruined images cannot be told apart by these weights: no ruined '
              'image lies below the limit', file=sys.stderr)
    if out is not None:
        checkpoint = segmenter.checkpoint
        checkpoint.least_confidence = limit.least_confidence
        write_checkpoint(out, checkpoint, str(checkpoint.tensors['fullconv.weight'].dtype))
        print(f'written to {out}', file=sys.stderr)
    return 0
