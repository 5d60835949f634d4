"""``enet-ros bench``: our segmenter beside its baselines in one run, and the ratios of times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from enet_ros.bench.background_load import BackgroundLoad
from enet_ros.bench.baselines import (
    BASELINES,
    PACKAGES,
    Call,
    UnavailableError,
    Workload,
    prepare,
    row_name,
)
from enet_ros.bench.roofline import Roofline, measure_roofline
from enet_ros.bench.timing import alternate, round_medians, rounds_of, size_name, summary
from enet_ros.machine import Machine, describe_machine

#: Key of a ratio -> (numerator, denominator), by the names of the baselines.
RATIOS = {
    'segmenter_over_openvino_raw': ('segmenter', 'openvino'),
    'onnxruntime_over_segmenter': ('onnxruntime', 'segmenter'),
    'opencv_dnn_over_segmenter': ('opencv-dnn', 'segmenter'),
    'torch_channels_last_over_segmenter': ('torch-channels-last', 'segmenter'),
}

#: Row name -> {'median_ms', 'p95_ms'}, or {'missing': the reason} where it could not run.
Rows = dict[str, dict]


@dataclass(frozen=True)
class Comparison:
    """The times of all runtimes at one resolution. The field names are keys of the JSON file.

    Attributes:
        machine: Where they were measured.
        resolution: (width, height) of the network.
        camera: (width, height) of the camera's frames.
        batch: Frames a call.
        threads: Number of CPU threads; 0 left it to the runtime.
        runs: Number of runs of each runtime.
        runtimes: The times by row; see :data:`Rows`.
        busy: A sentence where other processes kept the cores busy, else ''.
        ratios: Key -> ratio of times; empty on a busy machine.
        limit: The segmenter's speed beside the most that the processor can do.
    """

    machine: Machine
    resolution: list[int]
    camera: list[int]
    batch: int
    threads: int
    runs: int
    runtimes: Rows
    busy: str
    ratios: dict[str, float]
    limit: Roofline


def compare(workload: Workload, runs: int, only: Sequence[str] = ()) -> Comparison:
    """Time every runtime that this machine has.

    Args:
        workload: The work that every runtime does.
        runs: Number of runs of each runtime.
        only: Names of the baselines to time; empty for all.
    """
    calls, rows = _prepared(workload, only)
    load = BackgroundLoad()
    with tqdm(total=rounds_of(runs) * len(calls), unit='round',
              desc=size_name(workload.resolution), disable=None) as bar:
        seconds = alternate(calls, runs, bar.update)
    busy = load.warning()
    rows |= {name: summary(values) for name, values in seconds.items()}
    order = [row_name(baseline.name, precision) for baseline in BASELINES
             for precision in baseline.precisions]
    rows = {name: rows[name] for name in order if name in rows}
    return Comparison(
        describe_machine(*PACKAGES), list(workload.resolution), list(workload.camera),
        workload.batch, workload.threads, runs, rows, busy,
        {} if busy else ratios(rows, round_medians(seconds)), measure_roofline(rows, workload))


def _prepared(workload: Workload, only: Sequence[str]) -> tuple[dict[str, Call], Rows]:
    """Return row name -> call, and the rows of the runtimes that cannot run."""
    calls: dict[str, Call] = {}
    rows: Rows = {}
    chosen = [(baseline, precision) for baseline in BASELINES for precision in baseline.precisions
              if not only or baseline.name in only]
    for baseline, precision in tqdm(chosen, unit='runtime', desc='preparing', disable=None):
        name = row_name(baseline.name, precision)
        try:
            calls[name] = prepare(baseline, workload, precision)
        except UnavailableError as error:
            rows[name] = {'missing': str(error)}
    return calls, rows


def ratios(rows: Rows, medians: dict[str, np.ndarray] | None = None) -> dict[str, float]:
    """Divide times by times.

    All runtimes are in float32 first. Keys with the suffix _bf16 are against the segmenter in
    bfloat16: OpenVINO is in bfloat16 then, and the other baselines stay in float32, which is all
    that most of them have. The bfloat16 of torch has a ratio of its own.

    Args:
        rows: The times; see :data:`Rows`.
        medians: Row name -> median of each round. A ratio is then the median of the rounds'
            ratios, which a machine that is slower for some seconds does not change.

    Returns:
        Key -> ratio, where both rows were measured.
    """
    quotients = {}
    for key, pair in _rows_of_ratios().items():
        if all('median_ms' in rows.get(name, {}) for name in pair):
            above, below = (np.array(rows[name]['median_ms']) if medians is None else medians[name]
                            for name in pair)
            quotients[key] = round(float(np.median(above / below)), 3)
    return quotients


def _rows_of_ratios() -> dict[str, tuple[str, str]]:
    """Return key -> (row of the numerator, row of the denominator)."""
    pairs = {}
    for suffix, ours in (('', 'f32'), ('_bf16', 'bf16')):
        precisions = {'segmenter': ours, 'openvino': ours}
        for key, (above, below) in RATIOS.items():
            pairs[key + suffix] = (row_name(above, precisions.get(above, 'f32')),
                                   row_name(below, precisions.get(below, 'f32')))
    pairs['torch_channels_last_bf16_over_segmenter_bf16'] = ('torch-channels-last-bf16',
                                                             'segmenter-bf16')
    return pairs
