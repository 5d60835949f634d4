"""Recordings with bad frames, missing transforms and names that clash."""

import errno
import os
import shutil
import sqlite3
import time

import numpy as np
import pytest
import yaml

pytest.importorskip('rosbags', reason='the extra bag is not installed')

import zstandard  # noqa: E402
from support import recordings  # noqa: E402

from enet_ros.cli.main import main  # noqa: E402
from enet_ros.perception.geometry.camera_model import CameraModel  # noqa: E402
from enet_ros.perception.images.write_compressed import CompressionError  # noqa: E402
from enet_ros.recordings.fleet import run_here  # noqa: E402
from enet_ros.recordings.reader import _unreadable  # noqa: E402

RAW = 'sensor_msgs/msg/Image'


def test_bad_frames_are_counted_and_named_and_kept(bag, tmp_path):
    rows = recordings.street(4)
    images = [i for i, row in enumerate(rows) if row[1] == RAW]
    rows[images[1]][3].encoding = 'rgb16000'
    rows[images[2]] = (*rows[images[2]][:3], b'\0\1\0\0cut')
    path = recordings.write(tmp_path / 'drive', rows)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 1
    assert '2 frames labeled, 2 could not be read' in text
    assert 'warning: /image: frames that could not be read (2 times): ' in text
    assert 'rgb16000' in text
    found = recordings.read(tmp_path / 'out')
    assert sum(row[0] == '/image' for row in found) == 4
    assert (b'\0\1\0\0cut') in [row[3] for row in found]
    labels = [row[2] for row in found if row[0] == '/enet/labels']
    assert labels == [rows[images[0]][2], rows[images[3]][2]]


def test_a_stamp_that_is_no_time_is_named(bag, tmp_path):
    rows = recordings.street(2)
    [first, _] = [row for row in rows if row[1] == RAW]
    first[3].header.stamp.nanosec = 10**9
    code, text = bag(recordings.write(tmp_path / 'drive', rows), '-o', tmp_path / 'out')
    assert code == 1 and '1 frames labeled, 1 could not be read' in text
    assert 's and 1000000000 ns, wanted 0 s or more and fewer than 1000000000 ns' in text


def test_an_encoder_that_fails_costs_its_output_alone(bag, tmp_path, monkeypatch):
    def fail(*arguments):
        raise CompressionError('OpenCV could not encode it')

    monkeypatch.setattr('enet_ros.recordings.outputs.png_of', fail)
    path = recordings.write(tmp_path / 'drive', recordings.street(2))
    _, text = bag(path, '-o', tmp_path / 'out', '--outputs', 'labels,labels/compressed')
    assert 'no ~/labels/compressed (2 times): OpenCV could not encode it' in text
    topics = [row[0] for row in recordings.read(tmp_path / 'out')]
    assert topics.count('/enet/labels') == 2 and '/enet/labels/compressed' not in topics


def test_the_pose_comes_from_the_transforms_of_the_recording(bag, tmp_path):
    rows = recordings.street(2, meters=True)
    path = recordings.write(tmp_path / 'drive', rows)
    assert bag(path, '-o', tmp_path / 'tf')[0] == 0
    params = tmp_path / 'params.yaml'
    camera = recordings.SCENE.camera
    params.write_text('/enet:\n  ros__parameters:\n    ground.pose: parameters\n'
                      f'    ground.height: {float(camera.height_m)}\n'
                      f'    ground.pitch: {float(camera.pitch_rad)}\n')
    assert bag(path, '-o', tmp_path / 'own', '--params', params)[0] == 0
    by_tf, by_hand = (recordings.decoded(tmp_path / name)['/enet/obstacles']
                      for name in ('tf', 'own'))
    for (_, one), (_, other) in zip(by_tf, by_hand, strict=True):
        assert one.header.frame_id == 'base_link'
        points = [np.frombuffer(cloud.data, '<f4') for cloud in (one, other)]
        assert points[0].size > 30
        assert np.allclose(*points, atol=1e-3)


def test_a_parameter_file_of_two_cameras_serves_a_recording_of_one(bag, tmp_path):
    path = recordings.write(tmp_path / 'drive', recordings.street(2, meters=True))
    params, camera = tmp_path / 'robot.yaml', recordings.SCENE.camera
    params.write_text(
        '/enet:\n  ros__parameters:\n    cameras: [front, left]\n    ground.pose: parameters\n'
        f'    front.ground.height: {float(camera.height_m)}\n    left.ground.height: 7.0\n'
        f'    ground.pitch: {float(camera.pitch_rad)}\n')
    code, text = bag(path, '-o', tmp_path / 'out', '--params', params)
    assert code == 0, text
    for name in ('front', 'left'):
        assert (f"warning: the parameters of the camera '{name}' are not used ({name}.ground."
                f'height): no camera here has that name; --topic {name}=TOPIC') in text
    code, text = bag(path, '-o', tmp_path / 'named', '--params', params, '--topic',
                     'front=/image')
    assert code == 0 and "camera 'left' are not used" in text and "'front'" not in text
    (_, cloud), *_ = recordings.decoded(tmp_path / 'named')['/enet/front/obstacles']
    assert cloud.header.frame_id == 'base_link'
    params.write_text(params.read_text() + '    right.ground.height: 1.0\n')
    code, text = bag(path, '-o', tmp_path / 'no', '--params', params)
    assert code == 2 and "parameter 'right.ground.height' is not known" in text


@pytest.mark.parametrize(('meters', 'missing'), [
    (False, 'the recording has no transforms (TF) and no camera_info'),
    (True, 'the recording has no transforms (TF);')])
def test_a_recording_without_what_meters_need_says_so(bag, tmp_path, meters, missing):
    rows = [row for row in recordings.street(2, meters=meters) if not row[0].startswith('/tf')]
    path = recordings.write(tmp_path / 'drive', rows)
    _, text = bag(path, '-o', tmp_path / 'out')
    assert f'/image: no obstacles, free_space, grid: {missing}' in text
    _, text = bag(path, '-o', tmp_path / 'labels', '--outputs', 'labels')
    assert 'recording has no' not in text


def test_meters_that_are_missing_are_named_and_labels_go_on(bag, tmp_path):
    rows = recordings.street(2, meters=True)
    types = recordings.store().types
    rows[0] = (*rows[0][:3], recordings.transform(types, recordings.START_NS, 'map', 'lidar',
                                                  (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    path = recordings.write(tmp_path / 'drive', rows)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 0
    assert ('no outputs in meters (2 times): the recording has no transform from cam to base_link;'
            ' its frames are lidar, map') in text
    found = recordings.decoded(tmp_path / 'out')
    assert len(found['/enet/labels']) == len(found['/enet/drivable_area']) == 2
    assert '/enet/obstacles' not in found
    assert np.isnan(found['/enet/drivable_area'][0][1].nearest_edge)


def test_outputs_of_a_live_node_are_not_mixed_with_ours(bag, tmp_path):
    rows = recordings.street(1, topics=('/image', '/enet/labels'))
    path = recordings.write(tmp_path / 'drive', rows)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2
    assert 'has the topic /enet/labels already; give another name of the node by --node, ' \
        'and the cameras by --topic' in text
    assert bag(path, '-o', tmp_path / 'out', '--node', 'again', '--topic', '/image')[0] == 0


def test_outputs_of_a_node_of_any_name_are_no_cameras(bag, tmp_path):
    outputs = '/enet/labels', '/enet/drivable_mask', '/r/eyes/overlay', '/r/eyes/confidence'
    cameras = '/overlay', '/overlay/compressed'  # one camera, with nothing of a node beside it
    path = recordings.write(tmp_path / 'drive', recordings.street(2, (*outputs, *cameras)))
    code, text = bag(path, '-o', tmp_path / 'out', '--node', 'again', '--outputs', 'labels')
    assert code == 0 and '2 frames labeled' in text, text
    for topic, beside in zip(outputs, ('drivable_mask', 'labels', 'confidence', 'overlay')):
        sign = f'{topic.rpartition("/")[0]}/{beside}'
        assert f'{topic} is left out: it is an output of a node, as {sign} beside it' in text
    assert '/overlay/compressed is left out: /overlay has the same images' in text
    assert '/again/labels' in recordings.decoded(tmp_path / 'out')


@pytest.mark.parametrize('count', [0, 1, 3])
def test_raw_images_that_hardly_arrived_hide_no_compressed_ones(bag, tmp_path, capsys, count):
    rows = [row for row in recordings.street(4) if row[1] == RAW][:max(count, 1)]
    rows += recordings.street(4, ('/image/compressed',), kind='sensor_msgs/msg/CompressedImage')
    path = recordings.write(tmp_path / 'drive', sorted(rows, key=lambda row: row[2]),
                            storage='sqlite3')
    (path / 'metadata.yaml').unlink()
    if not count:
        with sqlite3.connect(path / 'drive.db3') as connection:
            connection.execute('DELETE FROM messages WHERE topic_id = (SELECT id FROM topics '
                               "WHERE name = '/image')")
        connection.close()
    code, text = bag(path, '-o', tmp_path / 'out', '--outputs', 'labels')
    remark = 'warning: ' + ('/image/compressed is left out: /image has the same images\n'
                            if count == 3 else '/image is left out: /image/compressed has the same'
                            f' images, and 4 of them instead of {count}\n')
    assert code == 0 and remark in text, text
    assert len(recordings.decoded(tmp_path / 'out')['/enet/labels']) == (3 if count == 3 else 4)
    assert main(['compare', 'enet_camvid', 'enet_camvid', str(path), '-o',
                 str(tmp_path / 'page.html'), '--resolution', '160x96']) == 0
    assert remark in capsys.readouterr().err


def test_a_topic_that_is_given_twice_is_refused(bag, tmp_path):
    path = recordings.write(tmp_path / 'drive', recordings.street(1))
    code, text = bag(path, '-o', tmp_path / 'out', '--topic', 'front=/image', '--topic',
                     'rear=/image')
    assert code == 2 and "the topic '/image' is given twice, wanted one camera for each" in text
    assert not list(tmp_path.glob('out*'))


def test_a_recording_from_after_2038_is_labeled(bag, tmp_path):
    late_ns = 2_200_000_000 * 10**9
    rows = [(topic, kind, late_ns + i, message)
            for i, (topic, kind, _, message) in enumerate(recordings.street(2))]
    path = recordings.write(tmp_path / 'drive', rows)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 0, text
    found = recordings.decoded(tmp_path / 'out')
    assert len(found['/enet/labels']) == 2
    (log_ns, message), = found['/enet/label_info']
    assert log_ns == late_ns and recordings.stamp_ns(message) == 2**31 * 10**9 - 1


def test_an_output_that_is_named_twice_is_written_once(bag, tmp_path):
    path = recordings.write(tmp_path / 'drive', recordings.street(2))
    assert bag(path, '-o', tmp_path / 'out', '--outputs', 'labels,labels')[0] == 0
    assert len(recordings.decoded(tmp_path / 'out')['/enet/labels']) == 2


def test_the_reason_of_an_unreadable_recording_is_told_as_it_is(tmp_path):
    error = _unreadable(tmp_path / 'drive.db3', TypeError("'NoneType' object"))
    assert "cannot be read: 'NoneType' object" in str(error)
    error = _unreadable(tmp_path / 'drive.mcap', KeyError('jsonschema'))
    assert 'a topic has messages of jsonschema, wanted ros2msg or ros2idl' in str(error)


@pytest.mark.parametrize('content', [b'', b'\x89MCAP0\r\n', b'x' * 1000])
@pytest.mark.parametrize('suffix', ['.mcap', '.db3', '.mcap.zstd'])
def test_files_that_are_no_recordings_are_refused_in_words(bag, tmp_path, content, suffix):
    path = tmp_path / f'drive{suffix}'
    path.write_bytes(content)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2
    assert f"the recording '{path}' cannot be read: " in text and 'Traceback' not in text
    assert not list(tmp_path.glob('out*'))


def test_a_metadata_file_that_is_none_is_refused_at_once(bag, tmp_path):
    path = recordings.write(tmp_path / 'drive', recordings.street(1))
    metadata = path / 'metadata.yaml'
    whole = metadata.read_bytes()
    metadata.write_bytes(b'x: ' + b'9' * 10_000_000)
    began_sec = time.monotonic()
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2
    assert (f"the recording '{path}' cannot be read: its metadata.yaml has 10,000,003 bytes, "
            "wanted at most 4,194,304; 'ros2 bag reindex' makes a metadata.yaml") in text
    assert time.monotonic() - began_sec < 3.0
    metadata.unlink()
    os.mkfifo(metadata)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2
    assert 'its metadata.yaml is no file' in text
    metadata.unlink()
    metadata.write_bytes(whole + b'#' * 4_000_000)  # a size that a long recording may have
    assert bag(path, '-o', tmp_path / 'out')[0] == 0


@pytest.mark.parametrize(('arguments', 'message'), [
    (('--outputs', 'nothing'), "the output 'nothing' is not known, wanted some of labels, "),
    (('--outputs', 'labels,obstacle'), "; did you mean 'obstacles'?"),
    (('--part-size', '0'), '--part-size is 0, wanted MiB above 0'),
    (('--part-size', 'inf'), '--part-size is inf, wanted MiB above 0, at most 1,048,576'),
    (('--part-size', '1e308'), '--part-size is 1e+308, wanted MiB above 0'),
    (('--jobs', '0'), '--jobs is 0, wanted 1 or more'),
    (('--node', 'a b'), "--node is 'a b', wanted the name of a node"),
    (('--node', '\u00f1'), "--node is '\u00f1', wanted the name of a node"),
    (('--node', 'robot//a'), "--node is 'robot//a', wanted the name of a node"),
    (('--node', 'my__node'), "--node is 'my__node', wanted the name of a node"),
    (('--backend', 'none'), "backend is 'none'")])
def test_wrong_options_are_named(bag, tmp_path, arguments, message):
    path = recordings.write(tmp_path / 'drive', recordings.street(1))
    code, text = bag(path, '-o', tmp_path / 'out', *arguments)
    assert code == 2
    assert message in text
    assert not list(tmp_path.glob('out*'))


@pytest.mark.parametrize('has_metadata', [False, True])
def test_parts_of_other_quality_of_service_are_labeled_or_refused(bag, tmp_path, has_metadata):
    rows, drive = recordings.street(4), tmp_path / 'drive'
    drive.mkdir()
    for i, profiles in enumerate((1, 2)):
        part = recordings.write(tmp_path / f'part{i}', rows[4 * i:4 * i + 4], profiles=profiles)
        shutil.copy(part / f'part{i}.mcap', drive / f'drive_{i}.mcap')
    if has_metadata:
        content = yaml.safe_load((tmp_path / 'part0' / 'metadata.yaml').read_text())
        content['rosbag2_bagfile_information']['relative_file_paths'] = [
            'drive_0.mcap', 'drive_1.mcap']
        (drive / 'metadata.yaml').write_text(yaml.safe_dump(content))
    code, text = bag(drive, '-o', tmp_path / 'out')
    if has_metadata:
        assert code == 2 and 'has 2 messages of /image with another type or quality' in text
        return
    assert code == 0, text
    assert len(recordings.decoded(tmp_path / 'out')['/enet/labels']) == 4
    assert len(recordings.decoded(tmp_path / 'out')['/image']) == 4


@pytest.mark.parametrize('options', [(), ('--jobs', 1)])
def test_a_full_disk_is_named_with_what_to_do(bag, tmp_path, monkeypatch, options):
    def fail(file):  # the manifest lies elsewhere
        if '.partial' in os.readlink(f'/proc/self/fd/{file}'):
            raise OSError(errno.ENOSPC, 'No space left on device')

    path = recordings.write(tmp_path / 'drive', recordings.street(2))
    with monkeypatch.context() as patch:
        patch.setattr('enet_ros.recordings.writer.os.fsync', fail)
        patch.setattr('enet_ros.recordings.local_jobs.LocalRunner.__call__',
                      lambda self, jobs: run_here(jobs))
        code, text = bag(path, '-o', tmp_path / 'out', '--outputs', 'labels', *options)
    out = tmp_path / 'out' / 'drive' if options else tmp_path / 'out'
    assert code == 2 and f"no space is left on the disk for '{out}'; free some, and" in text
    assert bag(path, '-o', tmp_path / 'out', '--outputs', 'labels', *options)[0] == 0


@pytest.mark.parametrize('compression', [None, 'file'])
def test_files_that_metadata_does_not_list_are_named(bag, tmp_path, compression):
    path = recordings.write(tmp_path / 'drive', recordings.street(2), compression=compression)
    file, = (entry for entry in path.iterdir() if entry.name != 'metadata.yaml')
    shutil.copy(file, path / 'other.mcap')
    code, text = bag(path, '-o', tmp_path / 'out', '--outputs', 'labels')
    assert code == 0 and text.count('does not list') == 1
    assert f"warning: '{path / 'other.mcap'}' is left out: metadata.yaml beside it does" in text


def test_messages_of_another_definition_of_the_same_type_are_counted(bag, tmp_path):
    path = recordings.write(tmp_path / 'drive', recordings.street(3), storage='sqlite3')
    (path / 'metadata.yaml').unlink()
    with sqlite3.connect(path / 'drive.db3') as connection:
        connection.execute("INSERT INTO topics SELECT 99, name, type, 'cdr', '', 'RIHS01_other' "
                           "FROM topics WHERE name = '/image'")
        connection.execute('UPDATE messages SET topic_id = 99 WHERE id = (SELECT MIN(id) FROM '
                           "messages WHERE topic_id = (SELECT id FROM topics WHERE name = "
                           "'/image' AND id != 99))")
    connection.close()
    code, text = bag(path, '-o', tmp_path / 'out', '--outputs', 'labels')
    assert code == 0 and '2 frames labeled' in text
    assert f'warning: 1 messages of /image are left out: their definition of {RAW} is not' in text


def test_a_damaged_message_of_zstd_is_one_sentence(bag, tmp_path):
    types, rows = recordings.store(), []
    for i, (topic, kind, log_ns, message) in enumerate(recordings.street(2)):
        data = zstandard.ZstdCompressor().compress(bytes(types.serialize_cdr(message, kind)))
        rows.append((topic, kind, log_ns, data[:20] + b'U' * 20 + data[40:] if i == 2 else data))
    path = recordings.write(tmp_path / 'drive', rows)
    (path / 'metadata.yaml').unlink()
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2 and f"the recording '{path}' cannot be read: zstd" in text
    assert 'Traceback' not in text


def test_the_points_of_a_fixed_camera_are_computed_once(bag, tmp_path, monkeypatch):
    calls, real = [], CameraModel.rays
    monkeypatch.setattr(CameraModel, 'rays', lambda self, pixels, size: (
        calls.append((size, pixels.tobytes())) or real(self, pixels, size)))
    path = recordings.write(tmp_path / 'drive', recordings.street(4, meters=True))
    assert bag(path, '-o', tmp_path / 'out', '--outputs', 'points')[0] == 0
    assert len(recordings.decoded(tmp_path / 'out')['/enet/points']) == 4
    assert len(calls) == len(set(calls))


@pytest.mark.parametrize('name', ['drive1.bag', 'Drive1.BAG', 'Drive.txt'])
def test_a_file_of_another_kind_is_named(bag, tmp_path, name):
    (tmp_path / name).write_bytes(b'#ROSBAG V2.0')
    code, text = bag(tmp_path / name, '-o', tmp_path / 'out')
    assert code == 2 and f"'{tmp_path / name}' is no recording of rosbag2" in text
    assert ('rosbags-convert' in text) == name.lower().endswith('.bag')
