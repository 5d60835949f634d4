"""Labelled frames of one split of a data set: reading them, and decoding their label images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.training.label_sets import LabelSets

SHOWN_PROBLEMS = 8

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
        decode: Converts a label image as OpenCV reads it to (H, W) uint8 ids, 255 where a pixel
            does not count. It raises ValueError for a value that is out of range.
        sets: Labels that stand for several classes, or None.
    """

    name: str
    split: str
    class_map: ClassMap
    pairs: tuple[tuple[Path, Path], ...]
    decode: Decoder
    sets: LabelSets | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a frame and its label map.

        Returns:
            (H, W, 3) uint8 RGB, and (H, W) uint8 ids with 255 where a pixel does not count.

        Raises:
            DatasetError: A file is unreadable, the sizes differ, or a value is out of range.
        """
        frame_path, label_path = self.pairs[index]
        frame, stored = _read_image(frame_path, cv2.IMREAD_COLOR), _read_image(label_path)
        if frame.shape[:2] != stored.shape[:2]:
            raise DatasetError(f'{label_path}: {_size(stored)}, but its frame is {_size(frame)}')
        try:
            return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), self.decode(stored)
        except ValueError as error:
            raise DatasetError(f'{label_path}: {error}') from error

    def check(self, each: Callable[[np.ndarray, np.ndarray], None] | None = None) -> None:
        """Read every pair once.

        Args:
            each: Called with each frame and its label map.

        Raises:
            DatasetError: Files cannot be used. The message has their number and the first ones.
        """
        problems = []
        for index in range(len(self)):
            try:
                pair = self.read(index)
                if each:
                    each(*pair)
            except DatasetError as error:
                problems.append(str(error))
        raise_problems(f'{self.name} {self.split}', problems)


def raise_problems(where: str, problems: Sequence[str]) -> None:
    """Raise one DatasetError for all problems, if there are any."""
    if not problems:
        return
    shown = list(problems[:SHOWN_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f'… and {len(problems) - len(shown)} more')
    raise DatasetError(f'{where}: {len(problems)} problem(s)\n  ' + '\n  '.join(shown))


def _size(image: np.ndarray) -> str:
    return f'{image.shape[1]}x{image.shape[0]}'


def _read_image(path: Path, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """Read an image in OpenCV's order of channels (BGR)."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        image = cv2.imdecode(data, flags) if data.size else None
    except (OSError, cv2.error) as error:
        raise DatasetError(f'{path}: unreadable ({error})') from error
    if image is None:
        raise DatasetError(f'{path}: unreadable (not an image, or truncated)')
    return image


def id_decoder(ids: dict[int, int]) -> Decoder:
    """Build a decoder for label images of numbers.

    Args:
        ids: Class id, or 255, of each value that may occur. Every other value is an error.
    """
    lut, allowed = np.full(256, UNKNOWN, np.uint8), np.zeros(256, bool)
    lut[list(ids)], allowed[list(ids)] = list(ids.values()), True

    def decode(stored: np.ndarray) -> np.ndarray:
        if stored.ndim != 2:
            raise ValueError(f'{stored.shape[2]} channels, wanted one with class ids')
        if stored.dtype != np.uint8 and stored.max(initial=0) > 255:
            raise ValueError(f'label value {stored.max()}, wanted {_ranges(ids)}')
        stored = stored.astype(np.uint8, copy=False)
        if not allowed[stored].all():
            bad = np.unique(stored[~allowed[stored]])
            raise ValueError(f'label value {bad[0]} ({np.count_nonzero(stored == bad[0])} '
                             f'pixels), wanted {_ranges(ids)}')
        return lut[stored]
    return decode


def color_decoder(colors: Sequence[tuple[int, Sequence[tuple[int, int, int]]]]) -> Decoder:
    """Build a decoder for label images of colours.

    Args:
        colors: (class id or 255, its RGB colours) for every colour that may occur.
    """
    pairs = sorted(((r << 16) | (g << 8) | b, class_id)
                   for class_id, group in colors for r, g, b in group)
    keys, values = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs], np.uint8)

    def decode(stored: np.ndarray) -> np.ndarray:
        if stored.ndim != 3:
            raise ValueError('one channel, wanted RGB colours')
        b, g, r = (stored[..., i].astype(np.int32) for i in range(3))
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
