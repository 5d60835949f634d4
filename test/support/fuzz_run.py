"""Run cases of a fuzz target, and judge each: crash, hang, memory, exception, sentence.

A case is made from the seed and its number alone, so each failure repeats:
``python -m support.fuzz_run TARGET --seed S --first N --count 1`` in the folder test/.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from support.fuzz_memory import GuardedBuffer, PeakMemory, limit_growth

MOST_SEC, MOST_MB = 0.5, 300   # of processor time and of memory, for one case
STUCK_SEC = 120                # by the clock, after which a case is ended from outside
MOST_TEXT = 1000               # characters of an error
ADDRESS_SPACE_MB = 2000
CAPACITY = 8 << 20             # bytes of the largest case
FORBIDDEN = ('os.system', 'os.exec', 'os.posix_spawn', 'os.fork', 'subprocess.Popen',
             'socket.connect', 'os.remove', 'os.rename', 'shutil.rmtree', 'ctypes.dlopen')
TEST_FOLDER = Path(__file__).resolve().parents[1]


class Find(AssertionError):
    """A case that the product does not survive as it promises."""


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Attributes:
        draw: Function of a random.Random that returns the bytes of a case.
        run: Function of these bytes that gives them to the product and checks what is accepted.
        refusals: The exceptions that the product documents.
        is_guarded: Whether the bytes end at a page without access.
    """

    draw: object
    run: object
    refusals: tuple = ()
    is_guarded: bool = False


@dataclass
class Report:
    """What came of some cases.

    Attributes:
        cases: Number of cases that were run.
        accepted: Number of cases that the product took.
        slowest_sec: Processor time of the slowest case.
        most_mb: Memory of the greediest case.
        finds: Sentences that name seed and number.
    """

    cases: int = 0
    accepted: int = 0
    slowest_sec: float = 0.0
    most_mb: float = 0.0
    finds: list = field(default_factory=list)


class Examiner:
    """Gives cases to a target and judges them."""

    def __init__(self, target, report):
        """Take the memory for the cases."""
        self._target, self.report = target, report
        self._guard = GuardedBuffer(CAPACITY) if target.is_guarded else None
        self._peak = PeakMemory()
        self._is_running, self._forbidden = False, ''
        sys.addaudithook(self._watch)
        limit_growth(ADDRESS_SPACE_MB)

    def examine(self, content):
        """Run one case.

        Raises:
            Find: The case breaks a promise.
        """
        seconds, megabytes = self._measured(content)
        for _ in range(2):  # The first time counts imports and other work of the machine.
            if seconds <= MOST_SEC and megabytes <= MOST_MB:
                break
            seconds, megabytes = map(min, zip((seconds, megabytes), self._measured(content)))
        self.report.slowest_sec = max(self.report.slowest_sec, seconds)
        self.report.most_mb = max(self.report.most_mb, megabytes)
        if seconds > MOST_SEC:
            raise Find(f'{seconds:.2f} s, wanted at most {MOST_SEC} s')
        if megabytes > MOST_MB:
            raise Find(f'{megabytes:.0f} MB, wanted at most {MOST_MB} MB')

    def _measured(self, content):
        """Run a case. Return its processor time and its memory."""
        given = self._guard.hold(content) if self._guard else bytes(content)
        self._peak.start()
        started, self._is_running = time.process_time(), True
        try:
            self._target.run(given)
            self.report.accepted += 1
        except self._target.refusals as error:
            check_sentence(str(error))
        except Find:
            raise
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise Find(f'{type(error).__name__}: {str(error)[:200]!r} at '
                       f'{Path(place.filename).name}:{place.lineno}') from error
        finally:
            self._is_running = False
        if self._forbidden:
            raise Find(f'the case made the product do {self._forbidden}')
        return time.process_time() - started, self._peak.grown_mb()

    def _watch(self, event, _arguments):
        """Refuse what no reader of a file has to do (PEP 578)."""
        if self._is_running and event in FORBIDDEN:
            self._forbidden = event
            raise Find(event)


def check_sentence(text):
    """Check that an error is one line that a log can show.

    Raises:
        Find: It is not.
    """
    if not text.isprintable() or not 0 < len(text) <= MOST_TEXT:
        raise Find(f'the error is no sentence: {len(text)} characters, {text[:300]!r}')


def case_of(target, seed, number):
    """Return the bytes of a case."""
    return target.draw(random.Random(seed << 32 | number))[:CAPACITY]


def run_here(name, seed, numbers, progress_file=None, most_finds=20):
    """Run some cases in this process."""
    from support.fuzz_targets import target_of
    target, report = target_of(name), Report()
    examiner = Examiner(target, report)
    for number in numbers:
        content = case_of(target, seed, number)
        if progress_file is not None:
            os.pwrite(progress_file, b'%12d' % number, 0)
            signal.setitimer(signal.ITIMER_REAL, STUCK_SEC)
        report.cases += 1
        try:
            examiner.examine(content)
        except Find as find:
            report.finds.append(f'{name}, seed {seed}, case {number}: {find}')
            if len(report.finds) >= most_finds:
                break
    signal.setitimer(signal.ITIMER_REAL, 0)
    return report


def run_in_child(name, seed, first, count, timeout_sec=600):
    """Run some cases in a process of their own, so that its death is a find."""
    with tempfile.NamedTemporaryFile() as progress:
        command = [sys.executable, '-m', 'support.fuzz_run', name, '--seed', str(seed), '--first',
                   str(first), '--count', str(count), '--progress', progress.name]
        done = subprocess.run(command, cwd=TEST_FOLDER, timeout=timeout_sec, text=True,
                              capture_output=True, errors='replace',
                              env=os.environ | {'OMP_NUM_THREADS': '1'})
        if done.returncode < 0:
            number = progress.read().decode().strip() or f'{first}, before it'
            return Report(finds=[f'{name}, seed {seed}, case {number}: the process ended by '
                                 f'{signal.Signals(-done.returncode).name}'])
    if done.returncode:
        raise RuntimeError(f'{" ".join(command)} ended with {done.returncode}: {done.stderr}')
    return Report(**json.loads(done.stdout.splitlines()[-1]))


def main():
    """Run the cases of the command line, and print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('target')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--first', type=int, default=0)
    parser.add_argument('--count', type=int, default=2000)
    parser.add_argument('--progress', help='file that always holds the number of the case')
    args = parser.parse_args()
    progress = os.open(args.progress, os.O_WRONLY) if args.progress else None
    report = run_here(args.target, args.seed, range(args.first, args.first + args.count), progress)
    print(json.dumps(vars(report)))


if __name__ == '__main__':
    main()
