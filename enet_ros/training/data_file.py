"""The data file of ``enet-ros train --data`` and ``enet-ros eval --data``, checked by key."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from enet_ros.common.plain_yaml import PlainYamlError, load_yaml, read_limited
from enet_ros.common.suggestions import suggest
from enet_ros.training.datasets import DATASETS
from enet_ros.training.labeled_frames import DatasetError
from enet_ros.training.sources import Source

MAX_SHOWN = 80  # characters of a value in a message

#: Keys of an entry of a data file.
KEYS = tuple(item.name for item in fields(Source))


def read_sources(path: Path) -> tuple[Source, ...]:
    """Read a data file: YAML with a list ``sources``, whose entries have the keys of ``KEYS``.

    A relative ``root`` or ``classes`` starts at the folder of the file.

    Raises:
        DatasetError: The file is unreadable, or an entry cannot be used. The message names the
            key and its value.
    """
    try:
        content = load_yaml(read_limited(path))
    except (OSError, PlainYamlError) as error:
        raise DatasetError(f'{path}: unreadable ({error})') from error
    entries = content.get('sources') if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DatasetError(f'{path}: wanted a list named sources, with dataset and root in each')
    if others := [key for key in content if key != 'sources']:
        raise DatasetError(f'{path}: has the key {_shown(others[0])} beside sources, wanted '
                           'sources alone')
    sources = tuple(_source_of(path, number, entry)
                    for number, entry in enumerate(entries, start=1))
    if not any(source.val_split for source in sources):
        raise DatasetError(f'{path}: val_split is null in every source, wanted one at least that '
                           'is scored')
    return sources


def _source_of(path: Path, number: int, entry: object) -> Source:
    """Build a source from an entry of a data file."""
    where = f'{path}: source {number}'
    if not isinstance(entry, dict) or not {'dataset', 'root'} <= entry.keys():
        raise DatasetError(f'{where} is {_shown(entry)}, wanted dataset and root, and optionally '
                           f'{", ".join(KEYS[2:])}')
    for key in entry:
        if key not in KEYS:
            raise DatasetError(f'{where} has the key {_shown(key)}, wanted some of '
                               f'{", ".join(KEYS)}{suggest(str(key), KEYS)}')
    for key, (is_right, wanted) in RULES.items():
        if key in entry and not is_right(entry[key]):
            raise DatasetError(f'{where}: {key} is {_shown(entry[key])}, wanted {wanted}')
    _check_rename(where, entry.get('rename', {}))
    begun = {key: str(path.parent / os.path.expanduser(entry[key])) for key in ('root', 'classes')
             if entry.get(key) is not None}
    return Source(**entry | begun)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_share(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return 0 < float(value) < math.inf
    except OverflowError:
        return False


#: Key -> whether a value is right, and what is wanted.
RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    'dataset': (lambda value: isinstance(value, str) and value in DATASETS,
                f'one of {", ".join(DATASETS)}'),
    'root': (_is_text, 'the path of a folder, as text'),
    'share': (_is_share, 'a number above 0, such as 0.001; YAML reads 1e-3 as text'),
    'classes': (lambda value: value is None or _is_text(value),
                'the path of a class file, as text'),
    'rename': (lambda value: isinstance(value, dict), 'a mapping, class: class'),
    'train_split': (_is_text, 'the name of a split, as text'),
    'val_split': (lambda value: value is None or _is_text(value),
                  'the name of a split, as text, or null'),
}


def _check_rename(where: str, rename: dict) -> None:
    """Check the names of classes. YAML reads some names, such as on and 5, as other values."""
    for name, target in rename.items():
        if not _is_text(name):
            raise DatasetError(f'{where}: rename has the class {_shown(name)}, wanted text; put '
                               'the name in quotes')
        items = target if isinstance(target, list) else [target]
        if target is not None and not (items and all(map(_is_text, items))):
            raise DatasetError(f'{where}: rename of {_shown(name)} is {_shown(target)}, wanted '
                               'the name of a class, as text, a list of such names, or null; put '
                               'names that are no words in quotes')


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f'{text[:MAX_SHOWN]}...'
