"""Class maps for weights and data that carry none: from a file, or by the number of classes."""

from __future__ import annotations

import json
from pathlib import Path

from enet_ros.common.plain_yaml import PlainYamlError, load_yaml, read_limited
from enet_ros.network.class_map import ClassMap, ClassMapError, distinct_colors
from enet_ros.network.classes import CAMVID_NAMES, CITYSCAPES

#: The class that is drivable where a source has only names.
DRIVABLE = 'Road'
UNLABELED = 'Unlabeled'

LIST_SUFFIXES = ('.yaml', '.yml', '.json')


def default_class_map(count: int) -> ClassMap:
    """Return the class map of imported weights by their number of classes.

    The road is the only drivable class. The classes are Cityscapes' at 20, and CamVid's at 12 or
    11, with and without a class of what is not labeled.

    Raises:
        ClassMapError: Another number. The message says what to do.
    """
    if count == len(CITYSCAPES) + 1:
        # ENet's authors and PyTorch-ENet put what is not labeled first.
        names = (UNLABELED, *(item.name.title().replace(' ', '') for item in CITYSCAPES))
        colors = ((0, 0, 0), *(item.color for item in CITYSCAPES))
        return ClassMap(names, colors, tuple(name == DRIVABLE for name in names)).checked()
    if count in (len(CAMVID_NAMES), len(CAMVID_NAMES) + 1):
        return ClassMap.from_names((*CAMVID_NAMES, UNLABELED)[:count], (DRIVABLE,))
    raise ClassMapError(f'it has {count} classes: say which with --classes FILE')


def read_class_file(path: Path) -> ClassMap:
    """Read a class file of any kind.

    Args:
        path: A .yaml, .yml or .json file as :func:`read_class_list` reads it. Any other file is
            text with one name a line, of which 'road' is drivable.

    Raises:
        ClassMapError: The file is unreadable or holds no class map. The message names the file.
    """
    if path.suffix.lower() in LIST_SUFFIXES:
        return read_class_list(path)
    try:
        lines = read_limited(path).splitlines()
        return ClassMap.from_names([line.strip() for line in lines if line.strip()], (DRIVABLE,))
    except OSError as error:
        raise ClassMapError(f'{path}: {error.strerror}') from error
    except (PlainYamlError, ClassMapError) as error:
        raise ClassMapError(f'{path}: {error}') from error


def read_class_list(path: Path) -> ClassMap:
    """Read a YAML or JSON list of classes in the order of their ids.

    Each entry has ``name``, and optionally ``color: [r, g, b]`` and ``drivable: true``. Entries
    with ``one_of`` are no classes, see :func:`read_class_sets`.

    Raises:
        ClassMapError: The file is unreadable, or an entry is something else. The message names
            the file.
    """
    entries = [entry for entry in _read_entries(path) if 'one_of' not in entry]
    names = [entry['name'] for entry in entries]
    colors = [tuple(entry['color']) if 'color' in entry else None for entry in entries]
    try:
        if not any(colors):
            colors = ClassMap.from_names(names).colors
        spare = iter(distinct_colors(len(names), [color for color in colors if color]))
        return ClassMap(tuple(names), tuple(color or next(spare) for color in colors),
                        tuple(entry.get('drivable', False) for entry in entries)).checked()
    except ClassMapError as error:
        raise ClassMapError(f'{path}: {error}') from error


def class_list_text(class_map: ClassMap) -> str:
    """Return the YAML text that :func:`read_class_list` reads back."""
    # JSON values are YAML values, whatever a name has in it, but not its escapes of two halves.
    return ''.join(
        f'- name: {json.dumps(name, ensure_ascii=False)}\n  color: {list(color)}\n'
        f'  drivable: {json.dumps(drivable)}\n'
        for name, color, drivable in zip(class_map.names, class_map.colors, class_map.drivable))


def read_class_sets(path: Path) -> dict[str, tuple[str, ...]]:
    """Read the sets of a class list: names of labels that stand for one of several classes.

    A set has ``name`` and ``one_of: [names of classes]``. Sets come after the classes, and their
    label values go on from there.

    Returns:
        Name of each set -> names of its classes.

    Raises:
        ClassMapError: As :func:`read_class_list`, or a class follows a set.
    """
    sets: dict[str, tuple[str, ...]] = {}
    for entry in _read_entries(path):
        if 'one_of' in entry:
            if entry['name'] in sets:
                raise ClassMapError(f"{path}: two sets are named '{entry['name']}'")
            sets[entry['name']] = tuple(entry['one_of'])
        elif sets:
            raise ClassMapError(f"{path}: the class '{entry['name']}' follows a set, wanted all "
                                'classes first')
    return sets


def _read_entries(path: Path) -> list[dict]:
    """Read the entries of a class list, and check their keys and types."""
    entries = _parse(path)
    if not isinstance(entries, list) or not entries:
        raise ClassMapError(f'{path}: wanted a list of {{name, color, drivable}}')
    for entry in entries:
        if not (_is_class(entry) or _is_set(entry)):
            raise ClassMapError(f'{path}: entry {entry!r}, wanted name (text), and optionally '
                                'color ([r, g, b]) and drivable (true or false); or name and '
                                'one_of (a list of class names)')
    if all(map(_is_set, entries)):
        raise ClassMapError(f'{path}: has sets and no classes, wanted classes first')
    return entries


def _is_set(entry) -> bool:
    """Tell whether an entry of a class list is a set of classes."""
    return (isinstance(entry, dict) and entry.keys() == {'name', 'one_of'}
            and isinstance(entry['name'], str) and isinstance(entry['one_of'], list)
            and all(isinstance(name, str) for name in entry['one_of']))


def _is_class(entry) -> bool:
    """Tell whether an entry of a class list has the right keys and types."""
    return (isinstance(entry, dict) and entry.keys() <= {'name', 'color', 'drivable'}
            and isinstance(entry.get('name'), str)
            and isinstance(entry.get('color', []), list)
            and all(type(value) is int for value in entry.get('color', []))
            and isinstance(entry.get('drivable', False), bool))


def _parse(path: Path):
    """Parse a YAML or JSON file."""
    try:
        text = read_limited(path)
        return (json.loads(text, object_pairs_hook=_unique) if path.suffix.lower() == '.json'
                else load_yaml(text))
    except OSError as error:
        raise ClassMapError(f'{path}: {error.strerror}') from error
    except ImportError as error:
        raise ClassMapError(f'{path}: YAML needs pip install pyyaml; or write JSON') from error
    except (ValueError, RecursionError) as error:
        raise ClassMapError(f'{path}: cannot be parsed: {error}') from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a dictionary of the pairs of a JSON object, each of whose keys must be there once."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"it has the key '{twice[:40]}' again, wanted each key once")
    return made
