"""Tables of parameters that are made from dataclasses.

The table itself is in ``enet_ros/perception/settings.py``. Nothing here names a parameter of the
node, and nothing knows ROS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cache


class ConfigError(ValueError):
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

    def checked(self, value: object) -> object:
        """Return a value in the parameter's own type, with a tuple for an array.

        Args:
            value: An integer serves as a float, and any sequence as an array.

        Raises:
            ConfigError: The value has another type, is out of range or is no choice.
        """
        value = _converted(value, self.default)
        if not _has_type_of(value, self.default):
            raise ConfigError(f'{self.name} is {value!r}, wanted {_type_name(self.default)}, '
                              f'{self.wanted()}')
        if self.choices is not None and value not in self.choices:
            raise ConfigError(f'{self.name} is {value!r}, wanted {self.wanted()}')
        if self.range is not None and not self.range[0] <= value <= self.range[1]:
            raise ConfigError(f'{self.name} is {value}, wanted {self.wanted()}')
        if self.check is not None:
            self.check(self.name, value)
        return tuple(value) if isinstance(value, list) else value


def _converted(value: object, default: object) -> object:
    """Return a list for a sequence and a float for an integer, where the default is one."""
    if isinstance(default, list) and isinstance(value, Iterable) and not isinstance(value, str):
        return [_converted(item, default[0]) for item in value]
    return float(value) if isinstance(default, float) and type(value) is int else value


def _has_type_of(value: object, default: object) -> bool:
    """Tell whether a value has the type of the default. A bool is no integer."""
    if isinstance(default, list):
        return isinstance(value, list) and all(_has_type_of(item, default[0]) for item in value)
    return isinstance(value, type(default)) and (
        isinstance(value, bool) == isinstance(default, bool))


def _type_name(default: object) -> str:
    return (f'list of {type(default[0]).__name__}' if isinstance(default, list)
            else type(default).__name__)


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


def group(settings: type, description: str) -> dataclasses.Field:
    """Return a dataclass field that holds parameters of its own.

    Args:
        settings: Dataclass of the group. The names of its parameters begin with the field's name.
        description: Sentences about the whole group.
    """
    return dataclasses.field(default_factory=settings, metadata={'group': description})


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
            rows += [dataclasses.replace(row, name=f'{field.name}.{row.name}')
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
