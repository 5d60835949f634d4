"""The paper's three data sets, and a pair of folders with a class file for one's own frames.

Every data set gives RGB frames and label maps of class ids, 255 where a pixel does not count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from enet_ros.network.class_map import ClassMap, ClassMapError, distinct_colors
from enet_ros.network.classes import CAMVID_NAMES

IGNORE = 255  # the label of a pixel that neither trains nor counts
IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')
SHOWN_PROBLEMS = 8

#: The 32 colours of the original labels (RGB), by the class of the eleven they belong to.
CAMVID_COLORS = {
    'Sky': [(128, 128, 128)],
    'Building': [(128, 0, 0), (192, 0, 128), (0, 128, 64), (64, 0, 64), (64, 192, 0)],
    'Pole': [(192, 192, 128), (0, 0, 64)],
    'Road': [(128, 64, 128), (128, 0, 192), (192, 0, 64)],
    'Pavement': [(0, 0, 192), (64, 192, 128), (128, 128, 192)],
    'Tree': [(128, 128, 0), (192, 192, 0)],
    'SignSymbol': [(192, 128, 128), (128, 128, 64), (0, 64, 64)],
    'Fence': [(64, 64, 128)],
    'Car': [(64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)],
    'Pedestrian': [(64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64)],
    'Bicyclist': [(0, 128, 192), (192, 0, 192)],
    'Void': [(0, 0, 0)],
}

CITYSCAPES_NAMES = (
    'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
    'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train',
    'motorcycle', 'bicycle')
#: Of gtFine ``labelIds``, in the order of the names above; the official train ids.
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

SUNRGBD_NAMES = (
    'wall', 'floor', 'cabinet', 'bed', 'chair', 'sofa', 'table', 'door', 'window', 'bookshelf',
    'picture', 'counter', 'blinds', 'desk', 'shelves', 'curtain', 'dresser', 'pillow', 'mirror',
    'floor mat', 'clothes', 'ceiling', 'books', 'fridge', 'tv', 'paper', 'towel',
    'shower curtain', 'box', 'whiteboard', 'person', 'night stand', 'toilet', 'sink', 'lamp',
    'bathtub', 'bag')


class DatasetError(ValueError):
    """A data set that cannot be used; the message names the files."""


@dataclass(frozen=True)
class SegmentationData:
    """Frames and label maps of one split.

    Attributes:
        name: of the data set, as on the command line.
        split: 'train', 'val', …
        class_map: what the ids mean.
        pairs: (frame, label file), sorted by name.
        decode: stored labels, as OpenCV reads them -> (H, W) uint8 ids, 255 where void; raises
            ValueError when a value is out of range.
    """

    name: str
    split: str
    class_map: ClassMap
    pairs: tuple[tuple[Path, Path], ...]
    decode: Callable[[np.ndarray], np.ndarray]

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a frame and its label map.

        Returns:
            (H, W, 3) uint8 RGB and (H, W) uint8 ids, 255 where void.

        Raises:
            DatasetError: unreadable, of two sizes, or a label value out of range.
        """
        frame_path, label_path = self.pairs[index]
        frame, stored = _read_image(frame_path, cv2.IMREAD_COLOR), _read_image(label_path)
        if frame.shape[:2] != stored.shape[:2]:
            raise DatasetError(f'{label_path}: {_size(stored)}, but its frame is {_size(frame)}')
        try:
            return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), self.decode(stored)
        except ValueError as error:
            raise DatasetError(f'{label_path}: {error}') from error

    def check(self) -> None:
        """Read every pair once.

        Raises:
            DatasetError: names the first several files that cannot be used, and their number.
        """
        problems = []
        for index in range(len(self)):
            try:
                self.read(index)
            except DatasetError as error:
                problems.append(str(error))
        _raise_problems(f'{self.name} {self.split}', problems)


def _raise_problems(where: str, problems: Sequence[str]) -> None:
    """Raise one error for all problems, if there are any."""
    if not problems:
        return
    shown = list(problems[:SHOWN_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f'… and {len(problems) - len(shown)} more')
    raise DatasetError(f'{where}: {len(problems)} problem(s)\n  ' + '\n  '.join(shown))


def _size(image: np.ndarray) -> str:
    return f'{image.shape[1]}x{image.shape[0]}'


def _read_image(path: Path, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """Read an image as OpenCV stores it (BGR)."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        image = cv2.imdecode(data, flags) if data.size else None
    except (OSError, cv2.error) as error:
        raise DatasetError(f'{path}: unreadable ({error})') from error
    if image is None:
        raise DatasetError(f'{path}: unreadable (not an image, or truncated)')
    return image


def id_decoder(ids: dict[int, int]) -> Callable[[np.ndarray], np.ndarray]:
    """Build a decoder for label images that hold numbers.

    Args:
        ids: stored value -> class id, or 255 for void; every other value is an error.
    """
    lut, allowed = np.full(256, IGNORE, np.uint8), np.zeros(256, bool)
    lut[list(ids)], allowed[list(ids)] = list(ids.values()), True

    def decode(stored: np.ndarray) -> np.ndarray:
        if stored.ndim != 2:
            raise ValueError(f'{stored.shape[2]} channels, wanted one with class ids')
        if stored.dtype != np.uint8 and stored.max(initial=0) > 255:
            raise ValueError(f'label value {stored.max()}, wanted {_ranges(ids)}')
        stored = stored.astype(np.uint8, copy=False)
        if not allowed[stored].all():
            bad = np.unique(stored[~allowed[stored]])
            raise ValueError(f'label value {bad[0]} ({np.count_nonzero(stored == bad[0])} '
                             f'pixels), wanted {_ranges(ids)}')
        return lut[stored]
    return decode


def color_decoder(colors: Sequence[tuple[int, Sequence[tuple[int, int, int]]]]
                  ) -> Callable[[np.ndarray], np.ndarray]:
    """Build a decoder for label images that hold colours.

    Args:
        colors: (class id or 255, its RGB colours), every colour that may occur.
    """
    pairs = sorted(((r << 16) | (g << 8) | b, class_id)
                   for class_id, group in colors for r, g, b in group)
    keys, values = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs], np.uint8)

    def decode(stored: np.ndarray) -> np.ndarray:
        if stored.ndim != 3:
            raise ValueError('one channel, wanted RGB colours')
        b, g, r = (stored[..., i].astype(np.int32) for i in range(3))
        packed = (r << 16) | (g << 8) | b
        index = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
        wrong = keys[index] != packed
        if wrong.any():
            color = [int(packed[wrong][0]) >> shift & 255 for shift in (16, 8, 0)]
            raise ValueError(f'color {color} ({np.count_nonzero(wrong)} pixels of unknown '
                             'colors), wanted the colors of the data set')
        return values[index]
    return decode


def _ranges(ids: Sequence[int]) -> str:
    """Say which values are allowed, runs joined: '0-11, 255'."""
    runs: list[list[int]] = []
    for value in sorted(ids):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ', '.join(str(a) if a == b else f'{a}-{b}' for a, b in runs)


def _images(folder: Path) -> list[Path]:
    """List the images of a folder, sorted by name."""
    if not folder.is_dir():
        raise DatasetError(f'{folder}: no such folder')
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise DatasetError(f'{folder}: no images ({", ".join(IMAGE_SUFFIXES)})')
    return found


def _pairs(where: Path, frames: Sequence[Path], labels: Sequence[Path],
           frame_key: Callable[[Path], str],
           label_key: Callable[[Path], str]) -> tuple[tuple[Path, Path], ...]:
    """Pair frames and labels by key.

    Args:
        where: the folder that the message names.
        frames: in any order.
        labels: likewise.
        frame_key: frame -> key.
        label_key: label file -> key.

    Raises:
        DatasetError: names frames without labels and labels without frames.
    """
    by_frame = {frame_key(path): path for path in frames}
    by_label = {label_key(path): path for path in labels}
    problems = [f'{by_frame[key]}: has no label file' for key in sorted(by_frame)
                if key not in by_label]
    problems += [f'{by_label[key]}: has no frame' for key in sorted(by_label)
                 if key not in by_frame]
    _raise_problems(str(where), problems)
    return tuple((by_frame[key], by_label[key]) for key in sorted(by_frame))


def _stem(path: Path) -> str:
    return path.stem


def _folder_pairs(root: Path, split: str) -> tuple[tuple[Path, Path], ...]:
    """Pair ``<root>/<split>`` with ``<root>/<split>annot`` by file stem."""
    frames = root / split
    return _pairs(frames, _images(frames), _images(root / f'{split}annot'), _stem, _stem)


def _camvid_original_pairs(root: Path, split: str) -> tuple[tuple[Path, Path], ...] | None:
    """Find the original frames with their ``*_L.png`` labels; None if this is another layout."""
    for labels in (root / f'{split}_labels', root / f'{split}annot'):
        if labels.is_dir() and any(labels.glob('*_L.png')):
            frames = root / split
            return _pairs(frames, _images(frames), _images(labels), _stem, _color_stem)
    frames, labels = root / '701_StillsRaw_full', root / 'LabeledApproved_full'
    if not frames.is_dir():
        return None
    stills = _images(frames)
    wanted = _split_list(root / f'{split}.txt', stills)
    return _pairs(frames, [p for p in stills if p.stem in wanted],
                  [p for p in _images(labels) if _color_stem(p) in wanted], _stem, _color_stem)


def _color_stem(path: Path) -> str:
    return path.stem.removesuffix('_L')


def _split_list(path: Path, frames: Sequence[Path]) -> set[str]:
    """Read the stems of a split: one name of a frame or of its label a line, the first word of it.

    Raises:
        DatasetError: unreadable or empty, or names without a frame.
    """
    try:
        lines = path.read_text().split('\n')
    except OSError as error:
        raise DatasetError(f'{path}: unreadable ({error.strerror}); the original CamVid layout '
                           'wants the frame names of the split there, one a line') from error
    names = [line.split()[0] for line in lines if line.strip()]
    if not names:
        raise DatasetError(f'{path}: empty, wanted the frame names of the split, one a line')
    there = {frame.stem for frame in frames}
    _raise_problems(str(path), [f'{name}: no such frame in {frames[0].parent}' for name in names
                                if _color_stem(Path(name)) not in there])
    return {_color_stem(Path(name)) for name in names}


def camvid(root: Path, split: str) -> SegmentationData:
    """Open CamVid: eleven classes at 480x360, or the original 960x720 with colour labels."""
    class_map = ClassMap.from_names(CAMVID_NAMES)
    pairs = _camvid_original_pairs(root, split)
    if pairs is not None:
        ids = {name: i for i, name in enumerate(CAMVID_NAMES)}
        colors = [(ids.get(name, IGNORE), group) for name, group in CAMVID_COLORS.items()]
        return SegmentationData('camvid', split, class_map, pairs, color_decoder(colors))
    decode = id_decoder({**{i: i for i in range(11)}, 11: IGNORE, IGNORE: IGNORE})
    return SegmentationData('camvid', split, class_map, _folder_pairs(root, split), decode)


def cityscapes(root: Path, split: str) -> SegmentationData:
    """Open Cityscapes: leftImg8bit and gtFine labelIds, mapped to the 19 train ids."""
    frames = sorted((root / 'leftImg8bit' / split).glob('*/*_leftImg8bit.png'))
    labels = sorted((root / 'gtFine' / split).glob('*/*_gtFine_labelIds.png'))
    if not frames or not labels:
        raise DatasetError(f'{root}: {len(frames)} leftImg8bit/{split}/*/*_leftImg8bit.png and '
                           f'{len(labels)} gtFine/{split}/*/*_gtFine_labelIds.png')
    pairs = _pairs(root, frames, labels, lambda p: p.name.removesuffix('_leftImg8bit.png'),
                   lambda p: p.name.removesuffix('_gtFine_labelIds.png'))
    ids = {**{i: IGNORE for i in range(34)}, IGNORE: IGNORE,
           **{stored: i for i, stored in enumerate(CITYSCAPES_IDS)}}
    class_map = ClassMap.from_names(CITYSCAPES_NAMES, ('road',))
    return SegmentationData('cityscapes', split, class_map, pairs, id_decoder(ids))


def sunrgbd(root: Path, split: str) -> SegmentationData:
    """Open SUN RGB-D: 37 indoor classes, stored as 1..37 with 0 = void; the floor is drivable."""
    ids = {0: IGNORE, **{i + 1: i for i in range(len(SUNRGBD_NAMES))}}
    class_map = ClassMap.from_names(SUNRGBD_NAMES, ('floor',))
    return SegmentationData('sunrgbd', split, class_map, _folder_pairs(root, split),
                            id_decoder(ids))


def folders(root: Path, split: str, classes: Path | None = None) -> SegmentationData:
    """Open a pair of folders, ``<root>/<split>`` and ``<root>/<split>annot``.

    Classes that mean "not labelled" become 255, as the segmenter publishes them.

    Args:
        root: holds the folders.
        split: 'train', 'val', …
        classes: the class file; default the classes.yaml, classes.yml or classes.json in root.
    """
    class_map = read_classes(classes or _find_classes(root))
    ids = {**{i: IGNORE if unlabeled else i for i, unlabeled in enumerate(class_map.unlabeled)},
           IGNORE: IGNORE}
    return SegmentationData('folders', split, class_map, _folder_pairs(root, split),
                            id_decoder(ids))


def _find_classes(root: Path) -> Path:
    for name in ('classes.yaml', 'classes.yml', 'classes.json'):
        if (root / name).is_file():
            return root / name
    raise DatasetError(f'{root}: no classes.yaml and no classes.json; wanted a list of '
                       '{name, color, drivable}, in id order')


def read_classes(path: Path) -> ClassMap:
    """Read a class file: YAML or JSON, a list of classes in the order of their ids.

    Each entry has ``name``, and optionally ``color: [r, g, b]`` and ``drivable: true``.

    Raises:
        DatasetError: unreadable, or an entry that says something else.
    """
    entries = _parse(path)
    if not isinstance(entries, list) or not entries:
        raise DatasetError(f'{path}: wanted a list of {{name, color, drivable}}')
    for entry in entries:
        if not _is_class(entry):
            raise DatasetError(f'{path}: entry {entry!r}, wanted name (text), and optionally '
                               'color ([r, g, b]) and drivable (true or false)')
    names = [entry['name'] for entry in entries]
    colors = [tuple(entry['color']) if 'color' in entry else None for entry in entries]
    try:
        if not any(colors):
            colors = ClassMap.from_names(names).colors
        spare = iter(distinct_colors(len(names), [color for color in colors if color]))
        return ClassMap(tuple(names), tuple(color or next(spare) for color in colors),
                        tuple(entry.get('drivable', False) for entry in entries)).checked()
    except ClassMapError as error:
        raise DatasetError(f'{path}: {error}') from error


def _is_class(entry) -> bool:
    """Return whether an entry of a class file says what it may."""
    return (isinstance(entry, dict) and entry.keys() <= {'name', 'color', 'drivable'}
            and isinstance(entry.get('name'), str)
            and isinstance(entry.get('color', []), list)
            and isinstance(entry.get('drivable', False), bool))


def _parse(path: Path):
    """Parse a YAML or JSON file."""
    try:
        text = path.read_text()
        if path.suffix == '.json':
            return json.loads(text)
        import yaml
        return yaml.safe_load(text)
    except OSError as error:
        raise DatasetError(f'{path}: {error.strerror}') from error
    except ImportError as error:
        raise DatasetError(f'{path}: YAML needs pip install pyyaml; or write JSON') from error
    except Exception as error:
        raise DatasetError(f'{path}: cannot be parsed: {error}') from error


DATASETS = {'camvid': camvid, 'cityscapes': cityscapes, 'sunrgbd': sunrgbd, 'folders': folders}


def open_dataset(name: str, root: str | Path, split: str,
                 classes: str | Path | None = None) -> SegmentationData:
    """Open a split of a data set, without reading its images yet.

    Args:
        name: a key of ``DATASETS``.
        root: folder of the data set.
        split: 'train', 'val' or 'test'.
        classes: a class file, for 'folders' alone.

    Raises:
        DatasetError: the name or the folder is unknown, or frames and labels do not pair.
    """
    if name not in DATASETS:
        raise DatasetError(f"data set '{name}', wanted one of {', '.join(DATASETS)}")
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DatasetError(f'{root}: no such folder')
    if name == 'folders':
        return folders(root, split, Path(classes) if classes else None)
    return DATASETS[name](root, split)
