"""Several data sets in one run: which, in which shares, and in whose classes.

The first source gives the classes of the run, its class weights and the validation that chooses
the weights. The labels of the others are translated to its classes, or to sets of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from enet_ros.common.one_line_error import printable
from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.network.class_names import class_key, parameter_name
from enet_ros.training.datasets import DATASETS, open_dataset
from enet_ros.training.label_sets import LabelSetError, LabelSets, class_ids
from enet_ros.training.labeled_frames import DatasetError, SegmentationData


@dataclass(frozen=True)
class Source:
    """A data set of a run.

    Attributes:
        dataset: Its layout, a key of ``DATASETS``.
        root: Its folder.
        share: Its part of the samples, beside the shares of the others. Any positive number.
        classes: Class file, for 'folders' only.
        rename: Class of the source -> class of the run, a list of classes if it is one of
            several, or None if its pixels do not count. Other classes keep their names.
        train_split: Split that is trained on.
        val_split: Split that is scored at the end.
    """

    dataset: str
    root: str
    share: float = 1.0
    classes: str | None = None
    rename: Mapping[str, str | Sequence[str] | None] = field(default_factory=dict)
    train_split: str = 'train'
    val_split: str = 'val'

    def open(self, split: str) -> SegmentationData:
        """Open a split, in the classes of the source."""
        return open_dataset(self.dataset, self.root, split, self.classes)


def parse_source(text: str, **settings) -> Source:
    """Read a source from the command line.

    Args:
        text: 'NAME=ROOT' or 'NAME=ROOT:SHARE'.
        **settings: Other attributes of :class:`Source`.

    Raises:
        DatasetError: The text is something else.
    """
    name, _, place = text.partition('=')
    root, colon, share = place.rpartition(':')
    try:
        amount = float(share) if colon else 1.0
    except ValueError:
        root, amount, colon = place, 1.0, ''
    root = root if colon else place
    if name not in DATASETS or not root or not 0 < amount < np.inf:
        raise DatasetError(f"--dataset is '{text}', wanted NAME=FOLDER or NAME=FOLDER:SHARE, with "
                           f'a NAME of {", ".join(DATASETS)} and a SHARE above 0')
    return Source(name, root, amount, **settings)


def check_apart(training: Sequence[SegmentationData],
                validation: Sequence[SegmentationData]) -> None:
    """Check that no file validates that is trained on, in whichever source.

    Raises:
        DatasetError: There are such files. The message names the first.
    """
    folder = cache(Path.resolve)
    trained = {folder(frame.parent) / frame.name for split in training for frame, _ in split.pairs}
    for split in validation:
        both = [frame for frame, _ in split.pairs
                if folder(frame.parent) / frame.name in trained]
        if both:
            raise DatasetError(
                f'{split.name} {split.split}: {len(both)} of its {len(split)} frames are trained '
                f'on as well (first {both[0]}), wanted others: the scores would mean nothing. '
                'Choose another --val-split, or val_split in the data file')


def check_two_classes(class_map: ClassMap, where: str) -> None:
    """Check that there is something to tell apart. Classes that mean "not labeled" do not count.

    Args:
        class_map: Classes of weights, or of the data that a run begins with.
        where: Who has them, for the message.

    Raises:
        DatasetError: There are fewer than two.
    """
    names = class_map.labeled.values()
    if len(names) < 2:
        raise DatasetError(f"{where}: the only class is '{''.join(names)}', wanted at least two, "
                           'since a network of one class says the same of every pixel. Label the '
                           'rest as a class of its own, and add that to the class file' if names
                           else f'{where}: {", ".join(class_map.names)} means not labeled, '
                           'wanted at least two classes')


def in_one_class_map(splits: Sequence[SegmentationData], sources: Sequence[Source],
                     class_map: ClassMap | None = None) -> list[SegmentationData]:
    """Translate the labels of several splits to the classes of the first, or to given ones.

    Args:
        splits: An opened split of each source.
        sources: Their sources, for ``rename``.
        class_map: The classes; those of the first split when None.

    Returns:
        The splits, of one class map and one table of sets.

    Raises:
        DatasetError: A class of a source is none of the first source's, a set means nothing,
            no class of a source counts, or the first source has fewer than two classes.
    """
    if class_map is None:
        class_map = splits[0].class_map
        check_two_classes(class_map, splits[0].name)
    sets = LabelSets(class_map.names)
    luts = []
    for split, source in zip(splits, sources):
        try:
            lut, sets = _translation(split, source.rename, class_map, sets)
        except LabelSetError as error:
            raise DatasetError(f'{split.name}: {error}') from error
        luts.append(lut)
    shared = sets if len(sets) else None
    return [replace(split, class_map=class_map, sets=shared, decode=_Translated(split.decode, lut))
            for split, lut in zip(splits, luts)]


def each_in_class_map(splits: Sequence[SegmentationData], sources: Sequence[Source],
                      class_map: ClassMap) -> list[SegmentationData]:
    """Translate the labels of splits that are scored one by one.

    Each gets a table of its own sets alone, since the sets of another data set say nothing about
    its labels. See :func:`in_one_class_map`, also for the arguments and errors.
    """
    return [in_one_class_map([split], [source], class_map)[0]
            for split, source in zip(splits, sources)]


def explain_no_drivable(class_map: ClassMap) -> str:
    """Return a sentence where no class of a run is drivable, or ''."""
    if class_map.drivable_names:
        return ''
    names = ', '.join(map(parameter_name, class_map.labeled.values()))
    return ('no class is drivable, and a node with these weights does not start so: write '
            'drivable: true at a class of the class file, or start the node with '
            f'-p class_map.NAME.drivable:=true, with a NAME of {names}')


def other_drivable(class_map: ClassMap, caller: str, data: SegmentationData,
                   source: Source) -> str:
    """Return a sentence where other classes are drivable than a data set says, or ''.

    Args:
        class_map: Classes that are taken.
        caller: Who calls them drivable, for the sentence.
        data: A split in classes of its own.
        source: Its source, for ``rename`` and the sentence.
    """
    drivable = set(map(class_key, class_map.drivable_names))
    theirs, others = set(), set()
    for name, items in _targets(data.class_map, source.rename).items():
        keys = frozenset(class_key(str(item)) for item in items)
        (theirs if name in data.class_map.drivable_names else others).add(keys)
    lost = any(keys and not keys & drivable for keys in theirs)
    added = any(keys and keys <= drivable for keys in others - theirs)
    if not lost and not added:
        return ''
    ours, its = (', '.join(names) or 'nothing'
                 for names in (class_map.drivable_names, data.class_map.drivable_names))
    return printable(f'{data.name} in {source.root}: drivable is what {caller} so ({ours}), and '
                     f'not what the data set does ({its})')


@dataclass(frozen=True)
class _Translated:
    """A decoder whose labels go through a table."""

    decode: object
    lut: np.ndarray

    def __call__(self, stored: np.ndarray) -> np.ndarray:
        return self.lut[self.decode(stored)]


def _translation(split: SegmentationData, rename: Mapping, class_map: ClassMap,
                 sets: LabelSets) -> tuple[np.ndarray, LabelSets]:
    """Build the table from the labels of a split to those of the run.

    Returns:
        (256,) uint8, and the sets of the run with those of the split.
    """
    names = _targets(split.class_map, rename)
    unknown = set(rename) - set(names)
    if unknown:
        raise DatasetError(f"{split.name}: rename names the class '{sorted(unknown)[0]}', wanted "
                           f'some of {", ".join(names)}')
    groups = [_class_names(split, name, target, class_map) for name, target in names.items()]
    for members in split.sets.members if split.sets else ():
        parts = [groups[class_id] for class_id in members]
        # A set with a class that does not count may mean anything.
        groups.append(tuple(sorted({name for part in parts for name in part}))
                      if all(parts) else ())
    lut = np.full(256, UNKNOWN, np.uint8)
    for label, group in enumerate(groups):
        lut[label], sets = _label_of(group, class_map, sets)
    if (lut == UNKNOWN).all():
        raise DatasetError(f'{split.name}: none of its classes {", ".join(names)} says anything '
                           f"about the run's classes {', '.join(class_map.names)}: each is null, "
                           'not labeled, or may be any of them. Say in a data file what they '
                           f'are, such as rename: {{{next(iter(names))}: {class_map.names[0]}}}')
    return lut, sets


def _targets(class_map: ClassMap, rename: Mapping) -> dict[str, list]:
    """Return by class of a source what it may be in the run; nothing if it does not count."""
    targets = {name: rename.get(name, None if unlabeled else name)
               for name, unlabeled in zip(class_map.names, class_map.unlabeled)}
    return {name: [] if target is None else [target] if isinstance(target, str) else list(target)
            for name, target in targets.items()}


def _class_names(split: SegmentationData, name: str, wanted: Sequence, class_map: ClassMap
                 ) -> tuple[str, ...]:
    """Return the classes of the run that a class of a source may be; none if it does not count."""
    ids = class_ids(class_map)
    for item in wanted:
        if class_key(str(item)) not in ids:
            raise DatasetError(
                f"{split.name}: its class '{name}' would be '{item}', which is none of the run's "
                f'classes {", ".join(class_map.names)}. Say what it is in a data file, such as '
                f'rename: {{{name}: {class_map.names[0]}}}, a list of classes, or null')
    return tuple(class_map.names[ids[class_key(str(item))]] for item in wanted)


def _label_of(group: tuple[str, ...], class_map: ClassMap,
              sets: LabelSets) -> tuple[int, LabelSets]:
    """Return the label of a group of classes, and the sets with it."""
    if len(group) in (0, len(class_map)):
        return UNKNOWN, sets
    if len(group) == 1:
        return class_map.names.index(group[0]), sets
    joined, labels = sets.joined(LabelSets.of(class_map, {' or '.join(group): group}))
    return labels[len(class_map)], joined


class SharePattern:
    """The source of each sample, in a fixed order in which shares are even.

    Args:
        shares: The share of each source, any positive numbers.

    Raises:
        DatasetError: A share is so small that its source would give no sample.
    """

    PERIOD = 200

    def __init__(self, shares: Sequence[float]):
        parts = np.array(shares, float) / sum(shares)
        taken, order = np.zeros(len(parts)), []
        for position in range(1, self.PERIOD + 1):
            source = int(np.argmax(parts * position - taken))
            taken[source] += 1
            order.append(source)
        self._order = np.array(order)
        self._counts = np.cumsum(np.eye(len(parts), dtype=int)[self._order], axis=0)
        if not taken.all():
            raise DatasetError(f'a source has {100 * parts.min():.2g} % of the shares, wanted at '
                               f'least {100 / self.PERIOD:.2g} %: no sample would come from it')

    def locate(self, number: int) -> tuple[int, int]:
        """Return the source of a sample, and its number among the samples of that source."""
        period, place = divmod(number, self.PERIOD)
        source = int(self._order[place])
        return source, int(period * self._counts[-1, source] + self._counts[place, source] - 1)
