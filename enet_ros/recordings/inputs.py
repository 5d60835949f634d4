"""Which recordings are meant by what a user names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from enet_ros.media import is_hidden
from enet_ros.recordings.files import storage_files, storage_suffix
from enet_ros.recordings.reader import RecordingError


def find_recordings(inputs: Sequence[Path]) -> tuple[list[Path], bool]:
    """Return the recordings that are named, or that lie in the folders that are named.

    A folder with a metadata.yaml is one recording. So is a folder of one file, or of the parts of
    one recording: NAME_0.mcap, NAME_1.mcap, ... Any other folder holds recordings, as folders and
    files.

    Returns:
        The recordings, and whether one was named by itself.

    Raises:
        FileNotFoundError: There is no such file or folder.
        RecordingError: A folder holds none, or two have one name.
    """
    paths, is_one = [], len(inputs) == 1
    for path in inputs:
        if not path.exists():
            raise FileNotFoundError(f"'{path}' does not exist, wanted a recording")
        own = [path] if _is_recording(path) else _recordings_in(path)
        is_one = is_one and own == [path]
        paths += own
    names: dict[str, Path] = {}
    for path in paths:
        other = names.setdefault(name_of(path), path)
        if other is not path:
            raise RecordingError(f"'{other}' and '{path}' would both be written as "
                                 f"'{name_of(path)}'; wanted different names")
    return paths, is_one


def name_of(path: Path) -> str:
    """Return the name of the result of a recording."""
    name = path.resolve().name
    suffix = storage_suffix(path)
    if path.is_dir() or not suffix:
        return name
    return name[:name.lower().index(suffix)] or name


def _is_recording(path: Path) -> bool:
    if not path.is_dir():
        return True  # A file that is none is refused, by its name, when it is opened.
    if (path / 'metadata.yaml').exists():
        return True
    files = storage_files(path)
    if not files or any(_is_folder_of_recording(entry) for entry in path.iterdir()):
        return False
    stem = name_of(files[0]).rpartition('_')[0]
    return len(files) == 1 or {name_of(file) for file in files} == {
        f'{stem}_{i}' for i in range(len(files))}


def _is_folder_of_recording(path: Path) -> bool:
    return path.is_dir() and not is_hidden(Path(path.name)) and (
        (path / 'metadata.yaml').exists() or bool(storage_files(path)))


def _recordings_in(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if _is_folder_of_recording(path))
    found += storage_files(folder)
    if not found:
        raise RecordingError(f"'{folder}' holds no recording: no metadata.yaml, and no file that "
                             'ends in .mcap or .db3')
    return found
