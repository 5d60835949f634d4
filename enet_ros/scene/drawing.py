"""Draw flat faces in space, far to near, upon the drawn scene's canvas.

The canvas has four channels, RGB and the class id, so one polygon or one mask writes the picture
and its truth together and they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from enet_ros.scene.textures import Texture

NEAR_M = 1.0    # faces are cut here: nearer than this nothing fits between the frame's edges
VIEW_M = 170.   # faces farther away are not drawn
SHIFT = 4       # fractional bits of the polygon corners handed to OpenCV
MAX_PX = 30000  # OpenCV's fixed-point polygon filler overflows beyond 2**15
HAZED = np.array((1., 1., 1., 0.))   # of the four channels
STRIDE_M = .35  # of a walk, from one drawing of a walker to the next


@dataclass(frozen=True)
class Face:
    """A flat polygon of a thing.

    ``corners`` is (N, 3) float64: metres along the road from the thing's ``x``, metres left of
    the centre line, metres up. ``paint`` is an RGB colour (tuple), the light left in a shadow
    (float; the class below stays), or the textures of a parallelogram (list; top left, top right,
    bottom right, bottom left), of which the walked distance chooses one. A ``solid`` face is seen
    only from the side on which its corners turn left. Beyond ``limit_m`` it is not drawn.
    """

    corners: np.ndarray
    paint: tuple | float | list[Texture]
    class_id: int = 0
    solid: bool = False
    limit_m: float = np.inf


@dataclass(frozen=True)
class Air:
    """Haze: the distance in metres at which it hides 63 % of a thing, and its grey level."""

    range_m: float
    level: float


class Stage:
    """All faces of all things, projected together because thousands of small arrays are slow.

    Args:
        faces: for each thing, its faces, far to near.
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

    def draw(self, pixels: np.ndarray, camera, x: np.ndarray, rank: np.ndarray,
             to_base: Callable, air: Air) -> None:
        """Draw what can be seen.

        Args:
            pixels: (H, W, 4) uint8, RGB and class id, drawn upon in place.
            camera: a :class:`enet_ros.scene.road_scene.Camera`.
            x: where each thing is along the road, metres.
            rank: things of higher rank are drawn first.
            to_base: maps (along, left), metres, to (x, y) in the base frame.
            air: what hides the distance.
        """
        if not self.faces:
            return
        along = self.points[:, 0] + x[self.point_owner]
        left, up = self.points[:, 1], self.points[:, 2]
        ahead, aside = to_base(along, left)
        seen = camera.from_base(np.column_stack((ahead, aside, up + camera.rise(ahead))))
        corners = camera.to_pixels(np.column_stack((seen[:, :2], np.maximum(seen[:, 2], NEAR_M))))
        order = self._order(seen, corners, rank, pixels.shape)
        depth = np.add.reduceat(seen[:, 2], self.starts) / (self.ends - self.starts)
        haze = 1. - np.exp(-np.maximum(depth, 0.) / air.range_m)
        colors = self.colors * (1. - haze[:, None] * HAZED) + air.level * haze[:, None] * HAZED
        fixed = fixed_point(corners)
        for i in order.tolist():
            span = slice(self.starts[i], self.ends[i])
            brush = Brush(pixels, camera, seen[span], corners[span], fixed[span])
            if brush.cut():
                self._draw_face(brush, i, colors[i], (float(haze[i]), air.level),
                                x[self.owner[i]])

    def _order(self, seen: np.ndarray, corners: np.ndarray, rank: np.ndarray,
               shape: tuple) -> np.ndarray:
        """Return the indices of the faces that may be in the frame, far to near."""
        nearest = np.minimum.reduceat(seen[:, 2], self.starts)
        farthest = np.maximum.reduceat(seen[:, 2], self.starts)
        low = np.minimum.reduceat(corners, self.starts)
        high = np.maximum.reduceat(corners, self.starts)
        framed = (high >= 0).all(1) & (low <= (shape[1] - 1, shape[0] - 1)).all(1)
        first = seen[self.starts]
        normal = np.cross(seen[self.starts + 1] - first, seen[self.starts + 2] - first)
        facing = ~self.solid | ((normal * first).sum(1) < 0)
        visible = np.flatnonzero((framed | (nearest < NEAR_M)) & facing & (farthest > NEAR_M)
                                 & (nearest < np.minimum(self.limit_m, VIEW_M)))
        return visible[np.argsort(-rank[self.owner[visible]], kind='stable')]

    def _draw_face(self, brush: Brush, i: int, color: np.ndarray, veil: tuple,
                   x: float) -> None:
        """Draw face ``i``, of a thing at ``x`` metres, with its hazed colour or picture."""
        face = self.faces[i]
        if isinstance(face.paint, tuple):
            brush.fill(color.tolist())
        elif isinstance(face.paint, list):
            step = int(x / STRIDE_M) % len(face.paint) if len(face.paint) > 1 else 0
            brush.picture(face.paint[step], face.class_id, veil)
        else:
            brush.darken(face.paint)


class Brush:
    """One projected face, ready to be filled.

    Args:
        pixels: (H, W, 4) uint8, drawn upon in place.
        camera: a :class:`enet_ros.scene.road_scene.Camera`.
        seen: (N, 3) camera coordinates, metres.
        corners: (N, 2) their pixels; right where no depth is below NEAR_M.
        fixed: (N, 2) int32, the same in OpenCV's fixed point.
    """

    def __init__(self, pixels: np.ndarray, camera, seen: np.ndarray, corners: np.ndarray,
                 fixed: np.ndarray):
        self.pixels, self.camera = pixels, camera
        self.seen, self.corners, self.fixed = seen, corners, fixed

    def cut(self) -> bool:
        """Cut the face at the near plane; False when too little is left."""
        if min(self.seen[:, 2].tolist()) < NEAR_M:
            kept = cut_near(self.seen)
            self.corners = self.camera.to_pixels(kept)
            self.fixed = fixed_point(self.corners)
            return len(kept) > 2
        return True

    def fill(self, color: list[float]) -> None:
        """Fill the face; color is RGB and class id."""
        cv2.fillPoly(self.pixels, [self.fixed], color, shift=SHIFT)

    def darken(self, light: float) -> None:
        """Multiply the colours inside the face by ``light``; the class ids stay."""
        (left, top), area = self.box()
        if not area.size:
            return
        mask = np.zeros(area.shape[:2], np.uint8)
        cv2.fillPoly(mask, [self.fixed - np.int32((left << SHIFT, top << SHIFT))], 1, shift=SHIFT)
        dark = cv2.convertScaleAbs(area, alpha=light)
        cv2.mixChannels([area], [dark], (3, 3))
        cv2.copyTo(dark, mask, area)

    def box(self) -> tuple[tuple[int, int], np.ndarray]:
        """Return the origin and the pixels of the face's bounding box in the frame."""
        columns, rows = self.corners.T.tolist()
        left, top = max(int(min(columns)), 0), max(int(min(rows)), 0)
        right, bottom = max(int(max(columns)) + 2, left), max(int(max(rows)) + 2, top)
        return (left, top), self.pixels[top:bottom, left:right]

    def picture(self, texture: Texture, class_id: int, veil: tuple[float, float]) -> None:
        """Draw a texture upon the parallelogram; texels below half opacity are left out.

        Args:
            texture: what to draw.
            class_id: of every pixel drawn.
            veil: share of the air in its colours, and the air's grey level.
        """
        (left, top), area = self.box()
        if not area.size:
            return
        source = texture.level_for(cv2.contourArea(self.corners.astype(np.float32)))
        to_box = self._texels_to_pixels(source.shape)
        to_box[:2] -= to_box[2] * np.array([[left], [top]])
        regular, to_source = cv2.invert(to_box)
        if not regular:   # seen exactly edge-on: no area
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
        """Return the homography, (3, 3), from a texture of that shape to the frame."""
        origin, right, _, bottom = self.seen
        across, down = (right - origin) / shape[1], (bottom - origin) / shape[0]
        return self.camera.k @ np.array((across, down, origin + .5 * across + .5 * down)).T


def cut_near(points: np.ndarray) -> np.ndarray:
    """Cut a polygon (N, 3) at depth NEAR_M (Sutherland and Hodgman, one plane)."""
    kept = []
    for a, b in zip(points, np.roll(points, -1, axis=0)):
        if a[2] >= NEAR_M:
            kept.append(a)
        if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
            kept.append(a + (b - a) * (NEAR_M - a[2]) / (b[2] - a[2]))
    return np.array(kept).reshape(-1, 3)


def fixed_point(corners: np.ndarray) -> np.ndarray:
    """Return (N, 2) pixels as the int32 that ``cv2.fillPoly`` takes with SHIFT."""
    return np.rint(np.clip(corners, -MAX_PX, MAX_PX) * (1 << SHIFT)).astype(np.int32)
