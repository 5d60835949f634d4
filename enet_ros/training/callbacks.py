"""Callbacks of a run: its checkpoints, its progress bar and its throughput."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar

#: Share of the time that the network may wait for data before the text says so.
NOTABLE_WAIT = 0.05
MAX_EVENTS = 1000  # intervals in the GPU's stream that wait to be read


class KeepLast(pl.callbacks.Checkpoint):
    """Write ``last.ckpt`` at regular steps and before a stop, and stop in time.

    At a step with a validation the file is written after the validation, because Lightning does
    not repeat one when it continues. The class is a ``Checkpoint`` so that Lightning calls it
    after :class:`KeepBest`, whose state it keeps.

    Args:
        path: Path of the checkpoint.
        every: Number of steps between two checkpoints.
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
        """Save unless a validation comes first; stop if the time is up or a signal came."""
        step = trainer.global_step
        over = module.progress.fraction(step) >= 1
        # The processes of a run must agree, and their clocks do not.
        self.validates, stop = trainer.strategy.broadcast(
            (over or step % trainer.val_check_interval == 0, over or self._must_stop(module)))
        if not self.validates and (stop or step % self.every == 0):
            trainer.save_checkpoint(self.path, weights_only=False)
        trainer.should_stop = trainer.should_stop or stop

    def on_validation_end(self, trainer, module) -> None:
        """Save; stop if the time is up or a signal came meanwhile."""
        if self.validates:
            trainer.save_checkpoint(self.path, weights_only=False)
            stop = trainer.strategy.broadcast(self._must_stop(module))
            trainer.should_stop = trainer.should_stop or stop

    def _must_stop(self, module) -> bool:
        return self.signal is not None or module.progress.time_is_up()


class KeepBest(ModelCheckpoint):
    """Write ``best.ckpt`` at each validation that is better than all before.

    Lightning validates once more when a run is stopped. That validation counts only if it was due
    anyway: a run without the stop has none there, and would keep other weights.

    Args:
        folder: Folder of the run.
        last: The callback that knows which validations count.
    """

    def __init__(self, folder: Path, last: KeepLast):
        super().__init__(dirpath=folder, filename='best', monitor='miou', mode='max',
                         save_top_k=1, enable_version_counter=False)
        self.last = last

    def on_validation_end(self, trainer, module) -> None:
        """Save, unless a run without a stop has no validation here."""
        if self.last.validates:
            super().on_validation_end(trainer, module)

    def load_state_dict(self, state_dict: dict) -> None:
        """Continue with the best validation so far, wherever the folder was then.

        Without ``best.ckpt`` the next validation is the best.
        """
        best = Path(self.dirpath) / 'best.ckpt'
        if state_dict['best_k_models'] and best.is_file():
            score = state_dict['best_model_score']
            super().load_state_dict({
                **state_dict, 'dirpath': self.dirpath, 'best_k_models': {str(best): score},
                'best_model_path': str(best), 'kth_best_model_path': str(best)})


class ProgressBar(TQDMProgressBar):
    """A progress bar over the steps of the run.

    Args:
        steps: Number of steps, or None where time decides.
    """

    def __init__(self, steps: int | None):
        super().__init__(refresh_rate=10)
        self.steps = steps

    @property
    def total_train_batches(self):
        """Number of steps of the run, or infinity where time decides."""
        return self.steps or float('inf')


class Stopwatch:
    """Intervals on the device that trains: the clock of the CPU, or events in the GPU's stream.

    The CPU runs ahead of a GPU. Its own clock would call it waiting for data while the GPU works.
    """

    def __init__(self, *, on_gpu: bool):
        self.on_gpu = on_gpu
        self._events: list[tuple] = []
        self._seconds = 0.0

    def now(self):
        """Return a mark for :meth:`add`."""
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def add(self, start, end) -> None:
        """Add the interval between two marks."""
        if not self.on_gpu:
            self._seconds += end - start
            return
        self._events.append((start, end))
        if len(self._events) >= MAX_EVENTS:
            self._sum_events()

    def take_seconds(self) -> float:
        """Return the sum of the intervals, in seconds, and start again from zero."""
        self._sum_events()
        total, self._seconds = self._seconds, 0.0
        return total

    def _sum_events(self) -> None:
        if self._events:
            torch.cuda.synchronize()
        self._seconds += sum(start.elapsed_time(end) for start, end in self._events) / 1000
        self._events = []


class Throughput(pl.Callback):
    """Print samples a second before each validation and at the end, and what waits for what.

    The network waits for data from the end of a step to the start of the next: for loading,
    augmentation and the copy to the GPU. Validations and checkpoints do not count, nor does the
    first step, which may compile.

    Args:
        batch: Number of samples in a step, over all processes.
    """

    def __init__(self, batch: int):
        self.batch, self.steps = batch, 0
        self._step_start = self._step_end = None

    def on_train_start(self, trainer, module) -> None:
        """Choose the clock."""
        on_gpu = module.device.type == 'cuda'
        self.network, self.data_wait = Stopwatch(on_gpu=on_gpu), Stopwatch(on_gpu=on_gpu)

    def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
        """End the wait for data."""
        self._step_start = self.network.now()
        if self._step_end is not None:
            self.data_wait.add(self._step_end, self._step_start)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        """End the step."""
        before, self._step_end = self._step_end, self.network.now()
        if before is not None:
            self.network.add(self._step_start, self._step_end)
            self.steps += 1

    def on_save_checkpoint(self, trainer, module, checkpoint) -> None:
        """Leave out the interval in which a checkpoint is written."""
        self._step_end = None

    def on_validation_start(self, trainer, module) -> None:
        """Print, and leave out the validation."""
        self._print(module)

    def on_train_end(self, trainer, module) -> None:
        """Print what was not printed before a validation."""
        self._print(module)

    def _print(self, module) -> None:
        network, data = self.network.take_seconds(), self.data_wait.take_seconds()
        if self.steps:
            module.print(throughput_text(module.global_step, self.steps * self.batch, network,
                                         data))
        self.steps, self._step_end = 0, None


def throughput_text(step: int, samples: int, network_sec: float, data_sec: float) -> str:
    """Say how fast a run is and what it waits for.

    Args:
        step: The current step.
        samples: Number of samples that were trained.
        network_sec: Time in training steps, in seconds.
        data_sec: Time between training steps, in seconds.

    Returns:
        One line.
    """
    total = network_sec + data_sec
    share = data_sec / total
    speed = f'step {step}: {samples / total:.1f} samples a second'
    if share > NOTABLE_WAIT:
        return (f'{speed}; the network waits for data {100 * share:.0f} % of the time '
                '(--workers loads in more processes)')
    return f'{speed}; the data waits for the network, which waits {100 * share:.0f} % of the time'
