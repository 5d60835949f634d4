"""The classes of an import: from a class file, or from the labels of the export."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from enet_ros.common.suggestions import suggest
from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.network.class_names import is_unlabeled
from enet_ros.training.datasets import read_classes
from enet_ros.training.label_import.shapes import Export, ImportLabelsError

#: Kinds of annotations that mark no part of a frame, in CVAT and Label Studio.
OF_WHOLE_FRAMES = frozenset({'tag', 'choices', 'taxonomy', 'textarea', 'number', 'rating',
                             'datetime', 'relation', 'pairwise'})


@dataclass(frozen=True)
class LabelIds:
    """The value of each label in a label image.

    Attributes:
        class_map: Classes in the order of their ids.
        id_of: Label -> its value, 255 for what is not labeled.
        background: Value of a pixel on which nobody drew.
    """

    class_map: ClassMap
    id_of: dict[str, int]
    background: int = UNKNOWN


def choose_classes(export: Export, path: Path | None, drivable: Collection[str],
                   ignored: Collection[str], background: str | None) -> LabelIds:
    """Decide which value each label has.

    Args:
        export: The export.
        path: Class file, or None for the labels of the export.
        drivable: Labels that are drivable, where there is no class file.
        ignored: Labels whose pixels are not labeled.
        background: Label of the pixels on which nobody drew, or None.

    Raises:
        ImportLabelsError: A label is in no class, an ignored one is none, nothing is drivable, or
            the background is and something was marked there.
    """
    used = dict.fromkeys(shape.label for frame in export.frames for shape in frame.shapes)
    known = {**export.labels, **used}
    labels = [label for label in known if label not in ignored and not is_unlabeled(label)]
    if path is not None:
        if drivable:
            raise ImportLabelsError('--classes says what is drivable, so leave out --drivable')
        class_map = read_classes(path)
        _check_ignored(ignored, dict.fromkeys([*known, *class_map.names]))
    else:
        _check_ignored(ignored, known)
        class_map = _from_labels(export, labels, drivable, background)
    ids = {name: i for i, name in enumerate(class_map.names)}
    unknown = sorted(label for label in used if label in labels and label not in ids)
    if unknown:
        raise ImportLabelsError(f'the export has labels that are no class of {path}: '
                                f'{", ".join(map(repr, unknown))}; its classes are '
                                f'{", ".join(ids)}; add them, or --ignore LABEL each')
    if background is not None and background not in ids:
        raise ImportLabelsError(f"the background is '{background}', wanted one of "
                                f'{", ".join(ids)}{suggest(background, ids)}')
    class_map.checked(need_drivable=True)
    if background is not None and class_map.drivable[ids[background]]:
        _check_regions(export, background)
    return LabelIds(class_map, {label: ids.get(label, UNKNOWN) for label in used} | {
        label: UNKNOWN for label in ignored}, ids.get(background, UNKNOWN))


def _check_regions(export: Export, background: str) -> None:
    """Check that nothing was marked whose pixels would become a drivable background."""
    regions = [f"{count} of the kind '{kind}'" for kind, count in sorted(export.ignored.items())
               if count and kind not in OF_WHOLE_FRAMES]
    if regions:
        raise ImportLabelsError(
            f"the background '{background}' is drivable, and annotations mark something else "
            f'without saying which pixels: {", ".join(regions)}; draw them as polygons or masks, '
            'or remove them in the tool, since their pixels would become drivable')


def _check_ignored(ignored: Collection[str], labels: Collection[str]) -> None:
    """Check that what is ignored is a label of the export or a class."""
    for name in ignored:
        if name not in labels:
            raise ImportLabelsError(f"--ignore is '{name}', which is no label; wanted some of "
                                    f'{", ".join(labels) or "no labels"}{suggest(name, labels)}')


def _from_labels(export: Export, labels: list[str], drivable: Collection[str],
                 background: str | None) -> ClassMap:
    """Make a class map from labels, with the colors of the export where they can be used."""
    names = [*labels, *([background] if background and background not in labels else [])]
    wrong = [name for name in drivable if name not in names]
    if wrong or not drivable:
        problem = f"--drivable '{wrong[0]}' is no label" if wrong else 'nothing is drivable'
        raise ImportLabelsError(f'{problem}: wanted --drivable with one of '
                                f'{", ".join(names) or "no labels"}, or --classes FILE'
                                + (suggest(wrong[0], names) if wrong else ''))
    class_map = ClassMap.from_names(names, drivable)
    colors = [export.labels.get(name) for name in names]
    if None not in colors and len(set(colors)) == len(colors) and (0, 0, 0) not in colors:
        return ClassMap(tuple(names), tuple(colors), class_map.drivable).checked()
    return class_map
