"""Types and definitions of messages, without ROS: those of rosbags, ours and vision_msgs'."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

_FOLDER = Path(__file__).resolve().parent / 'definitions'
#: Type -> file in ``definitions``. Ours are those of msg/; a test compares them. The fields of
#: vision_msgs are those of its release 4.
OWN_TYPES = {'enet_ros/msg/DrivableArea': 'DrivableArea.msg',
             'enet_ros/msg/FrameTiming': 'FrameTiming.msg',
             'vision_msgs/msg/VisionClass': 'VisionClass.msg',
             'vision_msgs/msg/LabelInfo': 'LabelInfo.msg'}


def typestore() -> Typestore:
    """Return the types of ROS 2 Jazzy, ours and those of ``~/label_info``."""
    return _typestore_of('jazzy')


@cache
def _typestore_of(distribution: str) -> Typestore:
    store = get_typestore(Stores(f'ros2_{distribution}'))
    types = {}
    for name, file in OWN_TYPES.items():
        types.update(get_types_from_msg((_FOLDER / file).read_text(), name))
    store.register(types)
    return store


def definition_of(type_name: str, distribution: str = 'jazzy') -> tuple[str, str]:
    """Return the definition of a type with all that it holds, and its RIHS01 hash.

    Args:
        type_name: Such as 'sensor_msgs/msg/Image'.
        distribution: Name of the distribution whose definition it is.

    Returns:
        Both empty if the type is not known, or if the distribution is not and the definition
        differs between Humble and Jazzy.
    """
    if f'ros2_{distribution}' not in {store.value for store in Stores}:
        definition = definition_of(type_name)
        return definition if definition == definition_of(type_name, 'humble') else ('', '')
    store = _typestore_of(distribution)
    if type_name not in store.types:
        return '', ''
    return store.generate_msgdef(type_name, ros_version=2)[0], store.hash_rihs01(type_name)
