"""A lock that keeps two processes out of one folder: on a file there, until the process ends."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
from pathlib import Path

from enet_ros.common.one_line_error import printable

LOCK = '.lock'  # usual name of the file
SHOWN_BYTES = 100  # of what the holder wrote
#: Errors of file systems that have no locks, such as some network shares.
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class HeldError(Exception):
    """Another process holds the lock. The message names that process."""


class FileLock:
    """A lock on one byte of a file. It is held until it is closed, or the process ends.

    It is a record lock: child processes do not inherit it, so none of them keeps it after their
    parent was killed. The kernel releases it however a process ends.

    Attributes:
        remark: '', or a sentence on a file system without locks, where nothing keeps others out.
    """

    def __init__(self, path: Path, byte: int = 0):
        """Open the file, or make it, and lock it.

        Args:
            path: The file. The holder of byte 0 writes its name there.
            byte: Processes that lock different bytes do not keep each other out.

        Raises:
            HeldError: Another process holds it.
            OSError: The file cannot be written.
        """
        # A process that opens and closes the file once more would release its lock.
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666),
                               'r+b', buffering=0)
        try:
            is_held = _take(self._file.fileno(), byte)
            if not byte:
                self._file.truncate(0)
                self._file.write(f'process {os.getpid()} on {platform.node()}'.encode())
        except BaseException:
            self._file.close()
            raise
        self.remark = '' if is_held else (f"'{path.parent}' is on a file system without locks: "
                                          'start no second run there')

    def close(self) -> None:
        """Release the lock. The file stays."""
        self._file.close()


def _take(file: int, byte: int) -> bool:
    """Lock a byte of an open file. Return False where the file system has no locks."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        holder = printable(os.pread(file, SHOWN_BYTES, 0).decode(errors='replace'))
        raise HeldError(holder or 'a process that has not said its name') from error
    return True
