"""labelme: one JSON file a frame, with polygons, rectangles and masks."""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
from collections import Counter
from collections.abc import Collection

import numpy as np

from enet_ros.media import SourceError, decode_image_file
from enet_ros.training.label_images import read_values
from enet_ros.training.label_import.files import ExportFiles, composed, parts_of, tails_of
from enet_ros.training.label_import.shapes import (
    MAX_COORDINATE,
    DrawnFrame,
    Export,
    ImportLabelsError,
    Shape,
    placed_mask,
    polygon,
)

TOOL = 'labelme JSON'
#: Labels with a meaning of their own in labelme's converters.
NOT_LABELED, NOT_DRAWN = '__ignore__', '_background_'

_ABSOLUTE = re.compile('/|[A-Za-z]:')


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
    export, names = Export(TOOL, []), set(map(composed, files.names))
    for name, content in contents.items():
        try:
            frame = _read_frame(name, content, export.ignored, names)
        except ImportLabelsError as error:
            raise ImportLabelsError(f"'{files.path}': {name}: {error}") from error
        export.frames.append(frame)
        export.labels.update({shape.label: None for shape in frame.shapes})
    return export


def _read_frame(name: str, content: dict, ignored: Counter,
                names: Collection[str]) -> DrawnFrame:
    path, shapes = content['imagePath'], content['shapes']
    if not isinstance(path, str) or not isinstance(shapes, list):
        raise ImportLabelsError('imagePath is no text, or shapes is no list')
    size = content.get('imageWidth'), content.get('imageHeight')
    if not all(type(side) is int for side in size):
        size = None
    drawn = [shape for item in shapes if (shape := _read_shape(item, ignored)) is not None]
    image = _bytes_of(content['imageData']) if content.get('imageData') else None
    paths = paths_of(name, path)
    own = next((path for path in paths if composed(path) in names), paths[0])
    return DrawnFrame(own, tuple(drawn), size, image, paths)


def paths_of(name: str, image_path: str) -> tuple[str, ...]:
    """Return the paths in an export at which the image of a JSON file may lie.

    Args:
        name: Path of the JSON file in the export.
        image_path: Its ``imagePath``. labelme writes it relative to the folder of the JSON file,
            with the separators of the system. Where that cannot be, such as on another drive of
            Windows, it is absolute.

    Returns:
        The only path for a relative one; it begins with '..' where it leads out of the export.
        For an absolute one its ends of two parts or more, the longest first, the image of that
        name beside the JSON file, and the one at the top of the export.

    Raises:
        ImportLabelsError: It is no path of a file.
    """
    path, folder = image_path.replace('\\', '/'), posixpath.dirname(name)
    if not parts_of(path):
        raise ImportLabelsError(f"imagePath is '{image_path}', wanted the path of an image")
    if not _ABSOLUTE.match(path):
        return (posixpath.normpath(posixpath.join(folder, path)),)
    *longer, last = tails_of(path)
    return (*longer, *dict.fromkeys((posixpath.join(folder, last), last)))


def _read_shape(item: object, ignored: Counter) -> Shape | None:
    """Read a shape, or return None for one that has no area, or is of what nobody drew."""
    if not isinstance(item, dict) or not isinstance(item.get('label'), str):
        raise ImportLabelsError('a shape has no label')
    if item['label'] == NOT_DRAWN:
        return None
    label = 'ignore' if item['label'] == NOT_LABELED else item['label']
    kind, points = item.get('shape_type', 'polygon'), item.get('points')
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
    if corners.shape != (2, 2) or not np.isfinite(corners).all() or (
            np.abs(corners).max() > MAX_COORDINATE):
        raise ImportLabelsError(f"a box of '{label}' has the points {points!r}, wanted two "
                                'corners')
    return np.sort(corners, axis=0)


def _read_mask(label: str, text: object, left: int, top: int) -> Shape:
    try:
        values = read_values(decode_image_file(_bytes_of(text)))
    except (SourceError, ValueError) as error:
        raise ImportLabelsError(f"a mask of '{label}' cannot be read: {error}") from error
    return placed_mask(label, values > 0, left, top)


def _bytes_of(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise ImportLabelsError(f'imageData or a mask is no base64 text: {error}') from error
