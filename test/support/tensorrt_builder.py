"""Build engines with the real TensorRT-RTX builder, on a machine without a GPU.

    .venv-tensorrt/bin/python test/support/tensorrt_builder.py REPORT

``scripts/tensorrt_env.sh`` makes the environment. The graphs go through the product's own
``compile_engine``, from the export to the check of the types. Two things need a GPU and have
stand-ins here: the answers of the driver, and the loading of a built engine. So the report says
that TensorRT accepts the graphs and in which types it runs them; it says nothing of speed.

The controls are graphs that must be refused. If one passes, the check itself is broken.
"""

from __future__ import annotations

import inspect
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import KW_ONLY, asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enet_ros.backends.tensorrt import build
from enet_ros.network import build as network_build
from enet_ros.network.checkpoint import read_checkpoint, weights_path

GIBIBYTE = 1 << 30
RTX_CARD = (8, 9)  # a compute capability that TensorRT-RTX supports
CONTROL_SIZE = (96, 64)


@dataclass(frozen=True)
class EngineCase:
    """An engine that must build.

    Attributes:
        resolution: (width, height) in pixels.
        batch: frames in a call.
        confidence: whether the engine gives the winning class's probability as well.
    """

    resolution: tuple[int, int]
    batch: int
    _: KW_ONLY
    confidence: bool

    @property
    def name(self) -> str:
        """Return the case in words, such as 'labels 640x360 batch 1'."""
        graph = 'labels and confidence' if self.confidence else 'labels'
        width, height = self.resolution
        return f'{graph} {width}x{height} batch {self.batch}'


ENGINE_CASES = [EngineCase(resolution, batch, confidence=confidence)
                for resolution, batch in (((640, 360), 1), ((1024, 512), 1),
                                          ((640, 360), 2), ((1024, 512), 4))
                for confidence in (False, True)]


@dataclass
class BuildRecord:
    """What became of a build.

    Attributes:
        name: name of the case or of the control.
        error: the reason why there is no engine; empty if there is one.
        messages: what TensorRT logged as errors.
        seconds: time from the export to the serialized engine.
        engine_bytes: size of the serialized engine.
        layers: number of layers in TensorRT's network, by kind and output type ('SHUFFLE HALF').
        inputs: type and shape of each input of the network.
        outputs: type and shape of each output of the network.
    """

    name: str
    error: str = ''
    messages: list[str] = field(default_factory=list)
    seconds: float = 0.0
    engine_bytes: int = 0
    layers: dict[str, int] = field(default_factory=dict)
    inputs: list[list] = field(default_factory=list)
    outputs: list[list] = field(default_factory=list)


class StandInRuntime:
    """Stands in for TensorRT's runtime, which deserializes an engine on a GPU."""

    def __init__(self, logger):
        pass

    def deserialize_cuda_engine(self, plan):
        """Return an object that serializes to the same plan."""
        return SimpleNamespace(serialize=lambda: plan)


class SerializedEngine(nn.Module):
    """Stands in for torch_tensorrt's module of an engine, which runs it on a GPU."""

    def __init__(self, serialized_engine: bytes, **_):
        super().__init__()
        self.plan = serialized_engine

    def set_output_tensors_as_unowned(self, unowned):
        """Do nothing, since there are no output tensors."""


class UsualPooling(nn.Module):
    """A control: max-pooling and max-unpooling as ENet is usually written for PyTorch."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return (N, 3, H, W) of frames (N, H, W, 3)."""
        pooled, indices = F.max_pool2d(self.convolution(frames.permute(0, 3, 1, 2)), 2,
                                       return_indices=True)
        return F.max_unpool2d(pooled, indices, 2)


class ShuffledBytes(nn.Module):
    """A control: moves the channels while they are still uint8."""

    def forward(self, frames: Tensor) -> Tensor:
        """Return (N, H, W, 3) uint8 as (N, 3, H, W) float16 in [0, 1]."""
        return frames.permute(0, 3, 1, 2).half() / 255


def answer_for_the_driver() -> None:
    """Answer what torch_tensorrt asks CUDA; it asks for the first when it is imported."""
    torch.cuda.get_device_capability = lambda device=None: RTX_CARD
    torch.cuda.current_device = lambda: 0
    torch.cuda.mem_get_info = lambda device=None: (8 * GIBIBYTE, 8 * GIBIBYTE)
    torch._C._CudaDeviceProperties = SimpleNamespace  # torch_tensorrt names it in annotations
    build.DEVICE = 'cpu'


def keep_engines_serialized() -> None:
    """Put the stand-ins for a loaded engine in place."""
    import torch_tensorrt  # before tensorrt: with TensorRT-RTX the name exists only afterwards
    from torch_tensorrt.dynamo.conversion import _conversion
    sys.modules['tensorrt'].Runtime = StandInRuntime
    _conversion.TorchTensorRTModule = SerializedEngine
    torch_tensorrt.save = save_plan


def name_refused_operators() -> None:
    """Let the partitioner's error name the operators that have no converter."""
    from torch_tensorrt.dynamo.partitioning._adjacency_partitioner import TRTPartitioner
    partition_graph = TRTPartitioner.partition_graph

    def partition_or_name(partitioner):
        try:
            return partition_graph(partitioner)
        except AssertionError as error:
            names = ', '.join(sorted(partitioner.operator_support.unsupported_operators))
            raise AssertionError(f'{error}: {names}') from error

    TRTPartitioner.partition_graph = partition_or_name


def describe_networks_in(networks: list[dict]) -> None:
    """Append the :func:`describe_network` of each network that is built from now on."""
    builder_class = sys.modules['tensorrt'].Builder
    build_network = builder_class.build_serialized_network

    def describe_and_build(builder, network, config):
        networks.append(describe_network(network))
        return build_network(builder, network, config)

    builder_class.build_serialized_network = describe_and_build


class ErrorMessages(logging.Handler):
    """Keeps the text of what is logged as an error."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.texts.append(record.getMessage())


def save_plan(module: nn.Module, path: str, *, inputs) -> None:
    """Write the plan of the one engine that the whole graph became."""
    [engine] = [part for part in module.modules() if isinstance(part, SerializedEngine)]
    Path(path).write_bytes(engine.plan)


def describe_network(network) -> dict:
    """Read the types and shapes of a TensorRT network, as fields of a :class:`BuildRecord`."""
    layers = (network.get_layer(i) for i in range(network.num_layers))
    inputs = (network.get_input(i) for i in range(network.num_inputs))
    outputs = (network.get_output(i) for i in range(network.num_outputs))
    return {
        'layers': dict(Counter(f'{layer.type.name} {layer.get_output(0).dtype.name}'
                               for layer in layers)),
        'inputs': [[tensor.dtype.name, list(tensor.shape)] for tensor in inputs],
        'outputs': [[tensor.dtype.name, list(tensor.shape)] for tensor in outputs]}


class Recorder:
    """Runs builds and records what became of them.

    Attributes:
        records: one record a build, in their order.
    """

    def __init__(self):
        answer_for_the_driver()
        keep_engines_serialized()
        name_refused_operators()
        self.records: list[BuildRecord] = []
        self._networks: list[dict] = []
        describe_networks_in(self._networks)
        self._log = ErrorMessages()
        logging.getLogger().addHandler(self._log)

    def record(self, name: str, make_plan: Callable[[], bytes]) -> None:
        """Run a build; whatever it raises is the record's error."""
        self._networks.clear()
        self._log.texts.clear()
        started, plan, error = time.monotonic(), b'', ''
        try:
            plan = make_plan()
        except Exception as problem:
            error = f'{type(problem).__name__}: {" ".join(str(problem).split())[:500]}'
        network = self._networks[-1] if self._networks else {}
        self.records.append(BuildRecord(name, error, list(self._log.texts),
                                        round(time.monotonic() - started, 1), len(plan),
                                        **network))


def compile_case(case: EngineCase) -> bytes:
    """Build an engine of the shipped weights by the product's compile step; return its plan."""
    with tempfile.TemporaryDirectory() as folder:
        request = build.BuildRequest(
            checkpoint=read_checkpoint(weights_path('')), resolution=case.resolution,
            batch=case.batch, confidence=case.confidence, path=Path(folder) / 'unused.engine')
        return build.compile_engine(request, Path(folder))


def compile_replaced(graph: nn.Module) -> bytes:
    """Put another graph through the product's compile step."""
    with mock.patch.object(network_build, 'build_graph', lambda *_, **__: graph.eval()):
        return compile_case(EngineCase(CONTROL_SIZE, batch=1, confidence=False))


def compile_float32() -> bytes:
    """Put the product's graph through its compile step without the cast to half precision."""
    graph = network_build.build_graph(read_checkpoint(weights_path('')), label_dtype=torch.int32)
    graph.half = lambda: graph
    return compile_replaced(graph)


def compile_shuffled_bytes() -> bytes:
    """Compile frames of uint8 with the product's arguments; its compile step gives float16."""
    from torch_tensorrt import dynamo
    width, height = CONTROL_SIZE
    frames = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    program = torch.export.export(ShuffledBytes(), (frames,))
    arguments = build.compile_arguments(inspect.signature(dynamo.compile).parameters)
    dynamo.compile(program, inputs=[frames], **arguments)
    return b'the plan of a graph that should have been refused'


CONTROLS = {'usual pooling': lambda: compile_replaced(UsualPooling()),
            'uint8 moved before the cast': compile_shuffled_bytes,
            'float32': compile_float32}


def main() -> None:
    """Build every case and control, and write the records as JSON."""
    [report] = sys.argv[1:]
    logging.disable(logging.WARNING)  # torch_tensorrt's advice on what else to install
    recorder = Recorder()
    for case in ENGINE_CASES:
        recorder.record(case.name, partial(compile_case, case))
    for name, compile_control in CONTROLS.items():
        recorder.record(name, compile_control)
    Path(report).write_text(json.dumps({record.name: asdict(record)
                                        for record in recorder.records}, indent=1))


if __name__ == '__main__':
    main()
