"""A training run: from options to RUN/model.safetensors, resumable at any step."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import SIGTERMException

from enet_ros.network.build import build_network
from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.network.class_map import ClassMap
from enet_ros.network.class_names import class_key
from enet_ros.network.enet import ENet
from enet_ros.training.batches import (
    BatchAugmentation,
    Frames,
    MixedFrames,
    Normalization,
    SyntheticFrames,
    TrainingSet,
)
from enet_ros.training.callbacks import KeepBest, KeepLast, ProgressBar, Throughput
from enet_ros.training.data_fingerprint import check_same_data, record_fingerprints
from enet_ros.training.data_module import AugmentationSchedule, RunData, explain_shared_memory
from enet_ros.training.data_survey import Survey, draw_contact_sheet, survey
from enet_ros.training.finish import finish
from enet_ros.training.finite_watch import FiniteWatch
from enet_ros.training.geometric import CROPS, PLAIN, WHOLE_FRAMES
from enet_ros.training.labeled_frames import SegmentationData
from enet_ros.training.losses import class_weights
from enet_ros.training.module import SegmentationModule
from enet_ros.training.options import TrainingError, TrainOptions, local_processes
from enet_ros.training.plots import warn_if_undrawn
from enet_ros.training.recipes import Progress, Recipe
from enet_ros.training.run_checkpoints import WholeCheckpoints
from enet_ros.training.run_folder import check_files_stay, prepare_run_folder
from enet_ros.training.run_lock import lock_run
from enet_ros.training.sources import (
    Source,
    check_apart,
    each_in_class_map,
    explain_no_drivable,
    in_one_class_map,
    other_drivable,
)
from enet_ros.training.summary import summarize

STOPPED = 3  # exit code of a run that was stopped before its end


def train(options: TrainOptions) -> int:
    """Train, or continue where the run in ``options.out`` stopped.

    Args:
        options: See ``enet-ros train --help``.

    Returns:
        0 when the run is finished and its model is written; 3 when it was stopped before. The
        same command then continues it.

    Raises:
        ValueError: Options, data or weights cannot be used; the message names them.
        OSError: The folder of the run cannot be written.
    """
    options = options.checked()
    cv2.setNumThreads(1)
    if options.threads:
        torch.set_num_threads(options.threads)
    pl.seed_everything(options.seed, verbose=False)
    _silence_lightning()
    run = Path(options.out)
    check_files_stay(run)  # before a lock file is left there
    run.mkdir(parents=True, exist_ok=True)
    with lock_run(run, _rank()):
        return _train_in(run, options)


def _train_in(run: Path, options: TrainOptions) -> int:
    """Train in a folder that this process holds, see :func:`train`."""
    last = prepare_run_folder(run, options)
    training, validation = open_sources(options.sources)
    surveys = report_data(run, training, validation, resumed=last.is_file())
    module, data = build_run(options, training, validation[0], surveys[0].class_pixels)
    if not fit(module, data, options, last):
        print(f'stopped at step {module.global_step}; the same command continues from {last}')
        return STOPPED
    if module.global_rank == 0:
        print(summarize(options, finish(module, data, options, validation),
                        validation[0].class_map))
    return 0


def report_data(run: Path, training: Sequence[SegmentationData],
                validation: Sequence[SegmentationData], *, resumed: bool) -> list[Survey]:
    """Check every pair, and show what will be learned in ``data.txt`` and ``data.png``.

    Returns:
        What was found in each split, training ones first.

    Raises:
        DatasetError: Files cannot be used.
        TrainingError: A run that is continued began on other data.
    """
    splits = (*training, *validation)
    if resumed:
        check_same_data(run, splits)
    if not _rank():
        print(f'reading all {sum(map(len, splits))} pairs of frames and labels once', flush=True)
    surveys = [survey(split, shows_progress=not _rank()) for split in splits]
    text = '\n'.join(map(str, surveys))
    if not _rank():
        print('\n'.join((text, *record_fingerprints(run, surveys, resumed=resumed))))
        (run / 'data.txt').write_text(text + '\n')
        with warn_if_undrawn('data.png', 'the run begins without'):
            draw_contact_sheet(run / 'data.png', training)
            print(f'{run / "data.png"} shows frames beside their labels')
    return surveys


def open_sources(sources: Sequence[Source]
                 ) -> tuple[list[SegmentationData], list[SegmentationData]]:
    """Open the splits of all sources, in the classes of the first.

    Returns:
        Training splits, and validation splits of those sources that have one.

    Raises:
        DatasetError: A split cannot be opened, a frame would be trained on and validate, or the
            first source has fewer than two classes.
    """
    training = [source.open(source.train_split) for source in sources]
    validated = [source for source in sources if source.val_split]
    validation = [source.open(source.val_split) for source in validated]
    check_apart(training, validation)
    class_map = training[0].class_map
    notes = [explain_no_drivable(class_map), *(
        other_drivable(class_map, 'the first data set calls', *pair)
        for pair in zip(training[1:], sources[1:]))]
    # One table of sets for all that is trained on, since a label must mean the same in a batch.
    translated = in_one_class_map(training, sources)
    return ([replace(split, notes=(note,) if note else ())
             for split, note in zip(translated, notes)],
            each_in_class_map(validation, validated, class_map))


def _rank() -> int:
    """Return the number of this process in the run; the first of several prints."""
    return int(os.environ.get('RANK', 0))


def _silence_lightning() -> None:
    """Silence Lightning's remarks on choices that are made on purpose."""
    logging.getLogger('pytorch_lightning').setLevel(logging.WARNING)
    for text in ('Checkpoint directory', 'Found .* in eval mode', '.*does not have many workers',
                 '.*LeafSpec'):
        warnings.filterwarnings('ignore', message=text)


def _start_network(options: TrainOptions, class_map: ClassMap) -> tuple[ENet, Normalization]:
    """Build the network and its normalization, from the start weights if there are any.

    Weights of other classes lend all layers, and of the last one the part of each class that they
    have. The others are printed.

    Raises:
        TrainingError: The start weights belong to another network.
    """
    if not options.weights:
        return ENet(len(class_map)), Normalization()
    checkpoint = read_checkpoint(weights_path(options.weights))
    if (checkpoint.architecture, checkpoint.decoder_activation) != ('enet', 'prelu'):
        raise TrainingError(f"weights '{options.weights}' are of a {checkpoint.architecture} with "
                            f'a {checkpoint.decoder_activation} decoder, wanted enet and prelu: '
                            'the network that is trained')
    network = build_network(checkpoint)
    if checkpoint.class_map.names != class_map.names:
        untrained = _change_classes(network, checkpoint.class_map, class_map)
        if untrained and not _rank():
            print(f"weights '{options.weights}' have no class {', '.join(untrained)}: the last "
                  'layer starts untrained there')
    return network, Normalization(checkpoint.mean, checkpoint.std)


def _change_classes(network: ENet, old: ClassMap, new: ClassMap) -> list[str]:
    """Give a network other classes. Those of an old name keep their part of the last layer.

    Names are compared as :func:`enet_ros.network.class_names.class_key` does it.

    Returns:
        The names of the other classes that can be labeled. Their part is untrained.
    """
    trained, network.fullconv = network.fullconv, ENet(len(new)).fullconv
    network.num_classes, untrained = len(new), []
    ids = {class_key(name): i for i, name in enumerate(old.names)}
    ids.update({name: i for i, name in enumerate(old.names)})  # tells Road from road
    for i, name in enumerate(new.names):
        old_id = ids.get(name, ids.get(class_key(name)))
        if old_id is not None:
            network.fullconv.weight.data[:, i] = trained.weight.data[:, old_id]
            network.fullconv.bias.data[i] = trained.bias.data[old_id]
        elif i in new.labeled:
            untrained.append(name)
    return untrained


def _schedule(options: TrainOptions, recipe: Recipe) -> AugmentationSchedule:
    """Choose the augmentation of crops and of whole frames."""
    size, strength = options.resolution, recipe.strength
    return AugmentationSchedule(
        BatchAugmentation(options.crop, size, CROPS, strength, options.drawn),
        BatchAugmentation(size, size, WHOLE_FRAMES if strength else PLAIN, strength,
                          options.drawn),
        recipe.crops_part)


def build_run(options: TrainOptions, training: Sequence[SegmentationData],
              validation: SegmentationData,
              class_pixels: np.ndarray) -> tuple[SegmentationModule, RunData]:
    """Build what a run trains and what it trains on.

    Args:
        options: Checked options.
        training: The training split of each source.
        validation: The validation split of the first.
        class_pixels: (num_classes,) pixels of each class in the training split of the first.
    """
    recipe, parts = options.recipe_with_changes(), [
        Frames(split, source) for source, split in enumerate(training)]
    frames = parts[0] if len(parts) == 1 else MixedFrames(
        parts, [source.share for source in options.sources])
    class_map = training[0].class_map
    progress = Progress(options.steps, options.hours)
    synthetic = SyntheticFrames(class_map, options.resolution,
                                varied=options.world == 'varied') if options.drawn else None
    data = RunData(TrainingSet(frames, synthetic, options.seed, options.batch_size),
                   Frames(validation), _schedule(options, recipe), progress, options.workers)
    module = SegmentationModule(
        *_start_network(options, class_map), class_map, recipe, progress,
        class_weights(class_pixels, recipe.class_weight_c), training[0].sets,
        validation.sets, compiled=options.compiled)
    return module, data


def _distribution_arguments(recipe: Recipe) -> dict:
    """Return arguments of the Trainer: processes and machines, by torchrun's environment."""
    world, local = int(os.environ.get('WORLD_SIZE', 1)), local_processes()
    if world == 1:
        return {'devices': 1, 'num_nodes': 1, 'strategy': 'auto'}
    backend = 'nccl' if torch.cuda.is_available() else 'gloo'
    # Training the encoder alone leaves the decoder without gradients.
    strategy = DDPStrategy(process_group_backend=backend,
                           find_unused_parameters=recipe.encoder_part > 0)
    return {'devices': local, 'num_nodes': world // local, 'strategy': strategy,
            'sync_batchnorm': torch.cuda.is_available()}


def _trainer(options: TrainOptions, keep: KeepLast, validation_frames: int) -> pl.Trainer:
    """Configure Lightning's trainer.

    Raises:
        TrainingError: The batch cannot be shared evenly among the processes, or a process would
            get no validation frame.
    """
    distribution = _distribution_arguments(options.recipe_with_changes())
    processes = distribution['devices'] * distribution['num_nodes']
    if options.batch_size % processes:
        raise TrainingError(f'batch_size is {options.batch_size}, wanted a multiple of the '
                            f'{processes} processes')
    if validation_frames < processes:
        raise TrainingError(f'the validation split has {validation_frames} frames, wanted at '
                            f'least one for each of the {processes} processes: label more frames '
                            'for it, or start fewer processes (--nproc-per-node)')
    run = Path(options.out)
    return pl.Trainer(
        accelerator='gpu' if torch.cuda.is_available() else 'cpu', precision=options.precision,
        max_steps=options.steps or -1, max_epochs=-1, val_check_interval=options.val_every,
        check_val_every_n_epoch=None, logger=TensorBoardLogger(run, name='', version='log'),
        callbacks=[Throughput(options.batch_size), ProgressBar(options.steps),
                   FiniteWatch(keep.path), KeepBest(run, keep), keep],
        plugins=[WholeCheckpoints()], default_root_dir=run, num_sanity_val_steps=0,
        log_every_n_steps=20, use_distributed_sampler=False, enable_model_summary=False,
        **distribution)


def fit(module: SegmentationModule, data: RunData, options: TrainOptions, last: Path) -> bool:
    """Run the trainer until the run is finished or stopped.

    Args:
        module: What is trained.
        data: What it is trained on.
        options: Checked options.
        last: Path of the checkpoint to continue from, if it exists.

    Returns:
        Whether the run is finished.

    Raises:
        TrainingError: The machine cannot train so; the message says what to do.
    """
    keep = KeepLast(last, options.save_every)
    trainer = _trainer(options, keep, len(data.validation_frames))
    handlers = {number: signal.signal(number, keep.ask_to_stop)
                for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        trainer.fit(module, datamodule=data, ckpt_path=last if last.is_file() else None)
    except SIGTERMException:
        pass  # of Lightning, where it came before on_train_start; KeepLast has saved the step
    except RuntimeError as error:
        if explanation := explain_shared_memory(error):
            raise TrainingError(explanation) from error
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return module.progress.fraction(module.global_step) >= 1
