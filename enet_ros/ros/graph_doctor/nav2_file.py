"""What a Nav2 parameter file expects of the node: topics and class names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

TOPIC_KEYS = ('segmentation_topic', 'confidence_topic', 'pointcloud_topic', 'labels_topic')


@dataclass(frozen=True)
class Nav2Source:
    """One observation source of the semantic segmentation layer.

    Attributes:
        topics: Key of the file -> topic.
        classes: Names of all classes that the file lists.
    """

    topics: dict[str, str]
    classes: frozenset[str]


def read_nav2_file(path: Path) -> list[Nav2Source]:
    """Read the sources of the semantic segmentation layer from a file.

    Raises:
        ValueError: The file is not YAML, or has no such layer.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
        sources = [_read_source(entry) for entry in _mappings(content) if 'class_types' in entry]
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f'--nav2 {path} is no YAML file: {" ".join(str(error).split())}'
                         ) from error
    if not sources:
        raise ValueError(f'--nav2 {path} has no entry class_types, wanted a file with the '
                         'semantic segmentation layer, such as config/nav2_semantic.yaml')
    return sources


def _mappings(entry: object) -> Iterator[dict]:
    if isinstance(entry, dict):
        yield entry
    children = entry.values() if isinstance(entry, dict) else entry if isinstance(
        entry, list) else ()
    for child in children:
        yield from _mappings(child)


def _read_source(entry: dict) -> Nav2Source:
    kinds = entry['class_types'] if isinstance(entry['class_types'], list) else []
    groups = [entry.get(kind) for kind in kinds if isinstance(kind, str)]
    lists = [group.get('classes') for group in groups if isinstance(group, dict)]
    return Nav2Source({key: entry[key] for key in TOPIC_KEYS if isinstance(entry.get(key), str)},
                      frozenset(str(name) for names in lists if isinstance(names, list)
                                for name in names))
