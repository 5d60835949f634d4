"""Which recordings are meant by what a user names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from enet_ros.recordings.files import (
    folders_of_recordings,
    is_recording_folder,
    located,
    name_of,
    recordings_in,
)
from enet_ros.recordings.reader import ROS_1_ADVICE, RecordingError


def find_recordings(inputs: Sequence[Path]) -> tuple[list[Path], bool]:
    """Return the recordings that are named, or that lie in the folders that are named.

    Which folders are recordings: :func:`enet_ros.recordings.files.is_recording_folder`.

    Returns:
        The recordings, and whether one was named by itself.

    Raises:
        FileNotFoundError: There is no such file or folder.
        RecordingError: A folder holds none, one is named twice, or two have one name.
    """
    paths, is_one = [], len(inputs) == 1
    for path in inputs:
        if not path.exists():
            raise FileNotFoundError(f"'{path}' does not exist, wanted a recording")
        # A file that is none is refused, by its name, when it is opened.
        own = [path] if not path.is_dir() or is_recording_folder(path) else _recordings_in(path)
        is_one = is_one and own == [path]
        paths += own
    names: dict[str, Path] = {}
    for path in paths:
        other = names.setdefault(name_of(path), path)
        if other is path:
            continue
        if located(other) == located(path):
            raise RecordingError(f"'{path}' is given twice, or by a link; wanted each recording "
                                 'once')
        raise RecordingError(f"'{other}' and '{path}' would both be written as "
                             f"'{name_of(path)}'; wanted different names")
    return paths, is_one


def left_out(inputs: Sequence[Path]) -> list[str]:
    """Return a sentence for each folder whose recordings lie too deep to be found.

    Their results would have clashing names, such as the same day of two robots.
    """
    resolved = [path.resolve() for path in inputs]
    given = {*resolved, *(parent for path in resolved for parent in path.parents)}
    return [f"'{path}' holds recordings that are left out: give that folder by itself, with "
            'another -o' for folder in inputs if folder.is_dir()
            for path in folders_of_recordings(folder) if path.resolve() not in given]


def _recordings_in(folder: Path) -> list[Path]:
    found = recordings_in(folder)
    if not found:
        deeper = ''.join(f'; {sentence}' for sentence in left_out([folder]))
        is_ros_1 = any(path.suffix.lower() == '.bag' for path in folder.iterdir())
        raise RecordingError(f"'{folder}' holds no recording: no metadata.yaml, and no file that "
                             f'ends in .mcap or .db3{ROS_1_ADVICE if is_ros_1 else ""}{deeper}')
    return found
