"""The watch over loss and weights: a run that diverged ends, and what it saved before stays."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
import torch

from enet_ros.training.options import TrainingError
from enet_ros.training.run_checkpoints import remedy_of

CHECK_STEPS = 20  # from one check to the next; each waits for the GPU
#: Steps without a finite loss that end a run in float16. A single one is no error there: the
#: GradScaler leaves the step out and halves its scale, from 65,536 to 1 in 16 steps.
LASTING_STEPS = 40


class FiniteWatch(pl.Callback):
    """End a run whose loss or weights are no finite numbers, before anything of it is saved.

    Args:
        last: Path of ``last.ckpt``.
    """

    def __init__(self, last: Path):
        self.last = last
        self._since = torch.tensor(0)  # first step without a finite loss, or 0

    def on_train_start(self, trainer, module) -> None:
        """Check the weights that the run continues from.

        Raises:
            TrainingError: They are no finite numbers.
        """
        self._since = torch.tensor(0, device=module.device)
        if not has_finite_weights(module):
            raise TrainingError(f'{self.last} holds weights that are no finite numbers: '
                                f'{remedy_of(self.last)}')

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        """Note whether the loss was finite, and check at every twentieth step.

        Raises:
            TrainingError: The run diverged.
        """
        finite = torch.isfinite(outputs['loss']).all()
        since = torch.where(self._since > 0, self._since, trainer.global_step)
        # Without a scaler one such step spoils all weights.
        before = torch.zeros_like(since) if _has_scaler(trainer) else self._since
        self._since = torch.where(finite, before, since)
        if trainer.global_step % CHECK_STEPS == 0:
            self._check(trainer, module)

    def on_validation_start(self, trainer, module) -> None:
        """Check before a validation."""
        self._check(trainer, module)

    def on_save_checkpoint(self, trainer, module, checkpoint) -> None:
        """Check before a checkpoint is written."""
        self._check(trainer, module)

    def _check(self, trainer, module) -> None:
        """Raise a TrainingError if the run diverged."""
        since, step = int(self._since), trainer.global_step
        remedy = (f'begin anew in another --out with a lower --lr (it is {module.recipe.lr:g}) or '
                  f'--precision 32-true. Checkpoints in {self.last.parent} are those from before')
        if since and step - since >= (LASTING_STEPS if _has_scaler(trainer) else 0):
            raise TrainingError(f'the loss is no finite number since step {since}: {remedy}')
        if not has_finite_weights(module):
            raise TrainingError(f'the weights are no finite numbers at step {step}: {remedy}')


def has_finite_weights(module) -> bool:
    """Tell whether the parameters, and all that is kept of a run, are finite.

    The statistics of a network whose average is kept do not matter: nothing uses them.
    """
    kept = (tensor for tensor in module.evaluated.state_dict().values()
            if tensor.is_floating_point())
    return bool(torch.stack([tensor.isfinite().all()
                             for tensor in (*module.network.parameters(), *kept)]).all())


def _has_scaler(trainer) -> bool:
    """Tell whether the gradients are scaled, as in float16."""
    return getattr(trainer.precision_plugin, 'scaler', None) is not None
