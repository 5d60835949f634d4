"""How an executable starts, by stages, and ends: soon after SIGINT or SIGTERM, exit code 0."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
GRACE_SEC = 1.5  # for a clean end; a network that compiles or runs cannot be interrupted


class Stages:
    """Measures a start, stage by stage, in seconds of ``time.monotonic``.

    Attributes:
        started: when it began.
        seconds: stage -> how long it took, in order.
    """

    def __init__(self, started: float | None = None):
        self.started = self._last = time.monotonic() if started is None else started
        self.seconds: dict[str, float] = {}

    def end(self, stage: str, now: float | None = None) -> None:
        """Add the time since the stage before to a stage."""
        now = time.monotonic() if now is None else now
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now

    def total(self) -> float:
        """Return the seconds from the beginning to the end of the last stage."""
        return self._last - self.started

    def __str__(self) -> str:
        return ', '.join(f'{stage} {seconds:.2f}' for stage, seconds in self.seconds.items())


def process_start() -> float:
    """Return when this process started, by ``time.monotonic``; now where Linux does not say."""
    try:
        with open('/proc/self/stat') as file:
            ticks = int(file.read().rpartition(')')[2].split()[19])  # starttime, see proc(5)
        age_sec = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf('SC_CLK_TCK')
    except (OSError, AttributeError, ValueError, IndexError):
        age_sec = 0.0
    return time.monotonic() - age_sec


class StopSignals:
    """Waits for a stop signal in a thread of its own.

    A handler in Python would run only when the main thread next executes Python: not while a
    library is imported or a network compiled. Make it before anything starts a thread, because
    threads inherit which signals are blocked; a child process must unblock them.
    """

    def __init__(self):
        self.received = False
        self._finished = threading.Event()
        self._shut_down: Callable[[], object] | None = None
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        threading.Thread(target=self._wait, name='stop signals', daemon=True).start()

    def on_stop(self, shut_down: Callable[[], object]) -> None:
        """Name what makes the main thread return, such as ``rclpy.try_shutdown``."""
        self._shut_down = shut_down

    def finish(self, exit_code: int) -> None:
        """End the process after a clean end of the main thread.

        Without Python's own finalisation: a thread may still be inside the network, and it would
        wake up in an interpreter that is gone.
        """
        self._finished.set()
        _exit(exit_code)

    def _wait(self) -> None:
        signal.sigwait(STOP_SIGNALS)
        self.received = True
        if self._shut_down is not None:
            self._shut_down()
            self._finished.wait(GRACE_SEC)
        _exit(0)


def _exit(exit_code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def run_node(make_node: Callable[[], object], start: Callable[[object], bool],
             stop: StopSignals) -> None:
    """Run one node until a stop signal, and end the process.

    Args:
        make_node: builds the node after ``rclpy.init``; it may raise ValueError.
        start: called with the node before it spins; False ends with exit code 1.
        stop: made first of all.
    """
    import rclpy
    from rclpy._rclpy_pybind11 import RCLError
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    exit_code, node = 1, None
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        stop.on_stop(rclpy.try_shutdown)
        node = make_node()
        if start(node):
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            exit_code = 0
            executor.spin()
    except ExternalShutdownException:
        pass
    except (ValueError, RCLError) as error:
        if not stop.received:
            print(f'{error}', file=sys.stderr)
            exit_code = 1
    except Exception:
        if not stop.received:  # what else fails while rclpy shuts down is of no interest
            import traceback
            traceback.print_exc()
            exit_code = 1
    _destroy(node)
    rclpy.try_shutdown()
    stop.finish(0 if stop.received else exit_code)


def _destroy(node) -> None:
    """Destroy a node, and with it the middleware's shared memory, which would outlive us."""
    if node is not None:
        try:
            node.destroy_node()
        except Exception:  # half shut down already: there is nothing left to save
            pass
