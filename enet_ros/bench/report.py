"""Benchmarks as text and as pictures."""

from __future__ import annotations

from pathlib import Path

from enet_ros.bench.machine import machine_line
from enet_ros.bench.peers import PEERS

WHAT = {peer.name: peer.what for peer in PEERS}
#: Stages of ~/timing, in words.
LABELS = {'age_at_receive': 'camera to node', 'wait': 'wait for the network',
          'preprocess': 'decode, resize', 'inference': 'network', 'postprocess': 'mask',
          'publish': 'publish'}


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
    limit = result['limit']
    lines += [f'{name}: {limit["network_gflop"]:.2f} GFLOP a call, {100 * share:.0f} % of the '
              f'{limit["matrix_product_gflops"][name.rpartition("-")[2]]:.0f} GFLOP/s of a matrix '
              'product' for name, share in limit['share'].items()]
    if result['busy']:
        lines.append(f'no ratios: {result["busy"]}. Leave the machine alone and repeat.')
    return '\n'.join(lines)


def format_growth(found: dict[str, dict[str, float]], busy: str = '') -> str:
    """Lay out what :func:`enet_ros.bench.sidebyside.growth` returns, or say why there is none."""
    if busy:
        return f'no growth: {busy}. Leave the machine alone and repeat.'
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


def draw_node(path: Path, result: dict) -> None:
    """Draw where the time goes from camera stamp to mask received, beside the bare segmenter.

    Args:
        path: of the PNG.
        result: of :func:`enet_ros.ros.tools.bench_node.bench_node`.
    """
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt
    stages = dict(result['stages_ms'])
    rest = result['latency_ms']['p50'] - sum(stages.values())
    parts = {LABELS[name]: value for name, value in stages.items()} | {
        'to the reader': max(0.0, rest)}
    figure, axis = plt.subplots(figsize=(9, 2.6), layout='constrained')
    axis.barh(['bare segmenter'], [result['segmenter_ms']], color='C7')
    left = 0.0
    for index, (label, value) in enumerate(parts.items()):
        axis.barh(['node'], [value], left=left, color=f'C{index}', label=f'{label} {value:.1f}')
        left += value
    title = f'{result["cameras"]} camera at {result["rate_hz"]:g} Hz, {result["precision"]}'
    axis.set(xlabel='ms, medians', title=f'{title}; {machine_line(result["machine"])}')
    axis.legend(ncols=4, fontsize=8, loc='upper center', bbox_to_anchor=(0.5, -0.3))
    figure.savefig(path, dpi=110)
    plt.close(figure)
