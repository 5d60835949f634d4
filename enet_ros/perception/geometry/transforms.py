"""Transforms between frames: the rules that TF and recordings share."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from enet_ros.perception.message_types import Stamp

#: Greatest time between a frame and the newest transform, if TF does not know the frame's time.
#: An older transform says where the vehicle was, not where it is.
MAX_TRANSFORM_AGE_SEC = 0.5


class Transform(NamedTuple):
    """Where one frame is in another, as in geometry_msgs/Transform.

    Attributes:
        translation: x, y and z in meters.
        quaternion: x, y, z and w of the rotation.
    """

    translation: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]


class Transforms(Protocol):
    """A source of transforms, such as TF."""

    def lookup(self, target: str, source: str, stamp: Stamp) -> Transform:
        """Return the transform from source to target; LookupError if unknown."""


def frame_names(target: str, source: str) -> tuple[str, str]:
    """Return the names of two frames as TF2 has them, without a slash before them.

    Args:
        target: Frame to transform into.
        source: Frame to transform from, such as that of an image.

    Raises:
        LookupError: The source has no name.
    """
    if not source.lstrip('/'):
        raise LookupError('the header of the image has an empty frame_id, wanted the optical '
                          'frame of the camera')
    return target.lstrip('/'), source.lstrip('/')
