"""Checkpoints of a run on disk: written whole or not at all, and read with an error in a sentence.

Lightning writes a checkpoint to the temporary folder of the machine and moves it. Onto another
file system a move is a copy, so a full disk or a kill would leave half of the new checkpoint and
nothing of the one before.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from enet_ros.common.whole_files import write_whole
from enet_ros.training.options import TrainingError


class WholeCheckpoints(TorchCheckpointIO):
    """Reads and writes the checkpoints of Lightning's trainer on a local disk."""

    def save_checkpoint(self, checkpoint: dict, path: str | Path,
                        storage_options: object = None) -> None:
        """Write a checkpoint beside its path and rename it once it is on the disk.

        Args:
            checkpoint: What Lightning keeps.
            path: Path of the checkpoint.
            storage_options: Not used.

        Raises:
            OSError: The file cannot be written. The checkpoint before it is still there.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            write_whole(path, content.getbuffer())
        except OSError as error:
            error.strerror = f'{error.strerror}; the same command continues once that is mended'
            raise

    def load_checkpoint(self, path: str | Path, map_location=None,
                        weights_only: bool | None = True) -> dict:
        """Read a checkpoint, see :func:`read_run_checkpoint`."""
        return read_run_checkpoint(Path(path), map_location)


def read_run_checkpoint(path: Path, map_location=None) -> dict:
    """Read a checkpoint of a run. Nothing in it is executed.

    Args:
        path: Path of ``last.ckpt`` or ``best.ckpt``.
        map_location: Device of the tensors, as :func:`torch.load` takes it; the CPU when None.

    Raises:
        TrainingError: The file is cut short, damaged or no checkpoint.
    """
    try:
        return torch.load(path, map_location or 'cpu', weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, KeyError, ValueError) as error:
        reason = (str(error).splitlines() or ['it is empty'])[0]
        raise TrainingError(f'{path} is damaged ({reason[:200]}): {remedy_of(path)}') from error


def remedy_of(path: Path) -> str:
    """Say what to do about a checkpoint of a run that cannot be used."""
    best = path.with_name('best.ckpt')
    if path == best:
        return 'delete it to continue without it'
    if best.is_file():
        return (f'copy {best} over it to continue from the best validation, or delete it to begin '
                'anew')
    return 'delete it to begin anew'
