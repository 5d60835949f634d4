"""Which tuning the kernels of the backend triton are fastest with.

    python3 scripts/gpu/tune_triton.py [--build N] [--budget SECONDS]    writes $OUT/tune.json

With ``--build`` it only compiles for the choice of that number, so that several processes can do
that side by side. Without it, every choice is timed: the whole network by events around many
replays in a row, and each kernel by the profiler.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from enet_ros.backends.cuda import CudaRunner
from enet_ros.backends.triton import network
from enet_ros.backends.triton.backend import use_private_cache
from enet_ros.backends.triton.network import FusedNetwork, Tuning
from enet_ros.network.build import build_graph
from enet_ros.network.checkpoint import read_checkpoint, weights_path

OUT = Path(os.environ.get('OUT', '.'))
STARTED = time.monotonic()

#: Number of frames, and how the kernels are tuned; None is the product's own choice.
CHOICES = [*((images, None) for images in (1, 32)),
           *((1, Tuning(block, warps, stages))
             for block in (16, 32, 64) for warps in (2, 4, 8) for stages in (4, 10)
             if not (block == 64 and warps == 2)),
           *((32, Tuning(block, warps, stages))
             for block in (32, 64) for warps in (4, 8) for stages in (2, 4))]
KERNELS = 33  # of a frame
REPLAYS = 20
WARM_UP_SEC = 0.2
TIMED_SEC = 0.2


def make_runner(images: int, tuning: Tuning | None) -> CudaRunner:
    """Compile the network for one choice and record it as a CUDA graph.

    Raises:
        RuntimeError: It cannot be compiled or recorded.
    """
    graph = build_graph(read_checkpoint(weights_path('')))
    choose = network.tuning if tuning is None else (lambda *_: tuning)
    with mock.patch.object(network, 'tuning', choose):
        runner = CudaRunner(FusedNetwork(graph, 'cuda', images), (images, 360, 640, 3))
    if runner.graph_error:
        raise RuntimeError(runner.graph_error)
    return runner


def network_us(runner: CudaRunner) -> float:
    """Return the microseconds of one replay among many in a row."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for seconds in (WARM_UP_SEC, TIMED_SEC):
        count, stop = 0, time.monotonic() + seconds
        start.record()
        while time.monotonic() < stop:
            for _ in range(REPLAYS):
                runner.run_on_device()
            count += REPLAYS
            runner.stream.synchronize()
        end.record()
        end.synchronize()
    return 1e3 * start.elapsed_time(end) / count


def kernel_us(runner: CudaRunner) -> list[list]:
    """Return name and median microseconds of each kernel, in their order."""
    from torch.profiler import ProfilerActivity, profile
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(REPLAYS):
            runner.run_on_device()
        runner.stream.synchronize()
    events = sorted((event for event in profiler.events()
                     if event.device_type == torch.autograd.DeviceType.CUDA),
                    key=lambda event: event.time_range.start)
    if len(events) != KERNELS * REPLAYS:
        print(f'{len(events)} kernels in {REPLAYS} frames, wanted {KERNELS} each')
        return []
    times = np.array([event.time_range.elapsed_us() for event in events]).reshape(REPLAYS, KERNELS)
    return [[event.name, round(float(value), 2)]
            for event, value in zip(events, np.median(times, 0))]


def measure(number: int) -> dict:
    """Time one choice and print it in a line."""
    images, tuning = CHOICES[number]
    name = f'{images} frames, ' + ('/'.join(map(str, tuning)) if tuning else 'as shipped')
    try:
        runner = make_runner(images, tuning)
        with torch.no_grad(), torch.cuda.stream(runner.stream):
            whole, kernels = network_us(runner), kernel_us(runner)
    except Exception as error:  # one choice that fails leaves the others
        print(f'{name:<24} FAILED: {type(error).__name__}: {str(error)[:160]}', flush=True)
        return {'choice': name, 'error': str(error)}
    alone = sum(value for _, value in kernels)
    print(f'{name:<24} {whole:8.1f} us in a row, kernels alone {alone:8.1f}', flush=True)
    return {'choice': name, 'network_us': round(whole, 1), 'kernels': kernels}


def print_best(results: list[dict], images: int) -> None:
    """Print each kernel as shipped, and beside it the choice that is fastest at it."""
    rows = [result for result in results
            if result.get('kernels') and result['choice'].startswith(f'{images} frames')]
    if not rows:
        return
    print(f'{images} frames: kernel, us in the first choice, us in the best')
    for i, (name, value) in enumerate(rows[0]['kernels']):
        best = min(rows, key=lambda row: row['kernels'][i][1])
        print(f'{name[:14]:<14} {value:7.2f} {best["kernels"][i][1]:7.2f} '
              f'{best["choice"].partition(", ")[2]}')


def main() -> int:
    """Compile one choice, or measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=int, metavar='N', choices=range(len(CHOICES)),
                        help='only compile for this choice')
    parser.add_argument('--count', action='store_true', help='print the number of choices')
    parser.add_argument('--budget', type=float, default=90.0, metavar='SECONDS',
                        help='begin no choice after so many seconds (default %(default)s)')
    arguments = parser.parse_args()
    if arguments.count:
        print(len(CHOICES))
        return 0
    use_private_cache()
    if arguments.build is not None:
        make_runner(*CHOICES[arguments.build])
        return 0
    results: list[dict] = []
    for number in range(len(CHOICES)):
        if time.monotonic() - STARTED < arguments.budget:
            results.append(measure(number))
            (OUT / 'tune.json').write_text(json.dumps(results, indent=1) + '\n')
    for images in (1, 32):
        print_best(results, images)
    return 0


if __name__ == '__main__':
    sys.exit(main())
