"""Which backend runs here, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec

from enet_ros.backends.base import Backend, BackendError, BackendRequest
from enet_ros.machine import cuda_device_count


def _open_openvino(request: BackendRequest) -> Backend:
    from enet_ros.backends.openvino import OpenVinoBackend
    return OpenVinoBackend(request)


def _open_torch(request: BackendRequest) -> Backend:
    from enet_ros.backends.torch import TorchBackend
    return TorchBackend(request)


def _open_tensorrt(request: BackendRequest) -> Backend:
    from enet_ros.backends.tensorrt.backend import TensorRtBackend
    return TensorRtBackend(request)


OPENERS: dict[str, Callable[[BackendRequest], Backend]] = {
    'openvino': _open_openvino,
    'tensorrt': _open_tensorrt,
    'torch': _open_torch,
}

BACKEND_NAMES = ('auto', *OPENERS)


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
