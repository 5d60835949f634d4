"""The style of a synthetic street: light, camera, road, and what stands beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Light:
    """Time of day and weather.

    Attributes:
        zenith: RGB of the sky above.
        horizon: RGB of the sky at the horizon.
        clouds: Contrast of the clouds; 1 is strong.
        gain: Gain of the scene for each RGB channel.
        haze_m: Distance in meters at which haze hides 63 % of an object.
        shade: Light on the side away from the sun, as a fraction of the light on the other.
        is_night: Whether street lamps and headlights are on.
    """

    zenith: tuple[int, int, int]
    horizon: tuple[int, int, int]
    clouds: float
    gain: tuple[float, float, float]
    haze_m: float
    shade: float
    is_night: bool = False


LIGHTS = {
    'noon': Light((196, 214, 236), (236, 242, 246), .6, (1., 1., 1.), 600., .68),
    'overcast': Light((196, 202, 208), (226, 230, 234), .8, (.82, .84, .87), 400., .9),
    'dusk': Light((112, 126, 150), (214, 196, 176), 1., (.52, .50, .52), 500., .8),
    'rain': Light((158, 164, 170), (192, 196, 200), .5, (.66, .68, .71), 220., .95),
    'night': Light((30, 34, 50), (78, 74, 76), .3, (.26, .25, .27), 160., .95, is_night=True),
}
#: Lights of :func:`random_style`, in whose order its random numbers choose.
TOWN_LIGHTS = ('noon', 'overcast', 'dusk', 'rain')


@dataclass(frozen=True)
class Style:
    """Everything about a scene that is set rather than random. Lengths are in meters.

    ``wet`` in [0, 1] makes the road mirror the sky. The ``*_density`` fields are 0 for none, 1 as
    in a small town, or more. ``leaves`` in [0, 1] is 0 for winter trees.

    ``obstacle`` puts a car into our lane that falls back and pulls away; see
    :meth:`enet_ros.scene.road_scene.RoadScene.obstacle`.

    ``slope`` is the angle in radians at which the ground beyond ``slope_from_m`` rises out of the
    base frame's plane z = 0, or falls below it if negative. The ground's height is
    ``tan(slope) max(0, x - slope_from_m)`` at x meters ahead in the base frame, for every y.
    The vehicle never reaches the slope, which keeps its distance. With ``slope_from_m`` 0 it has
    the effect of an unknown pitch of the vehicle. Objects stand upright on the sloped ground.

    ``surface`` is 'asphalt', 'gravel' or 'dirt'. Without a ``kerb`` the road ends in a verge of
    earth and grass instead of a pavement, of the class Tree as all grass. ``ragged_m`` is how far
    the edges of the road wander, in a pattern that ``edge_seed`` chooses. ``crossing`` paints
    zebra stripes. ``shadows`` is the number of hard shadows of things out of view, in 100 m.
    ``bridges`` lead over the loop, and ``tunnel_m`` of it lie in a tunnel. ``jaywalkers`` is the
    number of people on the road, in 100 m.
    """

    light: str = 'noon'
    camera_height_m: float = 1.4
    pitch_rad: float = .035
    focal: float = .875            # focal length in frame widths
    lane_m: float = 3.1
    lanes: int = 1                 # in each direction
    parking_m: float = 2.1         # beside the lanes, on both sides
    pavement_m: float = 2.6
    keep_left: bool = True
    speed_mps: float = 8.
    curve_m: float = 4.            # amplitude of the bends
    wander_m: float = .25          # how far the vehicle drifts in its lane
    road_color: tuple[int, int, int] = (84, 86, 90)
    pavement_color: tuple[int, int, int] = (104, 101, 97)
    grass_color: tuple[int, int, int] = (74, 84, 56)
    tree_color: tuple[int, int, int] = (66, 70, 48)
    wall_colors: tuple = ((122, 100, 82), (98, 78, 66), (146, 138, 124), (112, 106, 98),
                          (134, 116, 90), (84, 76, 72))
    leaves: float = .7
    wet: float = 0.
    houses: float = .62            # share of the plots; gardens take the rest
    tree_density: float = 1.
    car_density: float = 1.
    people_density: float = 1.
    post_density: float = 1.
    noise: float = 2.              # of the sensor, gray levels
    obstacle: bool = False
    slope: float = 0.
    slope_from_m: float = 0.
    surface: str = 'asphalt'
    kerb: bool = True
    ragged_m: float = 0.
    edge_seed: int = 0
    crossing: bool = False
    shadows: float = 0.
    bridges: int = 0
    tunnel_m: float = 0.
    jaywalkers: float = 0.

    @property
    def road_half_m(self) -> float:
        """Distance from the center line to the kerb, in meters."""
        return self.lanes * self.lane_m + self.parking_m

    @property
    def side(self) -> int:
        """+1 where traffic drives on the left, -1 where it drives on the right."""
        return 1 if self.keep_left else -1


#: Bare ground without any objects.
EMPTY = Style(houses=0., tree_density=0., car_density=0., people_density=0., post_density=0.)


def random_style(rng: np.random.Generator) -> Style:
    """Draw a random style: light, camera, road, colors and densities."""
    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def near(color, spread: float = 12.) -> tuple[int, int, int]:
        shift = rng.normal(0, spread) + rng.normal(0, 3, 3)
        return tuple(np.clip(np.add(color, shift), 25, 215).astype(int).tolist())

    base, light = Style(), str(rng.choice(TOWN_LIGHTS))
    return replace(
        base, light=light, wet=between(.25, .6) if light == 'rain' else 0.,
        camera_height_m=between(1.1, 1.9), pitch_rad=between(.01, .08), focal=between(.7, 1.1),
        lane_m=between(2.8, 3.6), lanes=int(rng.choice((1, 1, 2))), parking_m=between(.4, 2.4),
        pavement_m=between(1.6, 4.), keep_left=bool(rng.random() < .5), curve_m=between(0, 6),
        road_color=near(base.road_color), pavement_color=near(base.pavement_color),
        grass_color=near(base.grass_color), tree_color=near(base.tree_color, 8),
        wall_colors=tuple(near(c, 20) for c in base.wall_colors), leaves=between(0, 1),
        houses=between(.1, .9), tree_density=between(.3, 2.), car_density=between(.3, 1.6),
        people_density=between(.3, 2.), post_density=between(.4, 1.6), noise=between(1, 4))


#: RGB of roads without asphalt: sand, red earth, clay, gravel of limestone and of granite.
EARTH_COLORS = ((150, 128, 98), (132, 92, 68), (108, 88, 70), (158, 150, 136), (112, 108, 104))


def varied_style(rng: np.random.Generator) -> Style:
    """Draw a random style of a wider world than :func:`random_style`.

    Half of the roads have no asphalt or no kerb, and some have six lanes. There are tunnels,
    bridges, hard shadows, crowds, crossings, nights with lamps, and cameras from 0.3 m to 2 m
    above the ground.
    """
    def chance(probability: float) -> bool:
        return bool(rng.random() < probability)

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    style = replace(
        random_style(rng), camera_height_m=between(.3, 2.), pitch_rad=between(-.02, .14),
        focal=between(.5, 1.2), edge_seed=int(rng.integers(1 << 30)), crossing=chance(.25),
        shadows=between(2, 14) if chance(.5) else 0., bridges=int(rng.integers(1, 4)) * chance(.3),
        tunnel_m=between(60, 200) if chance(.15) else 0.,
        jaywalkers=between(1, 6) if chance(.3) else 0.)
    if chance(.3):
        style = replace(style, people_density=between(2, 6))
    if chance(.2):
        style = replace(style, lanes=3)
    if chance(.2):
        style = replace(style, light='night', wet=between(0, .5) * chance(.4), shadows=0.)
    elif style.light in ('overcast', 'dusk'):
        style = replace(style, shadows=style.shadows * .3, wet=between(.2, .6) * chance(.3))
    return _without_kerb(style, rng) if chance(.5) else style


def _without_kerb(style: Style, rng: np.random.Generator) -> Style:
    """Turn a street into a road with verges, of asphalt, gravel or earth."""
    surface = str(rng.choice(('asphalt', 'gravel', 'dirt', 'dirt')))
    earth = np.add(EARTH_COLORS[rng.integers(len(EARTH_COLORS))], rng.normal(0, 12))
    style = replace(
        style, surface=surface, kerb=False, ragged_m=float(rng.uniform(.1, .6)),
        pavement_m=float(rng.uniform(.8, 3)), parking_m=float(rng.uniform(0, .6)), lanes=1,
        houses=float(rng.uniform(0, .5)), crossing=False,
        car_density=style.car_density * float(rng.uniform(.2, 1)),
        post_density=style.post_density * float(rng.uniform(0, .6)))
    if surface == 'asphalt':
        return style
    return replace(style, road_color=tuple(np.clip(earth, 40, 200).astype(int).tolist()),
                   lane_m=float(rng.uniform(1.5, 3.2)), speed_mps=5.)
