"""Fields of messages that the node and a recording fill in alike, by their names.

Each returns keyword arguments for a message of ROS or of a recording. Headers, arrays of bytes and
messages inside of messages differ, so each side adds its own.
"""

from __future__ import annotations

import numpy as np

from enet_ros.perception.frame import FrameInFlight
from enet_ros.perception.geometry.camera_info import scaled_matrices
from enet_ros.perception.message_types import CameraInfo
from enet_ros.perception.parameters.settings import ScanSettings

#: Each sensor_msgs/PointField of points of three float32 (datatype 7).
POINT_FIELDS = tuple({'name': name, 'offset': 4 * i, 'datatype': 7, 'count': 1}
                     for i, name in enumerate('xyz'))


def camera_info_fields(info: CameraInfo, size: tuple[int, int]) -> dict[str, object]:
    """Return the calibration for an image of another size, as fields of sensor_msgs/CameraInfo.

    The region of interest and the binning of ``info`` go into K and P, so the result has none. The
    distortion and the rectification do not depend on the size.

    Args:
        info: Calibration of the camera. An all-zero K (uncalibrated) stays zero.
        size: (width, height) of the image.
    """
    k, p = scaled_matrices(info, size)
    return {'width': size[0], 'height': size[1], 'distortion_model': info.distortion_model,
            'd': info.d, 'r': info.r, 'k': k, 'p': p}


def cloud_fields(points: np.ndarray) -> dict[str, object]:
    """Return the layout of points (H, W, 3) or (N, 3), as fields of sensor_msgs/PointCloud2."""
    height, width = points.shape[:2] if points.ndim == 3 else (1, len(points))
    return {'height': height, 'width': width, 'is_bigendian': False, 'point_step': 12,
            'row_step': 12 * width, 'is_dense': points.ndim == 2}


def cloud_bytes(points: np.ndarray) -> np.ndarray:
    """Return points (H, W, 3) or (N, 3) float32 as the (N,) uint8 data of a cloud."""
    return np.ascontiguousarray(points, '<f4').reshape(-1).view(np.uint8)


def scan_fields(scan: ScanSettings) -> dict[str, float]:
    """Return the rays of a scan, as fields of sensor_msgs/LaserScan."""
    return {'angle_min': scan.angle_min,
            'angle_max': scan.angle_min + (scan.count - 1) * scan.angle_increment,
            'angle_increment': scan.angle_increment,
            'range_min': scan.range_min, 'range_max': scan.range_max}


def drivable_area_fields(frame: FrameInFlight) -> dict[str, object]:
    """Return the fields of enet_ros/DrivableArea, whose contours are still (N, 2) arrays.

    The fields in meters are empty without a ground.
    """
    width, height = frame.output_size
    summary = frame.perception.drivable_summary(frame.output_size)
    base_frame = frame.camera_settings.settings.base_frame if frame.ground is not None else ''
    return {'base_frame': base_frame, 'width': width, 'height': height,
            'fraction': summary.fraction, 'confidence': summary.confidence,
            'nearest_edge': summary.nearest_edge_m, 'contours_px': summary.contours_px,
            'contours_m': summary.contours_m}
