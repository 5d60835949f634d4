"""A loaded engine and its runner, on the CPU: what it gives, and the fast path of the runtime."""

import sys
import types
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from support.fake_gpu import SIZE
from support.fake_modules import empty_module

from enet_ros.backends import cuda
from enet_ros.backends.tensorrt.engine import load_engine
from enet_ros.backends.torch import TorchBackend
from enet_ros.network.build import build_graph


@pytest.fixture
def on_the_processor(monkeypatch):
    """Let CudaRunner run without a GPU: plain memory, no stream, and no CUDA graph."""
    nothing = dict.fromkeys(('synchronize', 'wait_stream', 'record_event', 'wait_event'),
                            lambda *arguments: None)
    stream = types.SimpleNamespace(**nothing)
    monkeypatch.setattr(cuda, 'DEVICE', 'cpu')
    monkeypatch.setattr(cuda, 'new_pinned', lambda shape, dtype: torch.zeros(shape, dtype=dtype))
    monkeypatch.setattr(torch.cuda, 'Stream', lambda: stream)
    monkeypatch.setattr(torch.cuda, 'stream', lambda stream: nullcontext())
    monkeypatch.setattr(torch.Tensor, 'record_stream', lambda tensor, stream: None)


@pytest.mark.parametrize('confidence', [False, True])
def test_the_runner_gives_what_torch_gives(on_the_processor, request_, checkpoint, frames,
                                           confidence):
    graph = build_graph(checkpoint, confidence=confidence, label_dtype=torch.int32)
    runner = cuda.CudaRunner(graph, (2, SIZE[1], SIZE[0], 3))
    first = runner(frames[:2])
    second = runner(frames[2:])  # one frame in a call of two
    labels, probability = TorchBackend(request_).infer(frames, confidence=True)
    assert first[0].dtype == np.uint8
    assert np.mean(np.concatenate([first[0], second[0]]) == labels) > 0.999
    assert len(first) == 1 + confidence
    if confidence:
        assert second[1].dtype == np.float32
        assert np.abs(second[1] - probability[2:]).max() < 1e-3


@pytest.mark.parametrize('confidence', [False, True])
def test_the_runner_cuts_a_batch_and_fills_the_last_part(on_the_processor, request_, checkpoint,
                                                         frames, confidence):
    graph = build_graph(checkpoint, confidence=confidence)
    runner = cuda.CudaRunner(graph, (2, SIZE[1], SIZE[0], 3))
    results = runner(frames)
    single = [runner(frames[i:i + 1]) for i in range(3)]
    for result, parts in zip(results, zip(*single), strict=True):
        assert len(result) == 3
        assert np.mean(result == np.concatenate(parts)) > 0.999


def test_a_program_that_was_saved_and_loaded_gives_what_torch_gives(
        on_the_processor, monkeypatch, request_, checkpoint, frames, tmp_path):
    """By torch.export itself, which is what torch_tensorrt.save and load use."""
    graph = build_graph(checkpoint, confidence=True, label_dtype=torch.int32)
    with torch.no_grad():
        program = torch.export.export(graph, (torch.from_numpy(frames[:1]).half(),))
    torch.export.save(program, tmp_path / 'a.pt2')
    library = empty_module('torch_tensorrt')
    library.load, library.runtime = torch.export.load, types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, 'torch_tensorrt', library)
    runner = load_engine((tmp_path / 'a.pt2').read_bytes(), tmp_path,
                             (1, SIZE[1], SIZE[0], 3))
    labels, probability = runner(frames[:1])
    wanted, wanted_probability = TorchBackend(request_).infer(frames[:1], confidence=True)
    assert np.mean(labels == wanted) > 0.999
    assert np.abs(probability - wanted_probability).max() < 1e-3


def test_a_recording_that_another_thread_spoils_is_tried_again(on_the_processor, monkeypatch):
    tries, graph = [], object()

    def recorded(runner):
        tries.append(cuda._recording.locked())
        if len(tries) < 3:
            raise RuntimeError('operation failed due to a previous error during capture')
        return [], graph

    monkeypatch.setattr(cuda.CudaRunner, '_recorded', recorded)
    runner = cuda.CudaRunner(lambda frames: frames, (1, 8, 8, 3))
    assert tries == [True, True, True]
    assert runner.graph_error == ''
    monkeypatch.setattr(cuda, 'MOST_RECORDINGS', 2)
    tries.clear()
    failed = cuda.CudaRunner(lambda frames: frames, (1, 8, 8, 3))
    assert failed.graph_error.startswith('RuntimeError: operation failed')


class Engine:
    """As the runtime shows it on a loaded program."""

    use_pre_allocated_outputs = False


class Loaded(torch.nn.Module):
    """A loaded program: its engine is a plain attribute."""

    def __init__(self):
        super().__init__()
        self.engine = Engine()
        self.part = torch.nn.Module()
        self.part.engine = Engine()


@pytest.mark.parametrize('has_graphs', [True, False])
def test_a_loaded_engine_takes_the_fast_path_where_there_is_one(
        on_the_processor, monkeypatch, tmp_path, has_graphs):
    modes, seen, module = [], [], Loaded()
    runtime = types.SimpleNamespace(**{'set_cudagraphs_mode': modes.append} if has_graphs else {})
    library = empty_module('torch_tensorrt')
    library.runtime = runtime

    def load(path):
        seen.append(Path(path).read_bytes())
        return types.SimpleNamespace(module=lambda: module)

    library.load = load
    monkeypatch.setitem(sys.modules, 'torch_tensorrt', library)
    load_engine(b'saved', tmp_path, (1, SIZE[1], SIZE[0], 3))
    assert seen == [b'saved']
    assert modes == [True] * has_graphs
    assert module.engine.use_pre_allocated_outputs and module.part.engine.use_pre_allocated_outputs
    assert not list(tmp_path.iterdir())
