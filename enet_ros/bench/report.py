"""The comparison of runtimes as text and as an image."""

from __future__ import annotations

from pathlib import Path

from enet_ros.bench.baselines import BASELINES
from enet_ros.bench.comparison import Comparison
from enet_ros.bench.roofline import Roofline
from enet_ros.bench.scaling import Scaling
from enet_ros.bench.timing import size_name

DESCRIPTIONS = {baseline.name: baseline.description for baseline in BASELINES}


def format_comparison(comparison: Comparison) -> str:
    """Lay out the times, the ratios and the roofline."""
    lines = [f'{comparison.machine}; network {size_name(comparison.resolution)}, '
             f'camera {size_name(comparison.camera)}, batch {comparison.batch}, '
             f'{comparison.runs} runs of each in turns',
             f'{"runtime":<26}{"median ms":>10}{"p95 ms":>9}  what']
    lines += [_row(name, row) for name, row in comparison.runtimes.items()]
    lines += [f'{key:<44}{value:>6.2f}' for key, value in comparison.ratios.items()]
    lines += _roofline_lines(comparison.limit)
    if comparison.busy:
        lines.append(f'no ratios: {comparison.busy}. Leave the machine alone and repeat.')
    return '\n'.join(lines)


def _row(name: str, row: dict) -> str:
    if 'missing' in row:
        return f'{name:<26}{"-":>10}{"-":>9}  {row["missing"]}'
    description = DESCRIPTIONS[name.rpartition('-')[0]]
    return f'{name:<26}{row["median_ms"]:>10.1f}{row["p95_ms"]:>9.1f}  {description}'


def _roofline_lines(roofline: Roofline) -> list[str]:
    peaks = roofline.matrix_product_gflops
    return [f'{name}: {roofline.network_gflop:.2f} GFLOP a call, {100 * share:.0f} % of the '
            f'{peaks[name.rpartition("-")[2]]:.0f} GFLOP/s of a matrix product'
            for name, share in roofline.share.items()]


def format_scaling(scaling: Scaling, busy: str = '') -> str:
    """Lay out the growth of time with pixels, or say why there is none.

    Args:
        scaling: Result of :mod:`enet_ros.bench.scaling`.
        busy: A sentence where other processes kept the cores busy, else ''.
    """
    if busy:
        return f'no growth: {busy}. Leave the machine alone and repeat.'
    if not scaling:
        return ''
    sizes = list(next(iter(scaling.values())))
    lines = ['growth of time over growth of pixels, from 640x360 or the first',
             f'{"runtime":<26}' + ''.join(f'{size:>11}' for size in sizes)]
    lines += [f'{name:<26}' + ''.join(f'{row.get(size, float("nan")):>11.2f}' for size in sizes)
              for name, row in scaling.items()]
    return '\n'.join(lines)


def draw_comparisons(path: Path, comparisons: list[Comparison]) -> None:
    """Draw medians as bars and 95th percentiles as whiskers, one panel for each resolution.

    Args:
        path: Path of the PNG file to write.
        comparisons: One for each resolution.

    Raises:
        ImportError: matplotlib is missing.
    """
    from matplotlib.figure import Figure
    figure = Figure(figsize=(6.5 * len(comparisons), 5), layout='constrained')
    axes = figure.subplots(1, len(comparisons), squeeze=False)
    for axis, comparison in zip(axes[0], comparisons):
        _draw_panel(axis, comparison)
    figure.suptitle(str(comparisons[0].machine))
    figure.savefig(path, dpi=110)


def _draw_panel(axis, comparison: Comparison) -> None:
    rows = {name: row for name, row in comparison.runtimes.items() if 'median_ms' in row}
    medians = [row['median_ms'] for row in rows.values()]
    above = [max(0.0, row['p95_ms'] - row['median_ms']) for row in rows.values()]
    colors = ['C2' if name.startswith('segmenter') else 'C7' for name in rows]
    bars = axis.barh(list(rows), medians, xerr=[[0] * len(rows), above], color=colors)
    axis.bar_label(bars, fmt='%.1f', label_type='center', color='white', fontsize=8)
    axis.invert_yaxis()
    axis.set(xlabel='ms a call, median and 95th percentile',
             title=f'ENet at {size_name(comparison.resolution)}')
