"""Coarse labels: a label that stands for one of several classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.network.class_names import class_key


class LabelSetError(ValueError):
    """A set of classes cannot be used. The message names the set or the class."""


@dataclass(frozen=True)
class LabelSets:
    """Labels beside those of the classes. Each stands for one of several classes.

    The label of the first set is the number of classes, and the others follow.

    Attributes:
        class_names: Names of the classes in the order of their ids.
        members: Ids of the classes of each set, ascending; two or more.
        names: Name of each set, for reports.
    """

    class_names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, class_map: ClassMap, sets: Mapping[str, Sequence[str]]) -> LabelSets:
        """Build sets from the names of their classes.

        Args:
            class_map: The classes.
            sets: Name of each set -> names of its classes, in any capitals.

        Raises:
            LabelSetError: A class is unknown, or a set has fewer than two classes or all of them.
        """
        ids = class_ids(class_map) if sets else {}
        members = []
        for name, classes in sets.items():
            unknown = [item for item in classes if class_key(item) not in ids]
            if unknown:
                raise LabelSetError(f"set '{name}' names the unknown class '{unknown[0]}', wanted "
                                    f'some of {", ".join(class_map.names)}')
            found = tuple(sorted({ids[class_key(item)] for item in classes}))
            if not 2 <= len(found) < len(class_map):
                raise LabelSetError(f"set '{name}' has {len(found)} of {len(class_map)} classes, "
                                    'wanted at least two, and not all')
            members.append(found)
        if len(class_map) + len(members) > UNKNOWN:
            raise LabelSetError(f'{len(class_map)} classes and {len(members)} sets, wanted at '
                                f'most {UNKNOWN} together')
        return cls(class_map.names, tuple(members), tuple(sets))

    def __len__(self) -> int:
        return len(self.members)

    def table(self) -> np.ndarray:
        """Return which classes each label allows, (256, num_classes) bool.

        The label of a class allows only this class. A label that means nothing allows none.
        """
        allowed = np.zeros((256, len(self.class_names)), bool)
        count = len(self.class_names)
        allowed[:count] = np.eye(count, dtype=bool)
        for label, members in enumerate(self.members, start=count):
            allowed[label, list(members)] = True
        return allowed

    def drivable_labels(self, drivable: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
        """Return which labels are drivable for certain, and which are not for certain.

        A set is drivable, or not drivable, if all of its classes are. Others tell nothing.

        Args:
            drivable: Whether each class is drivable.

        Returns:
            Two arrays, (256,) bool. A label that means nothing is in neither.
        """
        allowed, may_drive = self.table(), np.array(drivable)
        on_road, off_road = allowed[:, may_drive].any(1), allowed[:, ~may_drive].any(1)
        return on_road & ~off_road, off_road & ~on_road

    def label_weights(self, class_weights: np.ndarray) -> np.ndarray:
        """Return the weight of each label in the loss, (256,) float32.

        A set has the least weight of its classes, since it says less than the label of a class.
        Labels that mean nothing have weight 0.

        Args:
            class_weights: (num_classes,) weights of the classes.
        """
        weights, count = np.zeros(256, np.float32), len(self.class_names)
        weights[:count] = class_weights
        for label, members in enumerate(self.members, start=count):
            weights[label] = min(class_weights[list(members)])
        return weights

    def joined(self, other: LabelSets) -> tuple[LabelSets, dict[int, int]]:
        """Return these sets and those of another table of the same classes.

        Args:
            other: Its sets may occur here under other names; they are then one set.

        Returns:
            The union, and the label in it of each label of a set in ``other``.

        Raises:
            LabelSetError: The classes differ.
        """
        if other.class_names != self.class_names:
            raise LabelSetError(f'sets of the classes {", ".join(other.class_names)}, wanted sets '
                                f'of {", ".join(self.class_names)}')
        members, names = list(self.members), list(self.names)
        labels, count = {}, len(self.class_names)
        for label, (item, name) in enumerate(zip(other.members, other.names), start=count):
            if item not in members:
                members.append(item)
                names.append(name)
            labels[label] = count + members.index(item)
        return LabelSets(self.class_names, tuple(members), tuple(names)), labels


def class_ids(class_map: ClassMap) -> dict[str, int]:
    """Return the id of each class by the key of its name, see :func:`class_key`.

    Raises:
        LabelSetError: Two classes have one key, so that no name can be told from the other.
    """
    ids: dict[str, int] = {}
    for i, name in enumerate(class_map.names):
        other = ids.setdefault(class_key(name), i)
        if other != i:
            raise LabelSetError(f"the classes '{class_map.names[other]}' and '{name}' differ in "
                                'capitals, spaces, dots, _ or - alone, wanted names that differ '
                                'otherwise')
    return ids
