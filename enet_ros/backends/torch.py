"""PyTorch, channels last: by a CUDA graph on a GPU, and as the fallback on a CPU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from enet_ros.backends.base import BackendError, BackendRequest, PrecisionError, empty_frames
from enet_ros.backends.cuda import CudaRunner, cuda_is_lost, pinned_frames
from enet_ros.network.build import build_graph

CUDA_BATCH = 8   # frames of 640x360; 16 and 32 were not compared with it
MOST_GRAPHS = 6  # CUDA graphs that are kept; each has its own memory and number of frames
_POSSIBLE = {'cuda': ('float16', 'float32', 'bfloat16'), 'cpu': ('float32', 'bfloat16')}


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Give torch so many CPU threads inside a ``with`` block; 0 leaves them as they are."""
    if not threads:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class TorchBackend:
    """The frame graph in PyTorch, for any batch.

    On CUDA each number of frames is recorded once as a CUDA graph, which is then replayed on the
    same buffers (:mod:`enet_ros.backends.cuda`).
    """

    name = 'torch'
    from_cache: bool | None = None

    def __init__(self, request: BackendRequest):
        """Build the graph on the device.

        Raises:
            BackendError: The precision is not possible here, or torch does not see a CUDA device
                that is needed.
            CheckpointError: The weights are not those of an ENet.
        """
        kind = 'cuda' if torch.cuda.is_available() else 'cpu'
        if request.needs_cuda and kind != 'cuda':
            raise BackendError(f'torch {torch.__version__} does not see the CUDA device')
        possible = _POSSIBLE[kind]
        self.precision = possible[0] if request.precision == 'auto' else request.precision
        if self.precision not in possible:
            raise PrecisionError(self.precision,
                                 f'torch on {kind} runs {", ".join(possible)}')
        self._threads = request.threads
        self.device = torch.cuda.get_device_name() if kind == 'cuda' else 'the CPU'
        self._torch_device = torch.device(kind)
        self.max_batch = max(CUDA_BATCH, request.batch) if kind == 'cuda' else 1
        self._checkpoint, self._resolution = request.checkpoint, request.resolution
        self._graphs: dict[bool, Callable] = {}
        #: (confidence, number of frames) -> its CudaRunner, the newest last
        self._runners: OrderedDict[tuple[bool, int], CudaRunner] = OrderedDict()
        self._graph(confidence=False)

    def new_batch(self, count: int) -> np.ndarray:
        """Return memory for frames; see :class:`enet_ros.backends.base.Backend`."""
        if self._torch_device.type == 'cpu':
            return empty_frames(count, self._resolution)
        width, height = self._resolution
        return pinned_frames((count, height, width, 3))

    def status(self) -> str:
        """Say nothing; see :class:`enet_ros.backends.base.Backend`."""
        return ''

    def wait(self, *, confidence: bool = False, timeout_sec: float = float('inf')) -> bool:
        """Wait for nothing; see :class:`enet_ros.backends.base.Backend`."""
        return True

    def is_lost(self) -> bool:
        """Tell whether CUDA has failed for good; see :class:`enet_ros.backends.base.Backend`."""
        return cuda_is_lost()

    def infer(self, frames: np.ndarray, *,
              confidence: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Segment a batch; see :class:`enet_ros.backends.base.Backend`."""
        if self._torch_device.type == 'cuda':
            return self._infer_on_cuda(frames, confidence=confidence)
        with torch.inference_mode(), torch_threads(self._threads):
            outputs = self._graph(confidence=confidence)(torch.from_numpy(frames))
            if not confidence:
                return outputs.numpy(), None
            labels, probability = outputs
            return labels.numpy(), probability.float().numpy()

    def _infer_on_cuda(self, frames: np.ndarray, *,
                       confidence: bool) -> tuple[np.ndarray, np.ndarray | None]:
        runner = self.runner(min(len(frames), self.max_batch), confidence=confidence)
        labels, *probability = runner(frames)
        return labels, probability[0] if confidence else None

    def runner(self, count: int, *, confidence: bool = False) -> CudaRunner:
        """Return the runner for a number of frames, which is recorded when it is first needed."""
        key = confidence, count
        if key not in self._runners:
            width, height = self._resolution
            torch.backends.cudnn.benchmark = True  # shapes are fixed, so the choice is made once
            self._runners[key] = CudaRunner(self._graph(confidence=confidence),
                                            (count, height, width, 3))
            if len(self._runners) > MOST_GRAPHS:
                self._runners.popitem(last=False)
        self._runners.move_to_end(key)
        return self._runners[key]

    def _graph(self, *, confidence: bool) -> Callable:
        if confidence not in self._graphs:
            self._graphs[confidence] = self._new_graph(confidence=confidence)
        return self._graphs[confidence]

    def _new_graph(self, *, confidence: bool) -> Callable:
        """Return what takes frames on the device, and gives labels or labels and probability."""
        return build_graph(self._checkpoint, confidence=confidence).to(
            self._torch_device, getattr(torch, self.precision), memory_format=torch.channels_last)
