"""How busy other processes keep the processor while something is measured."""

from __future__ import annotations

import os
import time

import psutil

from enet_ros.machine import available_cores, read_text

#: Share of our cores that other processes may keep busy before a comparison means nothing.
BUSY_SHARE = 0.1


class BackgroundLoad:
    """Counts the processor time that other processes take, from the making of the object on.

    This process and its children do not count. Time that the host of a virtual machine steals
    counts as other processes' time.
    """

    def __init__(self):
        self._started, self._busy, self._own = time.perf_counter(), _busy_sec(), self._own_sec()
        self._by_process = _seconds_by_process()

    def cores(self) -> float:
        """Return how many of our cores other processes kept busy, on average so far."""
        others = _busy_sec() - self._busy - (self._own_sec() - self._own)
        return max(0.0, others / self._elapsed_sec())

    def is_high(self) -> bool:
        """Tell whether other processes kept so many cores busy that a comparison means nothing."""
        return self.cores() > BUSY_SHARE * len(available_cores())

    def culprits(self, most: int = 3) -> list[str]:
        """Name the other processes that took most time: 'name (pid), N % of a core'.

        Args:
            most: How many processes are named at most.
        """
        elapsed, family = self._elapsed_sec(), _family()
        # A process keeps its start time when its name changes, as kernel threads' names do.
        taken = sorted(((seconds - self._by_process.get(key, (0.0, ''))[0], key[0], name)
                        for key, (seconds, name) in _seconds_by_process().items()
                        if key[0] not in family), reverse=True)
        return [f'{name} ({pid}), {100 * seconds / elapsed:.0f} % of a core'
                for seconds, pid, name in taken[:most] if seconds > 0.02 * elapsed]

    def sentence(self) -> str:
        """Say how busy other processes kept the cores, and name them."""
        names = ', '.join(self.culprits())
        return (f'other processes kept {self.cores():.2f} of {len(available_cores())} cores busy'
                + (f': {names}' if names else ''))

    def warning(self) -> str:
        """Return :meth:`sentence` where the load is high, else ''."""
        return self.sentence() if self.is_high() else ''

    def _elapsed_sec(self) -> float:
        return max(time.perf_counter() - self._started, 1e-9)

    def _own_sec(self) -> float:
        """Return the processor time of this process and its children, ended ones included."""
        total = 0.0
        for pid in _family():
            try:
                times = psutil.Process(pid).cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
            if pid == os.getpid():
                total += times.children_user + times.children_system
        return total


def _family() -> set[int]:
    """Return the process ids of this process and its children."""
    return {os.getpid()} | {child.pid for child in psutil.Process().children(recursive=True)}


def _busy_sec() -> float:
    """Return the seconds in which our cores did anything since the machine started."""
    # By name: psutil lists the cores that are online by position, so others' times would count.
    names, ticks = {f'cpu{core}' for core in available_cores()}, 0
    for line in read_text('/proc/stat').splitlines():
        name, *times = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, times[:8])
            ticks += user + nice + system + irq + softirq + steal  # Guests' time is part of user.
    return ticks / os.sysconf('SC_CLK_TCK')


def _seconds_by_process() -> dict[tuple[int, float], tuple[float, str]]:
    """Return (process id, start time) -> (processor time in seconds, name)."""
    seconds = {}
    for process in psutil.process_iter(['pid', 'name', 'create_time', 'cpu_times']):
        times = process.info['cpu_times']
        if times is not None:
            key = process.info['pid'], process.info['create_time']
            seconds[key] = times.user + times.system, process.info['name']
    return seconds
