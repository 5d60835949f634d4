"""Labeled frames of one split of a data set: reading them, and decoding their label images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from enet_ros.common.one_line_error import printable
from enet_ros.media import SourceError, StoredImage, as_shown, decode_image_file, read_bytes
from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.training.label_checks import LabelCheck
from enet_ros.training.label_images import read_values
from enet_ros.training.label_sets import LabelSets

SHOWN_PROBLEMS = 8

#: Orientations that leave the size as it is, so that no size tells what a label fits.
KEEPS_SIZE = (2, 3, 4)

#: From the values or colors of a label image to class ids.
Decoder = Callable[[np.ndarray], np.ndarray]


class DatasetError(ValueError):
    """A data set cannot be used; the message names the files."""


@dataclass(frozen=True)
class SegmentationData:
    """Frames and label maps of one split.

    Attributes:
        name: Name of the data set on the command line.
        split: Name of the split: 'train', 'val' or 'test'.
        class_map: Meaning of the class ids.
        pairs: Paths of frames and their label files, sorted by name.
        decode: Converts what ``read_label`` returns to (H, W) uint8 ids, 255 where a pixel does
            not count. It raises ValueError for a value that is out of range.
        sets: Labels that stand for several classes, or None.
        read_label: Returns the values of a label image, (H, W), or its colors, (H, W, 3). It
            raises ValueError for an image of another kind.
        label_checks: Checks of the values of all label images together.
        notes: Sentences about the split that :meth:`check` returns first.
    """

    name: str
    split: str
    class_map: ClassMap
    pairs: tuple[tuple[Path, Path], ...]
    decode: Decoder
    sets: LabelSets | None = None
    read_label: Callable[[StoredImage], np.ndarray] = read_values
    label_checks: tuple[LabelCheck, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a frame and its label map, both as they are shown (EXIF orientation applied).

        Returns:
            (H, W, 3) uint8 RGB, and (H, W) uint8 ids with 255 where a pixel does not count.

        Raises:
            DatasetError: A file is unreadable, the sizes differ, or a value is out of range.
        """
        pair = self._open(index)
        return pair.frame, pair.labels(self.decode)

    def _open(self, index: int) -> _Pair:
        """Read a frame and the values of its label file, of one size.

        Raises:
            DatasetError: A file is unreadable, or the sizes differ.
        """
        frame_path, label_path = self.pairs[index]
        frame, label = _decode(frame_path), _decode(label_path)
        try:
            values = self.read_label(label)
        except ValueError as error:
            raise DatasetError(f'{label_path}: {error}') from error
        try:
            shown = as_shown(frame)
        except SourceError as error:
            raise DatasetError(f'{frame_path}: unreadable ({error})') from error
        pair = _Pair(label_path, shown, values, frame.orientation, label.orientation)
        if pair.frame.shape[:2] != values.shape[:2]:
            raise DatasetError(f'{label_path}: {pair.describe_sizes()}')
        return pair

    def check(self, each: Callable[[np.ndarray, np.ndarray], None] | None = None
              ) -> tuple[str, ...]:
        """Read every pair once.

        Args:
            each: Called with each frame and its label map.

        Returns:
            Sentences about what may be meant otherwise, and is no error.

        Raises:
            DatasetError: Files cannot be used, or the labels mean something else. The message has
                the number of files and the first ones.
        """
        problems, counts, rotated = [], [], []
        for index in range(len(self)):
            try:
                pair = self._open(index)
                labels = pair.labels(self.decode)
            except DatasetError as error:
                problems.append(str(error))
                continue
            counts.append((count_values(pair.values), np.count_nonzero(labels != UNKNOWN)))
            if each:
                each(pair.frame, labels)
            if pair.may_be_rotated():
                rotated.append(self.pairs[index][0])
        where = f'{self.name} {self.split}'
        raise_problems(where, problems)
        self.raise_label_problems(counts)
        return (*self.notes, *_describe_rotated(where, rotated))

    def raise_label_problems(self, counts: Sequence[tuple[np.ndarray, int]]) -> None:
        """Check the values of all label images together.

        Args:
            counts: For each label image what :func:`count_values` returns, and the number of
                pixels that count.

        Raises:
            DatasetError: The labels mean something else, or none of them counts.
        """
        where = f'{self.name} {self.split}'
        values = np.array([of_image for of_image, _ in counts])
        for check in self.label_checks:
            if problem := check(values):
                raise DatasetError(f'{where}: {problem}')
        if not sum(labeled for _, labeled in counts):
            raise DatasetError(f'{where}: no pixel of its {len(counts)} label images has a class; '
                               'all are 255 or of a class that means not labeled')


@dataclass(frozen=True)
class _Pair:
    """A frame and the values of its label file, as they are shown.

    Attributes:
        label_path: Path of the label file.
        frame: (H, W, 3) uint8 RGB.
        values: (H, W) numbers or (H, W, 3) colors.
        orientation: EXIF orientation of the frame's file, 1 for none.
        label_orientation: EXIF orientation of the label file.
    """

    label_path: Path
    frame: np.ndarray
    values: np.ndarray
    orientation: int
    label_orientation: int

    def labels(self, decode: Decoder) -> np.ndarray:
        """Return (H, W) uint8 ids.

        Raises:
            DatasetError: A value is out of range.
        """
        try:
            return decode(self.values)
        except ValueError as error:
            raise DatasetError(f'{self.label_path}: {error}') from error

    def may_be_rotated(self) -> bool:
        """Tell whether the label might fit the frame as it is stored; no size tells."""
        height, width = self.values.shape[:2]
        unseen = self.orientation in KEEPS_SIZE or (self.orientation != 1 and height == width)
        return unseen and self.label_orientation == 1

    def describe_sizes(self) -> str:
        """Say that the sizes differ, and whether an orientation is the reason."""
        text = f'{_size(self.values)}, but its frame is {_size(self.frame)}'
        if self.values.shape[:2] != self.frame.shape[1::-1]:
            return text
        if self.orientation >= 5 and self.label_orientation == 1:
            return (f'{text} as it is shown (EXIF orientation {self.orientation}); the label fits '
                    'the frame as it is stored. Rotate the label as the frame is, or take the tag '
                    'out of the frame')
        return (f'{text}; the EXIF orientation of the label is {self.label_orientation}, that of '
                f'the frame {self.orientation}, and both are applied')


def raise_problems(where: str, problems: Sequence[str]) -> None:
    """Raise one DatasetError for all problems, if there are any."""
    if not problems:
        return
    shown = list(problems[:SHOWN_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f'… and {len(problems) - len(shown)} more')
    raise DatasetError(f'{where}: {len(problems)} problem(s)\n  ' + '\n  '.join(shown))


def _describe_rotated(where: str, frames: Sequence[Path]) -> tuple[str, ...]:
    """Say which rule holds for frames whose size does not show how a label was drawn."""
    if not frames:
        return ()
    return (f'{where}: {len(frames)} frames have an EXIF orientation that keeps their size, first '
            f'{printable(str(frames[0]))}. Frames are taken as they are shown, and their labels '
            'must fit that',)


def count_values(values: np.ndarray) -> np.ndarray:
    """Count the pixels of each value, (256,) int64; colors have no counts."""
    if values.ndim != 2:
        return np.zeros(256, np.int64)
    return np.bincount(values.ravel(), minlength=256)[:256]


def _size(image: np.ndarray) -> str:
    return f'{image.shape[1]}x{image.shape[0]}'


def _decode(path: Path) -> StoredImage:
    try:
        return decode_image_file(read_bytes(path))
    except SourceError as error:
        raise DatasetError(f'{path}: unreadable ({error})') from error


def id_decoder(ids: dict[int, int], hint: str = '') -> Decoder:
    """Build a decoder for label images of numbers.

    Args:
        ids: Class id, or 255, of each value that may occur. Every other value is an error.
        hint: What is added to the message about such a value.
    """
    lut, allowed = np.full(256, UNKNOWN, np.uint8), np.zeros(256, bool)
    lut[list(ids)], allowed[list(ids)] = list(ids.values()), True

    def decode(stored: np.ndarray) -> np.ndarray:
        if stored.dtype != np.uint8 and stored.max(initial=0) > 255:
            raise ValueError(f'label value {stored.max()}, wanted {_ranges(ids)}')
        stored = stored.astype(np.uint8, copy=False)
        if not allowed[stored].all():
            bad = np.unique(stored[~allowed[stored]])
            raise ValueError(f'label value {bad[0]} ({np.count_nonzero(stored == bad[0])} '
                             f'pixels), wanted {_ranges(ids)}{f"; {hint}" if hint else ""}')
        return lut[stored]
    return decode


def color_decoder(colors: Sequence[tuple[int, Sequence[tuple[int, int, int]]]]) -> Decoder:
    """Build a decoder for label images of colors.

    Args:
        colors: (class id or 255, its RGB colors) for every color that may occur.
    """
    pairs = sorted(((r << 16) | (g << 8) | b, class_id)
                   for class_id, group in colors for r, g, b in group)
    keys, values = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs], np.uint8)

    def decode(stored: np.ndarray) -> np.ndarray:
        r, g, b = (stored[..., i].astype(np.int32) for i in range(3))
        packed = (r << 16) | (g << 8) | b
        index = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
        wrong = keys[index] != packed
        if wrong.any():
            color = [int(packed[wrong][0]) >> shift & 255 for shift in (16, 8, 0)]
            raise ValueError(f'color {color} ({np.count_nonzero(wrong)} pixels of unknown '
                             'colors), wanted the colors of the data set')
        return values[index]
    return decode


def _ranges(ids: Collection[int]) -> str:
    """Format the allowed values as ranges: '0-11, 255'."""
    runs: list[list[int]] = []
    for value in sorted(ids):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ', '.join(str(a) if a == b else f'{a}-{b}' for a, b in runs)
