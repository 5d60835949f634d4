"""labelme: one JSON file a frame, with polygons, rectangles and masks."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from pathlib import PurePosixPath

import numpy as np

from enet_ros.media import SourceError, decode_image
from enet_ros.training.label_images import read_values
from enet_ros.training.label_import.files import ExportFiles
from enet_ros.training.label_import.shapes import (
    DrawnFrame,
    Export,
    ImportLabelsError,
    Shape,
    placed_mask,
    polygon,
)

TOOL = 'labelme JSON'


def is_export(content: object) -> bool:
    """Tell whether the content of a JSON file was written by labelme."""
    return isinstance(content, dict) and 'shapes' in content and 'imagePath' in content


def read(files: ExportFiles, contents: dict[str, dict]) -> Export:
    """Read the JSON files of a folder.

    Args:
        files: Files of the export.
        contents: Path of each JSON file -> its content.

    Raises:
        ImportLabelsError: A shape cannot be read.
    """
    export = Export(TOOL, [])
    for name, content in contents.items():
        try:
            frame = _read_frame(name, content, export.ignored)
        except ImportLabelsError as error:
            raise ImportLabelsError(f"'{files.path}': {name}: {error}") from error
        export.frames.append(frame)
        export.labels.update({shape.label: None for shape in frame.shapes})
    return export


def _read_frame(name: str, content: dict, ignored: Counter) -> DrawnFrame:
    path, shapes = content['imagePath'], content['shapes']
    if not isinstance(path, str) or not isinstance(shapes, list):
        raise ImportLabelsError('imagePath is no text, or shapes is no list')
    size = content.get('imageWidth'), content.get('imageHeight')
    if not all(type(side) is int for side in size):
        size = None
    drawn = [shape for item in shapes if (shape := _read_shape(item, ignored)) is not None]
    image = _bytes_of(content['imageData']) if content.get('imageData') else None
    # The JSON file lies beside its frame, so its folder tells frames of one name apart.
    own = str(PurePosixPath(name).parent / path) if '/' not in path.replace('\\', '/') else path
    return DrawnFrame(own, tuple(drawn), size, image)


def _read_shape(item: object, ignored: Counter) -> Shape | None:
    """Read a shape, or return None for one that has no area."""
    if not isinstance(item, dict) or not isinstance(item.get('label'), str):
        raise ImportLabelsError('a shape has no label')
    kind, label, points = item.get('shape_type', 'polygon'), item['label'], item.get('points')
    if kind == 'polygon':
        return polygon(label, points)
    if kind in ('rectangle', 'mask'):
        (left, top), (right, bottom) = _corners(label, points)
        if kind == 'mask':
            return _read_mask(label, item.get('mask'), round(left), round(top))
        return polygon(label, [(left, top), (right, top), (right, bottom), (left, bottom)])
    ignored[str(kind)] += 1
    return None


def _corners(label: str, points: object) -> np.ndarray:
    """Return (2, 2) float64: the upper left and the lower right corner of a box."""
    try:
        corners = np.array(points, float)
    except (TypeError, ValueError):
        corners = np.empty(0)
    if corners.shape != (2, 2) or not np.isfinite(corners).all() or np.abs(corners).max() > 1e6:
        raise ImportLabelsError(f"a box of '{label}' has the points {points!r}, wanted two "
                                'corners')
    return np.sort(corners, axis=0)


def _read_mask(label: str, text: object, left: int, top: int) -> Shape:
    try:
        values = read_values(decode_image(_bytes_of(text)))
    except (SourceError, ValueError) as error:
        raise ImportLabelsError(f"a mask of '{label}' cannot be read: {error}") from error
    return placed_mask(label, values > 0, left, top)


def _bytes_of(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise ImportLabelsError(f'imageData or a mask is no base64 text: {error}') from error
