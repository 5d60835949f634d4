"""Class names, ids, colors, and which classes a vehicle may drive on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from enet_ros.common.one_line_error import OneLineError
from enet_ros.network.class_names import color_key, is_unlabeled, parameter_name
from enet_ros.network.classes import WELL_KNOWN_COLORS

#: The label of a pixel about which nothing is known. It neither trains nor counts, and it is never
#: drivable.
UNKNOWN = 255

MAX_NAME = 100  # characters of a class name, which is a part of parameter names


class ClassMapError(OneLineError):
    """A class map that cannot be used. The message names the class."""


def distinct_colors(count: int, taken: Iterable[tuple[int, int, int]] = ()) -> list:
    """Return ``count`` RGB colors that differ from each other and from ``taken``."""
    colors, used = [], set(taken)
    for index in range(256 ** 2):  # PASCAL VOC's color map spreads the bits of the index
        if len(colors) == count:
            break
        color = tuple(sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8))
                      for channel in range(3))
        if color not in used and color != (0, 0, 0):
            used.add(color)
            colors.append(color)
    return colors


def _classes_named(wanted: str, names: Sequence[str]) -> list[str]:
    """Return the class that a name stands for, exactly or but for capitals, if there is one."""
    if wanted in names:
        return [wanted]
    similar = [name for name in names if name.lower() == wanted.lower()]
    if len(similar) > 1:
        raise ClassMapError(f"the drivable class '{wanted}' can mean {' or '.join(similar)}; "
                            'wanted one of these names exactly')
    return similar


@dataclass(frozen=True)
class ClassMap:
    """The meaning of a network's class ids.

    Attributes:
        names: Class names in the order of the ids.
        colors: RGB color of each class, 0 to 255.
        drivable: Whether a vehicle may drive on each class. For an unlabeled class it counts as
            false.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    drivable: tuple[bool, ...]

    @classmethod
    def from_names(cls, names: Sequence[str], drivable: Sequence[str] = ('Road',)) -> ClassMap:
        """Build a class map with the well-known colors, and distinct ones for other names.

        Args:
            names: Class names in the order of the ids.
            drivable: Names of the drivable classes. A name that no class has exactly stands for
                the class that differs from it only in capitals. Other names are ignored.

        Raises:
            ClassMapError: As :meth:`checked`, or two classes differ from a drivable name only in
                capitals.
        """
        colors = [WELL_KNOWN_COLORS.get(color_key(name)) for name in names]
        colors = [None if color in colors[:i] else color for i, color in enumerate(colors)]
        spare = iter(distinct_colors(colors.count(None), [color for color in colors if color]))
        chosen = {name for wanted in drivable for name in _classes_named(wanted, names)}
        return cls(tuple(names), tuple(color or next(spare) for color in colors),
                   tuple(name in chosen for name in names)).checked()

    def checked(self, *, need_drivable: bool = False) -> ClassMap:
        """Return the class map itself, after checking it.

        Args:
            need_drivable: Whether a class map without any drivable class is refused.

        Raises:
            ClassMapError: There are no names or more than 255, a name is empty or used twice, a
                color is out of range or used twice, lengths differ, or nothing is drivable.
        """
        if not 1 <= len(self.names) <= 255:
            raise ClassMapError(f'the class map has {len(self.names)} classes, wanted 1 to 255')
        if not len(self.names) == len(self.colors) == len(self.drivable):
            raise ClassMapError(f'{len(self.names)} class names, {len(self.colors)} colors and '
                                f'{len(self.drivable)} drivable flags; wanted as many of each')
        self._check_names()
        self._check_colors()
        if need_drivable and not self.drivable_names:
            raise ClassMapError('no class is drivable: set class_map.<name>.drivable to true for '
                                f'at least one of {", ".join(self.labeled.values())}')
        return self

    def _check_names(self) -> None:
        seen: set[str] = set()
        for name in self.names:
            if not isinstance(name, str) or not name.strip():
                raise ClassMapError(f'a class name is {name!r}, wanted text')
            if not name.isprintable() or len(name) > MAX_NAME:
                raise ClassMapError(f'a class name is {name[:MAX_NAME]!r}, wanted one line of '
                                    f'printable text, of at most {MAX_NAME} characters')
            if parameter_name(name) in seen:
                raise ClassMapError(f"two classes are named '{parameter_name(name)}'")
            seen.add(parameter_name(name))

    def _check_colors(self) -> None:
        seen: dict[tuple, str] = {}
        for name, color in zip(self.names, self.colors):
            if len(color) != 3 or not all(type(c) is int and 0 <= c <= 255 for c in color):
                raise ClassMapError(f"the color of '{name}' is {list(color)}, wanted three "
                                    'integers from 0 to 255')
            other = seen.setdefault(tuple(color), name)
            if other != name:
                raise ClassMapError(f"'{other}' and '{name}' have one color, {list(color)}; "
                                    'wanted one each')

    def override(self, changes: Mapping[str, Mapping[str, object]]) -> ClassMap:
        """Return a copy in which some classes have other colors or are drivable or not.

        Args:
            changes: By parameter name of a class, 'color': [r, g, b], 'drivable': bool, or both.

        Raises:
            ClassMapError: A class or property is unknown, an unlabeled class is to be drivable,
                or :meth:`checked` refuses the copy.
        """
        ids = {parameter_name(name): i for i, name in enumerate(self.names)}
        colors, drivable = list(self.colors), list(self.drivable)
        for name, change in changes.items():
            if name not in ids:
                raise ClassMapError(f"class_map names the unknown class '{name}'; these weights "
                                    f'know {", ".join(ids)}')
            for key, value in change.items():
                if key == 'color':
                    colors[ids[name]] = (value,) if isinstance(value, str) else tuple(value)
                elif key == 'drivable':
                    if value and self.unlabeled[ids[name]] and not self.drivable[ids[name]]:
                        raise ClassMapError(f'class_map.{name}.drivable is true, wanted false: '
                                            'a pixel of this class was not labeled, so it is '
                                            'never drivable')
                    drivable[ids[name]] = bool(value)
                else:
                    raise ClassMapError(f"class_map.{name} has the unknown property '{key}', "
                                        'wanted color or drivable')
        changed = replace(self, colors=tuple(colors), drivable=tuple(drivable))
        return changed.checked(need_drivable=True)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def unlabeled(self) -> tuple[bool, ...]:
        """Whether each class means that a pixel was not labeled."""
        return tuple(map(is_unlabeled, self.names))

    @property
    def labeled(self) -> dict[int, str]:
        """Ids and names of the classes, without unlabeled ones."""
        return {i: name for i, name in enumerate(self.names) if not is_unlabeled(name)}

    @property
    def drivable_names(self) -> tuple[str, ...]:
        """Names of the drivable classes, without unlabeled ones."""
        return tuple(name for i, name in self.labeled.items() if self.drivable[i])

    def label_lut(self) -> np.ndarray | None:
        """Return the published label of each class id, (256,) uint8; None if no label differs."""
        if not any(self.unlabeled):
            return None
        lut = np.full(256, UNKNOWN, np.uint8)
        labeled = list(self.labeled)
        lut[labeled] = labeled
        return lut

    def drivable_lut(self) -> np.ndarray:
        """Return 255 for each drivable label and 0 for others and unknown, (256,) uint8."""
        lut = np.zeros(256, np.uint8)
        lut[:len(self)] = 255 * (np.array(self.drivable) & ~np.array(self.unlabeled))
        return lut

    def color_lut(self) -> np.ndarray:
        """Return the RGB color of each label, (256, 3) uint8, with black for unknown."""
        lut = np.zeros((256, 3), np.uint8)
        lut[:len(self)] = self.colors
        return lut
