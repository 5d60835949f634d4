"""OpenVINO on the processor: the fastest way to run ENet without a GPU."""

from __future__ import annotations

import warnings

import numpy as np
import openvino as ov

from enet_ros.backends import BackendError, BackendRequest
from enet_ros.backends.cache import GRAPH_VERSION, cache_key, read_cached, write_cached

_HINTS = {'float32': 'f32', 'bfloat16': 'bf16'}


def has_bfloat16(core: ov.Core) -> bool:
    """Tell whether the processor computes in bfloat16 itself."""
    return 'BF16' in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')


def _pick_precision(core: ov.Core, wanted: str) -> str:
    native = has_bfloat16(core)
    if wanted == 'auto':
        return 'bfloat16' if native else 'float32'
    if wanted == 'bfloat16' and not native:
        raise BackendError('precision bfloat16: this processor has no bfloat16 arithmetic; '
                           'possible: auto, float32')
    if wanted not in _HINTS:
        raise BackendError(f'precision {wanted}: openvino on a processor runs float32'
                           + (' or bfloat16' if native else ''))
    return wanted


class OpenVinoBackend:
    """The frame graph, compiled for one resolution and a batch of one.

    A batch runs frame by frame: a frame already fills the cores, and a graph of dynamic batch is
    a third slower (docs/decisions/0003-one-graph.md). The graph with confidence is compiled when
    it is first asked for.
    """

    name = 'openvino'

    def __init__(self, request: BackendRequest):
        """Compile the graph, or load it from the cache.

        Raises:
            BackendError: the precision is not possible here.
            CheckpointError: the weights are not those of an ENet.
        """
        self._request = request
        self._core = ov.Core()
        self.precision = _pick_precision(self._core, request.precision)
        self.device = self._core.get_property('CPU', 'FULL_DEVICE_NAME').strip()
        self.from_cache = False
        self._model: ov.Model | None = None
        self._requests: dict[bool, ov.InferRequest] = {}
        self._infer_request(confidence=False)

    def infer(self, frames: np.ndarray,
              confidence: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Segment a batch; see :class:`enet_ros.backends.Backend`."""
        request = self._infer_request(confidence)
        labels = np.empty(frames.shape[:3], np.uint8)
        probability = np.empty(frames.shape[:3], np.float32) if confidence else None
        for i in range(len(frames)):
            outputs = request.infer({0: frames[i:i + 1]}, share_inputs=True, share_outputs=True)
            labels[i] = outputs[0][0]
            if confidence:
                probability[i] = outputs[1][0]
        return labels, probability

    def _infer_request(self, confidence: bool) -> ov.InferRequest:
        if confidence not in self._requests:
            self._requests[confidence] = self._compiled(confidence).create_infer_request()
        return self._requests[confidence]

    def _compiled(self, confidence: bool) -> ov.CompiledModel:
        request = self._request
        config = {'INFERENCE_PRECISION_HINT': _HINTS[self.precision],
                  'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_NUM_THREADS': request.threads}
        name = cache_key('openvino', GRAPH_VERSION, ov.__version__, self.device, config,
                         request.resolution, confidence,
                         request.checkpoint.fingerprint()) + '.blob'
        blob = read_cached(name) if request.use_cache else None
        if blob is not None:
            try:
                compiled = self._core.import_model(blob, 'CPU', config)
                self.from_cache = True
                return compiled
            except RuntimeError:
                pass  # made by another build of OpenVINO: compile, and overwrite it
        compiled = self._core.compile_model(self._converted(confidence), 'CPU', config)
        if request.use_cache:
            write_cached(name, compiled.export_model().getvalue())
        return compiled

    def _converted(self, confidence: bool) -> ov.Model:
        """Return the graph with or without its second output."""
        if self._model is None:
            self._model = self._convert()
        if confidence:
            return self._model
        return ov.Model(self._model.get_results()[:1], self._model.get_parameters())

    def _convert(self) -> ov.Model:
        """Convert the torch graph; torch is not imported when the cache has it compiled."""
        import torch

        from enet_ros.backends.graph import build_graph
        width, height = self._request.resolution
        frames = torch.zeros((1, height, width, 3), dtype=torch.uint8)
        graph = build_graph(self._request.checkpoint, confidence=True)
        with torch.inference_mode(), warnings.catch_warnings():
            # torch deprecates tracing, yet from torch.export comes a graph of dynamic shape, in
            # half as much time again. The check would run the network twice more.
            warnings.simplefilter('ignore', DeprecationWarning)
            traced = torch.jit.trace(graph, frames, check_trace=False)
            return ov.convert_model(traced, example_input=frames, input=[list(frames.shape)])
