"""Fixtures: planners, nodes in processes of their own, and what a fresh node says of a frame."""

import os

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from support.faulty import NodeProcess  # noqa: E402
from support.node_bench import NodeBench  # noqa: E402
from support.planner import CHECKED, Planner, array_of, image_message  # noqa: E402

from enet_ros.scene.road_scene import RoadScene  # noqa: E402

KNOWN = {}  # labels by frame


@pytest.fixture
def planner():
    """A maker of planners. Each has checked every mask that it saw when the test ends."""
    made = []

    def make(**options):
        made.append(Planner(**options))
        return made[-1]

    yield make
    try:
        for one in made:
            one.check()
    finally:
        for one in made:
            one.close()


@pytest.fixture
def node_process():
    """A maker of nodes in processes of their own; those still running at the end are killed."""
    made = []

    def make(*arguments, **options):
        made.append(NodeProcess(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope='session')
def other_frame():
    """A drawn street of another size, (H, W, 3) uint8 RGB."""
    return RoadScene(400, 240).render(4.0)[0]


@pytest.fixture
def fresh(monkeypatch):
    """Return what a node that has just started says of a frame, as (96, 160) uint8 labels."""
    def labels_of(frame, encoding='rgb8'):
        key = frame.tobytes(), frame.shape, encoding
        if key not in KNOWN:
            with monkeypatch.context() as patch:  # a domain that no planner listens to
                patch.setenv('ROS_DOMAIN_ID', str(int(os.environ['ROS_DOMAIN_ID']) + 101))
                node = NodeBench({'resolution': [160, 96], 'precision': 'float32', **CHECKED})
            try:
                node.listen('labels')
                KNOWN[key] = array_of(node.reply(image_message(frame, 1, encoding), 'labels'))
            finally:
                node.close()
        return KNOWN[key]

    return labels_of
