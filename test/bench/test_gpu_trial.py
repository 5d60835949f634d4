"""The trial of the GPU by ``doctor --gpu``, with torch on the CPU in the place of the engine."""

import json

import pytest
import torch

from enet_ros.backends.base import BackendError, BackendRequest
from enet_ros.backends.torch import TorchBackend
from enet_ros.bench import gpu_trial
from enet_ros.network.checkpoint import read_checkpoint, weights_path

SIZE = (96, 64)


class Engine(TorchBackend):
    """Serves like an engine that was built, or loaded from the cache."""

    origin = 'after it was built'

    def status(self):
        return f'labels: engine loaded {self.origin}'


@pytest.fixture
def engine(monkeypatch):
    """Put a backend in the engine's place; return it."""
    backend = Engine(BackendRequest(read_checkpoint(weights_path('')), SIZE))
    monkeypatch.setattr(gpu_trial, 'RESOLUTION', SIZE)
    monkeypatch.setattr(gpu_trial, 'RUNS', 3)
    monkeypatch.setattr(gpu_trial, '_open', lambda weights: (backend, True, 2.5))
    monkeypatch.setattr(gpu_trial, '_open_fused', lambda request: (backend, 20.5))
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'Orin')
    return backend


def run(monkeypatch, capsys, *arguments):
    """Run the child's program; return what it tells its parent."""
    monkeypatch.setattr('sys.argv', ['gpu_trial', *map(str, arguments)])
    assert gpu_trial.main() == 0
    [line] = [line for line in capsys.readouterr().out.splitlines()
              if line.startswith(gpu_trial.MARK)]
    return json.loads(line[len(gpu_trial.MARK):])


def test_both_processes_tell_what_they_found(engine, monkeypatch, capsys, tmp_path):
    labels = tmp_path / 'labels.npy'
    first = run(monkeypatch, capsys, '--labels', labels)
    assert first['built_sec'] == 2.5 and first['agreement'] == 1.0
    assert first['gpu'] == 'Orin' and first['size'] == '96x64' and 'failure' not in first
    assert first['triton'] == {'ready_sec': 20.5, 'agreement': 1.0}
    assert set(first['ms']) == {'tensorrt', 'torch', 'triton'}
    assert all(0 < median <= p95 for median, p95 in first['ms'].values())
    engine.origin = 'from the cache'
    assert run(monkeypatch, capsys, '--labels', labels, '--reload') == {'reload_sec': 2.5}


def test_an_engine_that_is_built_again_or_says_something_else_is_a_failure(
        engine, monkeypatch, capsys, tmp_path):
    labels = tmp_path / 'labels.npy'
    run(monkeypatch, capsys, '--labels', labels)
    assert 'does not load the engine' in run(monkeypatch, capsys, '--labels', labels,
                                             '--reload')['failure']
    engine.origin, infer = 'from the cache', engine.infer
    monkeypatch.setattr(engine, 'infer', lambda frames: (infer(frames)[0] ^ 1, None))
    assert 'gives the same labels on 0.00 % only' in run(
        monkeypatch, capsys, '--labels', labels, '--reload')['failure']


def test_without_tensorrt_torch_is_timed_and_the_reason_is_told(engine, monkeypatch, capsys,
                                                               tmp_path):
    def refuse(weights):
        raise BackendError('torch_tensorrt is not installed')

    monkeypatch.setattr(gpu_trial, '_open', refuse)
    found = run(monkeypatch, capsys, '--labels', tmp_path / 'labels.npy')
    assert found['failure'] == 'torch_tensorrt is not installed'
    assert set(found['ms']) == {'torch', 'triton'}


def test_without_fused_kernels_the_others_are_timed_and_the_reason_is_told(
        engine, monkeypatch, capsys, tmp_path):
    def refuse(request):
        raise BackendError('triton is not installed')

    monkeypatch.setattr(gpu_trial, '_open_fused', refuse)
    found = run(monkeypatch, capsys, '--labels', tmp_path / 'labels.npy')
    assert found['triton'] == {'refused': 'triton is not installed'} and 'failure' not in found
    assert set(found['ms']) == {'tensorrt', 'torch'}
