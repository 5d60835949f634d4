"""Which tuning the kernels of the backend triton are fastest with.

    python3 scripts/gpu/tune_triton.py [--build N] [--budget SECONDS]    writes $OUT/tune.json

With ``--build`` it only compiles for the choice of that number, so that several processes can do
that side by side. Without it, every choice is timed: the whole network by events around many
replays in a row, and each kernel by the profiler. Its labels are compared with those of float32.

A kernel with an illegal memory access spoils its process. So choices are measured in a child, and
another child goes on behind the choice that failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
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
from enet_ros.scene.frames import street_frames

OUT = Path(os.environ.get('OUT', '.'))
STARTED = time.monotonic()
SIZE = (640, 360)

#: (block, warps) for one frame and for many.
FOR_ONE = ((16, 1), (16, 2), (16, 4), (32, 2), (32, 4), (32, 8))
FOR_MANY = ((16, 1), (32, 1), (32, 2), (32, 4), (64, 2))

#: Number of frames, and how the kernels are tuned; None is the product's own choice.
CHOICES = [*((images, None) for images in (1, 32)),
           *((32, Tuning(*pair, stages)) for pair in FOR_MANY for stages in (4, 10)),
           *((1, Tuning(*pair, stages)) for pair in FOR_ONE for stages in (4, 10))]
KERNELS = 33  # of a frame
REPLAYS = 20
WARM_UP_SEC = 0.2
TIMED_SEC = 0.2
CHOICE_SEC = 30.0  # at most for each choice that is left, before its process is ended
LEAST_AGREEMENT = 0.99


def name_of(number: int) -> str:
    """Name a choice, as '32 frames, 32/4/10' for blocks of 32 pixels, 4 warps and 10 stages."""
    images, tuning = CHOICES[number]
    return f'{images} frames, ' + ('/'.join(map(str, tuning)) if tuning else 'as shipped')


def make_runner(images: int, tuning: Tuning | None) -> CudaRunner:
    """Compile the network for one choice and record it as a CUDA graph.

    Raises:
        RuntimeError: It cannot be compiled or recorded.
    """
    graph = build_graph(read_checkpoint(weights_path('')))
    choose = network.tuning if tuning is None else (lambda *_: tuning)
    with mock.patch.object(network, 'tuning', choose):
        runner = CudaRunner(FusedNetwork(graph, 'cuda', images), (images, SIZE[1], SIZE[0], 3))
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
            for event, value in zip(events, np.median(times, axis=0))]


class Trial:
    """The measurements of one process: frames, their labels by float32, and the results."""

    def __init__(self, results: dict[str, dict]):
        self.results = results
        self.frames = street_frames(SIZE, 32)
        exact = build_graph(read_checkpoint(weights_path(''))).cuda()
        with torch.inference_mode():
            self.truth = np.concatenate([exact(torch.from_numpy(frame[None]).cuda()).cpu().numpy()
                                         for frame in self.frames])

    def measure(self, number: int) -> None:
        """Time one choice, print it in a line and keep it."""
        images, tuning = CHOICES[number]
        name = name_of(number)
        self.results[name] = {'error': 'not ended'}
        write(self.results)
        runner = make_runner(images, tuning)
        agrees = float(np.mean(runner(self.frames[:images])[0] == self.truth[:images]))
        with torch.no_grad(), torch.cuda.stream(runner.stream):
            whole, kernels = network_us(runner), kernel_us(runner)
        self.results[name] = {'network_us': round(whole, 1), 'agrees': round(agrees, 5),
                              'kernels': kernels}
        write(self.results)
        alone = sum(value for _, value in kernels)
        print(f'{name:<24} {whole:8.1f} us in a row, kernels alone {alone:8.1f}, labels agree '
              f'{agrees:.5f}', flush=True)


def read() -> dict[str, dict]:
    """Return the results so far, by the names of the choices."""
    path = OUT / 'tune.json'
    return json.loads(path.read_text()) if path.exists() else {}


def write(results: dict[str, dict]) -> None:
    """Keep the results in $OUT."""
    (OUT / 'tune.json').write_text(json.dumps(results, indent=1) + '\n')


def measure_rest(budget_sec: float) -> int:
    """Measure the choices that have no result. Ends with 1 at the first that fails."""
    trial = Trial(read())
    for number in range(len(CHOICES)):
        if name_of(number) in trial.results or time.monotonic() - STARTED > budget_sec:
            continue
        try:
            trial.measure(number)
        except Exception as error:  # one choice that fails leaves the others
            trial.results[name_of(number)] = {'error': f'{type(error).__name__}: {error}'[:300]}
            write(trial.results)
            return 1
    return 0


def _run_child(command: list[str]) -> int:
    """Run a child until it ends, or until one choice takes too long; return its exit code."""
    process = subprocess.Popen(command)
    seen, since = (OUT / 'tune.json').stat().st_mtime_ns, time.monotonic()
    while (code := process.poll()) is None:
        time.sleep(0.2)
        newest = (OUT / 'tune.json').stat().st_mtime_ns
        if newest != seen:
            seen, since = newest, time.monotonic()
        if time.monotonic() - since > CHOICE_SEC:  # a kernel never ends
            process.kill()
    return code


def print_best(results: dict[str, dict], images: int) -> None:
    """Print each kernel as shipped, and beside it the choice that is fastest at it."""
    rows = {name.partition(', ')[2]: result['kernels'] for name, result in results.items()
            if result.get('kernels') and name.startswith(f'{images} frames')
            and result['agrees'] >= LEAST_AGREEMENT}
    if 'as shipped' not in rows:
        return
    print(f'{images} frames: kernel, us as shipped, us in the best choice')
    for i, (name, value) in enumerate(rows['as shipped']):
        best = min(rows, key=lambda choice: rows[choice][i][1])
        print(f'{name[:14]:<14} {value:7.2f} {rows[best][i][1]:7.2f} {best}')


def main() -> int:
    """Compile one choice, or measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=int, metavar='N', choices=range(len(CHOICES)),
                        help='only compile for this choice')
    parser.add_argument('--count', action='store_true', help='print the number of choices')
    parser.add_argument('--budget', type=float, default=90.0, metavar='SECONDS',
                        help='begin no choice after so many seconds (default %(default)s)')
    parser.add_argument('--child', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.count:
        print(len(CHOICES))
        return 0
    use_private_cache()
    if arguments.build is not None:
        make_runner(*CHOICES[arguments.build])
        return 0
    if arguments.child:
        return measure_rest(arguments.budget)
    write({})
    while (left := arguments.budget - (time.monotonic() - STARTED)) > 0:
        before = len(read())
        child = [sys.executable, __file__, '--child', '--budget', str(left)]
        if _run_child(child) == 0 or len(read()) == before:
            break
    results = read()
    for name, result in results.items():
        if 'error' in result:
            print(f'{name:<24} FAILED: {result["error"]}')
    for images in (1, 32):
        print_best(results, images)
    return 0


if __name__ == '__main__':
    sys.exit(main())
