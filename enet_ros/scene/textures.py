"""Textures of a synthetic street: walls, trees, people, ground and sky, made from noise."""

from __future__ import annotations

import cv2
import numpy as np

from enet_ros.scene.camera import Camera
from enet_ros.scene.style import Light, Style

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)

CAR_COLORS = ((48, 50, 56), (92, 94, 98), (150, 152, 155), (36, 44, 70), (104, 30, 32),
              (176, 176, 174), (30, 32, 34), (44, 62, 54))
CLOTHES = ((38, 38, 46), (52, 40, 38), (34, 44, 66), (76, 70, 62), (96, 34, 36), (26, 28, 30))

TEXEL_M = .03        # of the ground texture
GROUND_LOOP_M = 48.  # after which the ground texture repeats; divides the road's loop
GROUND_HALF_M = 16.  # the texture reaches this far left and right of the center line
GROUND_LEVELS = ((1, 1), (2, 1), (4, 1), (8, 2), (16, 2), (32, 4), (64, 4))   # along, across
WHITE, YELLOW = (176, 178, 176), (152, 138, 84)
VARIANTS = 8         # of each kind of texture


class Texture:
    """An RGBA image with copies of half the size each, so that distant objects do not shimmer.

    Args:
        rgba: (H, W, 4) uint8.
    """

    def __init__(self, rgba: np.ndarray):
        self.levels = [np.ascontiguousarray(rgba)]
        while min(self.levels[-1].shape[:2]) >= 8:
            height, width = self.levels[-1].shape[:2]
            self.levels.append(cv2.resize(self.levels[-1], (width // 2, height // 2),
                                          interpolation=cv2.INTER_AREA))
        self.mean = self.levels[-1][..., :3].mean((0, 1))

    def level_for(self, area_px: float) -> np.ndarray:
        """Return the copy with about one texel a pixel on an area in pixels."""
        texels = self.levels[0].shape[0] * self.levels[0].shape[1]
        level = int(max(0., .5 * np.log2(texels / max(area_px, 1.)) + .3))
        return self.levels[min(level, len(self.levels) - 1)]


def noise(rng: np.random.Generator, height: int, width: int, cell: float = 1.) -> np.ndarray:
    """Return smooth noise, (height, width) float32 of mean 0 and deviation about 1.

    Args:
        rng: Source of randomness.
        height: Number of rows.
        width: Number of columns; the noise repeats without a seam in this direction.
        cell: Size of its features in pixels.
    """
    rows, columns = max(int(height / cell), 2), max(int(width / cell), 2)
    field = rng.standard_normal((rows, columns), dtype=np.float32)
    if cell <= 1.:
        return cv2.resize(field, (width, height))
    pad = np.concatenate((field[:, -1:], field, field[:, :1]), axis=1)
    margin = int(round(width / columns))
    grown = cv2.resize(pad, (width + 2 * margin, height), interpolation=cv2.INTER_CUBIC)
    return grown[:, margin:margin + width]


def to_rgba(rgb: np.ndarray, alpha: np.ndarray | None = None) -> np.ndarray:
    """Convert RGB of any number type to (H, W, 4) uint8, opaque without ``alpha``."""
    rgb = np.clip(rgb, 0, 255).astype(np.uint8)
    alpha = np.full(rgb.shape[:2], 255, np.uint8) if alpha is None else alpha.astype(np.uint8)
    return np.dstack((rgb, alpha))


def plain_wall(rng: np.random.Generator, color, light: float, *,
               bricks: bool = True) -> np.ndarray:
    """Return a wall without windows, (192, 192, 3) float32; 192 texels are its height."""
    wall = np.ones((192, 192, 1), np.float32) * np.asarray(color, np.float32) * light
    grain = noise(rng, 192, 192) * 5 + noise(rng, 192, 192, 24) * 4
    if bricks:
        grain[::4] += 6
        grain += cv2.resize(noise(rng, 48, 32), (192, 192), interpolation=cv2.INTER_NEAREST) * 6
    return wall + grain[..., None] * light


def facade(rng: np.random.Generator, color, light: float) -> Texture:
    """Draw the front of a house: rows of windows above a ground floor of windows or a shop."""
    wall = plain_wall(rng, color, light, bricks=rng.random() < .6)
    floors, columns = int(rng.integers(2, 5)), int(rng.integers(3, 6))
    trim = np.asarray(color, np.float32) * light * rng.uniform(1.1, 1.5) + 15
    step_y, step_x = 192 / floors, 192 / columns
    for floor in range(floors):
        shop = floor == floors - 1 and rng.random() < .6
        y0 = int(step_y * (floor + (.12 if shop else .22)))
        y1 = int(step_y * (floor + (.92 if shop else .80)))
        for column in range(columns):
            margin = .06 if shop else .26
            x0, x1 = int(step_x * (column + margin)), int(step_x * (column + 1 - margin))
            window(rng, wall, (x0, y0, x1, y1), trim, light)
        if shop:
            sign_color = np.asarray(CAR_COLORS[rng.integers(8)], np.float32) * light
            wall[y0 - int(.1 * step_y):y0, 4:-4] = sign_color
        wall[int(step_y * floor):int(step_y * floor) + 2] *= 1.15
    wall[:5] = trim * .8
    return Texture(to_rgba(wall))


def window(rng: np.random.Generator, wall: np.ndarray, box, trim, light: float) -> None:
    """Draw a window with frame, sill and glass on a wall; ``box`` is (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = box
    wall[y0 - 2:y1 + 3, x0 - 2:x1 + 2] = trim
    glass = np.linspace(62, 34, max(y1 - y0, 1), dtype=np.float32)[:, None, None]
    wall[y0:y1, x0:x1] = (glass + rng.uniform(-14, 22)) * (.9, 1., 1.08) * light
    wall[y0:y1, (x0 + x1) // 2] = trim
    wall[(y0 + y1) // 2, x0:x1] = trim


def foliage(rng: np.random.Generator, color, bare: float) -> Texture:
    """Draw a tree, 160 x 128 texels: a crown of noise on a trunk; ``bare`` in [0, 1] thins it."""
    height, width = 160, 128
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = np.hypot((u - 64) / 58, (v - 62) / 58)
    lumps = noise(rng, height, width, 26) * .16 + noise(rng, height, width, 9) * .12
    leaves = noise(rng, height, width, 3) * .25 + noise(rng, height, width) * .12
    crown = radius + lumps + leaves * (.5 + bare * 1.6) * radius < .84
    trunk = (np.abs(u - 64 - 3 * np.sin(v / 20)) < 3 + v / 60) & (v > 60)
    shade = 1. - .35 * (v - 20) / 90 + noise(rng, height, width, 12) * .14 + leaves * 1.3
    rgb = np.asarray(color, np.float32) * np.clip(shade, .25, 1.9)[..., None]
    rgb[trunk & ~crown] = (46, 42, 38)
    rgb[trunk & ~crown] += noise(rng, height, width, 2)[trunk & ~crown][:, None] * 6
    return Texture(to_rgba(rgb, np.where(crown | trunk, 255, 0)))


def railing(rng: np.random.Generator, color) -> Texture:
    """Draw iron railings in front of a dark hedge, 96 x 256 texels."""
    rgb = np.full((96, 256, 3), (42, 46, 38), np.float32) + noise(rng, 96, 256, 3)[..., None] * 9
    rgb[:, ::8] = rgb[:, 1::8] = color
    rgb[6:10] = rgb[78:82] = color
    rgb[88:] = (96, 92, 88)
    return Texture(to_rgba(rgb))


def boards(rng: np.random.Generator, color) -> Texture:
    """Draw a fence of wooden boards, 96 x 256 texels."""
    tone = np.repeat(rng.uniform(.75, 1.15, 32), 8)[None, :, None]
    rgb = np.asarray(color, np.float32) * tone + noise(rng, 96, 256, 2)[..., None] * 4
    rgb[:, ::8] *= .5
    return Texture(to_rgba(np.broadcast_to(rgb, (96, 256, 3)).copy()))


def person(rng: np.random.Generator, stride: float, clothes) -> Texture:
    """Draw a walking person, 128 x 64 texels; ``stride`` in [-1, 1] swings legs and arms."""
    image = np.zeros((128, 64, 4), np.uint8)
    coat, legs = [tuple(int(c) for c in clothes[i]) + (255,) for i in (0, 1)]
    dark = (24, 22, 22, 255)
    for sign in (-1, 1):
        foot = int(32 + sign * (3 + 11 * stride))
        cv2.line(image, (32 + 4 * sign, 68), (foot, 122), legs, 9)
        cv2.line(image, (foot, 123), (foot + 3, 124), dark, 5)
        cv2.line(image, (32 + 12 * sign, 30), (32 + sign * 15 - int(8 * stride), 66), coat, 7)
    cv2.ellipse(image, (32, 48), (15, 28), 0, 0, 360, coat, -1)
    cv2.ellipse(image, (32, 11), (8, 10), 0, 0, 360, (150, 116, 98, 255), -1)
    cv2.ellipse(image, (32, 7), (8, 7), 0, 0, 360, (44, 34, 28, 255), -1)
    return speckled(rng, image)


def cyclist(rng: np.random.Generator, swing: float, clothes) -> Texture:
    """Draw a cyclist from behind, 128 x 64 texels; ``swing`` in [-1, 1] moves the feet."""
    image = np.zeros((128, 64, 4), np.uint8)
    coat, legs = [tuple(int(c) for c in clothes[i]) + (255,) for i in (0, 1)]
    cv2.ellipse(image, (32, 100), (4, 26), 0, 0, 360, (26, 26, 28, 255), -1)
    cv2.line(image, (14, 54), (50, 54), (34, 34, 36, 255), 3)
    for sign in (-1, 1):
        foot = (32 + 11 * sign, int(104 + 8 * sign * swing))
        cv2.line(image, (32 + 8 * sign, 62), foot, legs, 8)
        cv2.line(image, (32 + 13 * sign, 28), (32 + 17 * sign, 52), coat, 7)
    cv2.ellipse(image, (32, 42), (15, 26), 0, 0, 360, coat, -1)
    cv2.ellipse(image, (32, 10), (8, 10), 0, 0, 360, (52, 44, 40, 255), -1)
    cv2.rectangle(image, (30, 76), (34, 80), (150, 24, 22, 255), -1)
    return speckled(rng, image)


def speckled(rng: np.random.Generator, rgba: np.ndarray) -> Texture:
    """Return a drawing with grain and shaded edges as a texture."""
    shade = 1.1 - .35 * np.abs(np.linspace(-1, 1, rgba.shape[1]))[:, None]
    grain = noise(rng, *rgba.shape[:2], 2)[..., None] * 6
    return Texture(to_rgba(rgba[..., :3] * shade + grain, rgba[..., 3]))


def make_textures(style: Style, shade: float, rng: np.random.Generator) -> dict:
    """Make the textures of a scene.

    Args:
        style: The style of the scene.
        shade: Light on the side away from the sun, as a fraction of the light on the other.
        rng: Source of randomness.

    Returns:
        Lists of textures by name. 'wall', 'front' and 'roof' are pairs of lists: right of the
        road, left of the road.
    """
    colors = [style.wall_colors[i % len(style.wall_colors)] for i in range(VARIANTS)]
    lights = (1., shade) if rng.random() < .5 else (shade, 1.)
    roofs = [np.array(((70, 66, 66), (92, 66, 56), (60, 62, 66))[i % 3]) for i in range(VARIANTS)]
    swing = np.sin(np.arange(4) * np.pi / 2)
    people = [[CLOTHES[j] for j in rng.choice(len(CLOTHES), 2)] for _ in range(VARIANTS)]
    return {
        'wall': [[Texture(to_rgba(plain_wall(rng, c, light * .85))) for c in colors]
                 for light in lights],
        'front': [[facade(rng, c, light) for c in colors] for light in lights],
        'roof': [[roof * light for roof in roofs] for light in lights],
        'tree': [foliage(rng, np.asarray(style.tree_color) * rng.uniform(.8, 1.2),
                         1. - style.leaves) for _ in range(VARIANTS)],
        'fence': [(railing(rng, (40, 42, 42)), boards(rng, (92, 78, 60)),
                   railing(rng, (120, 122, 122)), boards(rng, (70, 62, 54)))[i % 4]
                  for i in range(VARIANTS)],
        'person': [[person(rng, s, c) for s in swing] for c in people],
        'cyclist': [[cyclist(rng, s, c) for s in swing] for c in people]}


def lane_markings(style: Style) -> list[tuple]:
    """Return the painted lines.

    Returns:
        (d, width, painted length, period, RGB color) of each line; lengths in meters.
    """
    lines = [(0., .12, 2., 6., WHITE)] if style.lanes == 1 else [(-.14, .1, 1., 1., WHITE),
                                                                (.14, .1, 1., 1., WHITE)]
    for side in (-1, 1):
        lines += [(side * style.lane_m * n, .1, 2., 8., WHITE) for n in range(1, style.lanes)]
        if style.parking_m > 1.5:
            lines.append((side * style.lane_m * style.lanes, .1, 1., 2., WHITE))
        else:
            lines += [(side * (style.road_half_m - inset), .08, 1., 1., YELLOW)
                      for inset in (.25, .45)]
    return lines


def paint_ground(style: Style, rng: np.random.Generator) -> np.ndarray:
    """Paint the ground from above, (across, along, 3) float32, from left to right of the road.

    A texel is TEXEL_M wide. The texture repeats along the road every GROUND_LOOP_M.
    """
    rows, columns = int(2 * GROUND_HALF_M / TEXEL_M), int(GROUND_LOOP_M / TEXEL_M)
    d = GROUND_HALF_M - (np.arange(rows, dtype=np.float32) + .5) * TEXEL_M
    away, half, edge = np.abs(d), style.road_half_m, style.road_half_m + style.pavement_m
    ground = np.empty((rows, columns, 3), np.float32)
    fine, coarse = noise(rng, rows, columns), noise(rng, rows, columns, 60)
    on_road, beyond = away <= half, away > edge
    paving = ~on_road & ~beyond
    ground[on_road] = paint_asphalt(style, d[on_road], fine[on_road], coarse[on_road], rng)
    slab = cv2.resize(noise(rng, rows // 20, columns // 20), (columns, rows),
                      interpolation=cv2.INTER_NEAREST)
    grain = fine * 5 + coarse * 3 + slab * 3
    grain[:, ::20] -= 22
    grain[::20] -= 22
    ground[paving] = np.asarray(style.pavement_color, np.float32) + grain[paving, :, None]
    grass = noise(rng, rows, columns, 5) * 7 + fine * 7 + coarse * 6
    ground[beyond] = np.asarray(style.grass_color, np.float32) + grass[beyond, :, None]
    ground[(away > half) & (away < half + .14)] += 26       # the kerb's stone
    ground[(away <= half) & (away > half - .10)] *= .72     # the gutter
    if style.crossing:
        stripes = (on_road & (d % 1. < .5))[:, None] & (np.arange(columns) < 3. / TEXEL_M)
        worn = stripes & (fine + coarse < 1.6)
        ground[worn] = np.asarray(WHITE, np.float32) + fine[worn][:, None] * 7
    return ground


def paint_asphalt(style: Style, d: np.ndarray, fine: np.ndarray, coarse: np.ndarray,
                  rng: np.random.Generator) -> np.ndarray:
    """Return asphalt with wheel tracks, patches and lines, (len(d), columns, 3) float32."""
    columns = fine.shape[1]
    tracks = 4 * np.cos(2 * np.pi * d / style.lane_m * 2)[:, None]
    grain = fine * 6 + coarse * 3.5 + tracks
    for _ in range(5):
        left, top = rng.integers(0, columns - 120), rng.integers(0, max(len(d) - 60, 1))
        area = grain[top:top + rng.integers(30, 60), left:left + rng.integers(60, 120)]
        area -= rng.uniform(-4, 10)
    road = np.asarray(style.road_color, np.float32) * (1. - .35 * style.wet) + grain[..., None]
    along = (np.arange(columns) + .5) * TEXEL_M
    for at, width, painted, period, color in lane_markings(style):
        on = (np.abs(d - at) < width / 2)[:, None] & (along % period < painted)
        worn = on & (fine + coarse < 1.4)
        road[worn] = np.asarray(color, np.float32) + fine[worn][:, None] * 7
    return road


def ground_levels(ground: np.ndarray) -> list[np.ndarray]:
    """Return the ground at each of GROUND_LEVELS, RGBA, with two texels wrapped at each end.

    Args:
        ground: Painted ground, (across, along, 3) float32.
    """
    full, levels = to_rgba(ground), []
    for along, across in GROUND_LEVELS:
        size = (full.shape[1] // along, full.shape[0] // across)
        small = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
        levels.append(cv2.copyMakeBorder(small, 0, 0, 2, 2, cv2.BORDER_WRAP))
    return levels


def paint_sky(light: Light, camera: Camera, margin: int, tree_color,
              rng: np.random.Generator) -> np.ndarray:
    """Paint everything at an infinite distance: sky, clouds and the town on the horizon.

    Args:
        light: Time of day.
        camera: The camera.
        margin: Number of columns to add on either side, for the yaw of the vehicle.
        tree_color: RGB of the trees on the horizon.
        rng: Source of randomness.

    Returns:
        (H, W + 2 margin, 4) uint8, RGB and class id.
    """
    height, width = camera.height, camera.width + 2 * margin
    above = (camera.horizon_px - np.arange(height, dtype=np.float32)) / camera.fy
    blend = np.clip(above / .35, 0, 1)[:, None, None] ** .7
    sky = (1 - blend) * np.asarray(light.horizon, np.float32) + blend * np.asarray(light.zenith)
    scale = camera.width / 640
    clouds = sum(noise(rng, height, width, cell * scale) * weight
                 for cell, weight in ((110, 1.), (45, .6), (18, .3)))
    sky = sky + np.clip(clouds, -.6, 1.4)[..., None] * 16 * light.clouds
    canvas = to_rgba(np.broadcast_to(sky, (height, width, 3)))
    canvas[..., 3] = SKY
    skyline = np.abs(noise(rng, 8, width, 20 * scale)[0]) * .008 + .012
    towns = np.repeat(rng.uniform(-.02, .03, width // 24 + 1), 24)[:width]
    grain = noise(rng, height, width, 2)[..., None] * 7
    for edge, color, class_id in ((towns, (120, 116, 112), BUILDING),
                                  (skyline, tree_color, TREE)):
        low = above[:, None] < edge
        air = .45 * np.mean(light.horizon)
        canvas[low] = to_rgba((np.asarray(color) * .55 + air * .6) + grain)[low]
        canvas[low, 3] = class_id
    return canvas


def mirrored_sky(sky: np.ndarray, camera: Camera, top: int, wet: float) -> np.ndarray | None:
    """Return the sky that wet ground reflects.

    Args:
        sky: The painted sky, (H, W, 4) uint8.
        camera: The camera.
        top: First row of the ground.
        wet: Wetness of the ground, in [0, 1].

    Returns:
        (H - top, W, 4) uint8, to add to the ground; None if it is dry.
    """
    if not wet:
        return None
    rows = np.arange(top, camera.height)
    source = np.clip(np.rint(2 * camera.horizon_px - rows), 0, camera.height - 1).astype(int)
    blurred = cv2.GaussianBlur(sky[source], (0, 0), 2, sigmaY=camera.height / 60)
    # Schlick: the reflection grows with the fifth power towards grazing rays.
    sine = np.clip((rows - camera.horizon_px) / camera.fy + 1e-3, 0, 1)
    share = wet * (.06 + .8 * (1 - sine) ** 5)
    return (blurred * share[:, None, None]).astype(np.uint8)


def tone_curve(light: Light) -> np.ndarray:
    """Return the response of the camera to light, a (1, 256, 3) uint8 table for ``cv2.LUT``."""
    level = np.arange(256, dtype=np.float32)[:, None] / 255
    if not light.is_night:   # at night light falls unevenly, see enet_ros.scene.night
        level = level * np.asarray(light.gain)
    return np.clip(255 * (level + .10 * level * (level - .25) * (1 - level)), 0,
                   255).round().astype(np.uint8)[None]


def sensor_noise(rng: np.random.Generator, camera: Camera, deviation: float,
                 spare: int) -> np.ndarray:
    """Return noise around 128, (H + spare, W + spare, 3) uint8, of a deviation in gray levels."""
    shape = (camera.height + spare, camera.width + spare)
    gray = rng.standard_normal((*shape, 1), dtype=np.float32)
    color = rng.standard_normal((*shape, 3), dtype=np.float32)
    return np.clip(128 + deviation * (.8 * gray + .6 * color), 0, 255).round().astype(np.uint8)
