"""The lock that keeps two trainings out of one folder."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from enet_ros.common.one_line_error import printable
from enet_ros.training.options import TrainingError

LOCK = '.lock'
SHOWN_BYTES = 100  # of what the holder wrote
#: Errors of file systems that have no locks, such as some network shares.
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@contextmanager
def lock_run(run: Path, rank: int = 0) -> Iterator[None]:
    """Hold the folder of a run, which must exist, until the block or the process ends.

    It is a record lock: loading processes do not inherit it, so none of them keeps the folder from
    the next start after their parent was killed. The kernel releases it however a process ends.

    Args:
        run: The folder.
        rank: Rank of this process. Each process of a run locks a byte of its own.

    Raises:
        TrainingError: Another training holds the folder.
        OSError: The lock file cannot be written.
    """
    # A process that opens and closes the file once more would release its lock.
    lock = os.open(run / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        _take(lock, run, rank)
        if not rank:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f'process {os.getpid()} on {platform.node()}'.encode(), 0)
        yield
    finally:
        os.close(lock)


def _take(lock: int, run: Path, rank: int) -> None:
    """Lock the byte of a rank.

    Raises:
        TrainingError: Another process holds it.
    """
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, rank)
    except OSError as error:
        if error.errno in NO_LOCKS:
            print(f'{run} is on a file system without locks: start no second training there')
            return
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        holder = printable(os.pread(lock, SHOWN_BYTES, 0).decode(errors='replace'))
        raise TrainingError(f'{run} is in use by another training ({holder}): wait until it ends, '
                            'stop it, or choose another --out') from error
