"""The figures of a comparison: as a table for people, and as JSON."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from enet_ros.comparison.run import Comparison
from enet_ros.comparison.sides import Side, uncompared

NOTHING = '–'


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: What is measured.
        a: Value of A as text, or of both where ``b`` is None.
        b: Value of B as text, or None.
        meaning: A sentence that says how to read it.
    """

    name: str
    a: str
    b: str | None
    meaning: str


def figures(result: Comparison) -> dict[str, object]:
    """Return all figures by name, for JSON. None stands for what could not be measured."""
    differences = result.differences
    a, b = (measures.summary() for measures in result.measures)
    ratios = np.array(result.measures[1].latencies_ms) / result.measures[0].latencies_ms
    both, either = _pooled(result)
    truth = [overlap.iou() for overlap in result.truth]
    return {
        'frames': len(differences), 'size': list(result.size), 'same_classes': result.same_classes,
        'agreement': float(np.mean([item.agreement for item in differences]))
        if result.same_classes else None,
        'drivable_iou': both / either if either else None,
        'only_a_drivable': float(np.mean([item.only_a for item in differences])),
        'only_b_drivable': float(np.mean([item.only_b for item in differences])),
        'latency_ratio_b_over_a': float(np.median(ratios)),
        'a': a | {'drivable_iou_with_labels': truth[0]},
        'b': b | {'drivable_iou_with_labels': truth[1]},
        'labelled_frames': result.labeled, 'problems': result.problems,
        'differing_frames': [{'name': item.difference.name, 'differs': item.difference.size}
                             for item in result.worst]}


def _pooled(result: Comparison) -> tuple[float, float]:
    """Return what both call drivable, and what either does, as shares summed over the frames."""
    a, b = (sum(measures.drivable) for measures in result.measures)
    only_a, only_b = (sum(getattr(item, name) for item in result.differences)
                      for name in ('only_a', 'only_b'))
    return (a + b - only_a - only_b) / 2, (a + b + only_a + only_b) / 2


def rows_of(found: dict) -> list[Row]:
    """Return the rows of the table, from :func:`figures`."""
    a, b = found['a'], found['b']
    rows = [
        Row('drivable IoU, A against B', _share(found['drivable_iou']), None,
            'Area that both call drivable, divided by the area that either does. 100 % is equal.'),
        Row('drivable for one alone', _share(found['only_a_drivable']),
            _share(found['only_b_drivable']),
            'Share of the image that only this side calls drivable.'),
        Row('agreement of labels', _share(found['agreement']), None,
            'Share of the pixels that have the same class.'),
        Row('drivable', _share(a['drivable']), _share(b['drivable']),
            'Share of the image that is drivable.'),
        Row('flicker', _share(a['flicker'], 2), _share(b['flicker'], 2),
            'Share of the pixels whose class changes from frame to frame where the image does '
            'not. It needs frames that follow each other.'),
        Row('mean confidence', _number(a['confidence']), _number(b['confidence']),
            'Mean probability of the chosen class, 0 to 1.'),
        Row('unknown', _share(a['unknown']), _share(b['unknown']),
            'Share of the pixels that have no class.'),
        Row('latency, median', f"{a['latency_median_ms']:.1f} ms",
            f"{b['latency_median_ms']:.1f} ms",
            'Time from the decoded frame to the mask, with confidence. The side that goes first '
            'alternates.'),
        Row('latency, 95th percentile', f"{a['latency_p95_ms']:.1f} ms",
            f"{b['latency_p95_ms']:.1f} ms", 'One frame of twenty takes longer.'),
        Row('latency, B / A', f"{found['latency_ratio_b_over_a']:.2f}", None,
            'Median of the ratios by frame. Below 1, B is faster.')]
    if found['labelled_frames']:
        rows.insert(0, Row(
            'drivable IoU with the labels', _share(a['drivable_iou_with_labels']),
            _share(b['drivable_iou_with_labels']),
            f"Against the label images of {found['labelled_frames']} frames. 100 % is perfect."))
    return rows


def _share(value: float | None, digits: int = 1) -> str:
    return NOTHING if value is None else f'{100 * value:.{digits}f} %'


def _number(value: float) -> str:
    return f'{value:.3f}'


def notes_of(a: Side, b: Side, result: Comparison) -> list[str]:
    """Return sentences that say how the figures are to be read."""
    notes = []
    if not result.same_classes:
        notes.append('The weights have different classes, so only the drivable area is compared: '
                     f'A calls {_names(a)} drivable, B calls {_names(b)} drivable.')
    elif a.class_map.drivable != b.class_map.drivable:
        notes.append(f'A calls {_names(a)} drivable, B calls {_names(b)} drivable.')
    if a.segmenter.resolution != b.segmenter.resolution:
        notes.append('The resolutions differ. The results are compared at the larger one, '
                     f'{result.size[0]}x{result.size[1]}.')
    if names := uncompared(a.settings, b.settings):
        notes.append(f"The parameters {', '.join(names)} differ too. They change nothing that is "
                     'compared here.')
    if not any(measures.flickers for measures in result.measures):
        notes.append('Flicker was not measured: the frames do not follow each other, or nothing '
                     'in them stands still.')
    if result.problems:
        notes.append(f'{len(result.problems)} files or frames could not be used.')
    return notes


def _names(side: Side) -> str:
    return ', '.join(side.class_map.drivable_names)


def print_table(a: Side, b: Side, result: Comparison) -> None:
    """Print the table and the notes."""
    rows = rows_of(figures(result))
    width = max(len(row.name) for row in rows)
    print(f'A: {a.text}: {a.segmenter.choice}\nB: {b.text}: {b.segmenter.choice}')
    print(f"{len(result.differences)} frames\n{'':{width}}  {'A':>10}  {'B':>10}")
    for row in rows:
        values = [row.a] if row.b is None else [row.a, row.b]
        print(f'{row.name:{width}}  ' + '  '.join(f'{value:>10}' for value in values))
    for note in notes_of(a, b, result):
        print(f'note: {note}')
