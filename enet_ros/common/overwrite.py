"""Commands overwrite no file unasked: ``--force`` asks for it."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path


def check_outputs(paths: Iterable[Path | None], *, force: bool) -> None:
    """Refuse files that options name and that could not all be written, before any work is done.

    Args:
        paths: What the command would write; None stands for a file that it does not write.
        force: Whether files that exist may be replaced.

    Raises:
        ValueError: Two of the paths are one file, or as :func:`check_writable`.
        FileExistsError: As :func:`check_absent`.
    """
    named = [path for path in paths if path is not None]
    if len({path.resolve() for path in named}) < len(named):
        raise ValueError(f"of the files to write ({', '.join(map(str, named))}) two are one; "
                         'wanted a name for each')
    for path in named:
        check_writable(path)
    check_absent(named, force=force)


def check_writable(path: Path) -> None:
    """Check that a file can be written, before any work is done. Nothing is left there.

    Raises:
        ValueError: The path is a folder, its folder is not there, or nothing can be written to it.
    """
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ValueError(f"'{path.parent}' is no folder, wanted one to write {path.name} to")
    if path.is_dir():
        raise ValueError(f"'{path}' is a folder, wanted the name of a file to write")
    if path.exists() and not path.is_file() and os.access(path, os.W_OK):  # as /dev/stdout
        return
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"'{path.parent}' takes no new file ({error.strerror}), wanted another "
                         f'folder to write {path.name} to') from error


def check_absent(paths: Iterable[Path | None], *, force: bool,
                 option: str = '--force') -> None:
    """Refuse to write where something is already, before any work is done.

    Args:
        paths: What the command would write; None stands for a file that it does not write.
        force: Whether the user allows it. Nothing is checked then.
        option: What allows it, for the message.

    Raises:
        FileExistsError: The message names the first of the paths, and what to do.
    """
    taken = [] if force else [path for path in paths if path is not None and _is_taken(path)]
    if taken:
        others = f' (and {len(taken) - 1} more)' if len(taken) > 1 else ''
        raise FileExistsError(f"'{taken[0]}' exists already{others} and is not overwritten; "
                              f'wanted another place to write to, or {option} to replace it')


def _is_taken(path: Path) -> bool:
    """Tell whether a path holds something that writing would destroy: no terminal, no pipe."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return os.path.lexists(path)  # a link into nowhere would make a file elsewhere
    return not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode))
