"""Rays of a scan that are narrower than a pixel, or run beside the scan's ends."""

import math

import numpy as np
import pytest

from enet_ros.network.class_map import ClassMap
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.perception.drivable import drivable_mask
from enet_ros.perception.geometry.camera_model import CameraModel
from enet_ros.perception.geometry.pose import Pose
from enet_ros.perception.ground import GroundTable
from enet_ros.perception.parameters.settings import ScanSettings
from enet_ros.perception.planner_outputs import free_space_scan, scan_bins

LUT = ClassMap.from_names(CAMVID_NAMES).drivable_lut()
ROAD, PAVEMENT = 3, 4


@pytest.mark.parametrize('size', [(160, 96), (320, 192), (640, 360)])
@pytest.mark.parametrize('field_of_view_deg', [62., 100.])
@pytest.mark.parametrize('increment', [.0174533, .0044, .001])
def test_a_ray_that_is_narrower_than_a_pixel_sees_what_the_pixel_shows(
        size, field_of_view_deg, increment):
    """Nav2's costmap wants rays every 0.0044; a pixel of a small network is wider."""
    half = math.radians(field_of_view_deg) / 2
    focal = size[0] / 2 / math.tan(half)
    camera = CameraModel(*size, (focal, 0, size[0] / 2 - .5, 0, focal, size[1] / 2 - .5, 0, 0, 1))
    table = GroundTable(camera, Pose.from_mount(1.4, .04), size, 15.)
    scan = ScanSettings(angle_increment=increment, range_max=10.)
    bins, labels = scan_bins(table, scan), np.full(table.shape, ROAD, np.uint8)
    angles = scan.angle_min + np.arange(scan.count) * scan.angle_increment
    in_view = np.abs(angles) < .95 * half
    free = free_space_scan(drivable_mask(labels, LUT), labels, bins)
    assert np.isposinf(free[in_view]).all()
    assert np.isnan(free[np.abs(angles) > half + .02]).all()
    # One pixel that is not drivable blocks every ray that runs through it, and few more.
    row, column = np.argwhere(np.abs(table.points[..., 0] - 6.) < .5)[7]
    labels[row, column] = PAVEMENT
    sides = table.to_ground(np.array([(column - .5, row), (column + .5, row)]))
    left, right = np.arctan2(sides[:, 1], sides[:, 0])
    blocked = np.isfinite(free_space_scan(drivable_mask(labels, LUT), labels, bins))
    assert blocked[(angles <= left) & (angles >= right)].all()
    width = max(left - right, increment)
    assert not blocked[(angles > left + width) | (angles < right - width)].any()


@pytest.mark.parametrize(('first', 'last'), [
    (-.2, .2), (-.203, .2005), (0., 2 * math.pi - .0044), (-.2, 2 * math.pi - .2044)])
def test_the_first_and_the_last_ray_see_pixels_on_both_sides_of_them(first, last):
    camera = CameraModel(160, 96, (67, 0, 79.5, 0, 67, 47.5, 0, 0, 1))
    table = GroundTable(camera, Pose.from_mount(1.2, .3), (160, 96), 15.)
    scan = ScanSettings(angle_min=first, angle_max=last, angle_increment=.0044, range_max=10.)
    bins, labels = scan_bins(table, scan), np.full(table.shape, ROAD, np.uint8)
    for ray in (0, scan.count - 1):
        bearing = first + ray * scan.angle_increment
        direction = np.array((math.cos(bearing), math.sin(bearing)))
        pixels = table.pixel_indices_of(np.linspace(3., 9., 40)[:, None] * direction)
        for pixel in np.unique(pixels[pixels >= 0]):
            labels.flat[pixel] = PAVEMENT
            ranges = free_space_scan(drivable_mask(labels, LUT), labels, bins)
            assert np.isfinite(ranges[ray])
            labels.flat[pixel] = ROAD
