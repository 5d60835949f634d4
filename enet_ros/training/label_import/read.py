"""Which tool wrote an export, and its content."""

from __future__ import annotations

from collections import Counter
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
    for name in files.names:
        if Path(name).name == 'labelmap.txt':
            return cvat_masks.read(files, name)
    xml, documents = files.ending('.xml'), files.ending('.json')
    if xml:
        if len(xml) > 1:
            raise ImportLabelsError(f"'{files.path}' has {len(xml)} .xml files, wanted one")
        return cvat_xml.read(files, xml[0])
    contents = {name: files.json(name) for name in documents}
    drawn = {name: content for name, content in contents.items() if labelme.is_export(content)}
    if drawn:
        return labelme.read(files, drawn)
    for name, content in contents.items():
        if label_studio.is_export(content):
            return label_studio.read(files, name, content)
    raise ImportLabelsError(f"'{files.path}' is no export that is known; wanted {FORMATS}")
