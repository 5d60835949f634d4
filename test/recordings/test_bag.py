"""``enet-ros bag``: what stands in the recording that it writes."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip('rosbags', reason='the extra bag is not installed')

from support import recordings  # noqa: E402
from support.black_border import rectify, write_mask  # noqa: E402

from enet_ros.perception.segmenter import Segmenter  # noqa: E402
from enet_ros.recordings.cameras import names_of  # noqa: E402
from enet_ros.recordings.definitions import OWN_TYPES  # noqa: E402
from enet_ros.recordings.outputs import DEFAULT_OUTPUTS, OUTPUTS  # noqa: E402
from enet_ros.recordings.reader import Topic  # noqa: E402
from enet_ros.recordings.writer import read_provenance  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
RAW, FILES = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'


@pytest.fixture(scope='module')
def drawn():
    return recordings.frames(3)


@pytest.fixture(scope='module')
def labels(drawn):
    """The labels of the drawn frames."""
    segmenter = Segmenter.from_file(resolution=(160, 96), precision='float32')
    return [segmenter.segment([frame])[0].labels for frame in drawn]


def pixels(message):
    assert (message.encoding, message.step) == ('mono8', message.width)
    return message.data.reshape(message.height, message.width)


def original(rows):
    types = recordings.store()
    return [(topic, kind, log_ns, message if isinstance(message, bytes) else
             bytes(types.serialize_cdr(message, kind))) for topic, kind, log_ns, message in rows]


@pytest.mark.parametrize(('storage', 'compression', 'has_metadata'), [
    ('mcap', None, True), ('mcap', 'storage', True), ('mcap', None, False),
    ('mcap', 'storage', False), ('mcap', 'file', True), ('mcap', 'file', False),
    ('mcap', 'message', False), ('sqlite3', None, True), ('sqlite3', None, False),
    ('sqlite3', 'file', True), ('sqlite3', 'file', False), ('sqlite3', 'message', True),
    ('sqlite3', 'message', False)])
def test_every_kind_of_recording_is_labeled(bag, tmp_path, drawn, labels, storage, compression,
                                            has_metadata):
    rows = recordings.street(messages=drawn)
    path = recordings.write(tmp_path / 'drive', rows, storage=storage, compression=compression)
    if not has_metadata:
        (path / 'metadata.yaml').unlink()
    code, text = bag(path, '-o', tmp_path / 'out')
    assert (code, text.count('warning')) == (0, 1), text
    assert 'warning: /image: no obstacles, free_space, grid: the recording has no' in text
    written = recordings.read(tmp_path / 'out')
    assert [row for row in written if not row[0].startswith('/enet/')] == original(rows)
    ours = recordings.decoded(tmp_path / 'out')['/enet/labels']
    sent = [row for row in rows if row[0] == '/image']
    for (log_ns, message), (_, _, sent_ns, image), expected in zip(ours, sent, labels):
        assert log_ns == sent_ns
        assert recordings.stamp_ns(message) == recordings.stamp_ns(image)
        assert message.header.frame_id == image.header.frame_id == 'cam'
        assert np.array_equal(pixels(message), expected)
    assert len(ours) == len(labels)


def test_what_a_camera_does_not_see_is_unknown(bag, tmp_path, drawn):
    frame, fields, black = rectify(drawn[0], recordings.SCENE.camera)
    rows = recordings.street(messages=[frame], meters=True)
    for _, kind, _, message in rows:
        if kind == 'sensor_msgs/msg/CameraInfo':
            message.d, message.k, message.p = fields['d'], fields['k'], fields['p']
    bonnet = np.zeros(black.shape, bool)
    bonnet[150:] = True
    (tmp_path / 'params.yaml').write_text(
        'enet:\n  ros__parameters:\n    rectified: true\n    valid_mask: '
        f'{write_mask(tmp_path / "bonnet.png", bonnet)}\n')
    code, text = bag(recordings.write(tmp_path / 'drive', rows), '-o', tmp_path / 'out',
                     '--params', tmp_path / 'params.yaml', '--outputs', 'labels,drivable_mask')
    assert code == 0, text
    ours = recordings.decoded(tmp_path / 'out')
    (_, labels), (_, mask) = ours['/enet/labels'][0], ours['/enet/drivable_mask'][0]
    unseen = cv2.resize((black | bonnet).astype(np.uint8) * 255, (160, 96),
                        interpolation=cv2.INTER_AREA) == 255
    unseen = cv2.resize(unseen.astype(np.uint8), (320, 192), interpolation=cv2.INTER_NEAREST) != 0
    assert (pixels(labels)[unseen] == 255).all() and not pixels(mask)[unseen].any()
    assert pixels(mask).any() and (pixels(labels)[70:120, 100:220] != 255).all()


def test_a_single_file_is_a_recording(bag, tmp_path, drawn):
    path = recordings.write(tmp_path / 'drive', recordings.street(messages=drawn))
    assert bag(path / 'drive.mcap', '-o', tmp_path / 'out')[0] == 0
    assert len(recordings.decoded(tmp_path / 'out')['/enet/labels']) == 3


def test_lz4_chunks_of_mcap_are_read(bag, tmp_path, drawn, labels):
    from mcap.writer import CompressionType, Writer
    types = recordings.store()
    with (tmp_path / 'drive.mcap').open('wb') as stream:
        writer = Writer(stream, compression=CompressionType.LZ4, chunk_size=100_000)
        writer.start('ros2')
        schema = writer.register_schema(RAW, 'ros2msg',
                                        types.generate_msgdef(RAW, ros_version=2)[0].encode())
        channel = writer.register_channel('/image', 'cdr', schema)
        for topic, kind, log_ns, message in recordings.street(messages=drawn):
            if topic == '/image':
                writer.add_message(channel, log_ns, bytes(types.serialize_cdr(message, kind)),
                                   log_ns)
        writer.finish()
    assert bag(tmp_path / 'drive.mcap', '-o', tmp_path / 'out')[0] == 0
    ours = recordings.decoded(tmp_path / 'out')['/enet/labels']
    assert all(np.array_equal(pixels(message), own) for (_, message), own in zip(ours, labels))


def test_compressed_topics_are_decoded(bag, tmp_path, drawn):
    rows = recordings.street(topics=('/image/compressed',), kind=FILES, messages=drawn)
    path = recordings.write(tmp_path / 'drive', rows)
    assert bag(path, '-o', tmp_path / 'out')[0] == 0
    from enet_ros.perception.encodings import decode_compressed
    segmenter = Segmenter.from_file(resolution=(160, 96), precision='float32')
    ours = recordings.decoded(tmp_path / 'out')['/enet/labels']
    for (_, message), row in zip(ours, [row for row in rows if row[1] == FILES], strict=True):
        rgb = decode_compressed(row[3].data, row[3].format)
        assert np.array_equal(pixels(message), segmenter.segment([rgb])[0].labels)


def test_several_cameras_are_named_by_their_topics(bag, tmp_path, drawn, labels):
    topics = ('/cams/front/image_raw', '/cams/rear/image_raw')
    rows = recordings.street(topics=topics, messages=drawn)
    path = recordings.write(tmp_path / 'drive', rows)
    assert bag(path, '-o', tmp_path / 'out')[0] == 0
    found = recordings.decoded(tmp_path / 'out')
    for name, frame_id in (('front', 'cam'), ('rear', 'cam1')):
        ours = found[f'/enet/{name}/labels']
        assert {message.header.frame_id for _, message in ours} == {frame_id}
        assert all(np.array_equal(pixels(message), own) for (_, message), own
                   in zip(ours, labels, strict=True))


@pytest.mark.parametrize('kind', ['color', 'colour', 'rgb', 'image_rect'])
def test_the_kind_of_image_is_no_part_of_a_name(kind):
    topics = [Topic(f'/{name}/{kind}/image_raw', RAW) for name in ('front', 'rear')]
    assert names_of(topics) == ['front', 'rear']


def test_topics_are_chosen_and_named(bag, tmp_path, drawn):
    topics = ('/front/image_raw', '/rear/image_raw')
    path = recordings.write(tmp_path / 'drive', recordings.street(topics=topics, messages=drawn))
    assert bag(path, '-o', tmp_path / 'one', '--topic', topics[1])[0] == 0
    assert '/enet/labels' in recordings.decoded(tmp_path / 'one')
    assert bag(path, '-o', tmp_path / 'two', '--topic', f'a={topics[0]}', '--topic',
               f'b={topics[1]}', '--node', 'robot/eyes')[0] == 0
    assert {'/robot/eyes/a/labels', '/robot/eyes/b/labels'} <= {
        *recordings.decoded(tmp_path / 'two')}
    code, text = bag(path, '-o', tmp_path / 'no', '--topic', '/nowhere')
    assert code == 2
    assert "the recording has no topic '/nowhere'; its image topics are /front/image_raw, " in text
    assert not (tmp_path / 'no').exists()


def test_depth_and_doubled_topics_are_left_out_and_named(bag, tmp_path, drawn):
    rows = recordings.street(messages=drawn)
    rows += recordings.street(topics=('/image/compressed',), kind=FILES, messages=drawn)
    depth = recordings.street(topics=('/depth/image_raw',), messages=drawn)
    for row in depth:
        if row[1] == RAW:
            row[3].encoding = '16UC1'
    rows = sorted(rows + depth, key=lambda row: row[2])
    path = recordings.write(tmp_path / 'drive', rows)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 0
    assert '/image/compressed is left out: /image has the same images' in text
    assert "/depth/image_raw is left out: it is depth, '16UC1'" in text
    assert '/enet/labels' in recordings.decoded(tmp_path / 'out')


def test_what_the_recording_says_of_itself_stays(bag, tmp_path, drawn):
    path = recordings.write(tmp_path / 'drive', recordings.street(messages=drawn))
    told = yaml.safe_load((path / 'metadata.yaml').read_text())
    told['rosbag2_bagfile_information'] |= {'custom_data': {'robot': 'r7', 'enet_ros.frames': '9'},
                                            'ros_distro': 'kilted'}
    (path / 'metadata.yaml').write_text(yaml.safe_dump(told))
    assert bag(path, '-o', tmp_path / 'out')[0] == 0
    found = yaml.safe_load((tmp_path / 'out' / 'metadata.yaml').read_text())
    found = found['rosbag2_bagfile_information']
    assert found['custom_data']['robot'] == 'r7' and found['custom_data']['enet_ros.frames'] == '3'
    assert found['ros_distro'] == 'kilted'
    assert 'robot' not in read_provenance(tmp_path / 'out')


def with_kind(rows, kind):
    """Return recorded rows whose images are of a kind that is never read."""
    for row in rows:
        if row[1] == RAW:
            row[3].encoding = kind
        elif row[1] == FILES:
            row[3].format, row[3].data = kind, np.frombuffer(b'\0\0\0\1\x67video', np.uint8)
    return rows


def test_other_transports_and_kinds_that_are_never_read_are_no_cameras(bag, tmp_path, drawn):
    rows = recordings.street(messages=drawn)
    for topic, kind in (('/image/zstd', FILES), ('/image/compressed', FILES),
                        ('/semantic_segmentation', RAW), ('/video', FILES)):
        rows += with_kind(recordings.street(topics=(topic,), kind=kind, messages=drawn),
                          '32SC1' if kind == RAW else 'h264')
    path = recordings.write(tmp_path / 'drive', sorted(rows, key=lambda row: row[2]))
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 0, text
    for left_out in ('/image/zstd is left out: /image has the same images',
                     '/image/compressed is left out: /image has the same images',
                     "/semantic_segmentation is left out: '32SC1' is no color or gray image",
                     '/video is left out: it is a H.264 or H.265 stream, wanted a JPEG'):
        assert left_out in text
    assert '/enet/labels' in recordings.decoded(tmp_path / 'out')


def test_one_damaged_message_at_the_start_leaves_no_camera_out(bag, tmp_path, drawn):
    rows = recordings.street(messages=drawn)
    next(row for row in rows if row[1] == RAW)[3].encoding = 'damaged'
    path = recordings.write(tmp_path / 'drive', rows)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 1 and '1 could not be read' in text
    assert recordings.decoded(tmp_path / 'out')['/enet/labels']


def test_a_recording_of_video_alone_is_refused_before_anything_is_written(bag, tmp_path, drawn):
    rows = with_kind(recordings.street(kind=FILES, messages=drawn), 'h264')
    path = recordings.write(tmp_path / 'drive', rows)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2 and 'has no images of a camera' in text and 'H.264' in text
    assert not list(tmp_path.glob('out*'))


def test_a_topic_of_two_types_is_labeled_as_the_one_with_most_messages(bag, tmp_path, drawn):
    rows = recordings.street(3, messages=drawn)
    rows += [row for row in recordings.street(1, kind=FILES, messages=drawn) if row[1] == FILES]
    rows = sorted(rows, key=lambda row: row[2])
    path = recordings.write(tmp_path / 'drive', rows)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 0 and '3 frames labeled' in text
    assert f'/image is left out as {FILES}: it is labeled as {RAW}' in text


def test_all_definitions_stand_in_the_recording(bag, tmp_path, drawn):
    rows = recordings.street(messages=drawn, meters=True)
    path = recordings.write(tmp_path / 'drive', rows)
    assert bag(path, '-o', tmp_path / 'out', '--outputs', ','.join(OUTPUTS))[0] == 0
    from mcap.reader import make_reader
    with (tmp_path / 'out' / 'out_0.mcap').open('rb') as stream:
        summary = make_reader(stream).get_summary()
    schemas = {schema.name: schema.data.decode() for schema in summary.schemas.values()}
    assert 'VisionClass[] class_map' in schemas['vision_msgs/msg/LabelInfo']
    assert 'MSG: vision_msgs/VisionClass' in schemas['vision_msgs/msg/LabelInfo']
    assert 'float32 nearest_edge' in schemas['enet_ros/msg/DrivableArea']
    assert all(schemas.values())
    topics = {channel.topic for channel in summary.channels.values()}
    assert {f'/enet/{name}' for name in OUTPUTS} <= topics
    info, = recordings.decoded(tmp_path / 'out')['/enet/label_info']
    assert [entry.class_name for entry in info[1].class_map][3] == 'Road'
    latched = next(channel for channel in summary.channels.values()
                   if channel.topic == '/enet/label_info')
    assert yaml.safe_load(latched.metadata['offered_qos_profiles'])[0]['durability'] == 1


def test_our_definitions_are_those_that_the_package_builds():
    own = REPOSITORY / 'enet_ros/recordings/definitions'
    for path in (REPOSITORY / 'msg').glob('*.msg'):
        assert (own / path.name).read_text() == path.read_text()
    assert {path.name for path in own.iterdir()} == {*OWN_TYPES.values()}


def test_metadata_tells_files_counts_times_and_what_made_the_labels(bag, tmp_path, drawn):
    path = recordings.write(tmp_path / 'drive', recordings.street(messages=drawn))
    assert bag(path, '-o', tmp_path / 'out')[0] == 0
    text = (tmp_path / 'out' / 'metadata.yaml').read_text()
    found = yaml.safe_load(text)['rosbag2_bagfile_information']
    rows = recordings.read(tmp_path / 'out')
    assert found['message_count'] == len(rows)
    assert found['relative_file_paths'] == ['out_0.mcap']
    times = [row[2] for row in rows]
    assert found['starting_time']['nanoseconds_since_epoch'] == min(times)
    assert found['duration']['nanoseconds'] == max(times) - min(times)
    assert {entry['topic_metadata']['name']: entry['message_count']
            for entry in found['topics_with_message_count']} == {
        name: sum(row[0] == name for row in rows) for name in dict.fromkeys(
            [*(row[0] for row in rows), *(f'/enet/{name}' for name in DEFAULT_OUTPUTS)])}
    told = found['custom_data']
    assert (told['enet_ros.backend'], told['enet_ros.precision']) == ('openvino', 'float32')
    assert told['enet_ros.weights'] == 'enet_camvid'
    assert (told['enet_ros.frames'], told['enet_ros.unreadable']) == ('3', '0')
