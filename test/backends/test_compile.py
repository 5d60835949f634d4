"""A network is compiled in a child process, and in this one where that fails."""

import os
import subprocess
import sys
import threading
import time

import pytest

from enet_ros.backends import compile as compiling
from enet_ros.perception.segmenter import Segmenter

SMALL = {'resolution': (160, 96), 'backend': 'openvino', 'precision': 'float32'}


@pytest.fixture
def open_cold(tmp_path, monkeypatch):
    """A function that opens a segmenter with an empty cache: returns it and what was reported."""
    monkeypatch.setenv('ENET_ROS_CACHE', str(tmp_path / 'cache'))

    def open_one():
        said = []
        segmenter = Segmenter.from_file(**SMALL, report=said.append)
        segmenter.warm_up()
        return segmenter, said

    return open_one


def test_a_child_fills_the_cache_and_this_process_only_loads(tmp_path):
    code = ('import sys\n'
            'from enet_ros.perception.segmenter import Segmenter\n'
            'said = []\n'
            's = Segmenter.from_file(resolution=(160, 96), precision="float32", '
            'backend="openvino", report=said.append)\n'
            's.warm_up()\n'
            'print(s.backend.from_cache, "torch" in sys.modules, said)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                          env={**os.environ, 'ENET_ROS_CACHE': str(tmp_path)}, timeout=120)
    assert done.stdout.strip() == ("True False ['compiling the network for 160x96 in a child "
                                   "process']")


def test_the_interpreter_is_never_held_for_long_meanwhile(open_cold):
    import openvino  # noqa: F401  the import itself is measured elsewhere
    longest, finished = 0.0, threading.Event()

    def work():
        open_cold()
        finished.set()

    threading.Thread(target=work, daemon=True).start()
    last = time.monotonic()
    while not finished.is_set():
        time.sleep(0.002)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    assert longest < 0.5  # 0.05 on an idle machine; 0.36 s and more where this process compiles


@pytest.mark.parametrize(('command', 'reason'), [
    ([sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)'], 'signal 9, out of memory?'),
    ([sys.executable, '-c', 'import sys; sys.exit(3)'], 'exit code 3'),
    ([sys.executable, '-c', 'print("enet_ros: no luck"); raise SystemExit(1)'], '(no luck)'),
    (['/nowhere/python'], 'no process can be started')])
def test_where_the_child_fails_this_process_compiles(open_cold, monkeypatch, command, reason):
    monkeypatch.setattr(compiling, 'COMPILE_COMMAND', command)
    segmenter, said = open_cold()
    assert not segmenter.backend.from_cache
    assert any(reason in text and 'compiling in this process' in text for text in said), said


def test_without_a_cache_folder_the_child_is_used_all_the_same(open_cold, monkeypatch):
    monkeypatch.setenv('ENET_ROS_CACHE', '/proc/nowhere')
    segmenter, said = open_cold()
    assert segmenter.backend.from_cache
    assert 'the cache folder /proc/nowhere cannot be made' in said[0]
    assert len(said) == 2


def test_a_child_that_leaves_no_good_file_is_no_loss(open_cold, monkeypatch):
    monkeypatch.setattr(compiling, 'COMPILE_COMMAND', [sys.executable, '-c', 'pass'])
    segmenter, _ = open_cold()
    assert not segmenter.backend.from_cache
