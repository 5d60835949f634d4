"""``enet-ros label-import``: what people drew with a labeling tool, as a data set to train on."""

from __future__ import annotations

import argparse
from pathlib import Path

from enet_ros.cli.say import say

DESCRIPTION = """\
Turn the export of a labeling tool into a data set for enet-ros train --dataset folders.

  enet-ros label-import cvat.zip --out site --drivable path
  enet-ros label-import project.json --images frames/ --out site --classes classes.yaml
  enet-ros label-import labelme/ --out site --drivable path --drivable gravel

It reads a folder, a .zip or a file of:
  CVAT          'CVAT for images 1.1' (polygons, masks) and 'Segmentation mask 1.1'
  Label Studio  'JSON' (polygons, brush)
  labelme       its .json files (polygons, rectangles, masks)
The folder of --out gets train, trainannot, val, valannot and classes.yaml (docs/training.md).
Nothing is overwritten. Pixels on which nobody drew do not count, unless --background names their
class. docs/own_site.md walks through the whole way."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument('export', type=Path, metavar='EXPORT',
                        help='what the tool exported: a folder, a .zip, an .xml or a .json')
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='DIR',
                        help='folder of the data set, which must be new or empty')
    parser.add_argument('--images', type=Path, metavar='DIR',
                        help='folder or .zip with the frames, where the export has none')
    classes = parser.add_argument_group('classes')
    classes.add_argument('--classes', type=Path, metavar='FILE',
                         help='class file, in the order of the ids (default: the labels of the '
                              'export)')
    classes.add_argument('--drivable', action='append', default=[], metavar='LABEL',
                         help='label that is drivable; repeat it for several')
    classes.add_argument('--ignore', action='append', default=[], metavar='LABEL',
                         help='label whose pixels do not count; repeat it for several')
    classes.add_argument('--background', metavar='LABEL',
                         help='class of the pixels on which nobody drew (default: none, they do '
                              'not count)')
    splits = parser.add_argument_group('splits')
    splits.add_argument('--val', type=float, default=0.2, metavar='SHARE',
                        help='share of the frames that validate (default: 0.2)')
    splits.add_argument('--split-by', default='auto', choices=('auto', 'sequence', 'frame'),
                        help='choose whole sequences (a folder, or names that differ in their '
                             'number alone) or single frames (default: sequences where there are '
                             'several)')
    splits.add_argument('--seed', type=int, default=0, metavar='N',
                        help='seed of the choice (default: 0)')


def run(args: argparse.Namespace) -> int:
    """Import an export; return the exit code."""
    from enet_ros.training.label_import.classes import choose_classes
    from enet_ros.training.label_import.files import ExportFiles, FrameFiles
    from enet_ros.training.label_import.read import read_export
    from enet_ros.training.label_import.splits import choose_validation
    from enet_ros.training.label_import.write import check_free, write_dataset
    check_free(args.out)
    with ExportFiles(args.export) as files, _open_images(args, files) as images:
        export = read_export(files)
        ids = choose_classes(export, args.classes, args.drivable, args.ignore, args.background)
        frames = [frame for frame in export.frames if frame.shapes or args.background]
        validation, how = choose_validation([frame.name for frame in frames], args.val, args.seed,
                                            args.split_by)
        written = write_dataset(args.out, frames,
                                FrameFiles(images, is_export=not args.images), ids, validation)
    say(f'{export.tool}: {len(frames)} frames of {args.export} in {args.out}; {how}',
        to_stdout=True)
    _warn(export, len(frames), ids.class_map, args.background)
    total = sum(written.pixels.values())
    for i, name in enumerate((*ids.class_map.names, 'not labeled')):
        share = written.pixels[i if i < len(ids.class_map) else 255] / total
        mark = '  drivable' if i < len(ids.class_map) and ids.class_map.drivable[i] else ''
        say(f'{share:7.1%}  {name}{mark}', to_stdout=True)
    return 0


def _open_images(args: argparse.Namespace, files):
    """Return the files among which the frames are."""
    from enet_ros.training.label_import.files import ExportFiles
    if args.images:
        return ExportFiles(args.images)
    # A single file is an export without frames: they lie beside it.
    return files if args.export.is_dir() or len(files.names) > 1 else ExportFiles(
        args.export.parent)


def _warn(export, kept: int, class_map, background: str | None) -> None:
    """Say on standard error what was left out, and what cannot be trained."""
    if len(class_map.labeled) < 2:
        say(f"warning: the only class is '{class_map.names[0]}', and enet-ros train wants two; "
            '--background LABEL makes a class of the pixels on which nobody drew')
    for remark in export.remarks:
        say(f'warning: {remark}')
    if kept < len(export.frames):
        say(f'warning: {len(export.frames) - kept} frames without any shape were left out')
    for kind, count in sorted(export.ignored.items()):
        if count:
            say(f"warning: {count} annotations of the kind '{kind}' were left out: only "
                'polygons and masks say which pixels they mean'
                + (f"; their pixels are '{background}'" if background else ''))
