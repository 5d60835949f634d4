"""What a finished run tells at its end: its weights, their scores, and what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path

from enet_ros.common.one_line_error import printable
from enet_ros.network.class_map import ClassMap
from enet_ros.perception.parameters.settings import NodeSettings
from enet_ros.training.options import TrainOptions

#: Key of a score -> its printed name.
SCORES = {'miou': 'class IoU', 'drivable_iou': 'drivable IoU', 'class_avg': 'class average',
          'global_avg': 'global average'}


def summarize(options: TrainOptions, scores: dict, class_map: ClassMap) -> str:
    """Return the lines that end a run.

    Args:
        options: Checked options of the run.
        scores: Scores on the validation split of the first data set, in which None is no score.
        class_map: The classes of the run.
    """
    weights = Path(options.out) / 'model.safetensors'
    figures = ', '.join(f'{name} {100 * scores[key]:.1f} %' for key, name in SCORES.items()
                        if scores.get(key) is not None)
    hint = '' if class_map.drivable_names else ' (NAME is the class to drive on)'
    return '\n'.join((
        f'weights: {weights}',
        f'scores on {scores["images"]} validation images: {figures or "none"}',
        f'more: {weights.parent / "scores.json"}, curves.png and samples.png beside it',
        f'next{hint}:', *(f'  {printable(shlex.join(command))}'
                   for command in next_commands(options, weights, class_map))))


def next_commands(options: TrainOptions, weights: Path, class_map: ClassMap) -> list[list[str]]:
    """Return the commands that score the weights, label files, and start the node with them.

    Args:
        options: Checked options of the run.
        weights: Path of the weights.
        class_map: Their classes. If none is drivable, NAME in a command stands for one.
    """
    width, height = options.resolution
    size, parameters = [], ['-p', f'weights:={weights.resolve()}']
    if options.resolution != NodeSettings().resolution:
        size = ['--resolution', f'{width}x{height}']
        parameters += ['-p', f'resolution:=[{width}, {height}]']
    if not class_map.drivable_names:
        parameters += ['-p', 'class_map.NAME.drivable:=true']
    return [
        ['enet-ros', 'eval', *_data_of(options), '--weights', str(weights)],
        ['enet-ros', 'segment', 'images/', '--out', 'labeled', '--weights', str(weights), *size],
        ['segment_node', '--ros-args', *parameters]]


def _data_of(options: TrainOptions) -> list[str]:
    """Return the options of ``enet-ros eval`` for the validation of a run."""
    if options.data:
        return ['--data', options.data]
    source = options.sources[0]
    classes = ['--classes', source.classes] if source.classes else []
    return ['--dataset', source.dataset, '--root', source.root, '--split', source.val_split,
            *classes]
