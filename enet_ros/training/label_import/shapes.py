"""What people draw: shapes with a label, and the pixels that each covers.

Coordinates are those of the tools: the corner of the image is (0, 0), and the center of its first
pixel is (0.5, 0.5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

#: Greatest coordinate of a shape, in pixels: beyond any image, and far from where floats overflow.
MAX_COORDINATE = 1e6


class ImportLabelsError(ValueError):
    """An export that cannot be imported. The message names the file or frame, and what to do."""


#: (width, height) of a frame -> (height, width) bool, the pixels of a shape.
Paint = Callable[[tuple[int, int]], np.ndarray]


@dataclass(frozen=True)
class Shape:
    """A shape that somebody drew.

    Attributes:
        label: Name of its class, as the export writes it.
        paint: Returns its pixels. It raises ImportLabelsError if the shape does not fit the frame.
    """

    label: str
    paint: Paint


@dataclass(frozen=True)
class DrawnFrame:
    """A frame of an export.

    Attributes:
        name: Path of the image, as the export writes it.
        shapes: Shapes from the lowest to the uppermost.
        size: (width, height) on which they were drawn, or None if the export does not say it.
        image: Content of the image file where the export holds it, or None.
        paths: Paths in the export at which the image may lie, the likeliest first. Empty where
            the export does not say it.
    """

    name: str
    shapes: tuple[Shape, ...]
    size: tuple[int, int] | None = None
    image: bytes | None = None
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Export:
    """The content of an export.

    Attributes:
        tool: Tool and format, for people.
        frames: Frames in the order of the export.
        labels: Name of each label -> its RGB color, or None where the export has none.
        ignored: Kind of annotation that has no area -> how many there are.
        remarks: Sentences about what was left out.
    """

    tool: str
    frames: list[DrawnFrame]
    labels: dict[str, tuple[int, int, int] | None] = field(default_factory=dict)
    ignored: Counter = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)


def polygon(label: str, points: Sequence[Sequence[float]]) -> Shape:
    """Return a shape of a polygon.

    Args:
        label: Name of its class.
        points: x and y of each corner, in pixels. Parts outside the frame are cut off.

    Raises:
        ImportLabelsError: It has fewer than three corners, or a corner is no pair of numbers or
            too far away.
    """
    try:
        corners = np.array(points, float)
    except (TypeError, ValueError):
        corners = np.empty((0, 0))
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise ImportLabelsError(f"a polygon of '{label}' has corners that are no pairs of numbers")
    if len(corners) < 3:
        raise ImportLabelsError(f"a polygon of '{label}' has {len(corners)} corners, wanted three "
                                'or more')
    if (farthest := np.abs(corners).max()) > MAX_COORDINATE:
        raise ImportLabelsError(f"a polygon of '{label}' has a corner at {farthest:g}, wanted at "
                                f'most {MAX_COORDINATE:g}')
    return Shape(label, lambda size: fill_polygon(corners, size))


def fill_polygon(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels whose centers lie inside a polygon, by the even-odd rule.

    Fill functions of drawing libraries also color the pixels under the contour. Each class would
    then grow by half a pixel over its neighbor.

    Args:
        corners: (N, 2) float64 x and y in pixels.
        size: (width, height) of the frame.

    Returns:
        (height, width) bool.
    """
    width, height = size
    crossings = np.zeros((height, width + 1), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0)):
        top, bottom = np.clip(np.ceil(np.array(sorted((y0, y1))) - 0.5), 0, height).astype(int)
        if top == bottom:
            continue
        rows = np.arange(top, bottom)
        x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
        columns = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
        crossings[rows, columns] ^= True
    return np.logical_xor.accumulate(crossings, axis=1)[:, :width]


def placed_mask(label: str, mask: np.ndarray, left: int, top: int) -> Shape:
    """Return a shape of a mask that lies somewhere in the frame.

    Args:
        label: Name of its class.
        mask: (h, w) bool.
        left: Column of the mask's first pixel.
        top: Row of the mask's first pixel.
    """
    def paint(size: tuple[int, int]) -> np.ndarray:
        height, width = mask.shape
        if left < 0 or top < 0 or left + width > size[0] or top + height > size[1]:
            raise ImportLabelsError(
                f"a mask of '{label}' covers columns {left} to {left + width} and rows {top} to "
                f'{top + height}, but the frame has {size[0]}x{size[1]} pixels')
        canvas = np.zeros(size[::-1], bool)
        canvas[top:top + height, left:left + width] = mask
        return canvas
    return Shape(label, paint)
