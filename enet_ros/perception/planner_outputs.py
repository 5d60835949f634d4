"""What a planner reads, in meters: scan, obstacle points, contours. Arrays only.

A mask is (H, W) uint8, and 0 is not drivable. Labels are (H, W) uint8, and 255 is unknown. Both
have the size of a :class:`GroundTable`. An unknown pixel is never free, whatever the mask says.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from enet_ros.network.class_map import UNKNOWN
from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.ground import GroundTable, ground_direction
from enet_ros.perception.parameters.settings import ScanSettings

CONTOUR_TOLERANCE_M = 0.05   # Contours on the ground are simplified by this.
#: Points along a ray and along a strip, and lines side by side in a strip.
RAY_POINTS, STRIP_POINTS, STRIP_LINES = 5, 200, 5
DENSE_RAY_POINTS = 100  # where unseen pixels may lie between the ends of a ray
#: A border farther than this many times its median is no border, but something narrow before it.
MOST_BORDER_MEDIANS = 2.


class RangeBins:
    """Pixels of the ground sorted into bins, so that a frame costs only a gather.

    Args:
        table: Ground points of the pixels.
        pixel_indices: (N,) int64, flat indices of the pixels that lie in a bin. A pixel may lie
            in several. Those that are not seen are left out.
        bins: (N,) int64, the bin of each.
        trusted_to: (bins,) meters. Greater ranges than this are unknown. It is +inf where the
            image shows the ground of a bin from the border that faces the vehicle as far as
            ``range_max``. See :func:`ranges_to_see`.
        range_min: Least range, in meters. Nearer ground is too close.
        range_max: Greatest range, in meters, at most that of the table.

    A bin is free to its end only if ``trusted_to`` is +inf and it has pixels beyond ``range_max``.
    Ground that comes into view farther away, at a side of the image, says nothing of the ground
    before it.
    """

    def __init__(self, table: GroundTable, pixel_indices: np.ndarray, bins: np.ndarray,
                 trusted_to: np.ndarray, range_min: float, range_max: float):
        count = len(trusted_to)
        ranges = table.unlimited_range().ravel()[pixel_indices]
        beyond = np.bincount(bins[ranges > range_max], minlength=count) > 0
        inside = np.flatnonzero(ranges <= range_max)
        # Integers of 16 bits are sorted by radix, several times as fast. A scan has fewer rays.
        inside = inside[np.argsort(bins[inside].astype(np.uint16), kind='stable')]
        self.pixel_indices, self.ranges = pixel_indices[inside], ranges[inside]
        self.bins, self.starts = np.unique(bins[inside], return_index=True)
        trusted_to = np.where(beyond, trusted_to, np.minimum(trusted_to, range_max))
        self.trusted_to = trusted_to[self.bins].astype(np.float32)
        self.count, self.range_min = count, range_min

    def first_blocked(self, mask: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the range of the nearest ground in each bin that is not known to be drivable.

        Args:
            mask: (H, W) uint8; 0 is not drivable.
            labels: (H, W) uint8; 255 is unknown.

        Returns:
            (count,) float32 meters, with -inf, +inf and NaN as in :func:`free_space_scan`.
        """
        blocked = np.full(self.count, np.nan, np.float32)
        if not self.pixel_indices.size:
            return blocked
        known = labels.ravel()[self.pixel_indices] != UNKNOWN
        free = known & (mask.ravel()[self.pixel_indices] != 0)
        first = np.minimum.reduceat(np.where(free, np.float32(np.inf), self.ranges), self.starts)
        first[first < self.range_min] = -np.inf
        first[first > self.trusted_to] = np.nan
        first[~np.logical_or.reduceat(known, self.starts)] = np.nan
        blocked[self.bins] = first
        return blocked


def ranges_to_see(table: GroundTable, range_max: float, count: int) -> np.ndarray:
    """Return ranges at which a bin must be seen, (count,) meters, the first and last included.

    They begin at the border of the image that faces the vehicle, and lie in evenly spaced rows. A
    straight line on the ground is straight in an image without distortion, so its ends would do.
    Distortion bends it a little.

    Raises:
        ValueError: ``range_max`` is beyond that of the table.
    """
    if range_max > table.max_range_m:
        raise ValueError(f'range_max is {range_max}, wanted at most the {table.max_range_m} m '
                         'of the ground table')
    near = max(min(near_border_range(table), range_max), 1e-3)
    return 1. / np.linspace(1. / near, 1. / range_max, count)


def near_border_range(table: GroundTable) -> float:
    """Return the greatest range of the border of the visible ground that faces the vehicle.

    It is the lower border of the image, out to its corners, if the camera is upright. Where an
    image has black corners, it is the border of what lies between them. Where a bonnet is unseen,
    it is the ground behind that. A narrow mast does not count. It is the right border if the
    camera is mounted on its right side. Unlike :meth:`GroundTable.near_border`, it has no part
    at the far side of a hole or a mast.

    Returns:
        Meters from the origin of the base frame, or +inf if the camera looks straight down, so
        that no border faces the vehicle.
    """
    seen = np.isfinite(table.unlimited[..., 0])
    padded = np.pad(seen, 1)
    outside = np.pad(np.zeros_like(seen), 1, constant_values=True)
    x, y = _facing_side(table.pose)
    facing = (seen & ~_neighbor(padded, x, y)
              & _neighbor(padded | outside, y, x) & _neighbor(padded | outside, -y, -x))
    if table.unseen is not None:
        facing &= _border_pixels(table)
    ranges = table.unlimited_range()[facing]
    if not ranges.size or not ground_direction(table.pose).any():
        return math.inf
    if table.unseen is not None:
        ranges = ranges[ranges <= MOST_BORDER_MEDIANS * np.median(ranges)]
    return float(ranges.max())


def _facing_side(pose: Pose) -> tuple[int, int]:
    """Return the side of the image that faces the vehicle, as a step in x or y."""
    return max(((0, 1), (0, -1), (1, 0), (-1, 0)), key=ground_direction(pose).dot)


def _border_pixels(table: GroundTable) -> np.ndarray:
    """Return the pixel of each line toward the vehicle that is nearest to it, (H, W) bool.

    It is the lowest pixel of each column that sees ground, if the camera is upright.
    """
    seen, (x, y) = np.isfinite(table.unlimited[..., 0]), _facing_side(table.pose)
    axis, backward = (0, y > 0) if y else (1, x > 0)
    outward = np.flip(seen, axis) if backward else seen
    first = outward & (np.cumsum(outward, axis=axis) == 1)
    return np.flip(first, axis) if backward else first


def _neighbor(padded: np.ndarray, x: int, y: int) -> np.ndarray:
    """Return the value of each pixel's neighbor, (H, W), from an (H + 2, W + 2) array."""
    height, width = padded.shape
    return padded[1 + y:height - 1 + y, 1 + x:width - 1 + x]


def scan_bins(table: GroundTable, scan: ScanSettings) -> RangeBins:
    """Return the rays of every pixel, for :func:`free_space_scan`.

    A pixel lies in the ray that its center is nearest to. It also lies in every ray that runs
    through it. So a ray that is narrower than a pixel sees what the pixel shows. A ray whose own
    bearing leaves the image is not in view, although pixels beside it may be nearest to it.
    """
    angles = scan.angle_min + np.arange(scan.count) * scan.angle_increment
    directions = np.stack((np.cos(angles), np.sin(angles)), axis=-1)
    along = ranges_to_see(table, scan.range_max,
                          RAY_POINTS if table.unseen is None else DENSE_RAY_POINTS)
    ground = directions[:, None] * along[:, None]
    is_in_view = np.all(table.pixel_indices_of(ground) >= 0, axis=1)
    bearing = np.arctan2(table.behind_mask[..., 1], table.behind_mask[..., 0])
    half_width = _half_width(bearing)
    if half_width.max(initial=0.) >= scan.angle_increment / 2.:
        pixel_indices, rays = _rays_through(bearing.ravel(), half_width.ravel(), scan)
    else:  # Each pixel reaches the nearest ray alone.
        rays = scan.ray_of(bearing).ravel()
        pixel_indices = np.flatnonzero(rays >= 0)
        rays = rays[pixel_indices]
    if table.unseen is not None:
        is_in_view[rays[_hidden_ground(table, along)[pixel_indices]]] = False
    trusted_to = np.where(is_in_view, math.inf, scan.range_max)
    return RangeBins(table, pixel_indices, rays, trusted_to, scan.range_min, scan.range_max)


def _hidden_ground(table: GroundTable, along: np.ndarray) -> np.ndarray:
    """Return the pixels, (H * W,) bool, that would show ground of a bin, and are hidden.

    Args:
        table: Ground points of the pixels, some of which are not seen.
        along: Ranges at which a bin must be seen; see :func:`ranges_to_see`.
    """
    ranges = np.hypot(table.behind_mask[..., 0], table.behind_mask[..., 1])
    return ((table.unseen != 0) & (ranges > along[0]) & (ranges <= along[-1])).ravel()


def _rays_through(bearing: np.ndarray, half_width: np.ndarray,
                  scan: ScanSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel once for every ray that is nearest to it or runs through it.

    Args:
        bearing: (N,) bearings of the pixels, in radians. NaN has none.
        half_width: (N,) how far each reaches to either side of it, in radians.
        scan: Bearings of the rays.

    Returns:
        Indices of the pixels and rays, both (M,) int64.
    """
    pixels = np.flatnonzero(np.isfinite(bearing))
    circle = 2. * math.pi / scan.angle_increment  # in rays, as all that follows
    place = np.mod((bearing[pixels] - scan.angle_min) / scan.angle_increment, circle)
    reach = half_width[pixels] / scan.angle_increment
    # Pixels beside the first ray also lie a circle before or after where they are.
    before, after = place + reach + .5 >= circle, place <= reach
    place = np.concatenate((place, place[before] - circle, place[after] + circle))
    pixels, reach = (np.concatenate((values, values[before], values[after]))
                     for values in (pixels, reach))
    nearest = np.floor(place + .5)
    first = np.maximum(np.minimum(np.ceil(place - reach), nearest), 0.).astype(np.int64)
    last = np.minimum(np.maximum(np.floor(place + reach), nearest), scan.count - 1.).astype(
        np.int64)
    lengths = np.maximum(last - first + 1, 0)
    # Count from the first ray of each pixel to its last.
    rays = np.arange(lengths.sum()) + np.repeat(first - np.cumsum(lengths) + lengths, lengths)
    return np.repeat(pixels, lengths), rays


def _half_width(bearing: np.ndarray) -> np.ndarray:
    """Return how far a pixel reaches to either side of its bearing, (H, W) in radians."""
    half_width = np.zeros_like(bearing)
    for axis in (0, 1):
        steps = np.abs(np.diff(bearing, axis=axis))
        steps = np.nan_to_num(np.minimum(steps, 2. * math.pi - steps) / 2., copy=False)
        before, after = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        before[axis], after[axis] = (1, 0), (0, 1)
        half_width += np.maximum(np.pad(steps, before), np.pad(steps, after))
    return half_width


def path_bin(table: GroundTable, half_width_m: float) -> RangeBins:
    """Return the pixels of the strip straight ahead, for :func:`nearest_edge`.

    The strip is in view only in its full width, for something may stand beside the image. It is
    trusted as far as it is in view from the near border on.
    """
    if not 0. < half_width_m < math.inf:
        raise ValueError(f'half_width_m is {half_width_m}, wanted meters above 0')
    ahead = (table.behind_mask[..., 0] > 0.) & (np.abs(table.behind_mask[..., 1]) <= half_width_m)
    pixel_indices = np.flatnonzero(ahead)
    along = ranges_to_see(table, table.max_range_m, STRIP_POINTS)
    y, ranges = np.meshgrid(np.linspace(-half_width_m, half_width_m, STRIP_LINES), along)
    x = np.sqrt(np.maximum(ranges ** 2 - y ** 2, 0.))
    is_in_view = np.all(table.pixel_indices_of(np.stack((x, y), axis=-1)) >= 0, axis=1)
    trusted_to = math.inf if is_in_view.all() else np.append(0., along)[np.argmin(is_in_view)]
    if table.unseen is not None:
        hidden = pixel_indices[_hidden_ground(table, along)[pixel_indices]]
        trusted_to = np.hypot(*table.behind_mask.reshape(-1, 2)[hidden].T).min(initial=trusted_to)
    return RangeBins(table, pixel_indices, np.zeros_like(pixel_indices), np.array([trusted_to]),
                     0., table.max_range_m)


def free_space_scan(mask: np.ndarray, labels: np.ndarray, bins: RangeBins) -> np.ndarray:
    """Return the distance to the first ground that is not drivable, by bearing.

    The values follow REP 117, and nothing is free that the camera did not see:

    - A number is the distance of the nearest ground that is not drivable or unknown. All visible
      ground that is nearer is drivable.
    - +inf means that ground is visible from the near border of the image as far as range_max, and
      that all of it is drivable.
    - NaN means that no ground is visible, or that all of it is unknown. It also means drivable
      ground that ends at the border of the image, before range_max, or that comes into view
      farther away than :func:`near_border_range`, or a bearing that lies outside the image.
    - -inf means that ground which is not drivable or unknown is nearer than range_min.

    The camera does not see the ground between the vehicle and the lower border of the image.

    Args:
        mask: (H, W) uint8; 0 is not drivable.
        labels: (H, W) uint8; 255 is unknown.
        bins: From :func:`scan_bins`.

    Returns:
        (rays,) float32, meters from the origin of the base frame.
    """
    return bins.first_blocked(mask, labels)


def nearest_edge(mask: np.ndarray, labels: np.ndarray, bins: RangeBins) -> float:
    """Return the distance to the first ground ahead of the vehicle that is not drivable.

    Args:
        mask: (H, W) uint8; 0 is not drivable.
        labels: (H, W) uint8; 255 is unknown.
        bins: From :func:`path_bin`.

    Returns:
        Meters from the origin of the base frame, with +inf and NaN as in :func:`free_space_scan`.
        A number means that the strip is seen in its full width from the near border of the image
        as far as there, or that the ground is nearer than all that is seen in full width. It is
        NaN for ground that is farther than this, and if nothing is seen in full width.
    """
    return float(bins.first_blocked(mask, labels)[0])


def obstacle_points(mask: np.ndarray, table: GroundTable, height_m: float) -> np.ndarray:
    """Return the border of obstacles, where it meets drivable ground.

    An obstacle hides the ground behind it. Its far side, where ground is visible again, is not
    where it seems to be, and is left out. The ground between the vehicle and the near border of
    the image counts as drivable, so a wall that fills the image begins there.

    Args:
        mask: (H, W) uint8; 0 is an obstacle, or unknown, which has a border, too.
        table: Ground points of the pixels.
        height_m: z of the points, for the height limits of the node that reads them.

    Returns:
        (N, 3) float32 in the base frame, in meters.
    """
    dilated = cv2.dilate(mask, facing_neighbors(table.pose), borderType=cv2.BORDER_CONSTANT)
    edge = cv2.subtract(cv2.bitwise_or(dilated, table.near_border()), mask)
    points = table.points[edge != 0]
    points = points[np.isfinite(points[:, 0])]
    points[:, 2] = height_m
    return points


def facing_neighbors(pose: Pose) -> np.ndarray:
    """Return the neighbors of a pixel that do not lie straight above it, (3, 3) uint8.

    Above is the direction of the sky, whichever way the camera is mounted.
    """
    down = ground_direction(pose)
    kernel = np.zeros((3, 3), np.uint8)
    for x, y in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        kernel[1 + y, 1 + x] = x * down[0] + y * down[1] > -.5
    return kernel


def ground_contours(mask: np.ndarray, table: GroundTable,
                    tolerance_m: float = CONTOUR_TOLERANCE_M) -> list[np.ndarray]:
    """Trace the outer contours of the drivable regions on the ground, largest region first.

    Args:
        mask: (H, W) uint8; 0 is not drivable. Regions end at the range of the table.
        table: Ground points of the pixels.
        tolerance_m: Contours are simplified by this.

    Returns:
        Arrays (N, 2) float32 of x and y in the base frame, in meters. Regions of fewer than 3
        corners are left out.
    """
    near = np.where(table.is_inside, mask, np.uint8(0))
    traced, _ = cv2.findContours(near, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    traced = sorted(traced, key=cv2.contourArea, reverse=True)
    on_ground = (table.points[contour[:, 0, 1], contour[:, 0, 0], :2] for contour in traced)
    contours = [cv2.approxPolyDP(contour, tolerance_m, True)[:, 0] for contour in on_ground]
    return [contour for contour in contours if len(contour) >= 3]
