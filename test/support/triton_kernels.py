"""The kernels of the backend triton, run and compiled on a machine without a GPU.

    TRITON_INTERPRET=1 .venv-tensorrt/bin/python test/support/triton_kernels.py run REPORT
    .venv-tensorrt/bin/python test/support/triton_kernels.py compile REPORT

``run`` has Triton's interpreter compute labels, operation by operation in NumPy, and compares them
with torch in float32. The controls are networks with one mistake each, which must be seen.
``compile`` makes the machine code of some GPUs by Triton's real compiler and NVIDIA's assembler,
and counts in it. Neither says anything of speed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import triton
from support.networks import trained_like

from enet_ros.backends.triton import network
from enet_ros.backends.triton.network import FusedNetwork, Tuning
from enet_ros.network.build import build_graph
from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.network.enet import ENet
from enet_ros.network.frame_graph import FrameGraph
from enet_ros.scene.road_scene import RoadScene

#: Compute capability and number of frames of 640x360: an Orin, and a Hopper in both tunings.
TARGETS = ((87, 1), (90, 1), (90, 32))


@dataclass(frozen=True)
class NetworkCase:
    """A network and frames on which the kernels must agree with torch.

    Attributes:
        name: the case in words.
        graph: makes the frame graph.
        size: (width, height) of the frames.
        images: number of frames.
        block: pixels of a program, or 0 for the product's choice.
        is_uniform: whether the frames have one color, so that pooled windows have ties.
    """

    name: str
    graph: Callable[[], FrameGraph]
    _: KW_ONLY
    size: tuple[int, int] = (64, 40)
    images: int = 1
    block: int = 0
    is_uniform: bool = False


def shipped() -> FrameGraph:
    """Return the frame graph of the weights that ship, with confidence."""
    return build_graph(read_checkpoint(weights_path('')), confidence=True)


def random(classes: int, activation: str = 'prelu') -> Callable[[], FrameGraph]:
    """Return what makes a frame graph of random weights, whose logits lie far apart."""
    def make() -> FrameGraph:
        enet: ENet = trained_like(classes, decoder_activation=activation)
        with torch.no_grad():
            enet.fullconv.weight *= 20.0
        return FrameGraph(enet, (0.4, 0.5, 0.3), (0.2, 0.3, 0.25), 1.5, confidence=True).eval()
    return make


CASES = (
    NetworkCase('shipped', shipped, images=2),
    NetworkCase('shipped, 16 pixels a program', shipped, block=16),
    NetworkCase('shipped, 64 pixels a program', shipped, block=64),
    NetworkCase('sizes that are no powers of two', shipped, size=(104, 56)),
    NetworkCase('the smallest frame', random(3), size=(8, 8)),
    NetworkCase('frames of one color', shipped, is_uniform=True),
    NetworkCase('one class', random(1), size=(16, 24)),
    NetworkCase('ReLU in the decoder', random(12, 'relu'), size=(40, 24)),
    NetworkCase('33 classes', random(33), size=(40, 24)),
)


def frames_of(size: tuple[int, int], images: int) -> torch.Tensor:
    """Draw the lower middle of synthetic streets, (N, H, W, 3) uint8."""
    (width, height), scene = size, RoadScene(128, 64)
    left = (128 - width) // 2
    streets = np.stack([scene.render(1.0 + 2.0 * i)[0] for i in range(images)])
    return torch.from_numpy(np.ascontiguousarray(streets[:, -height:, left:left + width]))


def run_case(case: NetworkCase, change: Callable[[FusedNetwork], None] | None = None) -> dict:
    """Compare the kernels with torch in float32.

    Args:
        case: what to compare.
        change: puts a mistake into the network.

    Returns:
        'agrees', the share of equal labels; 'probability', the mean difference; 'classes', the
        number of classes that torch's labels have.
    """
    graph, frames = case.graph(), frames_of(case.size, case.images)
    frames = torch.full_like(frames, 90) if case.is_uniform else frames
    fused = FusedNetwork(graph, 'cpu')
    if change:
        change(fused)
    tuning = (lambda *_: Tuning(case.block, 4, 1)) if case.block else network.tuning
    with torch.inference_mode(), mock.patch.object(network, 'tuning', tuning):
        labels, probability = fused(frames)
        wanted, wanted_probability = graph(frames)
    return {'agrees': float((labels == wanted).float().mean()),
            'probability': float((probability - wanted_probability).abs().mean()),
            'classes': len(wanted.unique())}


# Mistakes that must be seen


def without_dilation(fused: FusedNetwork) -> None:
    """Give all main convolutions of sections 2 and 3 a dilation of 1."""
    for name in ('stage2', 'stage3'):
        fused._stages[name] = [replace(block, window=(*block.window[:2], 1))
                               for block in fused._stages[name]]


def without_slopes(fused: FusedNetwork) -> None:
    """Let the activation after each expansion be ReLU."""
    for blocks in fused._stages.values():
        for block in blocks:
            block.expansion.vectors[1] = 0.0


def with_mirrored_taps(fused: FusedNetwork) -> None:
    """Mirror the windows of the main convolutions."""
    for blocks in fused._stages.values():
        for block in blocks:
            block.conv.weights.copy_(block.conv.weights.flip(0))


def with_bytes_of_another_order(fused: FusedNetwork) -> None:
    """Normalize the channels by each other's factors."""
    fused._normalization.copy_(fused._normalization.flip(0))


def without_last_bias(fused: FusedNetwork) -> None:
    """Set the bias of the classes to 0, but for padded ones."""
    fused._fullconv.vectors[:fused._fullconv.vectors.isfinite().sum()] = 0.0


CONTROLS = {function.__name__: function for function in (
    without_dilation, without_slopes, with_mirrored_taps, with_bytes_of_another_order,
    without_last_bias)}


def run() -> dict:
    """Run every case and control; return their results by name."""
    return {**{case.name: run_case(case) for case in CASES},
            **{name: run_case(NetworkCase(name, shipped), control)
               for name, control in CONTROLS.items()}}


# Machine code


class LaunchRecorder:
    """Stands in for ``launch`` and keeps what the kernels would be started with."""

    def __init__(self):
        self.launches: list[tuple] = []

    def __call__(self, kernel, grid, *arguments, extra=(), **constants):
        """Keep one launch."""
        values = (*arguments, grid.pixels, grid.height, grid.width, *extra)
        self.launches.append((kernel, values, constants, network.tuning(grid)))


def launches_of(images: int, usual_images: int, size: tuple[int, int] = (640, 360)) -> list[tuple]:
    """Return all launches for some frames of (width, height)."""
    recorder, (width, height) = LaunchRecorder(), size
    frames = torch.empty((images, height, width, 3), dtype=torch.uint8)
    with mock.patch.object(network, 'launch', recorder):
        FusedNetwork(shipped(), 'cpu', usual_images)(frames)
    return recorder.launches


def specializations(launches: list[tuple]) -> set[str]:
    """Return what each launch is compiled for, as Triton tells one from another."""
    return {f'{kernel.__name__} {constants} {tuning} ' + ' '.join(
        f'{name}:{value == 1}{value % 16 == 0}' for name, value in zip(kernel.arg_names, values)
        if isinstance(value, int) and name not in not_specialized(kernel))
        for kernel, values, constants, tuning in launches}


def not_specialized(kernel) -> set[str]:
    """Return the arguments whose values a kernel is not compiled for."""
    return {parameter.name for parameter in kernel.params if parameter.do_not_specialize}


def compile_launch(kernel, values: tuple, constants: dict, tuning: Tuning, capability: int):
    """Compile a kernel as Triton does when it is started with these values."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    types = {torch.float16: '*fp16', torch.float32: '*fp32', torch.uint8: '*u8'}
    constants, attributes = {**constants, 'BLOCK': tuning.block}, {}
    signature = dict.fromkeys(constants, 'constexpr')
    for i, (name, value) in enumerate(zip(kernel.arg_names, values)):
        if isinstance(value, torch.Tensor):
            signature[name] = types[value.dtype]
        else:
            signature[name] = 'i32' if isinstance(value, int) else 'fp32'
        if name in not_specialized(kernel):
            continue
        if isinstance(value, int) and value == 1:  # Triton compiles a 1 in
            signature[name], constants[name] = 'constexpr', 1
        elif isinstance(value, torch.Tensor) or isinstance(value, int) and value % 16 == 0:
            attributes[(i,)] = [['tt.divisibility', 16]]
    ordered = {name: signature[name] for name in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=ordered, constexprs=constants, attrs=attributes)
    return triton.compile(source, target=GPUTarget('cuda', capability, 32),
                          options={'num_warps': tuning.warps, 'num_stages': tuning.stages})


def describe_code(compiled) -> dict:
    """Count registers, bytes of stack and instructions in machine code.

    'wgmma' counts those of Hopper that a group of four warps executes together.
    """
    tools = Path(triton.__file__).parent / 'backends' / 'nvidia' / 'bin'
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(compiled.asm['cubin'])
        file.flush()
        usage, code = (subprocess.run([tools / tool, option, file.name], text=True, check=True,
                                      capture_output=True).stdout
                       for tool, option in (('cuobjdump', '-res-usage'), ('nvdisasm', '-c')))
    registers, stack = re.search(r'REG:(\d+) STACK:(\d+)', usage).groups()
    return {'registers': int(registers), 'stack': int(stack),
            'shared': compiled.metadata.shared,
            'instructions': len(re.findall(r'^\s+/\*[0-9a-f]{4,}\*/(?!\s+NOP)', code, re.M)),
            'tensor_core': len(re.findall(r'\b(?:HMMA|HGMMA)\b', code)),
            'wgmma': len(re.findall(r'\bHGMMA\b', code))}


def compile_all() -> dict:
    """Compile every kernel for every target.

    Returns:
        Target ('sm_90, 32 frames') -> 'launches', their number, and 'kernels', one description of
        each that differs from the others. 'more frames' -> how many others more frames need.
    """
    sizes = ((640, 360), (104, 56))
    large = (*launches_of(1, 1)[1][:3], Tuning(64, 4, 4))
    report = {'64 pixels, 4 warps': describe_code(compile_launch(*large, 90)),
              'more frames': [len(specializations(launches_of(count, 1, size))
                                  - specializations(launches_of(1, 1, size)))
                              for size in sizes for count in (2, 5, 8, 16)]}
    for capability, images in TARGETS:
        launches, kernels = launches_of(images, images), {}
        for kernel, values, constants, tuning in launches:
            numbers = [value for value in values if isinstance(value, int)]
            name = f'{kernel.__name__} {constants} {numbers} {tuning}'
            if name not in kernels:
                kernels[name] = describe_code(
                    compile_launch(kernel, values, constants, tuning, capability))
        report[f'sm_{capability}, {images} frames'] = {'launches': len(launches),
                                                       'kernels': kernels}
    return report


if __name__ == '__main__':
    mode, path = sys.argv[1:]
    Path(path).write_text(json.dumps(run() if mode == 'run' else compile_all(), indent=1))
