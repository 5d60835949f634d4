"""A drawn road scene that moves, with the exact class of every pixel.

A pinhole camera rides over the flat ground z = 0 of a base frame (REP 103: x forward, y left, z
up, metres, its origin on the ground below the camera). The road runs along a gently curved centre
line and repeats every LOOP_M metres. The ground's classes are computed at each pixel's centre from
that geometry; what stands on it is drawn far to near, colour and class with the same polygons.

To prove a planner's input with, a style may add a car ahead whose footprint is known in metres
(``obstacle``), and may let the ground rise (``slope``) so that it is not flat any more.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass, replace

import cv2
import numpy as np

from enet_ros.scene.drawing import Air, Stage
from enet_ros.scene.objects import FACES, LONG, OBSTACLE_END_M, footprint, layout, obstacle
from enet_ros.scene.textures import (
    CAR,
    GROUND_HALF_M,
    GROUND_LEVELS,
    GROUND_LOOP_M,
    PAVEMENT,
    ROAD,
    TEXEL_M,
    TREE,
    ground_levels,
    make_textures,
    mirrored_sky,
    paint_sky,
    sensor_noise,
    tone_curve,
)

MIN_SIZE_PX = 32
LOOP_M = 480.    # the road repeats after this
LOOP_S = 3600.   # everything repeats after this, so that time never grows beyond float32
SPEED_STEP = LOOP_M / LOOP_S   # every speed is a multiple of this, or the loop would not close
FAR_M = 400.     # ground farther away lies behind the trees and houses on the horizon
MAX_SLOPE = .2   # radians
OBSTACLE_GAP_M = (6., 20.)   # from below the camera to the obstacle's rear, along the loop
OBSTACLE_PERIOD_S = 20.      # from one largest gap to the next; LOOP_S is a multiple of it
GRAIN_SPARE_PX = 61   # the sensor noise is shifted by up to this, frame by frame


@dataclass(frozen=True)
class Light:
    """Time of day: RGB of the sky above and at the horizon, gain of the scene, air and shade."""

    zenith: tuple[int, int, int]
    horizon: tuple[int, int, int]
    clouds: float
    gain: tuple[float, float, float]
    haze_m: float
    shade: float    # light on the side away from the sun, of the light on the other


LIGHTS = {
    'noon': Light((196, 214, 236), (236, 242, 246), .6, (1., 1., 1.), 600., .68),
    'overcast': Light((196, 202, 208), (226, 230, 234), .8, (.82, .84, .87), 400., .9),
    'dusk': Light((112, 126, 150), (214, 196, 176), 1., (.52, .50, .52), 500., .8),
    'rain': Light((158, 164, 170), (192, 196, 200), .5, (.66, .68, .71), 220., .95),
}


@dataclass(frozen=True)
class Style:
    """Everything about a scene that is chosen, not drawn by chance; lengths in metres.

    ``wet`` in [0, 1] makes the road mirror the sky, the ``*_density`` are 0 (none), 1 (as in a
    small town) or more, ``leaves`` in [0, 1] is 0 for winter trees.

    ``obstacle`` puts a car ahead in our lane, alone there, that falls back and draws away; see
    :meth:`RoadScene.obstacle`. ``slope`` is the angle, radians, at which all ground farther ahead
    than ``slope_from_m`` rises (or falls, below 0) out of the base frame's plane z = 0: its height
    is ``tan(slope) max(0, x - slope_from_m)`` at x metres ahead in the base frame, at any y.
    The vehicle never climbs it: the slope keeps its distance. From 0 m on, it is what an unknown
    pitch of the vehicle does. What stands on the ground is raised with it and stays upright.
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
        """Half the width of the road, kerb to centre line."""
        return self.lanes * self.lane_m + self.parking_m

    @property
    def side(self) -> int:
        """Return +1 where one drives on the left, -1 on the right."""
        return 1 if self.keep_left else -1


#: The bare ground: nothing stands upon it.
EMPTY = Style(houses=0., tree_density=0., car_density=0., people_density=0., post_density=0.)


def random_style(rng: np.random.Generator) -> Style:
    """Choose a style by chance: light, camera, road, colours and how much stands around."""
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


@dataclass(frozen=True)
class Camera:
    """A pinhole camera over the origin of the base frame, looking forward and down by its pitch.

    ``fx``, ``fy``, ``cx`` and ``cy`` are in pixels as sensor_msgs/CameraInfo has them in K: the
    centre of the first pixel is (0, 0). ``slope`` and ``slope_from_m`` are those of the ground
    that it sees, as in :class:`Style`.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    height_m: float
    pitch_rad: float
    slope: float = 0.
    slope_from_m: float = 0.

    @property
    def k(self) -> np.ndarray:
        """Return K, (3, 3) float64."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.]])

    @property
    def horizon_px(self) -> float:
        """Row at which the ground vanishes; may lie outside the frame."""
        return self.cy - self.fy * math.tan(self.pitch_rad + self.slope)

    def rise(self, x):
        """Return the height of the ground ``x`` metres ahead in the base frame, metres."""
        return math.tan(self.slope) * np.maximum(np.asarray(x, float) - self.slope_from_m, 0.)

    def from_base(self, points: np.ndarray) -> np.ndarray:
        """Return camera coordinates (x right, y down, z ahead) of base ones, (N, 3) metres."""
        sin, cos = math.sin(self.pitch_rad), math.cos(self.pitch_rad)
        turn = np.array([[0, -1, 0], [-sin, 0, -cos], [cos, 0, -sin]])
        return (np.asarray(points, float) - (0, 0, self.height_m)) @ turn.T

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Project camera coordinates (N, 3), metres, z > 0, to pixels (N, 2) float64."""
        return (points[:, :2] * (self.fx, self.fy)) / points[:, 2:] + (self.cx, self.cy)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project base coordinates (N, 3), metres, to pixels (N, 2); NaN behind the camera."""
        seen = self.from_base(points)
        seen[seen[:, 2] <= 0] = np.nan
        return self.to_pixels(seen)

    def to_ground(self, u, v) -> tuple[np.ndarray, np.ndarray]:
        """Return where the rays of pixels meet the ground.

        Args:
            u: columns, any shape.
            v: rows, of a shape that broadcasts with it.

        Returns:
            x and y in the base frame, metres, whose z is ``rise(x)``; NaN at and above the
            horizon.
        """
        sin, cos = math.sin(self.pitch_rad), math.cos(self.pitch_rad)
        right = (np.asarray(u, float) - self.cx) / self.fx
        down = (np.asarray(v, float) - self.cy) / self.fy
        drop, ahead = sin + cos * down, cos - sin * down
        depth = self.height_m / np.where(drop > 1e-12, drop, np.nan)
        if self.slope:
            rise = math.tan(self.slope)
            closing = drop + rise * ahead
            beyond = ((self.height_m + rise * self.slope_from_m)
                      / np.where(closing > 1e-12, closing, np.nan))
            depth = np.where(depth * ahead <= self.slope_from_m, depth, beyond)
        return np.broadcast_arrays(depth * ahead, -right * depth)


@dataclass(frozen=True)
class Pose:
    """The vehicle on the road plan: metres, and the yaw's cosine and sine."""

    x: float
    y: float
    cos: float
    sin: float


class Road:
    """The plan of the road: its centre line, the vehicle's path, and what class the ground has.

    Plan coordinates are ``x`` along the loop and ``y`` to the left; a point's ``d`` is how far it
    lies to the left of the centre line, measured along y.

    Args:
        style: widths, bends and the vehicle's speed.
        rng: chooses the phases of the bends.
    """

    def __init__(self, style: Style, rng: np.random.Generator):
        self.style = style
        self.lane_d = style.side * style.lane_m * (style.lanes - .5)
        self.speed = steps(style.speed_mps)
        turn = 2 * math.pi / LOOP_M
        self.bends = [(amplitude * style.curve_m, turn * n, rng.uniform(0, 2 * math.pi))
                      for amplitude, n in ((1., 2), (.4, 3))]
        self.drift = (style.wander_m, turn * 5, rng.uniform(0, 2 * math.pi))

    @property
    def steepest(self) -> float:
        """Largest slope of the vehicle's path against the loop's axis."""
        return sum(a * k for a, k, _ in (*self.bends, self.drift))

    def center(self, x):
        """Return y of the centre line at ``x``, metres, in the type of ``x``."""
        return sum(a * np.sin(k * x + phase) for a, k, phase in self.bends)

    def pose(self, t_seconds: float) -> Pose:
        """Return where the vehicle is and where it heads."""
        x = self.speed * (t_seconds % LOOP_S) % LOOP_M
        terms = [*self.bends, self.drift]
        y = sum(a * math.sin(k * x + phase) for a, k, phase in terms) + self.lane_d
        yaw = math.atan(sum(a * k * math.cos(k * x + phase) for a, k, phase in terms))
        return Pose(x, y, math.cos(yaw), math.sin(yaw))

    def to_plan(self, pose: Pose, x, y):
        """Return (plan x, d) of base-frame points, metres."""
        plan_x = pose.x + pose.cos * x - pose.sin * y
        return plan_x, pose.y + pose.sin * x + pose.cos * y - self.center(plan_x)

    def to_base(self, pose: Pose, plan_x, d):
        """Return (x, y) in the base frame of plan x and d, metres; the inverse of to_plan."""
        dx, dy = plan_x - pose.x, self.center(plan_x) + d - pose.y
        return pose.cos * dx + pose.sin * dy, pose.cos * dy - pose.sin * dx

    def classes(self, d: np.ndarray) -> np.ndarray:
        """Return the ground's class ids, uint8, at distances ``d`` from the centre line."""
        away, half = np.abs(d), self.style.road_half_m
        verge = np.where(away <= half + self.style.pavement_m, np.uint8(PAVEMENT), np.uint8(TREE))
        return np.where(away <= half, np.uint8(ROAD), verge)


class Ground:
    """The ground as the camera sees it: where each pixel's ray meets it, and its painted texture.

    Distances are float32, for speed: a class border is right to 0.1 mm at FAR_M.

    Args:
        style: a :class:`Style`.
        camera: a :class:`Camera`.
        rng: where the randomness comes from.
    """

    def __init__(self, style: Style, camera: Camera, rng: np.random.Generator):
        rows = np.arange(camera.height)[:, None]
        x, y = camera.to_ground(np.arange(camera.width), rows)
        self.top = int(np.count_nonzero(~(x[:, 0] <= FAR_M)))
        self.x = x[self.top:, :1].astype(np.float32)
        self.y = y[self.top:].astype(np.float32)
        self.levels = ground_levels(style, rng)
        self.bands = self._bands(camera)

    def _bands(self, camera: Camera) -> list[tuple[int, int, int]]:
        """Return (level, first row, end row) so that a texel is about as long as a pixel."""
        along = np.array([factor for factor, _ in GROUND_LEVELS]) * TEXEL_M
        pixel_m = self.x[:, 0] ** 2 / (camera.fy * camera.height_m)
        level = np.clip(np.searchsorted(along, pixel_m) - 1, 0, None)
        cuts = [0, *(np.flatnonzero(np.diff(level)) + 1), len(level)]
        return [(int(level[a]), int(a), int(b)) for a, b in zip(cuts, cuts[1:]) if b > a]

    def draw(self, pixels: np.ndarray, road: Road, pose: Pose, mirror: np.ndarray | None,
             wet: float) -> None:
        """Draw the ground's colours and classes into (H, W, 4) pixels."""
        plan_x, d = road.to_plan(pose, self.x, self.y)
        plan_x -= GROUND_LOOP_M * np.floor(plan_x / GROUND_LOOP_M)
        left = np.clip(GROUND_HALF_M - d, 0., 2 * GROUND_HALF_M - TEXEL_M)
        below = pixels[self.top:]
        for level, first, end in self.bands:
            texture, (along, across) = self.levels[level], GROUND_LEVELS[level]
            cv2.remap(texture, plan_x[first:end] / (along * TEXEL_M) + 1.5,
                      left[first:end] / (across * TEXEL_M) - .5, cv2.INTER_LINEAR,
                      below[first:end], cv2.BORDER_REPLICATE)
        if mirror is not None:
            cv2.addWeighted(below, 1. - .5 * wet, mirror, 1., 0., below)
        below[..., 3] = road.classes(d)


class RoadScene:
    """A drive through a drawn town.

    The same seed, size, style and time give the same bytes, whatever was rendered before.

    Args:
        width: of the frames, pixels, 32 or more.
        height: of the frames, pixels, 32 or more.
        seed: chooses what stands where.
        style: a :class:`Style`; daylight when None.

    Raises:
        ValueError: if a size is no whole number of 32 or more, or the slope is one that is not
            drawn.
    """

    def __init__(self, width: int = 640, height: int = 360, seed: int = 0,
                 style: Style | None = None):
        for name, size in (('width', width), ('height', height)):
            if not MIN_SIZE_PX <= size < math.inf or size % 1:
                raise ValueError(f'{name} is {size}, wanted a whole number of {MIN_SIZE_PX} '
                                 'pixels or more')
        self.style, self.seed = style or Style(), int(seed)
        self.light = LIGHTS[self.style.light]
        focal = self.style.focal * width
        self.camera = Camera(int(width), int(height), focal, focal, (width - 1) / 2,
                             (height - 1) / 2, self.style.camera_height_m, self.style.pitch_rad,
                             self.style.slope, self.style.slope_from_m)
        check_slope(self.camera)
        rng = np.random.default_rng(self.seed)
        self.road = Road(self.style, rng)
        things = layout(self.style, LOOP_M, SPEED_STEP, rng)
        if self.style.obstacle:
            things.append(obstacle(self.road.lane_d))
        self.motion = np.array([(t.x, t.speed, t.size[0] if t.kind in LONG else 0.)
                                for t in things]).reshape(-1, 3).T
        textures = make_textures(self.style, self.light.shade, rng)
        self.stage = Stage([FACES[thing.kind](thing, textures) for thing in things])
        self.air = Air(self.light.haze_m, float(np.mean(self.light.horizon)))
        self.ground = Ground(self.style, self.camera, rng)
        margin = int(math.ceil(self.camera.fx * self.road.steepest))
        self.sky = paint_sky(self.light, self.camera, margin, self.style.tree_color, rng)
        self.mirror = mirrored_sky(self.sky, self.camera, self.ground.top, self.style.wet)
        self.lut = tone_curve(self.light)
        self.grain = sensor_noise(rng, self.camera, self.style.noise, GRAIN_SPARE_PX)

    @classmethod
    def random(cls, seed: int, width: int = 640, height: int = 360) -> RoadScene:
        """Return a scene whose style, too, is chosen by ``seed``."""
        return cls(width, height, seed, random_style(np.random.default_rng((seed, 1))))

    def ground_truth(self, x, y, t_seconds: float = 0.) -> np.ndarray:
        """Return the class of the ground, whatever stands upon it but the style's obstacle.

        Args:
            x: metres ahead of the vehicle in the base frame (of a slope too: not along it), any
                shape.
            y: metres to its left, of the same shape.
            t_seconds: time since the start.

        Returns:
            CamVid ids, uint8, of that shape.

        Raises:
            ValueError: if t_seconds is not finite.
        """
        pose = self.road.pose(checked_time(t_seconds))
        x, y = np.asarray(x, float), np.asarray(y, float)
        classes = self.road.classes(self.road.to_plan(pose, x, y)[1])
        corners = self.obstacle(t_seconds)
        return classes if corners is None else np.where(inside(corners, x, y), np.uint8(CAR),
                                                        classes)

    def obstacle(self, t_seconds: float) -> np.ndarray | None:
        """Return where the obstacle stands.

        A car in our lane whose hull reaches down to the ground on this footprint. Its rear is
        OBSTACLE_GAP_M ahead, swinging between the two as a cosine of OBSTACLE_PERIOD_S that has
        its largest at 0 s.

        Args:
            t_seconds: time since the start.

        Returns:
            (4, 2) float64 x and y of rear right, front right, front left and rear left in the base
            frame, metres; None where the style has no obstacle.

        Raises:
            ValueError: if t_seconds is not finite.
        """
        pose = self.road.pose(checked_time(t_seconds))
        if not self.style.obstacle:
            return None
        along, d = footprint(obstacle(self.road.lane_d)).T
        return np.stack(self.road.to_base(pose, pose.x + obstacle_ahead(t_seconds) + along, d), 1)

    def render(self, t_seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Draw the frame at a time.

        Args:
            t_seconds: time since the start.

        Returns:
            The frame, (H, W, 3) uint8 RGB, and its label map, (H, W) uint8 CamVid ids.

        Raises:
            ValueError: if t_seconds is not finite.
        """
        t_seconds = checked_time(t_seconds)
        pose = self.road.pose(t_seconds)
        pixels = self._background(pose)
        x, rank = self._places(t_seconds, pose.x)
        self.stage.draw(pixels, self.camera, x, rank,
                        lambda along, d: self.road.to_base(pose, along, d), self.air)
        return self._develop(pixels, t_seconds), np.ascontiguousarray(pixels[..., 3])

    def _background(self, pose: Pose) -> np.ndarray:
        """Draw sky, horizon and ground, (H, W, 4) uint8."""
        turn = int(round(self.camera.fx * pose.sin / pose.cos))
        left = (self.sky.shape[1] - self.camera.width) // 2 - turn
        view = slice(left, left + self.camera.width)
        pixels = self.sky[:, view].copy()
        mirror = None if self.mirror is None else self.mirror[:, view]
        self.ground.draw(pixels, self.road, pose, mirror, self.style.wet)
        return pixels

    def _places(self, t_seconds: float, here: float) -> tuple[np.ndarray, np.ndarray]:
        """Return where each thing is along the endless road, metres, and how far its far end.

        What has a length stands behind all that is nearer than its far end.
        """
        start, speed, length = self.motion
        ahead = start + speed * (t_seconds % LOOP_S) - here
        # What ends more than 6 m behind the vehicle is met again one loop ahead.
        ahead = (ahead + length + 6.) % LOOP_M - length - 6.
        if self.style.obstacle:   # the last of the things
            ahead[-1] = obstacle_ahead(t_seconds)
        return here + ahead, ahead + length

    def _develop(self, pixels: np.ndarray, t_seconds: float) -> np.ndarray:
        """Return the frame as the camera gives it: lens, exposure and noise, (H, W, 3) uint8."""
        rgb = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB), (3, 3), .7)
        rgb = cv2.LUT(rgb, self.lut)
        height, width = rgb.shape[:2]
        shift = zlib.crc32(struct.pack('d', t_seconds), self.seed & 0xffffffff)
        row, column = shift % GRAIN_SPARE_PX, shift // GRAIN_SPARE_PX % GRAIN_SPARE_PX
        return cv2.addWeighted(rgb, 1., self.grain[row:row + height, column:column + width], 1.,
                               -128.)


def checked_time(t_seconds: float) -> float:
    """Return a time as a float; ValueError unless it is finite."""
    if not math.isfinite(t_seconds):
        raise ValueError(f't_seconds is {t_seconds}, wanted a finite number of seconds')
    return float(t_seconds)


def check_slope(camera: Camera) -> None:
    """Check the slope before a camera; ValueError where it does not see the ground beyond."""
    slope, start = camera.slope, camera.slope_from_m
    if not -MAX_SLOPE <= slope <= MAX_SLOPE:
        raise ValueError(f'slope is {slope}, wanted -{MAX_SLOPE} to {MAX_SLOPE} radians')
    if not 0. <= start <= FAR_M:
        raise ValueError(f'slope_from_m is {start}, wanted 0 to {FAR_M:g} m')
    above = camera.height_m + math.tan(slope) * start > 0.
    if slope and not (above and camera.to_ground(0, camera.height - 1)[0] <= FAR_M):
        raise ValueError(f'slope is {slope} from {start} m on, wanted one that the camera looks '
                         'down upon')


def obstacle_ahead(t_seconds: float) -> float:
    """Return how far the obstacle's ``Thing.x`` lies ahead along the loop's axis, metres."""
    near, far = OBSTACLE_GAP_M
    swing = math.cos(2 * math.pi * (t_seconds % OBSTACLE_PERIOD_S) / OBSTACLE_PERIOD_S)
    return (far + near) / 2 + (far - near) / 2 * swing + OBSTACLE_END_M


def inside(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which points lie in a convex polygon, (N, 2), whose corners turn left."""
    found = np.ones(np.broadcast_shapes(x.shape, y.shape), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0)):
        found &= (x1 - x0) * (y - y0) >= (y1 - y0) * (x - x0)
    return found


def steps(speed_mps: float) -> float:
    """Return the nearest speed at which the loop closes, metres a second."""
    return round(speed_mps / SPEED_STEP) * SPEED_STEP
