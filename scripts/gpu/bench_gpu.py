"""ENet on this GPU: the product's backends beside torch eager, a CUDA graph and torch.compile.

    python3 scripts/gpu/bench_gpu.py [--budget SECONDS] [--compile]    writes $OUT/bench.json

Host time is from uint8 frames of the network's size in RAM to labels in RAM; device time is the
network alone, by events in its stream. Run it alone: the first lines say what else uses the GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from enet_ros.backends.base import BackendError, BackendRequest
from enet_ros.backends.cuda import CudaRunner
from enet_ros.backends.select import has_tensorrt, open_backend
from enet_ros.network.build import build_graph
from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.network.fusible import FusiblePReLU, with_fusible_prelu
from enet_ros.network.unpooling import BY_MAXIMA, use_unpooling
from enet_ros.scene.road_scene import RoadScene

OUT = Path(os.environ.get('OUT', '.'))
STARTED = time.monotonic()
SHAPES = (((640, 360), 1), ((640, 360), 32), ((1024, 512), 1), ((640, 360), 16), ((640, 360), 8))
PARTS_OF_32 = (8, 16)  # a backend for so many frames is measured with 32 as well
ROUNDS, WARM_UP = 200, 30
BUILD_SEC = 1500.0  # for an engine, on a small GPU


def say(text: str) -> None:
    """Print with the seconds since the start."""
    print(f'[{time.monotonic() - STARTED:5.1f} s] {text}', flush=True)


def host_ms(call: Callable, batches: list[np.ndarray]) -> list[float]:
    """Time calls one after the other; returns their median and 95th percentile."""
    seconds = []
    for i in range(WARM_UP + ROUNDS):
        started = time.perf_counter()
        call(batches[i % len(batches)])
        seconds.append(time.perf_counter() - started)
    return [round(1e3 * float(np.percentile(seconds[WARM_UP:], q)), 4) for q in (50, 95)]


def device_ms(call: Callable, stream: torch.cuda.Stream) -> list[float]:
    """Time one call by events (median, 95th percentile), and calls in a row (mean)."""
    with torch.no_grad(), torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            call()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        times = []
        for _ in range(ROUNDS):
            start.record()
            call()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        start.record()
        for _ in range(ROUNDS):
            call()
        end.record()
        end.synchronize()
    return [*(round(float(np.percentile(times, q)), 4) for q in (50, 95)),
            round(start.elapsed_time(end) / ROUNDS, 4)]


class Bench:
    """One shape: its frames, the truth by float32, and the rows that were measured."""

    def __init__(self, checkpoint, size, batch, rows, notes):
        self.checkpoint, self.size, self.batch = checkpoint, size, batch
        self.rows, self.notes = rows, notes
        self.request = BackendRequest(checkpoint, size, batch=batch)
        self.shape = (batch, size[1], size[0], 3)
        scene = RoadScene(*size)
        drawn = np.stack([scene.render(0.5 * t)[0] for t in range(8)])
        self.frames = [np.ascontiguousarray(np.resize(np.roll(drawn, -i, 0), self.shape))
                       for i in range(8)]
        exact = build_graph(checkpoint).cuda()
        with torch.inference_mode():
            self.truth = torch.cat([exact(torch.from_numpy(self.frames[0][i:i + 1]).cuda())
                                    for i in range(batch)]).cpu().numpy()

    def measure(self, name: str, infer: Callable, batches: list[np.ndarray],
                runner: CudaRunner | None) -> None:
        """Measure one way and print its row."""
        count = len(batches[0])
        truth = np.resize(self.truth, (count, *self.truth.shape[1:]))  # repeats its frames
        row = {'what': name, 'size': f'{self.size[0]}x{self.size[1]}', 'batch': count,
               'agrees': round(float(np.mean(infer(batches[0]) == truth)), 5),
               'host_ms': host_ms(infer, batches)}
        if runner is not None:
            row['device_ms'] = device_ms(runner.run_on_device, runner.stream)
            row['cuda_graph'] = runner.graph_error or 'yes'
        row['frames_a_second'] = round(1e3 * count / row['host_ms'][0])
        self.rows.append(row)
        say(json.dumps(row))

    def attempt(self, name: str, function: Callable, *arguments) -> bool:
        """Call a function; a failure becomes a note."""
        try:
            function(*arguments)
        except Exception as error:
            traceback.print_exc()
            self.notes.append(f'{name}: {type(error).__name__}: {str(error)[:300]}')
            say(f'{name} FAILED')
            return False
        finally:
            torch.cuda.synchronize()
        return True

    def product(self, kind: str) -> None:
        """The backend as the node uses it, frames in the memory it gives for them."""
        started = time.monotonic()
        backend, choice = open_backend(kind, self.request)
        if kind == 'tensorrt':
            assert backend.wait(timeout_sec=BUILD_SEC), backend.status()
            say(f'{choice}; {backend.status()}; ready after {time.monotonic() - started:.1f} s')
            runner = backend.runner()
        else:
            runner = backend.runner(self.batch)
        self.measure(f'product {kind}', lambda one: backend.infer(one)[0],
                     self.page_locked(backend, self.batch), runner)
        if self.batch in PARTS_OF_32:  # copies run beside the network
            self.measure(f'product {kind}, by {self.batch}', lambda one: backend.infer(one)[0],
                         self.page_locked(backend, 32), None)
        if self.batch == 1:
            self.measure(f'product {kind}, plain memory', lambda one: backend.infer(one)[0],
                         self.frames, None)
        if self.batch in (1, 32) and self.size == (640, 360):
            self.profile(kind, runner)

    def page_locked(self, backend, count: int) -> list[np.ndarray]:
        """The frames in memory that the backend gives for them, repeated up to ``count``."""
        batches = []
        for frames in self.frames:
            batches.append(backend.new_batch(count))
            batches[-1][:] = np.resize(frames, (count, *self.shape[1:]))
        return batches

    def profile(self, name: str, runner: CudaRunner) -> None:
        """Write the kernels that take most time to $OUT."""
        from torch.profiler import ProfilerActivity, profile
        with profile(activities=[ProfilerActivity.CUDA]) as profiler, torch.no_grad(), \
                torch.cuda.stream(runner.stream):
            for _ in range(5):
                runner.run_on_device()
            runner.stream.synchronize()
        table = profiler.key_averages().table(sort_by='cuda_time_total', row_limit=45,
                                              max_name_column_width=110)
        (OUT / f'profile_{name}_{self.batch}.txt').write_text(table)

    def half(self):
        """The graph in half precision, channels last, as anybody would put it on a GPU."""
        return build_graph(self.checkpoint).half().to('cuda', memory_format=torch.channels_last)

    def eager(self) -> None:
        graph = self.half()

        def infer(frames):
            with torch.inference_mode():
                return graph(torch.from_numpy(frames).cuda()).cpu().numpy()
        self.measure('torch eager', infer, self.frames, None)

    def graphed(self, name: str, module) -> None:
        runner = CudaRunner(module, self.shape)
        self.measure(name, lambda frames: runner(frames)[0], self.frames, runner)

    def engine(self, name: str, graph) -> None:
        """A TensorRT engine of another form of the graph, built in this process."""
        import inspect

        from torch_tensorrt import dynamo

        from enet_ros.backends.tensorrt.build import compile_arguments
        started = time.monotonic()
        there = torch.zeros(self.shape, dtype=torch.float16, device='cuda')
        with torch.no_grad():
            program = torch.export.export(graph.half().cuda(), (there,))
        arguments = compile_arguments(inspect.signature(dynamo.compile).parameters)
        module = dynamo.compile(program, inputs=[there], **arguments)
        say(f'{name} built in {time.monotonic() - started:.1f} s')
        self.graphed(name, lambda frames: module(frames.half()))

    def variants(self, budget_sec: float) -> None:
        """Measure engines of other forms of the graph; begin none after so many seconds."""
        def plain():
            return build_graph(self.checkpoint, label_dtype=torch.int32)

        general = with_fusible_prelu(plain())
        for module in general.modules():
            if isinstance(module, FusiblePReLU):
                module.is_maximum = False
        for name, graph in (
                ('engine: nn.PReLU, maxima', use_unpooling(plain(), BY_MAXIMA)),
                ('engine: PReLU by minimum, maxima', use_unpooling(general, BY_MAXIMA)),
                ('engine: PReLU by maximum, slices', with_fusible_prelu(plain()))):
            if time.monotonic() - STARTED < budget_sec:
                self.attempt(name, self.engine, name, graph)

    def compiled(self, name: str, mode: str | None) -> None:
        """torch.compile as people call it; with a mode that records graphs it does so itself."""
        graph = torch.compile(self.half(), dynamic=False, mode=mode)
        there = torch.from_numpy(self.frames[0]).cuda()
        started = time.monotonic()
        with torch.inference_mode():
            for _ in range(3):
                graph(there)
        torch.cuda.synchronize()
        say(f'{name} compiled in {time.monotonic() - started:.1f} s')

        def infer(frames):
            with torch.inference_mode():
                return graph(torch.from_numpy(frames).cuda()).cpu().numpy()
        self.measure(name, infer, self.frames, None)
        with torch.inference_mode():
            times = device_ms(lambda: graph(there), torch.cuda.current_stream())
        self.rows[-1]['device_ms'] = times
        say(f'{name} device {times}')


def build_engine(checkpoint, size: tuple[int, int], batch: int) -> int:
    """Put one engine and the kernels of Triton into the cache; returns 1 if that failed."""
    request = BackendRequest(checkpoint, size, batch=batch)
    backend = None
    if has_tensorrt():
        backend, _ = open_backend('tensorrt', request)  # a child builds from now on
    try:
        fused, choice = open_backend('triton', request)
        fused.infer(fused.new_batch(batch))
        say(f'{size} x {batch}: {choice}')
    except BackendError as error:
        say(f'{size} x {batch}: {error}')
    if backend is None:
        return 0
    served = backend.wait(timeout_sec=BUILD_SEC)
    say(f'{size} x {batch}: {backend.status()}')
    return 0 if served else 1


def write_result(name: str, rows: list, notes: list) -> None:
    """Write what was measured so far to $OUT."""
    result = {'gpu': torch.cuda.get_device_name(), 'torch': torch.__version__, 'rows': rows,
              'notes': notes}
    (OUT / name).write_text(json.dumps(result, indent=1) + '\n')


def measure_shapes(checkpoint, arguments, rows: list, notes: list) -> None:
    """Measure every shape that the budget allows; fill ``rows`` and ``notes``."""
    with_tensorrt = has_tensorrt()
    for size, batch in SHAPES:
        if time.monotonic() - STARTED > arguments.budget:
            notes.append(f'no time for {size} x {batch}')
            continue
        bench = Bench(checkpoint, size, batch, rows, notes)
        with_tensorrt = with_tensorrt and bench.attempt('tensorrt', bench.product, 'tensorrt')
        bench.attempt('triton', bench.product, 'triton')
        bench.attempt('torch', bench.product, 'torch')
        if batch in (1, 32):
            bench.attempt('eager', bench.eager)
            torch.backends.cudnn.benchmark = False
            bench.attempt('graph', bench.graphed, 'torch, a CUDA graph alone', bench.half())
            torch.backends.cudnn.benchmark = True
        torch.cuda.empty_cache()
        write_result('bench.json', rows, notes)
    if arguments.variants and with_tensorrt:
        Bench(checkpoint, *SHAPES[0], rows, notes).variants(arguments.budget + 35.0)


def main() -> int:
    """Measure, write bench.json and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--budget', type=float, default=150.0, metavar='SECONDS',
                        help='begin no shape after so many seconds (default %(default)s)')
    parser.add_argument('--compile', action='store_true',
                        help='measure torch.compile beside the backends, which takes two minutes')
    parser.add_argument('--variants', action='store_true',
                        help='measure other forms of the graph as well')
    parser.add_argument('--build', type=int, metavar='SHAPE',
                        help='only build the engine and the kernels of this shape')
    parser.add_argument('--count', action='store_true', help='print the number of shapes')
    arguments = parser.parse_args()
    if arguments.count:
        print(len(SHAPES))
        return 0
    checkpoint = read_checkpoint(weights_path(''))
    if arguments.build is not None:
        return build_engine(checkpoint, *SHAPES[arguments.build])
    rows, notes = [], []
    if arguments.compile:
        bench = Bench(checkpoint, *SHAPES[0], rows, notes)
        for kind in (['tensorrt'] if has_tensorrt() else []) + ['triton']:  # to be compared with
            bench.attempt(kind, bench.product, kind)
        bench.attempt('max-autotune', bench.compiled, 'torch.compile max-autotune', 'max-autotune')
    else:
        measure_shapes(checkpoint, arguments, rows, notes)
    write_result('bench_compile.json' if arguments.compile else 'bench.json', rows, notes)
    print(f'\n{torch.cuda.get_device_name()}, ms: host (median, p95), device (median, p95, '
          'in a row)')
    for row in rows:
        print(f'{row["what"]:<36} {row["size"]:>8} x{row["batch"]:<2} host {row["host_ms"]} '
              f'device {row.get("device_ms")} {row["frames_a_second"]}/s '
              f'agrees {row["agrees"]}')
    print(*notes, sep='\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
