"""The end of a run: choose the weights, fit their logits, score them, and write the model."""

from __future__ import annotations

import copy
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from enet_ros.network.checkpoint import (
    Checkpoint,
    read_checkpoint,
    weights_path,
    write_checkpoint,
)
from enet_ros.network.enet import ENet
from enet_ros.training.averaging import refresh_batch_norm
from enet_ros.training.batches import Frames, Normalization
from enet_ros.training.confidence_limit import limit_of_split
from enet_ros.training.data_module import RunData
from enet_ros.training.evaluate import evaluate, names_of
from enet_ros.training.fit_logits import best_offsets, best_temperature, sample_logits
from enet_ros.training.labeled_frames import SegmentationData
from enet_ros.training.metrics import without_nan
from enet_ros.training.module import SegmentationModule
from enet_ros.training.options import TrainOptions
from enet_ros.training.plots import warn_if_undrawn
from enet_ros.training.result_images import draw_curves, draw_samples, segment_samples
from enet_ros.training.run_checkpoints import read_run_checkpoint
from enet_ros.training.run_folder import was_drawn


def finish(module: SegmentationModule, data: RunData, options: TrainOptions,
           validations: Sequence[SegmentationData]) -> dict:
    """Write the model, its scores and the images of a finished run.

    Args:
        module: The trained networks.
        data: Frames of the run, for statistics, and to fit the logits.
        options: Options of the run.
        validations: Splits that score the weights. The first chooses between them.

    Returns:
        What ``scores.json`` holds.
    """
    run, module, validation = Path(options.out), module.cpu(), validations[0]
    checkpoint, network = max(
        ((_to_checkpoint(network, module.normalize, options, validation), network)
         for network in _candidates(module, data, options)),
        key=lambda pair: pair[0].scores['miou'])
    checkpoint.temperature = best_temperature(*_certain_logits(
        network, module.normalize, data.validation_frames, validations[1:], options.resolution))
    checkpoint.least_confidence = limit_of_split(checkpoint, validation)
    scores = [without_nan(evaluate(checkpoint, split, backend='torch', precision='float32'))
              for split in validations]
    others = dict(zip(names_of(validations[1:], first=2), scores[1:]))
    checkpoint.scores = {validation.split: scores[0], **others}
    scores = {**scores[0], **({'others': others} if others else {})}
    (run / 'scores.json').write_text(json.dumps(scores, indent=2) + '\n')
    _draw_images(run, module, checkpoint, validation)
    write_checkpoint(run / 'model.safetensors', checkpoint)  # last: it marks a finished run
    return scores


def _draw_images(run: Path, module: SegmentationModule, checkpoint: Checkpoint,
                 validation: SegmentationData) -> None:
    """Draw curves and samples; a run is finished without them too."""
    with warn_if_undrawn('curves.png or samples.png', 'the weights are written without'):
        draw_curves(run / 'curves.png', module.curves)
        draw_samples(run / 'samples.png', checkpoint.class_map,
                     segment_samples(checkpoint, validation))


def _certain_logits(network: ENet, normalize: Normalization, first: Frames,
                    others: Sequence[SegmentationData],
                    size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Sample the first split, and the others whose labels are classes and no sets of them."""
    certain = [first, *(Frames(split) for split in others if not split.sets)]
    samples = [sample_logits(network, normalize, frames, size) for frames in certain]
    return tuple(np.concatenate(parts) for parts in zip(*samples))


def provenance_of(options: TrainOptions) -> tuple[str, ...]:
    """Name every data set that the weights of a run come from.

    Args:
        options: Checked options of the run.

    Returns:
        Names in alphabetical order: 'synthetic', those of the run, and those of the start weights.
        Start weights that do not tell theirs are one of them themselves.
    """
    names = {source.dataset for source in options.sources}
    if options.drawn or was_drawn(Path(options.out)):
        names.add('synthetic')
    if options.weights:
        start = read_checkpoint(weights_path(options.weights))
        names |= set(start.sources) or {f'weights {Path(options.weights).name}'}
    return tuple(sorted(names))


def _candidates(module: SegmentationModule, data: RunData,
                options: TrainOptions) -> Iterator[ENet]:
    """Yield the networks of the last step and, if asked for, of the best validation."""
    yield _fitted_copy(module, data)
    best = Path(options.out) / 'best.ckpt'
    if options.keep == 'best' and best.is_file():
        module.load_state_dict(read_run_checkpoint(best)['state_dict'])
        yield _fitted_copy(module, data)


@torch.no_grad()
def _fitted_copy(module: SegmentationModule, data: RunData) -> ENet:
    """Copy the network to keep, with statistics and offsets from the training frames."""
    network = copy.deepcopy(module.evaluated)
    if module.average is not None:
        refresh_batch_norm(network, module.normalize,
                           data.training_frames(len(data.training_set)))
    network.eval()
    if module.recipe.balance:
        network.fullconv.bias += torch.from_numpy(best_offsets(*sample_logits(
            network, module.normalize, data.training_set.frames.reference, data.resolution)))
    return network


def _to_checkpoint(network: ENet, normalize: Normalization, options: TrainOptions,
                   validation: SegmentationData) -> Checkpoint:
    """Describe a network and score it on the validation frames."""
    checkpoint = Checkpoint(
        tensors={name: tensor.numpy() for name, tensor in network.state_dict().items()
                 if not name.endswith('num_batches_tracked')},
        class_map=validation.class_map, mean=normalize.mean, std=normalize.std,
        resolution=options.resolution,
        origin=shlex.join(['enet-ros', *sys.argv[1:]]), sources=provenance_of(options))
    checkpoint.scores = evaluate(checkpoint, validation, backend='torch', precision='float32')
    return checkpoint
