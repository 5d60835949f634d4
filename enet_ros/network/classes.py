"""The classes of CamVid, Cityscapes and SUN RGB-D: names, label values and colors.

Colors are RGB, 0 to 255. Class ids are positions in the tuples of names.
"""

from __future__ import annotations

from typing import NamedTuple

from enet_ros.network.class_names import color_key

Color = tuple[int, int, int]

#: Class name -> color in the overlay. They are CamVid's label colors, except for 'Pavement'.
CAMVID_PALETTE: dict[str, Color] = {
    'Sky': (128, 128, 128), 'Building': (128, 0, 0), 'Pole': (192, 192, 128),
    'Road': (128, 64, 128), 'Pavement': (60, 40, 222), 'Tree': (128, 128, 0),
    'SignSymbol': (192, 128, 128), 'Fence': (64, 64, 128), 'Car': (64, 0, 128),
    'Pedestrian': (64, 64, 0), 'Bicyclist': (0, 128, 192),
}
CAMVID_NAMES = tuple(CAMVID_PALETTE)

#: Class name -> colors of the original CamVid labels that belong to the class: 32 in all.
CAMVID_LABEL_COLORS: dict[str, list[Color]] = {
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


class CityscapesClass(NamedTuple):
    """A class of Cityscapes that is trained.

    Attributes:
        name: Its name in cityscapesScripts.
        label_id: Its value in the label files ``gtFine_labelIds``.
        color: Its color in cityscapesScripts.
    """

    name: str
    label_id: int
    color: Color


#: In the order of the train ids of cityscapesScripts.
CITYSCAPES = (
    CityscapesClass('road', 7, (128, 64, 128)),
    CityscapesClass('sidewalk', 8, (244, 35, 232)),
    CityscapesClass('building', 11, (70, 70, 70)),
    CityscapesClass('wall', 12, (102, 102, 156)),
    CityscapesClass('fence', 13, (190, 153, 153)),
    CityscapesClass('pole', 17, (153, 153, 153)),
    CityscapesClass('traffic light', 19, (250, 170, 30)),
    CityscapesClass('traffic sign', 20, (220, 220, 0)),
    CityscapesClass('vegetation', 21, (107, 142, 35)),
    CityscapesClass('terrain', 22, (152, 251, 152)),
    CityscapesClass('sky', 23, (70, 130, 180)),
    CityscapesClass('person', 24, (220, 20, 60)),
    CityscapesClass('rider', 25, (255, 0, 0)),
    CityscapesClass('car', 26, (0, 0, 142)),
    CityscapesClass('truck', 27, (0, 0, 70)),
    CityscapesClass('bus', 28, (0, 60, 100)),
    CityscapesClass('train', 31, (0, 80, 100)),
    CityscapesClass('motorcycle', 32, (0, 0, 230)),
    CityscapesClass('bicycle', 33, (119, 11, 32)),
)
CITYSCAPES_NAMES = tuple(item.name for item in CITYSCAPES)
CITYSCAPES_LABEL_IDS = tuple(item.label_id for item in CITYSCAPES)

#: Class names of SUN RGB-D. Its label files hold the class id plus 1, and 0 for void.
SUNRGBD_NAMES = (
    'wall', 'floor', 'cabinet', 'bed', 'chair', 'sofa', 'table', 'door', 'window', 'bookshelf',
    'picture', 'counter', 'blinds', 'desk', 'shelves', 'curtain', 'dresser', 'pillow', 'mirror',
    'floor mat', 'clothes', 'ceiling', 'books', 'fridge', 'tv', 'paper', 'towel',
    'shower curtain', 'box', 'whiteboard', 'person', 'night stand', 'toilet', 'sink', 'lamp',
    'bathtub', 'bag')

#: Colors by :func:`color_key` of class names. CamVid's stand before those of Cityscapes.
WELL_KNOWN_COLORS = {
    **{color_key(item.name): item.color for item in CITYSCAPES},
    **{color_key(name): color for name, color in CAMVID_PALETTE.items()},
}
