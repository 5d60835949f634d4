"""CVAT for images 1.1: an XML file with polygons and masks."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree.ElementTree import Element

import numpy as np

from enet_ros.training.label_import.files import ExportFiles
from enet_ros.training.label_import.shapes import (
    DrawnFrame,
    Export,
    ImportLabelsError,
    Shape,
    placed_mask,
    polygon,
)

TOOL = 'CVAT for images 1.1'
NO_AREA = ('box', 'polyline', 'points', 'cuboid', 'ellipse', 'skeleton', 'tag')


def read(files: ExportFiles, name: str) -> Export:
    """Read an XML file of CVAT.

    Raises:
        ImportLabelsError: It is something else, or a shape cannot be read.
    """
    root = files.xml(name)
    if root.tag != 'annotations':
        raise ImportLabelsError(f"'{files.path}': {name} begins with <{root.tag}>, wanted "
                                "<annotations>; export as 'CVAT for images 1.1'")
    if root.find('track') is not None:
        raise ImportLabelsError(f"'{files.path}': {name} is an export for video; export as "
                                "'CVAT for images 1.1'")
    ignored: Counter = Counter()
    frames = [_read_frame(image, ignored) for image in root.iter('image')]
    return Export(TOOL, frames, _read_labels(root), ignored)


def _read_labels(root: Element) -> dict[str, tuple[int, int, int] | None]:
    """Return the labels of the task, with their colors."""
    labels = {}
    for label in root.iter('label'):
        name = (label.findtext('name') or '').strip()
        color = re.fullmatch('#([0-9a-fA-F]{6})', (label.findtext('color') or '').strip())
        if name:
            labels[name] = tuple(bytes.fromhex(color[1])) if color else None
    return labels


def _read_frame(image: Element, ignored: Counter) -> DrawnFrame:
    name = image.get('name', '')
    shapes: list[tuple[int, Shape]] = []
    try:
        size = _number(image, 'width'), _number(image, 'height')
        for element in image:
            if element.tag == 'polygon':
                points = [corner.split(',') for corner in element.get('points', '').split(';')]
                shape = polygon(element.get('label', ''), points)
            elif element.tag == 'mask':
                shape = _read_mask(element)
            else:
                ignored[element.tag] += element.tag in NO_AREA
                continue
            shapes.append((_number(element, 'z_order', '0'), shape))
    except ImportLabelsError as error:
        raise ImportLabelsError(f"the image '{name}': {error}") from error
    shapes.sort(key=lambda item: item[0])  # stable: shapes of one layer keep their order
    return DrawnFrame(name, tuple(shape for _, shape in shapes), size)


def _number(element: Element, key: str, default: str = '') -> int:
    text = element.get(key, default)
    if not re.fullmatch(r'-?\d{1,9}', text):
        raise ImportLabelsError(f"{key} of <{element.tag}> is '{text}', wanted a whole number")
    return int(text)


def _read_mask(element: Element) -> Shape:
    """Read a mask: lengths of runs, of which the first is outside, in a box of the frame."""
    label = element.get('label', '')
    left, top, width, height = (_number(element, key) for key in
                                ('left', 'top', 'width', 'height'))
    runs = [int(text) if re.fullmatch(r'\d{1,9}', text) else -1
            for text in re.split(r'\s*,\s*', element.get('rle', '').strip())]
    if min(runs) < 0 or min(width, height) < 1 or sum(runs) != width * height:
        raise ImportLabelsError(f"the runs of a mask of '{label}' do not add up to its "
                                f'{width}x{height} pixels; export again')

    def paint(size: tuple[int, int]) -> np.ndarray:
        if left + width > size[0] or top + height > size[1]:  # before memory is taken
            raise ImportLabelsError(f"a mask of '{label}' reaches column {left + width} and row "
                                    f'{top + height}, but the frame has {size[0]}x{size[1]}')
        inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
        return placed_mask(label, inside, left, top).paint(size)
    return Shape(label, paint)
