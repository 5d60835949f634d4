"""A data set of synthetic roads on disk, with the exact class of every pixel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from enet_ros.network.class_files import class_list_text
from enet_ros.network.class_map import ClassMap
from enet_ros.perception.images.write_compressed import jpeg_of, png_of
from enet_ros.training.batches import SyntheticFrames
from enet_ros.training.datasets import DRAWN

#: Sizes of the frames in pixels, in turn: the shapes of most cameras.
SIZES = ((640, 360), (480, 360))
FRAMES_A_ROAD = 2  # most of the time of a frame goes to the textures of its road
#: Number of the first road of the split 'val'. Training draws smaller numbers.
FIRST_HELD_OUT = 1 << 20
JPEG_QUALITY = 92


def draw_dataset(out: Path, class_map: ClassMap, counts: dict[str, int], *,
                 varied: bool = True) -> Iterator[int]:
    """Draw roads into folders that ``enet-ros train --dataset synthetic`` reads.

    Frames become ``OUT/<split>/<number>.jpg`` and labels ``OUT/<split>annot/<number>.png``.

    Args:
        out: A folder that does not exist, or is empty.
        class_map: Classes of the labels. A class of the street that is not among them becomes
            'other', or 255 if there is no such class.
        counts: Split, 'train' or 'val' -> number of frames.
        varied: Whether roads of every kind are drawn, instead of streets of a town.

    Yields:
        The number of frames so far, after each.

    Raises:
        FileExistsError: The folder has something in it.
        DatasetError: Synthetic roads have none of the classes.
    """
    kinds = [SyntheticFrames(class_map, size, varied=varied) for size in SIZES]
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise FileExistsError(f'{out} is not empty, wanted a new folder')
    (out / 'classes.yaml').write_text(class_list_text(class_map), encoding='utf-8')
    done = 0
    for split, count in counts.items():
        for folder in (out / split, out / f'{split}annot'):
            folder.mkdir()
        for number, (frame, labels) in enumerate(_frames(kinds, split, count)):
            (out / split / f'{number:06}.jpg').write_bytes(jpeg_of(frame, JPEG_QUALITY))
            (out / f'{split}annot' / f'{number:06}.png').write_bytes(png_of(labels))
            done += 1
            yield done
    # Last, so that a folder that was drawn in part is no data set.
    (out / DRAWN).write_text(json.dumps({'frames': counts, 'varied': varied}) + '\n')


def _frames(kinds: list[SyntheticFrames], split: str,
            count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the frames and labels of a split."""
    first = FIRST_HELD_OUT if split == 'val' else 0
    for start in range(0, count, FRAMES_A_ROAD):
        road = first + start // FRAMES_A_ROAD
        yield from kinds[road % len(kinds)].render(road, min(FRAMES_A_ROAD, count - start))
