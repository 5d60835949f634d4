"""Which tuning each kernel of the backend triton is fastest with.

    python3 scripts/gpu/tune_triton.py [--build N]    writes $OUT/tune.json

With ``--build`` it only compiles for the choice of that number, so that several processes can do
that side by side. Without it, every choice is timed kernel by kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
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
#: Number of frames, and how the kernels are tuned.
CHOICES = [*((1, Tuning(block, warps, stages))
             for block in (16, 32) for warps in (2, 4, 8) for stages in (4, 10)),
           *((32, Tuning(block, warps, stages))
             for block in (32, 64) for warps in (4, 8) for stages in (2, 4))]
KERNELS = 33  # of a frame
REPLAYS = 20


def make_runner(images: int, tuning: Tuning) -> CudaRunner:
    """Compile the network for one choice and record it as a CUDA graph."""
    graph = build_graph(read_checkpoint(weights_path('')))
    with mock.patch.object(network, 'tuning', lambda pixels: tuning):
        return CudaRunner(FusedNetwork(graph, 'cuda'), (images, 360, 640, 3))


def kernel_times(runner: CudaRunner) -> tuple[list[str], list[float]]:
    """Return name and median microseconds of each kernel, in their order."""
    from torch.profiler import ProfilerActivity, profile
    for _ in range(REPLAYS):
        runner.run_on_device()
    runner.stream.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(REPLAYS):
            runner.run_on_device()
        runner.stream.synchronize()
    events = sorted((event for event in profiler.events()
                     if event.device_type == torch.autograd.DeviceType.CUDA),
                    key=lambda event: event.time_range.start)
    assert len(events) == KERNELS * REPLAYS, f'{len(events)} kernels, wanted {KERNELS * REPLAYS}'
    times = np.array([event.time_range.elapsed_us() for event in events]).reshape(REPLAYS, KERNELS)
    return [event.name for event in events[:KERNELS]], np.median(times, 0).tolist()


def measure(images: int) -> dict[str, list]:
    """Time every choice; print the table, and return the times by choice."""
    times, names = {}, []
    for tuning in (tuning for count, tuning in CHOICES if count == images):
        choice = '/'.join(map(str, tuning))
        try:
            names, times[choice] = kernel_times(make_runner(images, tuning))
        except Exception as error:  # one choice that fails leaves the others
            print(f'{choice} FAILED: {type(error).__name__}: {str(error)[:200]}')
    print(f'{images} frames, us a kernel by block/warps/stages; the sums last')
    print(f'{"":<16}', *(f'{choice:>7}' for choice in times), 'best')
    columns = list(times.values())
    for i, name in enumerate(names):
        row = [column[i] for column in columns]
        print(f'{name[:16]:<16}', *(f'{value:7.2f}' for value in row),
              list(times)[int(np.argmin(row))])
    print(f'{"sum":<16}', *(f'{sum(column):7.1f}' for column in columns),
          f'{np.min(columns, 0).sum():.1f}')
    return {'names': names, **times}


def main() -> int:
    """Compile one choice, or measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=int, metavar='N', choices=range(len(CHOICES)),
                        help='only compile for this choice')
    arguments = parser.parse_args()
    use_private_cache()
    if arguments.build is not None:
        make_runner(*CHOICES[arguments.build])
        return 0
    result = {images: measure(images) for images in dict.fromkeys(count for count, _ in CHOICES)}
    (OUT / 'tune.json').write_text(json.dumps(result, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
