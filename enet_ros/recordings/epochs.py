"""Epochs of a recording: the times between two jumps of the clock, as of a simulator."""

from __future__ import annotations

import bisect
from collections.abc import Mapping

from enet_ros.recordings.transform_history import TransformHistory

#: Publishers notice one jump of time within this time of recording.
SAME_JUMP_NS = 1_000_000_000
#: A frame may be recorded this long after a jump of time that it does not know of yet.
LATE_FRAME_NS = 2_000_000_000


class Epochs:
    """The epochs of a tree of transforms.

    Attributes:
        begins_ns: Times of recording at which the second epoch and the next ones begin.
        frame: Frame whose stamps were the first to fall back, or ''.
    """

    def __init__(self, histories: Mapping[str, TransformHistory]):
        """Find the epochs, and divide the histories into them.

        Stamps of different frames that fall back at about the same time make one jump.

        Args:
            histories: Transforms of each moving frame.
        """
        self._histories, self.begins_ns = histories, []
        falls = sorted((fall_ns, frame) for frame, history in histories.items()
                       for fall_ns in history.falls())
        self.frame = falls[0][1] if falls else ''
        epochs: dict[str, list[int]] = {frame: [] for frame in histories}
        for fall_ns, frame in falls:
            epoch = len(self.begins_ns)
            if not epoch or epoch in epochs[frame][-1:] \
                    or fall_ns - self.begins_ns[-1] > SAME_JUMP_NS:
                self.begins_ns.append(fall_ns)
            epochs[frame].append(len(self.begins_ns))
        for frame, history in histories.items():
            history.divide(self.begins_ns, epochs[frame])

    def of_frame(self, stamp_ns: int, now_ns: int) -> int:
        """Return the epoch of an image: the one in which it was recorded.

        Images and transforms overtake each other. Near a jump, the epoch is taken in which the
        stamp of the image was recorded at about the same time as the image.

        Args:
            stamp_ns: Stamp of the image. 0 tells nothing.
            now_ns: Time of recording of the image.
        """
        epoch = bisect.bisect_right(self.begins_ns, now_ns)
        near = [other for other, begin in ((epoch - 1, epoch - 1), (epoch + 1, epoch))
                if 0 <= begin < len(self.begins_ns)
                and abs(now_ns - self.begins_ns[begin]) <= LATE_FRAME_NS]
        if stamp_ns == 0 or not near:
            return epoch
        return min((epoch, *near), key=lambda each: self._delay_ns(stamp_ns, each, now_ns))

    def _delay_ns(self, stamp_ns: int, epoch: int, now_ns: int) -> int:
        """Return the time of recording between an image and the stamp nearest to its stamp."""
        distances = (history.distance(stamp_ns, epoch, now_ns)
                     for history in self._histories.values())
        return min((distance for distance in distances if distance), default=(0, 1 << 63))[1]
