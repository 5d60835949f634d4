"""The batches of a run, as pytorch-lightning asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from enet_ros.training.batches import (
    BatchAugmentation,
    Frames,
    StepSampler,
    TrainingSet,
    ValidationSet,
    training_loader,
    validation_loader,
)
from enet_ros.training.recipes import Progress

VALIDATION_BATCH = 4


@dataclass(frozen=True)
class AugmentationSchedule:
    """Crops for the first part of a run, whole frames for the rest.

    Attributes:
        crops: Augmentation of the first part.
        whole_frames: Augmentation of the rest.
        crops_part: Fraction of the run that uses crops.
    """

    crops: BatchAugmentation
    whole_frames: BatchAugmentation
    crops_part: float


def explain_shared_memory(error: RuntimeError) -> str:
    """Say what to do if loading processes had too little shared memory, or return ''.

    Args:
        error: What the trainer raised. It ends with the error of the loading process.
    """
    text = f'{error.__cause__ or ""}\n{error}'.strip()
    if 'shared memory' not in text or 'Too many open files' in text:
        return ''
    return ('the loading processes have too little shared memory '
            f'({text.splitlines()[-1].strip()}): start the container with --ipc=host or '
            '--shm-size=2g, or train with --workers 0')


class RunData(pl.LightningDataModule):
    """Training and validation batches of a run.

    Args:
        training_set: Samples of the training split.
        validation_frames: Frames of the validation split.
        schedule: Augmentation over the run.
        progress: Progress of the run.
        workers: Number of loading processes.
    """

    def __init__(self, training_set: TrainingSet, validation_frames: Frames,
                 schedule: AugmentationSchedule, progress: Progress, workers: int = 0):
        super().__init__()
        self.training_set, self.validation_frames = training_set, validation_frames
        self.schedule, self.progress, self.workers = schedule, progress, workers

    @property
    def resolution(self) -> tuple[int, int]:
        """(width, height) of the network's input on whole frames."""
        return self.schedule.whole_frames.size

    def augmentation_at(self, step: int) -> BatchAugmentation:
        """Return the augmentation of the batch of a step."""
        crops = self.progress.fraction(step) < self.schedule.crops_part
        return self.schedule.crops if crops else self.schedule.whole_frames

    def train_dataloader(self) -> DataLoader:
        """Load this process's share of the batches, from the current step on."""
        share = self.training_set.batch // self.trainer.world_size
        sampler = StepSampler(self.trainer.global_step, share, self.trainer.global_rank,
                              self.augmentation_at)
        return training_loader(self.training_set, sampler, self.workers)

    def val_dataloader(self) -> DataLoader:
        """Load this process's share of the validation frames."""
        data = ValidationSet(self.validation_frames, self.resolution, self.trainer.global_rank,
                             self.trainer.world_size)
        return validation_loader(data, VALIDATION_BATCH)

    def training_frames(self, limit: int, batch: int = 8) -> Iterator[Tensor]:
        """Yield whole training frames without augmentation, in full batches.

        Args:
            limit: Greatest number of frames, at least one batch.
            batch: Number of frames in a batch.

        Yields:
            (batch, 3, height, width) uint8 RGB on the CPU.
        """
        data = ValidationSet(self.training_set.frames, self.resolution)
        batch = min(batch, len(data))
        chosen = np.random.default_rng(0).permutation(len(data))[:max(batch, limit)]
        for start in range(0, len(chosen) - batch + 1, batch):
            yield torch.stack([data[int(i)][0] for i in chosen[start:start + batch]])
