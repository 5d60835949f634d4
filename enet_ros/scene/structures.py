"""What makes a street hard to read: bridges, tunnels, hard shadows, and light at night."""

from __future__ import annotations

import numpy as np

from enet_ros.scene.drawing import Face
from enet_ros.scene.objects import Item, wall
from enet_ros.scene.style import LIGHTS, Style
from enet_ros.scene.textures import BUILDING, VARIANTS

SEGMENT_M = 5.    # of a tunnel; short ones are sorted well among the things around them
CONCRETE = ((96, 96, 98), (112, 106, 98), (84, 80, 78))
LAMP = (255, 252, 255)   # so bright that it stays so at night


def bridge_faces(item: Item, _textures: dict) -> list[Face]:
    """Make a bridge over the road: its shadow, piers, underside and near side."""
    length, half, height = item.size
    tone = np.array(CONCRETE[item.variant % len(CONCRETE)])
    deck = np.array([(0., half, height), (0., -half, height), (length, -half, height),
                     (length, half, height)])
    fascia = np.array([(0., half, height + 1.3), (0., -half, height + 1.3), (0., -half, height),
                       (0., half, height)])
    piers = [Face(wall((0., d), (length, d), height), tuple(tone * .6), BUILDING)
             for d in (item.d, -item.d)]
    shadow = np.array([(-1., half, 0.), (-1., -half, 0.), (length, -half, 0.), (length, half, 0.)])
    return [Face(shadow, .42), *piers, Face(deck, tuple(tone * .3), BUILDING),
            Face(fascia, tuple(tone), BUILDING)]


def tunnel_faces(item: Item, _textures: dict) -> list[Face]:
    """Make a piece of a tunnel: dark ground, walls and a ceiling with a lamp."""
    length, half, height = item.size
    tone = np.array(CONCRETE[item.variant % len(CONCRETE)]) * .38
    floor, ceiling = (np.array([(0., half, up), (0., -half, up), (length, -half, up),
                                (length, half, up)]) for up in (0., height))
    walls = [Face(wall((0., d), (length, d), height), tuple(tone * light), BUILDING)
             for d, light in ((half, 1.), (-half, .85))]
    top = height + 3.
    front = [Face(np.array([(0., left, top), (0., right, top), (0., right, low), (0., left, low)]),
                  tuple(tone * 2.2), BUILDING)
             for left, right, low in ((half, -half, height), (half + 12, half, 0.),
                                      (-half, -half - 12, 0.))] if item.heading < 0 else []
    lamp = np.array([(1., .3, height - .05), (1., -.3, height - .05), (2.4, -.3, height - .05),
                     (2.4, .3, height - .05)])
    return [Face(floor, .30), *walls, Face(ceiling, tuple(tone * .6), BUILDING),
            Face(lamp, LAMP, BUILDING), *front]


def shadow_faces(item: Item, _textures: dict) -> list[Face]:
    """Make the hard shadow of something out of view; ``variant`` chooses its shape."""
    rng = np.random.default_rng(item.variant)
    length, across, _ = item.size
    slant = rng.uniform(-.6, .6) * across
    if item.variant % 3:
        corners = [(0., 0.), (length, 0.), (length + slant, across), (slant, across)]
    else:   # the crown of a tree
        angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        radius = rng.uniform(.6, 1., 14)
        corners = np.stack((length / 2 * (1 + radius * np.cos(angle)),
                            across / 2 * (1 + radius * np.sin(angle))), axis=1)
    points = [(along, item.d + item.heading * aside, 0.) for along, aside in corners]
    return [Face(np.array(points), float(rng.uniform(.3, .65)))]


def glow_faces(item: Item, _textures: dict) -> list[Face]:
    """Make the light that a lamp throws on the road at night, in rings."""
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = np.stack((np.cos(angle), np.sin(angle), 0 * angle), axis=1)
    return [Face(circle * radius + (0., item.d, 0.), 1.28, limit_m=90.)
            for radius in (9., 7.5, 6., 4.5, 3., 1.8)]


FACES = {'bridge': bridge_faces, 'tunnel': tunnel_faces, 'shadow': shadow_faces,
         'glow': glow_faces}
#: Kinds that extend along the road from their ``x``.
LONG = ('bridge', 'tunnel', 'shadow')
#: Kinds that a tunnel leaves no room for.
OUTSIDE = ('building', 'fence', 'tree', 'pole', 'sign', 'bridge', 'shadow', 'glow')


def add_structures(items: list[Item], style: Style, loop_m: float,
                   rng: np.random.Generator) -> list[Item]:
    """Add bridges, a tunnel, shadows, light and people on the road to the objects of a scene.

    Args:
        items: The objects of the street.
        style: The style of the scene; its defaults add nothing and draw no random number.
        loop_m: Length of the loop in meters.
        rng: Source of randomness.

    Returns:
        The objects, without those in whose place a tunnel lies.
    """
    edge, items = style.road_half_m + style.pavement_m + .2, list(items)
    for _ in range(style.bridges):
        size = (rng.uniform(4, 16), edge + 30., rng.uniform(4.2, 6.5))
        items.append(Item('bridge', rng.uniform(0, loop_m), edge, size,
                          int(rng.integers(VARIANTS))))
    for _ in range(rng.poisson(style.shadows * loop_m / 100) if style.shadows else 0):
        items.append(_shadow(style, loop_m, rng))
    for _ in range(rng.poisson(style.jaywalkers * loop_m / 100) if style.jaywalkers else 0):
        height = rng.uniform(1.1, 1.9)
        items.append(Item(str(rng.choice(('person', 'person', 'cyclist'))),
                          rng.uniform(0, loop_m), rng.uniform(-1, 1) * style.road_half_m,
                          (0., .5 * height, height), int(rng.integers(VARIANTS))))
    if LIGHTS[style.light].is_night:
        items += [Item('glow', item.x, item.d - np.sign(item.d) * 1.6, item.size)
                  for item in items if item.kind == 'pole']
    return _with_tunnel(items, style, loop_m, edge, rng) if style.tunnel_m else items


def _shadow(style: Style, loop_m: float, rng: np.random.Generator) -> Item:
    """Return a hard shadow that reaches over the road from one side."""
    side = int(rng.choice((-1, 1)))
    across = rng.uniform(.3, 2.2) * style.road_half_m
    return Item('shadow', rng.uniform(0, loop_m), -side * rng.uniform(.2, 1.3) * style.road_half_m,
                (rng.uniform(.5, 14), across, 0.), int(rng.integers(1 << 20)), heading=side)


def _with_tunnel(items: list[Item], style: Style, loop_m: float, half: float,
                 rng: np.random.Generator) -> list[Item]:
    """Put a tunnel into the loop, and take away what stood there."""
    start, height = rng.uniform(20, loop_m - style.tunnel_m - 20), rng.uniform(4.5, 6)
    variant, end = int(rng.integers(VARIANTS)), start + style.tunnel_m
    kept = [item for item in items if item.kind not in OUTSIDE
            or item.x > end + 2 or item.x + item.size[0] < start - 2]
    # Near the mouth its front is drawn as well, which hides the hill that the tunnel goes through.
    return kept + [Item('tunnel', x, 0., (SEGMENT_M, half, height), variant,
                        heading=-1 if x == start else 1)
                   for x in np.arange(start, end, SEGMENT_M)]
