"""Frames of the synthetic street at any size."""

import numpy as np
import pytest

from enet_ros.perception.resize import resize_frame
from enet_ros.scene.frames import RENDERED_SIZE, street_frame, street_frames
from enet_ros.scene.road_scene import RoadScene


@pytest.mark.parametrize('resolution', [RENDERED_SIZE, (64, 48), (16, 8), (1280, 720)])
def test_a_street_is_rendered_and_resized_as_the_node_resizes(resolution):
    rendered, _ = RoadScene(640, 360, seed=4).render(2.0)
    frame = street_frame(resolution, 2.0, seed=4)
    assert (frame.shape, frame.dtype) == ((*resolution[::-1], 3), np.uint8)
    assert np.array_equal(frame, resize_frame(rendered, resolution))


def test_another_second_or_seed_is_another_frame():
    first = street_frame((64, 48))
    assert not np.array_equal(first, street_frame((64, 48), 2.0))
    assert not np.array_equal(first, street_frame((64, 48), seed=1))
    assert np.array_equal(first, street_frame((64, 48)))


def test_several_frames_are_a_second_apart():
    frames = street_frames((64, 48), 3, seed=4)
    assert frames.shape == (3, 48, 64, 3)
    for second, frame in enumerate(frames):
        assert np.array_equal(frame, street_frame((64, 48), float(second), seed=4))
