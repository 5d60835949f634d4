"""Whether the network hangs: it got a frame, and returns neither a result nor an error.

A network that hangs, or that cannot run again in this process, ends the process.
"""

from __future__ import annotations

import time

from enet_ros.ros.process import EXIT_NETWORK

#: Greatest time that counts between two looks. A process that is stopped by SIGSTOP, or by a
#: debugger, looks at nothing, and its network does not run either: that is no hang.
LONGEST_LOOK_SEC = 1.0


class HangClock:
    """Measures how long one call of the network takes, in time in which the process ran."""

    def __init__(self):
        self._since_sec: float | None = None
        self._last_look_sec = self._seconds = 0.0

    def look(self, since_sec: float | None, now_sec: float | None = None) -> float:
        """Look at the call that runs. Call this at least every ``LONGEST_LOOK_SEC``.

        Args:
            since_sec: When the call began, by ``time.monotonic``, or None if none runs.
            now_sec: Time of this look by the same clock, or None for now.

        Returns:
            Seconds that the call has taken, 0 if none runs.
        """
        now_sec = time.monotonic() if now_sec is None else now_sec
        if since_sec is None:
            self._seconds = 0.0
        else:
            begin_sec = self._last_look_sec if since_sec == self._since_sec else since_sec
            counted_sec = min(now_sec - begin_sec, LONGEST_LOOK_SEC)
            self._seconds = counted_sec + (
                self._seconds if since_sec == self._since_sec else 0.0)
        self._since_sec, self._last_look_sec = since_sec, now_sec
        return self._seconds


def hang_problem(backend: str, seconds: float, timeout_sec: float) -> str:
    """Return the sentence that says that a backend hangs, and what follows."""
    return (f'the network hangs: {backend} has not returned a frame for {seconds:.1f} s '
            f'(backend_timeout {timeout_sec}), so the process ends with exit code {EXIT_NETWORK}')


def loss_problem(backend: str, error: str) -> str:
    """Return the sentence that says that a backend cannot run again, and what follows."""
    return (f'the network is lost: {backend} cannot run again in this process ({error}), so the '
            f'process ends with exit code {EXIT_NETWORK}')
