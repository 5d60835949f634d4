"""Images for people: overlays, legends and the ground from above."""

from __future__ import annotations

import cv2
import numpy as np

from enet_ros.network.class_map import ClassMap
from enet_ros.perception.resize import resize_labels

LEGEND_ROW_PX = 26
GRID_FREE, GRID_OCCUPIED, GRID_UNKNOWN = (60, 140, 70), (150, 50, 50), (90, 90, 90)
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45


def color_mask(label_map: np.ndarray, color_lut: np.ndarray) -> np.ndarray:
    """Color a label map.

    Args:
        label_map: (H, W) uint8.
        color_lut: (256, 3) uint8 RGB; see ``ClassMap.color_lut``.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    return cv2.applyColorMap(label_map, color_lut.reshape(256, 1, 3))


def blend(frame: np.ndarray, colors: np.ndarray, opacity: float,
          out: np.ndarray | None = None) -> np.ndarray:
    """Blend class colors into a frame.

    Args:
        frame: (H, W, 3) uint8 RGB.
        colors: (h, w, 3) uint8 RGB. They are resized to the frame's size.
        opacity: Share of the colors, 0 to 1.
        out: (H, W, 3) uint8 to write into, or None.

    Returns:
        (H, W, 3) uint8 RGB, which is ``out`` if it was given.
    """
    resized = resize_labels(colors, frame.shape[1::-1], out)
    return cv2.addWeighted(frame, 1.0 - opacity, resized, opacity, 0.0, dst=out)


def birds_eye(cells: np.ndarray, resolution_m: float, height: int) -> np.ndarray:
    """Draw a grid from above, with a line every 5 m. The vehicle is at the bottom and looks up.

    Args:
        cells: (rows along y, columns along x) int8: 0 free, 100 occupied, -1 unknown. The vehicle
            is in front of the first column, in the middle of the rows.
        resolution_m: Side of a cell, in meters.
        height: Height of the image, in pixels.

    Returns:
        (height, W, 3) uint8 RGB.
    """
    colors = np.full((256, 3), GRID_UNKNOWN, np.uint8)
    colors[0], colors[100] = GRID_FREE, GRID_OCCUPIED
    above = np.ascontiguousarray(cells.T[::-1, ::-1]).view(np.uint8)
    size = round(above.shape[1] * height / above.shape[0]), height
    canvas = resize_labels(color_mask(above, colors), size)
    for meters in range(5, int(above.shape[0] * resolution_m), 5):
        y = round(height * (1 - meters / (above.shape[0] * resolution_m)))
        cv2.line(canvas, (0, y), (size[0], y), (255, 255, 255), 1)
        cv2.putText(canvas, f'{meters} m', (4, y - 4), _FONT, _FONT_SCALE, (255, 255, 255), 1,
                    cv2.LINE_AA)
    middle = size[0] // 2
    corners = [(middle, height - 16), (middle - 7, height - 1), (middle + 7, height - 1)]
    cv2.fillConvexPoly(canvas, np.array(corners), (255, 255, 255), cv2.LINE_AA)
    return canvas


def with_legend(image: np.ndarray, class_map: ClassMap) -> np.ndarray:
    """Draw the names and colors of the classes below an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        class_map: Names, colors and which classes are drivable.

    Returns:
        (H + height of the legend, W, 3) uint8 RGB.
    """
    width = image.shape[1]
    cells = [(name + (' (drivable)' if drivable else ''), color) for name, color, drivable
             in zip(class_map.names, class_map.colors, class_map.drivable)]
    cell = 40 + max(cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0] for text, _ in cells)
    columns = max(1, width // cell)
    rows = -(-len(cells) // columns)
    legend = np.full((rows * LEGEND_ROW_PX + 6, width, 3), 255, np.uint8)
    for i, (text, color) in enumerate(cells):
        x, y = 8 + i % columns * cell, 6 + i // columns * LEGEND_ROW_PX
        cv2.rectangle(legend, (x, y), (x + 18, y + 18), color, cv2.FILLED)
        cv2.putText(legend, text, (x + 24, y + 14), _FONT, _FONT_SCALE, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack((image, legend))
