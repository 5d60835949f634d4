"""What is handed to Rerun for one camera: colors, places and times, without a browser."""

import math
from unittest import mock

import numpy as np
import pytest
from support.absence import import_or_skip

import_or_skip('rerun', 'rerun-sdk is not installed: scripts/setup.sh view')

from enet_ros.network.class_map import UNKNOWN, ClassMap  # noqa: E402
from enet_ros.view import drawing  # noqa: E402

GREEN, RED, GRAY = (60, 140, 70, 255), (150, 50, 50, 255), (90, 90, 90, 60)


@pytest.fixture
def rr(monkeypatch):
    """A stand-in for rerun, whose calls are looked at."""
    monkeypatch.setattr(drawing, 'rr', mock.MagicMock())
    return drawing.rr


@pytest.fixture
def camera(rr):
    return drawing.CameraDrawing(mock.MagicMock(), 'front', ClassMap.from_names(['Road', 'Sky']),
                                 0.3)


def test_drivable_is_green_and_the_rest_is_not(rr, camera):
    masks = dict((row[0], row[1:]) for row in rr.AnnotationContext.call_args_list[-1].args[0])
    assert masks == {0: ('not drivable, or unknown', (45, 45, 50)),
                     255: ('drivable', (70, 190, 90))}
    classes = rr.AnnotationContext.call_args_list[0].args[0]
    assert (UNKNOWN, 'unknown', (0, 0, 0)) in classes
    assert [row[1] for row in classes] == ['Road (drivable)', 'Sky', 'unknown']


def test_a_free_cell_is_green_an_occupied_one_red_and_an_unknown_one_gray(rr, camera):
    """Rows of a grid go to the left (y), and those of an image go down."""
    camera.grid(np.array([[0, 100, -1], [-1, -1, 0]], np.int8), 0.1, (2.0, -3.0))
    given = rr.GridMap.call_args.kwargs
    image = np.frombuffer(given['data'], np.uint8).reshape(2, 3, 4)
    assert image.tolist() == [[list(c) for c in row] for row in (
        (GRAY, GRAY, GREEN), (GREEN, RED, GRAY))]
    assert given['cell_size'] == 0.1 and given['translation'][:2] == (2.0, -3.0)


def test_the_border_of_the_free_ground_has_gaps_where_nothing_is_known(rr, camera):
    camera.free_space(np.array([1.0, 2.0, np.nan, math.inf, 1.0], np.float32), -math.pi / 2,
                      math.pi / 4, 9.0)
    right, left = rr.LineStrips3D.call_args.args[0]
    np.testing.assert_allclose(right[:, :2], [(0, -1), (math.sqrt(2), -math.sqrt(2))], atol=1e-6)
    np.testing.assert_allclose(left[:, :2], [(9 / math.sqrt(2),) * 2, (0, 1)], atol=1e-6)


def test_a_frame_gets_the_size_of_its_labels(rr, camera):
    frame = np.zeros((4, 8, 3), np.uint8)
    for size, shape in ((None, (4, 8, 3)), ((8, 4), (4, 8, 3)), ((4, 8), (8, 4, 3)),
                        ((4, 2), (2, 4, 3))):
        camera.camera(frame, size)
        assert rr.Image.call_args.args[0].shape == shape
    camera.labels(np.zeros((4, 8), np.uint8))
    assert rr.SegmentationImage.call_args.kwargs['opacity'] == 0.3


def test_labels_that_are_cleared_go_away(rr, camera):
    camera.clear_labels()
    camera._recording.log.assert_called_with('cameras/front/image/labels', rr.Clear.return_value,
                                             static=False)


def test_the_level_of_the_diagnostics_is_that_of_the_log(rr, camera):
    for level, word in ((0, 'INFO'), (1, 'WARN'), (2, 'ERROR'), (3, 'ERROR')):
        camera.diagnostics(level, 'text', {})
        assert rr.TextLog.call_args.kwargs == {'level': word}


def test_stamps_are_nanoseconds_and_times_that_are_none_are_left_out(rr, camera):
    camera.at(1_500_000_000)
    assert camera._recording.set_time.call_args.kwargs['timestamp'] == np.datetime64(
        '1970-01-01T00:00:01.5')
    camera.timing({'inference': math.nan, 'wait': 2.0})
    assert [call.args for call in rr.Scalars.call_args_list] == [(2.0,)]
