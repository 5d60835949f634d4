"""How near the segmenter comes to what the processor can compute at most."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from enet_ros.bench.baselines import Workload, row_name
from enet_ros.machine import import_openvino


@dataclass(frozen=True)
class Roofline:
    """The segmenter's operations a second beside those of a large matrix product.

    Attributes:
        matrix_product_gflops: Precision -> billions of operations a second of a matrix product.
        network_gflop: Billions of operations that one call of the network needs.
        share: Row, such as 'segmenter-f32' -> the segmenter's operations a second over the
            matrix product's.
    """

    matrix_product_gflops: dict[str, float]
    network_gflop: float
    share: dict[str, float]


def measure_roofline(rows: Mapping[str, dict], workload: Workload) -> Roofline:
    """Compare the segmenter's operations a second with those of a large matrix product.

    Args:
        rows: The runtimes of a :class:`enet_ros.bench.comparison.Comparison`.
        workload: What was timed.
    """
    from enet_ros.bench.paper import count_flops
    gflop = workload.batch * count_flops(workload.network(), workload.resolution) / 1e9
    peaks, share = {}, {}
    for precision in ('f32', 'bf16'):
        name = row_name('segmenter', precision)
        if 'median_ms' in rows.get(name, {}):
            peaks[precision] = round(matrix_product_gflops(precision, workload.threads), 1)
            share[name] = round(gflop / rows[name]['median_ms'] * 1e3 / peaks[precision], 3)
    return Roofline(peaks, round(gflop, 6), share)


def matrix_product_gflops(precision: str = 'f32', threads: int = 0, size: int = 2048,
                          runs: int = 7) -> float:
    """Measure a large square matrix product by OpenVINO: about the most that a CPU computes.

    Args:
        precision: 'f32' or 'bf16'.
        threads: Number of CPU threads; 0 uses all.
        size: Number of rows and of columns.
        runs: Number of products; the fastest counts.

    Returns:
        Billions of operations a second. A multiply and an add count as two operations.
    """
    request = _matrix_product(precision, threads, size)
    data, best = np.random.default_rng(1).random((size, size), np.float32), np.inf
    for _ in range(runs):
        started = time.perf_counter()
        request.infer({0: data}, share_inputs=True, share_outputs=True)
        best = min(best, time.perf_counter() - started)
    return 2e-9 * size ** 3 / best


def _matrix_product(precision: str, threads: int, size: int):
    """Compile the product of an input with a constant; return OpenVINO's request."""
    ov = import_openvino()
    from openvino import opset13 as ops
    left = ops.parameter([size, size], np.float32)
    right = ops.constant(np.random.default_rng(0).random((size, size), np.float32))
    # The sum keeps the product off the end of the graph, whose output stays in float32.
    model = ov.Model([ops.reduce_sum(ops.relu(ops.matmul(left, right, False, False)),
                                     np.array([0]), False)], [left])
    return ov.Core().compile_model(model, 'CPU', {
        'INFERENCE_PRECISION_HINT': precision, 'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_NUM_THREADS': threads}).create_infer_request()
