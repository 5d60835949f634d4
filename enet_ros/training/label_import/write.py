"""Frames and label images of an import, written as pairs of folders."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from enet_ros.media import SourceError, as_shown, decode_image_file, write_image
from enet_ros.network.class_files import class_list_text
from enet_ros.network.class_map import UNKNOWN
from enet_ros.training.label_import.classes import LabelIds
from enet_ros.training.label_import.files import FrameFiles, parts_of, stem_of
from enet_ros.training.label_import.shapes import DrawnFrame, ImportLabelsError

MAX_NAME = 200


@dataclass
class Written:
    """What an import wrote.

    Attributes:
        frames: Split -> number of frames.
        pixels: Class id -> number of pixels; 255 is not labeled.
    """

    frames: Counter = field(default_factory=Counter)
    pixels: Counter = field(default_factory=Counter)


def write_dataset(out: Path, frames: list[DrawnFrame], files: FrameFiles, ids: LabelIds,
                  validation: set[str]) -> Written:
    """Write frames, label images and the class file.

    Everything is written beside ``out``, or in an empty folder that stands there, and renamed at
    the end, the class file last. So a folder with a class file is whole.

    Args:
        out: Folder of the data set. It must not exist, or be empty.
        frames: Frames that are labeled.
        files: Image files of the frames.
        ids: Values of the labels.
        validation: Names of the frames of the split 'val'.

    Raises:
        ImportLabelsError: ``out`` has files, or a frame cannot be read or does not fit its shapes.
        OSError: The disk does not take it.
    """
    check_free(out)
    targets = _names_of(frames)
    out = Path(os.path.realpath(out))  # '.' has no name, and a link is no folder to replace
    stands = out.is_dir()
    place = out if stands else out.parent
    place.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f'.{out.name}.', dir=place))
    try:
        written = _write_all(partial, zip(frames, targets), files, ids, validation)
        (partial / 'classes.yaml').write_text(class_list_text(ids.class_map), encoding='utf-8')
        if stands:
            for path in sorted(partial.iterdir(), reverse=True):
                path.rename(out / path.name)
        else:
            partial.chmod(0o777 & ~_umask())
            partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return written


def check_free(out: Path) -> None:
    """Refuse a folder that has files already."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ImportLabelsError(f"'{out}' exists and is not empty; wanted a new folder, since "
                                'nothing is overwritten')


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_all(folder: Path, frames: Iterator[tuple[DrawnFrame, str]], files: FrameFiles,
               ids: LabelIds, validation: set[str]) -> Written:
    from tqdm import tqdm
    for split in ('train', 'val'):
        (folder / split).mkdir()
        (folder / f'{split}annot').mkdir()
    written = Written()
    for frame, target in tqdm(list(frames), unit='frame', disable=None):
        try:
            data = frame.image or files.find(frame)()
            shown, suffix = _read_shown(data)
            labels = paint(frame, shown.shape[1::-1], ids)
        except (ImportLabelsError, SourceError) as error:
            text = str(error)
            raise ImportLabelsError(text if f"'{frame.name}'" in text else
                                    f"'{frame.name}': {text}") from error
        split = 'val' if frame.name in validation else 'train'
        if suffix:
            (folder / split / f'{target}{suffix}').write_bytes(data)
        else:
            write_image(folder / split / f'{target}.png', shown)
        write_image(folder / f'{split}annot' / f'{target}.png', labels)
        written.frames[split] += 1
        values, counts = np.unique(labels, return_counts=True)
        written.pixels.update(dict(zip(values.tolist(), counts.tolist())))
    return written


def _read_shown(data: bytes) -> tuple[np.ndarray, str]:
    """Return the pixels of a frame as they are shown, and the suffix of its kind or ''."""
    stored = decode_image_file(data)
    return as_shown(stored), {'PNG': '.png', 'JPEG': '.jpg'}.get(stored.kind, '')


def paint(frame: DrawnFrame, size: tuple[int, int], ids: LabelIds) -> np.ndarray:
    """Return the label image of a frame, (height, width) uint8.

    Args:
        frame: Shapes of the frame. Later ones lie above earlier ones.
        size: (width, height) of the frame as it is shown.
        ids: Values of the labels.

    Raises:
        ImportLabelsError: The shapes were drawn on another size, or one does not fit.
    """
    if frame.size is not None and frame.size != size:
        turned = ('; the frame has an orientation in its EXIF data, or is rotated'
                  if frame.size == size[::-1] else '')
        raise ImportLabelsError(
            f'it was labeled at {frame.size[0]}x{frame.size[1]}, but the frame has '
            f'{size[0]}x{size[1]}; wanted the images that were labeled{turned}')
    labels = np.full(size[::-1], ids.background, np.uint8)
    for shape in frame.shapes:
        labels[shape.paint(size)] = ids.id_of.get(shape.label, UNKNOWN)
    return labels


def _names_of(frames: list[DrawnFrame]) -> list[str]:
    """Return the names of the files that are written, without their suffixes.

    Folders become a part of the name, so that frames of one name in two folders are two.
    """
    names, first = [], {}
    depth = max((len(parts_of(frame.name)) for frame in frames), default=1)
    shared = 0
    if frames:
        paths = [parts_of(frame.name)[:-1] for frame in frames]
        while shared < depth and len({tuple(path[:shared + 1]) for path in paths}) == 1 \
                and len(paths[0]) > shared:
            shared += 1
    for frame in frames:
        parts = parts_of(frame.name)[shared:]
        name = stem_of('_'.join(parts))
        name = ''.join(letter if letter.isprintable() else '_' for letter in name).lstrip('.')
        if not name or len(name.encode(errors='replace')) > MAX_NAME:
            raise ImportLabelsError(f'a frame is named {frame.name!r}, wanted a name of 1 to '
                                    f'{MAX_NAME} bytes')
        other = first.setdefault(name.casefold(), frame.name)
        if other != frame.name or name in names:
            raise ImportLabelsError(f"'{other}' and '{frame.name}' would both be written as "
                                    f'{name}.png; wanted different names')
        names.append(name)
    return names
