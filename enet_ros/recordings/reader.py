"""Recordings as a row of messages: folders of rosbag2, .mcap and .db3, compressed or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.metadata import dump_qos_v8

from enet_ros.media import is_hidden
from enet_ros.recordings.definitions import definition_of

STORAGE_SUFFIXES = ('.mcap', '.db3')
ZSTD_SUFFIXES = ('.zstd', '.zst')
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'  # No message in CDR begins so.
_DEFINITION_FORMATS = {MessageDefinitionFormat.MSG: 'ros2msg',
                       MessageDefinitionFormat.IDL: 'ros2idl'}


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


def storage_suffix(path: Path) -> str:
    """Return '.mcap' or '.db3' for the file of a recording, compressed or not, or ''."""
    name = path.name.lower()
    for suffix in ZSTD_SUFFIXES:
        name = name.removesuffix(suffix)
    return next((suffix for suffix in STORAGE_SUFFIXES if name.endswith(suffix)), '')


def storage_files(folder: Path) -> list[Path]:
    """Return the files of recordings that lie in a folder, without hidden ones."""
    return sorted(path for path in folder.iterdir()
                  if path.is_file() and storage_suffix(path) and not is_hidden(Path(path.name)))


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
        self._topics = [[_topic_of(connection) for connection in reader.connections]
                        for reader in self._readers]
        self.topics = list(dict.fromkeys(topic for topics in self._topics for topic in topics))

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def count(self, topic: Topic) -> int:
        """Return the number of messages of a topic."""
        return sum(connection.msgcount for reader, topics in zip(self._readers, self._topics)
                   for connection, own in zip(reader.connections, topics) if own == topic)

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
                except StopIteration:
                    break
                except Exception as error:  # Decoders and databases have their own exceptions.
                    raise _unreadable(self.path, error) from error
                if data[:4] == _ZSTD_MAGIC:  # compressed one by one, and no metadata.yaml says so
                    data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
                yield topic_of[connection.id], log_ns, data

    def _files(self) -> list[Path]:
        """Return what rosbags opens: the folder with its metadata.yaml, or files."""
        path = self.path
        if not path.exists():
            raise FileNotFoundError(f"'{path}' does not exist, wanted a recording")
        if path.is_dir():
            if (path / 'metadata.yaml').exists():
                return [path]
            files = storage_files(path)
            if not files:
                raise RecordingError(f"'{path}' is no recording: it has no metadata.yaml and no "
                                     'file that ends in .mcap or .db3')
            return files
        if not storage_suffix(path):
            advice = ('; rosbags-convert turns a bag of ROS 1 into one of ROS 2'
                      if path.suffix == '.bag' else '')
            raise RecordingError(f"'{path}' is no recording of rosbag2, wanted a folder, .mcap or "
                                 f'.db3{advice}')
        return [path]

    def _open(self, path: Path) -> Reader:
        try:
            if path.suffix.lower() in ZSTD_SUFFIXES:
                path = self._decompressed(path)
            reader = Reader(path)
            self._stack.enter_context(reader)
        except Exception as error:  # Decoders and databases have their own exceptions.
            raise _unreadable(path, error) from error
        return reader

    def _decompressed(self, path: Path) -> Path:
        folder = Path(self._stack.enter_context(TemporaryDirectory()))
        with path.open('rb') as compressed, (folder / path.stem).open('wb') as plain:
            zstandard.ZstdDecompressor().copy_stream(compressed, plain)
        return folder / path.stem


def _topic_of(connection: Connection) -> Topic:
    definition, type_hash = connection.msgdef.data, connection.digest
    definition_format = _DEFINITION_FORMATS.get(connection.msgdef.format, '')
    if not definition:  # Recordings of ROS 2 Humble and before have none.
        definition, known_hash = definition_of(connection.msgtype)
        definition_format, type_hash = 'ros2msg' if definition else '', type_hash or known_hash
    return Topic(connection.topic, connection.msgtype, definition, definition_format, type_hash,
                 dump_qos_v8(connection.ext.offered_qos_profiles),
                 connection.ext.serialization_format)


def _unreadable(path: Path, error: Exception) -> RecordingError:
    reason = str(error) or type(error).__name__
    advice = ''
    if 'end magic' in reason or 'footer' in reason.lower():
        advice = ("; it has no end, as when a recorder is killed: 'mcap recover FILE' makes a "
                  'whole file of what is there')
    elif path.is_dir():
        advice = "; 'ros2 bag reindex' makes a metadata.yaml that fits the files"
    return RecordingError(f"the recording '{path}' cannot be read: {reason}{advice}")
