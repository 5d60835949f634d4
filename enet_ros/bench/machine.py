"""The machine a benchmark runs on: what it is, how busy others keep it, what it can do at most."""

from __future__ import annotations

import os
import platform
import time

import numpy as np
import psutil

from enet_ros.machine import (
    cuda_device_count,
    package_version,
    processor_features,
    processor_name,
    read_text,
)

#: Cores that other processes may keep busy, as a share of ours, before ratios mean nothing.
BUSY_SHARE = 0.1
PACKAGES = ('numpy', 'openvino', 'onnxruntime', 'opencv-python-headless', 'torch',
            'torch-tensorrt')


def our_cores() -> list[int]:
    """Return the processor cores that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else list(
        range(os.cpu_count() or 1))


def describe_machine() -> dict:
    """Return what a reader must know to compare figures, in builtin types."""
    cpuinfo = read_text('/proc/cpuinfo')
    versions = {name: package_version(name) for name in PACKAGES}
    return {
        'processor': processor_name(cpuinfo) or platform.processor() or platform.machine(),
        'cores': len(our_cores()), 'features': list(processor_features(cpuinfo)),
        'memory_gib': round(psutil.virtual_memory().total / 2**30, 1),
        'cuda_devices': cuda_device_count(),
        'system': f'{platform.system()} {platform.release()}, {platform.machine()}',
        'python': platform.python_version(),
        'packages': {name: version for name, version in versions.items() if version},
    }


def machine_line(machine: dict) -> str:
    """Say in a line what :func:`describe_machine` returns."""
    features = f' ({", ".join(machine["features"])})' if machine['features'] else ''
    return f'{machine["cores"]} cores of {machine["processor"]}{features}'


class OtherLoad:
    """Counts the processor time that processes other than ours take, from its making on.

    Ours are this process and its children. Time stolen by a virtual machine's host counts as
    others'.
    """

    def __init__(self):
        self._started, self._busy, self._own = time.perf_counter(), _busy_sec(), self._own_sec()
        self._of_each = _seconds_of_each()

    def cores(self) -> float:
        """Return how many of our cores others kept busy, on average so far."""
        elapsed = max(time.perf_counter() - self._started, 1e-9)
        return max(0.0, (_busy_sec() - self._busy - (self._own_sec() - self._own)) / elapsed)

    def is_high(self) -> bool:
        """Tell whether others kept so many cores busy that a comparison means nothing."""
        return self.cores() > BUSY_SHARE * len(our_cores())

    def culprits(self, most: int = 3) -> list[str]:
        """Name the other processes that took most: 'name (pid), N % of a core'."""
        elapsed = max(time.perf_counter() - self._started, 1e-9)
        took = [(seconds - self._of_each.get(key, 0.0), key)
                for key, seconds in _seconds_of_each().items() if key[0] not in self._family()]
        return [f'{name} ({pid}), {100 * seconds / elapsed:.0f} % of a core'
                for seconds, (pid, name) in sorted(took, reverse=True)[:most]
                if seconds > 0.02 * elapsed]

    def sentence(self) -> str:
        """Say how busy others kept the cores, and who."""
        names = ', '.join(self.culprits())
        return (f'other processes kept {self.cores():.2f} of {len(our_cores())} cores busy'
                + (f': {names}' if names else ''))

    def _family(self) -> set[int]:
        return {os.getpid()} | {child.pid for child in psutil.Process().children(recursive=True)}

    def _own_sec(self) -> float:
        total = 0.0
        for pid in self._family():
            try:
                times = psutil.Process(pid).cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
            if pid == os.getpid():
                total += times.children_user + times.children_system
        return total


def _busy_sec() -> float:
    """Return the seconds in which our cores did anything since the machine started."""
    total, each = 0.0, psutil.cpu_times(percpu=True)
    for core in our_cores():
        times = each[core]._asdict()
        # Time of guests is in user and nice already.
        total += sum(seconds for name, seconds in times.items()
                     if name not in ('idle', 'iowait', 'guest', 'guest_nice'))
    return total


def _seconds_of_each() -> dict[tuple[int, str], float]:
    seconds = {}
    for process in psutil.process_iter(['pid', 'name', 'cpu_times']):
        times = process.info['cpu_times']
        if times is not None:
            seconds[process.info['pid'], process.info['name']] = times.user + times.system
    return seconds


def matrix_product_gflops(precision: str = 'f32', threads: int = 0, size: int = 2048,
                          runs: int = 7) -> float:
    """Measure what the processor computes at most: a large square matrix product by OpenVINO.

    Args:
        precision: 'f32' or 'bf16'.
        threads: of the processor; 0 for all.
        size: rows and columns.
        runs: the fastest counts.

    Returns:
        Billions of operations a second, a multiply and an add counted as two.
    """
    import openvino as ov
    from openvino import opset13 as ops
    left = ops.parameter([size, size], np.float32)
    right = ops.constant(np.random.default_rng(0).random((size, size), np.float32))
    # The sum keeps the product off the end of the graph, whose output stays in float32.
    model = ov.Model([ops.reduce_sum(ops.relu(ops.matmul(left, right, False, False)),
                                     np.array([0]), False)], [left])
    request = ov.Core().compile_model(model, 'CPU', {
        'INFERENCE_PRECISION_HINT': precision, 'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_NUM_THREADS': threads}).create_infer_request()
    data, best = np.random.default_rng(1).random((size, size), np.float32), np.inf
    for _ in range(runs):
        started = time.perf_counter()
        request.infer({0: data}, share_inputs=True, share_outputs=True)
        best = min(best, time.perf_counter() - started)
    return 2e-9 * size ** 3 / best
