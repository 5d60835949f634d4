"""What ``enet-ros soak`` measures: whether it passed, as text, as an image and as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from enet_ros.bench.timing import size_name

MOST_GROWTH_MB = 5.0    # after the first minute
MOST_P99_RATIO = 1.2    # of the last minute over the first
WINDOW_SEC = 60.0       # the first and the last minute
LEAST_SAMPLES = 3       # of each to compare
PARTS = 60              # of the time, for each of which the latency is drawn


@dataclass(frozen=True)
class CameraCounts:
    """The frames of one camera.

    Attributes:
        name: Name of the camera, empty for the only one.
        sent: Frames that the camera published, by its own count.
        received: Frames that the node received. DDS lost the others, or a newer frame replaced
            them before the node took them.
        published: Frames that the node published masks for.
        dropped: Frames that the node dropped.
        seen: Masks that the observer received.
    """

    name: str
    sent: int
    received: int
    published: int
    dropped: int
    seen: int

    @property
    def lost(self) -> int:
        """Frames that were sent and became no mask, whoever lost them."""
        return self.sent - self.published


@dataclass(frozen=True)
class SoakSeries:
    """What was measured over time. All lists of a group have one length.

    Attributes:
        sample_sec: When the memory was looked at, in seconds since the first mask.
        rss_mb: Memory of the node then, in MB.
        threads: Number of its threads then.
        mask_sec: When each mask came, in seconds since the first.
        latency_ms: Time from its camera stamp to its arrival.
    """

    sample_sec: Sequence[float]
    rss_mb: Sequence[float]
    threads: Sequence[int]
    mask_sec: Sequence[float]
    latency_ms: Sequence[float]

    @property
    def seconds(self) -> float:
        """Return how long the soak took."""
        return float(self.sample_sec[-1]) if len(self.sample_sec) else 0.0

    @property
    def window_sec(self) -> float:
        """Return a minute, or a third of a soak that is shorter than three."""
        return min(WINDOW_SEC, self.seconds / 3.0)

    def memory_mb(self) -> tuple[float, float]:
        """Return the memory just after the first minute and at the end.

        Each is a median over a quarter of a minute, so that nearly all of a slow growth lies
        between them.
        """
        times, rss_mb = np.asarray(self.sample_sec), np.asarray(self.rss_mb)
        is_after = times >= self.window_sec
        after = rss_mb[is_after]
        count = max(LEAST_SAMPLES, np.count_nonzero(is_after & (times < 1.25 * self.window_sec)))
        if len(after) < 2 * count:
            return float('nan'), float('nan')
        return float(np.median(after[:count])), float(np.median(after[-count:]))

    def p99_ms(self) -> tuple[float, float]:
        """Return the p99 of the latency in the first minute and in the last one."""
        times, latency_ms = np.asarray(self.mask_sec), np.asarray(self.latency_ms)
        last = latency_ms[times >= self.seconds - self.window_sec]
        return _p99(latency_ms[times < self.window_sec]), _p99(last)


@dataclass(frozen=True)
class SoakReport:
    """The figures of a soak. The field names are keys of the JSON file.

    Attributes:
        machine: Where it ran, in words.
        command: What repeats it.
        backend, precision: What ran the network.
        resolution, camera_size: (width, height) of the network and of the frames, in pixels.
        rate_hz: Frames a second of each camera.
        minutes: How long it took.
        cameras: The counts of each camera.
        memory_mb: Just after the first minute and at the end.
        p99_ms: In the first minute and in the last one.
        p50_ms: Of the whole time.
        cpu_percent: CPU time of the node, in percent of one core.
        machine_percent: CPU time of all processes, in percent of all cores.
        visits: How often a subscriber came and went.
        busy: A sentence where other processes kept the cores busy, else ''.
        failures: What is not as it has to be; none if the soak passed.
    """

    machine: str
    command: str
    backend: str
    precision: str
    resolution: list[int]
    camera_size: list[int]
    rate_hz: float
    minutes: float
    cameras: list[CameraCounts]
    memory_mb: tuple[float, float]
    p99_ms: tuple[float, float]
    p50_ms: float
    cpu_percent: float
    machine_percent: float
    visits: int
    busy: str
    failures: list[str]

    @property
    def sent(self) -> int:
        """Return the frames that all cameras sent."""
        return sum(camera.sent for camera in self.cameras)

    @property
    def lost(self) -> int:
        """Return the frames of all cameras that became no mask."""
        return sum(camera.lost for camera in self.cameras)


def failures_of(cameras: Sequence[CameraCounts], series: SoakSeries) -> list[str]:
    """Return a sentence for each thing that is not as it has to be.

    Frames that this machine cannot hold are no failure. They are counted.

    Args:
        cameras: The counts, taken when no frame was on its way any more.
        series: What was measured over time.
    """
    failures = [sentence for camera in cameras for sentence in _failures_of_camera(camera)]
    before_mb, after_mb = series.memory_mb()
    first_ms, last_ms = series.p99_ms()
    if not np.isfinite((before_mb, after_mb, first_ms, last_ms)).all():
        return [*failures, f'{len(series.sample_sec)} looks at the memory and '
                           f'{len(series.mask_sec)} masks in {series.seconds:.0f} s are too few '
                           'to judge memory and latency: soak longer']
    if not after_mb - before_mb < MOST_GROWTH_MB:
        failures.append(f'memory went from {before_mb:.1f} to {after_mb:.1f} MB after the first '
                        f'minute, wanted less than {MOST_GROWTH_MB:g} MB more')
    if not last_ms <= MOST_P99_RATIO * first_ms:
        failures.append(f'p99 of the latency went from {first_ms:.1f} ms in the first minute to '
                        f'{last_ms:.1f} ms in the last, wanted at most '
                        f'{100 * MOST_P99_RATIO - 100:.0f} % more')
    return failures


def _failures_of_camera(camera: CameraCounts) -> list[str]:
    name, failures = camera.name or 'the camera', []
    if camera.received != camera.published + camera.dropped:
        failures.append(f'{name}: {camera.received} frames were received, but '
                        f'{camera.published} published and {camera.dropped} dropped are '
                        f'{camera.published + camera.dropped}')
    if not 0 < camera.received <= camera.sent:
        failures.append(f'{name}: {camera.sent} frames were sent and {camera.received} received')
    if camera.seen > camera.published:
        failures.append(f'{name}: {camera.seen} masks came, but {camera.published} were '
                        'published')
    return failures


def _p99(values: np.ndarray) -> float:
    return float(np.percentile(values, 99)) if len(values) >= LEAST_SAMPLES else float('nan')


def _edges(series: SoakSeries) -> np.ndarray:
    """Return where the parts of a soak begin and end, (PARTS + 1,) in seconds."""
    return np.linspace(0.0, max(np.max(series.mask_sec, initial=0.0), 1e-9), PARTS + 1)


def _over_time(series: SoakSeries) -> dict[int, np.ndarray]:
    """Return p50 and p99 of the latency, each (PARTS,) in ms; NaN for a part without masks."""
    latency_ms = np.asarray(series.latency_ms)
    bins = np.minimum(np.digitize(series.mask_sec, _edges(series)) - 1, PARTS - 1)
    return {q: np.array([np.percentile(latency_ms[bins == i], q) if (bins == i).any() else np.nan
                         for i in range(PARTS)]) for q in (50, 99)}


def _cameras(report: SoakReport) -> str:
    count = len(report.cameras)
    return f'{count} camera' + ('s' if count > 1 else '')


def format_soak(report: SoakReport) -> str:
    """Lay out a soak. The last line says whether it passed."""
    lines = [f'{report.machine}; {report.backend} {report.precision}, network '
             f'{size_name(report.resolution)}, {_cameras(report)} of '
             f'{size_name(report.camera_size)} at {report.rate_hz:g} Hz, '
             f'{report.minutes:.1f} minutes']
    for camera in report.cameras:
        lines.append(
            f'{camera.name or "camera":<8}{camera.sent} sent, {camera.received} received, '
            f'{camera.published} published, {camera.dropped} dropped; {camera.seen} masks seen')
    (before_mb, after_mb), (first_ms, last_ms) = report.memory_mb, report.p99_ms
    lines += [f'memory  {_amount(before_mb, "MB")} after the first minute, '
              f'{_amount(after_mb, "MB")} at the end',
              f'latency p50 {_amount(report.p50_ms, "ms")}; p99 {_amount(first_ms, "ms")} in the '
              f'first minute, {_amount(last_ms, "ms")} in the last',
              f'load    node {report.cpu_percent:.0f} % of a core, machine '
              f'{report.machine_percent:.0f} % of all; a subscriber came and went '
              f'{report.visits} times']
    if report.busy:
        lines.append(f'not to be trusted: {report.busy}. Leave the machine alone and repeat.')
    verdict = 'passed' if not report.failures else 'failed: ' + '; '.join(report.failures)
    return '\n'.join([*lines, verdict])


def _amount(value: float, unit: str, digits: int = 1) -> str:
    return 'unknown' if np.isnan(value) else f'{value:.{digits}f} {unit}'


def write_soak(path: Path, report: SoakReport, series: SoakSeries) -> None:
    """Write the figures as JSON, with the memory and the latency over time.

    What is not known is null, such as the latency of a part of the time without a mask.
    """
    latency = {f'p{q}_ms': [None if np.isnan(value) else round(float(value), 1)
                            for value in values] for q, values in _over_time(series).items()}
    over_time = {'sample_sec': [round(value, 1) for value in series.sample_sec],
                 'rss_mb': [round(value, 2) for value in series.rss_mb],
                 'threads': list(series.threads),
                 'mask_sec': [round(float(value), 1) for value in _edges(series)[:-1]], **latency}
    content = {name: _each(value, lambda number: None if number != number else number)  # NaN
               for name, value in asdict(report).items()}
    path.write_text(json.dumps({**content, 'over_time': over_time}, indent=1, allow_nan=False)
                    + '\n')


def _each(value: object, change: Callable[[object], object]) -> object:
    """Change a figure, or each of a pair or list of them."""
    return [change(one) for one in value] if isinstance(value, list | tuple) else change(value)


def read_soak(path: Path) -> SoakReport:
    """Read the figures of a soak.

    Raises:
        ValueError: The file is not from :func:`write_soak`.
    """
    try:
        content = json.loads(path.read_text())
        content['cameras'] = [CameraCounts(**camera) for camera in content['cameras']]
        report = SoakReport(**{
            field.name: _each(content[field.name],
                              lambda number: float('nan') if number is None else number)
            for field in fields(SoakReport)})
        format_soak(report), format_table([report])  # fails where a figure is none
        return report
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path} is no result of enet-ros soak --json: {error}') from error
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error.strerror}): wanted a file that '
                         'enet-ros soak --json has written') from error


def format_table(reports: Sequence[SoakReport]) -> str:
    """Return the README's table of the load that a node holds, in Markdown."""
    lines = ['| cameras | rate | size | minutes | frames lost | p99 | memory | command |',
             '|---|---|---|---|---|---|---|---|']
    for report in reports:
        growth_mb = report.memory_mb[1] - report.memory_mb[0]
        share = 100.0 * report.lost / max(report.sent, 1)
        lines.append(
            f'| {len(report.cameras)} | {report.rate_hz:g} Hz | {size_name(report.camera_size)} '
            f'| {round(report.minutes, 1):g} | {report.lost} of {report.sent} ({share:.1f} %) '
            f'| {_amount(report.p99_ms[1], "ms", 0)} | '
            + ('unknown ' if np.isnan(growth_mb) else
               f'{report.memory_mb[1]:.0f} MB ({growth_mb:+.1f}) ')
            + f'| `{report.command}` |')
    return '\n'.join(lines)


def draw_soak(path: Path, report: SoakReport, series: SoakSeries) -> None:
    """Draw memory and latency over time.

    Args:
        path: Of the PNG file to write.
        report: The figures.
        series: What was measured over time.

    Raises:
        ImportError: matplotlib is missing.
    """
    from matplotlib.figure import Figure
    figure = Figure(figsize=(9, 5), layout='constrained')
    memory, latency = figure.subplots(2, sharex=True)
    memory.plot(np.asarray(series.sample_sec) / 60.0, series.rss_mb, color='C0')
    memory.set(ylabel='memory, MB', title=f'{_cameras(report)} at {report.rate_hz:g} '
               f'Hz, {report.lost} of {report.sent} frames lost; {report.machine}')
    for (q, values), color in zip(_over_time(series).items(), ('C1', 'C3')):
        latency.plot(_edges(series)[:-1] / 60.0, values, color=color, label=f'p{q}')
    latency.set(xlabel='minutes', ylabel='camera stamp to mask, ms', ylim=(0, None))
    latency.legend()
    figure.savefig(path, dpi=110)
