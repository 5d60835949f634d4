"""``enet-ros train``."""

from __future__ import annotations

import argparse

from enet_ros.cli.options import resolution

DESCRIPTION = """Train ENet. The run can be stopped (Ctrl-C, SIGTERM, a crash) and continued by
the same command. RUN then holds model.safetensors, curves.png, samples.png, scores.json, a
TensorBoard log, last.ckpt and best.ckpt.

example:
  enet-ros train --dataset camvid --root ~/data/camvid --out runs/camvid --steps 10000"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    data = parser.add_argument_group('data')
    data.add_argument('--dataset', required=True, metavar='NAME',
                      help='camvid, cityscapes, sunrgbd or folders')
    data.add_argument('--root', required=True, metavar='DIR', help='folder of the data set')
    data.add_argument('--classes', metavar='FILE',
                      help='class file of folders (default: classes.yaml or .json in --root)')
    data.add_argument('--train-split', default='train', metavar='NAME')
    data.add_argument('--val-split', default='val', metavar='NAME',
                      help='chooses the weights that are kept; never trained on')
    data.add_argument('--drawn', type=float, default=0.0, metavar='FRACTION',
                      help='of the samples that come from the drawn road scene (default: 0)')
    run = parser.add_argument_group('run')
    run.add_argument('--out', required=True, metavar='RUN', help='folder of the run')
    run.add_argument('--weights', metavar='START', help='weights to start from (default: none)')
    run.add_argument('--recipe', default='modern', choices=('paper', 'modern'))
    run.add_argument('--steps', type=int, metavar='N',
                     help='of the whole run (default: 10000, or as many as --hours allow)')
    run.add_argument('--hours', type=float, metavar='H',
                     help='stop after H hours; without --steps, the schedule ends then')
    run.add_argument('--seed', type=int, default=0, metavar='N')
    run.add_argument('--keep', default='best', choices=('best', 'last'),
                     help='weights of the best validation, or of the last step')
    _add_recipe_arguments(parser.add_argument_group('recipe (default: as the recipe says)'))
    _add_machine_arguments(parser.add_argument_group('machine'))


def _add_recipe_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--batch-size', type=int, metavar='N', help='over all processes')
    group.add_argument('--crop', type=resolution, default=(320, 240), metavar='WxH',
                       help='of the modern recipe (default: 320x240)')
    group.add_argument('--resolution', type=resolution, metavar='WxH', help='of whole frames')
    group.add_argument('--lr', type=float, metavar='RATE', help='peak learning rate')
    group.add_argument('--class-weights', type=float, metavar='C',
                       help='c of 1/ln(c + p): 1.02 is the paper, 1.1 is mild')
    group.add_argument('--jaccard', type=float, metavar='FACTOR',
                       help='of the soft Jaccard loss beside the cross entropy')
    group.add_argument('--strength', type=float, metavar='FACTOR',
                       help='of the changes of colour, light, weather and texture; 0 for none')


def _add_machine_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--precision', default='bf16-mixed',
                       choices=('bf16-mixed', '16-mixed', '32-true'))
    group.add_argument('--compile', action='store_true', dest='compiled',
                       help='torch.compile the step: half the time on a CPU; needs g++')
    group.add_argument('--workers', type=int, default=0, metavar='N', help='loading processes')
    group.add_argument('--threads', type=int, default=0, metavar='N', help="torch's; 0 for all")
    group.add_argument('--val-every', type=int, default=500, metavar='N', help='steps')
    group.add_argument('--save-every', type=int, default=100, metavar='N', help='steps')


def run(args: argparse.Namespace) -> int:
    """Train; return 0, or 3 when stopped before the end."""
    from dataclasses import fields

    from enet_ros.training.options import TrainOptions
    from enet_ros.training.train import train
    return train(TrainOptions(**{field.name: getattr(args, field.name)
                                 for field in fields(TrainOptions)}))
