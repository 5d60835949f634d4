"""The training step, the average of weights and the validation, driven by pytorch-lightning."""

from __future__ import annotations

import copy
from dataclasses import asdict

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from enet_ros.network.class_map import ClassMap
from enet_ros.network.enet import ENet
from enet_ros.network.resolution import STRIDE
from enet_ros.perception.resize import resize_labels
from enet_ros.training.averaging import refresh_batch_norm, update_average
from enet_ros.training.batches import Normalization
from enet_ros.training.label_sets import LabelSets
from enet_ros.training.losses import SegmentationLoss
from enet_ros.training.metrics import ConfusionMatrix
from enet_ros.training.recipes import Progress, Recipe

ENCODER_CHANNELS = 128
REFRESH_FRAMES = 96  # for the batch-norm statistics of the average at each validation
CURVE_STEPS = 20     # from one point of the loss curve to the next


class EncoderHead(nn.Module):
    """Classifier of the encoder's features, for the first phase of the paper's training.

    Args:
        num_classes: Number of classes.
    """

    def __init__(self, num_classes: int):
        super().__init__()
        self.classifier = nn.Conv2d(ENCODER_CHANNELS, num_classes, 1)

    def forward(self, network: ENet, x: Tensor) -> Tensor:
        """Return logits (N, num_classes, H/8, W/8) of a network's encoder."""
        return self.classifier(network.encode(x)[0])


class SegmentationModule(pl.LightningModule):
    """ENet with its loss and optimizer, validated by class IoU.

    Args:
        network: The network, trained in place.
        normalize: Normalization of its input.
        class_map: Class map of the data set.
        recipe: What the run does.
        progress: Progress of the run.
        loss_weights: (num_classes,) float32, the weight of each class in the loss.
        sets: Labels that stand for several classes in the training frames, or None.
        validation_sets: The same of the validation frames.
        compiled: Whether the step runs through torch.compile, which fuses its many small
            operators. On a CPU a step then takes half the time, after half a minute at the start.
    """

    def __init__(self, network: ENet, normalize: Normalization, class_map: ClassMap,
                 recipe: Recipe, progress: Progress, loss_weights: np.ndarray,
                 sets: LabelSets | None = None,
                 validation_sets: LabelSets | None = None, *, compiled: bool = False):
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last).train()
        self.normalize = normalize
        self.average = (copy.deepcopy(network).eval().requires_grad_(False) if recipe.average
                        else None)
        self.head = EncoderHead(len(class_map)) if recipe.encoder_part else None
        self.loss = SegmentationLoss(loss_weights, recipe.jaccard, sets)
        self.recipe, self.progress = recipe, progress
        self.matrix = ConfusionMatrix(class_map, validation_sets)
        self.label_lut = class_map.label_lut()
        self.curves: dict[str, list] = {'loss': [], 'miou': [], 'class_avg': []}
        self.compute_loss = (torch.compile(self._compute_loss, dynamic=False) if compiled
                             else self._compute_loss)
        self._fraction = 0.0

    @property
    def evaluated(self) -> ENet:
        """The network that is validated and kept: the average of weights, if there is one."""
        return self.network if self.average is None else self.average

    def on_train_start(self) -> None:
        """Start counting the time."""
        self.progress.start()

    def on_train_batch_start(self, batch, batch_idx: int) -> None:
        """Make this step's randomness and learning rate functions of the step."""
        step, seed = self.global_step, self.trainer.datamodule.training_set.seed
        # The processes of a run must agree, and their clocks do not.
        self._fraction = self.trainer.strategy.broadcast(self.progress.fraction(step))
        torch.manual_seed(hash((seed, step, self.global_rank)) % (1 << 63))
        for group in self.optimizers().param_groups:
            group['lr'] = self.learning_rate(step)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate: a rise over the warm-up, then a cosine down to zero."""
        rise = min(1.0, (step + 1) / self.recipe.warmup) if self.recipe.warmup else 1.0
        fall = 0.5 * (1 + np.cos(np.pi * self._fraction)) if self.recipe.decay else 1.0
        return float(self.recipe.lr * rise * fall)

    def _compute_loss(self, frames: Tensor, labels: Tensor, *, encoder_only: bool) -> Tensor:
        x = self.normalize(frames)
        if not encoder_only:
            return self.loss(self.network(x), labels)
        half = STRIDE // 2
        return self.loss(self.head(self.network, x), labels[:, half::STRIDE, half::STRIDE])

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch: frames (N, 3, H, W) and labels (N, H, W), both uint8."""
        encoder_only = self._fraction < self.recipe.encoder_part
        loss = self.compute_loss(*batch, encoder_only=encoder_only)
        self.log('loss', loss, prog_bar=True)
        self.log('progress_percent', 100 * self._fraction, prog_bar=True)
        self.log('lr', self.learning_rate(self.global_step))
        if self.global_step % CURVE_STEPS == 0:
            self.curves['loss'].append((self.global_step, float(loss.detach())))
        return loss

    def optimizer_step(self, *args, **kwargs) -> None:
        """Step, then move the average a little towards the weights."""
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            step = self.global_step
            update_average(self.average, self.network,
                           min(self.recipe.average, (1 + step) / (10 + step)))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build Adam or AdamW over all trained parameters, fused on a GPU."""
        kinds = {'adam': torch.optim.Adam, 'adamw': torch.optim.AdamW}
        trained = [p for p in self.parameters() if p.requires_grad]
        return kinds[self.recipe.optimizer](
            trained, lr=self.recipe.lr, weight_decay=self.recipe.weight_decay,
            fused=True if trained[0].is_cuda else None)

    def on_validation_start(self) -> None:
        """Give the average the batch-norm statistics of its own weights."""
        if self.average is not None:
            frames = self.trainer.datamodule.training_frames(REFRESH_FRAMES)
            with torch.autocast(self.device.type, torch.bfloat16):
                refresh_batch_norm(self.average, self.normalize, frames)
        self.evaluated.eval()
        self.matrix.reset()

    def validation_step(self, batch: tuple[Tensor, list[np.ndarray]], batch_idx: int) -> None:
        """Count the pixels of a batch at the labels' own size."""
        frames, truths = batch
        label_maps = self.evaluated(self.normalize(frames)).argmax(1).byte().cpu().numpy()
        if self.label_lut is not None:
            label_maps = self.label_lut[label_maps]
        for truth, label_map in zip(truths, label_maps):
            self.matrix.update(truth, resize_labels(label_map, truth.shape[1::-1]))

    def on_validation_epoch_end(self) -> None:
        """Log the scores over all processes."""
        counts = torch.from_numpy(self.matrix.matrix).to(self.device)
        self.matrix.matrix = self.trainer.strategy.reduce(
            counts, reduce_op='sum').cpu().numpy()
        scores = self.matrix.compute()
        if not self.trainer.sanity_checking:
            self.curves['miou'].append((self.global_step, scores['miou']))
            self.curves['class_avg'].append((self.global_step, scores['class_avg']))
        for key in ('miou', 'class_avg', 'global_avg', 'drivable_iou'):
            self.log(key, scores[key], prog_bar=key == 'miou', sync_dist=False)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Keep the time spent, the curves and the normalization, as built-in types only."""
        checkpoint['enet_ros'] = {'elapsed_sec': self.progress.seconds(), 'curves': self.curves,
                                  'normalization': asdict(self.normalize)}

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Continue the time, the curves and the normalization; older runs had the default."""
        self.progress.elapsed_sec = checkpoint['enet_ros']['elapsed_sec']
        self.curves = checkpoint['enet_ros']['curves']
        self.normalize = Normalization(**checkpoint['enet_ros'].get('normalization', {}))
