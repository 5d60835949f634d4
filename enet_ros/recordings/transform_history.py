"""Where one frame of a recording is in its parent, over time."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Sequence

import numpy as np

from enet_ros.perception.geometry.transforms import (
    MAX_TRANSFORM_AGE_SEC,
    Transform,
    is_same,
    times_before,
)
from enet_ros.perception.stamps import JUMP_NS

#: Transforms one after the other with stamps that have fallen back, after which time began anew.
#: One or two alone come from a second publisher, or came late.
FALLEN_STAMPS = 3

#: Parent, and position x y z with quaternion x y z w, (7,) float64.
Placement = tuple[str, np.ndarray]


class StaticHistory:
    """Where a fixed frame is in its parent. A transform counts until the next is recorded."""

    def __init__(self):
        self._recorded_ns: list[int] = []
        self._placements: list[Placement] = []

    def add(self, parent: str, values: Sequence[float], recorded_ns: int) -> None:
        """Add a transform, in the order of recording."""
        self._recorded_ns.append(recorded_ns)
        self._placements.append((parent, np.array(values)))

    def at(self, now_ns: int) -> Placement:
        """Return the newest transform at a time of recording, or the first one before that."""
        return self._placements[max(bisect.bisect_right(self._recorded_ns, now_ns) - 1, 0)]


class TransformHistory:
    """Where a moving frame is in its parents.

    The transforms are kept in arrays in the order of recording: recordings have millions.
    :meth:`divide` sorts them by stamp, within each epoch between two jumps of time.
    """

    def __init__(self):
        self._stamps_ns, self._recorded_ns = array('q'), array('q')
        self._values, self._parents = array('d'), []
        self._newest_ns, self._fallen = -1 << 63, 0
        self._falls: list[int] = []
        self._edges = self._order = self._sorted_ns = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._stamps_ns)

    def add(self, parent: str, stamp_ns: int, values: Sequence[float], recorded_ns: int) -> None:
        """Add a transform, in the order of recording."""
        self._stamps_ns.append(stamp_ns)
        self._recorded_ns.append(recorded_ns)
        self._values.extend(values)
        self._parents.append(parent)
        if stamp_ns >= self._newest_ns - JUMP_NS:
            self._newest_ns, self._fallen = max(stamp_ns, self._newest_ns), 0
            return
        self._fallen += 1
        if self._fallen == FALLEN_STAMPS:
            self._falls.append(len(self) - FALLEN_STAMPS)
            self._newest_ns, self._fallen = max(self._stamps_ns[-FALLEN_STAMPS:]), 0

    def falls(self) -> list[int]:
        """Return when the stamps fell back: times of recording, in ns.

        The last transforms of a recording may be fewer than :data:`FALLEN_STAMPS`.
        """
        return [self._recorded_ns[i] for i in self._fall_indices()]

    def _fall_indices(self) -> list[int]:
        return self._falls + ([len(self) - self._fallen] if self._fallen else [])

    def divide(self, begins_ns: Sequence[int], epochs_of_falls: Sequence[int]) -> None:
        """Divide the transforms into epochs.

        A transform is in the epoch in which it was recorded, but before the epoch to which the
        next fall of its stamps leads: a publisher may notice a jump of time later than others.

        Args:
            begins_ns: Times of recording at which epochs 1, 2, ... begin, (E,).
            epochs_of_falls: Epoch to which each of :meth:`falls` leads.
        """
        stamps_ns = np.array(self._stamps_ns, np.int64)
        latest = np.repeat([*(epoch - 1 for epoch in epochs_of_falls), len(begins_ns)],
                           np.diff([0, *self._fall_indices(), len(self)]))
        epochs = np.searchsorted(np.asarray(begins_ns, np.int64), self._recorded_ns, 'right')
        epochs = np.maximum.accumulate(np.minimum(epochs, latest))
        self._edges = np.searchsorted(epochs, np.arange(len(begins_ns) + 2))
        self._order = np.lexsort((stamps_ns, epochs))
        self._sorted_ns = stamps_ns[self._order]

    def at(self, stamp_ns: int, epoch: int, now_ns: int) -> Placement:
        """Return the transform at a time. The parent is that of the sample before, as in tf2.

        Args:
            stamp_ns: The time. 0 stands for the newest transform, as in tf2.
            epoch: The epoch of the frame.
            now_ns: Time of recording, by which that newest one must have been recorded, but not
                long before.

        Raises:
            LookupError: The nearest transform is too far from that time, or all are later, or the
                last one came before while they changed.
        """
        if self._edges[epoch] == self._edges[epoch + 1]:
            raise LookupError('was recorded only before or after a jump of time')
        if stamp_ns == 0:
            return self._placement(self._newest(epoch, now_ns))
        before, after = self._around(stamp_ns, epoch)
        first, last = int(self._sorted_ns[before]), int(self._sorted_ns[after])
        age_sec = min(abs(stamp_ns - first), abs(stamp_ns - last)) / 1e9
        if age_sec > MAX_TRANSFORM_AGE_SEC:
            raise LookupError(f'is {age_sec:.1f} s from the frame, wanted at most '
                              f'{MAX_TRANSFORM_AGE_SEC} s')
        parent, values = self._placement(self._order[before])
        next_parent, next_values = self._placement(self._order[after])
        if stamp_ns == last:
            return next_parent, next_values
        if stamp_ns < first:
            raise LookupError(f'begins {age_sec:.3f} s after the frame')
        if stamp_ns > last and not self._is_still(last, stamp_ns, epoch):
            raise LookupError(f'ends {age_sec:.3f} s before the frame, and changes')
        if not first < stamp_ns < last or parent != next_parent:
            return parent, values
        return parent, _between(values, next_values, (stamp_ns - first) / (last - first))

    def _is_still(self, last_ns: int, stamp_ns: int, epoch: int) -> bool:
        """Tell whether the last transform hardly changed for as long as a stamp is after it."""
        times_ns = times_before(last_ns, stamp_ns)
        if min(times_ns) < self._sorted_ns[self._edges[epoch]]:
            return False
        newest, *earlier = (Transform(tuple(values[:3]), tuple(values[3:])) for _, values in (
            self.at(time_ns, epoch, 0) for time_ns in (last_ns, *times_ns)))
        return all(is_same(newest, each) for each in earlier)

    def distance(self, stamp_ns: int, epoch: int, now_ns: int) -> tuple[int, int] | None:
        """Return how far an epoch is from a frame.

        Returns:
            Nanoseconds from the stamp to the nearest one, and from ``now_ns`` to when that
            was recorded. None without a transform.
        """
        if self._edges[epoch] == self._edges[epoch + 1]:
            return None
        return min((abs(stamp_ns - int(self._sorted_ns[i])),
                    abs(now_ns - self._recorded_ns[self._order[i]]))
                   for i in self._around(stamp_ns, epoch))

    def _around(self, stamp_ns: int, epoch: int) -> tuple[int, int]:
        """Return the sorted indices before and after a stamp; they are equal beyond the ends."""
        first, end = int(self._edges[epoch]), int(self._edges[epoch + 1])
        after = first + int(np.searchsorted(self._sorted_ns[first:end], stamp_ns))
        return max(after - 1, first), min(after, end - 1)

    def _newest(self, epoch: int, now_ns: int) -> int:
        """Return the index of the newest transform of an epoch that was recorded by then."""
        first, end = int(self._edges[epoch]), int(self._edges[epoch + 1])
        end = bisect.bisect_right(self._recorded_ns, now_ns, first, end)
        if end == first:
            raise LookupError('had not been recorded yet')
        age_sec = (now_ns - self._recorded_ns[end - 1]) / 1e9
        if age_sec > MAX_TRANSFORM_AGE_SEC:
            raise LookupError(f'was last recorded {age_sec:.1f} s before the frame, whose stamp '
                              f'is 0; wanted at most {MAX_TRANSFORM_AGE_SEC} s')
        return end - 1 - int(np.argmax(np.array(self._stamps_ns[first:end])[::-1]))

    def _placement(self, index: int) -> Placement:
        return self._parents[index], np.array(self._values[7 * index:7 * index + 7])


def _between(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """Return the transform at a share of the way: linear, and along the arc for the rotation."""
    first, last = (values[3:] / np.linalg.norm(values[3:]) for values in (one, other))
    cosine = float(first @ last)
    last, cosine = (last, cosine) if cosine >= 0.0 else (-last, -cosine)
    angle = np.arccos(min(cosine, 1.0))
    weights = (np.sin((1 - share) * angle), np.sin(share * angle)) if angle > 1e-6 \
        else (1 - share, share)
    rotation = weights[0] * first + weights[1] * last
    return np.concatenate(((1 - share) * one[:3] + share * other[:3],
                           rotation / np.linalg.norm(rotation)))
