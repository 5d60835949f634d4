"""The layout of the page, so that nobody has to arrange windows."""

from __future__ import annotations

from collections.abc import Sequence

import rerun as rr
import rerun.blueprint as rrb
from rerun.blueprint.archetypes import TextLogColumns

from enet_ros.network.class_map import ClassMap
from enet_ros.view.drawing import ARRIVAL, LEGEND, entity_name, legend_size

HISTORY_SEC = 60.0
#: What the option --show takes, in the order of the page.
SHOWN = ('camera', 'labels', 'mask', 'confidence', 'grid', 'obstacles', 'free_space', 'timing',
         'diagnostics')
GROUND = ('grid', 'obstacles', 'free_space')
#: Time, level and text; the path of the entity says nothing to a person.
_LOG_COLUMNS = TextLogColumns(text_log_columns=['loglevel', 'body'])
_EYE_HEIGHT_M, _EYE_X_M = 30.0, 12.0


def layout(cameras: Sequence[str], show: Sequence[str], class_map: ClassMap) -> rrb.Blueprint:
    """Return the views of some cameras beside each other, and the plots below them.

    Args:
        cameras: Names of the cameras, or one empty name.
        show: What is shown, of SHOWN.
        class_map: Classes of the legend.
    """
    columns = [_camera(name, show, alone=len(cameras) == 1) for name in cameras]
    images = columns[0] if len(columns) == 1 else rrb.Horizontal(*columns)
    rows = [images, *_plots(cameras, show, class_map)]
    return rrb.Blueprint(
        rrb.Vertical(*rows, row_shares=[3, 1][:len(rows)]),
        rrb.BlueprintPanel(state='collapsed'), rrb.SelectionPanel(state='collapsed'),
        rrb.TimePanel(state='collapsed', timeline=ARRIVAL, play_state='following'),
        auto_views=False, auto_layout=False, collapse_panels=True)


def _camera(name: str, show: Sequence[str], *, alone: bool) -> rrb.Container:
    """Return the views of one camera: in a row if it is alone, else one below the other."""
    path, title = entity_name(name), f'{name} ' if name else ''
    details = [view for output, view in (
        ('mask', rrb.Spatial2DView(origin=f'{path}/mask', name=f'{title}drivable mask')),
        ('confidence', rrb.Spatial2DView(origin=f'{path}/confidence',
                                         name=f'{title}confidence'))) if output in show]
    parts, shares = [], []
    if 'camera' in show or 'labels' in show:
        parts.append(rrb.Spatial2DView(origin=f'{path}/image', name=f'{title}labels on camera'))
        shares.append(4)
    if details:
        parts.append(rrb.Vertical(*details) if alone else rrb.Horizontal(*details))
        shares.append(2)
    if set(GROUND) & set(show):
        parts.append(_birds_eye(path, title))
        shares.append(2 if alone else 4)
    if alone:
        return rrb.Horizontal(*parts, column_shares=shares)
    return rrb.Vertical(*parts, row_shares=shares)


def _birds_eye(path: str, title: str) -> rrb.Spatial3DView:
    """Return the ground from above: x, ahead, points up and y, left, points left."""
    return rrb.Spatial3DView(
        origin=f'{path}/ground', name=f"{title}bird's eye, meters", background=(20, 22, 26),
        line_grid=rrb.LineGrid3D(visible=False),
        eye_controls=rrb.EyeControls3D(
            kind='Orbital', position=(_EYE_X_M - 0.01, 0.0, _EYE_HEIGHT_M),
            look_target=(_EYE_X_M, 0.0, 0.0), eye_up=(1.0, 0.0, 0.0)))


def _plots(cameras: Sequence[str], show: Sequence[str],
           class_map: ClassMap) -> list[rrb.Container]:
    """Return the row of the legend, the plots and the diagnostics."""
    paths = ['/' + entity_name(name) for name in cameras]
    recent = rr.VisibleTimeRange(
        ARRIVAL, start=rr.TimeRangeBoundary.cursor_relative(seconds=-HISTORY_SEC),
        end=rr.TimeRangeBoundary.cursor_relative())
    views, shares = [], []
    if 'labels' in show:
        views.append(_legend(class_map))
        shares.append(2)
    if {'timing', 'diagnostics'} & set(show):
        views.append(rrb.TimeSeriesView(
            origin='/', contents=[f'{path}/latency/**' for path in paths],
            name='latency by stage, ms', time_ranges=[recent], plot_legend='LeftTop'))
        shares.append(3)
    if 'diagnostics' in show:
        views.append(rrb.TimeSeriesView(
            origin='/', contents=[f'{path}/frames/**' for path in paths],
            name='frames a second, and dropped', time_ranges=[recent], plot_legend='LeftTop'))
        columns = _LOG_COLUMNS if len(paths) == 1 else None  # With several, the path names one.
        views.append(rrb.TextLogView(
            origin='/', contents=[f'{path}/diagnostics' for path in paths], name='diagnostics',
            columns=columns))
        shares += [2, 3]
    return [rrb.Horizontal(*views, column_shares=shares)] if views else []


def _legend(class_map: ClassMap) -> rrb.Spatial2DView:
    right, bottom = legend_size(class_map)
    return rrb.Spatial2DView(
        origin=LEGEND, name='classes', background=(225, 225, 230),
        visual_bounds=rrb.VisualBounds2D(x_range=[-1.8, right + 1.8],
                                         y_range=[-0.5, bottom + 1.0]))
