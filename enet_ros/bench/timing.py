"""Time several calls in alternating rounds, so that all of them meet the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

RUNS_PER_ROUND = 5
PAUSE_SEC = 0.05  # the previous runtime's threads keep spinning for a moment

LIMITED_ROUNDS = 3         # of :func:`alternate_within_time`
LIMITED_ROUND_SEC = 2.0    # after which such a round ends, however few runs it had

Call = Callable[[], object]


def _nothing() -> None:
    """Stand in where nobody wants to know of a finished round."""


def alternate(calls: Mapping[str, Call], runs: int, on_round: Call = _nothing,
              pause_sec: float = PAUSE_SEC) -> dict[str, np.ndarray]:
    """Time calls in rounds of a few runs. The first run of each round does not count.

    Args:
        calls: Name -> what is timed.
        runs: Number of runs of each call.
        on_round: Called after every round of a call, for a progress bar.
        pause_sec: Pause before each round, in seconds.

    Returns:
        name -> seconds of every run, (runs,) float64.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for index in range(rounds_of(runs)):
        shift = index % max(len(names), 1)  # no call always follows the same neighbor's heat
        for name in names[shift:] + names[:shift]:
            time.sleep(pause_sec)
            calls[name]()
            for _ in range(min(RUNS_PER_ROUND, runs - len(seconds[name]))):
                seconds[name].append(_seconds_of(calls[name]))
            on_round()
    return {name: np.array(values) for name, values in seconds.items()}


def rounds_of(runs: int) -> int:
    """Return how many rounds :func:`alternate` gives each call."""
    return -(-runs // RUNS_PER_ROUND)


def alternate_within_time(calls: Mapping[str, Call], runs: int,
                          on_round: Call = _nothing) -> dict[str, np.ndarray]:
    """Time calls whose speeds differ by a large factor, in LIMITED_ROUNDS rounds.

    A round ends after its share of the runs, or after LIMITED_ROUND_SEC with at least one run.
    A slow call thus has few runs, and a fast one has all of them. The first run of each call
    does not count.

    Args:
        calls: Name -> what is timed.
        runs: Most runs of each call, rounded up to a multiple of LIMITED_ROUNDS.
        on_round: Called after every round of a call, for a progress bar.

    Returns:
        name -> seconds of every run, (at most runs,) float64.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(LIMITED_ROUNDS):
        for name, call in calls.items():
            time.sleep(PAUSE_SEC)
            seconds[name] += _run_within_time(call, -(-runs // LIMITED_ROUNDS))
            on_round()
    return {name: np.array(values) for name, values in seconds.items()}


def _run_within_time(call: Call, most: int) -> list[float]:
    """Return the seconds of one to ``most`` runs, as many as fit into LIMITED_ROUND_SEC."""
    seconds: list[float] = []
    deadline = time.perf_counter() + LIMITED_ROUND_SEC
    while not seconds or (len(seconds) < most and time.perf_counter() < deadline):
        seconds.append(_seconds_of(call))
    return seconds


def _seconds_of(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def summary(seconds: np.ndarray) -> dict[str, float]:
    """Return the median and the 95th percentile of seconds, as 'median_ms' and 'p95_ms'."""
    return {'median_ms': round(1e3 * float(np.median(seconds)), 3),
            'p95_ms': round(1e3 * float(np.percentile(seconds, 95)), 3)}


def round_medians(seconds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the median of each round of what :func:`alternate` returned, name -> (rounds,)."""
    return {name: np.array([np.median(values[start:start + RUNS_PER_ROUND])
                            for start in range(0, len(values), RUNS_PER_ROUND)])
            for name, values in seconds.items()}


def size_name(resolution: Sequence[int]) -> str:
    """Return (640, 360) as '640x360'."""
    width, height = resolution
    return f'{width}x{height}'
