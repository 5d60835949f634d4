"""Shared memory that a process leaves behind when it is killed.

Fast DDS sends large messages between processes of one machine through a segment of shared memory.
With ``config/fastdds.xml`` a segment has 35 MB. It stays in memory until somebody removes its
file, so each process that is killed would take 35 MB of RAM until the next boot.

``python3 -m enet_ros.ros.shared_memory`` removes what killed processes of this user left.

The rule is that of Fast DDS. ``SharedMemManager.hpp`` makes a segment in three steps: it draws a
random number of 16 hexadecimal digits for the name ``fastrtps_NUMBER`` (``fastdds_NUMBER`` from
version 3), makes the file ``NAME_el`` and holds ``flock(LOCK_EX)`` on it as long as the process
lives (``RobustExclusiveLock.hpp``), and makes the segment. The kernel releases the lock of a
process that ends in whatever way. So a segment whose lock nobody holds has no owner.
``fastdds shm clean`` (``tools/fastdds/shm/clean.py``) goes by the same rule. Here three things are
stricter:

- A lock file that is younger than a minute stays. Between making the file and locking it, its
  owner does not hold the lock yet.
- The lock is held while both files are removed.
- Only regular files of this user are touched, and no link is followed.

A segment without a lock file stays, since nothing says whether its owner lives. The files of ports
(``fastrtps_port7410``, 62 kB) stay too: Fast DDS uses them again (:mod:`abandoned_ports`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

SHARED_MEMORY = Path('/dev/shm')
LEAST_AGE_SEC = 60.0  # a process that makes a segment locks it microseconds later
_LOCK_NAME = re.compile(r'(fast(?:rtps|dds)_[0-9a-f]{16})_el')
OPEN_LOCK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Leftovers:
    """Segments whose process has ended.

    Attributes:
        count: How many segments.
        bytes: Memory that they take.
    """

    count: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        segments = '1 segment' if self.count == 1 else f'{self.count} segments'
        return f'{segments} of shared memory ({self.bytes / 1e6:.0f} MB)'


def find_leftovers(folder: Path = SHARED_MEMORY,
                   least_age_sec: float = LEAST_AGE_SEC) -> Leftovers:
    """Return what killed processes of this user left, without removing it.

    Args:
        folder: Folder of the shared memory.
        least_age_sec: Least age of a lock file that counts, in seconds.
    """
    with opened_folder(folder) as folder_fd:
        return _sum(size for _, size in _ownerless(folder_fd, least_age_sec))


def remove_leftovers(folder: Path = SHARED_MEMORY, least_age_sec: float = LEAST_AGE_SEC,
                     except_names: Collection[str] = ()) -> Leftovers:
    """Remove the segments that killed processes of this user left, with their lock files.

    It does not raise. What cannot be removed stays.

    Args:
        folder: Folder of the shared memory.
        least_age_sec: Least age of a lock file whose segment is removed, in seconds.
        except_names: Names of segments that stay. Only tests give some.

    Returns:
        What was removed.
    """
    sizes = []
    with opened_folder(folder) as folder_fd:
        for name, size in _ownerless(folder_fd, least_age_sec):
            if name not in except_names and _remove(folder_fd, name):
                sizes.append(size)
    return _sum(sizes)


def remove_own(folder: Path = SHARED_MEMORY) -> Leftovers:
    """Remove the segments of this process, just before it ends without a clean end.

    It does not raise. Other processes keep what they have opened.

    Args:
        folder: Folder of the shared memory.

    Returns:
        What was removed.
    """
    sizes = []
    with opened_folder(folder) as folder_fd:
        for name in _own_names(folder):
            size = _size_of(folder_fd, name)
            if size is not None and _remove(folder_fd, name):
                sizes.append(size)
    return _sum(sizes)


def uses_fast_dds() -> bool:
    """Return whether the middleware of this process is Fast DDS."""
    from rclpy.utilities import get_rmw_implementation_identifier
    return get_rmw_implementation_identifier().startswith('rmw_fastrtps')


@contextlib.contextmanager
def opened_folder(folder: Path) -> Iterator[int | None]:
    """Open a folder. Where that fails the descriptor is None, which stands for an empty folder."""
    try:
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # Such a system has no shared memory.
        yield None
        return
    try:
        yield folder_fd
    finally:
        os.close(folder_fd)


def _names_in(folder_fd: int | None) -> list[str]:
    """Return the names of the segments whose lock file is in a folder."""
    if folder_fd is None:
        return []
    matches = map(_LOCK_NAME.fullmatch, os.listdir(folder_fd))
    return [match[1] for match in matches if match]


def _own_names(folder: Path) -> list[str]:
    """Return the names of the segments whose lock file this process has open."""
    names = set()
    with contextlib.suppress(OSError):
        for descriptor in os.listdir('/proc/self/fd'):
            with contextlib.suppress(OSError):  # The descriptor may be closed meanwhile.
                path = Path(os.readlink(f'/proc/self/fd/{descriptor}'))
                match = _LOCK_NAME.fullmatch(path.name)
                if match and path.parent == folder.resolve():
                    names.add(match[1])
    return sorted(names)


def _ownerless(folder_fd: int | None, least_age_sec: float) -> Iterator[tuple[str, int]]:
    """Yield name and size of each segment without an owner, while its lock is held here."""
    for name in _names_in(folder_fd):
        try:
            lock_fd = os.open(f'{name}_el', OPEN_LOCK, dir_fd=folder_fd)
        except OSError:  # It is gone, a link, or of a user who lets nobody read it.
            continue
        try:
            status = os.fstat(lock_fd)
            if not _is_own_file(status) or time.time() - status.st_mtime < least_age_sec:
                continue
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = _size_of(folder_fd, name)
            if size is not None:
                yield name, size
        except OSError:  # Its owner lives.
            continue
        finally:
            os.close(lock_fd)


def _is_own_file(status: os.stat_result) -> bool:
    """Return whether it is a regular file of this user."""
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def _size_of(folder_fd: int, name: str) -> int | None:
    """Return the memory of a segment in bytes, or None if its name is not a file of this user."""
    try:
        status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:  # The process was killed between its two steps.
        return 0
    return status.st_blocks * 512 if _is_own_file(status) else None  # 512: see stat(2)


def _remove(folder_fd: int, name: str) -> bool:
    """Remove a segment and its lock file, and return whether both are gone."""
    for file_name in (name, f'{name}_el'):
        try:
            os.unlink(file_name, dir_fd=folder_fd)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _sum(sizes: Iterator[int] | list[int]) -> Leftovers:
    """Return the number and the sum of sizes in bytes."""
    sizes = list(sizes)
    return Leftovers(len(sizes), sum(sizes))


if __name__ == '__main__':
    print(f'removed {remove_leftovers()} of killed processes')
