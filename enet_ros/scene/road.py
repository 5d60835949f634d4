"""The plan of a road: its center line, the vehicle's path, and the classes of the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from enet_ros.scene.style import Style
from enet_ros.scene.surfaces import road_half_m
from enet_ros.scene.textures import PAVEMENT, ROAD, TREE

LOOP_M = 480.    # the road repeats after this
LOOP_S = 3600.   # everything repeats after this, so that time never grows beyond float32
SPEED_STEP = LOOP_M / LOOP_S   # every speed is a multiple of this, or the loop would not close


@dataclass(frozen=True)
class VehiclePose:
    """Position of the vehicle on the plan in meters, and the cosine and sine of its yaw."""

    x: float
    y: float
    cos: float
    sin: float


class Road:
    """The center line, the vehicle's path, and the classes of the ground.

    Plan coordinates are ``x`` along the loop and ``y`` to the left, in meters. The ``d`` of a
    point is its distance to the left of the center line, measured along y.

    Args:
        style: Widths, bends and the vehicle's speed.
        rng: Source of the phases of the bends.
    """

    def __init__(self, style: Style, rng: np.random.Generator):
        self.style = style
        self.lane_d = style.side * style.lane_m * (style.lanes - .5)
        self.speed = looping_speed(style.speed_mps)
        frequency = 2 * math.pi / LOOP_M
        self.bends = [(amplitude * style.curve_m, frequency * n, rng.uniform(0, 2 * math.pi))
                      for amplitude, n in ((1., 2), (.4, 3))]
        self.drift = (style.wander_m, frequency * 5, rng.uniform(0, 2 * math.pi))

    @property
    def steepest(self) -> float:
        """Largest slope of the vehicle's path against the axis of the loop."""
        return sum(a * k for a, k, _ in (*self.bends, self.drift))

    def center(self, x):
        """Return y of the center line at ``x``, in meters and in the type of ``x``."""
        return sum(a * np.sin(k * x + phase) for a, k, phase in self.bends)

    def pose(self, t_seconds: float) -> VehiclePose:
        """Return the position and heading of the vehicle at a time in seconds."""
        x = self.speed * (t_seconds % LOOP_S) % LOOP_M
        terms = [*self.bends, self.drift]
        y = sum(a * math.sin(k * x + phase) for a, k, phase in terms) + self.lane_d
        yaw = math.atan(sum(a * k * math.cos(k * x + phase) for a, k, phase in terms))
        return VehiclePose(x, y, math.cos(yaw), math.sin(yaw))

    def to_plan(self, pose: VehiclePose, x, y):
        """Convert x and y in the base frame to (plan x, d), in meters."""
        plan_x = pose.x + pose.cos * x - pose.sin * y
        return plan_x, pose.y + pose.sin * x + pose.cos * y - self.center(plan_x)

    def to_base(self, pose: VehiclePose, plan_x, d):
        """Convert plan x and d to (x, y) in the base frame, in meters; the inverse of to_plan."""
        dx, dy = plan_x - pose.x, self.center(plan_x) + d - pose.y
        return pose.cos * dx + pose.sin * dy, pose.cos * dy - pose.sin * dx

    def classes(self, x: np.ndarray, d: np.ndarray) -> np.ndarray:
        """Return the class ids of the ground, uint8, at plan coordinates x and d in meters."""
        away, half = np.abs(d), road_half_m(self.style, x, d)
        beside = np.uint8(PAVEMENT if self.style.kerb else TREE)
        verge = np.where(away <= half + self.style.pavement_m, beside, np.uint8(TREE))
        return np.where(away <= half, np.uint8(ROAD), verge)


def looping_speed(speed_mps: float) -> float:
    """Return the nearest speed at which the loop closes, in meters a second."""
    return round(speed_mps / SPEED_STEP) * SPEED_STEP
