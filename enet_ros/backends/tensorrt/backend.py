"""TensorRT on a GPU, in half precision, through Torch-TensorRT.

An engine takes minutes to build, so a child process builds it once and the file is kept. Until it
is there, and where it is refused, plain torch on the GPU serves the frames. An engine is used only
after it gave nearly the same labels as torch on a test frame, on this machine and in this process.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from dataclasses import astuple, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from enet_ros.backends.base import BackendError, BackendRequest
from enet_ros.backends.cache import GRAPH_VERSION, cache_folder, cache_key, read_file
from enet_ros.backends.tensorrt.build import SAYS, BuildRequest
from enet_ros.machine import cuda_device_count

if TYPE_CHECKING:
    from enet_ros.backends.cuda import CudaRunner

# Part of the cache key: raise it when tensorrt/build.py builds other engines from equal graphs.
ENGINE_VERSION = 2

WANTED_AGREEMENT = 0.99  # share of a test frame's pixels on which engine and torch must agree

# -P keeps the working directory out of the import path; 3.10 does not know it.
BUILD_COMMAND = [sys.executable, *(['-P'] if sys.version_info >= (3, 11) else []),
                 '-m', 'enet_ros.backends.tensorrt.build']


@dataclass(frozen=True)
class Machine:
    """What an engine depends on beside the graph.

    Attributes:
        gpu: its name; all Jetson Orins are 'Orin'.
        capability: (major, minor) of the GPU.
        multiprocessors: of the GPU, which tells one Orin from another.
        torch, cuda, tensorrt, torch_tensorrt: versions.
    """

    gpu: str
    capability: tuple[int, int]
    multiprocessors: int
    torch: str
    cuda: str
    tensorrt: str
    torch_tensorrt: str


def check_request(request: BackendRequest) -> None:
    """Check that TensorRT can do what is asked for, without importing it.

    Raises:
        BackendError: no CUDA device, no torch_tensorrt, or a precision that is not float16.
    """
    if not cuda_device_count():
        raise BackendError('no CUDA device')
    if find_spec('torch_tensorrt') is None:
        raise BackendError('torch_tensorrt is not installed (enet-ros doctor --gpu says what to '
                           'install)')
    if request.precision not in ('auto', 'float16'):
        raise BackendError(f'precision {request.precision}: tensorrt runs float16')


def describe_machine() -> Machine:
    """Ask torch for the GPU and the packages for their versions.

    Raises:
        BackendError: torch has no CUDA, or a package cannot be imported.
    """
    import torch
    if not torch.cuda.is_available():
        raise BackendError(f'torch {torch.__version__} does not see the CUDA device')
    try:
        import torch_tensorrt
        tensorrt = importlib.import_module('tensorrt')  # TensorRT-RTX has this name only now
    except Exception as error:  # a library that does not fit raises whatever it likes
        raise BackendError(f'torch_tensorrt cannot be imported: {error}') from error
    gpu = torch.cuda.get_device_properties(0)
    return Machine(gpu.name, (gpu.major, gpu.minor), gpu.multi_processor_count,
                   torch.__version__, str(torch.version.cuda), tensorrt.__version__,
                   torch_tensorrt.__version__)


def engine_name(machine: Machine, request: BackendRequest, confidence: bool) -> str:
    """Return the file name of an engine, made of all it depends on."""
    return cache_key('tensorrt', ENGINE_VERSION, GRAPH_VERSION, astuple(machine),
                     request.resolution, request.batch, 'float16', confidence,
                     request.checkpoint.fingerprint()) + '.engine'


def load_engine(content: bytes, folder: Path, shape: tuple[int, int, int, int]) -> CudaRunner:
    """Load an engine and record it as a CUDA graph, casts included.

    Where that cannot be recorded, the runtime's own CUDA graphs and pre-allocated outputs are
    turned on.

    Args:
        content: of a file that ``torch_tensorrt.save`` wrote. It is code: from us alone.
        folder: for a temporary file, since ``torch_tensorrt.load`` wants a path.
        shape: of the frames, (N, H, W, 3).
    """
    import torch_tensorrt

    from enet_ros.backends.cuda import CudaRunner
    with tempfile.TemporaryDirectory(dir=folder, prefix='.load-') as private:
        path = Path(private) / 'engine.pt2'
        path.write_bytes(content)
        program = torch_tensorrt.load(str(path))
    module = program.module()
    runner = CudaRunner(lambda frames: module(frames.half()), shape)
    if runner.graph_error:
        use_fast_path(module, torch_tensorrt.runtime)
    return runner


def use_fast_path(module, runtime) -> None:
    """Turn on CUDA graphs and pre-allocated outputs, where they are.

    ``enable_pre_allocated_outputs`` looks for the modules of a fresh compilation. In a loaded one
    the engines are plain attributes, which have the same switch.

    Args:
        module: an engine that was loaded.
        runtime: ``torch_tensorrt.runtime``; its mode for CUDA graphs holds for the process.
    """
    if hasattr(runtime, 'set_cudagraphs_mode'):
        runtime.set_cudagraphs_mode(True)
    for part in module.modules():
        for value in vars(part).values():
            if hasattr(value, 'use_pre_allocated_outputs'):
                value.use_pre_allocated_outputs = True


def drawn_frame(resolution: tuple[int, int]) -> np.ndarray:
    """Draw the street on which an engine is compared with torch, (H, W, 3) uint8 RGB."""
    import cv2

    from enet_ros.scene.road_scene import RoadScene
    return cv2.resize(RoadScene(640, 360).render(1.0)[0], resolution)


class EngineSupply:
    """Gets engines in the background: from the disk, or built by a child process.

    Nothing here refers to the backend, so that dropping the backend ends the build.
    """

    def __init__(self, request: BackendRequest, machine: Machine):
        """Find a folder; nothing is built before :meth:`want`."""
        self._request, self._machine = request, machine
        self._private: tempfile.TemporaryDirectory | None = None
        folder = cache_folder() if request.use_cache else None
        if folder is None:
            self._private = tempfile.TemporaryDirectory(prefix='enet_ros-')
            folder = Path(self._private.name)
        self._folder = folder
        self._lock = threading.Lock()        # guards the child
        self._one_build = threading.Lock()   # a small GPU has no memory for two
        self.device_lock = threading.Lock()  # recording a CUDA graph forbids allocations elsewhere
        self._child: subprocess.Popen | None = None
        self._stopped = False
        self.states: dict[bool, str] = {}
        self.loaded: dict[bool, CudaRunner] = {}

    def want(self, confidence: bool) -> None:
        """Get an engine: now if its file is there, else in the background."""
        if confidence in self.states:
            return
        self.states[confidence] = 'waiting for its turn'
        if not self._load(confidence, 'from the cache'):
            threading.Thread(target=self._supply, args=(confidence,), daemon=True,
                             name='tensorrt build').start()

    def _path(self, confidence: bool) -> Path:
        return self._folder / engine_name(self._machine, self._request, confidence)

    def _load(self, confidence: bool, origin: str) -> bool:
        """Load the file of an engine; one that does not load is removed, to be built anew."""
        path = self._path(confidence)
        content = read_file(path)
        if content is None:
            return False
        try:
            with self.device_lock:
                runner = load_engine(content, self._folder,
                                     self._build_request(confidence).shape)
                self.states[confidence] = f'loaded {origin}'  # before it can be judged
                self.loaded[confidence] = runner
        except Exception as error:  # whatever it raises, an engine can be built anew
            self.states[confidence] = f'failed to load: {type(error).__name__}: {error}'
            path.unlink(missing_ok=True)
            return False
        return True

    def _supply(self, confidence: bool) -> None:
        """Build, then load (a thread of its own)."""
        with self._one_build:
            if self._stopped:
                return
            failure = self._build(confidence)
        if failure:
            self.states[confidence] = f'failed: {failure}'
        elif not self._load(confidence, 'after it was built') and not self._failed(confidence):
            self.states[confidence] = 'failed: the file that was built is damaged'

    def _failed(self, confidence: bool) -> bool:
        return self.states[confidence].startswith('failed')

    def _build_request(self, confidence: bool) -> BuildRequest:
        request = self._request
        return BuildRequest(request.checkpoint, request.resolution, request.batch, confidence,
                            self._path(confidence), os.getpid())

    def _build(self, confidence: bool) -> str:
        """Run the child; returns why it failed, or nothing."""
        self.states[confidence] = 'building'
        child = self._start_child()
        if child is None:
            return 'stopped'
        with child:
            try:
                with child.stdin as pipe:
                    pickle.dump(self._build_request(confidence), pipe)
            except BrokenPipeError:
                pass  # it ended already, and its output says why
            last = ''
            for line in child.stdout:
                text = line.decode(errors='replace').strip()
                last = text or last
                if text.startswith(SAYS):
                    self.states[confidence] = f'building: {text[len(SAYS):]}'
        return '' if child.returncode == 0 else _reason(child.returncode, last)

    def _start_child(self) -> subprocess.Popen | None:
        """Start the build with the import path of this process, away from any working directory.

        It is ended by the kernel when the thread ends that started it, so this one waits for it.
        """
        paths = [os.path.abspath(path) for path in sys.path if path]
        with self._lock:
            if self._stopped:
                return None
            self._child = subprocess.Popen(
                BUILD_COMMAND, cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)})
            return self._child

    def stop(self) -> None:
        """End a build that is going on."""
        with self._lock:
            self._stopped = True
            if self._child is not None and self._child.poll() is None:
                self._child.kill()


def _reason(returncode: int, last_line: str) -> str:
    """Say in a line why a build ended."""
    if returncode < 0:
        memory = ', out of memory?' if returncode == -9 else ''
        return f'the build was ended by signal {-returncode}{memory}'
    return last_line.removeprefix(SAYS) or f'the build ended with exit code {returncode}'


class TensorRtBackend:
    """The frame graph as TensorRT engines of a fixed resolution and batch."""

    name = 'tensorrt'
    precision = 'float16'

    def __init__(self, request: BackendRequest):
        """Load the engine, or start to build it.

        Raises:
            BackendError: no CUDA device, no torch_tensorrt, or another precision.
            CheckpointError: the weights are not those of an ENet.
        """
        check_request(request)
        machine = describe_machine()
        self._fallback = self._torch_backend(request)
        self.device = machine.gpu
        self._batch, self._resolution = request.batch, request.resolution
        self.max_batch = request.batch
        self._supply = EngineSupply(request, machine)
        self._used: dict[bool, CudaRunner] = {}
        self._verdicts: dict[bool, str] = {}
        self._end = weakref.finalize(self, self._supply.stop)
        self._supply.want(confidence=False)

    @staticmethod
    def _torch_backend(request: BackendRequest):
        from enet_ros.backends.torch import TorchBackend
        return TorchBackend(replace(request, precision='auto'))

    def infer(self, frames: np.ndarray,
              confidence: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Segment a batch; see :class:`enet_ros.backends.base.Backend`."""
        runner = self.runner(confidence)
        if runner is None:
            return self._fallback.infer(frames, confidence)
        labels, *probability = runner(frames)
        return labels, probability[0] if confidence else None

    def status(self) -> str:
        """Say what the engines are at, in a line; changes when there is news."""
        names = {False: 'labels', True: 'labels and confidence'}
        told = {which: self._verdicts.get(which, state)
                for which, state in list(self._supply.states.items())}
        meanwhile = {which: '' if which in self._used else ' (torch serves the frames)'
                     for which in told}
        return '; '.join(f'{names[which]}: {told[which]}{meanwhile[which]}'
                         for which in sorted(told))

    def wait(self, confidence: bool = False, timeout_sec: float = float('inf')) -> bool:
        """Wait until an engine serves, or is known never to; returns whether it does.

        For measuring and tests, in the thread that segments.
        """
        deadline = time.monotonic() + timeout_sec
        while (self.runner(confidence) is None and confidence not in self._verdicts
               and not self._supply.states[confidence].startswith('failed')
               and time.monotonic() < deadline):
            time.sleep(0.05)
        return confidence in self._used

    def new_batch(self, count: int) -> np.ndarray:
        """Return room for frames; see :class:`enet_ros.backends.base.Backend`."""
        return self._fallback.new_batch(count)

    def runner(self, confidence: bool = False) -> CudaRunner | None:
        """Return the engine to use, or None while there is none: the switch-over is here."""
        self._supply.want(confidence)
        loaded = self._supply.loaded
        if confidence in loaded and self._supply.device_lock.acquire(blocking=False):
            try:
                self._judge(loaded.pop(confidence), confidence)
            finally:
                self._supply.device_lock.release()
        return self._used.get(confidence)

    def _judge(self, runner: CudaRunner, confidence: bool) -> None:
        """Use an engine if it agrees with torch on a test frame, in this very process."""
        origin = self._supply.states[confidence]
        try:
            share = agreement(runner, partial(self._fallback.infer, confidence=confidence),
                              drawn_frame(self._resolution))
        except Exception as error:  # whatever it raises, torch goes on
            self._verdicts[confidence] = (f'{origin}, refused: {type(error).__name__}: {error}')
            return
        text = f'labels agree with torch on {100 * share:.2f} % of a test frame'
        if share < WANTED_AGREEMENT:
            self._verdicts[confidence] = (f'{origin}, refused: {text}, wanted '
                                          f'{100 * WANTED_AGREEMENT:.0f} %')
            return
        self._used[confidence] = runner
        self._verdicts[confidence] = f'engine {origin}, {text}'


def agreement(runner: CudaRunner, torch_infer, frame: np.ndarray) -> float:
    """Return the share of pixels on which an engine gives the label that torch gives.

    Args:
        runner: the engine.
        torch_infer: called with (1, H, W, 3); gives labels first.
        frame: (H, W, 3) uint8 RGB of the engine's size.
    """
    labels = runner(frame[None])[0]
    return float(np.mean(labels == torch_infer(frame[None])[0]))
