"""Which files are recordings, by their names. It needs no library for them."""

from __future__ import annotations

from pathlib import Path

from enet_ros.media import is_hidden

STORAGE_SUFFIXES = ('.mcap', '.db3')
ZSTD_SUFFIXES = ('.zstd', '.zst')


def storage_suffix(path: Path) -> str:
    """Return '.mcap' or '.db3' for the file of a recording, compressed or not, or ''."""
    name = path.name.lower()
    for suffix in ZSTD_SUFFIXES:
        name = name.removesuffix(suffix)
    return next((suffix for suffix in STORAGE_SUFFIXES if name.endswith(suffix)), '')


def storage_files(folder: Path) -> list[Path]:
    """Return the files of recordings that lie in a folder, without hidden ones."""
    return sorted(path for path in folder.iterdir()
                  if path.is_file() and storage_suffix(path) and not is_hidden(Path(path.name)))
