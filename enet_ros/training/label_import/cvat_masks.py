"""CVAT's 'Segmentation mask 1.1': label images in colors, and labelmap.txt."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import numpy as np

from enet_ros.media import SourceError, decode_image_file
from enet_ros.training.label_images import read_colors
from enet_ros.training.label_import.files import ExportFiles
from enet_ros.training.label_import.shapes import DrawnFrame, Export, ImportLabelsError, Shape

TOOL = 'CVAT, Segmentation mask 1.1'
FOLDER = 'SegmentationClass/'
#: CVAT's name and color of pixels that nobody drew on. A user's label may have the name, too.
BACKGROUND = 'background', (0, 0, 0)

_LINE = re.compile(r'([^:#][^:]*):(\d{1,3}),(\d{1,3}),(\d{1,3}):.*')


def read(files: ExportFiles, name: str) -> Export:
    """Read an export.

    Args:
        files: Files of the export.
        name: Path of labelmap.txt there.

    Raises:
        ImportLabelsError: labelmap.txt cannot be read, or there is no label image.
    """
    labels = dict(item for item in _read_labelmap(files, name).items() if item != BACKGROUND)
    base = name[:-len('labelmap.txt')] + FOLDER
    masks = [path for path in files.names if path.startswith(base) and path.endswith('.png')]
    if not masks:
        raise ImportLabelsError(f"'{files.path}' has no {base}*.png; export as 'Segmentation mask "
                                "1.1'")
    images = {_stem(path, 'JPEGImages/'): path for path in files.names if 'JPEGImages/' in path}
    frames = []
    for path in masks:
        stem = path[len(base):-len('.png')]
        frames.append(DrawnFrame(images.get(stem, stem), _read_mask(files, path, labels)))
    return Export(TOOL, frames, labels)


def _stem(path: str, folder: str) -> str:
    return str(PurePosixPath(path.rpartition(folder)[2]).with_suffix(''))


def _read_labelmap(files: ExportFiles, name: str) -> dict[str, tuple[int, int, int]]:
    labels: dict[str, tuple[int, int, int]] = {}
    for line in files.text(name).splitlines():
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        match = _LINE.fullmatch(line.strip())
        color = tuple(map(int, match.groups()[1:])) if match else (256,)
        if max(color) > 255:
            raise ImportLabelsError(f"'{files.path}': {name} has the line '{line}', wanted "
                                    "'name:red,green,blue::'")
        if color in labels.values():
            raise ImportLabelsError(f"'{files.path}': {name} has the color {color} twice; wanted "
                                    'one color a label')
        labels[match[1].strip()] = color
    return labels


def _read_mask(files: ExportFiles, path: str,
               labels: dict[str, tuple[int, int, int]]) -> tuple[Shape, ...]:
    """Return one shape for each label of a label image."""
    try:
        colors = read_colors(decode_image_file(files.read(path))).astype(np.uint32)
    except (SourceError, ValueError) as error:
        raise ImportLabelsError(f"'{files.path}': {path}: {error}") from error
    keys = colors[..., 0] << 16 | colors[..., 1] << 8 | colors[..., 2]
    label_of = {red << 16 | green << 8 | blue: label
                for label, (red, green, blue) in labels.items()}
    present = np.unique(keys)
    unknown = [f'#{key:06x}' for key in present.tolist() if key not in label_of and key != 0]
    if unknown:
        raise ImportLabelsError(f"'{files.path}': {path} has colors that labelmap.txt does not "
                                f'name: {", ".join(unknown[:8])}')
    return tuple(Shape(label_of[key], _painter(path, keys == key)) for key in present.tolist()
                 if key in label_of)


def _painter(path: str, mask: np.ndarray):
    packed, shape = np.packbits(mask), mask.shape

    def paint(size: tuple[int, int]) -> np.ndarray:
        if shape != size[::-1]:
            raise ImportLabelsError(f'{path} has {shape[1]}x{shape[0]} pixels, but the frame has '
                                    f'{size[0]}x{size[1]}')
        return np.unpackbits(packed, count=shape[0] * shape[1]).reshape(shape).astype(bool)
    return paint
