"""Time several things side by side: turns alternate, so that all see the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

RUNS_A_TURN = 5
PAUSE_SEC = 0.05  # the threads of the runtime before wait actively for a while


def alternate(calls: Mapping[str, Callable[[], object]], runs: int,
              each: Callable[[], object] = lambda: None,
              pause_sec: float = PAUSE_SEC) -> dict[str, np.ndarray]:
    """Time calls in turns of a few runs, each turn after a run that does not count.

    Args:
        calls: name -> what to time.
        runs: of each call.
        each: called after every turn, for a progress bar.
        pause_sec: before each turn.

    Returns:
        name -> seconds of every run, (runs,) float64.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(turns_of(runs)):
        shift = turn % max(len(names), 1)  # nobody always follows the same neighbour's heat
        for name in names[shift:] + names[:shift]:
            time.sleep(pause_sec)
            calls[name]()
            for _ in range(min(RUNS_A_TURN, runs - len(seconds[name]))):
                started = time.perf_counter()
                calls[name]()
                seconds[name].append(time.perf_counter() - started)
            each()
    return {name: np.array(values) for name, values in seconds.items()}


def turns_of(runs: int) -> int:
    """Return how many turns a call gets."""
    return -(-runs // RUNS_A_TURN)


def summary(seconds: np.ndarray) -> dict[str, float]:
    """Return 'median_ms' and 'p95_ms' of seconds."""
    return {'median_ms': round(1e3 * float(np.median(seconds)), 3),
            'p95_ms': round(1e3 * float(np.percentile(seconds, 95)), 3)}


def turn_medians(seconds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the median of each turn, name -> (turns,), of what :func:`alternate` returned."""
    return {name: np.array([np.median(values[start:start + RUNS_A_TURN])
                            for start in range(0, len(values), RUNS_A_TURN)])
            for name, values in seconds.items()}


def size_name(resolution: Sequence[int]) -> str:
    """Return (640, 360) as '640x360'."""
    width, height = resolution
    return f'{width}x{height}'
