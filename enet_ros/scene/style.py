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
        haze_m: Distance in metres at which haze hides 63 % of an object.
        shade: Light on the side away from the sun, as a fraction of the light on the other.
    """

    zenith: tuple[int, int, int]
    horizon: tuple[int, int, int]
    clouds: float
    gain: tuple[float, float, float]
    haze_m: float
    shade: float


LIGHTS = {
    'noon': Light((196, 214, 236), (236, 242, 246), .6, (1., 1., 1.), 600., .68),
    'overcast': Light((196, 202, 208), (226, 230, 234), .8, (.82, .84, .87), 400., .9),
    'dusk': Light((112, 126, 150), (214, 196, 176), 1., (.52, .50, .52), 500., .8),
    'rain': Light((158, 164, 170), (192, 196, 200), .5, (.66, .68, .71), 220., .95),
}


@dataclass(frozen=True)
class Style:
    """Everything about a scene that is set rather than random. Lengths are in metres.

    ``wet`` in [0, 1] makes the road mirror the sky. The ``*_density`` fields are 0 for none, 1 as
    in a small town, or more. ``leaves`` in [0, 1] is 0 for winter trees.

    ``obstacle`` puts a car into our lane that falls back and pulls away; see
    :meth:`enet_ros.scene.road_scene.RoadScene.obstacle`.

    ``slope`` is the angle in radians at which the ground beyond ``slope_from_m`` rises out of the
    base frame's plane z = 0, or falls below it if negative. The ground's height is
    ``tan(slope) max(0, x - slope_from_m)`` at x metres ahead in the base frame, for every y.
    The vehicle never reaches the slope, which keeps its distance. With ``slope_from_m`` 0 it has
    the effect of an unknown pitch of the vehicle. Objects stand upright on the sloped ground.
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
    noise: float = 2.              # of the sensor, grey levels
    obstacle: bool = False
    slope: float = 0.
    slope_from_m: float = 0.

    @property
    def road_half_m(self) -> float:
        """Distance from the centre line to the kerb, in metres."""
        return self.lanes * self.lane_m + self.parking_m

    @property
    def side(self) -> int:
        """+1 where traffic drives on the left, -1 where it drives on the right."""
        return 1 if self.keep_left else -1


#: Bare ground without any objects.
EMPTY = Style(houses=0., tree_density=0., car_density=0., people_density=0., post_density=0.)


def random_style(rng: np.random.Generator) -> Style:
    """Draw a random style: light, camera, road, colours and densities."""
    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def near(color, spread: float = 12.) -> tuple[int, int, int]:
        shift = rng.normal(0, spread) + rng.normal(0, 3, 3)
        return tuple(np.clip(np.add(color, shift), 25, 215).astype(int).tolist())

    base, light = Style(), str(rng.choice(list(LIGHTS)))
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
