"""The objects of a synthetic street: their places, and the faces of each kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from enet_ros.scene.drawing import Face
from enet_ros.scene.style import LIGHTS, Style
from enet_ros.scene.textures import (
    BICYCLIST,
    BUILDING,
    CAR,
    CAR_COLORS,
    FENCE,
    PEDESTRIAN,
    POLE,
    SIGN,
    TREE,
    VARIANTS,
)

#: Profile of a hatchback: (meters ahead of the middle, height in meters), from the rear bumper
#: over the roof to the front bumper. CAR_STRIPS names the parts between two corners.
CAR_PROFILE = np.array([(-2.0, .28), (-2.05, .62), (-1.95, .92), (-1.55, 1.40), (-1.2, 1.47),
                        (.05, 1.45), (.85, .98), (1.85, .78), (2.02, .58), (2.0, .28)])
CAR_STRIPS = ('bumper', 'paint', 'glass', 'roof', 'roof', 'glass', 'paint', 'paint', 'bumper')
CAR_WINDOWS = np.array([(-1.6, .95), (-1.38, 1.34), (0., 1.36), (.62, .98)])
CAR_HALF_WIDTH = np.array([.84, .86, .86, .70, .66, .66, .80, .84, .84, .82])
SHADES = {'bumper': .45, 'paint': .85, 'roof': 1.15}
GLASS = (46, 52, 58)
OBSTACLE_END_M = -float(CAR_PROFILE[:, 0].min())   # from an obstacle's rear to its x
SKIRT_M = .3    # height of the skirts that continue the obstacle's hull down to the ground
DETAIL_M = 45.  # cars farther away have no wheels and lamps


@dataclass(frozen=True)
class Item:
    """An object that stands or moves in the scene.

    Attributes:
        kind: A key of ``FACES``.
        x: Position along the road at t = 0 in meters; the near end of an object with a length.
        d: Distance to the left of the road's center line, in meters.
        size: (along, across, height) in meters.
        variant: Number of its texture or color.
        speed: Speed along the road, in meters a second.
        heading: +1 along the road, -1 against it.
    """

    kind: str
    x: float
    d: float
    size: tuple[float, float, float]
    variant: int = 0
    speed: float = 0.0
    heading: int = 1


def outward(corners: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Order the corners of a face so that they turn left when viewed from outside."""
    first = corners[0]
    volume = np.linalg.det((corners[1] - first, corners[2] - first, first - middle))
    return corners if volume > 0 else corners[::-1]


def upright(left: float, right: float, low: float, high: float) -> np.ndarray:
    """Return a rectangle across the road: top left, top right, bottom right and bottom left."""
    return np.array([(0., left, high), (0., right, high), (0., right, low), (0., left, low)])


def wall(start, end, height: float) -> np.ndarray:
    """Return a wall between two points of the ground, each (along, left) in meters."""
    return np.array([(*start, height), (*end, height), (*end, 0.), (*start, 0.)])


def building_faces(item: Item, textures: dict) -> list[Face]:
    """Make a house: its near end wall, its roof and its front."""
    (length, depth, height), left = item.size, item.d > 0
    back = item.d + (depth if left else -depth)
    ridge, top = (item.d + back) / 2, height + .32 * depth
    end, front, roof = (textures[name][left][item.variant] for name in ('wall', 'front', 'roof'))
    gable = np.array([(0., item.d, height), (0., ridge, top), (0., back, height)])
    slope = np.array([(0., item.d, height), (length, item.d, height), (length, ridge, top),
                      (0., ridge, top)])
    return [Face(wall((0., back), (0., item.d), height), [end], BUILDING),
            Face(gable, tuple(end.mean), BUILDING), Face(slope, tuple(roof), BUILDING),
            Face(wall((0., item.d), (length, item.d), height), [front], BUILDING)]


def fence_faces(item: Item, textures: dict) -> list[Face]:
    """Make a stretch of fence along the road."""
    stretch = wall((0., item.d), (item.size[0], item.d), item.size[2])
    return [Face(stretch, [textures['fence'][item.variant]], FENCE)]


def billboard(item: Item, textures: list, class_id: int) -> Face:
    """Make a textured rectangle that stands upright across the road."""
    half = item.size[1] / 2
    return Face(upright(item.d + half, item.d - half, 0., item.size[2]), textures, class_id)


def disc(along: float, left: float, radius: float, light: float) -> Face:
    """Make a round shadow on the ground."""
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return Face(np.stack((along + radius * np.cos(angle), left + radius * np.sin(angle),
                          np.zeros(12)), axis=1), light, limit_m=DETAIL_M)


def tree_faces(item: Item, textures: dict) -> list[Face]:
    """Make a tree and the darker ground below it."""
    return [disc(0., item.d, item.size[1] * .35, .8),
            billboard(item, [textures['tree'][item.variant]], TREE)]


def pole_faces(item: Item, _textures: dict) -> list[Face]:
    """Make a lamp post with its arm over the road; a variant above 0 is on."""
    _, width, height = item.size
    d, arm = item.d, item.d - np.sign(item.d) * 1.6
    gray, lamp = (92, 94, 94), (255, 255, 255) if item.variant else (132, 134, 134)
    beam = np.array([(0., d, height), (0., arm, height + .3), (0., arm, height + .4),
                     (0., d, height + .12)])
    return [Face(upright(d + width / 2, d - width / 2, 0., height), gray, POLE),
            Face(beam, gray, POLE),
            Face(upright(arm + .3, arm - .3, height + .25, height + .42), lamp, POLE)]


def sign_faces(item: Item, _textures: dict) -> list[Face]:
    """Make a traffic sign on its post: a rimmed disc, a triangle or a board."""
    _, width, height = item.size
    corners, start, rim, face = ((16, 0., (150, 30, 32), (206, 206, 202)),
                                 (3, np.pi / 2, (150, 30, 32), (206, 206, 202)),
                                 (4, np.pi / 4, (180, 182, 184), (30, 62, 128)))[item.variant % 3]
    angle = start + np.arange(corners) * 2 * np.pi / corners
    circle = np.stack((0 * angle, np.cos(angle), np.sin(angle)), axis=1) * width / 2
    middle = (0., item.d, height)
    return [Face(upright(item.d + .04, item.d - .04, 0., height), (84, 86, 86), POLE),
            Face(circle + middle, rim, SIGN),
            Face(.72 * circle + middle, face, SIGN)]


def person_faces(item: Item, textures: dict) -> list[Face]:
    """Make a pedestrian or a cyclist, with one texture for each phase of the movement."""
    phases = textures[item.kind][item.variant]
    return [disc(0., item.d, item.size[1] / 2, .65),
            billboard(item, phases, PEDESTRIAN if item.kind == 'person' else BICYCLIST)]


def car_faces(item: Item, _textures: dict) -> list[Face]:
    """Make a car: its profile extruded across, with flanks, windows, wheels and lamps."""
    paint = np.array(CAR_COLORS[item.variant % len(CAR_COLORS)], float)
    length, width, height = item.size
    scale = np.array((item.heading * length / 4.07, height / 1.47))
    along, up = (CAR_PROFILE * scale).T
    flanks = [np.stack((along, item.d + side * CAR_HALF_WIDTH * width / 1.72, up), axis=1)
              for side in (-1, 1)]
    middle = (flanks[0].mean(0) + flanks[1].mean(0)) / 2
    ends = along[[0, 0, -1, -1]]
    shadow = np.stack((ends, item.d + .55 * width * np.array((-1, 1, 1, -1)), 0 * ends), axis=1)
    faces = [Face(shadow, .38, limit_m=2 * DETAIL_M)]
    # Oncoming, the roof lies behind the bonnet; going our way, it lies behind the boot.
    for i in range(len(CAR_STRIPS))[::-item.heading]:
        quad = np.concatenate((flanks[0][i:i + 2], flanks[1][i:i + 2][::-1]))
        kind = CAR_STRIPS[i]
        color = GLASS if kind == 'glass' else tuple(paint * SHADES[kind])
        faces.append(Face(outward(quad, middle), color, CAR, solid=True))
    for side, flank in zip((-1, 1), flanks):
        faces += flank_faces(flank, item.d + side * .47 * width, scale, paint, middle)
    return faces + lamp_faces(flanks, item.heading, middle)


def obstacle(d: float) -> Item:
    """Return a car of the profile's size, ``d`` meters left of the center line.

    The scene sets its position along the road.
    """
    return Item('obstacle', 0., d, (4.07, 1.72, 1.47), variant=4)


def footprint(item: Item) -> np.ndarray:
    """Return the footprint of an obstacle.

    Returns:
        (4, 2) float64 meters, along the road from the obstacle's ``x`` and to the left of the
        center line: rear right, front right, front left and rear left.
    """
    rear, front = CAR_PROFILE[:, 0].min(), CAR_PROFILE[:, 0].max()
    half = CAR_HALF_WIDTH.max()
    return np.array([(rear, -half), (front, -half), (front, half), (rear, half)]) + (0., item.d)


def obstacle_faces(item: Item, textures: dict) -> list[Face]:
    """Make a car with skirts, so that it meets the ground on its whole footprint.

    Below an ordinary car the road is visible between the wheels.
    """
    corners, middle = footprint(item), np.array((0., item.d, SKIRT_M))
    skirts = [Face(outward(wall(start, end, SKIRT_M), middle), (34, 34, 36), CAR, solid=True)
              for start, end in zip(corners, np.roll(corners, -1, axis=0))]
    shadow, *hull = car_faces(item, textures)
    return [shadow, *skirts, *hull]


def flank_faces(flank: np.ndarray, left: float, scale: np.ndarray, paint: np.ndarray,
                middle: np.ndarray) -> list[Face]:
    """Return one side of a car: sheet metal, windows and wheels.

    Args:
        flank: (10, 3) corners of that side of the hull, in meters.
        left: Distance from the center line to the windows and wheels, in meters.
        scale: Scale of the profile, along and up.
        paint: RGB color.
        middle: (3,) center of the car, in meters.
    """
    def part(profile: np.ndarray, color, limit_m: float = np.inf) -> Face:
        along, up = (profile * scale).T
        corners = np.stack((along, np.full(len(along), left), up), axis=1)
        return Face(outward(corners, middle), color, CAR, True, limit_m)

    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    circle = np.stack((np.cos(angle), np.sin(angle)), axis=1)
    faces = [Face(outward(flank, middle), tuple(paint * .72), CAR, solid=True),
             part(CAR_WINDOWS, GLASS)]
    for wheel in (-1.25, 1.28):
        faces += [part(circle * radius + (wheel, .33), color, DETAIL_M)
                  for radius, color in ((.33, (22, 22, 24)), (.18, (96, 98, 100)))]
    return faces


def lamp_faces(flanks: list[np.ndarray], heading: int, middle: np.ndarray) -> list[Face]:
    """Return the lamps and the number plate on the near end of a car."""
    low, high = (0, 1) if heading > 0 else (9, 8)
    lamp, plate = (((150, 22, 20), (168, 150, 60)) if heading > 0 else
                   ((214, 214, 206), (196, 196, 190)))
    right, left = flanks

    def patch(start: float, end: float, bottom: float, top: float, color) -> Face:
        corners = np.array([(1 - a) * ((1 - b) * right[low] + b * right[high])
                            + a * ((1 - b) * left[low] + b * left[high])
                            for a, b in ((start, bottom), (start, top), (end, top),
                                         (end, bottom))])
        return Face(outward(corners, middle), color, CAR, True, DETAIL_M)

    return [patch(.02, .18, .80, 1.3, lamp), patch(.82, .98, .80, 1.3, lamp),
            patch(.36, .64, .35, .75, plate)]


#: Maker of the faces of each kind, from far to near: (object, textures) -> faces.
FACES = {'building': building_faces, 'fence': fence_faces, 'tree': tree_faces, 'pole': pole_faces,
         'sign': sign_faces, 'person': person_faces, 'cyclist': person_faces, 'car': car_faces,
         'obstacle': obstacle_faces}

#: Kinds that extend along the road from their ``x``; the others are centered on it.
LONG = ('building', 'fence')


def layout(style: Style, loop_m: float, speed_step: float, rng: np.random.Generator) -> list[Item]:
    """Place the objects along one loop of the road.

    Args:
        style: The style of the scene.
        loop_m: Length of the loop in meters.
        speed_step: Unit of all speeds in meters a second, so that the loop closes.
        rng: Source of randomness.
    """
    items = []
    for side in (-1, 1):
        items += plots(style, loop_m, side, rng)
        items += posts(style, loop_m, side, rng)
        items += walkers(style, loop_m, side, speed_step, rng)
        items += parked(style, loop_m, side, rng)
    return items + traffic(style, loop_m, speed_step, rng)


def plots(style: Style, loop_m: float, side: int, rng: np.random.Generator) -> list[Item]:
    """Line one side of the road with houses, and with gardens behind fences."""
    items, x = [], 0.
    edge = style.road_half_m + style.pavement_m
    while x < loop_m - 6.:
        length = min(float(rng.uniform(8, 16)), loop_m - x)
        variant = int(rng.integers(VARIANTS))
        if rng.random() < style.houses:
            size = (length, rng.uniform(7, 10), rng.uniform(5.5, 11))
            items.append(Item('building', x, side * (edge - .05), size, variant))
        elif style.tree_density:
            items += garden(style, x, length, side, rng)
        x += length + (rng.uniform(1, 4) if rng.random() < .25 else 0.)
    return items


def garden(style: Style, x: float, length: float, side: int,
           rng: np.random.Generator) -> list[Item]:
    """Return a fence of ``length`` meters from ``x`` on, and the trees and shrubs behind it."""
    edge = style.road_half_m + style.pavement_m
    items = []
    for _ in range(rng.poisson(3 * style.tree_density)):
        height = rng.uniform(2, 9)
        size = (0., height * rng.uniform(.6, .9), height)
        items.append(Item('tree', x + rng.uniform(.2, 1) * length,
                          side * (edge + rng.uniform(2, 9)), size,
                          int(rng.integers(VARIANTS))))
    variant, height = int(rng.integers(VARIANTS)), rng.uniform(.9, 1.7)
    for i in range(int(length // 4)):
        items.append(Item('fence', x + 4 * i, side * edge, (4., 0., height), variant))
    return items


def posts(style: Style, loop_m: float, side: int, rng: np.random.Generator) -> list[Item]:
    """Place lamp posts, signs and street trees along one kerb."""
    items, kerb = [], style.road_half_m + .45
    if not style.post_density:
        return items
    gap = 28. / style.post_density
    for x in np.arange(6. + 7 * side, loop_m, gap):
        items.append(Item('pole', float(x), side * kerb, (0., .14, 6.5),
                          int(LIGHTS[style.light].is_night)))
        if rng.random() < .55:
            size = (0., rng.uniform(.6, .9), rng.uniform(2.2, 2.7))
            items.append(Item('sign', float(x) + gap * rng.uniform(.2, .8), side * kerb, size,
                              int(rng.integers(VARIANTS))))
        if rng.random() < .3 * style.tree_density:
            size = (0., rng.uniform(2.5, 4), rng.uniform(5, 7))
            items.append(Item('tree', float(x) + gap / 2, side * (kerb + .3), size,
                              int(rng.integers(VARIANTS))))
    return items


def walkers(style: Style, loop_m: float, side: int, step: float,
            rng: np.random.Generator) -> list[Item]:
    """Put pedestrians on one pavement, in both directions."""
    items = []
    for _ in range(rng.poisson(11 * style.people_density)):
        d = style.road_half_m + rng.uniform(.8, max(style.pavement_m - .4, 1.))
        speed = step * int(rng.choice((-11, -9, 0, 8, 10)))
        height = rng.uniform(1.6, 1.9)
        items.append(Item('person', rng.uniform(0, loop_m), side * d, (0., .5 * height, height),
                          int(rng.integers(VARIANTS)), speed))
    return items


def parked(style: Style, loop_m: float, side: int, rng: np.random.Generator) -> list[Item]:
    """Park cars along one kerb if the style has room for them."""
    items, d = [], style.road_half_m - 1.05
    if style.parking_m < 1.9:
        return items
    for x in np.arange(4., loop_m - 4., 6.):
        if rng.random() < .35 * style.car_density:
            items.append(Item('car', x + rng.uniform(-.5, .5), side * d, car_size(rng),
                              int(rng.integers(VARIANTS)), 0., side * style.side))
    return items


def traffic(style: Style, loop_m: float, step: float, rng: np.random.Generator) -> list[Item]:
    """Return oncoming cars, cars ahead in our lanes, and cyclists."""
    items, ours = [], style.side * style.lane_m
    pace = round(style.speed_mps / step) * step
    for x in np.arange(0., loop_m, 40.):
        lane = int(rng.integers(style.lanes)) + .5
        if rng.random() < .7 * style.car_density:
            items.append(Item('car', x + rng.uniform(-12, 12), -ours * lane, car_size(rng),
                              int(rng.integers(VARIANTS)), -66 * step, -1))
    for gap in (rng.uniform(16, 26), rng.uniform(45, 80)):
        if rng.random() < .8 * style.car_density:
            lane = int(rng.integers(style.lanes)) + .5
            car = Item('car', gap, ours * lane, car_size(rng), int(rng.integers(VARIANTS)), pace)
            items += [] if style.obstacle else [car]
    for _ in range(rng.poisson(3 * style.people_density)):
        d = style.side * (style.lane_m * style.lanes - .15)
        items.append(Item('cyclist', rng.uniform(0, loop_m), d, (0., .8, 1.75),
                          int(rng.integers(VARIANTS)), 30 * step))
    return items


def car_size(rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the (length, width, height) of a random car, in meters."""
    return rng.uniform(3.7, 4.7), rng.uniform(1.62, 1.82), rng.uniform(1.4, 1.65)
