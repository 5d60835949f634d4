"""Tables 2 and 3 of the ENet paper, measured here: SegNet and ENet side by side.

Both networks run bare, by the same runtime, in float32: normalised input in, logits out, batch
normalisation folded where it can be, random weights.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from enet_ros.bench.segnet import SegNet
from enet_ros.bench.timing import PAUSE_SEC, size_name
from enet_ros.network.enet import ENet
from enet_ros.network.frame_graph import fold_batch_norm
from enet_ros.network.unpooling import BY_CONVOLUTION, BY_SLICES, use_unpooling
from enet_ros.perception.segmenter import check_resolution

NETWORKS = {'SegNet': SegNet, 'ENet': ENet}
NUM_CLASSES = 20  # Cityscapes and void

#: (width, height) of Table 2.
PAPER_RESOLUTIONS = ((480, 320), (640, 360), (1280, 720), (1920, 1080))
#: That of Table 3.
PAPER_FLOPS_RESOLUTION = (640, 360)

#: Table 2: machine -> network -> resolution -> (milliseconds, frames a second).
PAPER_TABLE_2 = {
    'paper, NVIDIA TX1': {
        'SegNet': {'480x320': (757, 1.3), '640x360': (1251, 0.8)},
        'ENet': {'480x320': (47, 21.1), '640x360': (69, 14.6), '1280x720': (262, 3.8)},
    },
    'paper, NVIDIA Titan X': {
        'SegNet': {'640x360': (69, 14.6), '1280x720': (289, 3.5), '1920x1080': (637, 1.6)},
        'ENet': {'640x360': (7, 135.4), '1280x720': (21, 46.8), '1920x1080': (46, 21.6)},
    },
}
#: Table 3: operations for 3x640x360, parameters, size in half precision (2^20 bytes).
PAPER_TABLE_3 = {
    'SegNet': {'gflops': 286.03, 'params': 29.46e6, 'size_mb': 56.2},
    'ENet': {'gflops': 3.83, 'params': 0.37e6, 'size_mb': 0.7},
}
#: SegNet over ENet in the paper's abstract; of time, the most.
PAPER_RATIOS = {'time': 18, 'flops': 75, 'params': 79}

TURNS = 3           # of each network at each resolution
TURN_SEC = 2.0      # after which a turn is over, however few frames it had

Frame = Callable[[], object]


def count_parameters(network: nn.Module) -> int:
    """Count trainable numbers; running means and variances are none."""
    return sum(parameter.numel() for parameter in network.parameters())


def half_precision_mb(network: nn.Module) -> float:
    """Return the size of the parameters at two bytes each, in 2^20 bytes as in Table 3."""
    return 2 * count_parameters(network) / 2 ** 20


def count_flops(network: nn.Module, resolution: Sequence[int]) -> int:
    """Count operations for one frame by torch's FlopCounterMode.

    It counts convolutions, a multiply and an add as two operations, a transposed convolution at
    the size of its input; biases, activations, normalisations and poolings not at all.

    The paper does not say how it counted. SegNet's 286.03 G come out to the last digit with 20
    classes, poolings rounded down, and one operation for each bias and ReLU
    (285.82 + 0.11 + 0.10), so there, too, a multiply-add is two. Poolings rounded up, as in
    SegNet's own model, make that 286.96 G here. ENet has 3.45 G here and 3.83 G there, and that is
    not explained: biases, activations, sums and poolings come to 0.07 G and batch normalisation to
    0.05 G; transposed convolutions counted at the size of their outputs would add 0.50 G. The
    paper's ENet may have been a little larger: 0.37 M parameters, where the model that its authors
    published has 0.365 M.

    Args:
        network: on any device; on 'meta' nothing is computed.
        resolution: (width, height).
    """
    width, height = resolution
    device = next(network.parameters()).device
    # Not inference_mode: before torch 2.5 the counter sees no convolution in it.
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, height, width, device=device))
    return counter.get_total_flops()


def table_3() -> dict[str, dict[str, float]]:
    """Return each network's figures in Table 3, as in :data:`PAPER_TABLE_3`."""
    table = {}
    for name, kind in NETWORKS.items():
        with torch.device('meta'):
            network = kind(NUM_CLASSES).eval()
        table[name] = {
            'gflops': count_flops(network, PAPER_FLOPS_RESOLUTION) / 1e9,
            'params': count_parameters(network),
            'size_mb': round(half_precision_mb(network), 3)}
    return table


def openvino_frame(network: nn.Module, x: np.ndarray, threads: int,
                   precision: str = 'f32') -> Frame:
    """Compile a network for one input on the processor.

    Args:
        network: in eval mode.
        x: (N, 3, H, W) float32.
        threads: of the processor; 0 leaves it to OpenVINO.
        precision: 'f32' or 'bf16'.

    Returns:
        What runs the network once.
    """
    import openvino as ov

    from enet_ros.backends.openvino import convert_traced
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # where SegNet asks for odd sizes; here they are fixed
        model = convert_traced(use_unpooling(network, BY_CONVOLUTION), torch.from_numpy(x))
    request = ov.Core().compile_model(model, 'CPU', {
        'INFERENCE_PRECISION_HINT': precision, 'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_NUM_THREADS': threads}).create_infer_request()
    return lambda: request.infer({0: x}, share_inputs=True, share_outputs=True)


def torch_frame(network: nn.Module, x: np.ndarray, threads: int) -> Frame:
    """Do the same in eager torch, channels last; the caller sets torch's threads."""
    network = use_unpooling(network, BY_SLICES).to(memory_format=torch.channels_last)
    inputs = torch.from_numpy(x).to(memory_format=torch.channels_last)

    def frame() -> torch.Tensor:
        with torch.inference_mode():
            return network(inputs)

    return frame


RUNTIMES = {'openvino': openvino_frame, 'torch': torch_frame}
RUNTIME_NAMES = {'openvino': 'here, OpenVINO float32', 'torch': 'here, torch float32'}


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Give torch so many threads for a while; 0 leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def take_turns(frames: Mapping[str, Frame], runs: int,
               each: Callable[[], object] = lambda: None) -> dict[str, list[float]]:
    """Time frames in turns, so that all see the same machine.

    A turn ends after its share of the runs, or after TURN_SEC with at least one frame: what is
    slow has few runs, and what is fast has all of them. The first frame of each does not count.

    Args:
        frames: name -> what runs one frame.
        runs: of each, at least TURNS and rounded up to a multiple of it.
        each: called after every turn, for a progress bar.

    Returns:
        name -> milliseconds of every run.
    """
    latencies_ms: dict[str, list[float]] = {name: [] for name in frames}
    for frame in frames.values():
        frame()
    for _ in range(TURNS):
        for name, frame in frames.items():
            time.sleep(PAUSE_SEC)
            latencies_ms[name] += _turn(frame, -(-runs // TURNS))
            each()
    return latencies_ms


def _turn(frame: Frame, runs: int) -> list[float]:
    """Return the milliseconds of up to so many runs."""
    latencies_ms: list[float] = []
    turn_started = time.perf_counter()
    while not latencies_ms or (len(latencies_ms) < runs
                               and time.perf_counter() - turn_started < TURN_SEC):
        started = time.perf_counter()
        frame()
        latencies_ms.append(1e3 * (time.perf_counter() - started))
    return latencies_ms


def measure_cell(resolution: Sequence[int], runtime: str, runs: int, threads: int,
                 each: Callable[[], object] = lambda: None) -> list[dict]:
    """Time both networks at one resolution by one runtime; see :func:`measure_times`.

    They are built here and gone afterwards: SegNet at 1920x1080 takes gigabytes.
    """
    torch.manual_seed(0)
    width, height = resolution
    x = np.random.default_rng(0).standard_normal((1, 3, height, width), np.float32)
    with torch_threads(threads):
        frames = {name: RUNTIMES[runtime](fold_batch_norm(kind(NUM_CLASSES)), x, threads)
                  for name, kind in NETWORKS.items()}
        taken = take_turns(frames, runs, each)
    return [{'runtime': runtime, 'network': name, 'resolution': size_name(resolution),
             'median_ms': round(median(latencies_ms), 3),
             'fps': round(1e3 / median(latencies_ms), 3), 'runs': len(latencies_ms)}
            for name, latencies_ms in taken.items()]


def measure_times(resolutions: Sequence[Sequence[int]], runtimes: Sequence[str], runs: int,
                  threads: int) -> list[dict]:
    """Time both networks at each resolution by each runtime, with a progress bar.

    Args:
        resolutions: (width, height) of each, multiples of 8.
        runtimes: names in RUNTIMES.
        runs: of each network; see :func:`take_turns`.
        threads: of the processor; 0 leaves it to the runtime.

    Returns:
        Rows of 'runtime', 'network', 'resolution', 'median_ms', 'fps', 'runs'.

    Raises:
        ValueError: a resolution is impossible.
    """
    resolutions = [check_resolution(resolution) for resolution in resolutions]
    rows = []
    with tqdm(total=len(resolutions) * len(runtimes) * len(NETWORKS) * TURNS, unit='turn',
              disable=None) as bar:
        for resolution in resolutions:
            for runtime in runtimes:
                bar.set_description(f'{size_name(resolution)} {runtime}')
                rows += measure_cell(resolution, runtime, runs, threads, bar.update)
    return rows


def time_ratios(rows: Sequence[dict], runtime: str) -> dict[str, float]:
    """Divide SegNet's median by ENet's, by resolution.

    Args:
        rows: of :func:`measure_times`.
        runtime: whose.
    """
    medians = {(row['network'], row['resolution']): row['median_ms'] for row in rows
               if row['runtime'] == runtime}
    return {size: round(medians['SegNet', size] / medians['ENet', size], 2)
            for network, size in medians if network == 'ENet'}


def paper_tables(resolutions: Sequence[Sequence[int]] = PAPER_RESOLUTIONS, runs: int = 20,
                 threads: int = 0, runtimes: Sequence[str] = tuple(RUNTIMES)) -> dict:
    """Measure Tables 2 and 3.

    Args:
        resolutions: (width, height) of each for Table 2; Table 3 has the paper's own.
        runs: of each network; a slow one has fewer, see :func:`take_turns`.
        threads: of the processor; 0 leaves it to the runtime.
        runtimes: names in RUNTIMES.

    Returns:
        'segnet_over_enet': the ratios 'time' (OpenVINO) and 'time_torch' by resolution, 'flops'
        and 'params'; 'enet' and 'segnet': 'gflops', 'params', 'size_mb'; 'num_classes'; 'table2':
        the rows of :func:`measure_times`.

    Raises:
        ValueError: a resolution is impossible.
    """
    rows = measure_times(resolutions, runtimes, runs, threads)
    counted = table_3()
    return {
        'segnet_over_enet': {
            'time': time_ratios(rows, 'openvino'),
            'time_torch': time_ratios(rows, 'torch'),
            'flops': round(counted['SegNet']['gflops'] / counted['ENet']['gflops'], 2),
            'params': round(counted['SegNet']['params'] / counted['ENet']['params'], 2)},
        'enet': counted['ENet'], 'segnet': counted['SegNet'],
        'num_classes': NUM_CLASSES, 'table2': rows}


def _measured(result: dict) -> dict:
    """Return our rows as :data:`PAPER_TABLE_2` has the paper's."""
    table: dict = {}
    for row in result['table2']:
        machine = table.setdefault(RUNTIME_NAMES[row['runtime']], {'SegNet': {}, 'ENet': {}})
        machine[row['network']][row['resolution']] = row['median_ms'], row['fps']
    return table


def _all_ratios(result: dict) -> dict[str, dict[str, float]]:
    """Return machine -> resolution -> SegNet's time over ENet's, the paper's and ours."""
    ratios = {machine: {size: networks['SegNet'][size][0] / networks['ENet'][size][0]
                        for size in networks['SegNet']}
              for machine, networks in PAPER_TABLE_2.items()}
    ours = result['segnet_over_enet']
    return {**ratios, RUNTIME_NAMES['openvino']: ours['time'],
            RUNTIME_NAMES['torch']: ours['time_torch']}


def _sizes(result: dict) -> list[str]:
    """Return the paper's resolutions and those measured, the smallest first."""
    names = {size_name(size) for size in PAPER_RESOLUTIONS}
    names |= {row['resolution'] for row in result['table2']}
    return sorted(names, key=lambda name: [int(name.split('x')[0]), int(name.split('x')[1])])


def _figure(value: float) -> str:
    """Return a figure as the paper prints it: whole from 100, else with at most one decimal."""
    return f'{value:.0f}' if value >= 100 or value == int(value) else f'{value:.1f}'


def format_table_2(result: dict) -> str:
    """Lay out the times of :func:`paper_tables` beside the paper's."""
    sizes, ratios = _sizes(result), _all_ratios(result)
    lines = ['Table 2: milliseconds a frame / frames a second',
             f'{"":<23}{"":<14}' + ''.join(f'{size:>15}' for size in sizes)]
    for machine, networks in {**PAPER_TABLE_2, **_measured(result)}.items():
        rows = {name: {size: f'{_figure(ms)} / {fps:.1f}' for size, (ms, fps) in cells.items()}
                for name, cells in networks.items()}
        rows['SegNet / ENet'] = {size: f'{ratio:.1f}x' for size, ratio in ratios[machine].items()}
        for name, cells in rows.items():
            label = machine if name == 'SegNet' else ''
            lines.append(f'{label:<23}{name:<14}'
                         + ''.join(f'{cells.get(size, "-"):>15}' for size in sizes))
    return '\n'.join(lines)


def format_table_3(result: dict) -> str:
    """Lay out operations, parameters and sizes beside the paper's."""
    ours = {'SegNet': result['segnet'], 'ENet': result['enet']}
    ratios = result['segnet_over_enet']
    lines = [f'Table 3: for 3x{size_name(PAPER_FLOPS_RESOLUTION)}; MB are 2^20 bytes',
             f'{"":<23}{"":<8}{"GFLOPs":>10}{"parameters":>14}{"float16":>12}']
    for name, paper in PAPER_TABLE_3.items():
        for whose, row in (('paper', paper), ('here', ours[name])):
            lines.append(f'{name if whose == "paper" else "":<23}{whose:<8}{row["gflops"]:>10.2f}'
                         f'{row["params"] / 1e6:>12.2f} M{row["size_mb"]:>9.1f} MB')
    for whose, row in (('paper', PAPER_RATIOS), ('here', ratios)):
        lines.append(f'{"SegNet / ENet" if whose == "paper" else "":<23}{whose:<8}'
                     f'{row["flops"]:>9.0f}x{row["params"]:>13.0f}x')
    return '\n'.join(lines)


def format_tables(result: dict) -> str:
    """Lay out what :func:`paper_tables` returns, the paper's figures beside ours."""
    note = ('Operations are those of convolutions, a multiply and an add as two, by '
            'torch.utils.flop_counter;\nthe paper does not say how it counted. Up to '
            f'{PAPER_RATIOS["time"]}x faster, it says: that is the TX1 at 640x360.')
    return '\n\n'.join((format_table_2(result), format_table_3(result), note))


def draw_paper(path: Path, result: dict) -> None:
    """Draw milliseconds a frame over pixels, the paper's and ours.

    Args:
        path: of the PNG.
        result: of :func:`paper_tables`.

    Raises:
        ImportError: matplotlib is missing.
    """
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 5.5), layout='constrained')
    axis = figure.subplots()
    machines = {**PAPER_TABLE_2, **_measured(result)}
    for color, (machine, networks) in enumerate(machines.items()):
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
