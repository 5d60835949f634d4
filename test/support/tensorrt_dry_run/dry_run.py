"""Prove, without a GPU, that every graph converts into one TensorRT engine.

Runs in the environment scripts/tensorrt_env.sh builds. torch-tensorrt's dry run lowers and
partitions a graph and asks for the converter of every operator; it builds no engine, so it says
nothing of speed or numerics. Two things it does not look at are checked here on the lowered graph:
that all arithmetic is half precision, and that uint8 goes into casts alone.

The compiler is called with the backend's own arguments. Controls are graphs known not to convert:
should one pass, the check itself is broken.
"""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

import torch  # noqa: E402
from torch import Tensor, fx, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from enet_ros.backends.tensorrt.build import compile_arguments  # noqa: E402
from enet_ros.network import enet, unpooling  # noqa: E402
from enet_ros.network.frame_graph import FrameGraph  # noqa: E402

NUM_CLASSES = 12

#: torch-tensorrt asks for these when it is imported; a torch for the CPU has none of them.
ORIN = (8, 7)
torch.cuda.get_device_capability = lambda device=None: ORIN
torch.cuda.current_device = lambda: 0
torch._C._CudaDeviceProperties = SimpleNamespace


@dataclass
class Report:
    """What the dry run says of one graph.

    Attributes:
        graph: its name.
        shape: of the input.
        operators: in the lowered graph.
        supported: how many of them have a converter.
        engines: TensorRT engines the graph falls into.
        unsupported: operators without a converter, and how often each occurs.
        float_types: the floating types of the lowered graph.
        uint8_users: operators other than casts which take uint8. TensorRT refuses them, shuffles
            included, only when it builds the engine (NVIDIA/TensorRT issue 3985).
    """

    graph: str
    shape: list[int]
    operators: int
    supported: int
    engines: int
    unsupported: dict[str, int]
    float_types: list[str]
    uint8_users: list[str]

    @property
    def converts(self) -> bool:
        """Whether all of it is one engine that TensorRT can build in half precision."""
        return (self.supported == self.operators > 0 and self.engines == 1
                and not self.unsupported and not self.uint8_users
                and self.float_types == ['float16'])

    def as_dict(self) -> dict:
        """Return what goes into the JSON."""
        return {**asdict(self), 'converts': self.converts}

    def __str__(self) -> str:
        """Say it in one line."""
        problems = [f'{count}x {name}' for name, count in self.unsupported.items()]
        problems += [f'uint8 into {name}' for name in self.uint8_users]
        problems += [name for name in self.float_types if name != 'float16']
        shape = 'x'.join(map(str, self.shape))
        return (f'{self.graph:<24} {shape:<14} operators {self.operators:>3}  supported '
                f'{self.supported:>3}  engines {self.engines}  {", ".join(problems)}').rstrip()


class ShuffledBytes(nn.Module):
    """A control: moves the channels while they are still uint8."""

    def forward(self, frames: Tensor) -> Tensor:
        """Return (N, H, W, 3) uint8 as (N, 3, H, W) float16 in [0, 1]."""
        return frames.permute(0, 3, 1, 2).half() / 255


def network() -> nn.Module:
    """Build the bare network; weights do not matter to a dry run."""
    return enet.ENet(NUM_CLASSES).eval().half()


def frame_graph(confidence: bool = False) -> nn.Module:
    """Build what the TensorRT backend compiles, temperature included."""
    return FrameGraph(enet.ENet(NUM_CLASSES), mean=[0.4] * 3, std=[0.3] * 3, temperature=1.5,
                      confidence=confidence, label_dtype=torch.int32).eval().half()


def frames(batch: int, height: int, width: int) -> Tensor:
    """Make the input of a frame graph."""
    return torch.zeros(batch, height, width, 3, dtype=torch.uint8)


def usual_pooling(graph: nn.Module) -> nn.Module:
    """Make a graph pool and unpool with indices, as ENet is usually written for PyTorch."""
    return unpooling.use_unpooling(graph, unpooling.UnpoolingMethod(
        lambda x: F.max_pool2d(x, 2, return_indices=True),
        lambda x, indices: F.max_unpool2d(x, indices, 2), unpooling.max_pool))


def lowered_dtype(node: fx.Node) -> torch.dtype | None:
    """Tell the type of a node's value, None if it is no tensor."""
    return getattr(node.meta.get('val'), 'dtype', None)


def float_types(nodes: list[fx.Node]) -> list[str]:
    """List the floating types that occur, without 'torch.'."""
    dtypes = {lowered_dtype(node) for node in nodes} - {None}
    return sorted(str(dtype)[len('torch.'):] for dtype in dtypes if dtype.is_floating_point)


def uint8_users(nodes: list[fx.Node]) -> list[str]:
    """List the operators that take uint8 and are no cast to a floating type."""
    users = {user for node in nodes if lowered_dtype(node) == torch.uint8 for user in node.users}
    casts = {user for user in users if user.target == torch.ops.aten._to_copy.default
             and lowered_dtype(user) in (torch.float16, torch.float32)}
    # A split graph calls its parts as modules; their own nodes are looked at themselves.
    return sorted({str(user.target) for user in users - casts if user.op != 'call_module'})


def compile_dry(program: torch.export.ExportedProgram, example: Tensor, whole: bool):
    """Run the dry run and keep the figures it would have printed.

    Args:
        program: the exported graph.
        example: its input.
        whole: demand one engine for all of it.

    Returns:
        torch-tensorrt's DryRunTracker, and the lowered graph.

    Raises:
        AssertionError: if ``whole`` and the graph is not one engine.
    """
    from torch_tensorrt import dynamo
    # What cannot convert would be sent to the GPU, which is not there.
    cpu = mock.patch.object(dynamo._compiler, 'to_torch_device', lambda device: 'cpu')
    with cpu, mock.patch.object(dynamo._compiler, 'dryrun_stats_display') as display:
        arguments = {**compile_arguments(inspect.signature(dynamo.compile).parameters),
                     'require_full_compilation': whole}
        lowered = dynamo.compile(program, inputs=[example], **arguments, dryrun=True,
                                 offload_module_to_cpu=True)
    return display.call_args.args[0], lowered


def examine(name: str, module: nn.Module, example: Tensor) -> Report:
    """Export a module and report on its dry run."""
    with torch.no_grad():
        program = torch.export.export(module, (example,))
    try:
        tracker, lowered = compile_dry(program, example, whole=True)
    except AssertionError:  # says no more than that it is not whole; ask again for the parts
        tracker, lowered = compile_dry(program, example, whole=False)
    nodes = [node for part in lowered.modules() if isinstance(part, fx.GraphModule)
             for node in part.graph.nodes]
    return Report(name, list(example.shape), tracker.total_ops_in_graph,
                  tracker.supported_ops_in_graph, tracker.tensorrt_graph_count,
                  {str(op): count for op, count in tracker.unsupported_ops.items()},
                  float_types(nodes), uint8_users(nodes))


def examine_graphs() -> list[Report]:
    """Report on the graphs that must convert."""
    cases = (
        ('network', network(), torch.zeros(1, 3, 360, 640).half()),
        ('labels', frame_graph(), frames(1, 360, 640)),
        ('labels', frame_graph(), frames(2, 320, 480)),
        ('labels and confidence', frame_graph(confidence=True), frames(1, 360, 640)),
        ('labels and confidence', frame_graph(confidence=True), frames(2, 320, 480)),
    )
    return [examine(*case) for case in cases]


def examine_controls() -> list[Report]:
    """Report on the graphs that must not convert."""
    usual = usual_pooling(frame_graph())
    return [examine('control: usual pooling', usual, frames(1, 64, 64)),
            examine('control: uint8 shuffled', ShuffledBytes(), frames(1, 64, 64)),
            examine('control: float32', frame_graph().float(), frames(1, 64, 64))]


def import_quietly() -> None:
    """Import torch-tensorrt without its advice on what else to install."""
    logging.disable(logging.ERROR)
    import torch_tensorrt  # noqa: F401


def main() -> int:
    """Print a line a graph; return 1 if one does not convert or a control does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the reports there too')
    arguments = parser.parse_args()
    started = time.monotonic()
    torch.set_num_threads(1)
    import_quietly()
    graphs, controls = examine_graphs(), examine_controls()
    print(*graphs, *controls, sep='\n')
    seconds = time.monotonic() - started
    failed = [report for report in graphs if not report.converts]
    passed = [report for report in controls if report.converts]
    verdict = 'NOT every graph converts' if failed else 'every graph converts into one engine'
    print(f'{verdict}; {len(controls) - len(passed)} of {len(controls)} controls refused; '
          f'{seconds:.0f} s')
    if arguments.json:
        arguments.json.write_text(json.dumps({
            'graphs': [report.as_dict() for report in graphs],
            'controls': [report.as_dict() for report in controls],
            'seconds': seconds}, indent=1))
    return 1 if failed or passed else 0


if __name__ == '__main__':
    sys.exit(main())
