"""On a real GPU: engines are built, agree with torch, and load in another process.

``make test-gpu`` runs these; each skips, and says why, where something is missing. They have their
own cache, so every engine is built anew.
"""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from enet_ros.backends.agreement import agreeing_share
from enet_ros.backends.base import BackendRequest
from enet_ros.backends.select import open_backend
from enet_ros.network.checkpoint import read_checkpoint, weights_path

BUILD_SEC = 1500.0  # an Orin Nano takes minutes an engine
SIZES = [(640, 360), (1024, 512)]

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(4 * BUILD_SEC)]

RELOAD = """
import json, sys
import numpy as np
from enet_ros.backends.base import BackendRequest
from enet_ros.backends.tensorrt.backend import TensorRtBackend
from enet_ros.network.checkpoint import read_checkpoint, weights_path
backend = TensorRtBackend(BackendRequest(read_checkpoint(weights_path('')), (640, 360)))
served = backend.wait(timeout_sec=5.0)
labels, _ = backend.infer(np.load(sys.argv[1]))
np.save(sys.argv[2], labels)
print(json.dumps([served, backend.status()]))
"""


@pytest.fixture(scope='module', autouse=True)
def device(cuda_device):
    """The GPU's name, or a skip where TensorRT is missing."""
    pytest.importorskip('torch_tensorrt', reason='torch_tensorrt is not installed')
    return cuda_device


@pytest.fixture(scope='module')
def request_():
    return BackendRequest(read_checkpoint(weights_path('')), SIZES[0])


@pytest.fixture(scope='module')
def backends(request_, device):
    """Backends by name, whose first engines are built side by side."""
    requests = {'single': request_, 'double': replace(request_, batch=2),
                'large': replace(request_, resolution=SIZES[1])}
    return {name: open_backend('tensorrt', one)[0] for name, one in requests.items()}


@pytest.fixture(scope='module')
def backend(backends):
    """The backend of single frames, after its first build."""
    made = backends['single']
    assert made.wait(timeout_sec=BUILD_SEC), made.status()
    print(f'\n{made.status()}')
    return made


@pytest.fixture(scope='module')
def plain(request_):
    return open_backend('torch', request_)[0]


def test_an_engine_is_built_and_agrees_with_torch(backend, plain, street):
    labels, none = backend.infer(street)
    share = agreeing_share(labels, plain.infer(street)[0])
    print(f'\nlabels agree on {100 * share:.3f} % of {labels.size} pixels')
    assert none is None
    assert labels.dtype == np.uint8 and labels.shape == street.shape[:3]
    assert share >= 0.99


def test_an_engine_is_recorded_as_a_cuda_graph(backend):
    assert backend.runner().graph_error == ''


def test_confidence_agrees_with_torch(backend, plain, street):
    assert backend.wait(confidence=True, timeout_sec=BUILD_SEC), backend.status()
    labels, probability = backend.infer(street, confidence=True)
    wanted, wanted_probability = plain.infer(street, confidence=True)
    difference = np.abs(probability - wanted_probability)
    print(f'\nprobability differs by {difference.mean():.5f} on average')
    assert agreeing_share(labels, wanted) >= 0.99
    assert probability.dtype == np.float32
    assert difference.mean() < 0.01


def test_results_stay_as_they_were_when_the_next_frame_runs(backend, street):
    first = backend.infer(street[:1])[0]
    kept = first.copy()
    backend.infer(street[1:2])
    assert np.array_equal(first, kept)
    assert np.array_equal(backend.infer(street[:1])[0], kept)


def test_a_batch_of_two_gives_what_single_frames_give(backends, backend, street):
    double = backends['double']
    assert double.wait(timeout_sec=BUILD_SEC), double.status()
    assert agreeing_share(double.infer(street[:3])[0], backend.infer(street[:3])[0]) >= 0.99


def test_another_resolution_has_an_engine_that_agrees(backends, request_):
    from enet_ros.scene.road_scene import RoadScene
    large = backends['large']
    assert large.wait(timeout_sec=BUILD_SEC), large.status()
    frame = RoadScene(*SIZES[1]).render(2.0)[0][None]
    torch_backend, _ = open_backend('torch', replace(request_, resolution=SIZES[1]))
    assert agreeing_share(large.infer(frame)[0], torch_backend.infer(frame)[0]) >= 0.99


def test_a_second_process_loads_the_engine_from_the_cache(backend, street, tmp_path):
    given, made = tmp_path / 'frames.npy', tmp_path / 'labels.npy'
    np.save(given, street)
    done = subprocess.run([sys.executable, '-c', RELOAD, str(given), str(made)], text=True,
                          capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    served, status = json.loads(done.stdout.strip().splitlines()[-1])
    assert served and 'from the cache' in status, status
    assert agreeing_share(np.load(made), backend.infer(street)[0]) >= 0.999
