"""``enet-ros bench``: our segmenter beside its peers, in one run, and the ratios between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from enet_ros.bench.machine import OtherLoad, describe_machine, matrix_product_gflops
from enet_ros.bench.peers import PEERS, UnavailableError, Workload, prepare
from enet_ros.bench.timing import alternate, size_name, summary, turn_medians, turns_of

#: Key of a ratio -> (numerator, denominator), peers by name.
RATIOS = {
    'segmenter_over_openvino_raw': ('segmenter', 'openvino'),
    'onnxruntime_over_segmenter': ('onnxruntime', 'segmenter'),
    'opencv_dnn_over_segmenter': ('opencv-dnn', 'segmenter'),
    'torch_channels_last_over_segmenter': ('torch-channels-last', 'segmenter'),
}
BASE_RESOLUTION = (640, 360)


def side_by_side(workload: Workload, runs: int, only: Sequence[str] = ()) -> dict:
    """Time every runtime that is here.

    Args:
        workload: what they have to do.
        runs: of each.
        only: names of peers; empty for all.

    Returns:
        'machine', 'resolution', 'camera', 'batch', 'runs', 'runtimes': row -> {'median_ms',
        'p95_ms'} or {'missing': why}, 'ratios', and 'busy': a sentence where other processes kept
        the cores busy; then 'ratios' is empty. 'limit' says how far the segmenter is from what the
        processor could do: 'matrix_product_gflops' by precision, 'network_gflop' a call, and
        'share' of the one that the other is, by row.
    """
    calls, rows = _prepared(workload, only)
    load = OtherLoad()
    with tqdm(total=turns_of(runs) * len(calls), unit='turn', desc=size_name(workload.resolution),
              disable=None) as bar:
        seconds = alternate(calls, runs, bar.update)
    rows.update({name: summary(values) for name, values in seconds.items()})
    busy = load.sentence() if load.is_high() else ''
    order = [row_name(peer.name, precision) for peer in PEERS for precision in peer.precisions]
    rows = {name: rows[name] for name in order if name in rows}
    return {
        'machine': describe_machine(), 'resolution': list(workload.resolution),
        'camera': list(workload.camera), 'batch': workload.batch, 'threads': workload.threads,
        'runs': runs, 'runtimes': rows, 'busy': busy,
        'ratios': {} if busy else ratios(rows, turn_medians(seconds)),
        'limit': limit(rows, workload)}


def limit(rows: dict[str, dict], workload: Workload) -> dict:
    """Compare the segmenter's operations a second with those of a large matrix product.

    Args:
        rows: as in :func:`side_by_side`.
        workload: what was timed.
    """
    from enet_ros.bench.paper import count_flops
    gflop = workload.batch * count_flops(workload.network(), workload.resolution) / 1e9
    peaks, share = {}, {}
    for precision in ('f32', 'bf16'):
        name = row_name('segmenter', precision)
        if 'median_ms' in rows.get(name, {}):
            peaks[precision] = round(matrix_product_gflops(precision, workload.threads), 1)
            share[name] = round(gflop / rows[name]['median_ms'] * 1e3 / peaks[precision], 3)
    return {'matrix_product_gflops': peaks, 'network_gflop': round(gflop, 6), 'share': share}


def _prepared(workload: Workload, only: Sequence[str]) -> tuple[dict, dict]:
    """Return row -> call, and row -> why it is missing."""
    calls, rows = {}, {}
    wanted = [(peer, precision) for peer in PEERS for precision in peer.precisions
              if not only or peer.name in only]
    for peer, precision in tqdm(wanted, unit='runtime', desc='preparing', disable=None):
        name = row_name(peer.name, precision)
        try:
            calls[name] = prepare(peer, workload, precision)
        except UnavailableError as error:
            rows[name] = {'missing': str(error)}
    return calls, rows


def row_name(peer: str, precision: str) -> str:
    """Return the name of a row, such as 'segmenter-bf16'."""
    return f'{peer}-{precision}'


def ratios(rows: dict[str, dict], turns: dict[str, np.ndarray] | None = None) -> dict[str, float]:
    """Divide times: all in float32, and with the suffix _bf16 against the bfloat16 segmenter.

    There OpenVINO is in bfloat16 too and the other peers are in float32, which is all that most of
    them have; torch's bfloat16 has a ratio of its own.

    Args:
        rows: as in :func:`side_by_side`.
        turns: row -> median of each turn. A ratio is then the median of the turns' ratios, which
            a machine that is slower for some seconds does not change.

    Returns:
        Key -> ratio, for those whose rows were measured.
    """
    found = {}
    for key, pair in _rows_of_ratios().items():
        if all('median_ms' in rows.get(name, {}) for name in pair):
            above, below = (np.array(rows[name]['median_ms']) if turns is None else turns[name]
                            for name in pair)
            found[key] = round(float(np.median(above / below)), 3)
    return found


def _rows_of_ratios() -> dict[str, tuple[str, str]]:
    """Return key -> (row of the numerator, row of the denominator)."""
    pairs = {}
    for suffix, ours in (('', 'f32'), ('_bf16', 'bf16')):
        precisions = {'segmenter': ours, 'openvino': ours}
        for key, pair in RATIOS.items():
            pairs[key + suffix] = tuple(row_name(peer, precisions.get(peer, 'f32'))
                                        for peer in pair)
    pairs['torch_channels_last_bf16_over_segmenter_bf16'] = ('torch-channels-last-bf16',
                                                             'segmenter-bf16')
    return pairs


def growth(results: Sequence[dict]) -> dict[str, dict[str, float]]:
    """Compare the growth of time with that of pixels, from times measured one after the other.

    Args:
        results: of :func:`side_by_side`, one a resolution.

    Returns:
        Row -> resolution -> (time / time at the base) / (pixels / pixels at the base), 1 where
        time grows as pixels do. The base is 640x360, or the first.
    """
    base = results[_base([tuple(result['resolution']) for result in results])]
    found: dict[str, dict[str, float]] = {}
    for name, row in base['runtimes'].items():
        for result in results:
            other = result['runtimes'].get(name, {})
            if result is base or 'median_ms' not in row or 'median_ms' not in other:
                continue
            found.setdefault(name, {})[size_name(result['resolution'])] = _over_pixels(
                other['median_ms'] / row['median_ms'], result['resolution'], base['resolution'])
    return found


def growth_in_turns(workloads: Sequence[Workload],
                    runs: int) -> tuple[dict[str, dict[str, float]], str]:
    """Measure the segmenter's growth in turns of all resolutions.

    A machine that is slower for some seconds then slows all of them.

    Args:
        workloads: one a resolution.
        runs: of each resolution and precision.

    Returns:
        As :func:`growth`, of the segmenter's rows alone, medians of the turns; and a sentence
        where other processes kept the cores busy, then without rows.
    """
    segmenter, = (peer for peer in PEERS if peer.name == 'segmenter')
    sizes = {size_name(workload.resolution): workload.resolution for workload in workloads}
    base, found = list(sizes)[_base(list(sizes.values()))], {}
    for precision in segmenter.precisions:
        name = row_name(segmenter.name, precision)
        try:
            calls = {size: prepare(segmenter, workload, precision)
                     for size, workload in zip(sizes, workloads)}
        except UnavailableError:
            continue
        load = OtherLoad()
        with tqdm(total=turns_of(runs) * len(calls), unit='turn', desc=f'growth, {name}',
                  disable=None) as bar:
            turns = turn_medians(alternate(calls, runs, bar.update))
        if load.is_high():
            return {}, load.sentence()
        found[name] = {size: _over_pixels(float(np.median(medians / turns[base])), sizes[size],
                                          sizes[base])
                       for size, medians in turns.items() if size != base}
    return found, ''


def _base(resolutions: Sequence[tuple[int, int]]) -> int:
    """Return the index of 640x360, or 0."""
    return resolutions.index(BASE_RESOLUTION) if BASE_RESOLUTION in resolutions else 0


def _over_pixels(time_ratio: float, resolution: Sequence[int], base: Sequence[int]) -> float:
    return round(time_ratio / (resolution[0] * resolution[1] / (base[0] * base[1])), 3)
