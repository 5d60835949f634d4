"""Facts of the machine, and keys of the cache."""

import os
import subprocess
import sys

from enet_ros import machine
from enet_ros.backends.cache import cache_key


def test_cores_are_those_on_which_this_process_may_run(monkeypatch):
    """A container or taskset gives fewer; threads and 'busy' of the bench are counted by them."""
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {7, 5, 6})
    assert machine.available_cores() == (5, 6, 7)
    assert machine.describe_machine().cores == 3


def test_openvino_is_imported_without_its_telemetry():
    code = ('import sys\nfrom enet_ros.machine import import_openvino\nimport_openvino()\n'
            "print(sys.modules['openvino_telemetry'])")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == 'None', done.stderr


def test_keys_of_the_cache_do_not_meet():
    assert len({cache_key('openvino', number) for number in range(1000)}) == 1000
