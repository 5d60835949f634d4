"""Roads without a kerb: their ragged edges, their verges, and surfaces of gravel and earth."""

from __future__ import annotations

import numpy as np

from enet_ros.scene.style import Style
from enet_ros.scene.textures import (
    GROUND_HALF_M,
    GROUND_LOOP_M,
    TEXEL_M,
    noise,
    paint_asphalt,
)

#: Waves of an edge: how many fit into the loop of the ground's texture, and their share.
EDGE_WAVES = ((2, .5), (5, .3), (13, .2), (31, .12))
STONE = (176, 172, 166)


def road_half_m(style: Style, x, d):
    """Return the distance from the center line to the edge of the road, in meters.

    Args:
        style: Width of the road, and how ragged its edges are.
        x: Position along the road in meters; the edges repeat every GROUND_LOOP_M.
        d: Distance to the left of the center line in meters, of a shape that broadcasts with x.
            Only its sign counts: both edges differ.
    """
    if not style.ragged_m:
        return style.road_half_m
    rng = np.random.default_rng(style.edge_seed)
    left, right = (sum(share * np.sin(2 * np.pi * waves / GROUND_LOOP_M * x + phase)
                       for (waves, share), phase in zip(EDGE_WAVES, phases))
                   for phases in rng.uniform(0, 2 * np.pi, (2, len(EDGE_WAVES))))
    return style.road_half_m + style.ragged_m * np.where(np.asarray(d) > 0, left, right)


def paint_country_ground(style: Style, rng: np.random.Generator) -> np.ndarray:
    """Paint a road with verges from above, (across, along, 3) float32, from left to right.

    A texel is TEXEL_M wide. The texture repeats along the road every GROUND_LOOP_M.
    """
    rows, columns = int(2 * GROUND_HALF_M / TEXEL_M), int(GROUND_LOOP_M / TEXEL_M)
    d = GROUND_HALF_M - (np.arange(rows, dtype=np.float32) + .5)[:, None] * TEXEL_M
    x = (np.arange(columns, dtype=np.float32) + .5)[None] * TEXEL_M
    beyond_m = np.abs(d) - road_half_m(style, x, d).astype(np.float32)
    fine, coarse = noise(rng, rows, columns), noise(rng, rows, columns, 60)
    middle = noise(rng, rows, columns, 9)
    grass = (np.asarray(style.grass_color, np.float32)
             + (middle * 8 + fine * 8 + coarse * 6)[..., None])
    earth = np.asarray(_verge_color(style, rng), np.float32) \
        + (fine * 8 + middle * 5 + coarse * 4)[..., None]
    # Earth at the edge, grass farther away, and bare patches between.
    share = np.clip(beyond_m / rng.uniform(.3, 1.5) + coarse * .5 + middle * .2, 0, 1)[..., None]
    ground = earth * (1 - share) + grass * share
    on_road = beyond_m <= 0
    road = (paint_asphalt(style, d[:, 0], fine, coarse, rng) if style.surface == 'asphalt'
            else _paint_loose(style, d, (fine, middle, coarse), rng))
    ground[on_road] = road[on_road]
    return ground


def _verge_color(style: Style, rng: np.random.Generator) -> np.ndarray:
    """Return the RGB of the earth beside the road, which may look much like the road."""
    earth = np.array((112, 96, 76)) if style.surface == 'asphalt' else np.array(style.road_color)
    return earth * rng.uniform(.7, 1.15)


def _paint_loose(style: Style, d: np.ndarray, grains: tuple, rng: np.random.Generator
                 ) -> np.ndarray:
    """Return gravel or earth with two wheel ruts, (across, along, 3) float32.

    Args:
        style: Color, width and surface.
        d: (across, 1) meters to the left of the center line.
        grains: Fine, middle and coarse noise, (across, along) each.
        rng: Source of randomness.
    """
    fine, middle, coarse = grains
    stones = style.surface == 'gravel'
    grain = fine * (13 if stones else 6) + middle * (4 if stones else 7) + coarse * 7
    lane = style.side * style.lane_m / 2
    depth = rng.uniform(4, 22)
    for rut in (lane - .75, lane + .75, -lane - .75, -lane + .75):
        grain -= depth * np.exp(-((d - rut + coarse * .04) / .22) ** 2)
    road = np.asarray(style.road_color, np.float32) * (1. - .3 * style.wet) + grain[..., None]
    if stones:
        road[fine > 2.1] = STONE
    if rng.random() < .4:   # grass between the ruts
        strip = (np.abs(d - lane) < .35) & (coarse + middle * .5 > .2)
        road[strip] = road[strip] * .45 + np.asarray(style.grass_color, np.float32) * .55
    return road
