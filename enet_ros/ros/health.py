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

from enet_ros.perception.frame import DropCause, Dropped
from enet_ros.ros.logs import WARNING_PERIOD_SEC

STATISTICS_FRAMES = 200     # Rates and percentiles look back over so many frames.
RATE_WINDOW_SEC = 5.0


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


class CameraHealth:
    """Counts the frames of one camera, and says what is wrong.

    The receiving thread calls :meth:`count_received`. The publishing thread calls
    :meth:`count_published`, :meth:`complain` and :meth:`counts`. Any thread calls :meth:`drop`,
    :meth:`note` and :meth:`forget_time`. The executor's thread calls the rest.

    Args:
        topic: Topic of the images, for messages.
        logger: Receives a warning now and then, while active.

    Attributes:
        received: Number of frames that came.
        published: Number of frames whose messages were sent.
        dropped: Number of frames that were overtaken or failed. Frames without a request and
            frames of an inactive node do not count.
        last_error: The last reason for a drop or a stall, or ''.
        is_stalled: Whether no frame has finished for ``stall_timeout``.
        first_published_sec: When the first frame was published, by ``time.monotonic``, or 0.
    """

    def __init__(self, topic: str, logger: Logger):
        self._topic, self._logger = topic, logger
        self._lock = threading.Lock()
        self.activate()
        self.deactivate()

    def activate(self) -> None:
        """Begin to count, from 0."""
        with self._lock:
            self.received = self.published = self.dropped = 0
            self.last_error = ''
            self.is_stalled, self._stall_timeout_sec = False, 0.0  # 0 for an error of fail()
            self.first_published_sec = 0.0
            self._recent_warnings: dict[str, str] = {}  # since the last diagnostics
            self._lasting_warnings: dict[str, str] = {}
            self._facts: dict[str, str] = {}
            self._warned_sec: dict[str, float] = {}
            self._is_requested = True
            self._last_finished_sec = time.monotonic()
            self._finish_times: deque[float] = deque(maxlen=STATISTICS_FRAMES)
            self._latencies_ms: deque[float] = deque(maxlen=STATISTICS_FRAMES)
            self._is_active = True

    def deactivate(self) -> None:
        """Log no more warnings."""
        self._is_active = False

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
            self._last_finished_sec = time.monotonic()
            if not self._is_requested:
                self._lasting_warnings.pop('idle', None)
            self.is_stalled, self._is_requested = False, True
            self.published += 1
            self.first_published_sec = self.first_published_sec or self._last_finished_sec
            self._finish_times.append(self._last_finished_sec)
            self._latencies_ms.append(latency_ms)

    def drop(self, dropped: Dropped) -> None:
        """Count a frame that goes no further. A reason is also logged, now and then."""
        is_idle = dropped.cause is DropCause.UNREQUESTED
        with self._lock:
            if is_idle:
                self._last_finished_sec = time.monotonic()
                self.is_stalled = self._is_requested = False
                # Nobody looks at the frames any more.
                self._lasting_warnings = {'idle': dropped.reason} if dropped.reason else {}
            elif dropped.reason:
                self.last_error = dropped.reason
                self._recent_warnings['frames were dropped'] = dropped.reason
            if dropped.cause in (DropCause.OVERTAKEN, DropCause.FAILED):
                self.dropped += 1
        if dropped.reason:
            self._warn('idle' if is_idle else 'frame dropped', dropped.reason)

    def complain(self, effect: str, reason: str, *, lasts: bool = False) -> None:
        """Keep for the diagnostics, and log, what a frame goes on without.

        Args:
            effect: What is missing.
            reason: Why it is missing. An empty reason ends a warning that lasts.
            lasts: Whether the diagnostics show it until it ends, and not only once.
        """
        with self._lock:
            (self._lasting_warnings if lasts else self._recent_warnings)[effect] = reason
        if reason:
            self._warn(effect, reason)

    def note(self, fact: str, value: str) -> None:
        """Keep a fact for the diagnostics, such as how a value was found. It is no warning.

        Args:
            fact: Key in the diagnostics.
            value: Its value, which replaces an earlier one.
        """
        with self._lock:
            self._facts[fact] = value

    def _warn(self, effect: str, reason: str) -> None:
        """Log a warning, unless one of the same effect was logged a moment ago."""
        now_sec = time.monotonic()
        with self._lock:
            warned_sec = self._warned_sec.get(effect, -math.inf)
            is_due = self._is_active and now_sec - warned_sec > WARNING_PERIOD_SEC
            if is_due:
                self._warned_sec[effect] = now_sec
        if is_due:
            self._logger.warning(f'{self._topic}: {effect}: {reason}')

    def forget_time(self) -> None:
        """Clear the rates after a jump of stamps or of the clock."""
        with self._lock:
            self._finish_times.clear()
            self._latencies_ms.clear()

    def seconds_to_stall(self, timeout_sec: float) -> float:
        """Tell when the camera stalls if no frame finishes. A stall is noted once.

        Args:
            timeout_sec: Time without a finished frame that is a stall. 0 turns this off.

        Returns:
            Seconds, 0 if the camera has stalled just now, or infinity if no stall is due.
        """
        with self._lock:
            silent_sec = time.monotonic() - self._last_finished_sec
            if not (self._is_active and timeout_sec) or self.is_stalled:
                return math.inf
            if silent_sec <= timeout_sec:
                return timeout_sec - silent_sec
            self.is_stalled, self._stall_timeout_sec = True, timeout_sec
            self.last_error = _silence(self)
            return 0.0

    def fail(self, reason: str) -> None:
        """Show an error from now on, until a frame is published."""
        with self._lock:
            self.is_stalled, self._stall_timeout_sec, self.last_error = True, 0.0, reason

    def summary(self) -> tuple[Level, str]:
        """Return a level and a sentence. The warnings since the last call are forgotten."""
        with self._lock:
            warnings = self._recent_warnings | self._lasting_warnings
            self._recent_warnings = {}
        if self.is_stalled:
            return Level.ERROR, _silence(self) if self._stall_timeout_sec else self.last_error
        if not self.received:
            return Level.WARN, f'no frame has come on {self._topic}'
        if any(warnings.values()):
            return Level.WARN, '; '.join(f'{effect}: {reason}'
                                         for effect, reason in warnings.items() if reason)
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
            facts = dict(self._facts)
        recent = [t for t in times if t > time.monotonic() - RATE_WINDOW_SEC]
        rate = (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0
        percentile = partial(np.percentile, latencies) if latencies else lambda _: float('nan')
        return {'rate_hz': f'{rate:.1f}', 'latency_p50_ms': f'{percentile(50):.1f}',
                'latency_p95_ms': f'{percentile(95):.1f}', 'received': str(self.received),
                'published': str(self.published), 'dropped': str(self.dropped),
                'last_error': self.last_error, **facts}


def _silence(health: CameraHealth) -> str:
    """Say for how long no frame has come, or come to an end."""
    silent_sec = time.monotonic() - health._last_finished_sec
    start = 'no frame finished' if health.received else f'no frame has come on {health._topic}'
    return f'{start} for {silent_sec:.1f} s (stall_timeout {health._stall_timeout_sec})'
