"""What ``enet-ros bench --node`` measures, as text and as an image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from enet_ros.bench.timing import size_name
from enet_ros.machine import Machine

#: Stages of ~/timing, in words.
STAGE_LABELS = {'age_at_receive': 'camera to node', 'wait': 'wait for the network',
                'preprocess': 'decode, resize', 'inference': 'network', 'postprocess': 'mask',
                'publish': 'publish'}


@dataclass(frozen=True)
class NodeFigures:
    """The figures of a node among its cameras. The field names are keys of the JSON file.

    Attributes:
        fps: Masks a second, of all cameras together.
        fps_each: Masks a second of each camera.
        latency_ms: 'p50', 'p95', 'p99' and 'max' of the time from camera stamp to mask received.
        segmenter_ms: Median time of the bare segmenter.
        overhead_ratio: The latency's p50 over the bare segmenter's time, median of the rounds.
        published_share: Masks a second over what the cameras send or the bare segmenter could
            do, whichever is less; median of the rounds.
        published_share_beside_cameras: The same with a bare segmenter that shares the machine
            with the cameras.
        dropped: Frames that the node dropped in the rounds.
        stages_ms: Medians of ~/timing, measured after the rounds.
        cpu_percent: CPU time of the node, in percent of one core.
        rss_mb: Memory of the node at the end, in MB.
        rss_growth_mb: Its growth from the first round to the last.
        start_sec: From the start of the process to the first mask.
    """

    fps: float
    fps_each: list[float]
    latency_ms: dict[str, float]
    segmenter_ms: float
    overhead_ratio: float
    published_share: float
    published_share_beside_cameras: float
    dropped: int
    stages_ms: dict[str, float]
    cpu_percent: float
    rss_mb: float
    rss_growth_mb: float
    start_sec: float


@dataclass(frozen=True)
class NodeReport:
    """The figures of a node, and under which conditions they were measured.

    Attributes:
        machine: Where they were measured.
        backend, precision: What ran the network.
        resolution: (width, height) of the network, in pixels.
        camera: (width, height) of the cameras' frames, in pixels.
        cameras: Number of cameras.
        rate_hz: Frames a second of each camera.
        figures: What was measured.
        busy: A sentence where other processes kept the cores busy, else ''.
    """

    machine: Machine
    backend: str
    precision: str
    resolution: list[int]
    camera: list[int]
    cameras: int
    rate_hz: float
    figures: NodeFigures
    busy: str = ''

    def as_json(self) -> dict:
        """Return the content of the JSON file, in which the figures are not nested."""
        content = asdict(self)
        figures, busy = content.pop('figures'), content.pop('busy')
        return {**content, **figures, 'busy': busy}


def format_node(report: NodeReport) -> str:
    """Lay out the figures of a node."""
    figures, latency = report.figures, report.figures.latency_ms
    stages = ', '.join(f'{name} {value:.1f}' for name, value in figures.stages_ms.items())
    lines = [
        f'{report.machine}; {report.backend} {report.precision}, network '
        f'{size_name(report.resolution)}, camera {size_name(report.camera)}, '
        f'{report.cameras} at {report.rate_hz:g} Hz',
        f'masks           {figures.fps:.1f} a second, {100 * figures.published_share:.0f} % of '
        f'what was sent or the bare segmenter could do alone '
        f'({100 * figures.published_share_beside_cameras:.0f} % beside the cameras), '
        f'{figures.dropped} dropped',
        f'latency         p50 {latency["p50"]:.1f}, p95 {latency["p95"]:.1f}, '
        f'p99 {latency["p99"]:.1f} ms from camera stamp to mask received',
        f'bare segmenter  {figures.segmenter_ms:.1f} ms: p50 is '
        f'{figures.overhead_ratio:.2f} times that',
        f'stages          {stages} ms (medians)',
        f'node            {figures.cpu_percent:.0f} % of a core, {figures.rss_mb:.0f} MB, '
        f'{figures.rss_growth_mb:+.1f} MB meanwhile; first mask after '
        f'{figures.start_sec:.1f} s']
    if report.busy:
        lines.append(f'not to be trusted: {report.busy}. Leave the machine alone and repeat.')
    return '\n'.join(lines)


def draw_node(path: Path, report: NodeReport) -> None:
    """Draw the time from camera stamp to mask by stages, beside the bare segmenter's time.

    Args:
        path: Path of the PNG file to write.
        report: The figures.

    Raises:
        ImportError: matplotlib is missing.
    """
    from matplotlib.figure import Figure
    figures = report.figures
    rest = figures.latency_ms['p50'] - sum(figures.stages_ms.values())
    parts = {STAGE_LABELS[name]: value for name, value in figures.stages_ms.items()} | {
        'to the reader': max(0.0, rest)}
    figure = Figure(figsize=(9, 2.6), layout='constrained')
    axis = figure.subplots()
    axis.barh(['bare segmenter'], [figures.segmenter_ms], color='C7')
    left = 0.0
    for index, (label, value) in enumerate(parts.items()):
        axis.barh(['node'], [value], left=left, color=f'C{index}', label=f'{label} {value:.1f}')
        left += value
    title = f'{report.cameras} camera at {report.rate_hz:g} Hz, {report.precision}'
    axis.set(xlabel='ms, medians', title=f'{title}; {report.machine}')
    axis.legend(ncols=4, fontsize=8, loc='upper center', bbox_to_anchor=(0.5, -0.3))
    figure.savefig(path, dpi=110)
