"""Calibrations, poses and stamps that real drivers send, through a real node."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.parameter import Parameter  # noqa: E402
from support.ground import GROUND, calibration, table, xyz  # noqa: E402
from support.tf2 import Tf2  # noqa: E402

pytestmark = pytest.mark.ros
IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def changed(**fields):
    """Return the street's camera info with other fields."""
    info = calibration()
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def status(node, part, least_level=0):
    """Wait for diagnostics of a level with a text; return the newest: (level, message, values).

    A warning of the moment is shown once, so a test that expects one gives ``least_level``.
    """
    def found():
        for message in reversed(node.messages['/diagnostics']):
            entry = message.status[0]
            values = {item.key: item.value for item in entry.values}
            level = int.from_bytes(entry.level, 'little')
            if level >= least_level and (
                    part in entry.message or any(part in value for value in values.values())):
                return level, entry.message, values
        return None
    node.wait(found, f'diagnostics with {part!r}')
    return found()


@pytest.fixture
def started(bench, road_frame):
    """A maker of nodes that have got a camera info and a frame; it returns the bench."""
    def make(info, *topics, **parameters):
        node = bench(**{'output_size': 'network', 'diagnostics_period': 0.1, **GROUND,
                        **parameters})
        node.listen('labels', '/diagnostics', *topics)
        node.send(info, 'camera_info')
        node.wait(lambda: node.camera.calibration.newest() is not None, 'camera info')
        node.reply(node.image(road_frame), 'labels')
        return node
    return make


@pytest.mark.parametrize('fields', [
    {'distortion_model': 'plumb_bob', 'd': [0.0] * 8}, {'distortion_model': ' Plumb Bob'},
    {'distortion_model': 'none', 'd': []}, {'distortion_model': 'pinhole', 'd': [0.0] * 5},
    {'distortion_model': 'made up', 'd': []},
    {'distortion_model': 'rational_polynomial', 'd': []}])
def test_without_distortion_there_are_meters_whatever_its_name(started, road_frame, fields):
    node = started(changed(**fields), 'points')
    cloud = node.reply(node.image(road_frame), 'points')
    assert np.allclose(xyz(cloud), table().points, atol=1e-3, equal_nan=True)
    level, _, values = status(node, 'no distortion')
    assert level == 0 and values['calibration'].startswith('320x192 pixels')
    assert 'help' not in values


def test_a_plumb_bob_of_eight_values_is_rational_and_said_to_be(started, road_frame):
    d = [0.01, 0.0, 0.0, 0.0, 0.0, 0.01, 0.0, 0.0]
    node = started(changed(d=d), 'points')
    assert np.isfinite(xyz(node.reply(node.image(road_frame), 'points'))).any()
    assert 'read as rational_polynomial' in status(node, 'rational_polynomial')[2]['calibration']


@pytest.mark.parametrize(('fields', 'part'), [
    ({'k': IDENTITY}, 'set rectified to true'),
    ({'distortion_model': 'mei', 'd': [0.1] * 5}, 'mei'),
    ({'r': [2.0, *IDENTITY[1:]]}, 'R is'), ({'d': [-2.0, 0.0, 0.0, 0.0, 0.0]}, 'folds inside')])
def test_a_calibration_that_cannot_be_true_gives_no_meters_and_a_warning(
        started, road_frame, fields, part):
    node = started(changed(**fields), 'points', 'camera_info')
    level, text, values = status(node, part, least_level=1)
    assert level == 1 and 'no outputs in meters' in text and part in values['calibration']
    assert 'docs/troubleshooting.md' in values['help']
    assert not node.messages['points'] and not node.messages['camera_info']
    node.send(calibration(), 'camera_info')
    node.wait(lambda: node.camera.calibration.newest().k[0] > 2, 'the right camera info')
    node.reply(node.image(road_frame), 'points', 'camera_info')
    assert status(node, 'no distortion')[0] == 0


@pytest.mark.parametrize(('of_info', 'level'), [
    ('rear_cam', 1), ('/cam', 0), ('cam', 0), ('', 0)])
def test_a_camera_info_of_another_camera_is_named_and_used(started, road_frame, of_info, level):
    info = calibration()
    info.header.frame_id = of_info
    node = started(info, 'points')
    assert np.isfinite(xyz(node.reply(node.image(road_frame), 'points'))).any()
    said = "the camera info is of 'rear_cam' and the images are of 'cam' (frame_id)"
    found, text, _ = status(node, said if level else 'no distortion', level)
    assert (found, said in text) == (level, bool(level))


def test_the_calibration_is_shown_when_nobody_asks_for_meters(started):
    node = started(changed(k=IDENTITY), ground__pose='off')
    level, _, values = status(node, 'focal length of 1')
    assert level == 0 and 'rectified' in values['calibration']


def test_a_pose_that_sees_no_ground_is_said_and_asked_about(started, road_frame):
    node = started(calibration(), 'points', ground__pitch=-1.5)
    level, text, _ = status(node, 'no ground is seen', least_level=1)
    assert level == 1 and 'ground.pitch -1.5' in text
    assert np.isnan(xyz(node.reply(node.image(road_frame), 'points'))[..., 0]).all()


def test_the_body_frame_instead_of_the_optical_one_is_asked_about(started, road_frame):
    node = started(calibration(), 'points', ground__pose='tf')
    asked = []

    def lookup(target, source, stamp, wait_sec):
        asked.append((target, source))
        return (0.0, 0.0, 1.4), (0.0, 0.0, 0.0, 1.0)

    node.camera.transforms.lookup = lookup
    node.reply(node.image(road_frame, frame_id='camera_link'), 'points')
    _, text, _ = status(node, 'no ground is seen', least_level=1)
    assert "is 'camera_link' the optical frame" in text


class AskedTf2(Tf2):
    """A stand-in for tf2_ros, which notes the frames that it is asked for."""

    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.asked = []

    def lookup_transform(self, target, source, time):
        self.asked.append((target, source))
        raise RuntimeError('nothing is known')


def test_tf_is_listened_to_before_the_first_frame_and_asked_without_slashes(
        monkeypatch, bench, road_frame):
    tf2 = AskedTf2(monkeypatch)
    node = bench(**{**GROUND, 'ground__pose': 'tf', 'base_frame': '/base_footprint'})
    assert tf2.listening == 1
    node.listen('labels', 'points')
    node.send(calibration(), 'camera_info')
    node.wait(lambda: node.camera.calibration.newest() is not None, 'camera info')
    labels = node.reply(node.image(road_frame, frame_id='/cam'), 'labels')
    assert labels.header.frame_id == '/cam'
    assert tf2.asked and set(tf2.asked) == {('base_footprint', 'cam')}


def test_nobody_listens_to_tf_who_does_not_need_it(monkeypatch, bench):
    tf2 = AskedTf2(monkeypatch)
    bench(**GROUND)
    bench()
    assert tf2.listening == 0


def test_an_empty_frame_id_is_named(monkeypatch, bench, road_frame):
    AskedTf2(monkeypatch)
    node = bench(**{**GROUND, 'ground__pose': 'tf', 'diagnostics_period': 0.1})
    node.listen('labels', 'points', '/diagnostics')
    node.send(calibration(), 'camera_info')
    node.wait(lambda: node.camera.calibration.newest() is not None, 'camera info')
    node.reply(node.image(road_frame, frame_id=''), 'labels')
    assert 'empty frame_id' in status(node, 'empty frame_id')[1]


def vote_of(node, pixels, frames, stamps_ns):
    """Return the masks of frames with these stamps."""
    masks = []
    for frame, stamp_ns in zip(frames, stamps_ns):
        before = len(node.messages['drivable_mask'])
        node.send(node.image(frame, stamp_ns=stamp_ns))
        node.wait(lambda: len(node.messages['drivable_mask']) > before, 'a mask')  # noqa: B023
        masks.append(pixels(node.messages['drivable_mask'][-1]))
    return masks


@pytest.mark.parametrize('stamps_ms', [
    (0, 0, 0, 0, 0), (10_000, 10_050, 10_045, 10_100, 10_095)])
def test_votes_count_with_stamps_of_zero_and_with_jitter(bench, pixels, road_frame, stamps_ms):
    node = bench(drivable__majority=5, output_size='network')
    node.listen('drivable_mask')
    black = np.zeros_like(road_frame)
    masks = vote_of(node, pixels, [black] * 4 + [road_frame], [ms * 1_000_000 for ms in stamps_ms])
    assert node.set(drivable__majority=1).successful
    alone = vote_of(node, pixels, [road_frame], [20_000 * 1_000_000])[0]
    assert alone[masks[3] == 0].any()
    assert not masks[4][masks[3] == 0].any()  # The one road is outvoted.


def test_stamps_of_zero_are_noted(started, pixels, road_frame):
    node = started(calibration(), 'drivable_mask')
    vote_of(node, pixels, [road_frame] * 3, [0, 0, 0])
    assert 'stand still at 0 s' in status(node, 'stand still')[2]['stamps']


@pytest.mark.parametrize(('stamp_sec', 'parts'), [
    (30.0, ['wall time (use_sim_time is false)', 'simulated time', 'use_sim_time to true']),
    (2.1e9, ['in the future', 'use_sim_time is false']), (0.0, ['its stamp is 0'])])
def test_a_frame_of_another_clock_is_dropped_and_the_clock_named(
        bench, road_frame, stamp_sec, parts):
    node = bench(max_frame_age=0.5, diagnostics_period=0.1)
    node.listen('labels', '/diagnostics')
    node.send(node.image(road_frame, stamp_ns=int(stamp_sec * 1e9)))
    _, text, _ = status(node, 'max_frame_age')
    assert all(part in text for part in parts), text
    assert node.reply(node.image(road_frame), 'labels')  # a frame of now goes on


def test_a_node_with_simulated_time_that_nobody_publishes_says_so(bench, road_frame):
    node = bench(max_frame_age=0.5, diagnostics_period=0.1)
    node.listen('labels', '/diagnostics')
    node.node.set_parameters([Parameter('use_sim_time', value=True)])
    node.send(node.image(road_frame))
    assert 'nothing publishes /clock' in status(node, '/clock')[1]
