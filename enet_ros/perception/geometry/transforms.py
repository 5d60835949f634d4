"""Transforms between frames: the rules that TF and recordings share."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from enet_ros.perception.message_types import Stamp

#: Greatest time between a frame and the newest transform, if TF does not know the frame's time.
#: An older transform says where the vehicle was, not where it is.
MAX_TRANSFORM_AGE_SEC = 0.5
#: A transform serves a later frame only if it changed by no more in as long a time before, and in
#: half of it, since what swings comes back. Both move what is 10 m away by 0.05 m, half a
#: cell of ~/grid.
MAX_MOVE_M = 0.05
MAX_ROTATION_RAD = 0.005


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

    def lookup(self, target: str, source: str, stamp: Stamp, wait_sec: float = 0.0) -> Transform:
        """Return the transform from source to target; LookupError if unknown.

        A live source may wait so long for it.
        """


def times_before(newest_ns: int, frame_ns: int) -> tuple[int, int]:
    """Return when the newest transform must have been the same to serve a later frame."""
    lag_ns = frame_ns - newest_ns
    return newest_ns - lag_ns // 2, newest_ns - lag_ns


def is_same(newest: Transform, earlier: Transform) -> bool:
    """Tell whether a transform hardly changed."""
    if math.dist(newest.translation, earlier.translation) > MAX_MOVE_M:
        return False
    lengths = math.hypot(*newest.quaternion) * math.hypot(*earlier.quaternion)
    cosine = abs(sum(a * b for a, b in zip(newest.quaternion, earlier.quaternion)))
    return cosine >= math.cos(MAX_ROTATION_RAD / 2) * lengths  # Quaternions have half the angle.


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
