"""Plain PyTorch, channels last: on CUDA where it is, and the fallback on a processor."""

from __future__ import annotations

import numpy as np
import torch

from enet_ros.backends.base import BackendError, BackendRequest
from enet_ros.network.build import build_graph

CUDA_BATCH = 8  # of 640x360 frames; a guess, never measured
_POSSIBLE = {'cuda': ('float16', 'float32', 'bfloat16'), 'cpu': ('float32', 'bfloat16')}


class TorchBackend:
    """The frame graph in eager mode, for any batch."""

    name = 'torch'

    def __init__(self, request: BackendRequest):
        """Build the graph on the device.

        Raises:
            BackendError: the precision is not possible here, or torch does not see a CUDA device
                that is needed.
            CheckpointError: the weights are not those of an ENet.
        """
        kind = 'cuda' if torch.cuda.is_available() else 'cpu'
        if request.needs_cuda and kind != 'cuda':
            raise BackendError(f'torch {torch.__version__} does not see the CUDA device')
        possible = _POSSIBLE[kind]
        self.precision = possible[0] if request.precision == 'auto' else request.precision
        if self.precision not in possible:
            raise BackendError(f'precision {self.precision}: torch on {kind} runs '
                               f'{", ".join(possible)}')
        if request.threads:
            torch.set_num_threads(request.threads)
        self.device = torch.cuda.get_device_name() if kind == 'cuda' else 'the processor'
        self._torch_device = torch.device(kind)
        self.max_batch = CUDA_BATCH if kind == 'cuda' else 1
        self._checkpoint = request.checkpoint
        self._graphs: dict[bool, torch.nn.Module] = {}
        self._graph(confidence=False)

    def infer(self, frames: np.ndarray,
              confidence: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Segment a batch; see :class:`enet_ros.backends.base.Backend`."""
        with torch.inference_mode():
            outputs = self._graph(confidence)(torch.from_numpy(frames).to(self._torch_device))
            if not confidence:
                return outputs.cpu().numpy(), None
            labels, probability = outputs
            return labels.cpu().numpy(), probability.float().cpu().numpy()

    def _graph(self, confidence: bool) -> torch.nn.Module:
        if confidence not in self._graphs:
            self._graphs[confidence] = build_graph(self._checkpoint, confidence).to(
                self._torch_device, getattr(torch, self.precision),
                memory_format=torch.channels_last)
        return self._graphs[confidence]
