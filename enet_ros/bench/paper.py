"""Tables 2 and 3 of the ENet paper, measured on this machine: SegNet beside ENet.

Both networks run bare, by the same runtime, in float32: normalized input in, logits out, batch
normalization folded where that is possible, random weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from enet_ros.backends.torch import torch_threads
from enet_ros.bench.segnet import SegNet
from enet_ros.bench.timing import LIMITED_ROUNDS, Call, alternate_within_time, size_name
from enet_ros.machine import Machine, import_openvino
from enet_ros.network.enet import ENet
from enet_ros.network.frame_graph import fold_batch_norm
from enet_ros.network.resolution import check_resolution
from enet_ros.network.unpooling import BY_CONVOLUTION, BY_SLICES, use_unpooling

NETWORKS = {'SegNet': SegNet, 'ENet': ENet}
NUM_CLASSES = 20  # Cityscapes and void

#: Table 2: (width, height) of each column.
PAPER_RESOLUTIONS = ((480, 320), (640, 360), (1280, 720), (1920, 1080))
#: Table 3: (width, height) at which operations are counted.
PAPER_FLOPS_RESOLUTION = (640, 360)

#: Table 2: machine -> network -> resolution -> (milliseconds a frame, frames a second).
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
#: SegNet over ENet, as the paper's abstract says it; of time it says the largest ratio.
PAPER_RATIOS = {'time': 18, 'flops': 75, 'params': 79}


# Table 3: sizes


def count_parameters(network: nn.Module) -> int:
    """Count trainable numbers. Running means and variances are not trained."""
    return sum(parameter.numel() for parameter in network.parameters())


def half_precision_mb(network: nn.Module) -> float:
    """Return the size of the parameters at two bytes each, in 2^20 bytes as in Table 3."""
    return 2 * count_parameters(network) / 2 ** 20


def count_flops(network: nn.Module, resolution: Sequence[int]) -> int:
    """Count the operations for one frame with torch's FlopCounterMode.

    It counts the multiplies and adds of convolutions as two operations, and those of a transposed
    convolution at the size of its input. It counts no biases, activations, normalizations and
    poolings.

    The paper does not say how it counted. SegNet's 286.03 G come out to the last digit with 20
    classes, poolings rounded down, and one operation for each bias and ReLU
    (285.82 + 0.11 + 0.10), so a multiply-add is two operations there, too. Poolings are rounded
    up here, as in SegNet's own model, which makes 286.96 G. ENet has 3.45 G here and 3.83 G in
    the paper, which is not explained. Biases, activations, sums and poolings come to 0.07 G, batch
    normalization to 0.05 G. Transposed convolutions at the size of their outputs would add 0.50 G.
    The paper's ENet may have been larger: it says 0.37 M parameters; the published model has
    0.365 M.

    Args:
        network: On any device; on 'meta' nothing is computed.
        resolution: (width, height), in pixels.
    """
    width, height = resolution
    device = next(network.parameters()).device
    # Not inference_mode: before torch 2.5 the counter sees no convolution in it.
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, height, width, device=device))
    return counter.get_total_flops()


def table_3() -> dict[str, dict[str, float]]:
    """Return each network's figures in Table 3, laid out as :data:`PAPER_TABLE_3`."""
    table = {}
    for name, kind in NETWORKS.items():
        with torch.device('meta'):
            network = kind(NUM_CLASSES).eval()
        table[name] = {
            'gflops': count_flops(network, PAPER_FLOPS_RESOLUTION) / 1e9,
            'params': count_parameters(network),
            'size_mb': round(half_precision_mb(network), 3)}
    return table


# Table 2: times


def openvino_call(network: nn.Module, x: np.ndarray, threads: int, precision: str = 'f32') -> Call:
    """Compile a network for one input on the CPU with OpenVINO.

    Args:
        network: In eval mode.
        x: (N, 3, H, W) float32.
        threads: Number of CPU threads; 0 leaves it to OpenVINO.
        precision: 'f32' or 'bf16'.

    Returns:
        A function that runs the network once.
    """
    ov = import_openvino()

    from enet_ros.backends.openvino import convert_traced
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # where SegNet asks for odd sizes; here they are fixed
        model = convert_traced(use_unpooling(network, BY_CONVOLUTION), torch.from_numpy(x))
    request = ov.Core().compile_model(model, 'CPU', {
        'INFERENCE_PRECISION_HINT': precision, 'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_NUM_THREADS': threads}).create_infer_request()
    return lambda: request.infer({0: x}, share_inputs=True, share_outputs=True)


def torch_call(network: nn.Module, x: np.ndarray, threads: int) -> Call:
    """Prepare a network in eager torch, channels last; see :func:`openvino_call`.

    The caller sets torch's threads; see :func:`enet_ros.backends.torch.torch_threads`.
    """
    network = use_unpooling(network, BY_SLICES).to(memory_format=torch.channels_last)
    inputs = torch.from_numpy(x).to(memory_format=torch.channels_last)

    def call() -> torch.Tensor:
        with torch.inference_mode():
            return network(inputs)

    return call


RUNTIMES: dict[str, Callable[[nn.Module, np.ndarray, int], Call]] = {
    'openvino': openvino_call, 'torch': torch_call}


@dataclass(frozen=True)
class NetworkTime:
    """A cell of Table 2. The field names are keys of the JSON file.

    Attributes:
        runtime: A key of RUNTIMES.
        network: A key of NETWORKS.
        resolution: Such as '640x360'.
        median_ms: Median time of a frame, in milliseconds.
        fps: Frames a second at that time.
        runs: Number of runs behind the median.
    """

    runtime: str
    network: str
    resolution: str
    median_ms: float
    fps: float
    runs: int


def measure_times(resolutions: Sequence[Sequence[int]], runtimes: Sequence[str], runs: int,
                  threads: int) -> list[NetworkTime]:
    """Time both networks at each resolution by each runtime, with a progress bar.

    Args:
        resolutions: (width, height) of each, multiples of 8.
        runtimes: Keys of RUNTIMES.
        runs: Most runs of each network; see
            :func:`enet_ros.bench.timing.alternate_within_time`.
        threads: Number of CPU threads; 0 leaves it to the runtime.

    Raises:
        ValueError: A resolution is not one that ENet can have.
    """
    resolutions = [check_resolution(resolution) for resolution in resolutions]
    rows = []
    with tqdm(total=len(resolutions) * len(runtimes) * len(NETWORKS) * LIMITED_ROUNDS,
              unit='round', disable=None) as bar:
        for resolution in resolutions:
            for runtime in runtimes:
                bar.set_description(f'{size_name(resolution)} {runtime}')
                rows += _measure_cell(resolution, runtime, runs, threads, bar.update)
    return rows


def _measure_cell(resolution: Sequence[int], runtime: str, runs: int, threads: int,
                  on_round: Call) -> list[NetworkTime]:
    """Time both networks at one resolution by one runtime; see :func:`measure_times`.

    The networks live no longer than this call: SegNet at 1920x1080 takes gigabytes.
    """
    torch.manual_seed(0)
    width, height = resolution
    x = np.random.default_rng(0).standard_normal((1, 3, height, width), np.float32)
    with torch_threads(threads):
        calls = {name: RUNTIMES[runtime](fold_batch_norm(kind(NUM_CLASSES)), x, threads)
                 for name, kind in NETWORKS.items()}
        seconds = alternate_within_time(calls, runs, on_round)
    medians_ms = {name: 1e3 * float(np.median(values)) for name, values in seconds.items()}
    return [NetworkTime(runtime, name, size_name(resolution), round(median_ms, 3),
                        round(1e3 / median_ms, 3), len(seconds[name]))
            for name, median_ms in medians_ms.items()]


def time_ratios(rows: Sequence[NetworkTime], runtime: str) -> dict[str, float]:
    """Divide SegNet's medians by ENet's; return resolution -> ratio of one runtime."""
    medians = {(row.network, row.resolution): row.median_ms for row in rows
               if row.runtime == runtime}
    return {size: round(medians['SegNet', size] / medians['ENet', size], 2)
            for network, size in medians if network == 'ENet'}


# Both


@dataclass(frozen=True)
class PaperTables:
    """What the paper's Tables 2 and 3 say of this machine. Field names are keys of the JSON file.

    Attributes:
        machine: Where the times were measured, or None.
        segnet_over_enet: Ratios: 'time' (OpenVINO) and 'time_torch' by resolution, 'flops' and
            'params'.
        enet, segnet: The figures of Table 3: 'gflops', 'params', 'size_mb'.
        num_classes: Channels of the logits.
        table2: The times.
        busy: A sentence where other processes kept the cores busy, else ''.
    """

    machine: Machine | None
    segnet_over_enet: Mapping[str, dict | float]
    enet: dict[str, float]
    segnet: dict[str, float]
    num_classes: int
    table2: list[NetworkTime]
    busy: str = ''

    def without_time_ratios(self, busy: str) -> PaperTables:
        """Return the same without ratios of time, which mean nothing on a busy machine.

        Args:
            busy: The sentence that says who kept the cores busy.
        """
        return replace(self, busy=busy, segnet_over_enet={
            **self.segnet_over_enet, 'time': {}, 'time_torch': {}})


def paper_tables(resolutions: Sequence[Sequence[int]] = PAPER_RESOLUTIONS, runs: int = 20,
                 threads: int = 0, runtimes: Sequence[str] = tuple(RUNTIMES),
                 machine: Machine | None = None) -> PaperTables:
    """Measure Tables 2 and 3.

    Args:
        resolutions: (width, height) of each for Table 2; Table 3 has the paper's own.
        runs, threads, runtimes: See :func:`measure_times`.
        machine: Description of this machine.

    Raises:
        ValueError: A resolution is not one that ENet can have.
    """
    rows = measure_times(resolutions, runtimes, runs, threads)
    counted = table_3()
    ratios = {'time': time_ratios(rows, 'openvino'), 'time_torch': time_ratios(rows, 'torch'),
              'flops': round(counted['SegNet']['gflops'] / counted['ENet']['gflops'], 2),
              'params': round(counted['SegNet']['params'] / counted['ENet']['params'], 2)}
    return PaperTables(machine, ratios, counted['ENet'], counted['SegNet'], NUM_CLASSES, rows)
