"""ENet on a GPU by fused kernels in half precision, which Triton compiles at the first start."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from enet_ros.backends.agreement import compare_with_torch
from enet_ros.backends.base import BackendError, BackendRequest, PrecisionError
from enet_ros.backends.cache import cache_folder
from enet_ros.backends.torch import TorchBackend
from enet_ros.common.one_line_error import describe_error, in_one_line
from enet_ros.machine import cuda_device_count
from enet_ros.network.build import build_graph
from enet_ros.scene.frames import street_frame

#: Triton's own variable for the folder of its compiled kernels, which are code.
CACHE_VARIABLE = 'TRITON_CACHE_DIR'


def check_request(request: BackendRequest) -> None:
    """Check that the kernels can do what is asked for, without importing Triton.

    Raises:
        BackendError: There is no CUDA device or no Triton, the weights are not those of the
            paper's ENet, or the precision is not float16.
    """
    if not cuda_device_count():
        raise BackendError('no CUDA device')
    if find_spec('triton') is None:
        raise BackendError('triton is not installed; it comes with torch for CUDA on Linux')
    if request.checkpoint.architecture != 'enet':
        raise BackendError(f"its kernels are those of the architecture 'enet', and the weights "
                           f"are of '{request.checkpoint.architecture}'")
    if request.precision not in ('auto', 'float16'):
        raise PrecisionError(request.precision, 'triton runs float16')


def use_private_cache() -> None:
    """Let Triton keep its compiled kernels in our cache folder, unless the user named another.

    Without a folder that only this user can write to, Triton's own rule holds.
    """
    folder = cache_folder()
    if folder is not None:
        os.environ.setdefault(CACHE_VARIABLE, str(folder / 'triton'))


def count_kernels() -> int:
    """Count the compiled kernels that Triton keeps on the disk."""
    folder = os.environ.get(CACHE_VARIABLE)
    return len(list(Path(folder).glob('*/*.cubin'))) if folder else 0


class TritonBackend(TorchBackend):
    """The backend ``torch`` on CUDA, with fused kernels in place of torch's operators.

    It is used only if its labels agree with those of torch on a test frame, on this machine and
    in this process.
    """

    name = 'triton'

    def __init__(self, request: BackendRequest):
        """Compile the kernels or load them, and compare their labels with torch.

        Raises:
            BackendError: As :func:`check_request`, or the kernels do not run here, or their
                labels are others.
            CheckpointError: The weights are not those of an ENet.
        """
        check_request(request)
        use_private_cache()
        if request.report:
            request.report('the kernels of Triton are loaded; the first start compiles them, '
                           'for about 20 s')
        self._kernels_before = count_kernels()
        self._usual_images = request.batch
        request = replace(request, precision='float16', needs_cuda=True)
        super().__init__(request)
        self._check_labels(TorchBackend(request))

    @property
    def from_cache(self) -> bool:
        """Whether no kernel was compiled since the start, as far as that is known."""
        return CACHE_VARIABLE in os.environ and count_kernels() == self._kernels_before

    def _new_graph(self, *, confidence: bool):
        """Return the frame graph as fused kernels."""
        from enet_ros.backends.triton.network import FusedNetwork
        return FusedNetwork(build_graph(self._checkpoint, confidence=confidence),
                            self._torch_device, self._usual_images)

    def _check_labels(self, reference: TorchBackend) -> None:
        """Compare the labels of a test frame with those of torch.

        Raises:
            BackendError: They differ, or the kernels fail.
        """
        frames = street_frame(self._resolution)[None]
        try:
            labels = self.infer(frames)[0]
        except Exception as error:  # Triton has errors of its own, and those of its compiler
            reason = in_one_line(describe_error(error))
            raise BackendError(f'its kernels do not run here: {reason}') from error
        agrees, text = compare_with_torch(labels, reference.infer(frames)[0])
        if not agrees:
            raise BackendError(f'its {text}')
