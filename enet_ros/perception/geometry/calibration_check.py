"""Whether a calibration can be true for the frames of a camera. Arrays and numbers only.

Meters from a wrong calibration look like any others. So a calibration is checked before it is
used: what no camera can have is refused, with the number that is wrong and how to correct it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from enet_ros.perception.geometry.camera_model import CameraModel

#: Least and greatest focal length, in widths of the image. A lens of 0.1 widths would see 157
#: degrees without distortion, one of 100 widths 0.6 degrees.
FOCAL_WIDTHS = (0.1, 100.0)
#: Greatest ratio between the focal lengths along x and y, as of images of single fields.
MOST_ASPECT = 2.5
#: How far outside the image the principal point may lie, in sizes of the image.
MOST_OUTSIDE = 0.5
#: A principal point on the diagonal, this near a corner, is that of an image of another size.
CORNER = 0.3
DIAGONAL_TOLERANCE = 0.08
#: Greatest distance between the principal points of K and P, in sizes of the image, and greatest
#: ratio of their focal lengths. Rectifying a fisheye lens changes the focal length most.
MOST_RECTIFYING_SHIFT, MOST_RECTIFYING_ZOOM = 0.4, 8.0
#: Greatest skew of K, in focal lengths. It is not used. Some calibration programs estimate it.
MOST_SKEW = 0.02
ROTATION_TOLERANCE = 0.02
LAST_ROW_TOLERANCE = 1e-3  # of 0 0 1, since programs compute it
#: Greatest angle by which rectifying turns the optical axis of a camera.
MOST_RECTIFYING_TURN_DEG = 60.0
#: Greatest share of the image whose distortion cannot be undone. An equidistant lens may leave
#: the corners black.
MOST_FOLDED, MOST_FOLDED_FISHEYE = 0.05, 0.6
GRID = 21  # points along each side at which the distortion is tried


@dataclass(frozen=True)
class Matrix:
    """The numbers of K or P that are judged, with the name of the matrix."""

    name: str
    focal: tuple[float, float]
    center: tuple[float, float]
    skew: float
    last_row: tuple[float, float, float]

    @classmethod
    def of(cls, name: str, values: np.ndarray) -> Matrix:
        """Return the numbers of a (3, 3) K, or of the first columns of P."""
        return cls(name, (values[0, 0], values[1, 1]), (values[0, 2], values[1, 2]),
                   values[0, 1], tuple(values[2]))


def calibration_problem(camera: CameraModel, frame_size: tuple[int, int]) -> str:
    """Return why a calibration cannot be true for frames of a size, a sentence, or ''.

    Args:
        camera: The calibration. Its own checks have passed.
        frame_size: (width, height) of the frames in pixels.
    """
    k = Matrix.of('K', np.reshape(camera.k, (3, 3)))
    p = Matrix.of('P', np.reshape(camera.p, (3, 4))[:, :3])
    used, other = (p, k) if camera.rectified else (k, p)
    size = camera.width, camera.height
    problem = _matrix_problem(used, size)
    if problem:
        return f'{problem}; {_advice(camera, other, size)}'
    is_filled_in = not _focal_problem(other, size)  # Many drivers leave the other one empty.
    contradiction = _contradiction(k, p, size) if is_filled_in else ''
    return (contradiction or _rotation_problem(camera) or _folding_problem(camera, frame_size))


def _matrix_problem(matrix: Matrix, size: tuple[int, int]) -> str:
    """Return why no camera has such a matrix, a sentence, or '' if one can."""
    return _focal_problem(matrix, size) or _center_problem(matrix, size)


def _focal_problem(matrix: Matrix, size: tuple[int, int]) -> str:
    """Return why the focal lengths, the skew or the last row are wrong, or '' if they are not."""
    low, high = (factor * size[0] for factor in FOCAL_WIDTHS)
    fx, fy = matrix.focal
    if np.abs(np.subtract(matrix.last_row, (0., 0., 1.))).max() > LAST_ROW_TOLERANCE:
        numbers = ' '.join(f'{value:.9g}' for value in matrix.last_row)
        return (f'{matrix.name} ends with {numbers}, wanted 0 0 1: its values are stored row by '
                'row')
    if not low <= fx <= high or not low <= fy <= high:
        wrong = fx if not low <= fx <= high else fy
        return (f'{matrix.name} has a focal length of {wrong:g} pixels, wanted {low:g} to '
                f'{high:g} for a width of {size[0]}')
    if not 1 / MOST_ASPECT <= fx / fy <= MOST_ASPECT:
        return (f'{matrix.name} has focal lengths of {fx:g} and {fy:g} pixels, wanted nearly '
                'equal ones')
    if abs(matrix.skew) > MOST_SKEW * fx:
        return f'{matrix.name} has a skew of {matrix.skew:g} pixels, wanted 0'
    return ''


def _center_problem(matrix: Matrix, size: tuple[int, int]) -> str:
    """Return why an image of this size has another principal point, or '' if it can be."""
    for axis, name in enumerate('xy'):
        low, high = -MOST_OUTSIDE * size[axis], (1 + MOST_OUTSIDE) * size[axis]
        if not low <= matrix.center[axis] <= high:
            return (f'{matrix.name} has its principal point at c{name} = '
                    f'{matrix.center[axis]:g}, wanted {low:g} to {high:g} for '
                    f'{size[0]}x{size[1]} pixels')
    return _scaled_problem(matrix, size)


def _scaled_problem(matrix: Matrix, size: tuple[int, int]) -> str:
    """Return why a matrix seems to be for an image of another size, or '' if it does not.

    The principal point of a camera lies near the center of its image. The principal point of a
    larger or smaller image lies on the diagonal of this image, near a corner.
    """
    x, y = (2 * center / length for center, length in zip(matrix.center, size))
    if abs(x - y) > 2 * DIAGONAL_TOLERANCE or 2 * CORNER < (x + y) / 2 < 2 * (1 - CORNER):
        return ''
    guess = [round(2 * center + 1) for center in matrix.center]
    return (f'{matrix.name} has its principal point at ({matrix.center[0]:g}, '
            f'{matrix.center[1]:g}), which is the center of about {guess[0]}x{guess[1]} pixels '
            f'and not of {size[0]}x{size[1]}')


def _advice(camera: CameraModel, other: Matrix, size: tuple[int, int]) -> str:
    """Return what to do where the matrix in use cannot be true, and the other one may be."""
    if any(other.focal) and not _matrix_problem(other, size):
        value = str(not camera.rectified).lower()
        return (f'{other.name} is plausible: if the images are '
                f'{"raw" if camera.rectified else "rectified"}, set rectified to {value}')
    if camera.binning != (1, 1):
        return (f'with a binning of {camera.binning[0]}x{camera.binning[1]}, width, height, K and '
                'P are wanted for the full sensor')
    return 'wanted the calibration of this camera mode: calibrate anew, or correct the camera info'


def _contradiction(k: Matrix, p: Matrix, size: tuple[int, int]) -> str:
    """Return why K and P cannot be of one camera and size, a sentence, or '' if they can."""
    shifts = [abs(a - b) / length for a, b, length in zip(k.center, p.center, size)]
    if max(shifts) > MOST_RECTIFYING_SHIFT:
        return (f'K has its principal point at ({k.center[0]:g}, {k.center[1]:g}) and P at '
                f'({p.center[0]:g}, {p.center[1]:g}), so they are for images of different sizes; '
                f'wanted both for {size[0]}x{size[1]} pixels')
    if not 1 / MOST_RECTIFYING_ZOOM <= p.focal[0] / k.focal[0] <= MOST_RECTIFYING_ZOOM:
        return (f'K has a focal length of {k.focal[0]:g} pixels and P one of {p.focal[0]:g}, so '
                'one is wrong; calibrate anew, or correct the camera info')
    return ''


def _rotation_problem(camera: CameraModel) -> str:
    """Return why R cannot rectify, a sentence, or '' if it can."""
    if camera.rectified:
        return ''
    r = np.reshape(camera.r, (3, 3))
    # In this order, since numbers of any size come: products may overflow before the first check.
    if np.abs(r).max() > 1 + ROTATION_TOLERANCE \
            or np.abs(r @ r.T - np.eye(3)).max() > ROTATION_TOLERANCE or np.linalg.det(r) < 0:
        return (f'R is {[round(value, 3) for value in camera.r]}, wanted a rotation matrix; the '
                'identity suits a single camera')
    turn_deg = math.degrees(math.acos(np.clip(r[2, 2], -1., 1.)))
    if turn_deg > MOST_RECTIFYING_TURN_DEG:
        return (f'R rotates the camera by {turn_deg:.0f} degrees, wanted the small rotation that '
                'rectifies a stereo pair; the identity suits a single camera')
    return ''


def _folding_problem(camera: CameraModel, frame_size: tuple[int, int]) -> str:
    """Return how much of the image the distortion folds, a sentence, or '' if little."""
    if camera.rectified or not camera.d:
        return ''
    folded = unseen_share(camera, frame_size)
    is_fisheye = camera.distortion_model == 'equidistant'
    if folded <= (MOST_FOLDED_FISHEYE if is_fisheye else MOST_FOLDED):
        return ''
    return (f'the distortion {camera.distortion_model} d = {[round(v, 4) for v in camera.d]} '
            f'folds inside the image: {100 * folded:.0f} % of it has no direction; wanted '
            'coefficients of this lens, or equidistant for a fisheye')


def unseen_share(camera: CameraModel, frame_size: tuple[int, int]) -> float:
    """Return the share of an image whose pixels have no ray, 0 to 1."""
    columns, rows = (np.linspace(0, length - 1, GRID) for length in frame_size)
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    return float(np.isnan(camera.rays(grid, frame_size)[:, 0]).mean())
