"""The metadata of a weights file: JSON values by name, checked when they are read."""

from __future__ import annotations

import json

from enet_ros.common.one_line_error import OneLineError

#: Characters of a value. The classes of a data set take some thousands, and JSON a hundredfold in
#: memory.
MOST_CHARACTERS = 65536


class CheckpointError(OneLineError):
    """A weights file that cannot be used; the message names the file and what is wrong."""


def read_json(metadata: dict[str, str], key: str, default=None):
    """Return one metadata value, parsed.

    Args:
        metadata: Metadata of a safetensors file.
        key: Name of the value.
        default: The value of a file that lacks the key, or None if the key must be there.

    Raises:
        CheckpointError: The key is missing, or its text is too long or no JSON.
    """
    if key not in metadata:
        if default is None:
            raise CheckpointError(f"its metadata has no '{key}', so it was not written for "
                                  'enet_ros: see enet-ros import')
        return default
    length = len(metadata[key])
    if length > MOST_CHARACTERS:
        raise CheckpointError(f"its metadata '{key}' has {length} characters, wanted at most "
                              f'{MOST_CHARACTERS}')
    try:
        return json.loads(metadata[key])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its metadata '{key}' is no JSON: {error}") from error


def read_numbers(metadata: dict[str, str], key: str, count: int, default=None) -> tuple:
    """Return a metadata list of ``count`` finite numbers.

    Raises:
        CheckpointError: As :func:`read_json`, or the value is another list or no list.
    """
    value = read_json(metadata, key, default)
    if (not isinstance(value, (list, tuple)) or len(value) != count
            or not all(type(v) in (int, float) and abs(v) < 1e300 for v in value)):
        raise CheckpointError(f"its metadata '{key}' is {str(value)[:80]}, "
                              f'wanted {count} finite numbers')
    return tuple(value)


def read_names(metadata: dict[str, str], key: str, default=None) -> list[str]:
    """Return a metadata list of texts.

    Raises:
        CheckpointError: As :func:`read_json`, or the value is anything else.
    """
    names = read_json(metadata, key, default)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"its metadata '{key}' is {str(names)[:80]}, "
                              'wanted a list of names')
    return names


def read_dict(metadata: dict[str, str], key: str) -> dict:
    """Return a metadata dictionary, which is empty if the file has none.

    Raises:
        CheckpointError: The text is no JSON.
    """
    value = read_json(metadata, key, {})
    return value if isinstance(value, dict) else {}
