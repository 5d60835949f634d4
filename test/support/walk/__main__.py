"""``make walk STEPS=500 SEED=1``: walk one node, and say how that went."""

import argparse
import os
import sys
from functools import partial

from support.walk.process import WalkFailed
from support.walk.run import run_walk


def main():
    """Walk; return the exit code."""
    parser = argparse.ArgumentParser(prog='make walk', description=__doc__)
    parser.add_argument('--steps', type=int, default=500, help='number of steps')
    parser.add_argument('--seed', type=int, default=1, help='number that decides every step')
    options = parser.parse_args()
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    try:
        growth_mb = run_walk(options.steps, options.seed, partial(print, flush=True))
    except WalkFailed as failure:
        print(f'failed: {failure}\nrepeat it with make walk STEPS={options.steps} '
              f'SEED={options.seed}', file=sys.stderr)
        return 1
    print(f'passed: the second half added {growth_mb:.1f} MB')
    return 0


sys.exit(main())
