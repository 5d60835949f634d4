"""Where engines come from: keys, builds that are interrupted, files that must not be used."""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fake_gpu import ORIN, SIZE, WAIT_SEC, until

from enet_ros.backends.cache import read_file, write_file
from enet_ros.backends.tensorrt import build, supply
from enet_ros.backends.tensorrt.build import BuildRequest


@pytest.mark.parametrize('change', [
    {'gpu': 'Thor'}, {'capability': (8, 6)}, {'multiprocessors': 8}, {'torch': '2.9.0'},
    {'cuda': '13.0'}, {'tensorrt': '10.4.0'}, {'torch_tensorrt': '2.9.0'},
    {'tensorrt_kind': 'TensorRT-RTX'}])
def test_a_key_differs_with_everything_of_the_machine(request_, change):
    assert supply.engine_name(ORIN, request_, confidence=False) == supply.engine_name(
        replace(ORIN), replace(request_), confidence=False)
    assert supply.engine_name(ORIN, request_, confidence=False) != supply.engine_name(
        replace(ORIN, **change), request_, confidence=False)


def test_a_key_differs_with_everything_of_the_request(request_, checkpoint):
    tensors = dict(checkpoint.tensors)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name] + np.float16(0.5)
    others = [{'resolution': SIZE[::-1]}, {'batch': 2},
              {'checkpoint': replace(checkpoint, tensors=tensors)},
              {'checkpoint': replace(checkpoint, temperature=9.0)},
              {'checkpoint': replace(checkpoint, mean=(0.1, 0.2, 0.3))}]
    names = {supply.engine_name(ORIN, replace(request_, **other), confidence=confidence)
             for other in [{}, *others] for confidence in (False, True)}
    assert len(names) == 2 * (1 + len(others))


@pytest.mark.parametrize('version', ['ENGINE_VERSION', 'GRAPH_VERSION'])
def test_a_key_differs_with_our_own_versions(request_, monkeypatch, version):
    before = supply.engine_name(ORIN, request_, confidence=False)
    monkeypatch.setattr(supply, version, 999)
    assert supply.engine_name(ORIN, request_, confidence=False) != before


def kill_in_the_middle(gpu, number):
    """Start a build and end the child while it compiles; returns the backend."""
    gpu.gate.touch()
    backend = gpu.open()
    until(lambda: 'compiling' in backend.status(), backend.status())
    os.kill(backend._supply._child.pid, number)
    until(lambda: 'failed' in backend.status(), backend.status())
    gpu.gate.unlink()
    return backend


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_build_leaves_no_file_and_the_next_start_builds_again(
        gpu, frames, number):
    backend = kill_in_the_middle(gpu, number)
    assert f'signal {number:d}' in backend.status()
    assert not gpu.engines()
    assert backend.infer(frames)[0].shape == (3, SIZE[1], SIZE[0])  # torch goes on
    again = gpu.open()
    assert again.wait(timeout_sec=WAIT_SEC)
    assert [path.suffix for path in sorted(gpu.cache.iterdir())] == ['.engine', '.lock']


def test_an_engine_in_a_cache_of_a_read_only_disk_is_loaded(gpu, monkeypatch):
    assert gpu.open().wait(timeout_sec=WAIT_SEC)
    monkeypatch.setattr(os, 'access', lambda *_: False)  # root may write anywhere
    again = gpu.open()
    assert again.wait(timeout_sec=WAIT_SEC)
    assert 'from the cache' in again.status()


def test_a_build_whose_process_cannot_be_started_has_failed(gpu, frames, monkeypatch):
    def fail(*arguments):
        raise OSError(12, 'Cannot allocate memory')

    monkeypatch.setattr(supply, 'start_child', fail)
    backend = gpu.open()
    assert not backend.wait(timeout_sec=WAIT_SEC)
    assert 'failed: no process can be started: [Errno 12] Cannot allocate memory' \
        in backend.status()
    assert backend.infer(frames)[0].shape == (3, SIZE[1], SIZE[0])  # torch goes on


def test_a_child_can_be_interrupted_though_its_parent_blocks_signals(gpu):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        assert 'signal 15' in kill_in_the_middle(gpu, signal.SIGTERM).status()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def test_dropping_the_backend_ends_the_build(gpu):
    def child_of_a_dropped_backend():
        backend = gpu.open()
        until(lambda: 'compiling' in backend.status(), backend.status())
        return backend._supply._child

    gpu.gate.touch()
    child = child_of_a_dropped_backend()
    until(lambda: child.poll() is not None, 'the child lives on')
    assert child.returncode == -signal.SIGKILL


def test_the_build_ends_with_a_parent_that_is_killed(gpu, request_):
    """As a node that is killed, or that exits without Python's own finalization."""
    gpu.gate.touch()
    path = gpu.folder / 'parents.engine'
    code = ('import os, pickle, subprocess, sys, time\n'
            'child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE,\n'
            '                         stdout=subprocess.DEVNULL)\n'
            'request = pickle.load(sys.stdin.buffer)\n'
            'object.__setattr__(request, "parent", os.getpid())\n'
            'pickle.dump(request, child.stdin); child.stdin.close()\n'
            'print(child.pid, flush=True); time.sleep(100)\n')
    parent = subprocess.Popen([sys.executable, '-c', code, *supply.BUILD_COMMAND],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pickle.dump(BuildRequest(request_.checkpoint, SIZE, 1, False, path), parent.stdin)
    parent.stdin.close()
    pid = int(parent.stdout.readline())
    until((gpu.folder / '.build-parents').exists, 'no build began')
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not alive(pid), 'the child lives on')
    assert not path.exists()


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def test_a_build_that_fails_says_why_and_torch_goes_on(gpu, frames):
    gpu.builds(step="raise RuntimeError('no kernel for\\nlayer 7')")
    backend = gpu.open()
    assert not backend.wait(timeout_sec=WAIT_SEC)
    assert backend.status() == ('labels: failed: RuntimeError: no kernel for layer 7 '
                                '(torch serves the frames)')
    assert backend.infer(frames)[0].shape == (3, SIZE[1], SIZE[0])
    assert not gpu.engines()


def test_a_compiler_that_crashes_takes_only_the_child_with_it(gpu, frames):
    gpu.builds(step='import os; os.abort()')
    backend = gpu.open()
    assert not backend.wait(timeout_sec=WAIT_SEC)
    assert 'signal 6' in backend.status()
    assert backend.infer(frames)[0].shape == (3, SIZE[1], SIZE[0])


def test_two_processes_build_one_engine_once(tmp_path, request_, monkeypatch):
    """The second waits for the lock, and finds the file."""
    made = []

    def compile_engine(request, folder):
        made.append(request)
        write_file(request.path, b'engine 1.0')  # as if the other had finished meanwhile
        return b'engine 1.0'

    monkeypatch.setattr(build, 'compile_engine', compile_engine)
    request = BuildRequest(request_.checkpoint, SIZE, 1, False, tmp_path / 'a.engine')
    build.build(request)
    build.build(request)
    assert len(made) == 1
    assert read_file(request.path) == b'engine 1.0'


def built_once(gpu):
    assert gpu.open().wait(timeout_sec=WAIT_SEC)
    [path] = gpu.engines()
    gpu.runners.clear()
    return path


@pytest.mark.parametrize('damage', [
    lambda content: content[:-1] + bytes([content[-1] ^ 1]), lambda content: content[:20],
    lambda content: b'', lambda content: b'something else altogether' * 100])
def test_a_damaged_file_is_not_loaded_but_built_again(gpu, damage):
    path = built_once(gpu)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    backend = gpu.open()
    assert not gpu.runners
    assert backend.wait(timeout_sec=WAIT_SEC)
    assert 'after it was built' in backend.status()
    assert path.read_bytes() == whole


def test_another_users_file_is_not_loaded_but_built_again(gpu):
    path = built_once(gpu)
    if os.getuid() != 0:
        pytest.skip('only root can give files away')
    os.chown(path, 12345, -1)
    backend = gpu.open()
    assert not gpu.runners
    assert backend.wait(timeout_sec=WAIT_SEC)
    assert path.stat().st_uid == os.getuid()


def test_a_folder_that_others_may_write_is_not_used(gpu):
    built_once(gpu)
    gpu.cache.chmod(0o777)
    backend = gpu.open()
    assert not gpu.runners
    assert backend.wait(timeout_sec=WAIT_SEC)
    assert 'after it was built' in backend.status()


def test_a_whole_file_that_does_not_load_is_built_again(gpu):
    path = built_once(gpu)
    write_file(path, b'made by another TensorRT')
    backend = gpu.open()
    assert backend.wait(timeout_sec=WAIT_SEC)
    assert read_file(path) == b'engine 1.0'


def test_a_good_file_survives_a_gpu_whose_memory_is_full(gpu, frames, monkeypatch):
    path, load = built_once(gpu), supply.load_engine
    whole = path.read_bytes()

    def fail(*arguments):
        raise RuntimeError('CUDA out of memory.\nTried to allocate 20 MiB.')

    monkeypatch.setattr(supply, 'load_engine', fail)
    gpu.builds(step="raise MemoryError('no memory for the build')")
    backend = gpu.open()
    assert not backend.wait(timeout_sec=WAIT_SEC)
    assert backend.status() == (
        'labels: failed: MemoryError: no memory for the build; the engine in the cache did not '
        'load (RuntimeError: CUDA out of memory. Tried to allocate 20 MiB.) and is kept until '
        'another one is built (torch serves the frames)')
    assert path.read_bytes() == whole
    monkeypatch.setattr(supply, 'load_engine', load)
    again = gpu.open()
    assert again.wait(timeout_sec=WAIT_SEC)
    assert 'from the cache' in again.status()
