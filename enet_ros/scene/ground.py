"""The ground of a synthetic street as its camera sees it."""

from __future__ import annotations

import cv2
import numpy as np

from enet_ros.scene.camera import FAR_M, Camera
from enet_ros.scene.road import Road, VehiclePose
from enet_ros.scene.style import Style
from enet_ros.scene.surfaces import paint_country_ground
from enet_ros.scene.textures import (
    GROUND_HALF_M,
    GROUND_LEVELS,
    GROUND_LOOP_M,
    TEXEL_M,
    ground_levels,
    paint_ground,
)


class Ground:
    """The point of the ground behind each pixel, and the painted texture there.

    Distances are float32 for speed. A class border is then exact to 0.1 mm at FAR_M.

    Args:
        style: Widths and colors.
        camera: The camera that sees the ground.
        rng: Source of randomness.
    """

    def __init__(self, style: Style, camera: Camera, rng: np.random.Generator):
        rows = np.arange(camera.height)[:, None]
        x, y = camera.to_ground(np.arange(camera.width), rows)
        self.top = int(np.count_nonzero(~(x[:, 0] <= FAR_M)))
        self.x = x[self.top:, :1].astype(np.float32)
        self.y = y[self.top:].astype(np.float32)
        paint = paint_ground if style.kerb else paint_country_ground
        self.levels = ground_levels(paint(style, rng))
        self.bands = self._bands(camera)

    def _bands(self, camera: Camera) -> list[tuple[int, int, int]]:
        """Split the rows into (level, first row, end row) whose texels are about a pixel long."""
        along = np.array([factor for factor, _ in GROUND_LEVELS]) * TEXEL_M
        pixel_m = self.x[:, 0] ** 2 / (camera.fy * camera.height_m)
        level = np.clip(np.searchsorted(along, pixel_m) - 1, 0, None)
        cuts = [0, *(np.flatnonzero(np.diff(level)) + 1), len(level)]
        return [(int(level[a]), int(a), int(b)) for a, b in zip(cuts, cuts[1:]) if b > a]

    def draw(self, canvas: np.ndarray, road: Road, pose: VehiclePose, mirror: np.ndarray | None,
             wet: float) -> None:
        """Draw the colors and classes of the ground.

        Args:
            canvas: (H, W, 4) uint8, RGB and class id; drawn upon in place.
            road: The plan of the road.
            pose: Where the vehicle is.
            mirror: What wet ground reflects, see ``textures.mirrored_sky``; None if it is dry.
            wet: Wetness of the style, in [0, 1].
        """
        plan_x, d = road.to_plan(pose, self.x, self.y)
        plan_x -= GROUND_LOOP_M * np.floor(plan_x / GROUND_LOOP_M)
        left = np.clip(GROUND_HALF_M - d, 0., 2 * GROUND_HALF_M - TEXEL_M)
        below = canvas[self.top:]
        for level, first, end in self.bands:
            texture, (along, across) = self.levels[level], GROUND_LEVELS[level]
            cv2.remap(texture, plan_x[first:end] / (along * TEXEL_M) + 1.5,
                      left[first:end] / (across * TEXEL_M) - .5, cv2.INTER_LINEAR,
                      below[first:end], cv2.BORDER_REPLICATE)
        if mirror is not None:
            cv2.addWeighted(below, 1. - .5 * wet, mirror, 1., 0., below)
        below[..., 3] = road.classes(plan_x, d)
