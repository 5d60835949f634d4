"""Files that rosbags does not read as they are: logs of SQLite, old tables, MCAP out of order."""

import os
import sqlite3

import pytest
import yaml

pytest.importorskip('rosbags', reason='the extra bag is not installed')

from support import recordings  # noqa: E402

from enet_ros.recordings.files import files_of  # noqa: E402
from enet_ros.recordings.reader import Recording, _unreadable  # noqa: E402

RANGE = 'sensor_msgs/msg/Range'


def database(path, rows, *, distribution=None):
    """Write a .db3. Up to Humble they have no definitions; None writes today's tables."""
    folder = recordings.write(path.parent / f'{path.stem}.made', rows, storage='sqlite3')
    next(folder.glob('*.db3')).rename(path)
    if distribution:
        with sqlite3.connect(path) as connection:
            connection.executescript(
                'DROP TABLE message_definitions; DELETE FROM schema; ALTER TABLE topics '
                'DROP COLUMN type_description_hash; '
                f"INSERT INTO schema VALUES (3, '{distribution}')")
        connection.close()
    return path


def mcap(path, rows, **options):
    from mcap.writer import Writer
    types, channels = recordings.store(), {}
    with path.open('wb') as stream:
        writer = Writer(stream, **options)
        writer.start('ros2')
        for topic, kind, log_ns, message in rows:
            if topic not in channels:
                text = types.generate_msgdef(kind, ros_version=2)[0].encode()
                channels[topic] = writer.register_channel(
                    topic, 'cdr', writer.register_schema(kind, 'ros2msg', text))
            data = bytes(types.serialize_cdr(message, kind))
            writer.add_message(channels[topic], log_ns, data, log_ns)
        writer.finish()
    return path


@pytest.mark.parametrize('is_link', [False, True])
def test_what_sqlite_keeps_in_its_log_is_read_and_the_files_stay(tmp_path, is_link):
    rows = recordings.street(4)
    path = database(tmp_path / 'drive.db3', rows[:4])
    connection = sqlite3.connect(path)
    connection.executescript('PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0')
    for topic, kind, log_ns, message in rows[4:]:
        number, = connection.execute('SELECT id FROM topics WHERE name=?', (topic,)).fetchone()
        connection.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)', (
            number, log_ns, bytes(recordings.store().serialize_cdr(message, kind))))
        connection.commit()
    link = tmp_path / 'link.DB3'
    link.symlink_to(path)
    files = [path, tmp_path / 'drive.db3-wal']
    before = [file.read_bytes() for file in files]
    with Recording(link if is_link else path) as recording:
        assert [log_ns for _, log_ns, _ in recording.messages()] == [row[2] for row in rows]
    assert [file.read_bytes() for file in files] == before
    assert files_of(path) == files
    connection.close()


@pytest.mark.parametrize('encoding', ['', 'unknown'])
def test_a_type_without_a_definition_is_no_reason_to_refuse(bag, tmp_path, encoding):
    path = database(tmp_path / 'drive.db3', recordings.street(2))
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO topics VALUES (99, '/goal', 'a_msgs/msg/A', 'cdr', '', '')")
        connection.execute('INSERT INTO message_definitions(topic_type, encoding, '
                           'encoded_message_definition, type_description_hash) '
                           "VALUES ('a_msgs/msg/A', ?, '', '')", (encoding,))
        connection.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES (99, ?, ?)', (
            recordings.START_NS + 5, b'\0\1\0\0abcd'))
    connection.close()
    code, text = bag(path, '-o', tmp_path / 'out', '--outputs', 'labels')
    assert code == 0, text
    assert ('/goal', b'\0\1\0\0abcd') in [(row[0], row[3]) for row in
                                          recordings.read(tmp_path / 'out')]


def test_an_entry_that_is_missing_is_no_bare_name(tmp_path):
    assert "cannot be read: it has no entry 'x'" in str(_unreadable(tmp_path, KeyError('x')))


@pytest.mark.parametrize('name', ['run#3', '50%25 battery', 'drive?2', 'a\nb'])
def test_a_path_may_have_any_character(tmp_path, name):
    folder = recordings.write(tmp_path / 'drive', recordings.street(1), storage='sqlite3')
    with Recording(folder.rename(tmp_path / name)) as recording:  # rosbags cannot write it there
        assert len([*recording.messages()]) == 2


@pytest.mark.parametrize(('distribution', 'written'), [
    ('humble', 'humble'), ('', 'humble'), ('foxy', 'foxy'), ('jazzy', 'jazzy')])
def test_definitions_are_those_of_the_distribution_that_recorded(bag, tmp_path, distribution,
                                                                 written):
    from rosbags.typesys import Stores, get_typestore
    types = get_typestore(Stores[f'ROS2_{written.upper()}'])
    variance = (0.5,) if written == 'jazzy' else ()
    message = types.types[RANGE](recordings.header(types.types, recordings.START_NS, 'sonar'), 0,
                                 0.5, 0.25, 4.0, 1.25, *variance)
    rows = [('/sonar', RANGE, recordings.START_NS, bytes(types.serialize_cdr(message, RANGE))),
            *recordings.street(1)]
    path = database(tmp_path / 'drive.db3', rows, distribution=distribution or 'none')
    if not distribution:
        with sqlite3.connect(path) as connection:
            connection.execute('DROP TABLE schema')
        connection.close()
    code, text = bag(path, '-o', tmp_path / 'out', '--outputs', 'labels')
    assert code == 0 and 'stays without a definition' not in text, text
    (_, sonar), = recordings.decoded(tmp_path / 'out')['/sonar']
    assert (sonar.range, hasattr(sonar, 'variance')) == (1.25, written == 'jazzy')
    metadata = yaml.safe_load((tmp_path / 'out' / 'metadata.yaml').read_text())
    assert metadata['rosbag2_bagfile_information']['ros_distro'] == written


def test_a_definition_that_could_be_several_is_left_out_and_named(bag, tmp_path):
    types = recordings.store().types
    message = types[RANGE](recordings.header(types, recordings.START_NS, 'sonar'), 0, 0.5, 0.25,
                           4.0, 1.25, 0.0)
    path = database(tmp_path / 'drive.db3', [
        ('/sonar', RANGE, recordings.START_NS, message), *recordings.street(1)])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE message_definitions SET encoding = 'unknown'")
    connection.close()
    code, text = bag(path, '-o', tmp_path / 'out', '--outputs', 'labels')
    assert code == 0
    assert f'warning: /sonar stays without a definition of {RANGE}: the recording has none' in text
    assert text.count('stays without a definition') == 1  # images have one in all distributions


def test_messages_without_chunks_are_read_in_order(tmp_path):
    rows = recordings.street(3)
    path = mcap(tmp_path / 'drive.mcap', [rows[i] for i in (1, 0, 2, 5, 4, 3)],
                use_chunking=False)
    with Recording(path) as recording:
        assert [(topic.name, log_ns) for topic, log_ns, _ in recording.messages()] == [
            (row[0], row[2]) for row in rows]
        image, = (topic for topic in recording.topics if topic.name == '/image')
        assert [data for _, _, data in recording.messages([image])] == [
            bytes(recordings.store().serialize_cdr(row[3], row[1])) for row in rows[::2]]


def test_chunks_without_an_index_that_are_out_of_order_are_refused_with_advice(bag, tmp_path):
    from mcap.writer import IndexType
    path = mcap(tmp_path / 'drive.mcap', recordings.street(4)[::-1], chunk_size=100_000,
                index_types=IndexType.NONE)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2
    assert ("its messages are out of order, and it has no index; 'mcap recover FILE' makes a file "
            'with an index') in text


def test_a_summary_that_repeats_no_channels_is_completed(tmp_path):
    rows = recordings.street(3)
    for i, has_statistics in enumerate((False, True)):
        path = mcap(tmp_path / f'drive{i}.mcap', rows, repeat_channels=False,
                    repeat_schemas=False, use_statistics=has_statistics, chunk_size=100_000)
        with Recording(path) as recording:
            assert {topic.name: recording.count(topic) for topic in recording.topics} == {
                '/image': 3, '/note': 3}
            assert len([*recording.messages()]) == 6


def test_a_copy_of_a_database_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(tmp_path / 'tmp'))
    monkeypatch.setattr('tempfile.tempdir', None)
    (tmp_path / 'tmp').mkdir()
    path = database(tmp_path / 'drive.db3', recordings.street(1))
    (tmp_path / 'drive.db3-wal').write_bytes(b'damaged')  # SQLite ignores what is not whole
    with Recording(path) as recording:
        assert os.listdir(tmp_path / 'tmp') and len([*recording.messages()]) == 2
    assert not os.listdir(tmp_path / 'tmp')
