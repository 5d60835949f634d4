"""A trial of the GPU for a user on a new machine: build, compare, time, load again.

    python -m enet_ros.bench.gpu_trial [--reload FILE]    (a child process of try_gpu)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from enet_ros.backends.agreement import agreeing_share
from enet_ros.backends.base import BackendError, BackendRequest
from enet_ros.bench.timing import alternate, size_name
from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.scene.frames import street_frames

RESOLUTION = (640, 360)
BUILD_LIMIT_SEC = 1500.0  # an engine takes minutes on an Orin Nano
RUNS = 200
MARK = 'TRIAL '  # begins the line that is for the parent; TensorRT writes lines of its own


def try_gpu(weights: str = '') -> dict:
    """Try the GPU in two child processes with a cache of their own.

    Args:
        weights: Path or name of the weights.

    Returns:
        'size'; 'built_sec' and 'agreement' (share of labels as in float32) of the TensorRT
        engine; 'triton', with 'ready_sec' and 'agreement' of the fused kernels or why they are
        'refused'; 'ms' (backend -> median and 95th percentile of a frame, host to host);
        'reload_sec' of the second process; 'failure', which says what did not work. What could
        not be measured is absent.
    """
    with tempfile.TemporaryDirectory(prefix='enet_ros-trial-') as folder:
        labels = Path(folder, 'labels.npy')
        found = _child(folder, '--weights', weights, '--labels', str(labels))
        if 'built_sec' in found and not found.get('failure'):
            found |= _child(folder, '--weights', weights, '--labels', str(labels), '--reload')
        return found


def _child(cache: str, *arguments: str) -> dict:
    """Run this module as a process and return what it found."""
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    environment = {**os.environ, 'ENET_ROS_CACHE': cache, 'PYTHONPATH': paths}
    try:
        done = subprocess.run([sys.executable, '-m', 'enet_ros.bench.gpu_trial', *arguments],
                              capture_output=True, text=True, env=environment,
                              timeout=2 * BUILD_LIMIT_SEC)
    except subprocess.TimeoutExpired:
        return {'failure': f'it took more than {2 * BUILD_LIMIT_SEC:.0f} s'}
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if lines:
        return json.loads(lines[-1][len(MARK):])
    last = (done.stderr.strip().splitlines() or ['no output'])[-1]
    return {'failure': f'its process ended with {done.returncode}: {last}'}


def _open(weights: str):
    from enet_ros.backends.tensorrt.backend import TensorRtBackend
    request = BackendRequest(read_checkpoint(weights_path(weights)), RESOLUTION)
    started = time.monotonic()
    backend = TensorRtBackend(request)
    served = backend.wait(timeout_sec=BUILD_LIMIT_SEC)
    return backend, served, time.monotonic() - started


def _first(weights: str, labels_file: str) -> dict:
    """Build the engine and compile the kernels, compare with float32, and time beside torch."""
    import torch

    from enet_ros.backends.torch import TorchBackend
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    request = BackendRequest(read_checkpoint(weights_path(weights)), RESOLUTION)
    plain, frames = TorchBackend(request), street_frames(RESOLUTION, 4)
    found: dict = {'size': size_name(RESOLUTION), 'gpu': torch.cuda.get_device_name()}
    exact = TorchBackend(replace(request, precision='float32')).infer(frames)[0]
    calls = {'torch': plain}
    try:
        backend, served, seconds = _open(weights)
    except BackendError as error:
        backend, served, found['failure'] = None, False, str(error)
    if served:
        labels = backend.infer(frames)[0]
        np.save(labels_file, labels)
        found |= {'built_sec': seconds, 'agreement': agreeing_share(labels, exact)}
        calls = {'tensorrt': backend, **calls}
    elif backend is not None:
        found['failure'] = backend.status()
    try:
        fused, seconds = _open_fused(request)
    except BackendError as error:
        found['triton'] = {'refused': str(error)}
    else:
        share = agreeing_share(fused.infer(frames)[0], exact)
        found['triton'] = {'ready_sec': seconds, 'agreement': share}
        calls['triton'] = fused
    return found | {'ms': _times(calls, frames)}


def _open_fused(request: BackendRequest):
    """Open the backend triton; return it and the seconds that it took.

    Raises:
        BackendError: It does not run here.
    """
    from enet_ros.backends.triton.backend import TritonBackend
    started = time.monotonic()
    return TritonBackend(request), time.monotonic() - started


def _times(backends: dict, frames: np.ndarray) -> dict[str, list[float]]:
    """Time a frame of each backend in alternating rounds, host to host."""
    def call(backend):
        batch = backend.new_batch(1)
        batch[:] = frames[:1]
        return lambda: backend.infer(batch)

    seconds = alternate({name: call(backend) for name, backend in backends.items()}, RUNS,
                        pause_sec=0.0)
    return {name: [round(1e3 * float(np.percentile(values, q)), 3) for q in (50, 95)]
            for name, values in seconds.items()}


def _second(weights: str, labels_file: str) -> dict:
    """Load the engine that the first process built, and compare what it gives."""
    backend, served, seconds = _open(weights)
    if not served or 'from the cache' not in backend.status():
        return {'failure': f'a second process does not load the engine: {backend.status()}'}
    share = agreeing_share(backend.infer(street_frames(RESOLUTION, 4))[0], np.load(labels_file))
    if share < 0.999:
        return {'failure': f'a second process gives the same labels on {100 * share:.2f} % only'}
    return {'reload_sec': seconds}


def main() -> int:
    """Print what one process of the trial found, as JSON behind a mark."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--weights', default='')
    parser.add_argument('--labels', required=True)
    parser.add_argument('--reload', action='store_true')
    arguments = parser.parse_args()
    step = _second if arguments.reload else _first
    print(MARK + json.dumps(step(arguments.weights, arguments.labels)), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
