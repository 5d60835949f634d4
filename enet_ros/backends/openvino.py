"""OpenVINO on the CPU: the fastest way to run ENet without a GPU."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from enet_ros.backends.base import BackendRequest, PrecisionError, empty_frames
from enet_ros.backends.cache import (
    GRAPH_VERSION,
    cache_folder,
    cache_key,
    cache_problem,
    read_cached,
    write_cached,
    write_problem,
)
from enet_ros.backends.compile_job import compile_in_child
from enet_ros.machine import import_openvino, processor_flags
from enet_ros.network.checkpoint import Checkpoint, CheckpointError
from enet_ros.network.quantized import QuantizedGraph

if TYPE_CHECKING:
    import openvino as ov
    import torch

    from enet_ros.network.frame_graph import FrameGraph

ov = import_openvino()  # noqa: F811

_HINTS = {'float32': 'f32', 'bfloat16': 'bf16'}

TILE_PIXELS = 1 << 16   # Their logits, 3 MB for eleven classes, about fit the caches of two cores.

#: OpenVINO's names of the convolutions to use, before its own choice, for windows of one row or
#: one column: 2 to 16 % less time a frame with AVX-512 (docs/decisions/0008-convolutions.md).
PREFERRED_CONVOLUTIONS = 'cpu:jit_avx512_1x1,cpu:jit_avx512'


def has_bfloat16(core: ov.Core) -> bool:
    """Tell whether the CPU computes in bfloat16 itself."""
    return 'BF16' in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')


def _pick_precision(core: ov.Core, request: BackendRequest) -> str:
    wanted, native, int8 = request.precision, has_bfloat16(core), request.checkpoint.int8
    if wanted == 'auto':
        if int8 is not None and int8.resolution == request.resolution:
            return 'int8'
        return 'bfloat16' if native else 'float32'
    if wanted == 'int8':
        return _check_int8(int8, request.resolution)
    if wanted == 'bfloat16' and not native:
        raise PrecisionError(wanted, 'this CPU has no bfloat16 arithmetic; '
                                     'possible: auto, float32')
    if wanted not in _HINTS:
        raise PrecisionError(wanted, 'openvino on a CPU runs float32'
                             + (', bfloat16' if native else '')
                             + ' or int8, with weights that have an int8 graph')
    return wanted


def _check_int8(graph: QuantizedGraph | None, resolution: tuple[int, int]) -> str:
    """Return 'int8' if there is a graph for the resolution."""
    if graph is not None and graph.resolution == resolution:
        return 'int8'
    found = ('have no int8 graph' if graph is None else
             'have an int8 graph only for {}x{}'.format(*graph.resolution))
    width, height = resolution
    raise PrecisionError(
        'int8', f'the weights {found}; make one for {width}x{height}: enet-ros export '
                f'--precision int8 --calibrate DIR --resolution {width}x{height}')


def to_openvino(graph: FrameGraph, frames: torch.Tensor) -> ov.Model:
    """Convert a frame graph, only for the shape of ``frames``, (N, H, W, 3) uint8.

    From then on the graph pools and classifies as OpenVINO does it fastest.
    """
    from enet_ros.network.unpooling import BY_CONVOLUTION, use_unpooling
    graph = use_unpooling(graph, BY_CONVOLUTION).in_row_tiles(frames.shape[2], TILE_PIXELS)
    return convert_traced(graph, frames)


def convert_traced(module: torch.nn.Module, example: torch.Tensor) -> ov.Model:
    """Convert a module as it is, only for the shape of ``example``."""
    import torch
    with torch.inference_mode(), warnings.catch_warnings():
        # torch deprecates tracing, yet from torch.export comes a graph of dynamic shape, in
        # half as much time again. The check would run the network twice more.
        warnings.simplefilter('ignore', DeprecationWarning)
        traced = torch.jit.trace(module, example, check_trace=False)
        return ov.convert_model(traced, example_input=example, input=[list(example.shape)])


def convert_checkpoint(checkpoint: Checkpoint, resolution: tuple[int, int]) -> ov.Model:
    """Convert the frame graph with confidence, for one frame of (width, height)."""
    import torch

    from enet_ros.network.build import build_graph
    width, height = resolution
    return to_openvino(build_graph(checkpoint, confidence=True),
                       torch.zeros((1, height, width, 3), dtype=torch.uint8))


def model_files(model: ov.Model) -> tuple[bytes, bytes]:
    """Return what OpenVINO writes of a model: its text, and its weights as they are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'graph.xml')
        ov.save_model(model, path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix('.bin').read_bytes()


def preferred_convolutions(precision: str, flags: Collection[str]) -> str:
    """Return what :func:`prefer_convolutions` takes, or '' where OpenVINO's own choice is best.

    Args:
        precision: 'float32', 'bfloat16' or 'int8'.
        flags: Flags of the CPU, from :func:`enet_ros.machine.processor_flags`.
    """
    # AMX, which OpenVINO chooses by itself, multiplies bfloat16 and int8, and the preferred
    # convolutions do not use it. With AVX2 they made no difference.
    best_by_itself = 'amx_tile' in flags and precision != 'float32'
    return PREFERRED_CONVOLUTIONS if 'avx512f' in flags and not best_by_itself else ''


def prefer_convolutions(core: ov.Core, model: ov.Model, preferred: str) -> ov.Model:
    """Return a copy of a model whose narrow convolutions carry OpenVINO's ``primitives_priority``.

    From Python the attribute can only be set in the text of the model. OpenVINO ignores names of
    convolutions that the CPU lacks.

    Args:
        core: Reads the copy.
        model: The model, which is not changed.
        preferred: Names for convolutions whose window is one row high or one column wide.

    Returns:
        The copy, or the model itself if there is no folder for temporary files.
    """
    try:
        text, numbers = model_files(model)
    except OSError:
        return model  # no folder to write it in: slower, and no more than that
    root = ElementTree.fromstring(text)
    for layer in root.iter('layer'):
        if layer.get('type') == 'Convolution' and '1' in _window(layer):
            info = layer.find('rt_info')
            info = ElementTree.SubElement(layer, 'rt_info') if info is None else info
            ElementTree.SubElement(info, 'attribute', name='primitives_priority', version='0',
                                   value=preferred)
    return core.read_model(ElementTree.tostring(root), numbers)


def _window(convolution: ElementTree.Element) -> list[str]:
    """Read height and width of a convolution's weights (out, in, height, width)."""
    return [dim.text for dim in convolution.findall("input/port[@id='1']/dim")[2:]]


def read_quantized(core: ov.Core, graph: QuantizedGraph) -> ov.Model:
    """Read a quantized graph.

    Raises:
        CheckpointError: OpenVINO refuses it, or it is not a frame graph of its resolution.
    """
    try:
        model = core.read_model(graph.xml, graph.bin)
        found = ([_port(port) for port in model.inputs], [_port(port) for port in model.outputs])
    except RuntimeError as error:
        raise CheckpointError(_refusal(graph, error)) from error
    width, height = graph.resolution
    area = f'[1,{height},{width}]'
    wanted = ([f'u8 [1,{height},{width},3]'], [f'u8 {area}', f'f32 {area}'])
    if found != wanted:
        raise CheckpointError(f'the int8 graph of the weights takes {found[0]} and gives '
                              f'{found[1]}, wanted {wanted[0]} and {wanted[1]}')
    return model


def _refusal(graph: QuantizedGraph, error: RuntimeError) -> str:
    """Say that OpenVINO cannot use a graph, and the first of the lines that say why."""
    made_by = graph.versions.get('openvino', 'an unknown version')
    reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), '')
    return (f'the int8 graph of the weights, made by openvino {made_by}, is refused by openvino '
            f'{openvino_version()} ({reason.strip()[:200]}); precision float32 does without it')


def openvino_version() -> str:
    """Return OpenVINO's version without its build, such as '2026.4.1'."""
    return ov.__version__.split('-')[0]


def _port(port: ov.Output) -> str:
    return f'{port.element_type.get_type_name()} {port.partial_shape}'


class OpenVinoBackend:
    """The frame graph, compiled for one resolution and a batch of one.

    A batch runs frame by frame: a frame already fills the cores, and a graph of dynamic batch is
    a third slower (docs/decisions/0003-one-graph.md). The graph with confidence is compiled when
    it is first asked for.
    """

    name = 'openvino'
    max_batch = 1

    def __init__(self, request: BackendRequest):
        """Compile the graph, or load it from the cache.

        Raises:
            BackendError: The precision is not possible here.
            CheckpointError: The weights are not those of an ENet, or their int8 graph is not a
                frame graph.
        """
        self._request = request
        self._core = ov.Core()
        self.precision = _pick_precision(self._core, request)
        self.device = self._core.get_property('CPU', 'FULL_DEVICE_NAME').strip()
        self._preferred = preferred_convolutions(
            self.precision, processor_flags())
        self.from_cache = True  # until a graph is compiled here
        self._private: tempfile.TemporaryDirectory | None = None  # in place of the cache folder
        self._model: ov.Model | None = None
        self._requests: dict[bool, ov.InferRequest] = {}
        self._infer_request(confidence=False)

    def new_batch(self, count: int) -> np.ndarray:
        """Return memory for frames; see :class:`enet_ros.backends.base.Backend`."""
        return empty_frames(count, self._request.resolution)

    def status(self) -> str:
        """Say nothing; see :class:`enet_ros.backends.base.Backend`."""
        return ''

    def wait(self, *, confidence: bool = False, timeout_sec: float = float('inf')) -> bool:
        """Wait for nothing; see :class:`enet_ros.backends.base.Backend`."""
        return True

    def is_lost(self) -> bool:
        """Tell that the CPU stays; see :class:`enet_ros.backends.base.Backend`."""
        return False

    def infer(self, frames: np.ndarray, *,
              confidence: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Segment a batch; see :class:`enet_ros.backends.base.Backend`."""
        request = self._requests.get(confidence) or self._infer_request(confidence=confidence)
        labels = np.empty(frames.shape[:3], np.uint8)
        probability = np.empty(frames.shape[:3], np.float32) if confidence else None
        for i in range(len(frames)):
            outputs = request.infer({0: frames[i:i + 1]}, share_inputs=True, share_outputs=True)
            labels[i] = outputs[0][0]
            if confidence:
                probability[i] = outputs[1][0]
        return labels, probability

    def compile_all(self) -> None:
        """Compile or load the graph with confidence as well."""
        self._infer_request(confidence=True)

    def _infer_request(self, *, confidence: bool) -> ov.InferRequest:
        if confidence not in self._requests:
            compiled = self._compiled(confidence=confidence)
            self._requests[confidence] = compiled.create_infer_request()
        return self._requests[confidence]

    def _config(self) -> dict[str, object]:
        """Return OpenVINO's settings. The parts of a quantized graph in float have a hint too."""
        hint = self.precision
        if hint == 'int8':
            hint = 'bfloat16' if has_bfloat16(self._core) else 'float32'
        config = {'INFERENCE_PRECISION_HINT': _HINTS[hint], 'PERFORMANCE_HINT': 'LATENCY',
                  'INFERENCE_NUM_THREADS': self._request.threads}
        if 'TBB_PARTITIONER' in self._core.get_property('CPU', 'SUPPORTED_PROPERTIES'):
            config['TBB_PARTITIONER'] = 'AUTO'  # a thread takes over from one that is interrupted
        return config

    def _compiled(self, *, confidence: bool) -> ov.CompiledModel:
        request, config = self._request, self._config()
        name = cache_key('openvino', GRAPH_VERSION, ov.__version__, self.device, config,
                         self.precision, request.resolution, confidence, self._preferred,
                         request.checkpoint.fingerprint()) + '.blob'
        compiled = self._load(name, config)
        if compiled is None and request.use_cache and request.report and self._compile_in_child():
            compiled = self._load(name, config)
        if compiled is None:
            self.from_cache = False
            compiled = self._compile(self._converted(confidence=confidence), config)
            blob = compiled.export_model().getvalue() if request.use_cache else None
            if blob and not write_cached(name, blob) and request.report:
                request.report(write_problem(len(blob)) or 'the compiled network is not kept')
        return compiled

    def _load(self, name: str, config: dict[str, object]) -> ov.CompiledModel | None:
        """Return a compiled network from its file, or None if there is no good file."""
        folder = Path(self._private.name) if self._private else None
        blob = read_cached(name, folder) if self._request.use_cache else None
        try:
            return None if blob is None else self._core.import_model(blob, 'CPU', config)
        except RuntimeError:
            return None  # made by another build of OpenVINO: compile, and overwrite it

    def _compile_in_child(self) -> bool:
        """Have a child compile both graphs, and report that; return whether it did."""
        request, folder = self._request, cache_folder()
        if folder is None:
            request.report(cache_problem())
            self._private = self._private or tempfile.TemporaryDirectory(prefix='enet_ros-')
            folder = Path(self._private.name)
        request.report('compiling the network for {}x{} in a child process'.format(
            *request.resolution))
        failure = compile_in_child(request, folder)
        if failure:
            request.report(f'the child process failed ({failure}); compiling in this process, '
                           'which answers late meanwhile')
        return not failure

    def _compile(self, model: ov.Model, config: dict[str, object]) -> ov.CompiledModel:
        try:
            if self._preferred:
                model = prefer_convolutions(self._core, model, self._preferred)
            return self._core.compile_model(model, 'CPU', config)
        except RuntimeError as error:
            if self.precision != 'int8':
                raise
            raise CheckpointError(_refusal(self._request.checkpoint.int8, error)) from error

    def _converted(self, *, confidence: bool) -> ov.Model:
        """Return the graph with or without its second output.

        Torch is imported for it, unless it comes quantized with the weights.
        """
        checkpoint = self._request.checkpoint
        if self._model is None:
            self._model = (read_quantized(self._core, checkpoint.int8)
                           if self.precision == 'int8' else
                           convert_checkpoint(checkpoint, self._request.resolution))
        if confidence:
            return self._model
        return ov.Model(self._model.get_results()[:1], self._model.get_parameters())
