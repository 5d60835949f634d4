"""Runtimes for the frame graph, behind one small interface.

A backend is opened once, for one network and one resolution, and then called for every batch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from enet_ros.checkpoint import Checkpoint

#: What people may write for a precision, and its one name here.
PRECISIONS = {
    'auto': 'auto',
    'float32': 'float32', 'f32': 'float32', 'fp32': 'float32',
    'bfloat16': 'bfloat16', 'bf16': 'bfloat16',
    'float16': 'float16', 'f16': 'float16', 'fp16': 'float16', 'half': 'float16',
    'int8': 'int8', 'i8': 'int8',
}


class BackendError(ValueError):
    """A backend that cannot be used here, or not so; the message says why and what can."""


class Backend(Protocol):
    """A compiled network.

    One whose network may change while it runs has a method ``status() -> str`` as well, which says
    in a line what it is at.

    Attributes:
        name: as in the parameter ``backend``.
        precision: 'float32', 'bfloat16', 'float16' or 'int8', in which it really runs.
        device: what it runs on, in words.
        max_batch: frames a call beyond which nothing is gained: those of several cameras are
            then better segmented, and published, one after the other.
    """

    name: str
    precision: str
    device: str
    max_batch: int

    def new_batch(self, count: int) -> np.ndarray:
        """Return room for ``count`` frames, (N, H, W, 3) uint8, from which :meth:`infer` reads
        fastest; what is in it is not defined.
        """

    def infer(self, frames: np.ndarray,
              confidence: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Segment a batch.

        Args:
            frames: (N, H, W, 3) uint8 RGB, C-contiguous, of the resolution it was opened for.
            confidence: whether the winning class's probability is computed as well.

        Returns:
            Class ids (N, H, W) uint8, and (N, H, W) float32 in [0, 1] or None. The caller owns
            both arrays.
        """


def empty_frames(count: int, resolution: tuple[int, int]) -> np.ndarray:
    """Return ordinary memory for frames of (width, height), (count, H, W, 3) uint8."""
    width, height = resolution
    return np.empty((count, height, width, 3), np.uint8)


@dataclass(frozen=True)
class BackendRequest:
    """What is asked of a backend.

    Attributes:
        checkpoint: weights and normalisation.
        resolution: (width, height) in pixels, multiples of 8.
        precision: a canonical name, or 'auto'.
        threads: of the processor; 0 leaves it to the runtime.
        use_cache: whether a compiled network is kept on disk for the next start.
        batch: frames that usually come at once; a backend of fixed batch is compiled for it.
        needs_cuda: whether torch is refused where it does not see the CUDA device.
    """

    checkpoint: Checkpoint
    resolution: tuple[int, int]
    precision: str = 'auto'
    threads: int = 0
    use_cache: bool = True
    batch: int = 1
    needs_cuda: bool = False


def _open_openvino(request: BackendRequest) -> Backend:
    from enet_ros.backends.openvino_backend import OpenVinoBackend
    return OpenVinoBackend(request)


def _open_torch(request: BackendRequest) -> Backend:
    from enet_ros.backends.torch_backend import TorchBackend
    return TorchBackend(request)


def _open_tensorrt(request: BackendRequest) -> Backend:
    from enet_ros.backends.tensorrt_backend import TensorRtBackend
    return TensorRtBackend(request)


OPENERS: dict[str, Callable[[BackendRequest], Backend]] = {
    'openvino': _open_openvino,
    'tensorrt': _open_tensorrt,
    'torch': _open_torch,
}

BACKEND_NAMES = ('auto', *OPENERS)


@lru_cache(maxsize=1)
def cuda_device_count() -> int:
    """Count CUDA devices by asking the driver, without the seconds that importing torch takes."""
    try:
        driver = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def canonical_precision(precision: str) -> str:
    """Return the one name of a precision.

    Raises:
        BackendError: it is no precision.
    """
    try:
        return PRECISIONS[precision.lower()]
    except KeyError:
        raise BackendError(f"precision is '{precision}', wanted one of "
                           f'{", ".join(dict.fromkeys(PRECISIONS.values()))}') from None


def has_tensorrt() -> bool:
    """Tell whether there are a CUDA device and torch_tensorrt, without importing it."""
    return cuda_device_count() > 0 and find_spec('torch_tensorrt') is not None


def _auto_order() -> list[tuple[str, str, bool]]:
    """Return the backends from the most to the least wanted here.

    Returns:
        (backend, reason for its place, whether torch must see the CUDA device for it). Torch may
        be built without CUDA where the driver is there; it is then slower than OpenVINO.
    """
    if not cuda_device_count():
        return [('openvino', 'no CUDA device, and it is the fastest on a processor', False),
                ('torch', 'the last resort', False)]
    order = [('torch', 'there is a CUDA device', True),
             ('openvino', 'the fastest on a processor', False),
             ('torch', 'the last resort', False)]
    if has_tensorrt():
        order.insert(0, ('tensorrt', 'there is a CUDA device, and it is the fastest there',
                         False))  # it looks for itself
    return order


def _possible() -> str:
    """Name the values of the parameter ``backend`` that this machine has something for."""
    return ', '.join(name for name in BACKEND_NAMES if name != 'tensorrt' or has_tensorrt())


def open_backend(name: str, request: BackendRequest) -> tuple[Backend, str]:
    """Open a backend by name, or for 'auto' the first that works here.

    Args:
        name: one of :data:`BACKEND_NAMES`.
        request: what to open.

    Returns:
        The backend, and a sentence that says what was picked and why.

    Raises:
        BackendError: the name is unknown, or nothing that was asked for works here.
        CheckpointError: the weights are not those of an ENet.
    """
    if name not in BACKEND_NAMES:
        raise BackendError(f"backend is '{name}', wanted one of {', '.join(BACKEND_NAMES)}")
    order = _auto_order() if name == 'auto' else [(name, 'it was asked for', False)]
    refused: dict[str, None] = {}  # in order; torch may be refused twice for one reason
    for candidate, reason, needs_cuda in order:
        try:
            backend = OPENERS[candidate](replace(request, needs_cuda=needs_cuda))
        except (BackendError, ImportError, RuntimeError) as error:
            refused[str(error) if name == candidate else f'{candidate}: {error}'] = None
            continue
        picked = f'backend {backend.name}, {backend.precision} on {backend.device}: {reason}'
        return backend, '; '.join([picked, *refused])
    possible = f'; possible here: {_possible()}' if name != 'auto' else ''
    raise BackendError(f"backend '{name}' is not available: " + '; '.join(refused) + possible)
