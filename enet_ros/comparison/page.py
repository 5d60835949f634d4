"""The HTML page of a comparison: one file without scripts, which needs nothing from the net."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np

from enet_ros.comparison.images import BOTH, ONLY_A, ONLY_B, OTHER, WIDTH
from enet_ros.comparison.report import figures, notes_of, rows_of
from enet_ros.comparison.run import Comparison, WorstFrame
from enet_ros.comparison.sides import Side

CHART_WIDTH, CHART_HEIGHT = 960, 160
MAX_POINTS = 480  # of a curve; more frames are averaged
COLORS = {'a': '#c2410c', 'b': '#1d4ed8', 'both': '#15803d', 'labels': '#7e22ce'}

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2937; background: #f8fafc;
       max-width: 1200px; margin: 0 auto; padding: 24px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 20px; margin: 36px 0 8px; }
h3 { font-size: 16px; margin: 20px 0 4px; font-weight: 600; overflow-wrap: anywhere; }
.a { color: #c2410c; } .b { color: #1d4ed8; } .quiet { color: #64748b; font-size: 14px; }
table { border-collapse: collapse; background: #fff; width: 100%; }
th, td { padding: 7px 12px; border-bottom: 1px solid #e2e8f0; text-align: left; }
td.value, th.value { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.both { text-align: center; } td.value { font-weight: 600; }
.note { background: #fef9c3; border-left: 4px solid #eab308; padding: 8px 12px; margin: 8px 0; }
.sides { overflow-wrap: anywhere; }
.row { display: grid; grid-template-columns: repeat(4, 1fr); gap: 8px; }
.row img { width: 100%; display: block; border-radius: 4px; }
figure { margin: 0; } figcaption { font-size: 14px; color: #475569; }
svg { background: #fff; width: 100%; height: auto; border: 1px solid #e2e8f0; }
.key { display: inline-block; width: 14px; height: 14px; margin: 0 6px 0 14px;
       vertical-align: -2px; border-radius: 3px; border: 1px solid #94a3b8; }
@media (max-width: 800px) { .row { grid-template-columns: repeat(2, 1fr); } }
"""


def make_page(a: Side, b: Side, recording: str, result: Comparison) -> str:
    """Return the text of the page.

    Args:
        a: First side.
        b: Second side.
        recording: Path of the recording, for the title.
        result: The comparison.
    """
    notes = ''.join(f'<p class="note">{escape(note)}</p>' for note in notes_of(a, b, result))
    problems = ''.join(f'<li>{_text(problem)}</li>' for problem in result.problems)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{_text(a.text)} and {_text(b.text)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>
<body><h1>Two networks on one recording</h1>
<p class="quiet">{len(result.differences)} frames of {_text(recording)}</p>
<p class="sides"><b class="a">A</b> {_text(a.text)} <span class="quiet">{_describe(a)}</span><br>
<b class="b">B</b> {_text(b.text)} <span class="quiet">{_describe(b)}</span></p>
{notes}{_table(result)}
<h2>Frame by frame</h2>{_charts(result)}
<h2>Frames on which they differ most</h2>{_worst(result)}
{_class_table(a, result)}
{f'<h2>What could not be used</h2><ul>{problems}</ul>' if problems else ''}
</body></html>
"""


def _text(text: str) -> str:
    """Return text for HTML. A file name may hold bytes that are no text."""
    return escape(text.encode(errors='backslashreplace').decode())


def _describe(side: Side) -> str:
    width, height = side.segmenter.resolution
    return _text(f'at {width}x{height}; {side.segmenter.choice}')


def _table(result: Comparison) -> str:
    lines = []
    for row in rows_of(figures(result)):
        values = (f'<td class="value both" colspan="2">{row.a}</td>' if row.b is None else
                  f'<td class="value">{row.a}</td><td class="value">{row.b}</td>')
        lines.append(f'<tr><td>{row.name}</td>{values}<td class="quiet">{row.meaning}</td></tr>')
    return ('<table><tr><th></th><th class="value a">A</th><th class="value b">B</th><th></th>'
            '</tr>' + '\n'.join(lines) + '</table>')


def _charts(result: Comparison) -> str:
    differences = result.differences
    if len(differences) < 2:
        return '<p class="quiet">A curve needs two frames.</p>'
    curves = [('drivable IoU, A against B', [item.iou for item in differences], 'both')]
    if result.same_classes:
        curves.append(('agreement of labels', [item.agreement for item in differences], 'labels'))
    drivable = [(f'drivable, {name.upper()}', measures.drivable, name)
                for name, measures in zip('ab', result.measures)]
    return _chart(curves) + '<p></p>' + _chart(drivable)


def _chart(curves: Sequence[tuple[str, Sequence[float], str]]) -> str:
    """Return curves of shares over the frames, from 0 to 100 %."""
    left, top, width, height = 52, 12, CHART_WIDTH - 66, CHART_HEIGHT - 40
    lines = []
    for share in (0.0, 0.5, 1.0):
        y = top + height * (1 - share)
        lines.append(f'<line x1="{left}" x2="{left + width}" y1="{y}" y2="{y}" stroke="#e2e8f0"/>'
                     f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    keys = ''
    for name, values, color in curves:
        parts = np.array_split(np.array(values, float), min(len(values), MAX_POINTS))
        points = ' '.join(f'{left + width * i / max(len(parts) - 1, 1):.1f},'
                          f'{top + height * (1 - part.mean()):.1f}'
                          for i, part in enumerate(parts))
        lines.append(f'<polyline points="{points}" fill="none" stroke-width="1.6" '
                     f'stroke="{COLORS[color]}"/>')
        keys += f'<span class="key" style="background:{COLORS[color]}"></span>{name}'
    count = len(curves[0][1])
    return (f'<div>{keys}</div><svg viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" '
            f'font-size="12" fill="#64748b">{"".join(lines)}'
            f'<text x="{left}" y="{CHART_HEIGHT - 8}">first frame</text>'
            f'<text x="{left + width}" y="{CHART_HEIGHT - 8}" text-anchor="end">frame {count}'
            '</text></svg>')


def _worst(result: Comparison) -> str:
    if not result.worst:
        return '<p>There is none: both sides say the same of every pixel.</p>'
    keys = [(BOTH, 'both drivable'), (ONLY_A, 'only A drivable'), (ONLY_B, 'only B drivable')]
    keys += [(OTHER, 'another class')] if result.same_classes else []
    legend = ''.join(f'<span class="key" style="background:rgb{color}"></span>{name}'
                     for color, name in keys)
    return (f'<p class="quiet">At most one frame a second. Colors of the differences:{legend}</p>'
            + ''.join(_worst_frame(item) for item in result.worst))


def _worst_frame(item: WorstFrame) -> str:
    difference = item.difference
    scores = [f'drivable IoU {difference.iou:.1%}', f'only A {difference.only_a:.1%}',
              f'only B {difference.only_b:.1%}']
    if difference.agreement is not None:
        scores.insert(0, f'agreement {difference.agreement:.1%}')
    figures_ = ''.join(
        f'<figure><img alt="{name}" width="{WIDTH}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
        f'<figcaption>{name}</figcaption></figure>'
        for name, data in zip(('frame', 'A', 'B', 'differences'), item.images))
    return (f'<h3>{_text(difference.name)} <span class="quiet">{", ".join(scores)}</span></h3>'
            f'<div class="row">{figures_}</div>')


def _class_table(a: Side, result: Comparison) -> str:
    """Return the IoU of each class of A against B; empty for weights of different classes."""
    if not result.same_classes:
        return ''
    ious, total = result.class_ious(), max(int(result.confusion.sum()), 1)
    shares = result.confusion.sum(1) / total, result.confusion.sum(0) / total
    lines = []
    for i, (name, color) in enumerate(zip(a.class_map.names, a.class_map.colors)):
        if not np.isnan(ious[i]):
            lines.append(f'<tr><td><span class="key" style="background:rgb{tuple(color)}"></span>'
                         f'{_text(name)}</td><td class="value">{ious[i]:.1%}</td>'
                         f'<td class="value">{shares[0][i]:.1%}</td>'
                         f'<td class="value">{shares[1][i]:.1%}</td></tr>')
    return ('<h2>By class</h2><table><tr><th>class</th><th class="value">IoU, A against B</th>'
            '<th class="value a">share in A</th><th class="value b">share in B</th></tr>'
            + '\n'.join(lines) + '</table>')
