"""Files that another process has open."""

import contextlib
from pathlib import Path


def files_open_in(pid):
    """Return the paths that the file descriptors of a process stand for."""
    paths = []
    for descriptor in Path(f'/proc/{pid}/fd').iterdir():
        with contextlib.suppress(OSError):  # It was closed meanwhile.
            paths.append(descriptor.readlink())
    return paths
