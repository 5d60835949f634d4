"""Which frames train and which validate."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from enet_ros.training.label_import.files import parts_of, stem_of
from enet_ros.training.label_import.shapes import ImportLabelsError

#: Which of several cameras took a frame, behind its number. Views of one moment belong together.
_CAMERA = re.compile(r'(?<=\d)([_\-. ]+(left|right|front|rear|back|cam(era)?\d{0,2}))+$',
                     re.IGNORECASE)
_NUMBER = re.compile(r'[_\-. ]*((?<!\d)\d{10}[_\-.]\d{9}|\d+)$')
NO_DRIVES = ('most names show no drive, and neighbors may be in both splits: put each drive into '
             'a folder of its own')


def sequence_of(name: str) -> str:
    """Return the sequence of a frame: its folder, and its name without the number at the end.

    A stamp in seconds and nanoseconds, such as 1700000000_250000000, is one number. The name of a
    camera may follow the number: drive1_0007_left and drive1_0008_right are of one sequence.
    """
    path = PurePosixPath(stem_of('/'.join(parts_of(name))))
    return str(path.parent / _NUMBER.sub('', _CAMERA.sub('', path.name)))


def choose_validation(names: Sequence[str], fraction: float, seed: int,
                      split_by: str = 'auto') -> tuple[set[str], str]:
    """Choose the frames of the validation split.

    Neighbors of a sequence look alike. A validation frame whose neighbors were trained on says
    little, so whole sequences are chosen where there are several.

    Args:
        names: Names of all frames.
        fraction: Share of the frames, above 0 and below 1.
        seed: Seed of the choice. The same seed and names give the same split.
        split_by: 'sequence', 'frame', or 'auto' for the first where there are two sequences.

    Returns:
        Names of the frames, and a sentence that says how they were chosen.

    Raises:
        ImportLabelsError: There are too few frames or sequences, or the fraction is no share.
    """
    if not 0 < fraction < 1:
        raise ImportLabelsError(f'the validation share is {fraction}, wanted more than 0 and less '
                                'than 1')
    groups = _sequences(names)
    shows_drives = _shows_drives(groups)
    by_sequence = split_by == 'sequence' or split_by == 'auto' and len(groups) > 1
    if not by_sequence:
        groups = {name: [name] for name in names}
    if not names:
        raise ImportLabelsError('no frame has a polygon or a mask; draw some, or name the class '
                                'of all other pixels by --background LABEL')
    kind = 'sequence' if by_sequence else 'frame'
    if len(groups) < 2:
        raise ImportLabelsError(f'there is one {kind}, wanted two or more for two splits'
                                + ('; or --split-by frame' if by_sequence else ''))
    chosen = _draw(groups, fraction * len(names), seed)
    return chosen, (f'{len(chosen)} of {len(names)} frames validate, chosen by {kind} with the '
                    f'seed {seed}' + ('' if shows_drives else f'; {NO_DRIVES}'))


def _sequences(names: Sequence[str]) -> dict[str, list[str]]:
    """Return sequence -> its frames."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(sequence_of(name), []).append(name)
    return groups


def _shows_drives(groups: dict[str, list[str]]) -> bool:
    """Tell whether at most half of the frames are alone in their sequence, beside others.

    A frame that is alone in its folder is a drive, too.
    """
    names = [name for group in groups.values() for name in group]
    in_folder = Counter(PurePosixPath(name).parent for name in names)
    alone = [group[0] for group in groups.values() if len(group) == 1]
    return 2 * sum(in_folder[PurePosixPath(name).parent] > 2 for name in alone) <= len(names)


def _draw(groups: dict[str, list[str]], count: float, seed: int) -> set[str]:
    """Draw whole groups until about ``count`` names are chosen: one group at least, never all.

    A group that would be more than twice as many is left to training. If every group is, the
    smallest is chosen.
    """
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    fitting = ([key for key in order if len(groups[key]) / 2 <= count]
               or [min(order, key=lambda key: len(groups[key]))])
    chosen: set[str] = set()
    for key in fitting[:len(order) - 1]:
        if chosen and len(chosen) + len(groups[key]) / 2 > count:
            break
        chosen |= set(groups[key])
    return chosen
