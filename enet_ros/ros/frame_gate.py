"""Which frames of a camera may still go out. A frame may become too late at every step."""

from __future__ import annotations

import math
import threading
import time

from rclpy.lifecycle import LifecycleNode

from enet_ros.perception.frame import DropCause, Dropped, FrameInFlight, FrameTimes
from enet_ros.perception.stamps import age_problem

#: Share of the time of publishing that is still expected after a frame was refused because of it.
FORGETTING = 0.8


class FrameGate:
    """Refuses frames that come too late. All times are those of ``time.perf_counter``.

    The executor's thread opens and closes it. Other threads ask it. Only the publishing thread
    calls :meth:`early_refusal`.

    Attributes:
        lock: Guards the topics while messages are sent. Receiving waits for it only at a jump of
            time.
        activated_sec: When the camera was activated, or infinity while it is inactive.
        oldest_sec: Frames that were received earlier may be refused: :meth:`refusal` tells.
    """

    def __init__(self, node: LifecycleNode):
        """Be closed.

        Args:
            node: The node, whose clock gives the ages.
        """
        self._node, self.lock = node, threading.Lock()
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
        waited_sec = time.perf_counter() - received_sec
        if received_sec < oldest_sec and waited_sec > settings.stall_timeout > 0.0:
            return Dropped(DropCause.FAILED, (
                f'frame came {oldest_sec - received_sec:.3f} s before a stall made '
                f'~/drivable_mask unknown, and took {waited_sec:.3f} s so far (stall_timeout '
                f'{settings.stall_timeout:g} s); raise stall_timeout if the node is always so '
                'slow'))
        problem = age_problem(
            self._age_sec(frame), frame.stamp_ns / 1e9, settings.max_frame_age,
            waited_sec=waited_sec, use_sim_time=self._node.get_parameter('use_sim_time').value)
        return Dropped(DropCause.FAILED, problem) if problem else None

    def early_refusal(self, frame: FrameInFlight) -> Dropped | None:
        """Return why a frame is refused that is about to be published, or None.

        Where publishing is slow, frames wait for it. So a frame is refused, too, if it would be
        too old once it is published. Without this all would be published in vain.
        """
        last, self._last = self._last, frame.times
        if last.sending:
            self._publishing_sec = last.sending - last.postprocessing
        has_time = frame.times.expires - time.perf_counter() >= self._publishing_sec
        if has_time and frame.times.received >= self.oldest_sec:
            return None
        if (refusal := self.refusal(frame)) or has_time:
            return refusal
        self._publishing_sec *= FORGETTING  # What took long may have been done only once.
        return Dropped(DropCause.FAILED, (
            f'frame is {self._age_sec(frame):.3f} s old, and would be too old once it is '
            f'published, wanted at most {frame.camera_settings.settings.max_frame_age:g} s '
            '(max_frame_age); lower the resolution or the rate of the camera, or raise '
            'max_frame_age'))

    def _age_sec(self, frame: FrameInFlight) -> float:
        """Return the age of a frame by its stamp."""
        return frame.age_at_receive_ms / 1e3 + time.perf_counter() - frame.times.received
