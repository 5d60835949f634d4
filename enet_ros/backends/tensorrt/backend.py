"""TensorRT on a GPU, in half precision, through Torch-TensorRT.

An engine takes minutes to build on a small GPU, so a child process builds it once and the file is
kept. Until it is there, and where it is refused, plain torch on the GPU serves the frames. An
engine is used only after it gave nearly the same labels as torch on a test frame, on this machine
and in this process.
"""

from __future__ import annotations

import time
import weakref
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from enet_ros.backends.agreement import compare_with_torch
from enet_ros.backends.base import BackendError, BackendRequest, PrecisionError
from enet_ros.backends.tensorrt.engine import FINAL_STATES, Engine, EngineState
from enet_ros.backends.tensorrt.supply import EngineSupply, describe_environment
from enet_ros.common.one_line_error import describe_error
from enet_ros.machine import cuda_device_count

if TYPE_CHECKING:
    from enet_ros.backends.cuda import CudaRunner


def check_request(request: BackendRequest) -> None:
    """Check that TensorRT can do what is asked for, without importing it.

    Raises:
        BackendError: There is no CUDA device or no torch_tensorrt, or the precision is not
            float16.
    """
    if not cuda_device_count():
        raise BackendError('no CUDA device')
    if find_spec('torch_tensorrt') is None:
        raise BackendError('torch_tensorrt is not installed (enet-ros doctor --gpu says what to '
                           'install)')
    if request.precision not in ('auto', 'float16'):
        raise PrecisionError(request.precision, 'tensorrt runs float16')


class TensorRtBackend:
    """The frame graph as TensorRT engines of a fixed resolution and batch.

    One engine gives labels, another labels with confidence. Each is supplied when it is first
    needed.
    """

    name = 'tensorrt'
    from_cache = None
    precision = 'float16'

    def __init__(self, request: BackendRequest):
        """Load the engine, or start to build it.

        Raises:
            BackendError: There is no CUDA device or no torch_tensorrt, or the precision is not
                float16.
            CheckpointError: The weights are not those of an ENet.
        """
        check_request(request)
        environment = describe_environment()
        self._fallback = self._torch_backend(request)
        self.device = environment.gpu
        self._resolution = request.resolution
        self.max_batch = request.batch
        self._supply = EngineSupply(request, environment)
        self._engines: dict[bool, Engine] = {}
        self._end = weakref.finalize(self, self._supply.stop)
        self._engine(confidence=False)

    @staticmethod
    def _torch_backend(request: BackendRequest):
        from enet_ros.backends.torch import TorchBackend
        return TorchBackend(replace(request, precision='auto'))

    def new_batch(self, count: int) -> np.ndarray:
        """Return memory for frames; see :class:`enet_ros.backends.base.Backend`."""
        return self._fallback.new_batch(count)

    def is_lost(self) -> bool:
        """Tell whether CUDA has failed for good; see :class:`enet_ros.backends.base.Backend`."""
        return self._fallback.is_lost()

    def infer(self, frames: np.ndarray, *,
              confidence: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Segment a batch; see :class:`enet_ros.backends.base.Backend`."""
        runner = self.runner(confidence=confidence)
        if runner is None:
            return self._fallback.infer(frames, confidence=confidence)
        labels, *probability = runner(frames)
        return labels, probability[0] if confidence else None

    def status(self) -> str:
        """Say the states of the engines in a line; see :class:`enet_ros.backends.base.Backend`."""
        return '; '.join(self._engines[kind].status() for kind in sorted(self._engines))

    def wait(self, *, confidence: bool = False, timeout_sec: float = float('inf')) -> bool:
        """Wait until an engine serves; see :class:`enet_ros.backends.base.Backend`."""
        deadline = time.monotonic() + timeout_sec
        while (self.runner(confidence=confidence) is None
               and self._engine(confidence=confidence).state not in FINAL_STATES
               and time.monotonic() < deadline):
            time.sleep(0.05)
        return self._engine(confidence=confidence).state is EngineState.SERVING

    def runner(self, *, confidence: bool = False) -> CudaRunner | None:
        """Return the runner of an engine that serves, or None. A new one is compared first."""
        engine = self._engine(confidence=confidence)
        if engine.state is EngineState.LOADED and self._supply.device_lock.acquire(blocking=False):
            try:
                self._admit(engine)
            finally:
                self._supply.device_lock.release()
        return engine.runner if engine.state is EngineState.SERVING else None

    def _engine(self, *, confidence: bool) -> Engine:
        """Return the engine of one kind of output, which is supplied when it is first needed."""
        engine = self._engines.get(confidence)
        if engine is None:
            engine = self._engines[confidence] = Engine(confidence)
            self._supply.supply(engine)
        return engine

    def _admit(self, engine: Engine) -> None:
        """Use an engine if it agrees with torch on a test frame, in this very process."""
        from enet_ros.scene.frames import street_frame
        frames = street_frame(self._resolution)[None]
        infer = partial(self._fallback.infer, confidence=engine.confidence)
        try:
            agrees, text = compare_with_torch(engine.runner(frames)[0], infer(frames)[0])
        except Exception as error:  # whatever it raises, torch goes on
            engine.enter(EngineState.REFUSED, describe_error(error))
            return
        engine.enter(EngineState.SERVING if agrees else EngineState.REFUSED, text)
