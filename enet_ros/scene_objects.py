"""What stands in the drawn scene, where, and how each kind of thing is drawn.

A canvas has four channels, RGB and the class id, so one polygon or one mask writes the picture and
its truth together and they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import cv2
import numpy as np

from enet_ros.scene_paint import (BICYCLIST, BUILDING, CAR, CAR_COLORS, FENCE, PEDESTRIAN, POLE,
                                  SIGN, TREE, VARIANTS, Texture)

NEAR_M = 1.0   # polygons are cut here: nearer than this nothing fits between the frame's edges
SHIFT = 4      # fractional bits of the polygon corners handed to OpenCV
MAX_PX = 30000  # OpenCV's fixed-point polygon filler overflows beyond 2**15

#: A hatchback's side: (metres ahead of the middle, height in metres), from the rear bumper over
#: the roof to the front bumper; what lies between two corners is named in CAR_STRIPS.
CAR_PROFILE = np.array([(-2.0, .28), (-2.05, .62), (-1.95, .92), (-1.55, 1.40), (-1.2, 1.47),
                        (.05, 1.45), (.85, .98), (1.85, .78), (2.02, .58), (2.0, .28)])
CAR_STRIPS = ('bumper', 'paint', 'glass', 'roof', 'roof', 'glass', 'paint', 'paint', 'bumper')
CAR_WINDOWS = np.array([(-1.6, .95), (-1.38, 1.34), (0., 1.36), (.62, .98)])
CAR_HALF_WIDTH = np.array([.84, .86, .86, .70, .66, .66, .80, .84, .84, .82])
SHADES = {'bumper': .45, 'paint': .85, 'roof': 1.15}
GLASS = (46, 52, 58)
DETAIL_M = 45.  # cars farther away are drawn without wheels and lamps


@dataclass(frozen=True)
class Thing:
    """Something that stands or moves in the scene.

    ``x`` is metres along the road at t = 0 (its near end where it has a length), ``d`` metres to
    the left of the road's centre line, ``size`` is (along, across, height) in metres, ``speed``
    metres a second along the road and ``heading`` +1 or -1.
    """

    kind: str
    x: float
    d: float
    size: tuple[float, float, float]
    variant: int = 0
    speed: float = 0.0
    heading: int = 1


class Canvas:
    """A frame being drawn: its pixels, the camera and where the vehicle is.

    Args:
        pixels: (H, W, 4) uint8, RGB and class id, drawn upon in place.
        camera: the pinhole camera.
        to_base: maps arrays (metres along the road, metres left of its centre line) to (x, y) in
            the base frame, metres.
        haze_m: distance in metres at which the air hides 63 % of a thing.
        haze_level: grey level of the air.
    """

    def __init__(self, pixels: np.ndarray, camera, to_base: Callable, haze_m: float,
                 haze_level: float):
        self.pixels, self.camera, self.to_base = pixels, camera, to_base
        self.haze_m, self.haze_level = haze_m, haze_level
        self.bounds = np.array([pixels.shape[1], pixels.shape[0]])

    def points(self, along, left, up) -> np.ndarray:
        """Return (N, 3) camera coordinates of road coordinates, all in metres."""
        along, left, up = np.broadcast_arrays(*np.atleast_1d(along, left, up))
        x, y = self.to_base(along, left)
        return self.camera.from_base(np.stack((x, y, up), axis=-1))

    def outline(self, points: np.ndarray) -> np.ndarray | None:
        """Cut a polygon at the near plane and project it.

        Args:
            points: (N, 3) camera coordinates, metres.

        Returns:
            (M, 2) float pixels, or None when nothing of it is inside the frame.
        """
        if points[:, 2].min() < NEAR_M:
            points = cut_near(points)
            if len(points) < 3:
                return None
        corners = self.camera.to_pixels(points)
        if (corners.max(0) < 0).any() or (corners.min(0) > self.bounds - 1).any():
            return None
        return np.clip(corners, -MAX_PX, MAX_PX)

    def haze(self, depth_m: float) -> float:
        """Return the share of air in the colour of something ``depth_m`` metres away."""
        return 1. - float(np.exp(-max(depth_m, 0.) / self.haze_m))

    def polygon(self, points: np.ndarray, color, class_id: int) -> None:
        """Fill a polygon of (N, 3) camera points with an RGB colour and a class id."""
        corners = self.outline(points)
        if corners is not None:
            air = self.haze(points[:, 2].mean())
            rgb = [(1. - air) * c + air * self.haze_level for c in color]
            cv2.fillPoly(self.pixels, [fixed_point(corners)], (*rgb, class_id), shift=SHIFT)

    def shadow(self, points: np.ndarray, light: float) -> None:
        """Multiply the colours inside a polygon by ``light``; the class ids stay."""
        box = self.box(self.outline(points))
        if box is None:
            return
        corners, (left, top), area = box
        mask = np.zeros(area.shape[:2], np.uint8)
        cv2.fillPoly(mask, [fixed_point(corners - (left, top))], 1, shift=SHIFT)
        dark = cv2.convertScaleAbs(area, alpha=light)
        dark[..., 3] = area[..., 3]
        cv2.copyTo(dark, mask, area)

    def box(self, corners: np.ndarray | None):
        """Return the corners, the origin and the pixels of their bounding box, or None."""
        if corners is None:
            return None
        left, top = np.maximum(np.floor(corners.min(0)), 0).astype(int)
        right, bottom = np.minimum(np.ceil(corners.max(0)) + 1, self.bounds).astype(int)
        if right <= left or bottom <= top:
            return None
        return corners, (left, top), self.pixels[top:bottom, left:right]

    def picture(self, quad: np.ndarray, texture: Texture, class_id: int) -> None:
        """Draw a texture upon a parallelogram in space; texels below half opacity are left out.

        Args:
            quad: (3, 3) camera coordinates of its top left, top right and bottom left corner.
            texture: what to draw.
            class_id: of every pixel drawn.
        """
        origin, across, down = quad[0], quad[1] - quad[0], quad[2] - quad[0]
        corners4 = np.array([origin, quad[1], quad[1] + down, quad[2]])
        box = self.box(self.outline(corners4))
        if box is None:
            return
        corners, (left, top), area = box
        source = texture.level_for(abs(cv2.contourArea(corners.astype(np.float32))))
        height, width = source.shape[:2]
        plane = np.stack((across / width, down / height,
                          origin + .5 * across / width + .5 * down / height), axis=1)
        to_box = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.]]) @ self.camera.k @ plane
        if abs(np.linalg.det(to_box)) < 1e-9:   # seen exactly edge-on: no area
            return
        patch = cv2.warpPerspective(source, np.linalg.inv(to_box), area.shape[1::-1],
                                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        mask = cv2.compare(cv2.extractChannel(patch, 3), 127, cv2.CMP_GT)
        air = self.haze(corners4[:, 2].mean())
        if air > .03:
            patch = cv2.convertScaleAbs(patch, alpha=1. - air, beta=air * self.haze_level)
        patch[..., 3] = class_id
        cv2.copyTo(patch, mask, area)

    def billboard(self, thing: Thing, texture: Texture, class_id: int) -> None:
        """Draw a texture that stands upright and faces along the road."""
        _, width, height = thing.size
        x, y = self.to_base(thing.x, thing.d)
        half = width / 2
        quad = np.array([(x, y + half, height), (x, y - half, height), (x, y + half, 0.)])
        self.picture(self.camera.from_base(quad), texture, class_id)


def cut_near(points: np.ndarray) -> np.ndarray:
    """Cut a polygon (N, 3) at depth NEAR_M (Sutherland and Hodgman, one plane)."""
    kept = []
    for a, b in zip(points, np.roll(points, -1, axis=0)):
        if a[2] >= NEAR_M:
            kept.append(a)
        if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
            kept.append(a + (b - a) * (NEAR_M - a[2]) / (b[2] - a[2]))
    return np.array(kept).reshape(-1, 3)


def fixed_point(corners: np.ndarray) -> np.ndarray:
    """Return (N, 2) pixels as the int32 that ``cv2.fillPoly`` takes with SHIFT."""
    return np.rint(corners * (1 << SHIFT)).astype(np.int32)


def draw_building(canvas: Canvas, thing: Thing, textures: dict) -> None:
    """Draw a house: its end wall towards us, its roof and its front."""
    (length, depth, height), side = thing.size, 1 if thing.d > 0 else -1
    near, far, back = thing.x, thing.x + length, thing.d + side * depth
    ridge, top = (thing.d + back) / 2, height + .32 * depth
    wall, front, roof = (textures[name][side > 0][thing.variant] for name in
                         ('wall', 'front', 'roof'))
    ends = canvas.points([near, near, near], [back, thing.d, back], [height, height, 0.])
    canvas.picture(ends, wall, BUILDING)
    roof_outline = canvas.points([near, far, far, near], [thing.d, thing.d, ridge, ridge],
                                 [height, height, top, top])
    gable = canvas.points([near] * 3, [thing.d, ridge, back], [height, top, height])
    mean = wall.levels[-1][..., :3].mean((0, 1))
    canvas.polygon(gable, mean, BUILDING)
    canvas.polygon(roof_outline, roof, BUILDING)
    canvas.picture(canvas.points([near, far, near], thing.d, [height, height, 0.]), front,
                   BUILDING)


def draw_fence(canvas: Canvas, thing: Thing, textures: dict) -> None:
    """Draw a stretch of fence along the road."""
    near, far, height = thing.x, thing.x + thing.size[0], thing.size[2]
    quad = canvas.points([near, far, near], thing.d, [height, height, 0.])
    canvas.picture(quad, textures['fence'][thing.variant], FENCE)


def draw_tree(canvas: Canvas, thing: Thing, textures: dict) -> None:
    """Draw a tree and the darker ground below it."""
    angle, radius = np.linspace(0, 2 * np.pi, 12), thing.size[1] * .35
    canvas.shadow(canvas.points(thing.x + radius * np.cos(angle),
                                thing.d + radius * np.sin(angle), 0.), .8)
    canvas.billboard(thing, textures['tree'][thing.variant], TREE)


def draw_pole(canvas: Canvas, thing: Thing, _textures: dict) -> None:
    """Draw a lamp post with its arm over the road."""
    _, width, height = thing.size
    half, arm = width / 2, thing.d - np.sign(thing.d) * 1.6
    color, lamp = (92, 94, 94), (132, 134, 134)
    canvas.polygon(upright(canvas, thing.x, thing.d, half, 0., height), color, POLE)
    canvas.polygon(canvas.points(thing.x, [thing.d, arm, arm, thing.d],
                                 [height, height + .3, height + .4, height + .12]), color, POLE)
    canvas.polygon(upright(canvas, thing.x, arm, .3, height + .25, height + .42), lamp, POLE)


def upright(canvas: Canvas, along: float, left: float, half: float, low: float,
            high: float) -> np.ndarray:
    """Return the camera points of an upright rectangle across the road, metres."""
    return canvas.points(along, [left - half, left - half, left + half, left + half],
                         [low, high, high, low])


def draw_sign(canvas: Canvas, thing: Thing, _textures: dict) -> None:
    """Draw a traffic sign on its post: a rimmed disc, a triangle or a board."""
    _, width, height = thing.size
    canvas.polygon(upright(canvas, thing.x, thing.d, .04, 0., height), (84, 86, 86), POLE)
    corners, start, rim, face = ((16, 0., (150, 30, 32), (206, 206, 202)),
                                 (3, np.pi / 2, (150, 30, 32), (206, 206, 202)),
                                 (4, np.pi / 4, (180, 182, 184), (30, 62, 128)))[thing.variant % 3]
    angle = start + np.arange(corners) * 2 * np.pi / corners
    for scale, color in ((1., rim), (.72, face)):
        radius = width / 2 * scale
        canvas.polygon(canvas.points(thing.x, thing.d + radius * np.cos(angle),
                                     height + radius * np.sin(angle)), color, SIGN)


def draw_person(canvas: Canvas, thing: Thing, textures: dict) -> None:
    """Draw a pedestrian or a cyclist; where it is chooses the phase of its walk."""
    phases = textures[thing.kind][thing.variant]
    radius = thing.size[1] / 2
    canvas.shadow(canvas.points(thing.x + np.array([-.3, .3, .3, -.3]),
                                thing.d + radius * np.array([-1, -1, 1, 1]), 0.), .65)
    phase = phases[int(thing.x / .35) % len(phases)]
    canvas.billboard(thing, phase, PEDESTRIAN if thing.kind == 'person' else BICYCLIST)


def draw_car(canvas: Canvas, thing: Thing, _textures: dict) -> None:
    """Draw a car as its profile drawn out across: strips far to near, then the side we see."""
    paint = np.array(CAR_COLORS[thing.variant % len(CAR_COLORS)], float)
    scale = thing.size[0] / 4.07
    along, up = CAR_PROFILE.T * ((scale,), (thing.size[2] / 1.47,))
    x = thing.x + thing.heading * along
    sides = [canvas.points(x, thing.d + sign * CAR_HALF_WIDTH * thing.size[1] / 1.72, up)
             for sign in (-1, 1)]
    ground = canvas.points(x[[0, 0, -1, -1]], thing.d + np.array([-1, 1, 1, -1]) * .95, 0.)
    canvas.shadow(ground, .38)
    strips = visible_strips(sides)
    for i in strips if thing.heading < 0 else strips[::-1]:
        kind = CAR_STRIPS[i]
        quad = np.concatenate((sides[0][i:i + 2], sides[1][i:i + 2][::-1]))
        canvas.polygon(quad, GLASS if kind == 'glass' else paint * SHADES[kind], CAR)
    close = sides[0][0, 2] < DETAIL_M
    for sign, side in zip((-1, 1), sides):
        rear, front = side[0], side[-1]
        if sign * thing.heading * (rear[0] * front[2] - rear[2] * front[0]) > 0:
            draw_car_side(canvas, side, paint, close)
    if close:
        draw_lights(canvas, sides, thing.heading)


def visible_strips(sides: list) -> np.ndarray:
    """Return the indices of the strips of a car's hull that face the camera."""
    corner, along, across = sides[0][:-1], sides[0][1:] - sides[0][:-1], sides[1] - sides[0]
    normal = np.cross(along, across[:-1])
    middle = (sides[0].mean(0) + sides[1].mean(0)) / 2
    outward = np.sign((normal * (corner - middle)).sum(1))
    return np.flatnonzero(outward * (normal * corner).sum(1) < 0)


def draw_car_side(canvas: Canvas, side: np.ndarray, paint: np.ndarray,
                  wheels: bool) -> None:
    """Draw the flank of a car: sheet metal, windows and, near enough, wheels."""
    rear, front = side[0], side[-1]
    ahead = (front - rear) / (CAR_PROFILE[-1, 0] - CAR_PROFILE[0, 0])
    up = (side[4] - side[0]) / (CAR_PROFILE[4, 1] - CAR_PROFILE[0, 1])
    up = up - ahead * (CAR_PROFILE[4, 0] - CAR_PROFILE[0, 0]) / (
        CAR_PROFILE[4, 1] - CAR_PROFILE[0, 1])

    def at(points: np.ndarray) -> np.ndarray:
        """Return camera coordinates of (N, 2) profile coordinates on this flank."""
        return rear + (points[:, :1] - CAR_PROFILE[0, 0]) * ahead + (
            points[:, 1:] - CAR_PROFILE[0, 1]) * up

    canvas.polygon(side, paint * .72, CAR)
    canvas.polygon(at(CAR_WINDOWS), GLASS, CAR)
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    circle = np.stack((np.cos(angle), np.sin(angle)), axis=1)
    for wheel in (-1.25, 1.28) if wheels else ():
        for radius, color in ((.33, (22, 22, 24)), (.18, (96, 98, 100))):
            canvas.polygon(at(circle * radius + (wheel, .33)), color, CAR)


def draw_lights(canvas: Canvas, sides: list, heading: int) -> None:
    """Draw lamps and number plate on the end of a car that faces us."""
    low, high = (0, 2) if heading > 0 else (9, 7)
    lamp, plate = (((150, 22, 20), (168, 150, 60)) if heading > 0 else
                   ((214, 214, 206), (196, 196, 190)))

    def patch(left: float, right: float, bottom: float, top: float) -> np.ndarray:
        """Return a quad on that end; 0..1 across and up."""
        return np.array([sides[0][low] * (1 - a) * (1 - b) + sides[1][low] * a * (1 - b)
                         + sides[0][high] * (1 - a) * b + sides[1][high] * a * b
                         for a, b in ((left, bottom), (left, top), (right, top), (right, bottom))])

    for left in (.04, .80):
        canvas.polygon(patch(left, left + .16, .55, .80), lamp, CAR)
    canvas.polygon(patch(.36, .64, .30, .44), plate, CAR)


#: How each kind of thing is drawn: (canvas, thing, textures).
DRAW = {'building': draw_building, 'fence': draw_fence, 'tree': draw_tree, 'pole': draw_pole,
        'sign': draw_sign, 'person': draw_person, 'cyclist': draw_person, 'car': draw_car}

#: Kinds that stretch along the road from ``Thing.x``; the others stand around it.
LONG = ('building', 'fence')


def layout(style, loop_m: float, speed_step: float, rng: np.random.Generator) -> list[Thing]:
    """Choose what stands and moves along one loop of the road.

    Args:
        style: a :class:`enet_ros.scene.Style`.
        loop_m: length of the loop, metres.
        speed_step: speeds are multiples of this, metres a second, so that the loop closes.
        rng: where the randomness comes from.
    """
    things = []
    for side in (-1, 1):
        things += plots(style, loop_m, side, rng)
        things += posts(style, loop_m, side, rng)
        things += walkers(style, loop_m, side, speed_step, rng)
        things += parked(style, loop_m, side, rng)
    return things + traffic(style, loop_m, speed_step, rng)


def plots(style, loop_m: float, side: int, rng: np.random.Generator) -> list[Thing]:
    """Line one side of the road with houses, and with gardens behind fences."""
    things, x = [], 0.
    edge = style.road_half_m + style.pavement_m
    while x < loop_m - 6.:
        length = min(float(rng.uniform(8, 16)), loop_m - x)
        variant = int(rng.integers(VARIANTS))
        if rng.random() < style.houses:
            size = (length, rng.uniform(7, 10), rng.uniform(5.5, 11))
            things.append(Thing('building', x, side * (edge + rng.uniform(0, .4)), size, variant))
        elif style.tree_density:
            things += garden(style, x, length, side, rng)
        x += length + (rng.uniform(1, 4) if rng.random() < .25 else 0.)
    return things


def garden(style, x: float, length: float, side: int, rng: np.random.Generator) -> list[Thing]:
    """Return a fence of ``length`` metres from ``x`` on and the trees and shrubs behind it."""
    edge = style.road_half_m + style.pavement_m
    things = []
    for _ in range(rng.poisson(3 * style.tree_density)):
        height = rng.uniform(2, 9)
        size = (0., height * rng.uniform(.6, .9), height)
        things.append(Thing('tree', x + rng.uniform(.2, 1) * length,
                            side * (edge + rng.uniform(2, 9)), size,
                            int(rng.integers(VARIANTS))))
    variant, height = int(rng.integers(VARIANTS)), rng.uniform(.9, 1.7)
    for i in range(int(length // 4)):
        things.append(Thing('fence', x + 4 * i, side * edge, (4., 0., height), variant))
    return things


def posts(style, loop_m: float, side: int, rng: np.random.Generator) -> list[Thing]:
    """Place lamp posts, signs and street trees along one kerb."""
    things, kerb = [], style.road_half_m + .45
    if not style.post_density:
        return things
    gap = 28. / style.post_density
    for x in np.arange(6. + 7 * side, loop_m, gap):
        things.append(Thing('pole', float(x), side * kerb, (0., .14, 6.5)))
        if rng.random() < .55:
            size = (0., rng.uniform(.6, .9), rng.uniform(2.2, 2.7))
            things.append(Thing('sign', float(x) + gap * rng.uniform(.2, .8), side * kerb, size,
                                int(rng.integers(VARIANTS))))
        if rng.random() < .3 * style.tree_density:
            size = (0., rng.uniform(2.5, 4), rng.uniform(5, 7))
            things.append(Thing('tree', float(x) + gap / 2, side * (kerb + .3), size,
                                int(rng.integers(VARIANTS))))
    return things


def walkers(style, loop_m: float, side: int, step: float, rng: np.random.Generator) -> list[Thing]:
    """Put pedestrians on one pavement, some coming, some going."""
    things = []
    for _ in range(rng.poisson(11 * style.people_density)):
        d = style.road_half_m + rng.uniform(.8, max(style.pavement_m - .4, 1.))
        speed = step * int(rng.choice((-11, -9, 0, 8, 10)))
        height = rng.uniform(1.6, 1.9)
        things.append(Thing('person', rng.uniform(0, loop_m), side * d, (0., .5 * height, height),
                            int(rng.integers(VARIANTS)), speed))
    return things


def parked(style, loop_m: float, side: int, rng: np.random.Generator) -> list[Thing]:
    """Park cars along one kerb where the style has room for them."""
    things, d = [], style.road_half_m - 1.05
    if style.parking_m < 1.9:
        return things
    for x in np.arange(4., loop_m - 4., 6.):
        if rng.random() < .35 * style.car_density:
            things.append(Thing('car', x + rng.uniform(-.5, .5), side * d, car_size(rng),
                                int(rng.integers(VARIANTS)), 0., side * style.side))
    return things


def traffic(style, loop_m: float, step: float, rng: np.random.Generator) -> list[Thing]:
    """Send cars the other way, cars ahead in our lanes, and cyclists."""
    things, ours = [], style.side * style.lane_m
    pace = round(style.speed_mps / step) * step
    for x in np.arange(0., loop_m, 40.):
        lane = int(rng.integers(style.lanes)) + .5
        if rng.random() < .7 * style.car_density:
            things.append(Thing('car', x + rng.uniform(-12, 12), -ours * lane, car_size(rng),
                                int(rng.integers(VARIANTS)), -66 * step, -1))
    for gap in (rng.uniform(16, 26), rng.uniform(45, 80)):
        if rng.random() < .8 * style.car_density:
            lane = int(rng.integers(style.lanes)) + .5
            things.append(Thing('car', gap, ours * lane, car_size(rng),
                                int(rng.integers(VARIANTS)), pace))
    for _ in range(rng.poisson(3 * style.people_density)):
        d = style.side * (style.lane_m * style.lanes - .15)
        things.append(Thing('cyclist', rng.uniform(0, loop_m), d, (0., .8, 1.75),
                            int(rng.integers(VARIANTS)), 30 * step))
    return things


def car_size(rng: np.random.Generator) -> tuple[float, float, float]:
    """Return (length, width, height) of a car, metres."""
    return rng.uniform(3.7, 4.7), rng.uniform(1.62, 1.82), rng.uniform(1.4, 1.65)
