"""Transforms of a recording: where one frame is in another, at a time."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

import numpy as np

from enet_ros.perception.frame import Stamp

#: As of the live node: an older transform says where the vehicle was, not where it is.
MAX_TRANSFORM_AGE_SEC = 0.5


class TransformHistory:
    """Where a frame is in its parent, over time."""

    def __init__(self, parent: str, *, is_static: bool):
        self.parent, self.is_static = parent, is_static
        self._stamps_ns: list[int] = []
        self._values: list[tuple[float, ...]] = []  # x y z of the position, x y z w
        self._recorded_ns: list[int] = []
        self._newest: list[tuple[float, ...]] = []  # of all that were recorded by then

    def add(self, stamp_ns: int, values: tuple[float, ...], recorded_ns: int = 0) -> None:
        """Add a transform. The newest of a static one counts."""
        if self.is_static:
            self._stamps_ns, self._values = [stamp_ns], [values]
            return
        at = bisect.bisect_right(self._stamps_ns, stamp_ns)
        self._stamps_ns.insert(at, stamp_ns)
        self._values.insert(at, values)
        self._recorded_ns.append(recorded_ns)
        self._newest.append(self._values[-1])

    def at(self, stamp_ns: int, now_ns: int = 0) -> np.ndarray:
        """Return the transform at a time: position x y z, then quaternion x y z w, (7,).

        Args:
            stamp_ns: The time. 0 stands for the newest transform, as in tf2.
            now_ns: Time of recording, by which that one must have been recorded.

        Raises:
            LookupError: The nearest transform is too far from that time.
        """
        if self.is_static:
            return np.array(self._values[-1])
        if stamp_ns == 0:
            count = bisect.bisect_right(self._recorded_ns, now_ns)
            if count == 0:
                raise LookupError('had not been recorded yet')
            return np.array(self._newest[count - 1])
        after = bisect.bisect_left(self._stamps_ns, stamp_ns)
        before = max(after - 1, 0)
        after = min(after, len(self._stamps_ns) - 1)
        first, last = self._stamps_ns[before], self._stamps_ns[after]
        age_sec = min(abs(stamp_ns - first), abs(stamp_ns - last)) / 1e9
        if age_sec > MAX_TRANSFORM_AGE_SEC:
            raise LookupError(f'is {age_sec:.1f} s from the frame, wanted at most '
                              f'{MAX_TRANSFORM_AGE_SEC} s')
        if not first <= stamp_ns <= last:
            return np.array(self._values[before if stamp_ns > last else after])
        share = (stamp_ns - first) / (last - first) if last > first else 0.0
        return _between(np.array(self._values[before]), np.array(self._values[after]), share)


class RecordedTransforms:
    """Looks up the transforms of a recording.

    Attributes:
        now_ns: Time of recording of the frame whose transforms are asked for.
    """

    def __init__(self):
        self.now_ns = 0
        self._histories: dict[str, TransformHistory] = {}

    def __len__(self) -> int:
        return len(self._histories)

    def add(self, transforms: Iterable, *, is_static: bool, recorded_ns: int = 0) -> None:
        """Add the transforms of a tf2_msgs/TFMessage. One that is no number is left out."""
        for stamped in transforms:
            move, turn = stamped.transform.translation, stamped.transform.rotation
            values = (move.x, move.y, move.z, turn.x, turn.y, turn.z, turn.w)
            child, parent = (name.lstrip('/') for name in (stamped.child_frame_id,
                                                           stamped.header.frame_id))
            if not np.isfinite(values).all() or not any(values[3:]) or not child or not parent:
                continue
            history = self._histories.get(child)
            if history is None or history.parent != parent:
                history = self._histories[child] = TransformHistory(parent, is_static=is_static)
            history.add(stamped.header.stamp.sec * 10**9 + stamped.header.stamp.nanosec, values,
                        recorded_ns)

    def lookup(self, target: str, source: str, stamp: Stamp) -> tuple[tuple, tuple]:
        """Return the translation (x, y, z) and the rotation (x, y, z, w) from source to target.

        Args:
            target: Frame to transform into.
            source: Frame to transform from.
            stamp: Time of the transform.

        Raises:
            LookupError: The recording has no such transform at that time.
        """
        target, source = target.lstrip('/'), source.lstrip('/')
        if not source:
            raise LookupError('the header of the image has an empty frame_id, wanted the optical '
                              'frame of the camera')
        stamp_ns = stamp.sec * 10**9 + stamp.nanosec
        up, down = self._to_root(source), self._to_root(target)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            known = ', '.join(sorted({*self._histories, *(
                history.parent for history in self._histories.values())})) or 'none'
            raise LookupError(f'the recording has no transform from {source} to {target}; its '
                              f'frames are {known}')
        matrix = np.linalg.inv(self._chain(down[:down.index(common)], stamp_ns, target)) \
            @ self._chain(up[:up.index(common)], stamp_ns, source)
        return tuple(matrix[:3, 3].tolist()), _quaternion(matrix[:3, :3])

    def _to_root(self, frame: str) -> list[str]:
        """Return a frame, its parent, and so on."""
        frames = [frame]
        while (history := self._histories.get(frames[-1])) and history.parent not in frames:
            frames.append(history.parent)
        return frames

    def _chain(self, frames: list[str], stamp_ns: int, source: str) -> np.ndarray:
        """Return the (4, 4) matrix from the first of these frames to the parent of the last."""
        matrix = np.eye(4)
        for frame in frames:
            try:
                values = self._histories[frame].at(stamp_ns, self.now_ns)
            except LookupError as error:
                raise LookupError(f'the transform of {frame}, on the way from {source}, '
                                  f'{error}') from error
            matrix = _matrix(values) @ matrix
        return matrix


def _matrix(values: np.ndarray) -> np.ndarray:
    x, y, z, w = values[3:] / np.linalg.norm(values[3:])
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    matrix = np.eye(4)
    matrix[:3, :3] += 2.0 * w * cross + 2.0 * cross @ cross
    matrix[:3, 3] = values[:3]
    return matrix


def _between(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """Return the transform at a share of the way: linear, and along the arc for the rotation."""
    if share == 0.0:
        return one
    first, last = (values[3:] / np.linalg.norm(values[3:]) for values in (one, other))
    cosine = float(first @ last)
    last, cosine = (last, cosine) if cosine >= 0.0 else (-last, -cosine)
    angle = np.arccos(min(cosine, 1.0))
    weights = (np.sin((1 - share) * angle), np.sin(share * angle)) if angle > 1e-6 \
        else (1 - share, share)
    rotation = weights[0] * first + weights[1] * last
    return np.concatenate(((1 - share) * one[:3] + share * other[:3],
                           rotation / np.linalg.norm(rotation)))


def _quaternion(rotation: np.ndarray) -> tuple[float, float, float, float]:
    """Return a rotation matrix as x y z w: the eigenvector of its greatest symmetric form."""
    (a, b, c), (d, e, f), (g, h, i) = rotation
    form = np.array([[a - e - i, b + d, c + g, h - f], [b + d, e - a - i, f + h, c - g],
                     [c + g, f + h, i - a - e, d - b], [h - f, c - g, d - b, a + e + i]])
    return tuple(np.linalg.eigh(form)[1][:, -1].tolist())
