"""What the readers of images remark, in the log and in the diagnostics."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from enet_ros.perception.encodings import EncodedImage, read_raw_image  # noqa: E402
from enet_ros.perception.images.raw_image import Remark  # noqa: E402
from enet_ros.ros.health import CameraHealth  # noqa: E402
from enet_ros.ros.image_remarks import ImageRemarks  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.fixture
def log():
    return []


@pytest.fixture
def health(log):
    return CameraHealth('/image', SimpleNamespace(warning=log.append, info=log.append))


@pytest.fixture
def remarks(health, log):
    return ImageRemarks('/image', health, SimpleNamespace(warning=log.append, info=log.append))


def test_a_step_that_is_wrong_in_another_way_each_time_is_warned_of_once(health, log, remarks):
    data = memoryview(np.zeros(16 * 12 * 3, np.uint8))
    for step in range(48):
        remarks.tell(read_raw_image(EncodedImage(data, 'bgr8', 16, 12, step)).remarks)
    assert len(log) == 1 and log[0].startswith('/image: image_layout: step is 0, but the rows')
    shown = health.statistics()['image_layout']
    assert shown.startswith('step is 47, but') and shown.endswith('(48 frames)')
    assert len(remarks._counts) == 1


def test_a_fact_is_logged_for_each_of_its_values(log, remarks):
    for value in ('10 bits', '10 bits', '12 bits'):
        remarks.tell([Remark('bit_depth', value)])
    assert log == ['/image: bit_depth: 10 bits', '/image: bit_depth: 12 bits']
