"""The training step, the average of weights, validation: what pytorch-lightning drives."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from enet_ros.network.class_map import ClassMap
from enet_ros.network.enet import ENet
from enet_ros.network.resolution import STRIDE
from enet_ros.perception.resize import resize_labels
from enet_ros.training.batches import (
    Frames,
    Look,
    StepSampler,
    TrainingSet,
    ValidationSet,
    training_loader,
    validation_loader,
)
from enet_ros.training.losses import SegmentationLoss
from enet_ros.training.metrics import ConfusionMatrix

MEAN, STD = (0.42,) * 3, (0.30,) * 3  # of CamVid's frames, and of the start weights
ENCODER_CHANNELS = 128
REFRESH_FRAMES = 96  # for the batch-norm statistics of the averaged weights at each validation


@dataclass(frozen=True)
class Recipe:
    """What a run does, apart from where its data lie.

    Attributes:
        lr: peak learning rate.
        weight_decay: of the optimiser.
        optimizer: 'adam' (weight decay in the gradient, as the paper's) or 'adamw'.
        class_weight_c: of :func:`enet_ros.training.losses.class_weights`.
        jaccard: factor of the soft Jaccard loss.
        warmup: steps over which the learning rate rises.
        decay: whether the learning rate then falls to zero along a cosine.
        average: greatest decay of the average of weights; 0 for no average.
        encoder_part: part of the run that trains the encoder alone, on labels at one eighth.
        crops_part: part of the run on crops; whole frames after.
        strength: of the changes of colour, light and texture.
        balance: whether the last layer's biases are moved at the end for the best IoU.
    """

    lr: float
    weight_decay: float
    optimizer: str
    class_weight_c: float
    jaccard: float = 0.0
    warmup: int = 0
    decay: bool = False
    average: float = 0.0
    encoder_part: float = 0.0
    crops_part: float = 0.0
    strength: float = 0.0
    balance: bool = False


#: Section 5.2 of the paper, and what does better today.
RECIPES = {
    'paper': Recipe(lr=5e-4, weight_decay=2e-4, optimizer='adam', class_weight_c=1.02,
                    encoder_part=0.5),
    'modern': Recipe(lr=1e-3, weight_decay=1e-2, optimizer='adamw', class_weight_c=1.05,
                     jaccard=1.0, warmup=100, decay=True, average=0.998, crops_part=0.8,
                     strength=1.0, balance=True),
}


@dataclass
class Clock:
    """How far a run has come, by steps, or by time where no number of steps is given.

    Attributes:
        steps: of the whole run, or None.
        hours: after which the run stops, or None.
        elapsed_sec: spent training, earlier stretches of a resumed run included.
    """

    steps: int | None = None
    hours: float | None = None
    elapsed_sec: float = 0.0
    _since: float | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start counting."""
        self._since = time.monotonic()

    def seconds(self) -> float:
        """Return the seconds spent so far."""
        running = time.monotonic() - self._since if self._since is not None else 0.0
        return self.elapsed_sec + running

    def time_is_up(self) -> bool:
        """Return whether the hours are spent."""
        return self.hours is not None and self.seconds() >= self.hours * 3600

    def progress(self, step: int) -> float:
        """Return how far the run is after ``step`` steps, in [0, 1]."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        return min(1.0, self.seconds() / (self.hours * 3600))


@dataclass(frozen=True)
class Looks:
    """How crops and whole frames are made."""

    crops: Look
    whole: Look


class EncoderHead(nn.Module):
    """Classify the encoder's features, for the paper's first phase.

    Args:
        network: whose encoder is used, not owned.
    """

    def __init__(self, num_classes: int):
        super().__init__()
        self.classifier = nn.Conv2d(ENCODER_CHANNELS, num_classes, 1)

    def forward(self, network: ENet, x: Tensor) -> Tensor:
        """Return logits (N, num_classes, H/8, W/8)."""
        return self.classifier(network.encode(x)[0])


def normalize(frames: Tensor) -> Tensor:
    """Turn (N, 3, H, W) uint8 RGB into the network's float32 input."""
    mean, std = (torch.tensor(v, device=frames.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((frames.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def refresh_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Compute the batch-norm statistics anew, as plain means over batches.

    An average of weights has statistics of its own: those averaged along a run describe none of
    the networks in it.

    Args:
        network: changed in place; in eval mode afterwards.
        batches: uint8 frames (N, 3, H, W), all of one batch size.
    """
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's cumulative mean
        norm.train()
    for frames in batches:
        network(normalize(frames))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    network.eval()


class SegmentationModule(pl.LightningModule):
    """ENet, its loss and optimiser, and validation by class IoU.

    Args:
        network: trained in place.
        class_map: of the data set.
        recipe: what to do.
        clock: how long.
        loss_weights: a weight a class.
        data: training and validation frames.
        looks: of crops and whole frames.
        workers: loading processes.
        compiled: whether the step goes through torch.compile, which fuses its many small
            operators: half the time a step on a CPU, for half a minute at the start.
    """

    def __init__(self, network: ENet, class_map: ClassMap, recipe: Recipe, clock: Clock,
                 loss_weights: np.ndarray, data: tuple[TrainingSet, Frames], looks: Looks,
                 workers: int = 0, compiled: bool = False):
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last).train()
        self.average = (copy.deepcopy(network).eval().requires_grad_(False) if recipe.average
                        else None)
        self.head = EncoderHead(len(class_map)) if recipe.encoder_part else None
        self.loss = SegmentationLoss(loss_weights, recipe.jaccard)
        self.recipe, self.clock, self.looks, self.workers = recipe, clock, looks, workers
        self.training_set, self.validation_frames = data
        self.matrix, self.label_lut = ConfusionMatrix(class_map), class_map.label_lut()
        self.curves: dict[str, list] = {'loss': [], 'miou': [], 'class_avg': []}
        self.compute_loss = (torch.compile(self._compute_loss, dynamic=False) if compiled
                             else self._compute_loss)
        self._progress = 0.0

    @property
    def evaluated(self) -> ENet:
        """The network that is validated and kept: the average, where there is one."""
        return self.network if self.average is None else self.average

    # -- batches

    def look_at(self, step: int) -> Look:
        """Return how the batch of a step is made."""
        crops = self.clock.progress(step) < self.recipe.crops_part
        return self.looks.crops if crops else self.looks.whole

    def train_dataloader(self):
        """Load batches from the current step on."""
        share = self.training_set.batch // self.trainer.world_size
        sampler = StepSampler(self.trainer.global_step, share, self.trainer.global_rank,
                              self.look_at)
        return training_loader(self.training_set, sampler, self.workers)

    def val_dataloader(self):
        """Load this process's share of the validation frames."""
        data = ValidationSet(self.validation_frames, self.looks.whole.size,
                             self.trainer.global_rank, self.trainer.world_size)
        return validation_loader(data, 4, 0)

    # -- training

    def on_train_start(self) -> None:
        """Start the clock."""
        self.clock.start()

    def on_train_batch_start(self, batch, batch_idx: int) -> None:
        """Make this step's chance and learning rate functions of the step."""
        step = self.global_step
        # The processes of a run must agree, and their clocks do not.
        self._progress = self.trainer.strategy.broadcast(self.clock.progress(step))
        torch.manual_seed(hash((self.training_set.seed, step, self.global_rank)) % (1 << 63))
        for group in self.optimizers().param_groups:
            group['lr'] = self.learning_rate(step)

    def learning_rate(self, step: int) -> float:
        """Rise over the warm-up, then fall along a cosine to zero."""
        rise = min(1.0, (step + 1) / self.recipe.warmup) if self.recipe.warmup else 1.0
        fall = 0.5 * (1 + np.cos(np.pi * self._progress)) if self.recipe.decay else 1.0
        return float(self.recipe.lr * rise * fall)

    def _compute_loss(self, frames: Tensor, labels: Tensor, encoder_only: bool) -> Tensor:
        x = normalize(frames)
        if not encoder_only:
            return self.loss(self.network(x), labels)
        half = STRIDE // 2
        return self.loss(self.head(self.network, x), labels[:, half::STRIDE, half::STRIDE])

    def training_step(self, batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch of (N, 3, H, W) uint8 and (N, H, W) int64."""
        loss = self.compute_loss(*batch, self._progress < self.recipe.encoder_part)
        self.log('loss', loss, prog_bar=True)
        self.log('progress_percent', 100 * self._progress, prog_bar=True)
        self.log('lr', self.learning_rate(self.global_step))
        if self.global_step % 20 == 0:
            self.curves['loss'].append((self.global_step, float(loss.detach())))
        return loss

    def optimizer_step(self, *args, **kwargs) -> None:
        """Step, then move the average a little towards the weights."""
        super().optimizer_step(*args, **kwargs)
        if self.average is None:
            return
        step = self.global_step
        decay = min(self.recipe.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for average, current in zip(self.average.parameters(), self.network.parameters()):
                average.lerp_(current, 1 - decay)

    def configure_optimizers(self):
        """Build Adam or AdamW over everything that is trained."""
        kinds = {'adam': torch.optim.Adam, 'adamw': torch.optim.AdamW}
        trained = [p for p in self.parameters() if p.requires_grad]
        return kinds[self.recipe.optimizer](trained, lr=self.recipe.lr,
                                            weight_decay=self.recipe.weight_decay)

    # -- validation

    def training_frames(self, limit: int, batch: int = 8) -> Iterable[Tensor]:
        """Yield whole training frames, unchanged, in full batches of uint8 (N, 3, H, W)."""
        data = ValidationSet(self.training_set.frames, self.looks.whole.size)
        batch = min(batch, len(data))
        chosen = np.random.default_rng(0).permutation(len(data))[:max(batch, limit)]
        for start in range(0, len(chosen) - batch + 1, batch):
            frames = [data[int(i)][0] for i in chosen[start:start + batch]]
            yield torch.stack(frames).to(self.device)

    def on_validation_start(self) -> None:
        """Give the average the statistics of its own weights."""
        if self.average is not None:
            with torch.autocast(self.device.type, torch.bfloat16):
                refresh_batch_norm(self.average, self.training_frames(REFRESH_FRAMES))
        self.evaluated.eval()
        self.matrix.reset()

    def validation_step(self, batch, batch_idx: int) -> None:
        """Count the pixels of a batch, at the labels' own size."""
        frames, truths = batch
        predicted = self.evaluated(normalize(frames)).argmax(1).byte().cpu().numpy()
        if self.label_lut is not None:
            predicted = self.label_lut[predicted]
        for truth, labels in zip(truths, predicted):
            self.matrix.update(truth, resize_labels(labels, truth.shape[1::-1]))

    def on_validation_epoch_end(self) -> None:
        """Log the figures over all processes."""
        counts = torch.from_numpy(self.matrix.matrix).to(self.device)
        self.matrix.matrix = self.trainer.strategy.reduce(
            counts, reduce_op='sum').cpu().numpy()
        scores = self.matrix.compute()
        if not self.trainer.sanity_checking:
            self.curves['miou'].append((self.global_step, scores['miou']))
            self.curves['class_avg'].append((self.global_step, scores['class_avg']))
        for key in ('miou', 'class_avg', 'global_avg', 'drivable_iou'):
            self.log(key, scores[key], prog_bar=key == 'miou', sync_dist=False)

    # -- checkpoints

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Keep the time spent and the curves, in builtin types alone."""
        checkpoint['enet_ros'] = {'elapsed_sec': self.clock.seconds(), 'curves': self.curves}

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Continue the time and the curves."""
        self.clock.elapsed_sec = checkpoint['enet_ros']['elapsed_sec']
        self.curves = checkpoint['enet_ros']['curves']
