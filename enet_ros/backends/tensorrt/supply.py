"""Where TensorRT engines come from: the cache folder, or a child process that builds them."""

from __future__ import annotations

import importlib
import os
import subprocess
import tempfile
import threading
from dataclasses import astuple, dataclass
from pathlib import Path

from enet_ros.backends.base import BackendError, BackendRequest
from enet_ros.backends.cache import GRAPH_VERSION, cache_folder, cache_key, read_file
from enet_ros.backends.tensorrt.build import BuildRequest
from enet_ros.backends.tensorrt.engine import Engine, EngineState, load_engine
from enet_ros.common.child import follow_child, module_command, start_child
from enet_ros.common.one_line_error import describe_error, in_one_line

# Part of the cache key: raise it when tensorrt/build.py builds other engines from equal graphs.
ENGINE_VERSION = 3

BUILD_COMMAND = module_command('enet_ros.backends.tensorrt.build')


@dataclass(frozen=True)
class EngineEnvironment:
    """What an engine depends on beside the graph.

    Attributes:
        gpu: Name of the GPU. All Jetson Orins are 'Orin'.
        capability: Compute capability of the GPU, (major, minor).
        multiprocessors: Number of multiprocessors, which tells one Orin from another.
        torch, cuda, tensorrt, torch_tensorrt: Versions.
        tensorrt_kind: 'TensorRT' or 'TensorRT-RTX'.
    """

    gpu: str
    capability: tuple[int, int]
    multiprocessors: int
    torch: str
    cuda: str
    tensorrt: str
    torch_tensorrt: str
    tensorrt_kind: str = 'TensorRT'


def import_tensorrt():
    """Import torch_tensorrt and the TensorRT it works with.

    Returns:
        The modules torch_tensorrt and tensorrt, and 'TensorRT' or 'TensorRT-RTX'.

    Raises:
        BackendError: One of them cannot be imported.
    """
    try:
        torch_tensorrt = importlib.import_module('torch_tensorrt')
        # Only now: with TensorRT-RTX it is torch_tensorrt that makes the name 'tensorrt'.
        tensorrt = importlib.import_module('tensorrt')
        features = importlib.import_module('torch_tensorrt._features').ENABLED_FEATURES
    except Exception as error:  # a library that does not fit raises whatever it likes
        raise BackendError(f'torch_tensorrt cannot be imported: {error}') from error
    is_rtx = getattr(features, 'tensorrt_rtx', False)
    return torch_tensorrt, tensorrt, 'TensorRT-RTX' if is_rtx else 'TensorRT'


def describe_environment() -> EngineEnvironment:
    """Ask torch for the GPU and the packages for their versions.

    Raises:
        BackendError: torch has no CUDA, or a package cannot be imported.
    """
    import torch
    if not torch.cuda.is_available():
        raise BackendError(f'torch {torch.__version__} does not see the CUDA device')
    torch_tensorrt, tensorrt, kind = import_tensorrt()
    gpu = torch.cuda.get_device_properties(0)
    return EngineEnvironment(
        gpu.name, (gpu.major, gpu.minor), gpu.multi_processor_count, torch.__version__,
        str(torch.version.cuda), tensorrt.__version__, torch_tensorrt.__version__, kind)


def engine_name(environment: EngineEnvironment, request: BackendRequest, *,
                confidence: bool) -> str:
    """Return the file name of an engine, made of all it depends on."""
    return cache_key('tensorrt', ENGINE_VERSION, GRAPH_VERSION, astuple(environment),
                     request.resolution, request.batch, 'float16', confidence,
                     request.checkpoint.fingerprint()) + '.engine'


class EngineSupply:
    """Gets engines in the background: from the disk, or built by a child process.

    Nothing here refers to the backend, so that dropping the backend ends the build.
    """

    def __init__(self, request: BackendRequest, environment: EngineEnvironment):
        """Find a folder. Nothing is built before :meth:`supply`."""
        self._request, self._environment = request, environment
        self._private: tempfile.TemporaryDirectory | None = None
        folder = cache_folder() if request.use_cache else None
        if folder is None:
            self._private = tempfile.TemporaryDirectory(prefix='enet_ros-')
            folder = Path(self._private.name)
        self._folder = folder
        self._read_only = cache_folder(to_write=False) if request.use_cache else None
        self._lock = threading.Lock()        # guards the child
        self._one_build = threading.Lock()   # a small GPU has no memory for two
        self.device_lock = threading.Lock()  # recording a CUDA graph forbids allocations elsewhere
        self._child: subprocess.Popen | None = None
        self._stopped = False

    def supply(self, engine: Engine) -> None:
        """Bring an engine to LOADED: now if its file is there, else in the background."""
        if not self._load(engine, 'from the cache'):
            threading.Thread(target=self._build_and_load, args=(engine,), daemon=True,
                             name='tensorrt build').start()

    def _build_request(self, engine: Engine) -> BuildRequest:
        request = self._request
        path = self._folder / engine_name(self._environment, request, confidence=engine.confidence)
        return BuildRequest(request.checkpoint, request.resolution, request.batch,
                            engine.confidence, path, os.getpid(), engine.unloadable)

    def _load(self, engine: Engine, origin: str) -> bool:
        """Load the file of an engine. A file that does not load is kept until another is built.

        It may be good, and only the memory of the GPU full.

        Returns:
            Whether the engine is loaded.
        """
        request = self._build_request(engine)
        content = read_file(request.path)
        if content is None and self._read_only:  # where engines of an image lie, for instance
            content = read_file(self._read_only / request.path.name)
        if content is None:
            return False
        try:
            with self.device_lock:
                engine.runner = load_engine(content, self._folder, request.shape)
                engine.origin = origin
                engine.enter(EngineState.LOADED)  # before it can be compared
        except Exception as error:  # whatever it raises, an engine can be built anew
            reason = in_one_line(describe_error(error))
            if origin == 'from the cache':
                engine.unloadable, engine.load_error = content, reason
            else:
                engine.enter(EngineState.FAILED, f'failed to load: {reason}')
            return False
        return True

    def _build_and_load(self, engine: Engine) -> None:
        """Build an engine and load it, in a thread of its own."""
        with self._one_build:
            if self._stopped:
                return
            failure = self._build(engine)
        if failure:
            engine.enter(EngineState.FAILED, f'failed: {failure}')
            return
        engine.load_error = ''  # That file is replaced.
        if not self._load(engine, 'after it was built') \
                and engine.state is not EngineState.FAILED:
            engine.enter(EngineState.FAILED, 'failed: the file that was built is damaged')

    def _build(self, engine: Engine) -> str:
        """Run the child. Return why it failed, or ''."""
        engine.enter(EngineState.BUILDING)
        try:
            child = self._start_child()
        except OSError as error:
            return f'no process can be started: {error}'
        if child is None:
            return 'stopped'
        return follow_child(child, self._build_request(engine),
                            lambda text: engine.enter(EngineState.BUILDING, text))

    def _start_child(self) -> subprocess.Popen | None:
        """Start the build, unless the supply was stopped."""
        with self._lock:
            if self._stopped:
                return None
            self._child = start_child(BUILD_COMMAND, self._folder)
            return self._child

    def stop(self) -> None:
        """End a build that is going on."""
        with self._lock:
            self._stopped = True
            if self._child is not None and self._child.poll() is None:
                self._child.kill()
