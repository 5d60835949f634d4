"""Build one TensorRT engine, in a process of its own.

    python -P -m enet_ros.backends.tensorrt.build < REQUEST

A build takes minutes and cannot be interrupted from Python, so the node starts this as a child: it
reads a pickled :class:`BuildRequest` from its standard input (a pipe from its parent, nobody
else's), says how far it is (:mod:`enet_ros.common.child`), and ends with 0 when the file is
there. It dies with its parent. The file appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import inspect
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from enet_ros.backends.cache import read_file, write_file
from enet_ros.common.child import do_job, say
from enet_ros.network.checkpoint import Checkpoint

if TYPE_CHECKING:
    import torch

NICENESS = 10          # the node's own threads come first on a small machine
DEVICE = 'cuda'


class BuildError(RuntimeError):
    """An engine could not be built or kept. The message says why."""


@dataclass(frozen=True)
class BuildRequest:
    """What engine to build, and where it goes.

    Attributes:
        checkpoint: The weights.
        resolution: (width, height) in pixels.
        batch: Number of frames in a call. The engine takes no other number.
        confidence: Whether it gives the probability of the winning class as well.
        path: Path of the file, in a folder that belongs only to the user.
        parent: Process id of the parent.
        replaced: Content of a file at that path that is to be replaced, or None.
    """

    checkpoint: Checkpoint
    resolution: tuple[int, int]
    batch: int
    confidence: bool
    path: Path
    parent: int = 0
    replaced: bytes | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the input, (N, H, W, 3). It holds the values of uint8 frames as float16."""
        width, height = self.resolution
        return self.batch, height, width, 3


def compile_arguments(parameters: Collection[str]) -> dict[str, object]:
    """Choose the arguments of ``torch_tensorrt.dynamo.compile`` by its signature.

    The module is in half precision already, and the network is to keep its types. Up to 2.9 that
    must be asked for, by ``use_explicit_typing`` alone: beside it ``enabled_precisions`` of
    float16 is an AssertionError. It is the default from 2.10 and the only way from 2.13, which
    swallows unknown arguments without a word.

    Args:
        parameters: Names in the signature.

    Returns:
        Arguments by name, all of them in the signature.
    """
    wanted: dict[str, object] = {
        'min_block_size': 1, 'require_full_compilation': True, 'immutable_weights': True,
        'cache_built_engines': False, 'reuse_cached_engines': False, 'use_explicit_typing': True}
    if 'use_explicit_typing' not in parameters and 'enabled_precisions' in parameters:
        import torch
        wanted['enabled_precisions'] = {torch.float16}
    return {name: value for name, value in wanted.items() if name in parameters}


def tensorrt_graph(checkpoint: Checkpoint, *, confidence: bool) -> torch.nn.Module:
    """Build the frame graph in half precision, from the operators that TensorRT fuses best.

    Pooling by maxima and the fusible PReLU were measured on an H200 (docs/experiments.md).
    """
    import torch

    from enet_ros.network.build import build_graph
    from enet_ros.network.fusible import with_fusible_prelu
    from enet_ros.network.unpooling import BY_MAXIMA, use_unpooling
    graph = build_graph(checkpoint, confidence=confidence, label_dtype=torch.int32)
    return use_unpooling(with_fusible_prelu(graph), BY_MAXIMA).half()


def compile_engine(request: BuildRequest, folder: Path) -> bytes:
    """Compile the frame graph into one engine. No other function calls the compiler.

    Args:
        request: What to compile.
        folder: Folder for temporary files, which belongs only to the user.

    Returns:
        The file that ``torch_tensorrt.load`` reads.
    """
    say('loading torch_tensorrt')
    import torch
    import torch_tensorrt  # before tensorrt: with TensorRT-RTX it makes that name

    say('exporting the graph')
    graph = tensorrt_graph(request.checkpoint, confidence=request.confidence).to(DEVICE)
    # Not uint8: the builder takes it, and torch_tensorrt's runtime then refuses the engine
    # ("Unsupported TensorRT data type", core/util/trt_util.cpp, 2.8 to 2.14).
    frames = torch.zeros(request.shape, dtype=torch.float16, device=DEVICE)
    with torch.no_grad():
        program = torch.export.export(graph, (frames,))
    say('compiling with TensorRT, which takes minutes on a small GPU')
    parameters = inspect.signature(torch_tensorrt.dynamo.compile).parameters
    arguments = compile_arguments(parameters)
    if 'timing_cache_path' in parameters:  # its default is a file in /tmp, open to everybody
        arguments['timing_cache_path'] = str(folder / 'timing_cache')
    with convolution_types() as types:
        engine = torch_tensorrt.dynamo.compile(program, inputs=[frames], **arguments)
    check_types(types)
    say('saving')
    torch_tensorrt.save(engine, str(folder / 'engine.pt2'), inputs=[frames])
    return (folder / 'engine.pt2').read_bytes()


@contextmanager
def convolution_types() -> Iterator[Counter]:
    """Count the output types of the convolutions in the networks that TensorRT is given.

    TensorRT is strongly typed here, so these are the types it runs. The built engine tells them
    only in a debugging mode that writes logs. Constants may be float32 and are not looked at.
    """
    from tensorrt import Builder
    types: Counter = Counter()
    # Up to 2.9 torch-tensorrt calls the first, then the second. From vars, since the class would
    # give plain functions, which no longer bind when they are put back.
    originals = {name: vars(Builder)[name] for name in (
        'build_serialized_network', 'build_engine_with_config') if name in vars(Builder)}
    for name in originals:
        setattr(Builder, name, _observed(getattr(Builder, name), types))
    try:
        yield types
    finally:
        for name, original in originals.items():
            setattr(Builder, name, original)


def _observed(build: Callable, types: Counter) -> Callable:
    """Return a method of TensorRT's builder that counts before it builds."""
    def observed(builder, network, *arguments):
        for layer in (network.get_layer(i) for i in range(network.num_layers)):
            if layer.type.name in ('CONVOLUTION', 'DECONVOLUTION'):
                types[layer.get_output(0).dtype.name] += 1
        return build(builder, network, *arguments)
    return observed


def check_types(types: Counter) -> None:
    """Say how the network computes, and refuse one that is not in half precision.

    Args:
        types: From :func:`convolution_types`. It is empty if TensorRT was called in another way.

    Raises:
        BuildError: A convolution is not in half precision.
    """
    if not types:
        say('the precision of the convolutions is not known')
        return
    text = ', '.join(f'{count} {name.lower()}' for name, count in sorted(types.items()))
    if set(types) != {'HALF'}:
        raise BuildError(f'of the convolutions are {text}, wanted only half')
    say(f'of the convolutions are {text}')


def build(request: BuildRequest) -> None:
    """Build an engine and write its file, unless another process did while this one waited.

    Raises:
        BuildError: The file cannot be written.
    """
    started = time.monotonic()
    with open(request.path.with_suffix('.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the process, however that ends
        if read_file(request.path) not in (None, request.replaced):
            say('built by another process')
            return
        folder = request.path.parent / f'.build-{request.path.stem}'
        shutil.rmtree(folder, ignore_errors=True)  # of a build that was interrupted
        folder.mkdir(mode=0o700)
        try:
            content = compile_engine(request, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if not write_file(request.path, content):
            raise BuildError(f'{request.path} cannot be written')
    say(f'built in {time.monotonic() - started:.0f} s')


if __name__ == '__main__':
    sys.exit(do_job(build, NICENESS))
