"""Files that are whole or not there, whatever ends the process or the machine."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

WRITING = '.writing'  # ends the name of a file that is not whole


def write_whole(path: Path, content: bytes | memoryview, writing: Path | None = None, *,
                mode: int = 0o666) -> None:
    """Write a file under another name beside its path, and rename it once it is on the disk.

    Args:
        path: Path of the file, in a folder that exists.
        content: Its content.
        writing: That other path; None for the name of the file and WRITING. One that stays the
            same lets the next write replace what a killed one left. Processes that write one file
            at once need different ones, see :func:`unfinished`.
        mode: Its permissions, less those that the umask takes.

    Raises:
        OSError: The file cannot be written; it is named. What stood there before it still does.
    """
    writing = writing or path.with_name(path.name + WRITING)
    try:
        with open(writing, 'wb', opener=lambda name, flags: os.open(name, flags, mode)) as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        writing.replace(path)
    except BaseException as error:  # Ctrl-C, too
        writing.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # A full disk names no file.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def unfinished(path: Path) -> Path:
    """Return a hidden name beside a file, for its content until it is whole. Each call differs."""
    return path.with_name(f'.new-{secrets.token_hex(8)}{path.suffix}')
