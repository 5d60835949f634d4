"""A folder of files that took long to make, each with its checksum.

A compiled network is not far from code, so the folder belongs to the user alone, and a file whose
checksum does not fit is made anew.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

_DIGEST_BYTES = hashlib.sha256().digest_size


def cache_folder() -> Path | None:
    """Return the cache folder, made with mode 0700, or None where there can be none.

    ``$ENET_ROS_CACHE`` names it, else ``$XDG_CACHE_HOME/enet_ros``, else ``~/.cache/enet_ros``.
    """
    default = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'enet_ros'
    folder = Path(os.environ.get('ENET_ROS_CACHE') or default)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return None
    foreign = status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return None if foreign or not os.access(folder, os.W_OK) else folder


def cache_key(*parts: object) -> str:
    """Return a file name for what depends on ``parts`` and nothing else."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def read_cached(name: str) -> bytes | None:
    """Return a file's content, or None if it is absent, damaged or another user's."""
    folder = cache_folder()
    if folder is None:
        return None
    try:
        with open(folder / name, 'rb') as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            digest, content = file.read(_DIGEST_BYTES), file.read()
    except OSError:
        return None
    return content if hashlib.sha256(content).digest() == digest else None


def write_cached(name: str, content: bytes) -> bool:
    """Keep a file; it appears whole or not at all. Returns whether it was kept."""
    folder = cache_folder()
    if folder is None:
        return False
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix='.new-')
        with os.fdopen(handle, 'wb') as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)
        os.replace(temporary, folder / name)
    except OSError:
        return False
    return True
