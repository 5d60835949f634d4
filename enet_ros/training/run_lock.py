"""The lock that keeps two trainings out of one folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from enet_ros.common.file_lock import LOCK, FileLock, HeldError
from enet_ros.training.options import TrainingError


@contextmanager
def lock_run(run: Path, rank: int = 0) -> Iterator[None]:
    """Hold the folder of a run, which must exist, until the block or the process ends.

    Loading processes do not inherit the lock, so none of them keeps the folder from the next start
    after their parent was killed.

    Args:
        run: The folder.
        rank: Rank of this process. Each process of a run locks a byte of its own.

    Raises:
        TrainingError: Another training holds the folder.
        OSError: The lock file cannot be written.
    """
    try:
        lock = FileLock(run / LOCK, rank)
    except HeldError as error:
        raise TrainingError(f'{run} is in use by another training ({error}): wait until it ends, '
                            'stop it, or choose another --out') from error
    with closing(lock):
        if lock.remark:
            print(lock.remark)
        yield
