"""On a real GPU: engines are built, agree with torch, are fast, and load in another process.

``make test-gpu`` runs these; each skips, and says why, where something is missing. They have their
own cache, so every engine is built anew.
"""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from enet_ros.backends.base import BackendRequest
from enet_ros.backends.select import open_backend
from enet_ros.machine import cuda_device_count
from enet_ros.network.checkpoint import read_checkpoint, weights_path

BUILD_SEC = 1500.0  # an Orin Nano takes minutes an engine
SIZES = [(640, 360), (1024, 512)]
ROUNDS = 100

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
def device():
    """The GPU's name, or a skip with the reason."""
    if not cuda_device_count():
        pytest.skip('no CUDA device')
    torch = pytest.importorskip('torch')
    if not torch.cuda.is_available():
        pytest.skip(f'torch {torch.__version__} does not see the CUDA device')
    pytest.importorskip('torch_tensorrt', reason='torch_tensorrt is not installed')
    return torch.cuda.get_device_name()


@pytest.fixture(scope='module')
def request_():
    return BackendRequest(read_checkpoint(weights_path('')), SIZES[0])


@pytest.fixture(scope='module')
def frames():
    from enet_ros.scene.road_scene import RoadScene
    scene = RoadScene(*SIZES[0])
    return np.stack([scene.render(float(t))[0] for t in range(4)])


@pytest.fixture(scope='module')
def backend(request_):
    """The backend after its first build."""
    made, choice = open_backend('tensorrt', request_)
    started = time.monotonic()
    assert made.wait(timeout_sec=BUILD_SEC), made.status()
    print(f'\n{choice}\nfirst engine after {time.monotonic() - started:.0f} s; {made.status()}')
    return made


@pytest.fixture(scope='module')
def plain(request_):
    return open_backend('torch', request_)[0]


def agreement(one, other):
    return float(np.mean(one == other))


def test_an_engine_is_built_and_agrees_with_torch(backend, plain, frames):
    labels, none = backend.infer(frames)
    share = agreement(labels, plain.infer(frames)[0])
    print(f'\nlabels agree on {100 * share:.3f} % of {labels.size} pixels')
    assert none is None
    assert labels.dtype == np.uint8 and labels.shape == frames.shape[:3]
    assert share >= 0.99


def test_confidence_agrees_with_torch(backend, plain, frames):
    assert backend.wait(confidence=True, timeout_sec=BUILD_SEC), backend.status()
    labels, probability = backend.infer(frames, confidence=True)
    wanted, wanted_probability = plain.infer(frames, confidence=True)
    difference = np.abs(probability - wanted_probability)
    print(f'\nprobability differs by {difference.mean():.5f} on average')
    assert agreement(labels, wanted) >= 0.99
    assert probability.dtype == np.float32
    assert difference.mean() < 0.01


def test_results_stay_as_they_were_when_the_next_frame_runs(backend, frames):
    first = backend.infer(frames[:1])[0]
    kept = first.copy()
    backend.infer(frames[1:2])
    assert np.array_equal(first, kept)
    assert np.array_equal(backend.infer(frames[:1])[0], kept)


def test_a_batch_of_two_gives_what_single_frames_give(request_, backend, frames):
    from dataclasses import replace
    double, _ = open_backend('tensorrt', replace(request_, batch=2))
    assert double.wait(timeout_sec=BUILD_SEC), double.status()
    assert agreement(double.infer(frames[:3])[0], backend.infer(frames[:3])[0]) >= 0.99


def test_another_resolution_has_an_engine_that_agrees(request_):
    from dataclasses import replace

    from enet_ros.scene.road_scene import RoadScene
    request = replace(request_, resolution=SIZES[1])
    large, _ = open_backend('tensorrt', request)
    assert large.wait(timeout_sec=BUILD_SEC), large.status()
    frame = RoadScene(*SIZES[1]).render(2.0)[0][None]
    assert agreement(large.infer(frame)[0], open_backend('torch', request)[0].infer(frame)[0]) \
        >= 0.99


def test_speed_beside_torch(device, backend, plain, frames, capsys):
    """Prints figures, in turns so that a warm GPU warms both; asserts none of them."""
    seconds = {'tensorrt': [], 'torch': []}
    for i in range(ROUNDS):
        for which in (backend, plain):
            started = time.perf_counter()
            which.infer(frames[i % 4:i % 4 + 1])
            seconds[which.name].append(time.perf_counter() - started)
    medians = {name: 1e3 * np.median(one[ROUNDS // 10:]) for name, one in seconds.items()}
    with capsys.disabled():
        print(f'\n{device}, {SIZES[0][0]}x{SIZES[0][1]}, float16, copies included: '
              f'tensorrt {medians["tensorrt"]:.2f} ms, torch {medians["torch"]:.2f} ms, '
              f'{medians["torch"] / medians["tensorrt"]:.1f} times as fast')


def test_a_second_process_loads_the_engine_from_the_cache(backend, frames, tmp_path):
    given, made = tmp_path / 'frames.npy', tmp_path / 'labels.npy'
    np.save(given, frames)
    done = subprocess.run([sys.executable, '-c', RELOAD, str(given), str(made)], text=True,
                          capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    served, status = json.loads(done.stdout.strip().splitlines()[-1])
    assert served and 'from the cache' in status, status
    assert agreement(np.load(made), backend.infer(frames)[0]) >= 0.999
