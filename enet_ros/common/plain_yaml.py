"""YAML files from anyone, read within limits.

A few bytes of YAML can mean a tree without end: by aliases, or by brackets in brackets, at which
the parser in C ends the process. ROS 2 refuses aliases in parameter files as well.
"""

from __future__ import annotations

from pathlib import Path

from enet_ros.common.one_line_error import OneLineError

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_VALUES = 50_000
MAX_CHARACTERS = 2_000  # of one value; Python refuses to show numbers of more than 4,300 digits


class PlainYamlError(OneLineError):
    """A text that is not read. The message says why, and in which line."""


def read_limited(path: str | Path) -> str:
    """Return the text of a small file, with or without a byte order mark.

    Raises:
        OSError: The file cannot be read.
        PlainYamlError: The file is too large, or no text in UTF-8.
    """
    with open(path, 'rb') as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise PlainYamlError(f'it has more than {MAX_BYTES} bytes, wanted a small text file')
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise PlainYamlError(f'no text: {error}') from error


def load_yaml(text: str):
    """Return the lists, dictionaries and plain values of a YAML text.

    Raises:
        PlainYamlError: The text is no YAML, uses aliases, or breaks a limit.
        ImportError: PyYAML is not installed.
    """
    import yaml
    safe_loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)  # eight times as fast
    try:
        _check_events(yaml.parse(text, safe_loader), yaml)
        return yaml.load(text, safe_loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f' in line {mark.line + 1}' if mark else ''
        raise PlainYamlError(f'it is no YAML{place}: {error.problem}') from error
    except yaml.YAMLError as error:
        raise PlainYamlError(f'it is no YAML: {error}') from error
    except PlainYamlError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        # A value that looks like a date or a number and is none, such as 2001-99-99.
        raise PlainYamlError(f'it has a value that YAML cannot read: {error}') from error


def _check_events(events, yaml) -> None:
    """Check the parts of a text one by one, before any tree is built of them."""
    depth = values = 0
    keys = _MappingKeys(yaml)
    for event in events:
        line = event.start_mark.line + 1
        if keys.is_repeated(event):
            raise PlainYamlError(f"it has the key '{event.value[:40]}' again in line {line}, "
                                 'wanted each key once')
        depth += (isinstance(event, yaml.CollectionStartEvent)
                  - isinstance(event, yaml.CollectionEndEvent))
        values += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.AliasEvent):
            raise PlainYamlError(f"it has the alias '*{event.anchor[:40]}' in line {line}, wanted "
                                 'the value itself written out')
        if depth > MAX_DEPTH or values > MAX_VALUES:
            raise PlainYamlError(f'it nests deeper than {MAX_DEPTH} or has more than {MAX_VALUES} '
                                 f'values, in line {line}')
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_CHARACTERS:
            raise PlainYamlError(f'it has a value of {len(event.value)} characters in line {line},'
                                 f' wanted at most {MAX_CHARACTERS}')


class _MappingKeys:
    """Notices a key that a mapping has twice. YAML forbids it, and PyYAML takes the last one."""

    def __init__(self, yaml):
        self._yaml = yaml
        self._keys: list[set[str] | None] = []  # of the open collections; None for a list
        self._is_key_due: list[bool] = []

    def is_repeated(self, event) -> bool:
        """Take the next event. Tell whether it is a key that its mapping has already."""
        yaml, repeated = self._yaml, False
        if isinstance(event, yaml.CollectionEndEvent):
            self._keys.pop()
            self._is_key_due.pop()
        elif isinstance(event, yaml.NodeEvent):
            if self._keys and self._keys[-1] is not None:
                repeated = self._is_key_due[-1] and self._add(event)
                self._is_key_due[-1] = not self._is_key_due[-1]
            if isinstance(event, yaml.CollectionStartEvent):
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                self._keys.append(set() if is_mapping else None)
                self._is_key_due.append(True)
        return repeated

    def _add(self, event) -> bool:
        """Note a key. Tell whether it was there."""
        if not isinstance(event, self._yaml.ScalarEvent):
            return False
        was_there = event.value in self._keys[-1]
        self._keys[-1].add(event.value)
        return was_there
