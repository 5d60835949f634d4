"""A GPU with TensorRT, as far as the backend can tell: stand-ins for tests without a GPU.

The child process that builds is the real one but for its compile step; of the GPU's part only the
runner of a loaded engine is replaced. What a GPU alone can prove is in test_gpu.py.
"""

import sys
import time
from dataclasses import replace

import numpy as np

from enet_ros.backends import select
from enet_ros.backends.tensorrt import backend as tensorrt_backend
from enet_ros.backends.tensorrt import supply
from enet_ros.backends.torch import TorchBackend

SIZE = (96, 64)
ORIN = supply.EngineEnvironment('Orin', (8, 7), 16, '2.8.0', '12.6', '10.3.0', '2.8.0')
WAIT_SEC = 60.0  # a child imports NumPy; other work may have the cores

#: The child: all of it is real but the compile step, which waits while the file GATE exists.
CHILD = """
import sys, time
from pathlib import Path
from enet_ros.backends.tensorrt import build

def compile_engine(request, folder):
    (folder / 'half').write_bytes(b'half an engine')
    build.say('compiling')
    while Path({gate!r}).exists():
        time.sleep(0.02)
    {step}
    return b'engine {share}'

build.compile_engine = compile_engine
sys.exit(build.do_job(build.build, build.NICENESS))
"""


class FakeRunner:
    """Gives torch's labels, but for a share of the pixels."""

    def __init__(self, request, share):
        self._torch, self.share, self.calls = TorchBackend(request), share, 0

    def __call__(self, frames):
        self.calls += 1
        labels, probability = self._torch.infer(frames, confidence=True)
        wrong = round((1.0 - self.share) * labels[0].size)
        labels.reshape(len(labels), -1)[:, :wrong] ^= 1
        return [labels, probability]


class FakeGpu:
    """A machine with a GPU, as far as the backend can tell, and the children it starts."""

    def __init__(self, folder, monkeypatch, request):
        self.folder, self.gate, self.cache = folder, folder / 'gate', folder / 'cache'
        self.request, self.runners, self._monkeypatch = request, [], monkeypatch
        monkeypatch.setenv('ENET_ROS_CACHE', str(self.cache))
        for module in (tensorrt_backend, select):
            monkeypatch.setattr(module, 'cuda_device_count', lambda: 1)
            monkeypatch.setattr(module, 'find_spec', lambda name: True)
        monkeypatch.setattr(tensorrt_backend, 'describe_environment', lambda: ORIN)
        monkeypatch.setattr(supply, 'load_engine', self._load)
        self.builds()

    def builds(self, share=1.0, step='pass'):
        """Say what the child's compile step does."""
        script = self.folder / 'child.py'
        script.write_text(CHILD.format(gate=str(self.gate), share=share, step=step))
        self._monkeypatch.setattr(supply, 'BUILD_COMMAND', [sys.executable, str(script)])

    def _load(self, content, folder, shape):
        assert content.startswith(b'engine '), content
        width, height = self.request.resolution
        assert shape == (self.request.batch, height, width, 3)
        self.runners.append(FakeRunner(self.request, float(content.split()[1])))
        return self.runners[-1]

    def open(self, **changes):
        """Open the backend."""
        return tensorrt_backend.TensorRtBackend(replace(self.request, **changes))

    def engines(self):
        """Return the files of engines in the cache."""
        return sorted(self.cache.glob('*.engine'))


def until(condition, what):
    """Wait for a condition, and fail with ``what`` after WAIT_SEC."""
    deadline = time.monotonic() + WAIT_SEC
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def random_frames():
    """Return three frames of SIZE, (3, H, W, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (3, SIZE[1], SIZE[0], 3), np.uint8)
