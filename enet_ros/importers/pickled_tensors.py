"""Tensors of files that ``torch.save`` wrote, read without executing what a file may hold."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from contextlib import nullcontext

import torch

from enet_ros.network.checkpoint import MAX_BYTES, CheckpointError

SAVE_THE_STATE = "torch.save(model.state_dict(), 'weights.pth')"

#: Where an error of torch names the class or function that it did not call.
_REFUSED = re.compile(r'GLOBAL ([\w.]+)')
_COLOR_CODE = re.compile(r'\x1b\[[0-9;]*m')


class _StandIn:
    """Takes the place of an object that is no part of the network, and does nothing."""

    def __new__(cls, *_arguments):
        return super().__new__(cls)

    def __init__(self, *_arguments):
        pass

    def __setstate__(self, _state):
        pass


def _stand_in(path: str) -> type:
    """Return a class under the name that a pickle gives to another one."""
    module, name = path.rsplit('.', 1)
    return type(name, (_StandIn,), {'__module__': module})


#: What training scripts keep beside the weights: NumPy scalars (PyTorch-ENet's best mIoU; the name
#: of their module differs between NumPy 1 and 2), the options and the paths. torch puts these
#: empty classes in their place, so that no code of NumPy or of the file runs.
STAND_INS = [_stand_in(path) for path in (
    'numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar', 'numpy.dtype',
    'argparse.Namespace', 'pathlib.PosixPath', 'pathlib.WindowsPath', 'pathlib.PurePosixPath')]


def load_pickled(data: bytes):
    """Return what a .pth file holds: tensors in plain containers, and stand-ins.

    Args:
        data: the content of a file that ``torch.save`` wrote, zipped or not.

    Raises:
        CheckpointError: the file is truncated or of another format, or holds an object whose code
            would have to run. Nothing was executed.
    """
    try:
        _check_archive(data)
        with warnings.catch_warnings(), _allowing_stand_ins():
            warnings.simplefilter('ignore')  # torch asks users to report odd files as issues
            return torch.load(io.BytesIO(data), 'cpu', weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # a hostile pickle makes the unpickler raise whatever it likes
        raise CheckpointError(_explain(error)) from error


def _allowing_stand_ins():
    """Return a context in which torch knows the stand-ins. Before 2.5 it cannot be told."""
    allow = getattr(torch.serialization, 'safe_globals', None)
    return allow(STAND_INS) if allow else nullcontext()


def _check_archive(data: bytes) -> None:
    """Refuse an archive that unpacks to far more than an ENet, or holds a program."""
    if not data.startswith(b'PK'):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    size = sum(entry.file_size for entry in entries)
    if size > MAX_BYTES:
        raise CheckpointError(f'it unpacks to {size} bytes, wanted at most {MAX_BYTES}')
    names = {entry.filename.rpartition('/')[2] for entry in entries}
    if 'constants.pkl' in names:
        raise CheckpointError('it is a TorchScript program (torch.jit.save), which is not run; '
                              f'save the state dict alone: {SAVE_THE_STATE}')
    if 'data.pkl' not in names:
        raise CheckpointError('it is a zip archive, but not one of torch.save; if it was zipped '
                              'for the download, unzip it')


def _explain(error: Exception) -> str:
    """Say in a sentence why torch refused a file."""
    text = _COLOR_CODE.sub('', str(error))
    refused = _REFUSED.search(text)
    if refused:
        return (f"it holds a pickled object of '{refused[1].rstrip('.')[:80]}', whose code would "
                'have to run, so it was not loaded; where the model is known, save its state dict '
                f'alone: {SAVE_THE_STATE}')
    reason = text.strip().split('\n')[0][:200]
    return (f'not readable as plain tensors ({type(error).__name__}: {reason}); it is truncated '
            'or damaged, or was not written by torch.save')
