"""What a run will learn from: a table of each source, and frames beside their labels."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.colors import hsv_to_rgb
from matplotlib.patches import Patch
from tqdm import tqdm

from enet_ros.network.class_map import UNKNOWN
from enet_ros.training.labeled_frames import SegmentationData
from enet_ros.training.plots import literal, plt

SHEET_FRAMES = 6  # of each source


@dataclass
class Survey:
    """What was found in the pairs of one split.

    Attributes:
        data: The split.
        sizes: (width, height) of the frames -> how many have it.
        pixels: (256,) int64, number of pixels of each label.
        notes: Sentences of :meth:`SegmentationData.check`.
        checksums: CRC-32 of each frame and its labels, in the order of the split.
    """

    data: SegmentationData
    sizes: Counter = field(default_factory=Counter)
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    notes: tuple[str, ...] = ()
    checksums: list[int] = field(default_factory=list)

    @property
    def class_pixels(self) -> np.ndarray:
        """Number of pixels of each class, (num_classes,) int64."""
        return self.pixels[:len(self.data.class_map)]

    def __str__(self) -> str:
        """Return the pairs, sizes and shares of the labels, a line each."""
        sizes = ', '.join(f'{width}x{height}' + (f' ({count})' if len(self.sizes) > 1 else '')
                          for (width, height), count in self.sizes.most_common(4))
        more = f' and {len(self.sizes) - 4} more sizes' if len(self.sizes) > 4 else ''
        lines = [f'{self.data.name} {self.data.split}: {len(self.data)} pairs, {sizes}{more}']
        total = max(int(self.pixels.sum()), 1)
        for label, name in label_names(self.data).items():
            if self.pixels[label]:
                lines.append(f'  {name:<40}{100 * self.pixels[label] / total:6.2f} %')
        missing = [name for i, name in self.data.class_map.labeled.items() if not self.pixels[i]]
        if missing:
            lines.append(f'  never labeled for certain: {", ".join(missing)}')
        lines += [f'  {note}' for note in self.notes]
        return '\n'.join(lines)


def survey(data: SegmentationData, *, shows_progress: bool = False) -> Survey:
    """Read every pair of a split once.

    Args:
        data: The split.
        shows_progress: Whether a terminal shows a progress bar.

    Raises:
        DatasetError: Files cannot be used. The message has their number and the first ones.
    """
    result = Survey(data)
    bar = tqdm(total=len(data), desc=f'{data.name} {data.split}', unit='pair',
               disable=None if shows_progress else True)

    def count(frame: np.ndarray, labels: np.ndarray) -> None:
        result.sizes[frame.shape[1::-1]] += 1
        result.pixels += np.bincount(labels.reshape(-1), minlength=256)
        result.checksums.append(zlib.crc32(np.ascontiguousarray(labels),
                                           zlib.crc32(np.ascontiguousarray(frame))))
        bar.update()
    with bar:
        result.notes = data.check(count)
    return result


def label_names(data: SegmentationData) -> dict[int, str]:
    """Return the name of each label that a split may have: classes, sets and unknown."""
    names = dict(enumerate(data.class_map.names))
    if data.sets:
        for label, members in enumerate(data.sets.members, start=len(names)):
            names[label] = 'one of ' + ', '.join(data.class_map.names[i] for i in members)
    return {**names, UNKNOWN: 'not labeled'}


def label_colors(data: SegmentationData) -> np.ndarray:
    """Return the RGB color of each label, (256, 3) uint8.

    Sets have bright, pale colors of even hues, which no class of a street has.
    """
    colors, first = data.class_map.color_lut(), len(data.class_map)
    for i in range(len(data.sets or ())):
        colors[first + i] = np.round(255 * hsv_to_rgb((i / len(data.sets), 0.45, 1.0)))
    return colors


def draw_contact_sheet(path: Path, splits: Sequence[SegmentationData]) -> None:
    """Draw frames of each source beside their labels, with a legend.

    Args:
        path: Path of the PNG.
        splits: Training splits, of one class map and one table of sets.
    """
    figure, axes = plt.subplots(2 * len(splits), SHEET_FRAMES, squeeze=False, layout='constrained',
                                figsize=(2.4 * SHEET_FRAMES, 3.6 * len(splits) + 1.2))
    colors, shown = label_colors(splits[0]), np.zeros(256, bool)
    for axis in axes.flat:
        axis.axis('off')
    for row, split in enumerate(splits):
        chosen = np.linspace(0, len(split) - 1, min(SHEET_FRAMES, len(split))).astype(int)
        for column, index in enumerate(chosen):
            frame, labels = split.read(int(index))
            shown[labels] = True
            axes[2 * row, column].imshow(frame)
            axes[2 * row + 1, column].imshow(colors[labels])
        axes[2 * row, 0].set_title(literal(f'{split.name} {split.split}'), loc='left')
    patches = [Patch(color=colors[label] / 255, label=literal(name))
               for label, name in label_names(splits[0]).items() if shown[label]]
    figure.legend(handles=patches, loc='outside lower center', ncols=3, fontsize='small')
    figure.savefig(path, dpi=90)
    plt.close(figure)
