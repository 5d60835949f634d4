"""What stands in the drawn scene, where, and of which faces each kind of thing is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from enet_ros.scene.drawing import Face
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

#: A hatchback's side: (metres ahead of the middle, height in metres), from the rear bumper over
#: the roof to the front bumper; what lies between two corners is named in CAR_STRIPS.
CAR_PROFILE = np.array([(-2.0, .28), (-2.05, .62), (-1.95, .92), (-1.55, 1.40), (-1.2, 1.47),
                        (.05, 1.45), (.85, .98), (1.85, .78), (2.02, .58), (2.0, .28)])
CAR_STRIPS = ('bumper', 'paint', 'glass', 'roof', 'roof', 'glass', 'paint', 'paint', 'bumper')
CAR_WINDOWS = np.array([(-1.6, .95), (-1.38, 1.34), (0., 1.36), (.62, .98)])
CAR_HALF_WIDTH = np.array([.84, .86, .86, .70, .66, .66, .80, .84, .84, .82])
SHADES = {'bumper': .45, 'paint': .85, 'roof': 1.15}
GLASS = (46, 52, 58)
OBSTACLE_END_M = -float(CAR_PROFILE[:, 0].min())   # from an obstacle's rear to its Thing.x
SKIRT_M = .3    # below the bumpers, where the obstacle's hull goes on down to the ground
DETAIL_M = 45.  # cars farther away have no wheels and lamps


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


def outward(corners: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Order the corners of a face so that they turn left when seen from outside."""
    first = corners[0]
    volume = np.linalg.det((corners[1] - first, corners[2] - first, first - middle))
    return corners if volume > 0 else corners[::-1]


def upright(left: float, right: float, low: float, high: float) -> np.ndarray:
    """Return a rectangle across the road: top left, top right, bottom right, bottom left."""
    return np.array([(0., left, high), (0., right, high), (0., right, low), (0., left, low)])


def wall(start, end, height: float) -> np.ndarray:
    """Return a wall from one point of the ground to another, each (along, left) in metres."""
    return np.array([(*start, height), (*end, height), (*end, 0.), (*start, 0.)])


def building_faces(thing: Thing, textures: dict) -> list[Face]:
    """Make a house: its end wall towards us, its roof and its front."""
    (length, depth, height), left = thing.size, thing.d > 0
    back = thing.d + (depth if left else -depth)
    ridge, top = (thing.d + back) / 2, height + .32 * depth
    end, front, roof = (textures[name][left][thing.variant] for name in ('wall', 'front', 'roof'))
    gable = np.array([(0., thing.d, height), (0., ridge, top), (0., back, height)])
    slope = np.array([(0., thing.d, height), (length, thing.d, height), (length, ridge, top),
                      (0., ridge, top)])
    return [Face(wall((0., back), (0., thing.d), height), [end], BUILDING),
            Face(gable, tuple(end.mean), BUILDING), Face(slope, tuple(roof), BUILDING),
            Face(wall((0., thing.d), (length, thing.d), height), [front], BUILDING)]


def fence_faces(thing: Thing, textures: dict) -> list[Face]:
    """Make a stretch of fence along the road."""
    stretch = wall((0., thing.d), (thing.size[0], thing.d), thing.size[2])
    return [Face(stretch, [textures['fence'][thing.variant]], FENCE)]


def billboard(thing: Thing, pictures: list, class_id: int) -> Face:
    """Make a picture that stands upright across the road."""
    half = thing.size[1] / 2
    return Face(upright(thing.d + half, thing.d - half, 0., thing.size[2]), pictures, class_id)


def disc(along: float, left: float, radius: float, light: float) -> Face:
    """Make a round shadow on the ground."""
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return Face(np.stack((along + radius * np.cos(angle), left + radius * np.sin(angle),
                          np.zeros(12)), axis=1), light, limit_m=DETAIL_M)


def tree_faces(thing: Thing, textures: dict) -> list[Face]:
    """Make a tree and the darker ground below it."""
    return [disc(0., thing.d, thing.size[1] * .35, .8),
            billboard(thing, [textures['tree'][thing.variant]], TREE)]


def pole_faces(thing: Thing, _textures: dict) -> list[Face]:
    """Make a lamp post with its arm over the road."""
    _, width, height = thing.size
    d, arm = thing.d, thing.d - np.sign(thing.d) * 1.6
    gray, lamp = (92, 94, 94), (132, 134, 134)
    beam = np.array([(0., d, height), (0., arm, height + .3), (0., arm, height + .4),
                     (0., d, height + .12)])
    return [Face(upright(d + width / 2, d - width / 2, 0., height), gray, POLE),
            Face(beam, gray, POLE),
            Face(upright(arm + .3, arm - .3, height + .25, height + .42), lamp, POLE)]


def sign_faces(thing: Thing, _textures: dict) -> list[Face]:
    """Make a traffic sign on its post: a rimmed disc, a triangle or a board."""
    _, width, height = thing.size
    corners, start, rim, face = ((16, 0., (150, 30, 32), (206, 206, 202)),
                                 (3, np.pi / 2, (150, 30, 32), (206, 206, 202)),
                                 (4, np.pi / 4, (180, 182, 184), (30, 62, 128)))[thing.variant % 3]
    angle = start + np.arange(corners) * 2 * np.pi / corners
    circle = np.stack((0 * angle, np.cos(angle), np.sin(angle)), axis=1) * width / 2
    middle = (0., thing.d, height)
    return [Face(upright(thing.d + .04, thing.d - .04, 0., height), (84, 86, 86), POLE),
            Face(circle + middle, rim, SIGN),
            Face(.72 * circle + middle, face, SIGN)]


def person_faces(thing: Thing, textures: dict) -> list[Face]:
    """Make a pedestrian or a cyclist, one picture for each phase of the walk."""
    pictures = textures[thing.kind][thing.variant]
    return [disc(0., thing.d, thing.size[1] / 2, .65),
            billboard(thing, pictures, PEDESTRIAN if thing.kind == 'person' else BICYCLIST)]


def car_faces(thing: Thing, _textures: dict) -> list[Face]:
    """Make a car as its profile drawn out across, with flanks, windows, wheels and lamps."""
    paint = np.array(CAR_COLORS[thing.variant % len(CAR_COLORS)], float)
    length, width, height = thing.size
    scale = np.array((thing.heading * length / 4.07, height / 1.47))
    along, up = (CAR_PROFILE * scale).T
    flanks = [np.stack((along, thing.d + side * CAR_HALF_WIDTH * width / 1.72, up), axis=1)
              for side in (-1, 1)]
    middle = (flanks[0].mean(0) + flanks[1].mean(0)) / 2
    ends = along[[0, 0, -1, -1]]
    shadow = np.stack((ends, thing.d + .55 * width * np.array((-1, 1, 1, -1)), 0 * ends), axis=1)
    faces = [Face(shadow, .38, limit_m=2 * DETAIL_M)]
    # Oncoming, the roof lies behind the bonnet; going our way, it lies behind the boot.
    for i in range(len(CAR_STRIPS))[::-thing.heading]:
        quad = np.concatenate((flanks[0][i:i + 2], flanks[1][i:i + 2][::-1]))
        kind = CAR_STRIPS[i]
        color = GLASS if kind == 'glass' else tuple(paint * SHADES[kind])
        faces.append(Face(outward(quad, middle), color, CAR, solid=True))
    for side, flank in zip((-1, 1), flanks):
        faces += flank_faces(flank, thing.d + side * .47 * width, scale, paint, middle)
    return faces + lamp_faces(flanks, thing.heading, middle)


def obstacle(d: float) -> Thing:
    """Return the car, as large as the profile, whose place its scene says; ``d`` as in Thing."""
    return Thing('obstacle', 0., d, (4.07, 1.72, 1.47), variant=4)


def footprint(thing: Thing) -> np.ndarray:
    """Return the ground below an obstacle.

    Returns:
        (4, 2) metres along the road from ``Thing.x`` and to the left of the centre line: rear
        right, front right, front left, rear left.
    """
    rear, front = CAR_PROFILE[:, 0].min(), CAR_PROFILE[:, 0].max()
    half = CAR_HALF_WIDTH.max()
    return np.array([(rear, -half), (front, -half), (front, half), (rear, half)]) + (0., thing.d)


def obstacle_faces(thing: Thing, textures: dict) -> list[Face]:
    """Make a car with skirts, so that where it meets the ground is its footprint and nothing less.

    Below an ordinary car one sees the road up to its wheels.
    """
    corners, middle = footprint(thing), np.array((0., thing.d, SKIRT_M))
    skirts = [Face(outward(wall(start, end, SKIRT_M), middle), (34, 34, 36), CAR, solid=True)
              for start, end in zip(corners, np.roll(corners, -1, axis=0))]
    shadow, *hull = car_faces(thing, textures)
    return [shadow, *skirts, *hull]


def flank_faces(flank: np.ndarray, left: float, scale: np.ndarray, paint: np.ndarray,
                middle: np.ndarray) -> list[Face]:
    """Return a car's side seen from beside it: sheet metal, windows and wheels.

    Args:
        flank: (10, 3) corners of that side of the hull.
        left: metres from the centre line to its windows and wheels.
        scale: of the profile, along and up.
        paint: RGB.
        middle: (3,) of the car.
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
    """Return the lamps and the number plate on the end of a car that faces us."""
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


#: The faces of each kind of thing, far to near: (thing, textures) -> faces.
FACES = {'building': building_faces, 'fence': fence_faces, 'tree': tree_faces, 'pole': pole_faces,
         'sign': sign_faces, 'person': person_faces, 'cyclist': person_faces, 'car': car_faces,
         'obstacle': obstacle_faces}

#: Kinds that stretch along the road from ``Thing.x``; the others stand around it.
LONG = ('building', 'fence')


def layout(style, loop_m: float, speed_step: float, rng: np.random.Generator) -> list[Thing]:
    """Choose what stands and moves along one loop of the road.

    Args:
        style: a :class:`enet_ros.scene.road_scene.Style`.
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
            things.append(Thing('building', x, side * (edge - .05), size, variant))
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
            car = Thing('car', gap, ours * lane, car_size(rng), int(rng.integers(VARIANTS)), pace)
            things += [] if style.obstacle else [car]
    for _ in range(rng.poisson(3 * style.people_density)):
        d = style.side * (style.lane_m * style.lanes - .15)
        things.append(Thing('cyclist', rng.uniform(0, loop_m), d, (0., .8, 1.75),
                            int(rng.integers(VARIANTS)), 30 * step))
    return things


def car_size(rng: np.random.Generator) -> tuple[float, float, float]:
    """Return (length, width, height) of a car, metres."""
    return rng.uniform(3.7, 4.7), rng.uniform(1.62, 1.82), rng.uniform(1.4, 1.65)
