"""Tables of parameters that are made from dataclasses.

The table itself is in ``settings.py`` beside this file. Nothing here names a parameter of the
node, and nothing knows ROS.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cache

from enet_ros.common.one_line_error import OneLineError


class ConfigError(OneLineError):
    """A parameter that cannot be used. The message names it, its value and what was wanted."""


class Changes(Enum):
    """When a parameter may change. The value is the word that the README uses."""

    AT_START = 'start'             # It names topics or timers, so it is fixed from the start on.
    UNCONFIGURED = 'unconfigured'  # It is read at configure.
    ANY_TIME = 'any time'          # It changes between two frames.


@dataclass(frozen=True)
class Parameter:
    """A row of the table.

    Attributes:
        name: Name of the parameter, as in a parameter file.
        default: Default value. Its type is the type of the parameter; an array is a list.
        description: Sentences that stand alone.
        changes: When the parameter may change.
        range: Least and greatest value, or None.
        choices: All values that are allowed, or None.
        accepts: What a value may be, in words, where neither range nor choices say it.
        check: Function of name and value that raises ConfigError, or None.
        per_camera: Whether ``<camera>.<name>`` may give one camera a value of its own.
    """

    name: str
    default: object
    description: str
    changes: Changes
    range: tuple | None = None
    choices: tuple | None = None
    accepts: str = ''
    check: Callable[[str, object], None] | None = None
    per_camera: bool = dataclasses.field(default=False, kw_only=True)

    def wanted(self) -> str:
        """Return in words what a value may be."""
        if self.choices is not None:
            return f'one of {", ".join(map(str, self.choices))}'
        if self.range is not None:
            return f'{self.range[0]} to {self.range[1]}'
        return 'true or false' if isinstance(self.default, bool) else self.accepts

    def converted(self, value: object) -> object:
        """Return a value in the parameter's own type, where it has one meaning in that type.

        A whole number serves as a float and a float without a fraction as a whole number, a
        number or truth value in text as itself, 0 and 1 as false and true, and a single value as
        an array of one. YAML reads an unquoted off as false, which serves as the only choice that
        is spelled so. Everything else is returned as it is.
        """
        if not isinstance(self.default, list):
            return _converted(value, self.default, self.choices)
        if isinstance(value, Iterable) and not isinstance(value, str):
            items = list(value)
        else:
            items = [] if value is None else [value]
        return [_converted(item, self.default[0], self.choices) for item in items]

    def checked(self, value: object) -> object:
        """Return a value in the parameter's own type, with a tuple for an array.

        Args:
            value: See :meth:`converted`. None or an empty array is a value that is missing.

        Raises:
            ConfigError: The value has another type, is out of range or is no choice.
        """
        given, value = value, self.converted(value)
        if value is None or value == []:
            raise ConfigError(f'{self.name} has no value, or an empty list, wanted '
                              f'{self._wanted_type()}, such as {shown(self.default)}')
        if not _has_type_of(value, self.default):
            raise ConfigError(f'{self.name} is {shown(given)}, wanted {self._wanted_type()}'
                              + self._advice(given))
        if self.choices is not None and value not in self.choices:
            raise ConfigError(f'{self.name} is {shown(value)}, wanted {self.wanted()}')
        if self.range is not None and not self.range[0] <= value <= self.range[1]:
            raise ConfigError(f'{self.name} is {value}, wanted {self.wanted()}')
        if self.check is not None:
            self.check(self.name, value)
        return tuple(value) if isinstance(value, list) else value

    def _wanted_type(self) -> str:
        """Return in words which type a value has, and what it may be."""
        is_list = isinstance(self.default, list)
        item = self.default[0] if is_list else self.default
        words = ('a list of ' + TYPE_NAMES[type(item)][1] if is_list else
                 TYPE_NAMES[type(item)][0])
        return f'{words}, {self.wanted()}' if self.wanted() not in ('', words) else words

    def _advice(self, given: object) -> str:
        """Say how text is written that YAML reads as something else."""
        items = given if isinstance(given, Iterable) and not isinstance(given, str) else [given]
        item = self.default[0] if isinstance(self.default, list) else self.default
        if not isinstance(item, str) or all(isinstance(value, str) for value in items):
            return ''
        if any(isinstance(value, bool) for value in items):
            return ('; YAML reads words such as on, off, yes and no as true or false: write the '
                    'text in quotes')
        return '; write the text in quotes'


#: type -> its name in words, for one value and for several
TYPE_NAMES = {bool: ('true or false', 'true or false'), int: ('a whole number', 'whole numbers'),
              float: ('a number', 'numbers'), str: ('text', 'texts')}

#: How YAML spells its two truth values, in lower case.
YAML_BOOLEANS = {True: {'true', 'yes', 'on', 'y'}, False: {'false', 'no', 'off', 'n'}}


def shown(value: object) -> str:
    """Return a value as a parameter file writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f'[{", ".join(map(shown, value))}]'
    return repr(value)


def _converted(value: object, default: object, choices: tuple | None) -> object:
    """Return a single value in the type of the default, or as it is."""
    if isinstance(default, bool):
        if value in (0, 1):
            return bool(value)
        text = value.lower() if isinstance(value, str) else ''
        return {'true': True, 'false': False}.get(text, value)
    if isinstance(default, str):
        return _converted_text(value, choices or ())
    number = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return value
    if isinstance(default, float):
        return float(number) if abs(number) <= sys.float_info.max else value
    if isinstance(number, float) and (not math.isfinite(number) or number != int(number)):
        return value
    return int(number)


def _converted_text(value: object, choices: tuple) -> object:
    """Return the only choice that YAML reads as a value that is no text, or the value."""
    if isinstance(value, bool):
        near = [choice for choice in choices if choice.lower() in YAML_BOOLEANS[value]]
    elif isinstance(value, (int, float)):
        near = [choice for choice in choices if choice == str(value)]
    else:
        return value
    return near[0] if len(near) == 1 else value


def _has_type_of(value: object, default: object) -> bool:
    """Tell whether a value has the type of the default. A bool is no integer."""
    if isinstance(default, list):
        return isinstance(value, list) and all(_has_type_of(item, default[0]) for item in value)
    return isinstance(value, type(default)) and (
        isinstance(value, bool) == isinstance(default, bool))


def parameter(default: object, description: str, *, changes: Changes = Changes.ANY_TIME,
              **constraints) -> dataclasses.Field:
    """Return a dataclass field that is a row of the table.

    Args:
        default: Default value of the field, with a tuple for an array.
        description: See :class:`Parameter`, as for the other arguments.
        changes: When the parameter may change.
        **constraints: The other attributes of :class:`Parameter`.
    """
    row = Parameter('', list(default) if isinstance(default, tuple) else default, description,
                    changes, **constraints)
    return dataclasses.field(default=default, metadata={'parameter': row})


def group(settings: type, description: str, *, per_camera: bool) -> dataclasses.Field:
    """Return a dataclass field that holds parameters of its own.

    Args:
        settings: Dataclass of the group. The names of its parameters begin with the field's name.
        description: Sentences about the whole group.
        per_camera: Whether a single camera may have values of its own.
    """
    return dataclasses.field(default_factory=settings,
                             metadata={'group': description, 'per_camera': per_camera})


@cache
def groups_of(settings: type) -> dict[str, dataclasses.Field]:
    """Return the fields of a dataclass that are groups, by name."""
    return {field.name: field for field in dataclasses.fields(settings)
            if 'group' in field.metadata}


@cache
def table_of(settings: type) -> tuple[Parameter, ...]:
    """Return the rows of a dataclass and of its groups, in the order of the fields."""
    rows = []
    for field in dataclasses.fields(settings):
        if field.name in groups_of(settings):
            rows += [dataclasses.replace(row, name=f'{field.name}.{row.name}',
                                         per_camera=field.metadata['per_camera'])
                     for row in table_of(field.default_factory)]
        else:
            rows.append(dataclasses.replace(field.metadata['parameter'], name=field.name))
    return tuple(rows)


class CheckedSettings:
    """Base of dataclasses that check every field against its row of the table."""

    def __post_init__(self):
        """Check the fields and bring them into their own types.

        Raises:
            ConfigError: A value cannot be used.
        """
        for row in table_of(type(self)):
            if '.' not in row.name:  # A group has checked its own rows.
                object.__setattr__(self, row.name, row.checked(getattr(self, row.name)))
