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
    calls :meth:`leaves_time`.

    Attributes:
        lock: Guards the topics while messages are sent. Receiving waits for it only at a jump of
            time.
        activated_sec: When the camera was activated, or infinity while it is inactive.
        oldest_sec: Frames that were received earlier are refused.
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

    def refuse_older(self) -> None:
        """Refuse frames that were received before now, since a mask of unknown was sent."""
        self.oldest_sec = time.perf_counter()

    def passes(self, frame: FrameInFlight) -> bool:
        """Tell whether a decoded frame may still go out."""
        return frame.times.received >= self.oldest_sec \
            and time.perf_counter() <= frame.times.expires

    def leaves_time(self, frame: FrameInFlight) -> bool:
        """Tell whether a frame may go out once it is published, if that takes as long as before.

        Where publishing is slow, frames wait for it. Without this all would be published in vain,
        because each becomes too old on the way.
        """
        last, self._last = self._last, frame.times
        if last.sending:
            self._publishing_sec = last.sending - last.postprocessing
        spare_sec = frame.times.expires - time.perf_counter()
        leaves_time = spare_sec >= self._publishing_sec
        if not leaves_time and spare_sec > 0.0:  # What took long may have been done only once.
            self._publishing_sec *= FORGETTING
        return leaves_time and frame.times.received >= self.oldest_sec

    def refusal(self, frame: FrameInFlight) -> Dropped:
        """Return why a frame that has its settings is refused."""
        oldest_sec = self.oldest_sec  # Another thread may close the gate meanwhile.
        if frame.times.received < self.activated_sec or oldest_sec == math.inf:
            return Dropped(DropCause.INACTIVE)
        settings = frame.camera_settings.settings
        if frame.times.received < oldest_sec:
            return Dropped(DropCause.FAILED, (
                f'frame came {oldest_sec - frame.times.received:.3f} s before a stall made '
                f'~/drivable_mask unknown (stall_timeout {settings.stall_timeout:g} s), and is '
                'older than that mask; raise stall_timeout if the node is always so slow'))
        waited_sec = time.perf_counter() - frame.times.received
        age_sec = frame.age_at_receive_ms / 1e3 + waited_sec
        return Dropped(DropCause.FAILED, age_problem(
            age_sec, frame.stamp_ns / 1e9, settings.max_frame_age, waited_sec=waited_sec,
            use_sim_time=self._node.get_parameter('use_sim_time').value) or (
                f'frame is {age_sec:.3f} s old, and would be too old once it is published, wanted '
                f'at most {settings.max_frame_age:g} s (max_frame_age); lower the resolution or '
                'the rate of the camera, or raise max_frame_age'))
