"""Files that are whole or not there, whatever ends the process or the machine."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview, writing: Path | None = None) -> None:
    """Write a file under another name beside its path, and rename it once it is on the disk.

    Args:
        path: Path of the file, in a folder that exists.
        content: Its content.
        writing: That other path; None for a hidden one. One that stays the same lets the next
            write replace what a killed one left. Processes that write one file at once need
            different ones.

    Raises:
        OSError: The file cannot be written. What stood there before it still does.
    """
    writing = writing or path.with_name(f'.{path.name}.writing')
    try:
        with writing.open('wb') as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        writing.replace(path)
    except OSError:
        writing.unlink(missing_ok=True)
        raise
