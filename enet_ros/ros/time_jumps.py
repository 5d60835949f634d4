"""Jumps back of time, after which TF must forget, since tf2 refuses what is far older."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from enet_ros.perception.stamps import JUMP_NS

#: tf2 keeps transforms for so long, and refuses those that are older than its newest by more.
CACHE_NS = 10_000_000_000
#: A transform from before a jump of time may come so long after it, since messages wait in queues.
LATE_SEC = 60.0
#: TF is cleared so often at most for one jump of a clock, since some transforms come late.
MOST_CLEARS = 3


@dataclass
class Jump:
    """A jump back from one time to another, and what is left to do about it."""

    before_ns: int
    after_ns: int
    clears: int = 0
    until_sec: float = math.inf  # by time.monotonic; the first clear may come at any time


class TimeJumps:
    """The last jump back of each clock: those of the cameras, and that of the node.

    Any thread calls :meth:`note`, and the publishing thread :meth:`take_clear`.
    """

    def __init__(self):
        self._jumps: dict[str, Jump] = {}

    def note(self, clock: str, before_ns: int, after_ns: int, *, clears: int = 0) -> None:
        """Take note of a jump. A small one is none, and hides no greater one before it.

        Args:
            clock: Name of the clock.
            before_ns: Its last time before.
            after_ns: Its first time after.
            clears: How often TF has been cleared for it already.
        """
        if before_ns - after_ns > JUMP_NS:
            self._jumps[clock] = Jump(before_ns, after_ns, clears)

    def take_clear(self, newest_ns: int, frame_ns: int) -> bool:
        """Tell whether TF is still at a time before a jump. The caller then clears it.

        Then tf2 would refuse the transforms of the frame's time. A clock that was never near TF
        is a foreign one, as of a camera that counts from its start: its jumps do not count.

        Args:
            newest_ns: Time of the newest transform.
            frame_ns: Time for which there is none.
        """
        if frame_ns >= newest_ns - CACHE_NS:
            return False
        now_sec = time.monotonic()
        for jump in list(self._jumps.values()):
            if (abs(newest_ns - jump.before_ns) <= CACHE_NS
                    and frame_ns >= jump.after_ns - JUMP_NS
                    and jump.clears < MOST_CLEARS and now_sec < jump.until_sec):
                jump.clears += 1
                jump.until_sec = min(jump.until_sec, now_sec + LATE_SEC)
                return True
        return False
