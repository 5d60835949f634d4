"""Tensors of files that ``torch.save`` wrote, read without executing what a file may hold."""

from __future__ import annotations

import gc
import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from enet_ros.network.checkpoint import MAX_BYTES, CheckpointError

SAVE_THE_STATE = "torch.save(model.state_dict(), 'weights.pth')"

#: Where an error of torch names the class or function that it did not call.
_REFUSED = re.compile(r'GLOBAL ([\w.]+)')
_COLOR_CODE = re.compile(r'\x1b\[[0-9;]*m')


MAX_NAME = 1000  # characters of a class; torch takes minutes to complain of half a million
LAST_PROTOCOL = 3  # of pickle that torch reads without running code; it writes 2 unless told
MAX_STEPS, MAX_PICKLE_BYTES = 300_000, 1_000_000  # of an ENet with its optimizer: a quarter


class _BoundedPickle(io.BytesIO):
    """A file for torch's unpickler, which asks for a byte for each step and a line for a name."""

    _steps = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes.

        Raises:
            CheckpointError: The pickle takes more steps than any network.
        """
        self._steps += size == 1
        if self._steps > MAX_STEPS:
            raise CheckpointError(f'its pickle takes more than {MAX_STEPS} steps, so it is '
                                  'damaged or hostile')
        return super().read(size)

    def readline(self, _size: int = -1) -> bytes:
        """Return the next line.

        Raises:
            CheckpointError: It is too long for a name.
        """
        line = super().readline(MAX_NAME + 1)
        _check_name(line)
        return line


def _check_name(name: str | bytes) -> None:
    if len(name) > MAX_NAME:
        raise CheckpointError(f'it names a class in more than {MAX_NAME} characters, so it is '
                              'damaged or hostile')


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
#: of their module differs between NumPy 1 and 2) and arrays (the state of its random numbers), the
#: options and the paths. torch puts these empty classes in their place, so that no code of NumPy
#: or of the file runs.
STAND_INS = [_stand_in(path) for path in (
    'numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar', 'numpy.dtype',
    'numpy.core.multiarray._reconstruct', 'numpy._core.multiarray._reconstruct', 'numpy.ndarray',
    'argparse.Namespace', 'pathlib.PosixPath', 'pathlib.WindowsPath', 'pathlib.PurePosixPath')]


def load_pickled(data: bytes):
    """Return what a .pth file holds: tensors in plain containers, and stand-ins.

    Args:
        data: The content of a file that ``torch.save`` wrote, zipped or not.

    Raises:
        CheckpointError: The file is truncated or of another format, or holds an object whose code
            would have to run. Nothing was executed.
    """
    try:
        _check_protocol(data)
        _check_archive(data)
        with warnings.catch_warnings(), _allowing_stand_ins(), _without_collections():
            warnings.simplefilter('ignore')  # torch asks users to report odd files as issues
            return torch.load(_BoundedPickle(data), 'cpu', weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # a hostile pickle makes the unpickler raise whatever it likes
        raise CheckpointError(_explain(error)) from error


def _allowing_stand_ins():
    """Return a context in which torch knows the stand-ins. Before 2.5 it cannot be told."""
    allow = getattr(torch.serialization, 'safe_globals', None)
    return allow(STAND_INS) if allow else nullcontext()


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep Python from searching for garbage, as it does again and again while lists are made.

    It walks through every object of the process, and a pickle can make 300,000 lists.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check_archive(data: bytes) -> None:
    """Refuse an archive that unpacks to far more than an ENet, or holds a program."""
    if not data.startswith(b'PK'):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        _check_size(entries)
        for entry in entries:
            if entry.filename.rpartition('/')[2] == 'data.pkl':
                _check_pickle(archive.read(entry))
    names = {entry.filename.rpartition('/')[2] for entry in entries}
    if 'constants.pkl' in names:
        raise CheckpointError('it is a TorchScript program (torch.jit.save), which is not run; '
                              f'save the state dict alone: {SAVE_THE_STATE}')
    if 'data.pkl' not in names:
        raise CheckpointError('it is a zip archive, but not one of torch.save; if it was zipped '
                              'for the download, unzip it')


def _check_size(entries: list[zipfile.ZipInfo]) -> None:
    size = sum(entry.file_size for entry in entries)
    if size > MAX_BYTES:
        raise CheckpointError(f'it unpacks to {size} bytes, wanted at most {MAX_BYTES}')


def _check_pickle(pickled: bytes) -> None:
    """Check the length of a pickle and the names of classes in it. Nothing is executed."""
    _check_protocol(pickled)
    if len(pickled) > MAX_PICKLE_BYTES:
        raise CheckpointError(f'its pickle has {len(pickled)} bytes, wanted at most '
                              f'{MAX_PICKLE_BYTES}')
    try:
        for operation, argument, _ in pickletools.genops(pickled):
            if operation.name in ('GLOBAL', 'INST'):
                _check_name(argument)
    except CheckpointError:
        raise
    except Exception:  # It is damaged somewhere, and torch says how.
        return


def _check_protocol(pickled: bytes) -> None:
    """Refuse a newer pickle, which begins with its number: torch says nothing that helps."""
    if pickled[:1] == b'\x80' and pickled[1:2] > bytes([LAST_PROTOCOL]):
        raise CheckpointError(f'it was saved with pickle protocol {pickled[1]}, wanted 2, the '
                              'default of torch.save; where it was made, load it and save it '
                              f'again: {SAVE_THE_STATE}')


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
