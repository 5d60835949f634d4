"""Benchmarks as text and as pictures."""

from __future__ import annotations

from pathlib import Path

from enet_ros.bench.machine import machine_line
from enet_ros.bench.peers import PEERS

WHAT = {peer.name: peer.what for peer in PEERS}


def format_result(result: dict) -> str:
    """Lay out what :func:`enet_ros.bench.sidebyside.side_by_side` returns."""
    width, height = result['resolution']
    camera = 'x'.join(map(str, result['camera']))
    lines = [f'{machine_line(result["machine"])}; network {width}x{height}, camera {camera}, '
             f'batch {result["batch"]}, {result["runs"]} runs of each in turns',
             f'{"runtime":<26}{"median ms":>10}{"p95 ms":>9}  what']
    for name, row in result['runtimes'].items():
        what = WHAT[name.rpartition('-')[0]]
        lines.append(f'{name:<26}{row["median_ms"]:>10.1f}{row["p95_ms"]:>9.1f}  {what}'
                     if 'median_ms' in row else f'{name:<26}{"-":>10}{"-":>9}  {row["missing"]}')
    lines += [f'{key:<44}{value:>6.2f}' for key, value in result['ratios'].items()]
    if result['busy']:
        lines.append(f'no ratios: {result["busy"]}. Leave the machine alone and repeat.')
    return '\n'.join(lines)


def format_growth(found: dict[str, dict[str, float]]) -> str:
    """Lay out what :func:`enet_ros.bench.sidebyside.growth` returns."""
    if not found:
        return ''
    sizes = list(next(iter(found.values())))
    lines = ['growth of time over growth of pixels, from 640x360 or the first',
             f'{"runtime":<26}' + ''.join(f'{size:>11}' for size in sizes)]
    lines += [f'{name:<26}' + ''.join(f'{row.get(size, float("nan")):>11.2f}' for size in sizes)
              for name, row in found.items()]
    return '\n'.join(lines)


def draw_result(path: Path, results: list[dict]) -> None:
    """Draw medians as bars, 95th percentiles as whiskers, a panel a resolution."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt
    figure, axes = plt.subplots(1, len(results), figsize=(6.5 * len(results), 5), squeeze=False,
                                layout='constrained')
    for axis, result in zip(axes[0], results):
        rows = {name: row for name, row in result['runtimes'].items() if 'median_ms' in row}
        medians = [row['median_ms'] for row in rows.values()]
        above = [max(0.0, row['p95_ms'] - row['median_ms']) for row in rows.values()]
        colors = ['C2' if name.startswith('segmenter') else 'C7' for name in rows]
        bars = axis.barh(list(rows), medians, xerr=[[0] * len(rows), above], color=colors)
        axis.bar_label(bars, fmt='%.1f', label_type='center', color='white', fontsize=8)
        axis.invert_yaxis()
        width, height = result['resolution']
        axis.set(xlabel='ms a call, median and 95th percentile', title=f'ENet at {width}x{height}')
    figure.suptitle(machine_line(results[0]['machine']))
    figure.savefig(path, dpi=110)
    plt.close(figure)
