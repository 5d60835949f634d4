"""What a Nav2 parameter file expects of the node: topics and class names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from enet_ros.common.plain_yaml import PlainYamlError, load_yaml, read_limited

TOPIC_KEYS = ('segmentation_topic', 'confidence_topic', 'pointcloud_topic', 'labels_topic')
#: Keys of the topics that other layers and the collision monitor read.
OTHER_TOPIC_KEYS = ('topic', 'map_topic')


@dataclass(frozen=True)
class Nav2Source:
    """One observation source of Nav2: of a costmap's layer or of the collision monitor.

    Attributes:
        topics: Key of the file -> topic.
        classes: Names of all classes that the file lists, or None where the source has no
            classes. The semantic segmentation layer has.
    """

    topics: dict[str, str]
    classes: frozenset[str] | None = None


def read_nav2_file(path: Path) -> list[Nav2Source]:
    """Read the sources of a file: those of the semantic segmentation layer first.

    Only topics with a leading slash count. Where others lie depends on Nav2's namespace.

    Raises:
        ValueError: The file is not YAML, or names no topic.
    """
    try:
        content = load_yaml(read_limited(path))
    except PlainYamlError as error:
        raise ValueError(f'--nav2 {path} is no YAML file: {error}') from error
    entries = list(_mappings(content))
    sources = [_read_source(entry) for _, entry in entries if 'class_types' in entry]
    sources += [Nav2Source({f'{name}: {key}': entry[key]}) for name, entry in entries
                for key in OTHER_TOPIC_KEYS if str(entry.get(key, '')).startswith('/')]
    if not sources:
        raise ValueError(f'--nav2 {path} names no topic of an observation source, wanted a file '
                         'such as config/nav2_obstacle.yaml or config/nav2_semantic.yaml')
    return sources


def _mappings(entry: object, name: str = '') -> Iterator[tuple[str, dict]]:
    """Yield the mappings within an entry, each with its own key or that of its list."""
    if isinstance(entry, dict):
        yield name, entry
        for key, child in entry.items():
            yield from _mappings(child, str(key))
    elif isinstance(entry, list):
        for child in entry:
            yield from _mappings(child, name)


def _read_source(entry: dict) -> Nav2Source:
    kinds = entry['class_types'] if isinstance(entry['class_types'], list) else []
    groups = [entry.get(kind) for kind in kinds if isinstance(kind, str)]
    lists = [group.get('classes') for group in groups if isinstance(group, dict)]
    topics = {key: entry[key] for key in TOPIC_KEYS if str(entry.get(key, '')).startswith('/')}
    return Nav2Source(topics, frozenset(str(name) for names in lists if isinstance(names, list)
                                        for name in names))
