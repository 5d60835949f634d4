"""Counters, rates, stalls and warnings of one camera. They need no node."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Protocol

import numpy as np
from rclpy.clock import Clock

from enet_ros.perception.frame import DropCause, Dropped
from enet_ros.ros.logs import WARNING_PERIOD_SEC

STATISTICS_FRAMES = 200     # Rates and percentiles look back over so many frames.
RATE_WINDOW_SEC = 5.0
#: Simulators are seldom faster. A stall is noted later where one is.
SIM_SPEED = 10.0
IDLE = 'idle'               # Effect of the warning that no output can be made.


class Logger(Protocol):
    """The part of rclpy's logger that is used."""

    def warning(self, message: str) -> object:
        """Log a warning."""

    def info(self, message: str) -> object:
        """Log a fact."""


class Level(IntEnum):
    """The levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Counts:
    """Numbers of frames since activation."""

    received: int
    published: int
    dropped: int


class CameraWarnings:
    """What frames of one camera go on without: for the log, now and then, and the diagnostics.

    Any thread may call it.

    Args:
        topic: Topic of the images, for messages.
        logger: Receives a warning now and then, while active.

    Attributes:
        is_active: Whether warnings are logged.
    """

    def __init__(self, topic: str, logger: Logger):
        self._topic, self._logger, self.is_active = topic, logger, False
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget all warnings, and when they were logged."""
        with self._lock:
            self._recent: dict[str, str] = {}  # since the last diagnostics
            self._lasting: dict[str, str] = {}
            self._logged_sec: dict[str, float] = {}

    def warn(self, effect: str, reason: str, *, lasts: bool = False) -> None:
        """Keep a warning for the diagnostics, and log it.

        Args:
            effect: What is missing.
            reason: Why it is missing. An empty reason ends a warning that lasts.
            lasts: Whether the diagnostics show it until it ends, and not only once.
        """
        self.keep(effect, reason, lasts=lasts)
        if reason:
            self.log(effect, reason)

    def keep(self, effect: str, reason: str, *, lasts: bool = False) -> None:
        """Keep a warning for the diagnostics only. The arguments are those of :meth:`warn`."""
        with self._lock:
            (self._lasting if lasts else self._recent)[effect] = reason

    def keep_idle(self, reason: str) -> None:
        """End the warnings that last, since nobody looks at the frames. Keep why, if given."""
        with self._lock:
            self._lasting = {IDLE: reason}

    def log(self, effect: str, reason: str) -> None:
        """Log a warning, unless one of the same effect was logged a moment ago."""
        now_sec = time.monotonic()
        with self._lock:
            logged_sec = self._logged_sec.get(effect, -math.inf)
            is_due = self.is_active and now_sec - logged_sec > WARNING_PERIOD_SEC
            if is_due:
                self._logged_sec[effect] = now_sec
        if is_due:
            self._logger.warning(f'{self._topic}: {effect}: {reason}')

    def take(self) -> str:
        """Return what the diagnostics show, or ''. Warnings that do not last are forgotten."""
        with self._lock:
            warnings, self._recent = self._recent | self._lasting, {}
        return '; '.join(f'{effect}: {reason}' for effect, reason in warnings.items() if reason)


class Silence:
    """How long no frame has finished: by simulated time where that runs, else by wall time.

    Attributes:
        sim_clock: The node's clock if it is simulated time, else None.
        since_sec: When the last frame finished, by ``time.monotonic``.
    """

    def __init__(self):
        self.sim_clock: Clock | None = None
        self.restart()

    def use(self, sim_clock: Clock | None) -> None:
        """Count by another clock, or by one that has jumped: by wall time until the next frame."""
        self.sim_clock, self._since_sim_ns = sim_clock, 0

    def restart(self) -> None:
        """Begin anew, since a frame finished."""
        self.since_sec, self._since_sim_ns = time.monotonic(), self._sim_ns()

    def seconds(self) -> float:
        """Return how long it is.

        Wall time counts until simulated time has come, and after it jumped back, so that a
        ``use_sim_time`` that was set by mistake hides no stall.
        """
        silent_ns = self._sim_ns() - self._since_sim_ns
        if self._since_sim_ns and silent_ns >= 0:
            return silent_ns / 1e9
        return time.monotonic() - self.since_sec

    def _sim_ns(self) -> int:
        """Return the simulated time, or 0 by wall time and before anything published it."""
        clock = self.sim_clock  # Another thread may replace it.
        return 0 if clock is None else clock.now().nanoseconds


class CameraHealth:
    """Counts the frames of one camera, and says what is wrong.

    The receiving thread calls :meth:`count_received`. The publishing thread calls
    :meth:`count_published` and :meth:`counts`. Any thread calls :meth:`drop` and
    :meth:`forget_time`, and sets ``facts``. The executor's thread calls the rest.

    Args:
        topic: Topic of the images, for messages.
        logger: Receives a warning now and then, while active.

    Attributes:
        warnings: What frames go on without.
        facts: Values for the diagnostics by their keys, such as how a value was found.
        received: Number of frames that came.
        published: Number of frames whose messages were sent.
        dropped: Number of frames that were overtaken or failed. Frames without a request and
            frames of an inactive node do not count.
        last_error: The last reason for a drop or a stall, or ''.
        is_stalled: Whether no frame has finished for ``stall_timeout``.
        first_published_sec: When the first frame was published, by ``time.monotonic``, or 0.
        silence: How long no frame has finished.
    """

    def __init__(self, topic: str, logger: Logger):
        self._topic, self.warnings = topic, CameraWarnings(topic, logger)
        self._lock = threading.Lock()
        self.silence = Silence()
        self._reset()

    def _reset(self) -> None:
        """Count from 0, and forget what was wrong."""
        self.received = self.published = self.dropped = 0
        self.last_error = self._failure = ''
        self.is_stalled, self._stall_timeout_sec = False, 0.0
        self.first_published_sec = 0.0
        self.facts: dict[str, str] = {}
        self._is_requested = True
        self.silence.restart()
        self._finish_times: deque[float] = deque(maxlen=STATISTICS_FRAMES)
        self._latencies_ms: deque[float] = deque(maxlen=STATISTICS_FRAMES)
        self.warnings.clear()

    def activate(self) -> None:
        """Begin to count, from 0."""
        with self._lock:
            self._reset()
            self.warnings.is_active = True

    def deactivate(self) -> None:
        """Log no more warnings, and look for no stall."""
        self.warnings.is_active = False

    def count_received(self) -> None:
        """Count a frame that came."""
        with self._lock:
            self.received += 1

    def count_published(self, received_sec: float) -> None:
        """Count a frame whose messages were sent.

        Args:
            received_sec: When it was received, by ``time.perf_counter``.
        """
        latency_ms = (time.perf_counter() - received_sec) * 1e3
        with self._lock:
            self.silence.since_sec = finished_sec = time.monotonic()
            if self.silence.sim_clock is not None:
                self.silence.restart()
            if not self._is_requested:
                self.warnings.keep(IDLE, '', lasts=True)
            self.is_stalled, self._failure, self._is_requested = False, '', True
            self.published += 1
            self.first_published_sec = self.first_published_sec or finished_sec
            self._finish_times.append(finished_sec)
            self._latencies_ms.append(latency_ms)

    def drop(self, dropped: Dropped) -> None:
        """Count a frame that goes no further. A reason is also logged, now and then."""
        is_idle = dropped.cause is DropCause.UNREQUESTED
        with self._lock:
            if is_idle:
                self.silence.restart()
                self.is_stalled = self._is_requested = False
                self.warnings.keep_idle(dropped.reason)
            elif dropped.reason:
                self.last_error = dropped.reason
                self.warnings.keep('frames were dropped', dropped.reason)
            if dropped.cause in (DropCause.OVERTAKEN, DropCause.FAILED):
                self.dropped += 1
        if dropped.reason:
            self.warnings.log(IDLE if is_idle else 'frame dropped', dropped.reason)

    def forget_time(self, sim_clock: Clock | None = None) -> None:
        """Clear the rates after a jump of stamps or of the clock.

        Args:
            sim_clock: The node's clock from now on if it is simulated time, else None.
        """
        with self._lock:
            self.silence.use(sim_clock)
            self._finish_times.clear()
            self._latencies_ms.clear()

    def seconds_to_stall(self, timeout_sec: float) -> float:
        """Return how long to wait before the next look for a stall.

        Args:
            timeout_sec: Time without a finished frame that is a stall. 0 turns this off.

        Returns:
            Seconds by wall time, 0 if a stall is due, or infinity if none can come or it is noted
            already.
        """
        if not (self.warnings.is_active and timeout_sec) or self.is_stalled:
            return math.inf
        left_sec = max(0.0, timeout_sec - self.silence.seconds())
        return left_sec if self.silence.sim_clock is None else left_sec / SIM_SPEED

    def note_stall(self, timeout_sec: float) -> bool:
        """Take note of a stall if one is due. Return whether it is.

        Args:
            timeout_sec: See :meth:`seconds_to_stall`.
        """
        with self._lock:
            if self.seconds_to_stall(timeout_sec) > 0.0:
                return False
            self.is_stalled, self._stall_timeout_sec = True, timeout_sec
            self.last_error = self._describe_silence()
            return True

    def fail(self, reason: str) -> None:
        """Show an error from now on, until a frame is published."""
        with self._lock:
            self._failure = self.last_error = reason

    def summary(self) -> tuple[Level, str]:
        """Return a level and a sentence. The warnings since the last call are forgotten."""
        warnings = self.warnings.take()
        if self._failure or self.is_stalled:
            return Level.ERROR, self._failure or self._describe_silence()
        if not self.received:
            return Level.WARN, f'no frame has come on {self._topic}'
        if warnings:
            return Level.WARN, warnings
        return Level.OK, ('segmenting' if self._is_requested
                          else 'idle: no output has a subscriber')

    def counts(self) -> Counts:
        """Return the numbers of frames."""
        with self._lock:
            return Counts(self.received, self.published, self.dropped)

    def statistics(self) -> dict[str, str]:
        """Return the values that the diagnostics show of this camera."""
        with self._lock:
            times, latencies = list(self._finish_times), sorted(self._latencies_ms)
        recent = [t for t in times if t > time.monotonic() - RATE_WINDOW_SEC]
        rate = (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0
        percentile = partial(np.percentile, latencies) if latencies else lambda _: float('nan')
        return {'rate_hz': f'{rate:.1f}', 'latency_p50_ms': f'{percentile(50):.1f}',
                'latency_p95_ms': f'{percentile(95):.1f}', 'received': str(self.received),
                'published': str(self.published), 'dropped': str(self.dropped),
                'last_error': self.last_error, **self.facts}

    def _describe_silence(self) -> str:
        """Say for how long no frame has come, or come to an end."""
        silent_sec = self.silence.seconds()
        start = 'no frame finished' if self.received else f'no frame has come on {self._topic}'
        return f'{start} for {silent_sec:.1f} s (stall_timeout {self._stall_timeout_sec})'
