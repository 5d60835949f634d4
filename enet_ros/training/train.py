"""A training run: from options to RUN/model.safetensors, resumable at any step."""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import SIGTERMException

from enet_ros.network.build import build_network
from enet_ros.network.checkpoint import Checkpoint, read_checkpoint, weights_path, write_checkpoint
from enet_ros.network.class_map import ClassMap
from enet_ros.network.enet import ENet
from enet_ros.perception.segmenter import check_resolution
from enet_ros.training.batches import DrawnFrames, Frames, Look, TrainingSet
from enet_ros.training.calibrate import best_offsets, best_temperature, sample_logits
from enet_ros.training.datasets import SegmentationData, open_dataset
from enet_ros.training.evaluate import evaluate
from enet_ros.training.geometric import CROPS, PLAIN, WHOLE_FRAMES
from enet_ros.training.losses import class_weights
from enet_ros.training.metrics import without_nan
from enet_ros.training.module import (
    MEAN,
    RECIPES,
    STD,
    Clock,
    Looks,
    Recipe,
    SegmentationModule,
    refresh_batch_norm,
)
from enet_ros.training.report import draw_curves, draw_samples

RESOLUTIONS = {'camvid': (480, 360), 'cityscapes': (1024, 512), 'sunrgbd': (320, 240),
               'folders': (640, 360)}
BATCHES = {'paper': 10, 'modern': 8}
DEFAULT_STEPS = 10_000
#: Least and greatest value of an option. At ten times their chances most changes of look
#: happen at once; a soft Jaccard loss is at most 1, the cross entropy beside it a few.
RANGES = (('batch_size', 1, 4096), ('jaccard', 0, 100), ('strength', 0, 10), ('drawn', 0, 1),
          ('workers', 0, 64), ('val_every', 1, 10**9), ('save_every', 1, 10**9))
#: What an option must lie above. At c = 1 the weight of a class that never occurs is infinite.
ABOVE = (('steps', 0), ('hours', 0), ('lr', 0), ('class_weights', 1))
#: What may differ when a run is continued; everything else belongs to the run.
MAY_CHANGE = ('hours', 'drawn', 'keep', 'workers', 'val_every', 'save_every', 'compiled',
              'threads')


class TrainingError(ValueError):
    """A run that cannot be started or continued; the message says why."""


@dataclass
class TrainOptions:
    """What the command line says; see ``enet-ros train --help``.

    None stands for the default of the recipe or of the data set.
    """

    dataset: str
    root: str
    out: str
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
    seed: int = 0
    keep: str = 'best'
    val_every: int = 500
    save_every: int = 100
    workers: int = 0
    threads: int = 0
    precision: str = 'bf16-mixed'
    compiled: bool = False
    train_split: str = 'train'
    val_split: str = 'val'

    def checked(self) -> TrainOptions:
        """Return a copy with the defaults filled in.

        Raises:
            ValueError: an option out of range; the message names it.
        """
        if self.recipe not in RECIPES:
            raise TrainingError(f"recipe is '{self.recipe}', wanted {' or '.join(RECIPES)}")
        resolution = self.resolution or RESOLUTIONS.get(self.dataset, (640, 360))
        filled = replace(self, resolution=check_resolution(resolution),
                         crop=check_resolution(self.crop))
        if filled.batch_size is None:
            filled.batch_size = BATCHES[self.recipe]
        if filled.steps is None and filled.hours is None:
            filled.steps = DEFAULT_STEPS
        for name, low, high in RANGES:
            value = getattr(filled, name)
            if value is not None and not low <= value <= high:
                raise TrainingError(f'{name} is {value}, wanted {low} to {high}')
        for name, low in ABOVE:
            value = getattr(filled, name)
            if value is not None and not low < value < math.inf:
                raise TrainingError(f'{name} is {value}, wanted a number above {low}')
        return filled

    def recipe_with_changes(self) -> Recipe:
        """Return the recipe with what the command line changes in it."""
        changes = {'lr': self.lr, 'class_weight_c': self.class_weights, 'jaccard': self.jaccard,
                   'strength': self.strength}
        return replace(RECIPES[self.recipe],
                       **{key: value for key, value in changes.items() if value is not None})


class KeepLast(pl.callbacks.Checkpoint):
    """Write ``last.ckpt`` every so often and when asked to stop, and stop in time.

    At a step with a validation it is written after it, for Lightning does not make up for one
    when it continues. It is a ``Checkpoint`` so that Lightning calls it after :class:`KeepBest`,
    whose state it keeps.

    Args:
        path: of the checkpoint.
        every: steps between two of them.
    """

    def __init__(self, path: Path, every: int):
        self.path, self.every = path, every
        self.signal: int | None = None
        self.validates = False  # at this step, whether the run is stopped there or not

    def ask_to_stop(self, number: int, _frame) -> None:
        """Handle SIGINT and SIGTERM: finish the step first."""
        self.signal = number

    def on_train_start(self, trainer, module) -> None:
        """Take SIGTERM back from Lightning, whose handler would break off a validation."""
        signal.signal(signal.SIGTERM, self.ask_to_stop)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        """Save unless a validation comes first, and stop if the time is up or somebody asked."""
        step = trainer.global_step
        over = module.clock.progress(step) >= 1
        # The processes of a run must agree, and their clocks do not.
        self.validates, stop = trainer.strategy.broadcast(
            (over or step % trainer.val_check_interval == 0, over or self._is_asked(module)))
        if not self.validates and (stop or step % self.every == 0):
            trainer.save_checkpoint(self.path, weights_only=False)
        trainer.should_stop = trainer.should_stop or stop

    def on_validation_end(self, trainer, module) -> None:
        """Save, and stop if the time is up or somebody asked meanwhile."""
        if self.validates:
            trainer.save_checkpoint(self.path, weights_only=False)
            stop = trainer.strategy.broadcast(self._is_asked(module))
            trainer.should_stop = trainer.should_stop or stop

    def _is_asked(self, module) -> bool:
        return self.signal is not None or module.clock.time_is_up()


class KeepBest(ModelCheckpoint):
    """Write ``best.ckpt`` at each validation that is better than all before.

    Lightning validates once more when a run is stopped. That validation does not count unless it
    was due anyway: a run that was not stopped has none there, and would keep other weights.

    Args:
        folder: of the run.
        last: knows which validations count.
    """

    def __init__(self, folder: Path, last: KeepLast):
        super().__init__(dirpath=folder, filename='best', monitor='miou', mode='max',
                         save_top_k=1, enable_version_counter=False)
        self.last = last

    def on_validation_end(self, trainer, module) -> None:
        """Save, unless a run that is not stopped has no validation here."""
        if self.last.validates:
            super().on_validation_end(trainer, module)


class Bar(TQDMProgressBar):
    """A progress bar over the steps of the run."""

    def __init__(self, steps: int | None):
        super().__init__(refresh_rate=10)
        self.steps = steps

    @property
    def total_train_batches(self):
        """Steps of the run, or infinity where time decides."""
        return self.steps or float('inf')


def train(options: TrainOptions) -> int:
    """Train, or continue where the run in ``options.out`` stopped.

    Args:
        options: see ``enet-ros train --help``.

    Returns:
        0 when the run is finished and its model written; 3 when it was stopped before, to be
        continued by the same command.

    Raises:
        ValueError: bad options, data or weights; the message names them.
        OSError: the folder of the run cannot be written.
    """
    options = options.checked()
    cv2.setNumThreads(1)
    if options.threads:
        torch.set_num_threads(options.threads)
    pl.seed_everything(options.seed, verbose=False)
    _quiet()
    run = Path(options.out)
    last = _prepared(run, options)
    training, validation = (open_dataset(options.dataset, options.root, split, options.classes)
                            for split in (options.train_split, options.val_split))
    for data in (training, validation):
        data.check()
    module = build_module(options, training, validation)
    finished = fit(module, options, last)
    if not finished:
        print(f'stopped at step {module.global_step}; the same command continues from {last}')
        return 3
    if module.global_rank == 0:
        finish(module, options, validation)
    return 0


def _quiet() -> None:
    """Silence what Lightning says about things that are meant so."""
    logging.getLogger('pytorch_lightning').setLevel(logging.WARNING)
    for text in ('Checkpoint directory', 'Found .* in eval mode', '.*does not have many workers',
                 '.*LeafSpec'):
        warnings.filterwarnings('ignore', message=text)


def _prepared(run: Path, options: TrainOptions) -> Path:
    """Make the folder of the run, or check that it holds this very run; return its last.ckpt.

    Raises:
        TrainingError: the folder holds a run with other options, or a finished one.
    """
    run.mkdir(parents=True, exist_ok=True)
    kept, last = run / 'options.json', run / 'last.ckpt'
    wanted = json.loads(json.dumps(asdict(options)))
    if last.is_file() and kept.is_file():
        found = json.loads(kept.read_text())
        changed = [f'{key} was {found.get(key)}, now {value}' for key, value in wanted.items()
                   if key not in MAY_CHANGE and found.get(key) != value]
        if changed:
            raise TrainingError(f'{run} holds another run: {"; ".join(changed)}. Repeat its '
                                'command to continue it, or choose another --out')
        if (run / 'model.safetensors').is_file():
            raise TrainingError(f'{run} holds a finished run; choose another --out')
    # Several processes write it at once, and read what another may be writing.
    new = run / f'.options-{os.getpid()}.json'
    new.write_text(json.dumps(wanted, indent=2) + '\n')
    new.replace(kept)
    return last


def _start_network(options: TrainOptions, class_map: ClassMap) -> ENet:
    """Build the network, from the start weights if there are any.

    Weights of other classes lend all but the last layer.

    Raises:
        TrainingError: the start weights are of another network.
    """
    if not options.weights:
        return ENet(len(class_map))
    checkpoint = read_checkpoint(weights_path(options.weights))
    if (checkpoint.architecture, checkpoint.decoder_activation) != ('enet', 'prelu'):
        raise TrainingError(f"weights '{options.weights}' are of a {checkpoint.architecture} with "
                            f'a {checkpoint.decoder_activation} decoder, wanted enet and prelu: '
                            'the network that is trained')
    network = build_network(checkpoint)
    if checkpoint.class_map.names != class_map.names:
        network.fullconv = ENet(len(class_map)).fullconv
        network.num_classes = len(class_map)
    return network


def build_module(options: TrainOptions, training: SegmentationData,
                 validation: SegmentationData) -> SegmentationModule:
    """Put together what a run trains and on what."""
    recipe, frames, size = options.recipe_with_changes(), Frames(training), options.resolution
    drawn = DrawnFrames(training.class_map, size) if options.drawn else None
    data = TrainingSet(frames, drawn, options.seed, options.batch_size)
    plain = not recipe.strength
    looks = Looks(Look(options.crop, size, CROPS, recipe.strength, options.drawn),
                  Look(size, size, PLAIN if plain else WHOLE_FRAMES, recipe.strength,
                       options.drawn))
    weights = class_weights(frames.pixel_counts(), recipe.class_weight_c)
    return SegmentationModule(
        _start_network(options, training.class_map), training.class_map, recipe,
        Clock(options.steps, options.hours), weights, (data, Frames(validation)), looks,
        options.workers, options.compiled)


def _machines(recipe: Recipe) -> dict:
    """Read from torchrun's environment how many processes and machines take part."""
    world = int(os.environ.get('WORLD_SIZE', 1))
    local = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    if world == 1:
        return {'devices': 1, 'num_nodes': 1, 'strategy': 'auto'}
    backend = 'nccl' if torch.cuda.is_available() else 'gloo'
    # Training the encoder alone leaves the decoder without gradients.
    strategy = DDPStrategy(process_group_backend=backend,
                           find_unused_parameters=recipe.encoder_part > 0)
    return {'devices': local, 'num_nodes': world // local, 'strategy': strategy,
            'sync_batchnorm': torch.cuda.is_available()}


def _trainer(options: TrainOptions, keep: KeepLast) -> pl.Trainer:
    """Set the trainer up.

    Raises:
        TrainingError: the batch cannot be shared out evenly among the processes.
    """
    machines, run = _machines(options.recipe_with_changes()), Path(options.out)
    processes = machines['devices'] * machines['num_nodes']
    if options.batch_size % processes:
        raise TrainingError(f'batch_size is {options.batch_size}, wanted a multiple of the '
                            f'{processes} processes')
    return pl.Trainer(
        accelerator='gpu' if torch.cuda.is_available() else 'cpu', precision=options.precision,
        max_steps=options.steps or -1, max_epochs=-1, val_check_interval=options.val_every,
        check_val_every_n_epoch=None, logger=TensorBoardLogger(run, name='', version='log'),
        callbacks=[Bar(options.steps), KeepBest(run, keep), keep], default_root_dir=run,
        num_sanity_val_steps=0, log_every_n_steps=20, use_distributed_sampler=False,
        enable_model_summary=False, **machines)


def fit(module: SegmentationModule, options: TrainOptions, last: Path) -> bool:
    """Run the trainer until the run is finished or stopped.

    Returns:
        Whether it is finished.
    """
    keep = KeepLast(last, options.save_every)
    trainer = _trainer(options, keep)
    before = {number: signal.signal(number, keep.ask_to_stop)
              for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        trainer.fit(module, ckpt_path=last if last.is_file() else None, weights_only=True)
    except SIGTERMException:
        pass  # of Lightning, where it came before on_train_start; KeepLast has saved the step
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return module.clock.progress(module.global_step) >= 1


def finish(module: SegmentationModule, options: TrainOptions,
           validation: SegmentationData) -> None:
    """Choose the weights, calibrate and score them, and write the model and the pictures."""
    run, module = Path(options.out), module.cpu()
    checkpoint, network = max(
        ((_to_checkpoint(network, options, validation), network)
         for network in _candidates(module, options)),
        key=lambda pair: pair[0].scores['miou'])
    checkpoint.temperature = best_temperature(
        *sample_logits(network, module.validation_frames, options.resolution))
    scores = without_nan(evaluate(checkpoint, validation, backend='torch', precision='float32'))
    checkpoint.scores = {options.val_split: scores}
    write_checkpoint(run / 'model.safetensors', checkpoint)
    (run / 'scores.json').write_text(json.dumps(scores, indent=2) + '\n')
    draw_curves(run / 'curves.png', module.curves)
    draw_samples(run / 'samples.png', checkpoint, validation)


def _candidates(module: SegmentationModule, options: TrainOptions) -> Iterator[ENet]:
    """Yield the networks of the last step and, if asked for, of the best validation."""
    yield _refreshed(module, options)
    best = Path(options.out) / 'best.ckpt'
    if options.keep == 'best' and best.is_file():
        module.load_state_dict(torch.load(best, 'cpu', weights_only=True)['state_dict'])
        yield _refreshed(module, options)


@torch.no_grad()
def _refreshed(module: SegmentationModule, options: TrainOptions) -> ENet:
    """Copy the network to keep, with statistics and offsets from the training frames."""
    network = copy.deepcopy(module.evaluated)
    if module.average is not None:
        refresh_batch_norm(network, module.training_frames(len(module.training_set)))
    network.eval()
    if module.recipe.balance:
        network.fullconv.bias += torch.from_numpy(best_offsets(*sample_logits(
            network, module.training_set.frames, options.resolution)))
    return network


def _to_checkpoint(network: ENet, options: TrainOptions,
                   validation: SegmentationData) -> Checkpoint:
    """Describe a network and score it on the validation frames."""
    checkpoint = Checkpoint(
        tensors={name: tensor.numpy() for name, tensor in network.state_dict().items()
                 if not name.endswith('num_batches_tracked')},
        class_map=validation.class_map, mean=MEAN, std=STD, resolution=options.resolution,
        origin=shlex.join(['enet-ros', *sys.argv[1:]]))
    checkpoint.scores = evaluate(checkpoint, validation, backend='torch', precision='float32')
    return checkpoint
