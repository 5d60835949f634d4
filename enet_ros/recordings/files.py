"""Which files and folders are recordings, by their names. It needs no library for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from enet_ros.media import is_hidden

METADATA = 'metadata.yaml'
MANIFEST = 'manifest.json'  # lies beside the results of many recordings
STORAGE_SUFFIXES = ('.mcap', '.db3')
ZSTD_SUFFIXES = ('.zstd', '.zst')
PARTIAL = '.partial'  # ends the name of the folder of an unfinished recording of ours


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


def files_of(path: Path) -> list[Path]:
    """Return the files of a recording: the one, or those of its folder with metadata.yaml.

    What SQLite has not written into a .db3 yet lies in a file beside it.
    """
    files = storage_files(path) if path.is_dir() else [path]
    metadata = path / METADATA
    return files + [*filter(None, map(write_ahead_log, files))] + [metadata] * metadata.is_file()


def sizes_of(path: Path) -> list[list[object]]:
    """Return name and size of each file of a recording, as they come back from JSON."""
    return [[file.name, file.stat().st_size] for file in files_of(path) if file.exists()]


def write_ahead_log(file: Path) -> Path | None:
    """Return the log in which SQLite keeps the newest messages of a .db3, if it has any."""
    log = Path(f'{file.resolve()}-wal')
    return log if log.is_file() and log.stat().st_size else None


def located(path: Path) -> Path:
    """Return the absolute path of a recording.

    A file keeps its own name where it is a link: its suffix says what it is.
    """
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def name_of(path: Path) -> str:
    """Return the name of the result of a recording."""
    name = located(path).name
    if path.is_dir() or not storage_suffix(path):
        return name
    stem = name
    for suffix in (*ZSTD_SUFFIXES, *STORAGE_SUFFIXES):
        if stem.lower().endswith(suffix):
            stem = stem[:-len(suffix)]
    return stem or name


def is_recording_folder(folder: Path) -> bool:
    """Tell whether a folder is one recording.

    It is with a metadata.yaml. So is a folder of one file, or of the parts of one recording:
    NAME_0.mcap, NAME_1.mcap, ... Any other folder may hold recordings, as folders and files.
    """
    if (folder / METADATA).exists():
        return True
    files = storage_files(folder)
    if not files or any(_may_be_recording(entry) for entry in folder.iterdir()):
        return False
    stem = name_of(files[0]).rpartition('_')[0]
    return len(files) == 1 or {name_of(file) for file in files} == {
        f'{stem}_{i}' for i in range(len(files))}


def recordings_in(folder: Path) -> list[Path]:
    """Return the recordings that lie in a folder: folders, then files."""
    return sorted(filter(_may_be_recording, folder.iterdir())) + storage_files(folder)


def folders_of_recordings(folder: Path) -> list[Path]:
    """Return the subfolders that are no recordings and hold some, at any depth.

    Results of many recordings and unfinished ones are none.
    """
    return sorted(path for path in folder.iterdir()
                  if path.is_dir() and not _is_passed_over(path) and not _may_be_recording(path)
                  and any(name == METADATA or storage_suffix(Path(name))
                          for name in _files_below(path)))


def _files_below(folder: Path) -> Iterator[str]:
    """Yield the names of files at any depth, without folders that may not be read."""
    for parent, names, files in os.walk(folder):
        names[:] = [name for name in names if not _is_passed_over(Path(parent, name))]
        yield from (name for name in files if not is_hidden(Path(name)))


def _is_passed_over(folder: Path) -> bool:
    return is_hidden(Path(folder.name)) or folder.name.endswith(PARTIAL) \
        or os.path.exists(folder / MANIFEST)


def _may_be_recording(path: Path) -> bool:
    """Tell whether an entry of a folder is a folder of a recording that is finished."""
    return path.is_dir() and not is_hidden(Path(path.name)) and not path.name.endswith(PARTIAL) \
        and ((path / METADATA).exists() or bool(storage_files(path)))
