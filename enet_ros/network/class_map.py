"""Class names, ids, colours, and which classes a vehicle may drive on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from enet_ros.network.classes import WELL_KNOWN_COLORS, color_key

UNKNOWN = 255  # the label of a pixel about which nothing is known

#: A class of one of these names means that the pixel was not labelled; it maps to UNKNOWN.
UNLABELED_NAMES = frozenset({'unlabeled', 'unlabelled', 'void', 'unknown', 'ignore'})


class ClassMapError(ValueError):
    """A class map that cannot be used; the message names the class."""


def parameter_name(class_name: str) -> str:
    """Return the class name as it stands in parameters: no spaces, no dots."""
    return class_name.strip().replace(' ', '_').replace('.', '_')


def distinct_colors(count: int, taken: Iterable[tuple[int, int, int]] = ()) -> list:
    """Return ``count`` RGB colours that differ from each other and from ``taken``."""
    colors, used = [], set(taken)
    for index in range(256 ** 2):  # PASCAL VOC's colour map: the bits of the index, spread
        if len(colors) == count:
            break
        color = tuple(sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8))
                      for channel in range(3))
        if color not in used and color != (0, 0, 0):
            used.add(color)
            colors.append(color)
    return colors


@dataclass(frozen=True)
class ClassMap:
    """What the class ids of a network mean.

    Attributes:
        names: in id order.
        colors: an RGB colour a class, 0..255.
        drivable: a bool a class.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    drivable: tuple[bool, ...]

    @classmethod
    def from_names(cls, names: Sequence[str], drivable: Sequence[str] = ('Road',)) -> ClassMap:
        """Build a class map with the well-known colours, and distinct ones for other names."""
        known = [WELL_KNOWN_COLORS.get(color_key(name)) for name in names]
        known = [None if color in known[:i] else color for i, color in enumerate(known)]
        spare = iter(distinct_colors(known.count(None), [c for c in known if c]))
        wanted = {name.lower() for name in drivable}
        return cls(tuple(names), tuple(color or next(spare) for color in known),
                   tuple(name.lower() in wanted for name in names)).checked()

    def checked(self, need_drivable: bool = False) -> ClassMap:
        """Return the map itself, after checking it.

        Args:
            need_drivable: whether a map without any drivable class is refused.

        Raises:
            ClassMapError: names empty or used twice, more than 255 of them, colours out of range,
                two names of one colour, lengths that differ, nothing drivable.
        """
        if not 1 <= len(self.names) <= 255:
            raise ClassMapError(f'the class map has {len(self.names)} classes, wanted 1 to 255')
        if not len(self.names) == len(self.colors) == len(self.drivable):
            raise ClassMapError(f'{len(self.names)} class names, {len(self.colors)} colors and '
                                f'{len(self.drivable)} drivable flags; wanted as many of each')
        self._check_names()
        self._check_colors()
        if need_drivable and not any(self.drivable):
            raise ClassMapError('no class is drivable: set class_map.<name>.drivable to true for '
                                f'at least one of {", ".join(self.names)}')
        return self

    def _check_names(self) -> None:
        seen: set[str] = set()
        for name in self.names:
            if not isinstance(name, str) or not name.strip():
                raise ClassMapError(f'a class name is {name!r}, wanted text')
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
        """Return a copy with some classes changed.

        Args:
            changes: parameter name of a class -> {'color': [r, g, b], 'drivable': bool}, sparse.

        Raises:
            ClassMapError: an unknown class or property, or a map that :meth:`checked` refuses.
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
                    drivable[ids[name]] = bool(value)
                else:
                    raise ClassMapError(f"class_map.{name} has the unknown property '{key}', "
                                        'wanted color or drivable')
        return replace(self, colors=tuple(colors), drivable=tuple(drivable)).checked(True)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def unlabeled(self) -> tuple[bool, ...]:
        """Whether each class means that nothing is known."""
        return tuple(name.lower() in UNLABELED_NAMES for name in self.names)

    @property
    def drivable_names(self) -> tuple[str, ...]:
        """Names of the drivable classes."""
        return tuple(name for name, yes in zip(self.names, self.drivable) if yes)

    def label_lut(self) -> np.ndarray | None:
        """Class id -> published label, (256,) uint8; None where every id stays what it is."""
        if not any(self.unlabeled):
            return None
        lut = np.full(256, UNKNOWN, np.uint8)
        known = np.flatnonzero(~np.array(self.unlabeled))
        lut[known] = known
        return lut

    def drivable_lut(self) -> np.ndarray:
        """Label -> 255 drivable, 0 not or unknown, (256,) uint8."""
        lut = np.zeros(256, np.uint8)
        lut[:len(self)] = 255 * (np.array(self.drivable) & ~np.array(self.unlabeled))
        return lut

    def color_lut(self) -> np.ndarray:
        """Label -> RGB color, (256, 3) uint8; what is unknown is black."""
        lut = np.zeros((256, 3), np.uint8)
        lut[:len(self)] = self.colors
        return lut
