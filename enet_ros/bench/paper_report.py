"""The paper's Tables 2 and 3 and this machine's figures beside them, as text and as an image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from enet_ros.bench.paper import (
    PAPER_FLOPS_RESOLUTION,
    PAPER_RATIOS,
    PAPER_RESOLUTIONS,
    PAPER_TABLE_2,
    PAPER_TABLE_3,
    PaperTables,
)
from enet_ros.bench.timing import size_name

RUNTIME_NAMES = {'openvino': 'here, OpenVINO float32', 'torch': 'here, torch float32'}


def format_tables(tables: PaperTables) -> str:
    """Lay out both tables with the paper's figures beside ours."""
    note = ('Operations are those of convolutions, a multiply and an add as two, by '
            'torch.utils.flop_counter;\nthe paper does not say how it counted. Its "up to '
            f'{PAPER_RATIOS["time"]}x faster" is the TX1 at 640x360.')
    return '\n\n'.join((format_table_2(tables), format_table_3(tables), note))


def format_table_2(tables: PaperTables) -> str:
    """Lay out the times beside the paper's."""
    sizes, ratios = _sizes(tables), _ratios_by_machine(tables)
    lines = ['Table 2: milliseconds a frame / frames a second',
             _line('', '', {size: size for size in sizes}, sizes)]
    for machine, networks in _times_by_machine(tables).items():
        for network, cells in networks.items():
            texts = {size: f'{_figure(ms)} / {fps:.1f}' for size, (ms, fps) in cells.items()}
            lines.append(_line(machine if network == 'SegNet' else '', network, texts, sizes))
        texts = {size: f'{ratio:.1f}x' for size, ratio in ratios[machine].items()}
        lines.append(_line('', 'SegNet / ENet', texts, sizes))
    return '\n'.join(lines)


def _line(label: str, name: str, cells: Mapping[str, str], sizes: list[str]) -> str:
    """Return a row of Table 2; a size without a cell gets a dash."""
    return f'{label:<23}{name:<14}' + ''.join(f'{cells.get(size, "-"):>15}' for size in sizes)


def _times_by_machine(tables: PaperTables) -> dict:
    """Return the paper's times and ours, laid out as :data:`PAPER_TABLE_2`."""
    ours: dict = {}
    for row in tables.table2:
        machine = ours.setdefault(RUNTIME_NAMES[row.runtime], {'SegNet': {}, 'ENet': {}})
        machine[row.network][row.resolution] = row.median_ms, row.fps
    return {**PAPER_TABLE_2, **ours}


def _ratios_by_machine(tables: PaperTables) -> dict[str, dict[str, float]]:
    """Return machine -> resolution -> SegNet's time over ENet's, the paper's and ours."""
    ratios = {machine: {size: networks['SegNet'][size][0] / networks['ENet'][size][0]
                        for size in networks['SegNet']}
              for machine, networks in PAPER_TABLE_2.items()}
    ours = tables.segnet_over_enet
    return {**ratios, RUNTIME_NAMES['openvino']: ours['time'],
            RUNTIME_NAMES['torch']: ours['time_torch']}


def _sizes(tables: PaperTables) -> list[str]:
    """Return the paper's resolutions and those measured, the smallest first."""
    names = {size_name(size) for size in PAPER_RESOLUTIONS}
    names |= {row.resolution for row in tables.table2}
    return sorted(names, key=lambda name: [int(name.split('x')[0]), int(name.split('x')[1])])


def _figure(value: float) -> str:
    """Return a figure as the paper prints it: whole from 100, else with at most one decimal."""
    return f'{value:.0f}' if value >= 100 or value == int(value) else f'{value:.1f}'


def format_table_3(tables: PaperTables) -> str:
    """Lay out operations, parameters and sizes beside the paper's."""
    ours = {'SegNet': tables.segnet, 'ENet': tables.enet}
    lines = [f'Table 3: for 3x{size_name(PAPER_FLOPS_RESOLUTION)}; MB are 2^20 bytes',
             f'{"":<23}{"":<8}{"GFLOPs":>10}{"parameters":>14}{"float16":>12}']
    for name, paper in PAPER_TABLE_3.items():
        for source, row in (('paper', paper), ('here', ours[name])):
            lines.append(f'{name if source == "paper" else "":<23}{source:<8}'
                         f'{row["gflops"]:>10.2f}{row["params"] / 1e6:>12.2f} M'
                         f'{row["size_mb"]:>9.1f} MB')
    for source, row in (('paper', PAPER_RATIOS), ('here', tables.segnet_over_enet)):
        lines.append(f'{"SegNet / ENet" if source == "paper" else "":<23}{source:<8}'
                     f'{row["flops"]:>9.0f}x{row["params"]:>13.0f}x')
    return '\n'.join(lines)


def draw_tables(path: Path, tables: PaperTables) -> None:
    """Draw milliseconds a frame over the number of pixels, the paper's and ours.

    Args:
        path: Path of the PNG file to write.
        tables: The figures.

    Raises:
        ImportError: matplotlib is missing.
    """
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 5.5), layout='constrained')
    axis = figure.subplots()
    for color, (machine, networks) in enumerate(_times_by_machine(tables).items()):
        for name, cells in networks.items():
            megapixels = [np.prod([int(n) for n in size.split('x')]) / 1e6 for size in cells]
            axis.loglog(megapixels, [ms for ms, _ in cells.values()], marker='o',
                        color=f'C{color}', linestyle='--' if name == 'SegNet' else '-',
                        label=f'{name}: {machine}')
    axis.set(xlabel='megapixels a frame', ylabel='ms a frame',
             title='SegNet (dashed) and ENet (solid)')
    axis.grid(which='both', alpha=0.3)
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)
