"""Transforms of recordings: their times, jumps of time, parents and namespaces."""

import numpy as np
import pytest

pytest.importorskip('rosbags', reason='the extra bag is not installed')

from support import recordings  # noqa: E402

from enet_ros.perception.geometry.pose import Pose  # noqa: E402
from enet_ros.recordings.transform_history import TransformHistory  # noqa: E402
from enet_ros.recordings.transforms import RecordedTransforms  # noqa: E402

SECOND = 10**9
IMAGE, INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
TF = 'tf2_msgs/msg/TFMessage'
UPRIGHT = (0.0, 0.0, 0.0, 1.0)


def stamp(sec):
    types = recordings.store().types
    return recordings.header(types, round(sec * SECOND), '').stamp


def transforms_of(*rows):
    """Return transforms: parent, child, seconds (None is static), x, yaw in radians."""
    types, made = recordings.store().types, RecordedTransforms()
    for parent, child, sec, x, yaw in rows:
        message = recordings.transform(
            types, round((sec or 0) * SECOND), parent, child, (x, 0.0, 0.5),
            (0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2))))
        made.add(message.transforms, is_static=sec is None, recorded_ns=(sec or 0) * SECOND)
    return made


def test_transforms_are_interpolated_and_chained():
    made = transforms_of(('map', 'base', 1, 0.0, 0.0), ('map', 'base', 2, 2.0, np.pi / 2),
                         ('base', 'cam', None, 1.0, 0.0))
    move, turn = made.lookup('/map', 'cam', stamp(1.5))
    assert move == pytest.approx((1.0 + np.cos(np.pi / 4), np.sin(np.pi / 4), 1.0))
    assert np.allclose(Pose.from_quaternion((0, 0, 1), turn).rotation_matrix,
                       Pose.from_quaternion((0, 0, 1), (0, 0, np.sin(np.pi / 8),
                                                        np.cos(np.pi / 8))).rotation_matrix)
    back, _ = made.lookup('cam', 'map', stamp(1.0))
    assert back == pytest.approx((-1.0, 0.0, -1.0))


@pytest.mark.parametrize(('x', 'yaw', 'sec', 'known'), [
    (0.04, 0.0, 12.4, True), (0.2, 0.0, 12.4, False), (0.2, 0.0, 12.04, True),
    (0.0, 0.02, 12.4, False), (0.0, 0.02, 12.04, True), (0.0, 0.0, 9.9, False)])
def test_the_last_transform_serves_later_frames_only_while_it_hardly_changes(x, yaw, sec, known):
    made = transforms_of(*(('map', 'base', k, x * k, yaw * k) for k in (10, 11, 12)))
    if known:
        assert made.lookup('map', 'base', stamp(sec))[0] == pytest.approx((12 * x, 0.0, 0.5))
        return
    reason = ('ends 0.400 s before the frame, and changes' if sec > 12 else
              'begins 0.100 s after the frame')
    with pytest.raises(LookupError, match=reason):
        made.lookup('map', 'base', stamp(sec))


def test_a_last_transform_without_one_before_may_have_changed():
    made = transforms_of(('map', 'base', 10, 0.0, 0.0))
    with pytest.raises(LookupError, match='ends 0.400 s before the frame, and changes'):
        made.lookup('map', 'base', stamp(10.4))


def test_transforms_that_are_not_there_are_refused_in_words():
    made = transforms_of(('map', 'base', 1, 0.0, 0.0), ('odom', 'cam', None, 0.0, 0.0))
    with pytest.raises(LookupError, match='is 2.0 s from the frame, wanted at most 0.5 s'):
        made.lookup('map', 'base', stamp(3))
    with pytest.raises(LookupError, match='no transform from cam to map; its frames are base, '):
        made.lookup('map', 'cam', stamp(1))
    with pytest.raises(LookupError, match='empty frame_id'):
        made.lookup('map', '', stamp(1))


def test_frames_that_are_each_in_the_other_have_no_root_and_end_the_search():
    made = transforms_of(('map', 'base', None, 1.0, 0.0), ('base', 'map', None, -1.0, 0.0),
                         ('odom', 'cam', None, 0.0, 0.0))
    with pytest.raises(LookupError, match='no transform from cam to map'):
        made.lookup('map', 'cam', stamp(1))


def test_transforms_that_are_added_after_a_lookup_count():
    made = transforms_of(('map', 'base', 1, 1.0, 0.0))
    assert x_of(made, 'map', 'base', 1, 1) == 1.0
    add(made, 'map', 'base', 2, 2, 2.0)
    assert x_of(made, 'map', 'base', 2, 2) == 2.0


def test_a_transform_whose_stamp_is_no_time_is_left_out():
    types, made = recordings.store().types, RecordedTransforms()
    message = recordings.transform(types, SECOND, 'map', 'base', (0.0, 0.0, 0.0), UPRIGHT)
    message.transforms[0].header.stamp.nanosec = SECOND
    made.add(message.transforms, is_static=False, recorded_ns=SECOND)
    assert not len(made)


@pytest.mark.parametrize('length', [0.0, 1e-200, 1e200, float('nan')])
def test_a_quaternion_without_a_direction_is_left_out(length):
    types, made = recordings.store().types, RecordedTransforms()
    made.add(recordings.transform(types, 0, 'base', 'cam', (0.0, 0.0, 0.0),
                                  (0.0, 0.0, 0.0, length)).transforms, is_static=True)
    assert len(made) == 0


def test_a_hole_between_transforms_is_not_bridged_and_stamp_zero_is_the_newest_then():
    made = transforms_of(('map', 'base', 100, 0.0, 0.0), ('map', 'base', 160, 60.0, 0.0))
    with pytest.raises(LookupError, match='is 30.0 s from the frame, wanted at most 0.5 s'):
        made.lookup('map', 'base', stamp(130))
    assert made.lookup('map', 'base', stamp(100.25))[0] == pytest.approx((0.25, 0.0, 0.5))
    with pytest.raises(LookupError, match='had not been recorded yet'):
        made.lookup('map', 'base', stamp(0))
    for now_sec, x in ((100, 0.0), (100.5, 0.0), (160.25, 60.0)):
        assert x_of(made, 'map', 'base', 0, now_sec) == x
    for now_sec, age_sec in ((101, 1), (159, 59), (3000, 2840)):
        with pytest.raises(LookupError, match=fr'was last recorded {age_sec}\.0 s before the'):
            x_of(made, 'map', 'base', 0, now_sec)


def test_static_transforms_serve_frames_with_stamp_zero_at_any_time():
    made = transforms_of(('base', 'cam', None, 1.0, 0.0))
    assert x_of(made, 'base', 'cam', 0, 3000) == 1.0


def test_transforms_at_the_end_whose_stamps_fell_back_are_a_fall():
    history = TransformHistory()
    for i, sec in enumerate((100, 101, 102, 1, 2)):
        history.add('odom', sec * SECOND, (0.,) * 6 + (1.,), 200 * SECOND + i)
    assert history.falls() == [200 * SECOND + 3]


def add(made, parent, child, sec, recorded_sec, x, *, is_static=False):
    """Add one transform: its stamp and its time of recording in seconds, and x."""
    message = recordings.transform(recordings.store().types, round(sec * SECOND), parent, child,
                                   (x, 0.0, 0.0), UPRIGHT)
    made.add(message.transforms, is_static=is_static, recorded_ns=round(recorded_sec * SECOND))


def x_of(made, target, source, sec, recorded_sec):
    """Return x of a transform for a frame with a stamp and a time of recording."""
    made.now_ns = round(recorded_sec * SECOND)
    return made.lookup(target, source, stamp(sec))[0][0]


def two_runs():
    """Return a run to +t recorded from 100 s, and one to -t recorded from 110 s."""
    made = RecordedTransforms()
    add(made, 'base', 'cam', 0, 99, 0.25, is_static=True)
    for run, sign in enumerate((1, -1)):
        for k in range(100):
            add(made, 'odom', 'base', 0.1 * k, 100 + 10 * run + 0.1 * k, sign * 0.1 * k)
    return made


@pytest.mark.parametrize('sec', [0.02, 0.5, 5.0, 5.05, 9.9])
def test_each_run_before_and_after_a_reset_has_its_own_transforms(sec):
    made = two_runs()
    assert x_of(made, 'odom', 'cam', sec, 100.1 + sec) == pytest.approx(sec + 0.25)
    assert x_of(made, 'odom', 'cam', sec, 110.1 + sec) == pytest.approx(-sec + 0.25)


def test_an_image_that_is_recorded_on_the_other_side_of_a_reset_keeps_its_run():
    made = two_runs()
    assert x_of(made, 'odom', 'base', 9.7, 110.3) == pytest.approx(9.7)
    assert x_of(made, 'odom', 'base', 0.3, 109.99) == pytest.approx(-0.3)


def test_the_newest_transform_is_that_of_the_run():
    made = two_runs()
    assert x_of(made, 'odom', 'base', 0, 109.95) == pytest.approx(9.9)
    assert x_of(made, 'odom', 'base', 0, 112.05) == pytest.approx(-2.0)


def test_a_hole_in_the_second_run_is_not_filled_from_the_first():
    made = RecordedTransforms()
    for run, sign in enumerate((1, -1)):
        for k in range(100):
            if not run or not 30 < k < 60:
                add(made, 'odom', 'base', 0.1 * k, 100 + 10 * run + 0.1 * k, sign * 0.1 * k)
    with pytest.raises(LookupError, match=r'is 1\.5 s from the frame'):
        x_of(made, 'odom', 'base', 4.5, 114.5)


def test_a_frame_that_only_the_first_run_has_is_unknown_in_the_second():
    made = RecordedTransforms()
    for k in range(100):
        add(made, 'map', 'odom', 0.1 * k, 100 + 0.1 * k, 1.0)
    for run in range(2):
        for k in range(100):
            add(made, 'odom', 'base', 0.1 * k, 100 + 10 * run + 0.1 * k, 1.0)
    assert x_of(made, 'map', 'base', 5.0, 105) == pytest.approx(2.0)
    assert x_of(made, 'odom', 'base', 5.0, 115) == pytest.approx(1.0)
    with pytest.raises(LookupError, match='of odom, .* only before or after a jump of time'):
        x_of(made, 'map', 'base', 5.0, 115)


def test_a_publisher_that_notices_a_reset_later_makes_no_jump_of_its_own():
    rows = [(110.02 + 0.05 * k, 'map', 'odom', 9.8, 0.0) for k in range(3)]  # still the first run
    for run in range(2):
        for k in range(100):
            recorded_sec = 100 + 10 * run + 0.1 * k
            rows.append((recorded_sec, 'odom', 'base', 0.1 * k, 10.0 * run))
            if not run or k > 2:
                rows.append((recorded_sec + 0.01, 'map', 'odom', 0.1 * k, 1000.0 * run))
    made = RecordedTransforms()
    for recorded_sec, parent, child, sec, x in sorted(rows):
        add(made, parent, child, sec, recorded_sec, x)
    assert len(made.epochs.begins_ns) == 1
    assert x_of(made, 'map', 'base', 9.75, 109.8) == pytest.approx(0.0)
    for sec in (0.4, 5.05, 9.75):
        assert x_of(made, 'map', 'base', sec, 110.05 + sec) == pytest.approx(1010.0)


def test_jumps_of_two_frames_long_after_each_other_are_two():
    made = RecordedTransforms()
    for parent, child, fall_sec in (('odom', 'base', 5), ('map', 'odom', 15)):
        for k in range(200):
            stamp_sec = 100 + 0.1 * k - (50 if 0.1 * k >= fall_sec else 0)
            add(made, parent, child, stamp_sec, 0.1 * k, 0.0)
    assert made.epochs.begins_ns == [5 * SECOND, 15 * SECOND]
    assert made.epochs.frame == 'base'


def test_two_jumps_of_one_frame_are_two_although_they_are_near():
    made = RecordedTransforms()
    for i, start_sec in enumerate((100, 50, 10)):
        for k in range(5):
            add(made, 'odom', 'base', start_sec + 0.1 * k, 0.5 * i + 0.1 * k, 0.0)
    assert made.epochs.begins_ns == [SECOND // 2, SECOND]


@pytest.mark.parametrize('late_sec', [0.3, 1.0, 12.0])
def test_a_late_or_second_publisher_is_no_jump_of_time(late_sec):
    made = RecordedTransforms()
    for k in range(101):
        add(made, 'odom', 'base', 20 + 0.1 * k, 100 + 0.1 * k, 0.1 * k)
        if k < 100:
            add(made, 'odom', 'base', 20.05 + 0.1 * k - late_sec, 100.05 + 0.1 * k,
                0.1 * k + 0.05 - late_sec)
    assert not made.epochs.begins_ns
    assert x_of(made, 'odom', 'base', 25.02, 105.1) == pytest.approx(5.02)


def test_a_static_transform_counts_from_when_it_was_recorded():
    made = RecordedTransforms()
    add(made, 'base', 'cam', 0, 100, 1.0, is_static=True)
    add(made, 'base', 'cam', 50, 150, 2.0, is_static=True)
    for recorded_sec, x in ((90, 1.0), (120, 1.0), (149.9, 1.0), (150, 2.0), (200, 2.0)):
        assert x_of(made, 'base', 'cam', recorded_sec, recorded_sec) == x


def test_a_frame_that_gets_another_parent_keeps_what_it_had():
    made = RecordedTransforms()
    add(made, 'map', 'hand', 0, 0, 7.0, is_static=True)
    for k in range(100):
        add(made, 'shelf' if k < 50 else 'hand', 'box', 10 + 0.1 * k, 10 + 0.1 * k, float(k))
    assert x_of(made, 'shelf', 'box', 12.05, 12) == pytest.approx(20.5)
    assert x_of(made, 'shelf', 'box', 14.95, 15) == pytest.approx(49.0)  # as tf2: not between
    assert x_of(made, 'hand', 'box', 15.0, 15) == pytest.approx(50.0)
    assert x_of(made, 'map', 'box', 17.05, 17) == pytest.approx(77.5)
    with pytest.raises(LookupError, match='no transform from box to shelf'):
        x_of(made, 'shelf', 'box', 17.05, 17)


def test_a_static_frame_that_moves_for_a_while_counts_as_both():
    made = RecordedTransforms()
    add(made, 'base', 'cam', 0, 0, 1.0, is_static=True)
    for k in range(10):
        add(made, 'base', 'cam', 10 + 0.1 * k, 10 + 0.1 * k, 2.0)
    assert [x_of(made, 'base', 'cam', sec, sec) for sec in (5, 10.5, 20)] == [1.0, 2.0, 1.0]


def robots(namespaces, images, count=10):
    """Return rows of robots at x = 0, 100, ... in odom, and of cameras."""
    types, frame, (position, turn) = (recordings.store().types, recordings.frames(1)[0],
                                      recordings.mounted())
    rows = []
    for k in range(count):
        at_ns = recordings.START_NS + k * recordings.STEP_NS
        for i, namespace in enumerate(namespaces):
            if k == 0:
                rows.append((f'{namespace}/tf_static', TF, at_ns, recordings.transform(
                    types, at_ns, 'base_link', 'cam', position, turn)))
            rows.append((f'{namespace}/tf', TF, at_ns + i, recordings.transform(
                types, at_ns, 'odom', 'base_link', (100.0 * i, 0.0, 0.0), UPRIGHT)))
        for image in images if k % 5 == 4 else ():
            rows += [(f'{image.rpartition("/")[0]}/camera_info', INFO, at_ns + 10,
                      recordings.camera_info(types, at_ns)),
                     (image, IMAGE, at_ns + 11, recordings.image(types, frame, at_ns))]
    return rows


@pytest.fixture
def grids(bag, tmp_path):
    """Label rows: grids(rows) -> ({topic: [x of the grid in odom]}, text)."""
    def run(rows):
        path = recordings.write(tmp_path / 'drive', rows)
        params = tmp_path / 'params.yaml'
        params.write_text('/enet:\n  ros__parameters:\n    odom_frame: odom\n')
        code, text = bag(path, '-o', tmp_path / 'out', '--outputs', 'labels,grid', '--params',
                         params)
        assert code == 0, text
        found = recordings.decoded(tmp_path / 'out')
        return {topic: [grid.info.origin.position.x for _, grid in messages]
                for topic, messages in found.items() if topic.endswith('/grid')}, text

    return run


def test_each_robot_of_a_recording_has_its_own_transforms(grids):
    found, text = grids(robots(('/r1', '/r2'), ('/r1/camera/image', '/r2/camera/image')))
    one, other = found['/enet/r1_camera/grid'], found['/enet/r2_camera/grid']
    assert np.allclose(other, np.add(one, 100.0), atol=0.2) and max(np.abs(one)) < 50
    assert '/tf' not in text


def test_the_nearest_namespace_around_a_camera_counts(grids):
    found, text = grids(robots(('', '/r'), ('/image', '/r/camera/image', '/rear/image')))
    shift = found['/enet/r_camera/grid'][0] - found['/enet/camera/grid'][0]
    assert shift == pytest.approx(100.0, abs=0.2)
    assert found['/enet/rear/grid'] == found['/enet/camera/grid']


def test_the_only_transforms_are_taken_from_another_namespace_and_named(grids):
    found, text = grids(robots(('/r1',), ('/camera/image',)))
    assert len(found['/enet/grid']) == 2
    assert 'warning: /camera/image: takes the transforms of /r1/tf, the only ones' in text


@pytest.mark.parametrize(('namespaces', 'images', 'topic', 'named'), [
    (('/r1', '/r2'), ('/camera/image',), 'grid', '/r1/tf, /r2/tf'),
    (('/r2',), ('/r1/camera/image', '/r2/camera/image'), 'r1_camera/grid', '/r2/tf')])
def test_transforms_that_may_be_of_another_robot_are_not_taken(grids, namespaces, images, topic,
                                                               named):
    found, text = grids(robots(namespaces, images))
    assert f'/enet/{topic}' not in found
    assert (f'the recording has no transforms (TF) for {images[0]}, since {named} may be of '
            'another robot') in text


def test_a_reset_within_a_recording_is_named_and_each_run_has_its_meters(grids):
    first_run, second_run = (robots(('',), ('/image',), 20) for _ in range(2))
    for topic, _, _, message in second_run:
        if topic == '/tf':
            message.transforms[0].transform.translation.x = 10.0
    second_run = [(topic, kind, at_ns + 20 * recordings.STEP_NS, message)
                  for topic, kind, at_ns, message in second_run if topic != '/tf_static']
    found, text = grids([*first_run, *second_run])
    first, second = np.split(np.array(found['/enet/grid']), 2)
    assert len(second) == 4 and np.allclose(second - first, 10.0, atol=0.2)
    assert ('warning: /tf: stamps fall back (1 times, first those of base_link), as when a '
            'simulator is reset; each image takes the transforms of its own run') in text
