"""Files of recordings that rosbags reads otherwise, or not at all."""

from __future__ import annotations

import os
from array import array
from collections.abc import Collection, Iterator
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from urllib.parse import quote

import apsw
from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, storage_mcap
from rosbags.rosbag2.errors import ReaderError
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import McapReader, Schema, deserialize_qhiqq, read_exact
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

from enet_ros.recordings.files import write_ahead_log
from enet_ros.recordings.unpack import check_room

#: What rosbag2 writes where it did not find the definition of a type.
_NO_DEFINITION = ('', 'unknown')
_FIRST_WITH_DEFINITIONS = 4  # version of the tables of a .db3
#: The last distribution that writes tables without definitions.
_LAST_WITHOUT_DEFINITIONS = 'humble'
_MESSAGE, _CHUNK = b'\x05', b'\x06'  # records of MCAP


def extend_rosbags() -> None:
    """Have rosbags read files by the classes of this module."""
    Reader.STORAGE_PLUGINS.update({'.db3': DatabaseReader, '.mcap': AnyMcapReader})
    DirectoryReader.STORAGE_PLUGINS.update({'sqlite3': DatabaseReader, 'mcap': AnyMcapReader})
    storage_mcap.get_msgdef = _definition_of_schema


def _definition_of_schema(schema: Schema | None) -> MessageDefinition:
    if schema is not None and schema.encoding in _NO_DEFINITION:
        return MessageDefinition(MessageDefinitionFormat.NONE, '')
    return _read_schema(schema)


_read_schema = storage_mcap.get_msgdef


class DatabaseReader(Sqlite3Reader):
    """Reads a .db3 with its write-ahead log, and the distribution that recorded it.

    rosbags passes over the log, in which SQLite keeps the newest messages while it records.
    """

    def open(self) -> None:
        """Open the file, or a copy with the messages of its log.

        Raises:
            ReaderError: It cannot be read.
        """
        self._folder: TemporaryDirectory | None = None
        original = self.path
        apsw.connection_hooks.append(_hide_absent_definitions)
        try:
            # rosbags makes an address of it, in which '#', '?' and '%' have a meaning.
            self.path = Path(quote(os.fsencode(self._whole_file(original))))
            super().open()
            self._read_distribution()
        except BaseException as error:
            self._remove_copy()
            if isinstance(error, (ReaderError, apsw.Error)):
                reason = str(error).replace(str(self.path), str(original))
                raise ReaderError(reason) from error
            raise
        finally:
            apsw.connection_hooks.remove(_hide_absent_definitions)
            self.path = original

    def close(self) -> None:
        """Close the file, and remove its copy."""
        super().close()
        self._remove_copy()

    def _whole_file(self, path: Path) -> Path:
        """Return the file, or a copy into which the messages of its log are written."""
        path = path.resolve()
        log = write_ahead_log(path)
        if log is None:
            return path
        check_room(path.stat().st_size + 2 * log.stat().st_size, 'needs a copy of')
        self._folder = TemporaryDirectory()
        copy = Path(self._folder.name, 'recording.db3')
        copyfile(path, copy)
        copyfile(log, f'{copy}-wal')
        connection = apsw.Connection(str(copy))
        connection.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()
        connection.close()
        return copy

    def _remove_copy(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _read_distribution(self) -> None:
        distribution = '' if self.schema >= _FIRST_WITH_DEFINITIONS else _LAST_WITHOUT_DEFINITIONS
        if self.dbconn.execute(
                "SELECT 1 FROM pragma_table_info('schema') WHERE name = 'ros_distro'").fetchall():
            for row in self.dbconn.execute('SELECT ros_distro FROM schema').fetchall():
                distribution = row[0] or distribution
        self.metadata = self.metadata._replace(ros_distro=distribution or None)


def _hide_absent_definitions(connection: apsw.Connection) -> None:
    """Hide the definitions without a text, which rosbags refuses, behind a temporary view."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'message_definitions'"
                          ).fetchall():
        absent = ', '.join(f"'{name}'" for name in _NO_DEFINITION)
        connection.execute('CREATE TEMP VIEW message_definitions AS SELECT * FROM '
                           f'main.message_definitions WHERE encoding NOT IN ({absent})')


class AnyMcapReader(McapReader):
    """Reads an MCAP whose summary repeats no channels, or without chunks and out of order."""

    def read_index(self) -> None:
        """Read the summary, and the whole file if the summary lacks channels."""
        super().read_index()
        used = {channel for chunk in self.chunks for channel in chunk.channel_count}
        if used - {*self.channels}:
            self.meta_scan()

    def messages(self, connections: Collection[Connection], start: int | None = None,
                 stop: int | None = None) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield connection, time of recording and message, in order."""
        offsets = None if self.chunks else self._offsets_in_order()
        if offsets is None:
            yield from super().messages(connections, start, stop)
            return
        chosen = {connection.id: connection for connection in connections}
        for offset in offsets:
            self.bio.seek(offset)
            size, channel, _, log_ns, _ = deserialize_qhiqq(read_exact(self.bio, 30))
            if channel in chosen and (start or 0) <= log_ns and (stop is None or log_ns < stop):
                yield chosen[channel], log_ns, read_exact(self.bio, size - 22)

    def _offsets_in_order(self) -> list[int] | None:
        """Return where messages without chunks lie, by time; None if they lie so, or in chunks."""
        times, offsets = array('Q'), array('Q')
        at = self.data_start
        while at < self.data_end:
            self.bio.seek(at)
            kind, head = self.bio.read(1), read_exact(self.bio, 8)
            size = int.from_bytes(head, 'little')
            if kind == _CHUNK:
                return None
            if kind == _MESSAGE:
                times.append(deserialize_qhiqq(head + read_exact(self.bio, 22))[3])
                offsets.append(at + 1)
            at += 9 + size
        order = sorted(range(len(times)), key=times.__getitem__)
        return None if order == list(range(len(times))) else [offsets[i] for i in order]
