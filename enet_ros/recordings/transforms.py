"""Transforms of a recording: where one frame is in another, at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import hypot, isfinite

import numpy as np

from enet_ros.perception.geometry.pose import quaternion_matrix
from enet_ros.perception.geometry.transforms import Transform, frame_names
from enet_ros.perception.message_types import Stamp
from enet_ros.perception.stamps import StampError, ns_of_stamp
from enet_ros.recordings.epochs import Epochs
from enet_ros.recordings.transform_history import Placement, StaticHistory, TransformHistory

#: Between these, a quaternion has a direction in float64. Its length should be 1.
QUATERNION_LENGTHS = 1e-6, 1e6


@dataclass
class _Way:
    """The way from a frame to the root of its tree.

    Attributes:
        frames: The frame, its parent, and so on.
        values: Transform of each frame but the last in the next, (7,) each.
        error: Why the way ends before the root, or None.
    """

    frames: list[str]
    values: list[np.ndarray] = field(default_factory=list)
    error: LookupError | None = None


class RecordedTransforms:
    """Looks up the transforms of a recording, or of one namespace of it.

    As the buffer of tf2 is cleared when time jumps back, the transforms of moving frames count
    within an epoch alone. Static ones stay.

    Args:
        missing: What the recording lacks if there will be none, such as 'no transforms'.

    Attributes:
        now_ns: Time of recording of the frame whose transforms are asked for.
    """

    def __init__(self, missing: str = ''):
        self.now_ns, self.missing = 0, missing
        self._moving: dict[str, TransformHistory] = {}
        self._static: dict[str, StaticHistory] = {}
        self._names: dict[str, str] = {}
        self._epochs: Epochs | None = None

    def __len__(self) -> int:
        return len(self._moving.keys() | self._static.keys())

    def add(self, transforms: Iterable, *, is_static: bool, recorded_ns: int = 0) -> None:
        """Add the transforms of a tf2_msgs/TFMessage, in the order of recording.

        One that is no number is left out, as is one whose quaternion has no direction, or whose
        stamp is no time.
        """
        self._epochs = None
        for stamped in transforms:
            move, turn = stamped.transform.translation, stamped.transform.rotation
            values = (move.x, move.y, move.z, turn.x, turn.y, turn.z, turn.w)
            child, parent = (name.lstrip('/') for name in (stamped.child_frame_id,
                                                           stamped.header.frame_id))
            if not all(map(isfinite, values)) or not child or not parent \
                    or not QUATERNION_LENGTHS[0] < hypot(*values[3:]) < QUATERNION_LENGTHS[1]:
                continue
            try:
                stamp_ns = 0 if is_static else ns_of_stamp(stamped.header.stamp)
            except StampError:
                continue
            child, parent = (self._names.setdefault(name, name) for name in (child, parent))
            if is_static:
                self._static.setdefault(child, StaticHistory()).add(parent, values, recorded_ns)
                continue
            if child not in self._moving:
                self._moving[child] = TransformHistory()
            self._moving[child].add(parent, stamp_ns, values, recorded_ns)

    @property
    def epochs(self) -> Epochs:
        """The epochs of what has been added."""
        if self._epochs is None:
            self._epochs = Epochs(self._moving)
        return self._epochs

    def lookup(self, target: str, source: str, stamp: Stamp, wait_sec: float = 0.0) -> Transform:
        """Return the transform from source to target.

        Args:
            target: Frame to transform into.
            source: Frame to transform from.
            stamp: Time of the transform.
            wait_sec: Not used, since all transforms have been read.

        Raises:
            LookupError: The recording has no such transform at that time.
        """
        if self.missing:
            raise LookupError(f'the recording has {self.missing}')
        target, source = frame_names(target, source)
        stamp_ns = ns_of_stamp(stamp)
        epoch = self.epochs.of_frame(stamp_ns, self.now_ns)
        up, down = (self._way(frame, stamp_ns, epoch) for frame in (source, target))
        common = next((frame for frame in up.frames if frame in down.frames), None)
        if common is None:
            raise (up.error or down.error or LookupError(
                f'the recording has no transform from {source} to {target}; its frames are '
                f'{", ".join(sorted(self._names)) or "none"}'))
        matrix = np.linalg.inv(_chain(down.values[:down.frames.index(common)])) \
            @ _chain(up.values[:up.frames.index(common)])
        return Transform(tuple(matrix[:3, 3].tolist()), _quaternion(matrix[:3, :3]))

    def _way(self, source: str, stamp_ns: int, epoch: int) -> _Way:
        """Return the way from a frame to the root, at a time."""
        way = _Way([source])
        while True:
            frame = way.frames[-1]
            try:
                placement = self._placement(frame, stamp_ns, epoch)
            except LookupError as error:
                way.error = LookupError(f'the transform of {frame}, on the way from {source}, '
                                        f'{error}')
                return way
            if placement is None or placement[0] in way.frames:
                return way
            way.frames.append(placement[0])
            way.values.append(placement[1])

    def _placement(self, frame: str, stamp_ns: int, epoch: int) -> Placement | None:
        """Return where a frame is in its parent, or None for a root.

        Where a frame has both kinds of transforms, the static ones count while no other is near.
        """
        moving, static = self._moving.get(frame), self._static.get(frame)
        try:
            if moving is not None:
                return moving.at(stamp_ns, epoch, self.now_ns)
        except LookupError:
            if static is None:
                raise
        return None if static is None else static.at(self.now_ns)


def _chain(values: Sequence[np.ndarray]) -> np.ndarray:
    """Return the (4, 4) matrix of transforms one after the other."""
    matrix = np.eye(4)
    for each in values:
        matrix = _matrix(each) @ matrix
    return matrix


def _matrix(values: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = quaternion_matrix(values[3:]), values[:3]
    return matrix


def _quaternion(rotation_matrix: np.ndarray) -> tuple[float, float, float, float]:
    """Return a rotation matrix as x y z w: the eigenvector of its greatest symmetric form."""
    (a, b, c), (d, e, f), (g, h, i) = rotation_matrix
    form = np.array([[a - e - i, b + d, c + g, h - f], [b + d, e - a - i, f + h, c - g],
                     [c + g, f + h, i - a - e, d - b], [h - f, c - g, d - b, a + e + i]])
    return tuple(np.linalg.eigh(form)[1][:, -1].tolist())
