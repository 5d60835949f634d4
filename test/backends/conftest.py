"""Fixtures of the backends: weights, frames, and a machine that seems to have a GPU."""

import pytest
from support.fake_gpu import SIZE, FakeGpu, random_frames

from enet_ros.backends.base import BackendRequest
from enet_ros.network.checkpoint import read_checkpoint, weights_path


@pytest.fixture(scope='module')
def checkpoint():
    """The weights that ship."""
    return read_checkpoint(weights_path(''))


@pytest.fixture(scope='module')
def request_(checkpoint):
    """A request for a small network."""
    return BackendRequest(checkpoint, SIZE)


@pytest.fixture(scope='module')
def frames():
    """Three frames of noise, (3, H, W, 3) uint8."""
    return random_frames()


@pytest.fixture
def gpu(tmp_path, monkeypatch, request_):
    """A machine with a GPU, as far as the backend can tell."""
    return FakeGpu(tmp_path, monkeypatch, request_)
