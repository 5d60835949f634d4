"""The backends torch and triton on a real GPU: half precision, CUDA graphs, memory, batches."""

import subprocess
import sys

import numpy as np
import pytest

from enet_ros.backends.agreement import agreeing_share
from enet_ros.backends.base import BackendRequest
from enet_ros.backends.select import open_backend
from enet_ros.network.checkpoint import read_checkpoint, weights_path

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]

#: Loses the CUDA context by an index that is out of range.
LOSE = """
import os, sys, torch
from enet_ros.backends.base import BackendRequest
from enet_ros.backends.torch import TorchBackend
from enet_ros.network.checkpoint import read_checkpoint, weights_path
backend = TorchBackend(BackendRequest(read_checkpoint(weights_path('')), (640, 360)))
frames = backend.new_batch(1)
frames[:] = 0
backend.infer(frames)
assert not backend.is_lost()
torch.zeros(1, device='cuda')[torch.tensor([9], device='cuda')]
try:
    backend.infer(frames)
except Exception:
    print(backend.is_lost(), flush=True)
os._exit(0)
"""
OPENED = {}  # (backend, precision) -> the backend, opened once


def open_once(name, precision='auto'):
    """Open a backend for 640x360."""
    if (name, precision) not in OPENED:
        request = BackendRequest(read_checkpoint(weights_path('')), (640, 360), precision)
        OPENED[name, precision] = open_backend(name, request)[0]
    return OPENED[name, precision]


@pytest.fixture(params=['torch', 'triton'])
def backend(request, cuda_device):
    """A backend in half precision."""
    if request.param == 'triton':
        pytest.importorskip('triton', reason='triton is not installed')
    return open_once(request.param)


@pytest.fixture
def exact(cuda_device):
    """The backend torch in float32."""
    return open_once('torch', 'float32')


def test_auto_is_half_precision_from_a_cuda_graph(backend):
    assert backend.precision == 'float16'
    assert backend.runner(1).graph_error == ''


def test_labels_agree_with_float32(backend, exact, street):
    labels = backend.infer(street)[0]
    assert labels.dtype == np.uint8 and labels.shape == street.shape[:3]
    assert agreeing_share(labels, exact.infer(street)[0]) >= 0.99


def test_labels_in_bfloat16_agree_with_float32(exact, street):
    labels = open_once('torch', 'bfloat16').infer(street)[0]
    assert agreeing_share(labels, exact.infer(street)[0]) >= 0.99


def test_confidence_agrees_with_float32(backend, exact, street):
    labels, probability = backend.infer(street, confidence=True)
    wanted, wanted_probability = exact.infer(street, confidence=True)
    assert agreeing_share(labels, wanted) >= 0.99
    assert probability.dtype == np.float32
    assert np.abs(probability - wanted_probability).mean() < 0.01


def test_frames_of_page_locked_memory_give_the_same_as_others(backend, street):
    from enet_ros.backends.cuda import is_pinned
    batch = backend.new_batch(2)
    batch[:] = street[:2]
    assert is_pinned(batch) and not is_pinned(street)
    assert np.array_equal(backend.infer(batch)[0], backend.infer(street[:2])[0])


def test_a_read_only_batch_is_taken(backend, street):
    frames = street[:1].copy()
    frames.setflags(write=False)
    assert np.array_equal(backend.infer(frames)[0], backend.infer(street[:1])[0])


def test_results_stay_as_they_were_when_the_next_frame_runs(backend, street):
    first = backend.infer(street[:1])[0]
    kept = first.copy()
    for frame in street:
        backend.infer(frame[None])
    assert np.array_equal(first, kept)


def test_more_frames_than_a_batch_are_cut_into_parts(backend, street):
    frames = np.concatenate([street] * 5)[:backend.max_batch + 3]
    labels, probability = backend.infer(frames, confidence=True)
    assert labels.shape == probability.shape == frames.shape[:3]
    single = np.concatenate([backend.infer(one[None])[0] for one in frames])
    assert agreeing_share(labels, single) >= 0.99


def test_few_graphs_are_kept(backend, street):
    from enet_ros.backends.torch import MOST_GRAPHS
    for count in range(1, MOST_GRAPHS + 3):
        backend.infer(np.concatenate([street] * 2)[:count])
    assert len(backend._runners) == MOST_GRAPHS


def test_a_context_that_is_lost_is_told_from_a_call_that_failed(cuda_device):
    child = subprocess.run([sys.executable, '-c', LOSE], capture_output=True, text=True,
                           timeout=200)
    assert child.stdout.strip() == 'True', child.stderr
