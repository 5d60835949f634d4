"""Whether the pose of a camera can be true: what ground it sees, and which side is up.

Arrays only. A wrong frame or angle makes outputs in meters that are empty or at the wrong end of
the image, and they look like those of a camera that sees no road.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.ground import GroundTable
from enet_ros.perception.ground_tables import GroundTables
from enet_ros.perception.parameters.settings import NodeSettings

#: Every so many pixels are looked at first, since poses from TF change with each frame.
SAMPLE_STEP = 8
#: Least sine of the angle between horizon and image axis of a camera that is clearly upright or
#: upside down. A camera that looks straight down, or is mounted on its side, is neither.
CLEARLY_UPRIGHT = 0.5
#: Greatest sine of the elevation of y, and least one of z, in a frame that seems a body frame.
LEVEL_AXIS, UPWARD_AXIS = 0.5, 0.7


@dataclass(frozen=True)
class GroundWarning:
    """Why the outputs in meters cannot be right.

    Attributes:
        effect: What is wrong with them.
        reason: What it comes from, and what to do.
    """

    effect: str
    reason: str


def pose_warning(table: GroundTable, settings: NodeSettings,
                 frame_id: str) -> GroundWarning | None:
    """Return why a pose cannot be that of the camera, or None.

    Args:
        table: The ground that the camera sees.
        settings: Settings of the camera.
        frame_id: Frame of the image.
    """
    if not _sees_ground(table):
        return GroundWarning('no ground is seen', _unseen(table, settings, frame_id))
    reason = _contradiction(table.pose, settings)
    return GroundWarning('outputs in meters are doubtful', reason) if reason else None


def empty_output_warning(tables: GroundTables, requested: Collection[str]) -> GroundWarning | None:
    """Return why a requested scan or grid has no pixel of the ground that is seen, or None.

    Args:
        tables: The ground that the camera sees, some of it within the range.
        requested: Names of the outputs that have subscribers.
    """
    settings = tables.camera_settings.settings
    scan, grid = settings.scan, settings.grid
    if 'free_space' in requested and not tables.scan.bins.size:
        return GroundWarning('~/free_space is empty', (
            f'no ground that is seen lies within its bearings, {scan.angle_min:g} to '
            f'{scan.angle_max:g} radians, and its range of {scan.range_max:g} m: set '
            'scan.angle_min and scan.angle_max to where this camera looks'))
    if 'grid' in requested and not tables.grid.cells.size:
        x, y = tables.camera_settings.grid.origin_m
        return GroundWarning('~/grid is empty', (
            f'no ground that is seen lies in it, from x {x:g} to {x + grid.length:g} and from y '
            f'{y:g} to {y + grid.width:g} m: set grid.x and grid.y to where this camera looks'))
    return None


def _sees_ground(table: GroundTable) -> bool:
    """Tell whether any pixel has a ground point within the range."""
    sample = table.points[::SAMPLE_STEP, ::SAMPLE_STEP, 0]
    return bool(np.isfinite(sample).any() or table.is_inside.any())


def _unseen(table: GroundTable, settings: NodeSettings, frame_id: str) -> str:
    """Return why no pixel has ground."""
    ranges, pose = table.unlimited_range(), table.pose
    if np.isfinite(ranges).any():
        return (f'the camera is {pose.position[2]:g} m above the ground, and the nearest ground '
                f'that it sees is {np.nanmin(ranges):.1f} m away, but ground.max_range is '
                f'{table.max_range_m:g}: raise it, or correct the pose')
    if table.valid_mask is not None:
        return (f"valid_mask '{table.valid_mask.path}' leaves no pixel that looks at the ground: "
                'is it inverted? Wanted 0 only where the camera never sees the scene')
    elevation_deg = math.degrees(math.asin(np.clip(pose.rotation_matrix[2, 2], -1., 1.)))
    start = f'no pixel looks at the ground, for the camera looks {elevation_deg:.0f} degrees up'
    if settings.ground.pose == 'parameters':
        return (f'{start}: it has ground.pitch {settings.ground.pitch:g} and ground.roll '
                f'{settings.ground.roll:g} radians, where a positive pitch looks down')
    question = f'{start}: is {frame_id!r} the optical frame (z forward, x right, y down)?'
    if abs(pose.rotation_matrix[2, 1]) < LEVEL_AXIS and pose.rotation_matrix[2, 2] > UPWARD_AXIS:
        return (f'{question} It seems that its x axis points forward, as in the body frame; the '
                'header of the image must name the optical frame')
    return f'{question} Correct the header of the image, or TF'


def _contradiction(pose: Pose, settings: NodeSettings) -> str:
    """Return how pose and ``rotate`` disagree about which side is up, or '' if they agree."""
    down = -pose.rotation_matrix[2, 1]  # how far the y axis of the image points down
    if down < -CLEARLY_UPRIGHT and settings.rotate == 0:
        return ('by its pose the camera is upside down, but rotate is 0: set rotate to 180 if the '
                'road is at the top of the image, otherwise correct the roll of the pose')
    if down > CLEARLY_UPRIGHT and settings.rotate == 180:
        return ('by its pose the camera is upright, but rotate is 180: the pose of a camera that '
                'is upside down has a roll of 180 degrees (ground.roll 3.14159, or in TF)')
    return ''
