"""Checks for labels that can be read and yet mean something else: masks, and train ids.

A check must not report correct labels. A single image says little,
so the values of a whole split are looked at together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from enet_ros.network.class_map import UNKNOWN
from enet_ros.training.label_images import HOW_TO_CONVERT

#: Returns what is wrong with the labels of a split, or ''. It is given the pixels of each value in
#: each label image, (N, 256) int64.
LabelCheck = Callable[[np.ndarray], str]

#: Values of Cityscapes: the road as label id, and as train id.
ROAD_LABEL_ID, ROAD_TRAIN_ID = 7, 0
TRAIN_IDS = 19  # 0 to 18; label ids go to 33
#: Train ids of what nearly every street shows: road, sidewalk, building, vegetation, sky, car. As
#: label ids they are the car's own bonnet, the image border, rails and fences.
COMMON_TRAIN_IDS = (0, 1, 2, 8, 10, 13)
COMMON_ENOUGH = 4
#: Some images of train ids among many of label ids: so many, and this share, are no accident.
MIXED_IMAGES, MIXED_SHARE = 3, 0.1


def check_not_masks(names: Sequence[str], counts: np.ndarray) -> str:
    """Check that labels are no masks of 0 and 255, of which 255 would not count.

    Args:
        names: Names of the classes, in id order.
        counts: Pixels of each value in each label image, (N, 256) int64.

    Returns:
        What is wrong, or ''.
    """
    values = np.flatnonzero(counts.sum(axis=0))
    if len(names) < 2 or values.tolist() != [0, UNKNOWN]:
        return ''
    return (f"its labels hold only 0 and 255, so they are masks; here 0 is '{names[0]}', and "
            f"255 means not labeled, so nothing but '{names[0]}' would count. Write 1 for "
            f"255 where that is '{names[1]}'; {HOW_TO_CONVERT}")


def check_not_train_ids(counts: np.ndarray) -> str:
    """Check that label images of Cityscapes hold label ids and no train ids (a `LabelCheck`)."""
    suspects = np.flatnonzero([_are_train_ids(image) for image in counts])
    mixed = len(suspects) >= max(MIXED_IMAGES, MIXED_SHARE * len(counts))
    if not _are_train_ids(counts.sum(axis=0)) and not mixed:
        return ''
    return (f'its labels hold train ids, 0 to {TRAIN_IDS - 1} and 255, where label ids, 0 to 33, '
            f'are wanted: {max(1, len(suspects))} of {len(counts)} images show no value above '
            f'{TRAIN_IDS - 1}, but those of a street in train ids. Take the *_gtFine_labelIds.png '
            'of Cityscapes. Labels in train ids can be trained with --dataset folders and a '
            'class file of the 19 classes')


def _are_train_ids(counts: np.ndarray) -> bool:
    """Tell whether the pixels of each value, (256,), are those of train ids.

    Label ids nearly always hold vegetation (21), sky (23), poles' signs (20) or cars (26). A data
    set with a few classes of its own in label ids shows the road as 7, or few of the values that
    are common in train ids.
    """
    if counts[TRAIN_IDS:UNKNOWN].any() or counts[ROAD_LABEL_ID] > counts[ROAD_TRAIN_ID]:
        return False
    return sum(counts[value] > 0 for value in COMMON_TRAIN_IDS) >= COMMON_ENOUGH
