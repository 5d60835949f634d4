"""How time grows with the number of pixels. 1 means that it grows as the pixels do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from enet_ros.bench.background_load import BackgroundLoad
from enet_ros.bench.baselines import BASELINES, Call, UnavailableError, Workload, prepare, row_name
from enet_ros.bench.comparison import Comparison
from enet_ros.bench.timing import alternate, round_medians, rounds_of, size_name

BASE_RESOLUTION = (640, 360)

#: Row name -> resolution -> (time / time at the base) / (pixels / pixels at the base). The base is
#: 640x360 where it was measured, else the first resolution.
Scaling = dict[str, dict[str, float]]


def scaling_of(comparisons: Sequence[Comparison]) -> Scaling:
    """Compare the growth of time with that of pixels, from times measured one after the other.

    Args:
        comparisons: One for each resolution.
    """
    base = comparisons[_base_index([tuple(one.resolution) for one in comparisons])]
    scaling: Scaling = {}
    for name, row in base.runtimes.items():
        for other in comparisons:
            times = other.runtimes.get(name, {})
            if other is base or 'median_ms' not in row or 'median_ms' not in times:
                continue
            scaling.setdefault(name, {})[size_name(other.resolution)] = _over_pixels(
                times['median_ms'] / row['median_ms'], other.resolution, base.resolution)
    return scaling


def measure_scaling(workloads: Sequence[Workload], runs: int) -> tuple[Scaling, str]:
    """Measure the segmenter's scaling in alternating rounds of all resolutions.

    A machine that is slower for some seconds then slows all of them.

    Args:
        workloads: One for each resolution.
        runs: Number of runs of each resolution and precision.

    Returns:
        The scaling of the segmenter's rows, as medians of the rounds; and ''. Where other
        processes kept the cores busy, nothing and a sentence about them.
    """
    segmenter, = (baseline for baseline in BASELINES if baseline.name == 'segmenter')
    scaling: Scaling = {}
    for precision in segmenter.precisions:
        name = row_name(segmenter.name, precision)
        try:
            calls = {size_name(workload.resolution): prepare(segmenter, workload, precision)
                     for workload in workloads}
        except UnavailableError:
            continue
        load = BackgroundLoad()
        medians = _timed_in_rounds(calls, runs, f'growth, {name}')
        if busy := load.warning():
            return {}, busy
        scaling[name] = _ratios_to_base(medians, [workload.resolution for workload in workloads])
    return scaling, ''


def _timed_in_rounds(calls: dict[str, Call], runs: int, title: str) -> dict[str, np.ndarray]:
    with tqdm(total=rounds_of(runs) * len(calls), unit='round', desc=title, disable=None) as bar:
        return round_medians(alternate(calls, runs, bar.update))


def _ratios_to_base(medians: dict[str, np.ndarray],
                    resolutions: Sequence[tuple[int, int]]) -> dict[str, float]:
    base = resolutions[_base_index(resolutions)]
    return {size_name(resolution): _over_pixels(
                float(np.median(medians[size_name(resolution)] / medians[size_name(base)])),
                resolution, base)
            for resolution in resolutions if resolution != base}


def _base_index(resolutions: Sequence[tuple[int, int]]) -> int:
    """Return the index of 640x360, or 0."""
    return resolutions.index(BASE_RESOLUTION) if BASE_RESOLUTION in resolutions else 0


def _over_pixels(time_ratio: float, resolution: Sequence[int], base: Sequence[int]) -> float:
    return round(time_ratio / (resolution[0] * resolution[1] / (base[0] * base[1])), 3)
