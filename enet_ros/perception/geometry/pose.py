"""Where a camera is: its optical frame in the base frame. Arrays only.

The base frame is that of REP 103: x forward, y left, z up, in meters, with the ground at z = 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

#: Optical axes (right, down, forward) in the axes of the camera's body (forward, left, up).
BODY_FROM_OPTICAL = np.array([[0., 0., 1.], [-1., 0., 0.], [0., -1., 0.]])
#: Poses this near are one. For a camera 1 m high it is about 1 cm of the ground 10 m away.
NEAR_M, NEAR_RAD = 5e-4, 1e-4


@dataclass(frozen=True)
class Pose:
    """Where a camera's optical frame is in the base frame.

    Attributes:
        rotation: 9 values, row by row, of the matrix that takes optical axes to base axes.
        position: x, y and z of the camera, in meters. z is above 0.

    Raises:
        ValueError: A value is not finite, the matrix is not a rotation, or the camera is not above
            the ground.
    """

    rotation: Sequence[float]
    position: Sequence[float]

    def __post_init__(self):
        """Check the fields. They become tuples, so that poses compare and hash."""
        object.__setattr__(self, 'rotation', finite_values('rotation', self.rotation, 9))
        object.__setattr__(self, 'position', finite_values('position', self.position, 3))
        matrix = self.rotation_matrix
        if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-4) \
                or np.linalg.det(matrix) < 0.:
            raise ValueError(f'rotation is {list(self.rotation)}, wanted a rotation matrix')
        if not self.position[2] > 0.:
            raise ValueError(f'the camera is {self.position[2]:g} m above the ground, wanted '
                             'more than 0: the origin of base_frame lies on the ground, and the '
                             'frame of the image is that of the camera')

    @classmethod
    def from_mount(cls, height_m: float, pitch_rad: float = 0., roll_rad: float = 0.,
                   yaw_rad: float = 0., x_m: float = 0., y_m: float = 0.) -> Pose:
        """Return the pose of a camera that looks forward, then is rotated about fixed axes.

        The order is that of URDF and REP 103: roll about x, pitch about y, yaw about z.

        Args:
            height_m: Height of the camera above the ground.
            pitch_rad: Pitch. A camera with a positive pitch looks down.
            roll_rad: Roll. A camera with a positive roll has its right side down.
            yaw_rad: Yaw. A camera with a positive yaw looks to the left.
            x_m: Position in front of the origin of the base frame.
            y_m: Position to the left of the origin of the base frame.
        """
        body = (rotation_about('z', yaw_rad) @ rotation_about('y', pitch_rad)
                @ rotation_about('x', roll_rad))
        return cls((body @ BODY_FROM_OPTICAL).ravel(), (x_m, y_m, height_m))

    @classmethod
    def from_quaternion(cls, translation: Sequence[float], quaternion: Sequence[float]) -> Pose:
        """Return the pose of a geometry_msgs/Transform: x y z in meters, and x y z w."""
        x, y, z, w = finite_values('rotation', quaternion, 4)
        if not any((x, y, z, w)):
            raise ValueError('rotation is all zero, wanted a quaternion x y z w')
        return cls(quaternion_matrix((x, y, z, w)).ravel(), translation)

    def is_near(self, other: Pose) -> bool:
        """Tell whether only the rounding of transforms lies between two poses."""
        # Rotations by an angle differ by its sqrt(2) as 9 values.
        return (math.dist(self.position, other.position) <= NEAR_M
                and math.dist(self.rotation, other.rotation) <= math.sqrt(2.) * NEAR_RAD)

    @property
    def rotation_matrix(self) -> np.ndarray:
        """Return the rotation as (3, 3) float64."""
        return np.reshape(self.rotation, (3, 3))


def finite_values(name: str, values: Sequence[float], count: int | None) -> tuple[float, ...]:
    """Return values as a flat tuple.

    Args:
        name: Name of the values in messages.
        values: Numbers in any shape.
        count: Number of values that there must be, or None for any.

    Raises:
        ValueError: There is another number of values, or one is not finite.
    """
    flat = tuple(np.asarray(values, float).ravel().tolist())
    if count is not None and len(flat) != count:
        raise ValueError(f'{name} has {len(flat)} values, wanted {count}')
    if not all(map(math.isfinite, flat)):
        raise ValueError(f'{name} is {list(flat)}, wanted finite numbers')
    return flat


def quaternion_matrix(quaternion: Sequence[float]) -> np.ndarray:
    """Return the (3, 3) rotation of a quaternion x, y, z, w of any length above 0."""
    x, y, z, w = np.array(quaternion) / math.hypot(*quaternion)
    cross = np.array([[0., -z, y], [z, 0., -x], [-y, x, 0.]])
    return np.eye(3) + 2. * w * cross + 2. * cross @ cross


def yaw_of(quaternion: Sequence[float]) -> float:
    """Return the heading of a quaternion x, y, z, w, in radians."""
    x, y, z, w = quaternion
    return math.atan2(2. * (w * z + x * y), 1. - 2. * (y * y + z * z))


def rotation_about(axis: str, angle_rad: float) -> np.ndarray:
    """Return the (3, 3) right-handed rotation by an angle about 'x', 'y' or 'z'."""
    vector = np.zeros(3)
    vector['xyz'.index(axis)] = angle_rad
    return cv2.Rodrigues(vector)[0]
