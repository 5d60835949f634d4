"""A folder of files that took long to make, each with its checksum.

Loading a compiled network can run code, so the folder belongs only to the user, and a file whose
checksum does not fit is made anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

from enet_ros.common.whole_files import unfinished, write_whole

# Part of every key: raise it when network/frame_graph.py gives another graph for equal weights.
GRAPH_VERSION = 5

_DIGEST_BYTES = hashlib.sha256().digest_size


def cache_folder(*, to_write: bool = True) -> Path | None:
    """Return the cache folder, made with mode 0700, or None where there can be none.

    ``$ENET_ROS_CACHE`` names it, else ``$XDG_CACHE_HOME/enet_ros``, else ``~/.cache/enet_ros``.

    Args:
        to_write: Whether the folder must take new files. One of a read-only disk is for reading.
    """
    return _find_folder(to_write=to_write)[0]


def cache_problem() -> str:
    """Say why there is no cache folder, and how to name another one; '' if there is one."""
    problem = _find_folder(to_write=True)[1]
    return problem and (f'{problem}, so the network is compiled at every start; set '
                        'ENET_ROS_CACHE to a folder of your own')


def _find_folder(*, to_write: bool) -> tuple[Path | None, str]:
    """Return the cache folder and '', or None and why there is none."""
    folder = _cache_path()
    if folder is None:
        return None, 'there is no home folder for a cache'
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        link, status = folder.lstat(), folder.stat()
    except OSError as error:
        return None, f'the cache folder {folder} cannot be made ({error.strerror})'
    if link.st_uid != os.getuid() or not _is_ours(status):  # a link decides where files go
        return None, (f'the cache folder {folder} is not used, since other users can write to it '
                      'or own it')
    if to_write and not os.access(folder, os.W_OK | os.X_OK):
        return None, f'the cache folder {folder} cannot be written to'
    return folder, ''


def _cache_path() -> Path | None:
    """Return where the cache folder is to be, or None for a user without a home.

    The path is absolute, since child processes work in other folders. A relative XDG_CACHE_HOME
    is ignored, as the XDG Base Directory Specification says.
    """
    if named := os.environ.get('ENET_ROS_CACHE'):
        return Path(os.path.expanduser(named)).absolute()
    if os.path.isabs(caches := os.environ.get('XDG_CACHE_HOME', '')):
        return Path(caches, 'enet_ros')
    try:
        return Path.home() / '.cache' / 'enet_ros'
    except RuntimeError:
        return None


def cache_key(*parts: object) -> str:
    """Return a file name for what depends on ``parts`` and nothing else."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def read_cached(name: str, folder: Path | None = None) -> bytes | None:
    """Return a file's content, or None if it is absent, damaged or another user's.

    Args:
        name: Name of the file.
        folder: Folder to use in place of the cache folder.
    """
    folder = folder or cache_folder(to_write=False)
    return None if folder is None else read_file(folder / name)


def write_cached(name: str, content: bytes, folder: Path | None = None) -> bool:
    """Keep a file; it appears whole or not at all. Returns whether it was kept."""
    folder = folder or cache_folder()
    return folder is not None and write_file(folder / name, content)


def write_problem(size: int) -> str:
    """Say that a file of some bytes could not be kept in the cache folder, and what to do.

    Returns:
        A sentence, or '' if there is no folder, which :func:`cache_problem` says.
    """
    folder = cache_folder()
    if folder is None:
        return ''
    free = shutil.disk_usage(folder).free
    return (f'the compiled network of {size / 1e6:.1f} MB cannot be kept in {folder}, where '
            f'{free / 1e6:.1f} MB are free, so it is compiled at every start; make room there, '
            'or set ENET_ROS_CACHE to another folder of your own')


def _is_ours(status: os.stat_result) -> bool:
    """Tell whether only this user owns a file or folder and can write to it."""
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _open_unfollowed(path: str, flags: int) -> int:
    """Open a file that is no link. A pipe in its place is opened too, and waits for nobody."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def read_file(path: Path) -> bytes | None:
    """Return what :func:`write_file` wrote, or None if it is absent, damaged or not ours.

    Ours is a plain file that this user owns and nobody else can write to, and no symbolic link.
    """
    try:
        with open(path, 'rb', opener=_open_unfollowed) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or not _is_ours(status):
                return None
            digest, content = file.read(_DIGEST_BYTES), file.read()
    except OSError:
        return None
    return content if hashlib.sha256(content).digest() == digest else None


def write_file(path: Path, content: bytes) -> bool:
    """Write a file with its checksum, whole or not at all. Returns whether it was written."""
    try:
        write_whole(path, hashlib.sha256(content).digest() + content, unfinished(path), mode=0o600)
    except OSError:
        return False
    return True
