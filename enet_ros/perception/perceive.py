"""A segmentation to the drivable area, and to the ground in meters. Arrays only.

:meth:`Perceiver.perceive` computes the mask if an output needs it. What only one output needs is
computed by a method of :class:`Perception` when that output asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto

import numpy as np

from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.drivable import (
    DrivableFilter,
    drivable_confidence,
    drivable_contours,
    drivable_fraction,
    drivable_mask,
    labels_above_floor,
)
from enet_ros.perception.grid import rolling_grid
from enet_ros.perception.ground_tables import GroundTables
from enet_ros.perception.planner_outputs import (
    free_space_scan,
    ground_contours,
    nearest_edge,
    obstacle_points,
)
from enet_ros.perception.segmenter import Segmentation, unknown_where


class Need(Flag):
    """What an output is made from, beside the labels."""

    NOTHING = 0
    CONFIDENCE = auto()
    MASK = auto()
    CALIBRATION = auto()
    GROUND = auto()
    VIEW = auto()  # where the camera sees the scene, if not everywhere
    LOCATION = CALIBRATION | GROUND | VIEW


@dataclass(frozen=True)
class DrivableSummary:
    """The drivable area of a frame in numbers.

    Attributes:
        fraction: Share of the image that is drivable, 0 to 1.
        confidence: Mean confidence of the drivable pixels, or NaN if there are none.
        contours_px: (N, 2) float32 contours, in pixels of the published size.
        nearest_edge_m: Distance to the first ground ahead that is not drivable. It is
            +inf if it is free to the end of the range. It is NaN if it is unknown, if the strip
            is not seen in its full width that far, or without a ground.
        contours_m: (N, 2) float32 contours on the ground, in meters. There are none without a
            ground.
    """

    fraction: float
    confidence: float
    contours_px: list[np.ndarray]
    nearest_edge_m: float = float('nan')
    contours_m: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Perception:
    """The perception of one frame, at the network's size, in the orientation of the camera.

    Attributes:
        labels: (H, W) uint8; 255 is unknown.
        camera_settings: Settings that the frame was perceived by.
        confidence: (H, W) float32 in [0, 1], or None if it was not requested.
        mask: (H, W) uint8: 255 is drivable, 0 is not drivable or unknown. It is None if no output
            needs it.
        ground: Tables of the ground, or None.
    """

    labels: np.ndarray
    camera_settings: CameraSettings
    confidence: np.ndarray | None = None
    mask: np.ndarray | None = None
    ground: GroundTables | None = None

    def drivable_summary(self, size: tuple[int, int]) -> DrivableSummary:
        """Summarize the drivable area. It needs the mask and the confidence.

        Args:
            size: (width, height) of the image in whose pixels the contours are returned.
        """
        in_pixels = (drivable_fraction(self.mask), drivable_confidence(self.mask, self.confidence),
                     drivable_contours(self.mask, size))
        if self.ground is None:
            return DrivableSummary(*in_pixels)
        return DrivableSummary(
            *in_pixels, nearest_edge(self.mask, self.labels, self.ground.path),
            tuple(ground_contours(self.mask, self.ground.table)))

    def obstacles(self) -> np.ndarray:
        """Return (N, 3) float32 points of the border of obstacles; see ``obstacle_points``."""
        height_m = self.camera_settings.settings.ground.obstacle_height
        return obstacle_points(self.mask, self.ground.table, height_m)

    def free_space(self) -> np.ndarray:
        """Return the (rays,) float32 ranges of the scan in meters; see ``free_space_scan``."""
        return free_space_scan(self.mask, self.labels, self.ground.scan)

    def grid(self) -> np.ndarray:
        """Return the (height, width) int8 cells of the grid; see ``rolling_grid``."""
        return rolling_grid(self.mask, self.labels, self.ground.grid)


class Perceiver:
    """Perceives the frames of one camera, one after the other.

    One thread calls it.

    Attributes:
        drivable_filter: The temporal filter, which remembers the frames before.
        vote_group: That of the last frame.
    """

    def __init__(self):
        self.drivable_filter = DrivableFilter()
        self.vote_group: tuple = ()
        self._camera_settings: CameraSettings | None = None  # of the last frame with a mask

    def forget(self) -> None:
        """Forget the earlier frames, so that none of them votes again."""
        self.drivable_filter.clear()

    def perceive(self, segmentation: Segmentation, camera_settings: CameraSettings, *,
                 needs: Need, order_sec: float = 0.0, vote_group: tuple = (),
                 ground: GroundTables | None = None,
                 unseen: np.ndarray | None = None) -> Perception:
        """Perceive a frame. Only what the requested outputs need is computed.

        Args:
            segmentation: Labels and confidence of the network's size.
            camera_settings: Settings of the camera.
            needs: What the requested outputs are made from.
            order_sec: Time by which the frame votes.
            vote_group: What frames must have in common to vote together. The temporal filter
                forgets the frames of another group.
            ground: Tables of the ground, for outputs in meters.
            unseen: (H, W) uint8, 255 where the camera does not see the scene. The labels become
                unknown there. None if it sees it everywhere.
        """
        mask = None
        if unseen is not None:
            segmentation = unknown_where(segmentation, unseen)
        if Need.MASK in needs:
            if vote_group != self.vote_group:
                self.vote_group = vote_group
                self.forget()
            if camera_settings is not self._camera_settings:
                self._take(camera_settings)
            labels = labels_above_floor(segmentation.labels, segmentation.confidence,
                                        camera_settings.settings.confidence_floor)
            mask = self.drivable_filter.update(
                drivable_mask(labels, camera_settings.drivable_lut), labels, order_sec)
        return Perception(segmentation.labels, camera_settings, segmentation.confidence, mask,
                          ground)

    def _take(self, camera_settings: CameraSettings) -> None:
        """Replace the settings. If the drivable classes changed, forget the earlier votes."""
        before, self._camera_settings = self._camera_settings, camera_settings
        if before is not None and not np.array_equal(before.drivable_lut,
                                                     camera_settings.drivable_lut):
            self.forget()
        self.drivable_filter.settings = camera_settings.settings.drivable
