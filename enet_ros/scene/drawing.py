"""Draw flat faces in space, from far to near, on the canvas of a synthetic street.

The canvas has four channels, RGB and the class id. One polygon or one mask writes the image and
its true labels together, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from enet_ros.scene.camera import Camera
from enet_ros.scene.textures import Texture

NEAR_M = 1.0    # faces are cut at this depth: nearer ones are wider than the frame
VIEW_M = 170.   # faces farther away are not drawn
SHIFT = 4       # fractional bits of the polygon corners handed to OpenCV
MAX_PX = 30000  # OpenCV's fixed-point polygon filler overflows above 2**15
HAZED = np.array((1., 1., 1., 0.))   # of the four channels
GLOWING = 250   # all channels of what gives light itself have at least this
STRIDE_M = .35  # walked distance between two textures of a pedestrian


@dataclass(frozen=True)
class Face:
    """A flat polygon of an object.

    Attributes:
        corners: (N, 3) float64 meters: along the road from the object's ``x``, left of the center
            line, and up.
        paint: An RGB color (tuple); the light that a shadow leaves (float), which keeps the
            class ids below; or the textures of a parallelogram (list), whose corners are top
            left, top right, bottom right and bottom left. The walked distance chooses the texture.
        class_id: Class of the face, unless it is a shadow.
        solid: Whether the face is visible only from the side on which its corners turn left.
        limit_m: Depth in meters beyond which the face is not drawn.
    """

    corners: np.ndarray
    paint: tuple | float | list[Texture]
    class_id: int = 0
    solid: bool = False
    limit_m: float = np.inf


@dataclass(frozen=True)
class Air:
    """Haze: the distance in meters at which it hides 63 % of an object, and its gray level."""

    range_m: float
    level: float


class Renderer:
    """All faces of all objects, projected together because thousands of small arrays are slow.

    Args:
        faces: The faces of each object, from far to near.
    """

    def __init__(self, faces: list[list[Face]]):
        self.faces = [face for group in faces for face in group]
        self.owner = np.repeat(np.arange(len(faces)), [len(group) for group in faces])
        counts = np.array([len(face.corners) for face in self.faces], int)
        self.ends = np.cumsum(counts)
        self.starts = self.ends - counts
        self.points = np.concatenate([face.corners for face in self.faces] or [np.empty((0, 3))])
        self.point_owner = np.repeat(self.owner, counts)
        self.solid = np.array([face.solid for face in self.faces], bool)
        self.limit_m = np.array([face.limit_m for face in self.faces])
        self.colors = np.array([(*face.paint, face.class_id) if isinstance(face.paint, tuple)
                                else (0, 0, 0, 0) for face in self.faces], float).reshape(-1, 4)

    def draw(self, canvas: np.ndarray, camera: Camera, x: np.ndarray, rank: np.ndarray,
             to_base: Callable, air: Air) -> None:
        """Draw the visible faces.

        Args:
            canvas: (H, W, 4) uint8, RGB and class id; drawn upon in place.
            camera: The camera.
            x: (objects,) positions along the road in meters.
            rank: (objects,) numbers; objects of higher rank are drawn first.
            to_base: Maps (along, left) in meters to (x, y) in the base frame.
            air: The haze.
        """
        if not self.faces:
            return
        along = self.points[:, 0] + x[self.point_owner]
        left, up = self.points[:, 1], self.points[:, 2]
        ahead, aside = to_base(along, left)
        points = camera.from_base(np.column_stack((ahead, aside, up + camera.rise(ahead))))
        corners = camera.to_pixels(
            np.column_stack((points[:, :2], np.maximum(points[:, 2], NEAR_M))))
        order = self._order(points, corners, rank, canvas.shape)
        depth = np.add.reduceat(points[:, 2], self.starts) / (self.ends - self.starts)
        haze = 1. - np.exp(-np.maximum(depth, 0.) / air.range_m)
        haze[self.colors[:, :3].min(1) >= GLOWING] = 0.
        colors = self.colors * (1. - haze[:, None] * HAZED) + air.level * haze[:, None] * HAZED
        fixed = fixed_point(corners)
        for i in order.tolist():
            span = slice(self.starts[i], self.ends[i])
            brush = Brush(canvas, camera, points[span], corners[span], fixed[span])
            if brush.clip():
                self._draw_face(brush, i, colors[i], (float(haze[i]), air.level),
                                x[self.owner[i]])

    def _order(self, points: np.ndarray, corners: np.ndarray, rank: np.ndarray,
               shape: tuple) -> np.ndarray:
        """Return the indices of the faces that may be in the frame, from far to near."""
        nearest = np.minimum.reduceat(points[:, 2], self.starts)
        farthest = np.maximum.reduceat(points[:, 2], self.starts)
        low = np.minimum.reduceat(corners, self.starts)
        high = np.maximum.reduceat(corners, self.starts)
        framed = (high >= 0).all(1) & (low <= (shape[1] - 1, shape[0] - 1)).all(1)
        first = points[self.starts]
        normal = np.cross(points[self.starts + 1] - first, points[self.starts + 2] - first)
        facing = ~self.solid | ((normal * first).sum(1) < 0)
        visible = np.flatnonzero((framed | (nearest < NEAR_M)) & facing & (farthest > NEAR_M)
                                 & (nearest < np.minimum(self.limit_m, VIEW_M)))
        return visible[np.argsort(-rank[self.owner[visible]], kind='stable')]

    def _draw_face(self, brush: Brush, i: int, color: np.ndarray, veil: tuple[float, float],
                   x: float) -> None:
        """Draw face ``i`` of an object at ``x`` meters with its hazed color or texture."""
        face = self.faces[i]
        if isinstance(face.paint, tuple):
            brush.fill(color.tolist())
        elif isinstance(face.paint, list):
            step = int(x / STRIDE_M) % len(face.paint) if len(face.paint) > 1 else 0
            brush.draw_texture(face.paint[step], face.class_id, veil)
        else:
            brush.darken(face.paint)


class Brush:
    """One projected face, ready to be filled.

    Args:
        canvas: (H, W, 4) uint8, drawn upon in place.
        camera: The camera.
        points: (N, 3) corners in the camera frame, in meters.
        corners: (N, 2) corners in pixels, valid if no depth is below NEAR_M.
        fixed: (N, 2) int32, the same in OpenCV's fixed point.
    """

    def __init__(self, canvas: np.ndarray, camera: Camera, points: np.ndarray,
                 corners: np.ndarray, fixed: np.ndarray):
        self.canvas, self.camera = canvas, camera
        self.points, self.corners, self.fixed = points, corners, fixed

    def clip(self) -> bool:
        """Clip the face at the near plane; return False when too little is left."""
        if min(self.points[:, 2].tolist()) < NEAR_M:
            kept = clip_near(self.points)
            self.corners = self.camera.to_pixels(kept)
            self.fixed = fixed_point(self.corners)
            return len(kept) > 2
        return True

    def fill(self, color: list[float]) -> None:
        """Fill the face with a color: RGB and class id."""
        cv2.fillPoly(self.canvas, [self.fixed], color, shift=SHIFT)

    def darken(self, light: float) -> None:
        """Multiply the colors inside the face by ``light``; the class ids stay.

        A light above 1, as of a lamp, brightens the face, at most to ``GLOWING`` - 1.
        """
        (left, top), area = self.bounding_box()
        if not area.size:
            return
        mask = np.zeros(area.shape[:2], np.uint8)
        cv2.fillPoly(mask, [self.fixed - np.int32((left << SHIFT, top << SHIFT))], 1, shift=SHIFT)
        dark = cv2.convertScaleAbs(area, alpha=light)
        if light > 1.:   # what is lit does not glow itself
            dark = np.minimum(dark, GLOWING - 1)
        cv2.mixChannels([area], [dark], (3, 3))
        cv2.copyTo(dark, mask, area)

    def bounding_box(self) -> tuple[tuple[int, int], np.ndarray]:
        """Return the (left, top) corner and the canvas of the face's bounding box."""
        columns, rows = self.corners.T.tolist()
        left, top = max(int(min(columns)), 0), max(int(min(rows)), 0)
        right, bottom = max(int(max(columns)) + 2, left), max(int(max(rows)) + 2, top)
        return (left, top), self.canvas[top:bottom, left:right]

    def draw_texture(self, texture: Texture, class_id: int, veil: tuple[float, float]) -> None:
        """Draw a texture on the parallelogram; texels below half opacity are left out.

        Args:
            texture: The texture.
            class_id: Class of every pixel that is drawn.
            veil: Share of the haze in the colors, in [0, 1], and the gray level of the haze.
        """
        (left, top), area = self.bounding_box()
        if not area.size:
            return
        source = texture.level_for(cv2.contourArea(self.corners.astype(np.float32)))
        to_box = self._texels_to_pixels(source.shape)
        to_box[:2] -= to_box[2] * np.array([[left], [top]])
        regular, to_source = cv2.invert(to_box)
        if not regular:   # viewed exactly edge-on: no area
            return
        patch = cv2.warpPerspective(source, to_source, area.shape[1::-1],
                                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        mask = cv2.compare(cv2.extractChannel(patch, 3), 127, cv2.CMP_GT)
        haze, level = veil
        if haze > .03:
            patch = cv2.convertScaleAbs(patch, alpha=1. - haze, beta=haze * level)
        cv2.insertChannel(np.full(mask.shape, class_id, np.uint8), patch, 3)
        cv2.copyTo(patch, mask, area)

    def _texels_to_pixels(self, shape: tuple) -> np.ndarray:
        """Return the (3, 3) homography from a texture of a shape to the frame."""
        origin, right, _, bottom = self.points
        across, down = (right - origin) / shape[1], (bottom - origin) / shape[0]
        return self.camera.k @ np.array((across, down, origin + .5 * across + .5 * down)).T


def clip_near(points: np.ndarray) -> np.ndarray:
    """Clip a polygon (N, 3) at depth NEAR_M (Sutherland and Hodgman, for one plane)."""
    kept = []
    for a, b in zip(points, np.roll(points, -1, axis=0)):
        if a[2] >= NEAR_M:
            kept.append(a)
        if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
            kept.append(a + (b - a) * (NEAR_M - a[2]) / (b[2] - a[2]))
    return np.array(kept).reshape(-1, 3)


def fixed_point(corners: np.ndarray) -> np.ndarray:
    """Convert (N, 2) pixels to the int32 fixed point that ``cv2.fillPoly`` takes with SHIFT."""
    return np.rint(np.clip(corners, -MAX_PX, MAX_PX) * (1 << SHIFT)).astype(np.int32)
