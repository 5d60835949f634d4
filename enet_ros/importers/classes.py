"""Class names for weights that hold none."""

from __future__ import annotations

from pathlib import Path

from enet_ros.network.checkpoint import CheckpointError
from enet_ros.network.class_map import CAMVID_NAMES, ClassMap, ClassMapError

#: Cityscapes' train classes with the colours of cityscapesScripts, as the authors' model and
#: PyTorch-ENet order them: Unlabeled comes first.
CITYSCAPES_COLORS = {
    'Unlabeled': (0, 0, 0), 'Road': (128, 64, 128), 'Sidewalk': (244, 35, 232),
    'Building': (70, 70, 70), 'Wall': (102, 102, 156), 'Fence': (190, 153, 153),
    'Pole': (153, 153, 153), 'TrafficLight': (250, 170, 30), 'TrafficSign': (220, 220, 0),
    'Vegetation': (107, 142, 35), 'Terrain': (152, 251, 152), 'Sky': (70, 130, 180),
    'Person': (220, 20, 60), 'Rider': (255, 0, 0), 'Car': (0, 0, 142), 'Truck': (0, 0, 70),
    'Bus': (0, 60, 100), 'Train': (0, 80, 100), 'Motorcycle': (0, 0, 230),
    'Bicycle': (119, 11, 32),
}

DRIVABLE = 'Road'


def default_classes(count: int) -> ClassMap:
    """Return the class map of weights by their number of classes. Only the road is drivable.

    20 classes are those of Cityscapes. 12 and 11 are those of CamVid with and without Unlabeled.

    Args:
        count: number of classes.

    Raises:
        CheckpointError: the number is another; the message says what to do.
    """
    if count == len(CITYSCAPES_COLORS):
        return ClassMap(tuple(CITYSCAPES_COLORS), tuple(CITYSCAPES_COLORS.values()),
                        tuple(name == DRIVABLE for name in CITYSCAPES_COLORS)).checked()
    if count in (len(CAMVID_NAMES), len(CAMVID_NAMES) + 1):
        return ClassMap.from_names((*CAMVID_NAMES, 'Unlabeled')[:count], (DRIVABLE,))
    raise CheckpointError(f'it has {count} classes: say which with --classes FILE')


def read_class_names(path: Path) -> ClassMap:
    """Read a class file.

    Args:
        path: a .yaml, .yml or .json file with a list of {name, color, drivable}, as for training
            on folders; or a text file with a name a line, of which 'Road' is drivable.

    Raises:
        ValueError: the file cannot be read or holds no class map; the message names it.
    """
    if path.suffix in ('.yaml', '.yml', '.json'):
        from enet_ros.training.datasets import read_classes
        return read_classes(path)
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
        return ClassMap.from_names([line.strip() for line in lines if line.strip()], (DRIVABLE,))
    except OSError as error:
        raise CheckpointError(f'{path}: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f'{path}: no text: {error}') from error
    except ClassMapError as error:
        raise CheckpointError(f'{path}: {error}') from error
