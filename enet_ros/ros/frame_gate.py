"""Which frames of a camera may still go out. A frame may become too late at every step."""

from __future__ import annotations

import math
import threading
import time

from rclpy.clock import Clock
from rclpy.lifecycle import LifecycleNode

from enet_ros.perception.frame import DropCause, Dropped, FrameInFlight, FrameTimes
from enet_ros.perception.stamps import age_problem

#: Share of the time of publishing that is still expected after a frame was refused because of it.
FORGETTING = 0.8


class FrameGate:
    """Refuses frames that come too late. Its times are those of ``time.perf_counter``.

    In simulated time, ages and waits are read from the node's clock, which may stand or race.

    The executor's thread opens and closes it. Other threads ask it. Only the publishing thread
    calls :meth:`early_refusal`.

    Attributes:
        lock: Guards the topics while messages are sent. Receiving waits for it only at a jump of
            time.
        activated_sec: When the camera was activated, or infinity while it is inactive.
        oldest_sec: Frames that were received earlier may be refused: :meth:`refusal` tells.
        sim_clock: The node's clock if it is simulated time, else None. It may stand or race, so
            that every step must ask :meth:`refusal`.
    """

    def __init__(self):
        """Be closed."""
        self.lock = threading.Lock()
        self.sim_clock: Clock | None = None
        self._last, self._publishing_sec = FrameTimes(), 0.0
        self.close()

    def open(self) -> None:
        """Let the frames pass that are received from now on."""
        self.activated_sec = self.oldest_sec = time.perf_counter()

    def close(self) -> None:
        """Let no frame pass."""
        self.activated_sec = self.oldest_sec = math.inf

    def mark_stall(self) -> None:
        """Take note that a mask of unknown is sent now, because of a stall.

        Frames that came before it may still follow it, but none that is in the node for longer
        than ``stall_timeout``.
        """
        self.oldest_sec = time.perf_counter()

    def refusal(self, frame: FrameInFlight) -> Dropped | None:
        """Return why a frame that has its settings is refused, or None if it passes."""
        oldest_sec = self.oldest_sec  # Another thread may close the gate meanwhile.
        received_sec, settings = frame.times.received, frame.camera_settings.settings
        if received_sec < self.activated_sec or oldest_sec == math.inf:
            return Dropped(DropCause.INACTIVE)
        waited_sec = self._waited_sec(frame)
        if received_sec < oldest_sec and waited_sec > settings.stall_timeout > 0.0:
            return Dropped(DropCause.FAILED, (
                f'frame came {oldest_sec - received_sec:.3f} s before a stall made '
                f'~/drivable_mask unknown, and took {waited_sec:.3f} s so far (stall_timeout '
                f'{settings.stall_timeout:g} s); raise stall_timeout if the node is always so '
                'slow'))
        problem = age_problem(
            frame.age_at_receive_ms / 1e3 + waited_sec, frame.stamp_ns / 1e9,
            settings.max_frame_age, waited_sec=waited_sec, use_sim_time=self.sim_clock is not None)
        return Dropped(DropCause.FAILED, problem) if problem else None

    def early_refusal(self, frame: FrameInFlight) -> Dropped | None:
        """Return why a frame is refused that is about to be published, or None.

        Where publishing is slow, frames wait for it. So a frame is refused, too, if it would be
        too old once it is published. Without this all would be published in vain. In simulated
        time nobody knows how long publishing will take.
        """
        last, self._last = self._last, frame.times
        if last.sending:
            self._publishing_sec = last.sending - last.postprocessing
        has_time = frame.times.expires - time.perf_counter() >= self._publishing_sec
        if has_time and frame.times.received >= self.oldest_sec:
            return None
        if (refusal := self.refusal(frame)) or has_time or self.sim_clock is not None:
            return refusal
        self._publishing_sec *= FORGETTING  # What took long may have been done only once.
        age_sec = frame.age_at_receive_ms / 1e3 + self._waited_sec(frame)
        return Dropped(DropCause.FAILED, (
            f'frame is {age_sec:.3f} s old, and would be too old once it is '
            f'published, wanted at most {frame.camera_settings.settings.max_frame_age:g} s '
            '(max_frame_age); lower the resolution or the rate of the camera, or raise '
            'max_frame_age'))

    def _waited_sec(self, frame: FrameInFlight) -> float:
        """Return for how long a frame has been in the node, by the clock of its age.

        A clock of simulated time that stands at 0 has not come yet.
        """
        if (clock := self.sim_clock) is not None and (now_ns := clock.now().nanoseconds):
            return (now_ns - frame.stamp_ns) / 1e9 - frame.age_at_receive_ms / 1e3
        return time.perf_counter() - frame.times.received


def sim_clock_of(node: LifecycleNode) -> Clock | None:
    """Return the clock of a node if it is simulated time, or None if it is wall time."""
    clock = node.get_clock()
    return clock if clock.ros_time_is_active else None
