"""Options of a training run: their defaults, their ranges, and which may change between starts."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from enet_ros.network.resolution import check_resolution
from enet_ros.training.batches import default_workers
from enet_ros.training.data_file import read_sources
from enet_ros.training.recipes import RECIPES, Recipe
from enet_ros.training.sources import Source, parse_source

RESOLUTIONS = {'camvid': (480, 360), 'cityscapes': (1024, 512), 'sunrgbd': (320, 240)}
OTHER_RESOLUTION = (640, 360)  # of all other data sets
BATCHES = {'paper': 10, 'modern': 8}
DEFAULT_STEPS = 10_000
WORLDS = ('town', 'varied')  # of synthetic roads
#: Least and greatest value of an option. At ten times their chances most photometric changes
#: happen at once; a soft Jaccard loss is at most 1, the cross entropy beside it a few.
RANGES = (('batch_size', 1, 4096), ('jaccard', 0, 100), ('strength', 0, 10), ('drawn', 0, 1),
          ('workers', 0, 64), ('val_every', 1, 10**9), ('save_every', 1, 10**9),
          ('seed', 0, 2**32 - 1))
#: Value above which an option must lie. At c = 1 the weight of an absent class is infinite.
LOWER_BOUNDS = (('steps', 0), ('hours', 0), ('lr', 0), ('class_weights', 1))
#: Options that may differ when a run is continued; all others belong to the run.
MAY_CHANGE = ('out', 'hours', 'drawn', 'keep', 'workers', 'val_every', 'save_every',
              'compiled', 'threads')


class TrainingError(ValueError):
    """A run cannot be started or continued; the message says why."""


@dataclass
class TrainOptions:
    """Options of the command line; see ``enet-ros train --help``.

    None stands for the default of the recipe, of the data set or of the machine.

    Attributes:
        dataset: Name of a data set in ``root``; or NAME=FOLDER or NAME=FOLDER:SHARE of each.
        root: Folder of the data set, for a name alone.
        out: Folder of the run.
        data: Data file instead of ``dataset``, see :mod:`enet_ros.training.data_file`.
        sources: The data sets of the run, which :meth:`checked` fills in.
        classes: Class file of the data set 'folders'.
        weights: Weights to start from, a file or the name of one that ships.
        recipe: 'modern' or 'paper': optimizer, loss, augmentation and schedule.
        steps: Number of steps of the whole run.
        hours: Hours after which training stops.
        batch_size: Number of samples in a step, over all processes.
        resolution: (width, height) of whole frames, which is the network's input.
        crop: (width, height) of the crops of the modern recipe.
        lr: Peak learning rate.
        class_weights: c of the class weights 1 / ln(c + p), where p is a class's part of the
            pixels. The paper's section 5 has 1.02.
        jaccard: Factor of the soft Jaccard loss beside the cross entropy.
        strength: Factor of the chances of photometric changes.
        drawn: Fraction of the samples that are synthetic roads, in [0, 1].
        world: Kind of synthetic roads, one of :data:`WORLDS`.
        seed: Seed of all random numbers.
        keep: Weights that are kept: of the 'best' validation or of the 'last' step.
        val_every: Number of steps between two validations.
        save_every: Number of steps between two checkpoints.
        workers: Number of loading processes of each training process.
        threads: Number of CPU threads of torch; 0 for all.
        precision: Number format of a step, as Lightning names it.
        compiled: Whether ``torch.compile`` compiles the step.
        train_split: Name of the split that is trained on; None beside ``data``, which has its own.
        val_split: Name of the split that chooses the weights; None beside ``data``.
    """

    dataset: str | Sequence[str]
    root: str | None
    out: str
    data: str | None = None
    sources: tuple[Source, ...] = ()
    classes: str | None = None
    weights: str | None = None
    recipe: str = 'modern'
    steps: int | None = None
    hours: float | None = None
    batch_size: int | None = None
    resolution: tuple[int, int] | None = None
    crop: tuple[int, int] = (320, 240)
    lr: float | None = None
    class_weights: float | None = None
    jaccard: float | None = None
    strength: float | None = None
    drawn: float = 0.0
    world: str = 'town'
    seed: int = 0
    keep: str = 'best'
    val_every: int = 500
    save_every: int = 100
    workers: int | None = None
    threads: int = 0
    precision: str = 'bf16-mixed'
    compiled: bool = False
    train_split: str | None = None
    val_split: str | None = None

    def checked(self) -> TrainOptions:
        """Return a copy with the defaults filled in.

        Raises:
            ValueError: An option is out of range; the message names it.
        """
        if self.recipe not in RECIPES:
            raise TrainingError(f"recipe is '{self.recipe}', wanted {' or '.join(RECIPES)}")
        if self.world not in WORLDS:
            raise TrainingError(f"world is '{self.world}', wanted {' or '.join(WORLDS)}")
        if os.fsencode(self.out).decode(errors='replace') != self.out:
            raise TrainingError(f"out is '{self.out}', wanted a path in UTF-8: TensorBoard's log "
                                'can be written to no other')
        filled = self._with_defaults()
        for name, low, high in RANGES:
            value = getattr(filled, name)
            if value is not None and not low <= value <= high:
                raise TrainingError(f'{name} is {value}, wanted {low} to {high}')
        for name, low in LOWER_BOUNDS:
            value = getattr(filled, name)
            if value is not None and not low < value < math.inf:
                raise TrainingError(f'{name} is {value}, wanted a number above {low}')
        return filled

    def _with_defaults(self) -> TrainOptions:
        sources = self._sources()
        resolution = self.resolution or RESOLUTIONS.get(sources[0].dataset, OTHER_RESOLUTION)
        filled = replace(self, sources=sources, resolution=check_resolution(resolution),
                         crop=check_resolution(self.crop))
        if not self.data:
            filled.train_split, filled.val_split = sources[0].train_split, sources[0].val_split
        if filled.batch_size is None:
            filled.batch_size = BATCHES[self.recipe]
        if filled.steps is None and filled.hours is None:
            filled.steps = DEFAULT_STEPS
        if filled.workers is None:
            filled.workers = default_workers(on_gpu=torch.cuda.is_available(),
                                             processes=local_processes())
        return filled

    def _sources(self) -> tuple[Source, ...]:
        """Return the data sets of the run.

        Raises:
            ValueError: The options that name them contradict each other.
        """
        names = [self.dataset] if isinstance(self.dataset, str) else list(self.dataset or ())
        if self.data:
            given = (self.root, self.classes, self.train_split, self.val_split)
            if names or given != (None,) * 4:
                raise TrainingError('--data names the data sets, so --dataset, --root, --classes, '
                                    '--train-split and --val-split are refused beside it')
            sources = read_sources(Path(self.data))
            if sources[0].val_split is None:
                raise TrainingError(f'{self.data}: val_split of source 1 is null, wanted a split, '
                                    'since its scores choose the weights')
            return sources
        if not names:
            raise TrainingError('no data set: wanted --dataset NAME --root FOLDER, --dataset '
                                'NAME=FOLDER:SHARE once or more, or --data FILE')
        splits = {'train_split': self.train_split, 'val_split': self.val_split}
        settings = {key: name for key, name in splits.items() if name is not None}
        if len(names) == 1 and '=' not in names[0]:
            if not self.root:
                raise TrainingError(f'--dataset {names[0]} wants its folder: --root FOLDER')
            return (Source(names[0], self.root, classes=self.classes, **settings),)
        if self.root or self.classes:
            raise TrainingError('--root and --classes belong to one --dataset NAME. With several '
                                'write NAME=FOLDER, and class files in a --data FILE')
        return tuple(parse_source(name, **settings) for name in names)

    def recipe_with_changes(self) -> Recipe:
        """Return the recipe with the changes that the options make to it."""
        changes = {'lr': self.lr, 'class_weight_c': self.class_weights, 'jaccard': self.jaccard,
                   'strength': self.strength}
        return replace(RECIPES[self.recipe],
                       **{key: value for key, value in changes.items() if value is not None})


def local_processes() -> int:
    """Return the number of training processes on this machine, which torchrun announces."""
    return int(os.environ.get('LOCAL_WORLD_SIZE', 1))
