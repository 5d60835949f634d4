"""Readers with one fault each, which the harness of the fuzzing must see."""

from __future__ import annotations

import ctypes
import os
import time

import numpy as np
from support.fuzz_run import Target


def _reads_too_far(content):
    address = np.frombuffer(content, np.uint8).ctypes.data
    ctypes.string_at(address, len(content) + 1)


def _takes_memory(content):
    np.ones(400_000_000, np.uint8)


def _takes_time(content):
    end = time.process_time() + 0.7
    while time.process_time() < end:
        pass


def _raises_another(content):
    raise KeyError('name')


def _refuses_in_two_lines(content):
    raise ValueError('a\nb')


def _runs_a_command(content):
    try:
        os.system('true')
    except Exception as error:  # as readers do that take any exception for damage
        raise ValueError('damaged') from error


FAULTS = {'reads_too_far': _reads_too_far, 'takes_memory': _takes_memory,
          'takes_time': _takes_time, 'raises_another': _raises_another,
          'refuses_in_two_lines': _refuses_in_two_lines, 'runs_a_command': _runs_a_command,
          'has_none': lambda content: bytes(content)}


def canary(name):
    """Return a target of a fault."""
    return Target(lambda rng: rng.randbytes(rng.randint(1, 9000)), FAULTS[name], (ValueError,),
                  is_guarded=True)
