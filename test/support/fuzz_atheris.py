"""Run a fuzz target by Atheris, which looks for inputs that reach new code (``make fuzz``).

Half of its changes are cases drawn as in the tests, the other half are its own. Each input is
judged as in the tests. An input that breaks a promise is kept in the folder of the run, and
``python -m support.fuzz_atheris TARGET FILE`` repeats it.
"""

from __future__ import annotations

import random
import sys

import atheris

with atheris.instrument_imports(include=['enet_ros']):
    from support.fuzz_run import CAPACITY, Examiner, Report
    from support.fuzz_targets import target_of

    name = sys.argv[1]
    target = target_of(name)
    target.draw(random.Random(0))  # imports and files that cases are drawn from

examiner = Examiner(target, Report())


def mutate(data, most_bytes, seed):
    """Return another input."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        return target.draw(rng)[:most_bytes]
    return atheris.Mutate(data, most_bytes)


def examine(data):
    """Judge an input, and count it."""
    examiner.report.cases += 1
    examiner.examine(data)
    if examiner.report.cases % 500 == 0:
        report = examiner.report
        print(f'{name}: {report.cases} cases, {report.accepted} accepted, slowest '
              f'{report.slowest_sec:.3f} s, most {report.most_mb:.0f} MB', flush=True)


atheris.Setup([sys.argv[0], f'-max_len={CAPACITY}', *sys.argv[2:]], examine,
              custom_mutator=mutate)
atheris.Fuzz()
