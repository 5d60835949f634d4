"""What a run began with, in ``data.json``, so that it is not continued on other data unnoticed.

Batches follow from the step and from the order of the frames, and labels from the classes. So a
run is only continued on the same frames and classes. Files that were replaced are named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from enet_ros.common.one_line_error import printable
from enet_ros.common.whole_files import write_whole
from enet_ros.training.data_survey import Survey
from enet_ros.training.labeled_frames import SegmentationData
from enet_ros.training.options import TrainingError

FINGERPRINTS = 'data.json'


@dataclass(frozen=True)
class SplitFingerprint:
    """What tells one split of a run from another.

    Attributes:
        name: Names of the data set and of the split.
        classes: Names of the classes in the order of their ids. Drivable ones end with *.
        sets: Names of the classes of each coarse label, in the order of the labels.
        pairs: Last folder and name of each frame, in the order of the split.
        checksums: CRC-32 of each frame and its labels, or empty where they were not read.
    """

    name: str
    classes: list[str]
    sets: list[str]
    pairs: list[str]
    checksums: list[int]

    @classmethod
    def of(cls, data: SegmentationData, checksums: Sequence[int] = ()) -> SplitFingerprint:
        """Describe a split."""
        names = data.class_map.names
        classes = [f'{name}*' if drivable else name
                   for name, drivable in zip(names, data.class_map.drivable)]
        sets = [' or '.join(names[i] for i in members)
                for members in (data.sets.members if data.sets else ())]
        return cls(f'{data.name} {data.split}', classes, sets,
                   ['/'.join(frame.parts[-2:]) for frame, _ in data.pairs], list(checksums))


def check_same_data(run: Path, splits: Sequence[SegmentationData]) -> None:
    """Check that a run that is continued has the frames and classes it began with.

    Args:
        run: Its folder. A run that has no fingerprints, since it is older, is not checked.
        splits: Its splits, training ones first.

    Raises:
        TrainingError: Frames or classes differ, or the file is damaged.
    """
    now = [SplitFingerprint.of(split) for split in splits]
    differences = [text for before, after in zip(_read(run / FINGERPRINTS) or now, now)
                   for text in _differences(before, after)]
    if differences:
        raise TrainingError(f'{run} began on other data: {"; ".join(differences)}. Restore the '
                            'data to continue it, or choose another --out')


def record_fingerprints(run: Path, surveys: Sequence[Survey], *, resumed: bool) -> list[str]:
    """Write what a run begins with, or compare the files of a run that is continued.

    Args:
        run: Its folder.
        surveys: Its splits in the order of :func:`check_same_data`, which must have passed.
        resumed: Whether the run is continued. Its fingerprints stay, if it has some.

    Returns:
        A sentence for each split some of whose files have another content than at the beginning.

    Raises:
        OSError: The file cannot be written.
    """
    now = [SplitFingerprint.of(survey.data, survey.checksums) for survey in surveys]
    earlier = _read(run / FINGERPRINTS) if resumed else None
    if earlier is None:
        text = json.dumps([asdict(split) for split in now]) + '\n'
        write_whole(run / FINGERPRINTS, text.encode())
        return []
    sentences = []
    for before, after in zip(earlier, now):
        changed = [name for name, old, new in zip(after.pairs, before.checksums, after.checksums)
                   if old != new]
        if changed:
            sentences.append(f'{after.name}: frame or labels of {_some(changed)} changed since '
                             'the run began; it goes on with what is there now')
    return sentences


def _read(path: Path) -> list[SplitFingerprint] | None:
    """Read the fingerprints of a run; None if there are none.

    Raises:
        TrainingError: The file is damaged.
    """
    try:
        splits = [SplitFingerprint(**entry) for entry in json.loads(path.read_text())]
        lists = [values for split in splits
                 for values in (split.classes, split.sets, split.pairs, split.checksums)]
        if not all(isinstance(values, list)
                   and all(isinstance(value, str | int) for value in values) for values in lists):
            raise ValueError('wanted lists of text and numbers')
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, RecursionError) as error:
        raise TrainingError(f'{path} is damaged: delete it to continue without a comparison of '
                            'the data') from error
    return splits


def _differences(before: SplitFingerprint, after: SplitFingerprint) -> Iterator[str]:
    """Yield what differs between two states of a split, in a few words each."""
    for what in ('classes', 'sets'):
        old, new = getattr(before, what), getattr(after, what)
        if old != new:
            yield f'{after.name}: its {what} were {_listed(old)}, now {_listed(new)}'
    for pairs, others, change in ((after.pairs, before.pairs, 'new'),
                                  (before.pairs, after.pairs, 'missing')):
        known = set(others)
        if lone := [pair for pair in pairs if pair not in known]:
            yield f'{after.name}: {_some(lone)} {"is" if len(lone) == 1 else "are"} {change}'
    if before.pairs != after.pairs and sorted(before.pairs) == sorted(after.pairs):
        yield f'{after.name}: its frames are in another order'


def _listed(names: Sequence[str]) -> str:
    return printable(', '.join(map(str, names))) or 'none'


def _some(pairs: Sequence[str]) -> str:
    """Return the number of pairs and the first: '3 frames (first train/a.png)'."""
    if len(pairs) == 1:
        return printable(str(pairs[0]))
    return f'{len(pairs)} frames (first {printable(str(pairs[0]))})'
