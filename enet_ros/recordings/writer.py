"""A recording that is written part by part: a folder of rosbag2 with .mcap files.

Until it is finished it lies in a folder beside its place, whose name ends in ``.partial``. A part
is a whole MCAP file. It gets its name only when it is on the disk, after the state that goes on
from its end. So whatever kills a run, the parts that have their names are good.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml
from mcap.writer import Writer
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2.metadata import dump_qos_v8

from enet_ros.common.file_lock import FileLock, HeldError
from enet_ros.common.whole_files import WRITING, write_whole
from enet_ros.recordings.definitions import definition_of
from enet_ros.recordings.files import METADATA, PARTIAL
from enet_ros.recordings.reader import Topic
from enet_ros.recordings.state import StateError, decode_state, encode_state

#: The newest version whose quality of service Humble can read as well.
METADATA_VERSION = 8
_PLAN, _STATE, _LOCK = 'plan.json', 'state.json', 'lock'
_PREFIX = 'enet_ros.'  # of the provenance in custom_data of metadata.yaml
_FOREVER = QosTime(9223372036, 854775807)


class UnfinishedError(ValueError):
    """An unfinished recording is in the way. The message says what to do."""


def own_topic(name: str, type_name: str, *, is_latched: bool = False) -> Topic:
    """Return the topic of an output, with the node's quality of service."""
    durability = QosDurability.TRANSIENT_LOCAL if is_latched else QosDurability.VOLATILE
    qos = Qos(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, durability, _FOREVER, _FOREVER,
              QosLiveliness.AUTOMATIC, _FOREVER, False)
    definition, type_hash = definition_of(type_name)
    return Topic(name, type_name, definition, 'ros2msg', type_hash, dump_qos_v8([qos]))


@dataclass
class Part:
    """A part that is written, or was.

    Attributes:
        path: Name of its file.
        counts: Number of messages of each topic, by its index.
        start_ns: Least time of recording, or None without a message.
        end_ns: Greatest time of recording.
    """

    path: str
    counts: dict[str, int] = field(default_factory=dict)
    start_ns: int | None = None
    end_ns: int = 0

    def add(self, index: int, log_ns: int) -> None:
        """Count a message."""
        self.counts[str(index)] = self.counts.get(str(index), 0) + 1
        self.start_ns = log_ns if self.start_ns is None else min(self.start_ns, log_ns)
        self.end_ns = max(self.end_ns, log_ns)


class RecordingWriter:
    """Writes a recording. Only one process may write one recording.

    Attributes:
        parts: The parts that are whole.
        state: State at the end of the last whole part, or None before the first.
        lock: Keeps other runs out.
    """

    def __init__(self, out: Path, topics: Sequence[Topic], plan: Mapping[str, object]):
        """Begin a recording, or go on with an unfinished one.

        Args:
            out: Folder of the recording, which must not exist.
            topics: Topics of the recording.
            plan: What decides its content. An unfinished recording of another plan is refused.

        Raises:
            FileExistsError: The recording exists.
            UnfinishedError: Another run writes it, an unfinished one has another plan, or the
                folder for it is a link or has files of something else.
        """
        self._out, self._topics = out, list(topics)
        self._index = {topic: index for index, topic in enumerate(self._topics)}
        self.parts: list[Part] = []
        self.state: dict[str, object] | None = None
        self._before: dict[str, object] | None = None  # state at the end of the part before
        self._bytes = 0
        refuse_existing(out)
        self._folder = partial_folder(out)
        _refuse_foreign(self._folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self.lock = lock_result(self._folder / _LOCK, UnfinishedError, 'another name')
        try:
            self._read_unfinished(json.loads(json.dumps(plan)))
        except BaseException:
            self.lock.close()
            raise
        self._stream = self._mcap = self._part = None

    def _read_unfinished(self, plan: object) -> None:
        path = self._folder / _PLAN
        if not path.exists():
            write_whole(path, json.dumps(plan, indent=1).encode())
            return
        try:
            other = json.loads(path.read_text())
        except ValueError:
            other = None
        if other != plan:
            raise UnfinishedError(
                f"'{self._folder}' is an unfinished recording{_difference(other, plan)}; remove "
                'it to begin anew, or give the same options to go on')
        state_path = self._folder / _STATE
        if not state_path.exists():
            return
        try:
            saved = decode_state(state_path.read_bytes())
            parts = [Part(**part) for part in saved['parts']]
            if not (self._folder / parts[-1].path).exists():  # The state was written, its part not
                parts, saved = parts[:-1], saved['before'] or {}
            if any(not (self._folder / part.path).is_file() for part in parts):
                raise StateError('a part of it is missing')
        except (StateError, TypeError, KeyError, IndexError) as error:
            raise self.damaged(error) from error
        self.parts, self.state = parts, saved.get('state')
        self._before = {'state': self.state}

    def damaged(self, error: Exception) -> UnfinishedError:
        """Return what to raise where a state cannot be used."""
        reason = f'its state has no {error}' if isinstance(error, KeyError) else error
        return UnfinishedError(f"'{self._folder}' cannot go on ({reason}); remove it to begin "
                               'anew')

    @property
    def part_bytes(self) -> int:
        """Bytes of the part that is being written, before compression."""
        return self._bytes

    def write(self, topic: Topic, log_ns: int, data: bytes | memoryview) -> None:
        """Write a message.

        Args:
            topic: One of the topics of the recording.
            log_ns: Time of recording.
            data: Serialized message.
        """
        if self._mcap is None:
            self._begin_part()
        index = self._index[topic]
        self._mcap.add_message(self._channels[index], log_ns, data, log_ns)
        self._part.add(index, log_ns)
        self._bytes += len(data)

    def _begin_part(self) -> None:
        self._part = Part(f'{self._out.name}_{len(self.parts)}.mcap')
        self._stream = (self._folder / f'{self._part.path}{WRITING}').open('wb')
        self._mcap, self._bytes = Writer(self._stream), 0
        self._mcap.start('ros2', 'enet_ros')
        schemas = {}
        for topic in self._topics:
            key = topic.type, topic.definition
            if key not in schemas:
                schemas[key] = self._mcap.register_schema(
                    topic.type, topic.definition_format, topic.definition.encode())
        self._channels = [self._mcap.register_channel(
            topic.name, topic.serialization, schemas[topic.type, topic.definition],
            {'offered_qos_profiles': topic.qos, 'topic_type_hash': topic.type_hash})
            for topic in self._topics]

    def end_part(self, state: Mapping[str, object]) -> None:
        """Finish the part.

        Args:
            state: What a later run goes on from.
        """
        if self._mcap is None:
            return
        self._mcap.finish()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self.parts.append(self._part)
        write_whole(self._folder / _STATE, encode_state({
            'parts': [asdict(part) for part in self.parts], 'state': dict(state),
            'before': self._before}))
        final = self._folder / self._part.path
        os.replace(f'{final}{WRITING}', final)
        self.state = copy.deepcopy(dict(state))  # The cameras go on to change its arrays.
        self._before = {'state': self.state}
        self._stream = self._mcap = self._part = None
        self._bytes = 0

    def finish(self, provenance: Mapping[str, str], custom_data: Mapping[str, str],
               ros_distro: str) -> None:
        """Give the recording its metadata and its name. All parts must have ended.

        Args:
            provenance: What metadata.yaml tells about the run.
            custom_data: What the original recording told about itself.
            ros_distro: Distribution that recorded it, or ''.
        """
        metadata = {**self._metadata(), 'custom_data': {
            **custom_data, **{_PREFIX + name: value for name, value in provenance.items()}},
            'ros_distro': ros_distro or 'unknown'}
        write_whole(self._folder / METADATA, yaml.safe_dump(
            {'rosbag2_bagfile_information': metadata}, sort_keys=False).encode())
        refuse_existing(self._out)
        os.replace(self._folder, self._out)
        for path in self._out.iterdir():  # only now, so that no kill loses the state
            if self._is_temporary(path.name):
                path.unlink()
        self.lock.close()

    def _is_temporary(self, name: str) -> bool:
        """Whether this class writes a file of that name, which the finished recording lacks."""
        whole = name.removesuffix(WRITING)
        return name in (_PLAN, _STATE, _LOCK) or whole != name and (
            whole in (_PLAN, _STATE, METADATA)
            or re.fullmatch(rf'{re.escape(self._out.name)}_\d+\.mcap', whole) is not None)

    def close(self) -> None:
        """Leave an unfinished recording as it is. The part that has not ended is lost."""
        if self._stream is not None:
            self._stream.close()
        self.lock.close()

    def _metadata(self) -> dict[str, object]:
        counts = [sum(part.counts.get(str(index), 0) for part in self.parts)
                  for index in range(len(self._topics))]
        starts = [part.start_ns for part in self.parts if part.start_ns is not None]
        start_ns, end_ns = min(starts, default=0), max((p.end_ns for p in self.parts), default=0)
        return {
            'version': METADATA_VERSION, 'storage_identifier': 'mcap',
            'duration': {'nanoseconds': end_ns - start_ns},
            'starting_time': {'nanoseconds_since_epoch': start_ns},
            'message_count': sum(counts),
            'topics_with_message_count': [
                {'topic_metadata': {
                    'name': topic.name, 'type': topic.type,
                    'serialization_format': topic.serialization,
                    'offered_qos_profiles': topic.qos, 'type_description_hash': topic.type_hash},
                 'message_count': count} for topic, count in zip(self._topics, counts)],
            'compression_format': '', 'compression_mode': '',
            'relative_file_paths': [part.path for part in self.parts],
            'files': [
                {'path': part.path,
                 'starting_time': {'nanoseconds_since_epoch': part.start_ns or 0},
                 'duration': {'nanoseconds': part.end_ns - (part.start_ns or 0)},
                 'message_count': sum(part.counts.values())} for part in self.parts]}


def partial_folder(out: Path) -> Path:
    """Return where a recording lies until it is finished."""
    return out.with_name(out.name + PARTIAL)


def read_provenance(out: Path) -> dict[str, str]:
    """Return what :meth:`RecordingWriter.finish` was told about a run.

    Args:
        out: Folder of a finished recording.

    Raises:
        OSError: It has no metadata.yaml.
        ValueError: Its metadata.yaml is none of ours.
    """
    try:
        content = yaml.safe_load((out / METADATA).read_text())
        custom_data = content['rosbag2_bagfile_information']['custom_data']
        return {name.removeprefix(_PREFIX): value for name, value in custom_data.items()
                if name.startswith(_PREFIX)}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"'{out / METADATA}' is not of enet-ros bag") from error


def refuse_existing(out: Path) -> None:
    """Refuse to overwrite.

    Raises:
        FileExistsError: There is something already.
    """
    if out.exists() or out.is_symlink():
        raise FileExistsError(f"'{out}' exists already and is never overwritten; choose another "
                              'name for -o, or move it away')


def _refuse_foreign(folder: Path) -> None:
    """Refuse a place of an unfinished recording where something else is.

    Raises:
        UnfinishedError: It is a link or a file, or a folder with files of something else.
    """
    advice = 'move it away, or choose another name for -o: nothing is overwritten'
    if folder.is_symlink():
        raise UnfinishedError(f"'{folder}' is a link, wanted a folder or nothing; {advice}")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UnfinishedError(f"'{folder}' is a file, wanted a folder or nothing; {advice}")
    if (folder / _PLAN).exists():
        return
    # A run that was killed at once leaves these two without a plan.
    foreign = sorted({path.name for path in folder.iterdir()} - {_LOCK, _PLAN + WRITING})
    if foreign:
        raise UnfinishedError(f"'{folder}' is no unfinished recording: it has {foreign[0]!r} and "
                              f'no {_PLAN}; {advice}')


def lock_result(path: Path, refusal: type[ValueError], other: str) -> FileLock:
    """Keep other runs out of a folder.

    Args:
        path: The lock, in that folder.
        refusal: Error to raise if another run holds it.
        other: What the user may choose instead, such as 'another name'.

    Raises:
        ValueError: The ``refusal``. The message names the process that holds it.
    """
    try:
        return FileLock(path)
    except HeldError as error:
        raise refusal(f"another run is writing '{path.parent}' now ({error}); wait for it, or "
                      f'choose {other} for -o') from error


def _difference(other: object, plan: Mapping[str, object]) -> str:
    """Return in what two plans differ, as a part of a sentence."""
    if not isinstance(other, Mapping):
        return ''
    names = [name for name in plan if other.get(name) != plan[name]]
    return ' of another run: ' + ', '.join(
        f'{name} was {other.get(name)!s:.200}, now {plan[name]!s:.200}' for name in names)
