"""How an executable starts and ends.

The start is measured by stages. SIGINT, SIGTERM and SIGHUP end the process soon, with exit code 0.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine

from enet_ros.common.one_line_error import describe_error
from enet_ros.ros.logs import WARNING_PERIOD_SEC
from enet_ros.ros.shared_memory import remove_own
from enet_ros.ros.start_errors import explain_start, home_problem

STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})  # or a closed terminal
#: The network hangs or is lost: EX_SOFTWARE of sysexits.h. Neither Python nor launch uses it.
EXIT_NETWORK = 70
GRACE_SEC = 1.5  # for a clean end, since nothing interrupts a network that compiles or runs


class ProcessFailure(Exception):
    """A fault that a callback cannot mend. It ends the process with an exit code of its own."""

    def __init__(self, reason: str, exit_code: int):
        """Keep the exit code.

        Args:
            reason: Sentence that has been logged already.
            exit_code: Exit code, neither 0 nor 1.
        """
        super().__init__(reason)
        self.exit_code = exit_code


class StartupTimer:
    """Measures a start, stage by stage.

    Attributes:
        started_sec: When the start began, by ``time.monotonic``.
        seconds: Stage -> how long it took, in order.
        is_finished: Whether the start is over. Later stages are not measured.
    """

    def __init__(self, started_sec: float | None = None):
        """Begin now, or at an earlier time of ``time.monotonic``."""
        self.started_sec = self._last_sec = (
            time.monotonic() if started_sec is None else started_sec)
        self.seconds: dict[str, float] = {}
        self.is_finished = False

    def end(self, stage: str, now_sec: float | None = None) -> None:
        """Add the time since the last stage to a stage.

        Args:
            stage: Name of the stage.
            now_sec: End of the stage by ``time.monotonic``, or None for now.
        """
        if self.is_finished:
            return
        now_sec = time.monotonic() if now_sec is None else now_sec
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now_sec - self._last_sec
        self._last_sec = now_sec

    def total(self) -> float:
        """Return the seconds from the beginning to the end of the last stage."""
        return self._last_sec - self.started_sec

    def __str__(self) -> str:
        return ', '.join(f'{stage} {seconds:.2f}' for stage, seconds in self.seconds.items())


def process_start() -> float:
    """Return when this process started, by ``time.monotonic``, or now if Linux does not say."""
    try:
        with open('/proc/self/stat') as file:
            ticks = int(file.read().rpartition(')')[2].split()[19])  # starttime, see proc(5)
        age_sec = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf('SC_CLK_TCK')
    except (OSError, AttributeError, ValueError, IndexError):
        age_sec = 0.0
    return time.monotonic() - age_sec


class StopSignals:
    """Waits for a stop signal in a thread of its own.

    A handler in Python would run only when the main thread next executes Python. It does not while
    a library is imported or a network compiled.

    Make this object before anything starts a thread, because threads inherit which signals are
    blocked. A child process must unblock them.
    """

    def __init__(self):
        self.received = False
        self._finished = threading.Event()
        self._shut_down: Callable[[], object] | None = None
        # A shell's nohup has SIGHUP ignored, and a blocked signal would not stay so.
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._signals = STOP_SIGNALS - ({signal.SIGHUP} if is_ignored else set())
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        threading.Thread(target=self._wait, name='stop signals', daemon=True).start()

    def on_stop(self, shut_down: Callable[[], object]) -> None:
        """Set the function that makes the main thread return, such as ``rclpy.try_shutdown``."""
        self._shut_down = shut_down

    def finish(self, exit_code: int) -> None:
        """End the process after a clean end of the main thread.

        Python does not finalize the interpreter. A thread may still be inside the network, and it
        would return to an interpreter that is gone.
        """
        self._finished.set()
        _exit(exit_code)

    def end_within_grace(self, exit_code: int) -> None:
        """End the process soon, even if the clean end of the main thread hangs."""
        timer = threading.Timer(GRACE_SEC, _exit, [exit_code])
        timer.daemon = True
        timer.start()

    def _wait(self) -> None:
        signal.sigwait(self._signals)
        self.received = True
        if self._shut_down is not None:
            self._shut_down()
            self._finished.wait(GRACE_SEC)
        _exit(0)


def _exit(exit_code: int) -> None:
    """End the process at once. Remove the shared memory that the middleware still has."""
    try:
        remove_own()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(exit_code)


def run_node(make_node: Callable[[], object], stop: StopSignals,
             start: Callable[[object], Coroutine] | None = None) -> None:
    """Run one node until a stop signal, and end the process.

    Args:
        make_node: Builds the node after ``rclpy.init``. It may raise ValueError.
        stop: Made before anything else.
        start: Coroutine function that the executor runs first, with the node. If it returns
            False, the exit code is 1.
    """
    import rclpy
    from rclpy.exceptions import InvalidParameterTypeException
    from rclpy.executors import ExternalShutdownException
    from rclpy.signals import SignalHandlerOptions

    from enet_ros.ros.compat import RCLError, UnknownROSArgsError

    exit_code, node = 1, None
    try:
        if problem := home_problem():
            raise ValueError(problem)
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        stop.on_stop(rclpy.try_shutdown)
        node = make_node()
        exit_code = 0 if _spin(node, start) else 1
    except ExternalShutdownException:
        exit_code = 0
    except ProcessFailure as failure:
        exit_code = failure.exit_code
        stop.end_within_grace(exit_code)
    except (ValueError, RCLError, UnknownROSArgsError, InvalidParameterTypeException) as error:
        if not stop.received:
            print(explain_start(str(error)), file=sys.stderr)
    except Exception:
        if not stop.received:  # Errors while rclpy shuts down are of no interest.
            import traceback
            traceback.print_exc()
    _destroy(node)
    rclpy.try_shutdown()
    stop.finish(0 if stop.received else exit_code)


def _spin(node, start: Callable[[object], Coroutine] | None) -> bool:
    """Start a node, and run its callbacks until rclpy shuts down.

    Returns:
        Whether the start succeeded.
    """
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    if start is not None:
        started = executor.create_task(start, node)
        executor.spin_until_future_complete(started)
        if not started.result():
            return False
    while True:
        try:
            executor.spin()
            return True
        except ExternalShutdownException:
            return True
        except ProcessFailure:
            raise
        except Exception as error:  # One callback failed. A robot needs the others.
            if not node.context.ok():
                raise
            node.get_logger().error(
                f'a callback failed, and the node goes on: {describe_error(error)}',
                throttle_duration_sec=WARNING_PERIOD_SEC)


def _destroy(node) -> None:
    """Destroy a node. Also remove the shared memory of the middleware, which would stay."""
    if node is not None:
        try:
            node.destroy_node()
        except Exception:  # The context has shut down. There is nothing left to save.
            pass
