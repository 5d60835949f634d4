"""Label Studio: JSON with polygons and brush strokes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from enet_ros.training.label_import.files import ExportFiles
from enet_ros.training.label_import.shapes import (
    DrawnFrame,
    Export,
    ImportLabelsError,
    Shape,
    polygon,
)

TOOL = 'Label Studio JSON'
LABEL_KEYS = {'polygonlabels', 'brushlabels'}
#: Label Studio puts a prefix before the name of a file that was uploaded, and keeps it there.
_UPLOAD = re.compile(r'((?<![^/])data/upload/(?:[^/]+/)*)[0-9a-f]{8}-(?=[^/]+$)')


def is_export(content: object) -> bool:
    """Tell whether the content of a JSON file is an export of Label Studio."""
    return (isinstance(content, list) and bool(content) and isinstance(content[0], dict)
            and ('annotations' in content[0] or 'annotation_id' in content[0]))


def read(files: ExportFiles, name: str, content: list) -> Export:
    """Read the tasks of an export.

    Raises:
        ImportLabelsError: It is JSON-MIN, or a shape cannot be read.
    """
    export = Export(TOOL, [])
    for i, task in enumerate(content):
        if not isinstance(task, dict) or not isinstance(task.get('annotations'), list):
            raise ImportLabelsError(f"'{files.path}': task {i} of {name} has no list of "
                                    "annotations; export as 'JSON', not as 'JSON-MIN'")
        try:
            image = _image_of(task)
            results = _results_of(task['annotations'], image, export.remarks)
            export.frames.append(_read_frame(image, results, export.ignored))
        except ImportLabelsError as error:
            raise ImportLabelsError(f"'{files.path}': task {task.get('id', i)}: {error}") \
                from error
    for frame in export.frames:
        export.labels.update({shape.label: None for shape in frame.shapes})
    return export


def _image_of(task: dict) -> str:
    """Return the path of the image that a task shows, without Label Studio's prefix."""
    data = task.get('data')
    texts = [value for value in (data.values() if isinstance(data, dict) else ())
             if isinstance(value, str)]
    text = next(iter([data['image']] if isinstance(data, dict)
                     and isinstance(data.get('image'), str) else texts), '')
    if not text:
        raise ImportLabelsError('it names no image')
    url = urlsplit(text)
    path = parse_qs(url.query).get('d', [unquote(url.path)])[0]  # ?d= for files of the server
    return _UPLOAD.sub(r'\1', path)


def _results_of(annotations: list, image: str, remarks: list[str]) -> list[dict]:
    """Return the results of the annotation that counts: the marked one, or the last."""
    done = [item for item in annotations
            if isinstance(item, dict) and not item.get('was_cancelled')]
    if not done:
        return []
    if len(done) > 1:
        remarks.append(f"'{image}' was labeled {len(done)} times: one annotation counts, the one "
                       'marked as ground truth or else the last')
    chosen = next((item for item in done if item.get('ground_truth')), done[-1])
    results = chosen.get('result')
    if not isinstance(results, list) or not all(isinstance(item, dict) for item in results):
        raise ImportLabelsError('an annotation has no list of results')
    return results


def _read_frame(image: str, results: list[dict], ignored: Counter) -> DrawnFrame:
    shapes, sizes = [], set()
    for result in results:
        value = result.get('value')
        key = next(iter(LABEL_KEYS & value.keys()), None) if isinstance(value, dict) else None
        if key is None:
            ignored[str(result.get('type', 'result'))] += 1
            continue
        if result.get('image_rotation'):
            raise ImportLabelsError(f"'{image}' was rotated by {result['image_rotation']} degrees "
                                    'in Label Studio; rotate the file and label it as it is')
        labels = value[key]
        if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
            raise ImportLabelsError(f"a shape of '{image}' has the labels {labels!r}, wanted one")
        size = result.get('original_width'), result.get('original_height')
        if not all(type(side) is int and 0 < side < 10**6 for side in size):
            raise ImportLabelsError(f"a shape of '{image}' has the size {size}, wanted "
                                    'original_width and original_height')
        sizes.add(size)
        shapes.append(_read_shape(labels[0], value, size))
    if len(sizes) > 1:
        raise ImportLabelsError(f"'{image}' has shapes of several sizes: {sorted(sizes)}")
    return DrawnFrame(image, tuple(shapes), next(iter(sizes), None))


def _read_shape(label: str, value: dict, size: tuple[int, int]) -> Shape:
    if 'points' in value:
        shape = polygon(label, value['points'])  # checks them; they are in percent
        corners = np.array(value['points'], float) * np.array(size) / 100
        return polygon(shape.label, corners)
    return Shape(label, _brush(label, value.get('rle')))


def _brush(label: str, rle: object):
    """Return the painter of a brush stroke."""
    try:
        data = bytes(rle) if isinstance(rle, list) else None
    except (TypeError, ValueError):
        data = None
    if data is None:
        raise ImportLabelsError(f"a brush stroke of '{label}' has no list of bytes 'rle'")

    def paint(size: tuple[int, int]) -> np.ndarray:
        alpha = decode_brush(data, 4 * size[0] * size[1], label).reshape(*size[::-1], 4)[..., 3]
        return alpha > 0
    return paint


def decode_brush(data: bytes, count: int, label: str) -> np.ndarray:
    """Decode the runs of a brush stroke.

    The format is that of the package rle-pack of thi.ng/umbrella: 32 bits of the number of
    values, 5 of the bits of a value, four times 4 of the bits of a length, then runs. A run has
    one bit that says whether all its values are equal, two that choose the length, the length,
    and one value or all.

    Args:
        data: Packed bits.
        count: Number of values that the frame has: four a pixel.
        label: Name of the class, for the message.

    Returns:
        (count,) uint8.

    Raises:
        ImportLabelsError: The number is another one, or the bits end too early.
    """
    take = _bit_reader(data, label)
    stored = take(32)
    if stored != count:
        raise ImportLabelsError(f"a brush stroke of '{label}' has {stored} values, but the frame "
                                f'has {count}; is it the image that was labeled?')
    value_bits, length_bits = take(5) + 1, [take(4) + 1 for _ in range(4)]
    values, filled = np.zeros(count, np.uint8), 0
    while filled < count:
        is_run = take(1)
        end = min(count, filled + 1 + take(length_bits[take(2)]))
        if is_run:
            values[filled:end] = take(value_bits) & 255
        else:
            values[filled:end] = [take(value_bits) & 255 for _ in range(filled, end)]
        filled = end
    return values


def _bit_reader(data: bytes, label: str) -> Callable[[int], int]:
    """Return a function that takes the next bits of packed data as a number."""
    bits, at = np.unpackbits(np.frombuffer(data, np.uint8)).tobytes(), 0
    text = bits.translate(b'01' + bytes(254)).decode('ascii')

    def take(length: int) -> int:
        nonlocal at
        at += length
        if at > len(text):
            raise ImportLabelsError(f"a brush stroke of '{label}' is cut short; export again")
        return int(text[at - length:at], 2)
    return take
