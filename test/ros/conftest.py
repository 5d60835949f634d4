"""Fixtures: a node whose camera is calibrated above the ground of the drawn street."""

import pytest
from support.ground import GROUND, calibration


@pytest.fixture
def metric(bench):
    """A maker of nodes with a ground pose, whose camera is calibrated."""
    def make(*topics, **parameters):
        node = bench(**{'output_size': 'network', **GROUND, **parameters})
        node.listen(*topics)
        node.send(calibration(), 'camera_info')
        node.wait(lambda: node.node._cameras[0].calibration.newest() is not None, 'camera info')
        return node

    return make
