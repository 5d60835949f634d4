"""A synthetic street in motion, with the exact class of every pixel.

A pinhole camera moves above the ground z = 0 of a base frame (REP 103: x forward, y left, z up, in
meters). Its origin lies on the ground below the camera. The road follows a gently curved center
line and repeats every LOOP_M meters.

The ground's classes are computed at each pixel's center from that geometry. Objects are drawn on
it from far to near, and the same polygons write their color and their class.

For tests of a planner's input a style may add a car ahead whose footprint is known in meters
(``obstacle``), and may let the ground rise (``slope``).
"""

from __future__ import annotations

import math
import struct
import zlib

import cv2
import numpy as np

from enet_ros.scene import objects, structures
from enet_ros.scene.camera import Camera, check_slope
from enet_ros.scene.drawing import Air, Renderer
from enet_ros.scene.ground import Ground
from enet_ros.scene.night import at_night, lamps_in, light_map
from enet_ros.scene.objects import OBSTACLE_END_M, footprint, layout, obstacle
from enet_ros.scene.road import LOOP_M, LOOP_S, SPEED_STEP, Road, VehiclePose
from enet_ros.scene.structures import add_structures
from enet_ros.scene.style import LIGHTS, Style, random_style, varied_style
from enet_ros.scene.textures import (
    CAR,
    make_textures,
    mirrored_sky,
    paint_sky,
    sensor_noise,
    tone_curve,
)

#: Maker of the faces of each kind of object, and the kinds that extend along the road.
MAKERS = {**objects.FACES, **structures.FACES}
LONG_KINDS = objects.LONG + structures.LONG

MIN_SIZE_PX = 32
OBSTACLE_GAP_M = (6., 20.)   # from below the camera to the obstacle's rear, along the loop
OBSTACLE_PERIOD_S = 20.      # from one largest gap to the next; LOOP_S is a multiple of it
GRAIN_SPARE_PX = 61   # the sensor noise is shifted by up to this, frame by frame


class RoadScene:
    """A drive through a synthetic town.

    The same seed, size, style and time give the same bytes, whatever was rendered before.

    Args:
        width: Width of the frames in pixels, at least 32.
        height: Height of the frames in pixels, at least 32.
        seed: Seed of the objects and their places.
        style: The style; daylight when None.

    Raises:
        ValueError: A size is not a whole number of at least 32, the seed is negative, or the slope
            cannot be drawn.
    """

    def __init__(self, width: int = 640, height: int = 360, seed: int = 0,
                 style: Style | None = None):
        for name, size in (('width', width), ('height', height)):
            if not MIN_SIZE_PX <= size < math.inf or size % 1:
                raise ValueError(f'{name} is {size}, wanted a whole number of {MIN_SIZE_PX} '
                                 'pixels or more')
        if seed < 0:
            raise ValueError(f'seed is {seed}, wanted 0 or more')
        self.style, self.seed = style or Style(), int(seed)
        self.light = LIGHTS[self.style.light]
        focal = self.style.focal * width
        self.camera = Camera(int(width), int(height), focal, focal, (width - 1) / 2,
                             (height - 1) / 2, self.style.camera_height_m, self.style.pitch_rad,
                             self.style.slope, self.style.slope_from_m)
        check_slope(self.camera)
        rng = np.random.default_rng(self.seed)
        self.road = Road(self.style, rng)
        items = add_structures(layout(self.style, LOOP_M, SPEED_STEP, rng), self.style, LOOP_M,
                               np.random.default_rng((self.seed, 2)))
        if self.style.obstacle:
            items.append(obstacle(self.road.lane_d))
        self.motion = np.array([
            (item.x, item.speed, item.size[0] if item.kind in LONG_KINDS else 0.)
            for item in items]).reshape(-1, 3).T
        textures = make_textures(self.style, self.light.shade, rng)
        self.renderer = Renderer([MAKERS[item.kind](item, textures) for item in items])
        self.air = Air(self.light.haze_m, float(np.mean(self.light.horizon)))
        self.ground = Ground(self.style, self.camera, rng)
        margin = int(math.ceil(self.camera.fx * self.road.steepest))
        self.sky = paint_sky(self.light, self.camera, margin, self.style.tree_color, rng)
        self.mirror = mirrored_sky(self.sky, self.camera, self.ground.top, self.style.wet)
        self.lut = tone_curve(self.light)
        self.lit = light_map(self.light, self.camera) if self.light.is_night else None
        self.grain = sensor_noise(rng, self.camera, self.style.noise, GRAIN_SPARE_PX)

    @classmethod
    def random(cls, seed: int, width: int = 640, height: int = 360, *,
               varied: bool = False) -> RoadScene:
        """Return a scene whose style also comes from ``seed``.

        Args:
            seed: Number of the scene.
            width: Width of the frames in pixels.
            height: Height of the frames in pixels.
            varied: Whether it may be any road of :func:`enet_ros.scene.style.varied_style`,
                instead of a street of a town by day.
        """
        draw = varied_style if varied else random_style
        return cls(width, height, seed, draw(np.random.default_rng((seed, 1))))

    def ground_truth(self, x, y, t_seconds: float = 0.) -> np.ndarray:
        """Return the class of the ground, where the style's obstacle alone counts as an object.

        Args:
            x: Distance ahead of the vehicle in the base frame in meters, of any shape. On a slope
                it is measured in the base frame as well, not along the slope.
            y: Distance to the left in meters, of the same shape.
            t_seconds: Time since the start in seconds.

        Returns:
            CamVid ids, uint8, of that shape.

        Raises:
            ValueError: t_seconds is not finite.
        """
        pose = self.road.pose(checked_time(t_seconds))
        x, y = np.asarray(x, float), np.asarray(y, float)
        classes = self.road.classes(*self.road.to_plan(pose, x, y))
        corners = self.obstacle(t_seconds)
        return classes if corners is None else np.where(inside(corners, x, y), np.uint8(CAR),
                                                        classes)

    def obstacle(self, t_seconds: float) -> np.ndarray | None:
        """Return the footprint of the obstacle, a car in our lane whose hull reaches the ground.

        The distance to its rear swings between the two values of OBSTACLE_GAP_M. It is a cosine
        with a period of OBSTACLE_PERIOD_S that starts at the larger value.

        Args:
            t_seconds: Time since the start in seconds.

        Returns:
            (4, 2) float64 x and y of rear right, front right, front left and rear left in the base
            frame, in meters; None if the style has no obstacle.

        Raises:
            ValueError: t_seconds is not finite.
        """
        pose = self.road.pose(checked_time(t_seconds))
        if not self.style.obstacle:
            return None
        along, d = footprint(obstacle(self.road.lane_d)).T
        return np.stack(self.road.to_base(pose, pose.x + obstacle_ahead(t_seconds) + along, d), 1)

    def render(self, t_seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Render the frame at a time.

        Args:
            t_seconds: Time since the start in seconds.

        Returns:
            The frame, (H, W, 3) uint8 RGB, and its label map, (H, W) uint8 CamVid ids.

        Raises:
            ValueError: t_seconds is not finite.
        """
        t_seconds = checked_time(t_seconds)
        pose = self.road.pose(t_seconds)
        canvas = self._background(pose)
        x, rank = self._places(t_seconds, pose.x)
        self.renderer.draw(canvas, self.camera, x, rank,
                           lambda along, d: self.road.to_base(pose, along, d), self.air)
        return self._develop(canvas, t_seconds), np.ascontiguousarray(canvas[..., 3])

    def _background(self, pose: VehiclePose) -> np.ndarray:
        """Draw sky, horizon and ground, (H, W, 4) uint8."""
        yaw_px = int(round(self.camera.fx * pose.sin / pose.cos))
        left = (self.sky.shape[1] - self.camera.width) // 2 - yaw_px
        view = slice(left, left + self.camera.width)
        canvas = self.sky[:, view].copy()
        mirror = None if self.mirror is None else self.mirror[:, view]
        self.ground.draw(canvas, self.road, pose, mirror, self.style.wet)
        return canvas

    def _places(self, t_seconds: float, here: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of the objects along the endless road, and of their far ends.

        An object with a length is drawn before everything that is nearer than its far end.
        """
        start, speed, length = self.motion
        ahead = start + speed * (t_seconds % LOOP_S) - here
        # An object that ends more than 6 m behind the vehicle appears again one loop ahead.
        ahead = (ahead + length + 6.) % LOOP_M - length - 6.
        if self.style.obstacle:   # the last of the objects
            ahead[-1] = obstacle_ahead(t_seconds)
        return here + ahead, ahead + length

    def _develop(self, canvas: np.ndarray, t_seconds: float) -> np.ndarray:
        """Apply the lens, exposure and noise of the camera; return (H, W, 3) uint8 RGB."""
        drawn = cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB)
        rgb = cv2.LUT(cv2.GaussianBlur(drawn, (3, 3), .7), self.lut)
        if self.lit is not None:
            rgb = at_night(rgb, self.lit, lamps_in(drawn))
        height, width = rgb.shape[:2]
        shift = zlib.crc32(struct.pack('d', t_seconds), self.seed & 0xffffffff)
        row, column = shift % GRAIN_SPARE_PX, shift // GRAIN_SPARE_PX % GRAIN_SPARE_PX
        return cv2.addWeighted(rgb, 1., self.grain[row:row + height, column:column + width], 1.,
                               -128.)


def checked_time(t_seconds: float) -> float:
    """Return a time in seconds as a float.

    Raises:
        ValueError: The time is not finite.
    """
    if not math.isfinite(t_seconds):
        raise ValueError(f't_seconds is {t_seconds}, wanted a finite number of seconds')
    return float(t_seconds)


def obstacle_ahead(t_seconds: float) -> float:
    """Return how far ahead the obstacle's ``x`` lies along the axis of the loop, in meters."""
    near, far = OBSTACLE_GAP_M
    swing = math.cos(2 * math.pi * (t_seconds % OBSTACLE_PERIOD_S) / OBSTACLE_PERIOD_S)
    return (far + near) / 2 + (far - near) / 2 * swing + OBSTACLE_END_M


def inside(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which points lie in a convex polygon, (N, 2), whose corners turn left."""
    is_inside = np.ones(np.broadcast_shapes(x.shape, y.shape), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0)):
        is_inside &= (x1 - x0) * (y - y0) >= (y1 - y0) * (x - x0)
    return is_inside
