"""Which tool wrote an export, and its content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from enet_ros.training.label_import import cvat_masks, cvat_xml, label_studio, labelme
from enet_ros.training.label_import.files import ExportFiles
from enet_ros.training.label_import.shapes import Export, ImportLabelsError

FORMATS = ("'CVAT for images 1.1', CVAT's 'Segmentation mask 1.1', Label Studio's 'JSON', or the "
           '.json files of labelme')


def read_export(files: ExportFiles) -> Export:
    """Read an export of any of the four formats.

    Raises:
        ImportLabelsError: It is none of them, or has no frame, or cannot be read.
    """
    export = _read(files)
    if not export.frames:
        raise ImportLabelsError(f"'{files.path}' has no frame; export again with all images")
    counts = Counter(frame.name for frame in export.frames)
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise ImportLabelsError(f"'{files.path}' has {count} frames named '{name}', wanted one")
    return export


def _read(files: ExportFiles) -> Export:
    contents, problem = _read_documents(files)
    drawn = {name: content for name, content in contents.items() if labelme.is_export(content)}
    found: dict[str, Callable[[], Export]] = {
        **{name: partial(cvat_masks.read, files, name) for name in files.names
           if Path(name).name == 'labelmap.txt'},
        **{name: partial(cvat_xml.read, files, name) for name in files.ending('.xml')}}
    if problem is not None and not found:  # Beside an export of CVAT it is something else.
        raise problem
    found |= {name: partial(label_studio.read, files, name, content)
              for name, content in contents.items() if label_studio.is_export(content)}
    if drawn:  # One file a frame: together they are one export.
        found[next(iter(drawn))] = partial(labelme.read, files, drawn)
    if len(found) > 1:
        first, second = list(found)[:2]
        raise ImportLabelsError(f"'{files.path}' has {len(found)} exports, such as {first} and "
                                f'{second}, wanted one; import each into a folder of its own, and '
                                'name these folders in a file for enet-ros train --data')
    if not found:
        raise ImportLabelsError(f"'{files.path}' is no export that is known; wanted {FORMATS}")
    return next(iter(found.values()))()


def _read_documents(files: ExportFiles) -> tuple[dict[str, object], ImportLabelsError | None]:
    """Return path -> content of the JSON files, and the error of one that cannot be read."""
    contents: dict[str, object] = {}
    problem = None
    for name in files.ending('.json'):
        try:
            contents[name] = files.json(name)
        except ImportLabelsError as error:
            problem = error
    return contents, problem
