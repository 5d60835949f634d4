"""Fixtures of the backends: weights, frames, and a machine that seems to have a GPU."""

import numpy as np
import pytest
from support.fake_gpu import SIZE, FakeGpu, random_frames

from enet_ros.backends.base import BackendRequest
from enet_ros.machine import cuda_device_count
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


@pytest.fixture(scope='session')
def cuda_device():
    """The name of the GPU, or a skip with the reason."""
    if not cuda_device_count():
        pytest.skip('no CUDA device')
    torch = pytest.importorskip('torch')
    if not torch.cuda.is_available():
        pytest.skip(f'torch {torch.__version__} does not see the CUDA device')
    return torch.cuda.get_device_name()


@pytest.fixture(scope='session')
def street():
    """Four synthetic streets, (4, 360, 640, 3) uint8 RGB."""
    from enet_ros.scene.road_scene import RoadScene
    scene = RoadScene(640, 360)
    return np.stack([scene.render(float(second))[0] for second in range(4)])
