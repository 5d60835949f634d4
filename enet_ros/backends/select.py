"""Which backend runs here, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec

from enet_ros.backends.base import Backend, BackendError, BackendRequest, PrecisionError
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


def _open_triton(request: BackendRequest) -> Backend:
    from enet_ros.backends.triton.backend import TritonBackend
    return TritonBackend(request)


OPENERS: dict[str, Callable[[BackendRequest], Backend]] = {
    'openvino': _open_openvino,
    'tensorrt': _open_tensorrt,
    'torch': _open_torch,
    'triton': _open_triton,
}

BACKEND_NAMES = ('auto', *OPENERS)


@dataclass(frozen=True)
class BackendSupport:
    """What a machine has for the backends, as :func:`explain_auto` asks.

    Attributes:
        cuda_device: Whether the driver finds a CUDA device.
        torch_tensorrt: Whether torch_tensorrt is installed.
        torch_cuda: Whether torch can use the CUDA device.
        openvino, torch: Whether each is installed.
        bfloat16: Whether OpenVINO computes in bfloat16 on this CPU.
    """

    cuda_device: bool
    torch_tensorrt: bool
    torch_cuda: bool
    openvino: bool
    torch: bool
    bfloat16: bool


@dataclass(frozen=True)
class Candidate:
    """A backend that ``auto`` tries.

    Attributes:
        backend: Name of the backend.
        reason: Why it has its place in the order.
        needs_cuda: Whether torch must see the CUDA device for it. Torch may be built without
            CUDA where the driver is there, and is then slower than OpenVINO.
    """

    backend: str
    reason: str
    needs_cuda: bool = False


def has_tensorrt() -> bool:
    """Tell whether there are a CUDA device and torch_tensorrt, without importing it."""
    return cuda_device_count() > 0 and find_spec('torch_tensorrt') is not None


def has_triton() -> bool:
    """Tell whether there are a CUDA device and Triton, without importing it."""
    return cuda_device_count() > 0 and find_spec('triton') is not None


def candidates(*, cuda_device: bool, torch_tensorrt: bool) -> list[Candidate]:
    """Return what ``auto`` tries, from the fastest to the slowest.

    Args:
        cuda_device: Whether the driver finds a CUDA device.
        torch_tensorrt: Whether torch_tensorrt is installed.
    """
    last = Candidate('torch', 'the last resort')
    if not cuda_device:
        return [Candidate('openvino', 'no CUDA device, and it is the fastest on a CPU'), last]
    on_gpu = [Candidate('torch', 'there is a CUDA device', needs_cuda=True)]
    if torch_tensorrt:  # it looks for CUDA in torch by itself
        on_gpu.insert(0, Candidate('tensorrt', 'there is a CUDA device, and TensorRT is the '
                                               'fastest on it'))
    return [*on_gpu, Candidate('openvino', 'it is the fastest on a CPU'), last]


def explain_auto(support: BackendSupport) -> str:
    """Say which backend and precision ``auto`` takes on a machine, and why, without opening it.

    The precision is that of weights without an int8 graph.
    """
    works = {'tensorrt': support.torch_cuda, 'openvino': support.openvino, 'torch': support.torch}
    for candidate in candidates(cuda_device=support.cuda_device,
                                torch_tensorrt=support.torch_tensorrt):
        if candidate.needs_cuda and not support.torch_cuda or not works[candidate.backend]:
            continue
        on_gpu = candidate.needs_cuda or candidate.backend == 'tensorrt'
        precision = 'float16' if on_gpu else (
            'bfloat16' if candidate.backend == 'openvino' and support.bfloat16 else 'float32')
        place = '' if candidate.backend != 'torch' else (
            ', on the GPU' if candidate.needs_cuda else ', on the CPU')
        return f'{candidate.backend}, {precision}{place}: {candidate.reason}'
    return 'nothing: neither OpenVINO nor torch is installed'


def _possible() -> str:
    """Name the values of the parameter ``backend`` that this machine has something for."""
    missing = {'tensorrt': not has_tensorrt(), 'triton': not has_triton()}
    return ', '.join(name for name in BACKEND_NAMES if not missing.get(name))


def open_backend(name: str, request: BackendRequest) -> tuple[Backend, str]:
    """Open a backend by name, or for 'auto' the first that works here.

    Args:
        name: One of :data:`BACKEND_NAMES`.
        request: What to open.

    Returns:
        The backend, and a sentence that says what was picked and why.

    Raises:
        BackendError: The name is unknown, or nothing that was asked for works here.
        CheckpointError: The weights are not those of an ENet.
    """
    if name not in BACKEND_NAMES:
        raise BackendError(f"backend is '{name}', wanted one of {', '.join(BACKEND_NAMES)}")
    order = [Candidate(name, 'it was asked for')]
    if name == 'auto':
        order = candidates(cuda_device=cuda_device_count() > 0, torch_tensorrt=has_tensorrt())
    refused: dict[str, Exception] = {}  # in order; torch may be refused twice for one reason
    for candidate in order:
        try:
            backend = OPENERS[candidate.backend](replace(request, needs_cuda=candidate.needs_cuda))
        except (BackendError, ImportError, OSError, RuntimeError) as error:
            prefix = '' if name == candidate.backend else f'{candidate.backend}: '
            refused[f'{prefix}{error}'] = error
            continue
        picked = (f'backend {backend.name}, {backend.precision} on {backend.device}: '
                  f'{candidate.reason}')
        return backend, '; '.join([picked, *refused])
    if name == 'auto':
        _raise_precision(request.precision, refused)
    possible = f'; possible here: {_possible()}' if name != 'auto' else ''
    raise BackendError(f"backend '{name}' is not available: " + '; '.join(refused) + possible)


def _raise_precision(precision: str, refused: dict[str, Exception]) -> None:
    """Raise an error that begins with the precision, if every backend was refused for it."""
    if all(isinstance(error, PrecisionError) for error in refused.values()):
        reasons = [f"{text.partition(':')[0]}: {error.reason}" for text, error in refused.items()]
        raise BackendError(f'precision {precision} is not possible here: ' + '; '.join(reasons))
