"""The camera model: what a camera matrix says about pictures of another size. Arrays only."""

from __future__ import annotations

import numpy as np


def scale_camera_matrix(matrix: np.ndarray, size: tuple[float, float], to_size: tuple[int, int],
                        offset: tuple[int, int] = (0, 0),
                        binning: tuple[int, int] = (1, 1)) -> np.ndarray:
    """Return K or P for a crop that was binned and then stretched to another size.

    Focal lengths and the fourth column of P scale with the picture. The principal point counts
    from the centre of the first pixel, so half a pixel goes in and out:
    ``c' = (c - offset + 0.5) s - 0.5``.

    Args:
        matrix: (3, 3) K or (3, 4) P of the full sensor, in pixels (sensor_msgs/CameraInfo).
        size: (width, height) of the crop in sensor pixels.
        to_size: (width, height) of the picture that the result is for.
        offset: (x, y) of the crop's first pixel on the sensor.
        binning: sensor pixels merged into one, (x, y); it is part of the way from ``size`` to
            ``to_size``, and decides how much of a size that it does not divide was used.

    Returns:
        float64, of the shape of ``matrix``.
    """
    scaled = np.array(matrix, np.float64)
    for axis in (0, 1):
        used = size[axis] // binning[axis] * binning[axis]
        scale = to_size[axis] / used
        scaled[axis] *= scale
        scaled[axis, 2] = (matrix[axis][2] - offset[axis] + 0.5) * scale - 0.5
    return scaled
