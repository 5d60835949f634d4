"""Recordings as a row of messages: folders of rosbag2, .mcap and .db3, compressed or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.metadata import dump_qos_v8

from enet_ros.recordings.definitions import definition_of, typestore
from enet_ros.recordings.files import (
    METADATA,
    STORAGE_SUFFIXES,
    ZSTD_SUFFIXES,
    storage_files,
    storage_suffix,
)
from enet_ros.recordings.storages import extend_rosbags
from enet_ros.recordings.unpack import (
    UnpackedFile,
    UnpackError,
    check_chunks,
    limit_rosbags,
    unpack_message,
)

limit_rosbags()
extend_rosbags()
#: Of metadata.yaml. A recording of 10,000 files has one of 2 MB.
MAX_METADATA_BYTES = 4 << 20
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'  # No message in CDR begins so.
_DEFINITION_FORMATS = {MessageDefinitionFormat.MSG: 'ros2msg',
                       MessageDefinitionFormat.IDL: 'ros2idl'}


#: Definitions of MCAP that rosbags does not read: messages of other systems than ROS 2.
_OTHER_DEFINITIONS = ('jsonschema', 'protobuf', 'ros1msg', 'flatbuffer', 'omgidl')
ROS_1_ADVICE = '; rosbags-convert turns a bag of ROS 1 into one of ROS 2'


class RecordingError(ValueError):
    """A recording that cannot be read. The message names it, and what to do."""


@dataclass(frozen=True)
class Topic:
    """A topic of a recording.

    Attributes:
        name: Name of the topic.
        type: Type of its messages, such as 'sensor_msgs/msg/Image'.
        definition: Definition of that type with all that it holds, or '' if it is not known.
        definition_format: 'ros2msg' or 'ros2idl'; '' without a definition.
        type_hash: RIHS01 hash of the type, or ''.
        qos: Offered quality of service, as rosbag2 writes it in YAML.
        serialization: Serialization of the messages.
    """

    name: str
    type: str
    definition: str = ''
    definition_format: str = ''
    type_hash: str = ''
    qos: str = ''
    serialization: str = 'cdr'

    @property
    def identity(self) -> tuple[str, ...]:
        """What two recorded topics must share for their messages to be of one topic."""
        return self.name, self.type, self.type_hash or self.definition, self.serialization


class Recording:
    """A recording that is open for reading. Use it in a ``with`` statement.

    Attributes:
        path: The folder or file.
        topics: Its topics, in their order there.
    """

    def __init__(self, path: Path):
        """Open a recording.

        Args:
            path: A folder of rosbag2, with metadata.yaml or without, or one file.

        Raises:
            RecordingError: It cannot be read.
            FileNotFoundError: There is no such file or folder.
        """
        self.path, self._stack = path, ExitStack()
        try:
            self._readers = [self._open(file) for file in self._files()]
        except BaseException:
            self._stack.close()
            raise
        self._readers.sort(key=lambda reader: reader.start_time)
        topic_of: dict[tuple, Topic] = {}  # The parts of a topic may offer different QoS.
        self._topics = [[topic_of.setdefault(topic.identity, topic)
                         for topic in _topics_of(reader)]
                        for reader in self._readers]
        self.topics = list(topic_of.values())

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def count(self, topic: Topic) -> int:
        """Return the number of messages of a topic."""
        return sum(connection.msgcount for reader, topics in zip(self._readers, self._topics)
                   for connection, own in zip(reader.connections, topics) if own == topic)

    @property
    def custom_data(self) -> dict[str, str]:
        """What the recorder was told of the recording (``ros2 bag record --custom-data``)."""
        return {str(name): str(value) for reader in self._readers
                for name, value in (reader.storage.metadata.custom or {}).items()}

    @property
    def ros_distro(self) -> str:
        """Name of the distribution that recorded it, or '' if it does not say so."""
        return next(filter(None, map(_distribution_of, self._readers)), '')

    @property
    def remarks(self) -> list[str]:
        """Sentences about what is doubtful in its files."""
        undefined = [f'{topic.name} stays without a definition of {topic.type}: the recording has '
                     'none, and does not say which distribution recorded it'
                     for topic in self.topics
                     if not topic.definition and topic.type in typestore().types]
        unlisted = [f"'{file}' is left out: metadata.yaml beside it does not list it; 'ros2 bag "
                    "reindex' lists all files" for file in self._unlisted_files()]
        return undefined + unlisted

    def _unlisted_files(self) -> list[Path]:
        """Return the files of a folder that its metadata.yaml does not list."""
        if not (self.path / METADATA).exists():
            return []
        read = {Path(part.path).name for reader in self._readers for part in _storages(reader)}
        return [file for file in storage_files(self.path)
                if not {file.name, file.stem} & read]  # compressed files are read without .zstd

    def messages(self, topics: Collection[Topic] | None = None
                 ) -> Iterator[tuple[Topic, int, bytes]]:
        """Yield topic, time of recording in nanoseconds and serialized message, in order.

        Args:
            topics: Topics whose messages are yielded, or None for all.

        Raises:
            RecordingError: A part cannot be read.
        """
        for reader, own in zip(self._readers, self._topics):
            topic_of = {connection.id: topic for connection, topic in zip(reader.connections, own)
                        if topics is None or topic in topics}
            chosen = [connection for connection in reader.connections if connection.id in topic_of]
            rows = iter(reader.messages(chosen) if chosen else ())
            while True:
                try:
                    connection, log_ns, data = next(rows)
                    if data[:4] == _ZSTD_MAGIC:  # compressed, and no metadata.yaml says so
                        data = unpack_message(data)
                except StopIteration:
                    break
                except Exception as error:  # Decoders and databases have their own exceptions.
                    raise _unreadable(self.path, error) from error
                yield topic_of[connection.id], log_ns, data

    def _files(self) -> list[Path]:
        """Return what rosbags opens: the folder with its metadata.yaml, or files."""
        path = self.path
        if not path.exists():
            raise FileNotFoundError(f"'{path}' does not exist, wanted a recording")
        if path.is_dir():
            if (path / METADATA).exists():
                return [path]
            files = storage_files(path)
            if not files:
                raise RecordingError(f"'{path}' is no recording: it has no metadata.yaml and no "
                                     'file that ends in .mcap or .db3')
            return files
        if not storage_suffix(path):
            advice = ROS_1_ADVICE if path.suffix.lower() == '.bag' else ''
            raise RecordingError(f"'{path}' is no recording of rosbag2, wanted a folder, .mcap or "
                                 f'.db3{advice}')
        return [path]

    def _open(self, path: Path) -> Reader:
        plain = path
        try:
            if path.is_file() and path.suffix not in STORAGE_SUFFIXES:
                plain = self._plain_file(path)
            _check_metadata(path)
            reader = Reader(plain)
            self._stack.enter_context(reader)
            for part in _storages(reader):
                check_chunks(getattr(part, 'chunks', ()))
        except Exception as error:  # Decoders and databases have their own exceptions.
            raise _unreadable(path, error, plain) from error
        _check_parts(path, reader)
        return reader

    def _plain_file(self, path: Path) -> Path:
        """Return a file of a suffix that rosbags knows: unpacked, or a link to .MCAP or .DB3."""
        folder = self._stack.enter_context(TemporaryDirectory())
        plain = Path(folder, f'recording{storage_suffix(path)}')
        if path.suffix.lower() not in ZSTD_SUFFIXES:
            plain.symlink_to(path.absolute())
            return plain
        with path.open('rb') as compressed, plain.open('wb') as unpacked:
            copyfileobj(UnpackedFile(compressed), unpacked)
        return plain


def _check_metadata(path: Path) -> None:
    """Check the size of the metadata.yaml of a folder: rosbags takes a second for 2 MB.

    Raises:
        RecordingError: It is no file, or too large.
    """
    if not path.is_dir():
        return
    metadata = path / METADATA
    if not metadata.is_file():
        raise RecordingError('its metadata.yaml is no file')
    size = metadata.stat().st_size
    if size > MAX_METADATA_BYTES:
        raise RecordingError(f'its metadata.yaml has {size:,} bytes, wanted at most '
                             f'{MAX_METADATA_BYTES:,}')


def _storages(reader: Reader) -> list:
    """Return rosbags' readers of the files of a folder, or of the one file."""
    return getattr(reader.storage, 'storages', [reader.storage])


def _check_parts(path: Path, reader: Reader) -> None:
    """Check that rosbags will yield all messages of a folder with a metadata.yaml.

    It passes over those of parts whose connections differ from what metadata.yaml says.

    Raises:
        RecordingError: It will not.
    """
    for part in getattr(reader.storage, 'storages', ()):
        for own in part.connections:
            fits = any(own.topic == told.topic and own.msgtype == told.msgtype
                       and own.ext == told.ext
                       and own.digest in ('', told.digest or own.digest)
                       for told in reader.connections)
            if own.msgcount and not fits:
                raise RecordingError(
                    f"the recording '{path}' cannot be read whole: one of its files has "
                    f'{own.msgcount} messages of {own.topic} with another type or quality of '
                    'service than metadata.yaml says; rename metadata.yaml, and each file is read '
                    'by itself')


def _distribution_of(reader: Reader) -> str:
    """Return the name of the distribution that recorded it, or ''."""
    names = [reader.ros_distro, *(part.metadata.ros_distro for part in _storages(reader))]
    return next((str(name) for name in names if name), '')


def _topics_of(reader: Reader) -> list[Topic]:
    distribution = _distribution_of(reader)
    return [_topic_of(connection, distribution) for connection in reader.connections]


def _topic_of(connection: Connection, distribution: str) -> Topic:
    definition, type_hash = connection.msgdef.data, connection.digest
    definition_format = _DEFINITION_FORMATS.get(connection.msgdef.format, '')
    if not definition:  # Recordings of ROS 2 Humble and before have none.
        definition, known_hash = definition_of(connection.msgtype, distribution)
        definition_format, type_hash = 'ros2msg' if definition else '', type_hash or known_hash
    return Topic(connection.topic, connection.msgtype, definition, definition_format, type_hash,
                 dump_qos_v8(connection.ext.offered_qos_profiles),
                 connection.ext.serialization_format)


def _unreadable(path: Path, error: Exception, plain: Path | None = None) -> RecordingError:
    reason = str(error) or type(error).__name__
    if plain is not None:
        reason = reason.replace(str(plain), str(path))
    advice = ''
    if isinstance(error, UnpackError):
        pass  # What it needs is in its message.
    elif isinstance(error, KeyError) and error.args[0] in _OTHER_DEFINITIONS:
        reason = f'a topic has messages of {error.args[0]}, wanted ros2msg or ros2idl on all'
        advice = "; 'mcap filter' leaves topics out"
    elif isinstance(error, KeyError):
        reason = f'it has no entry {reason}, or an unknown one'
    elif reason.startswith('Unindexed'):
        reason = 'its messages are out of order, and it has no index'
        advice = "; 'mcap recover FILE' makes a file with an index"
    elif 'end magic' in reason or 'footer' in reason.lower():
        advice = ("; it has no end, as when a recorder is killed: 'mcap recover FILE' makes a "
                  'whole file of what is there')
    elif path.is_dir():
        advice = "; 'ros2 bag reindex' makes a metadata.yaml that fits the files"
    return RecordingError(f"the recording '{path}' cannot be read: {reason}{advice}")
