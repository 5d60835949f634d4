"""Two data sets of roads with coarse labels: IDD-Lite and LUMS, in the classes of CamVid.

Frames and label images lie beside each other in one folder. A label from 0 to 10 is a class of
CamVid, 11 is void, and a label from 12 on says that the pixel is one of several classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.training.label_sets import LabelSets
from enet_ros.training.labeled_frames import DatasetError, SegmentationData, id_decoder

#: Name of each set -> its classes, in the order of the label values from 12 on.
COARSE_SETS = {
    'IDD non-drivable': ('Pavement', 'Tree'),
    'IDD living things': ('Pedestrian', 'Bicyclist'),
    'IDD vehicles': ('Car', 'Bicyclist'),
    'IDD roadside objects': ('Building', 'Pole', 'Pavement', 'SignSymbol', 'Fence'),
    'IDD far objects': ('Building', 'Tree'),
    'LUMS background': tuple(name for name in CAMVID_NAMES if name not in ('Road', 'Pavement')),
    'LUMS obstacle': ('Pole', 'SignSymbol', 'Fence', 'Car', 'Pedestrian', 'Bicyclist'),
}
FIRST_SET_VALUE = len(CAMVID_NAMES) + 1  # 11 is void

#: A sequence of neighboring frames is trained on or held out as a whole. IDD-Lite's names begin
#: with the number of the drive. LUMS' numbers count the frames, and a frame's augmented twin has
#: the same number.
IDD_DRIVE = re.compile(r'(\d+)_')
LUMS_FRAME = re.compile(r'color_(\d+)_')
LUMS_BLOCK = 30  # frames


def _is_held_out_drive(drive: int) -> bool:
    return drive % 6 == 5


def _is_held_out_frame(frame: int) -> bool:
    return frame // LUMS_BLOCK % 5 == 4


def idd_lite(root: Path, split: str) -> SegmentationData:
    """Open IDD-Lite's training frames. The split 'val' is every sixth drive."""
    return _open('idd_lite', root, split, IDD_DRIVE, _is_held_out_drive)


def lums(root: Path, split: str) -> SegmentationData:
    """Open the LUMS road data set. The split 'val' is every fifth block of 30 frames."""
    return _open('lums', root, split, LUMS_FRAME, _is_held_out_frame)


def _open(name: str, root: Path, split: str, pattern: re.Pattern,
          is_held_out: Callable[[int], bool]) -> SegmentationData:
    """Open the frames of a folder that belong to a split.

    Args:
        name: Name of the data set.
        root: Folder of ``*.jpg`` frames and ``*.png`` labels of the same stems.
        split: 'train' or 'val'.
        pattern: Finds the number of the sequence in a file's name.
        is_held_out: Whether a number belongs to 'val'.

    Raises:
        DatasetError: There are no such frames. A frame without labels is found when it is read.
    """
    if split not in ('train', 'val'):
        raise DatasetError(f"{name} has no split '{split}', wanted train or val: val is held out "
                           'of its training frames by sequence')
    pairs = []
    for frame in sorted(root.glob('*.jpg')):
        number = pattern.match(frame.name)
        if number and is_held_out(int(number[1])) == (split == 'val'):
            pairs.append((frame, frame.with_suffix('.png')))
    if not pairs:
        raise DatasetError(f'{root}: no frames of {name}, wanted *.jpg beside *.png')
    class_map = ClassMap.from_names(CAMVID_NAMES)
    sets = LabelSets.of(class_map, COARSE_SETS)
    ids = {**{i: i for i in range(len(class_map))}, len(class_map): UNKNOWN, UNKNOWN: UNKNOWN,
           **{FIRST_SET_VALUE + i: len(class_map) + i for i in range(len(sets))}}
    return SegmentationData(name, split, class_map, tuple(pairs), id_decoder(ids), sets)
