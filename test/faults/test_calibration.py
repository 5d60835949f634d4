"""A camera info that is missing, late, of another size, zero or NaN costs the meters alone."""

import math

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from sensor_msgs.msg import CameraInfo, PointCloud2  # noqa: E402
from support.ground import GROUND, calibration, xyz  # noqa: E402
from support.planner import CHECKED  # noqa: E402

pytestmark = pytest.mark.ros


def changed(**fields):
    info = calibration()
    for name, value in fields.items():
        setattr(info, name, value)
    return info


FAULTS = {
    'missing': (None, 'no camera info has come'),
    'another size': (changed(width=320, height=144), 'the camera info is for 320x144'),
    'zeros': (CameraInfo(), 'no outputs in meters'),
    'zeros in K': (changed(k=[0.0] * 9), 'no outputs in meters'),
    'NaN in K': (changed(k=[math.nan] * 9), 'no outputs in meters'),
    'NaN in D': (changed(d=[math.nan] * 5), 'no outputs in meters'),
    'infinity in P': (changed(k=[math.inf] * 9, p=[math.inf] * 12), 'no outputs in meters'),
}


@pytest.mark.parametrize(('info', 'said'), FAULTS.values(), ids=FAULTS)
def test_a_bad_calibration_costs_the_meters_alone_until_a_good_one_comes(
        bench, planner, road_frame, fresh, info, said):
    bench(**CHECKED, **GROUND, diagnostics_period=0.1)
    sees, points = planner(), []
    sees.node.create_subscription(PointCloud2, '/enet/points', points.append, 10)
    publisher = sees.node.create_publisher(CameraInfo, 'camera_info', 1)
    sees.camera()
    sees.wait(publisher.get_subscription_count, 'a node that reads camera infos')
    sees.wait(lambda: sees.node.count_publishers('/enet/points'), 'points')
    if info is not None:
        publisher.publish(info)
    assert np.array_equal(sees.answers(road_frame), fresh(road_frame))
    sees.reports(said)
    assert not points
    publisher.publish(calibration())  # late
    sees.wait(lambda: np.array_equal(sees.answers(road_frame), fresh(road_frame)) and points,
              'points')
    assert np.isfinite(xyz(points[-1])).any()
