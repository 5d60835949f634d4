"""``enet-ros train``."""

from __future__ import annotations

import argparse

from enet_ros.cli.options import resolution, threads

DESCRIPTION = """Train ENet. The same command continues a run that was stopped (Ctrl-C, SIGTERM, a
crash). At the end RUN holds model.safetensors, curves.png, samples.png, scores.json, a TensorBoard
log, last.ckpt and best.ckpt.

examples:
  enet-ros train --dataset camvid --root ~/data/camvid --out runs/camvid --steps 10000
  enet-ros train --dataset camvid=~/camvid:0.5 --dataset idd_lite=~/idd_lite:0.3 --out runs/mixed
  enet-ros train --data site.yaml --out runs/site"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    data = parser.add_argument_group('data')
    data.add_argument('--dataset', action='append', default=[], metavar='NAME[=DIR[:SHARE]]',
                      help='data set: camvid, cityscapes, sunrgbd, idd_lite, lums, synthetic '
                           '(of enet-ros draw) or folders. Repeat it for several. SHARE is its '
                           'part of the samples (default: 1). The first gives the classes')
    data.add_argument('--root', metavar='DIR', help='folder of the only data set')
    data.add_argument('--data', metavar='FILE',
                      help='YAML file of the data sets, with shares, class files and renamed '
                           'classes; docs/training.md shows one')
    data.add_argument('--classes', metavar='FILE',
                      help='class file of folders (default: classes.yaml or .json in --root)')
    data.add_argument('--train-split', metavar='NAME',
                      help='split that is trained on (default: train)')
    data.add_argument('--val-split', metavar='NAME',
                      help='split that chooses the weights, which must be another (default: val)')
    data.add_argument('--drawn', type=float, default=0.0, metavar='FRACTION',
                      help='fraction of samples from synthetic roads, 0 to 1 (default: 0)')
    data.add_argument('--world', default='town', choices=('town', 'varied'),
                      help='kind of synthetic roads: streets of a town by day, or also dirt, '
                           'gravel, verges, tunnels, hard shadows, crowds and night '
                           '(default: town)')
    run = parser.add_argument_group('run')
    run.add_argument('-o', '--out', required=True, metavar='RUN', help='folder of the run')
    run.add_argument('--weights', metavar='START', help='weights to start from (default: none)')
    run.add_argument('--recipe', default='modern', choices=('paper', 'modern'),
                     help='optimizer, loss, augmentation and schedule (default: modern)')
    run.add_argument('--steps', type=int, metavar='N',
                     help='steps of the whole run (default: 10000, or as many as --hours allow)')
    run.add_argument('--hours', type=float, metavar='H',
                     help='with --steps: stop each start after H hours of training, to be '
                          'continued by the same command. Without: end the run and its schedule')
    run.add_argument('--seed', type=int, default=0, metavar='N',
                     help='seed of all random numbers (default: 0)')
    run.add_argument('--keep', default='best', choices=('best', 'last'),
                     help='keep the weights of the best validation or of the last step '
                          '(default: best)')
    _add_recipe_arguments(parser.add_argument_group('recipe (default: as the recipe says)'))
    _add_machine_arguments(parser.add_argument_group('machine'))


def _add_recipe_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--batch-size', type=int, metavar='N',
                       help='samples in a step, over all processes')
    group.add_argument('--crop', type=resolution, default=(320, 240), metavar='WxH',
                       help='size of crops in the modern recipe (default: 320x240)')
    group.add_argument('--resolution', type=resolution, metavar='WxH',
                       help="size of whole frames, which is the network's input")
    group.add_argument('--lr', type=float, metavar='RATE', help='peak learning rate')
    group.add_argument('--class-weights', type=float, metavar='C',
                       help='c of the class weights 1/ln(c + p): 1.02 in the paper; 1.1 is mild')
    group.add_argument('--jaccard', type=float, metavar='FACTOR',
                       help='factor of the soft Jaccard loss beside the cross entropy')
    group.add_argument('--strength', type=float, metavar='FACTOR',
                       help='factor of the chances of photometric changes; 0 for none')


def _add_machine_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--precision', default='bf16-mixed',
                       choices=('bf16-mixed', '16-mixed', '32-true'),
                       help='number format of a step (default: bf16-mixed)')
    group.add_argument('--compile', action='store_true', dest='compiled',
                       help='torch.compile the step: half the time on a CPU; it needs g++')
    group.add_argument('--workers', type=int, metavar='N',
                       help='loading processes for each training process (default: the cores but '
                            'one, 16 at most, where a GPU trains; 0 on a CPU)')
    group.add_argument('--threads', type=threads, default=0, metavar='N',
                       help='CPU threads of torch (default: 0, for all)')
    group.add_argument('--val-every', type=int, default=500, metavar='N',
                       help='steps between two validations (default: 500)')
    group.add_argument('--save-every', type=int, default=100, metavar='N',
                       help='steps between two checkpoints (default: 100)')


def run(args: argparse.Namespace) -> int:
    """Train; return 0, or 3 when stopped before the end."""
    from dataclasses import fields

    from enet_ros.training.options import TrainOptions
    from enet_ros.training.train import train
    return train(TrainOptions(**{field.name: getattr(args, field.name)
                                 for field in fields(TrainOptions) if field.name != 'sources'}))
