"""A whole walk: the warm-up, two halves, and what the second one added."""

from __future__ import annotations

import time
from dataclasses import dataclass

from support.walk.process import WalkFailed
from support.walk.walk import Walk

SETTLE_SEC = 20.0
MOST_GROWTH_MB = 30.0


@dataclass(frozen=True)
class Held:
    """What an unconfigured node holds.

    Attributes:
        counts: Entities, threads and open files, and what the graph has of the node.
        rss_mb: Memory in MB.
    """

    counts: dict[str, int]
    rss_mb: float


def hold(walk, most=None):
    """Take the node home and return what it holds there.

    Args:
        walk: The walk.
        most: Counts that it has to come down to; ended threads and peers need a moment.
    """
    walk.go_home()
    deadline = time.monotonic() + SETTLE_SEC
    while True:
        time.sleep(0.5)
        held = Held(*walk.held())
        if time.monotonic() > deadline or most is not None and not grown(most, held.counts):
            return held
        if most is None and time.monotonic() > deadline - SETTLE_SEC + 3.0:
            return held


def grown(before, after):
    """Return the counts that are greater than before, as text."""
    return ', '.join(f'{name} {before.get(name, 0)} -> {count}' for name, count in after.items()
                     if count > before.get(name, 0))


def compare(middle, end, most_growth_mb=MOST_GROWTH_MB):
    """Raise WalkFailed if the second half of a walk added something.

    Args:
        middle, end: What the node held in one state.
        most_growth_mb: Memory that may have been added.
    """
    if more := grown(middle.counts, end.counts):
        raise WalkFailed(f'the second half left behind: {more}')
    growth_mb = end.rss_mb - middle.rss_mb
    if growth_mb >= most_growth_mb:
        raise WalkFailed(f'the second half added {growth_mb:.1f} MB, wanted less than '
                         f'{most_growth_mb:g} MB')


def run_walk(steps, seed, say=print):
    """Walk, and return what the second half added to the memory, in MB.

    Args:
        steps: Number of steps, in two halves.
        seed: Number that decides every step.
        say: Called with one line for each step.

    Raises:
        WalkFailed: The node broke a promise. The message names the seed and the step.
    """
    started, walk, number = time.monotonic(), Walk(seed), 0
    try:
        walk.warm_up()
        start = middle = end = hold(walk)
        for number in range(1, steps + 1):
            try:
                line = walk.step(number)
                say(f'{number:4d} {time.monotonic() - started:6.1f} s  {line}')
            except WalkFailed as failure:
                say(f'{number:4d} FAILED: {failure}')
                raise
            if number == steps // 2:
                middle = hold(walk, start.counts)
        end = hold(walk, middle.counts)
        compare(middle, end)
        walk.shut_down()
    except WalkFailed as failure:
        raise WalkFailed(f'seed {seed}, step {number}: {failure}{walk.disturbance()}') from failure
    finally:
        walk.close()
    say(f'seed {seed}: {steps} steps; after the warm-up {start.rss_mb:.1f} MB, in the middle '
        f'{middle.rss_mb:.1f} MB, at the end {end.rss_mb:.1f} MB; {walk.sender.resent} frames '
        f'were sent again; {end.counts}')
    return end.rss_mb - middle.rss_mb
