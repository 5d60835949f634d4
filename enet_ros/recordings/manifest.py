"""The manifest of a folder of recordings: what is done, by what, and what failed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from enet_ros.common.file_lock import LOCK
from enet_ros.common.whole_files import WRITING, write_whole
from enet_ros.recordings.files import MANIFEST, located, name_of, sizes_of
from enet_ros.recordings.reader import RecordingError
from enet_ros.recordings.writer import lock_result, read_provenance

WAITING, DONE, FAILED = 'waiting', 'done', 'failed'
NO_FRAME = 'no frame was labeled: the warnings say why; remove the result to try again'
CHANGED = 'the recording has changed since it was labeled: remove its result to label it again'
#: Facts that decide whether two machines give the same bytes.
KIND = ('weights_sha256', 'resolution', 'backend', 'precision', 'processor', 'versions')
_BEFORE_MANIFEST = {LOCK, MANIFEST + WRITING}  # files of a run that has just begun, or was killed
_LOST = ('it was finished just before the run was stopped, so its other warnings and its machine '
         'are not known')


@dataclass
class Entry:
    """One recording of the manifest.

    Attributes:
        input: The recording.
        output: Name of the folder of its result.
        state: 'waiting', 'done' or 'failed'.
        attempts: Number of tries, of this run and those before.
        error: Why the last try failed, or ''.
        frames: Number of frames that were labeled.
        unreadable: Number of frames that could not be read.
        warnings: Sentences about what is missing or was doubtful.
        facts: Weights, backend, precision, processor and versions.
        host: Name of the machine.
        seconds: Time that the last try took.
        files: Names and sizes of the files of the recording when the last try began.
    """

    input: str
    output: str
    state: str = WAITING
    attempts: int = 0
    error: str = ''
    frames: int = 0
    unreadable: int = 0
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    host: str = ''
    seconds: float = 0.0
    files: list[list[object]] = field(default_factory=list)

    def begin_try(self) -> None:
        """Count a try, and note what it reads."""
        self.attempts += 1
        self.files = sizes_of(Path(self.input))


class Manifest:
    """What is done of a folder of recordings. It is written after each change.

    Only one process may write one folder, so it is locked until :meth:`close`.

    Attributes:
        entries: The recordings.
        lock: Keeps other runs out.
    """

    def __init__(self, out: Path, paths: Sequence[Path], asked: Mapping[str, object]):
        """Begin a manifest, or go on with the one that is there.

        Args:
            out: Folder of the results.
            paths: The recordings.
            asked: What is asked of them.

        Raises:
            FileExistsError: The folder exists and has no manifest.
            RecordingError: Another run writes it, or its manifest is of other options or cannot
                be read.
        """
        self._out = out
        self._path, self._asked = out / MANIFEST, json.loads(json.dumps(asked))
        self.entries = [Entry(str(located(path)), name_of(path)) for path in paths]
        if not self._path.exists() and out.exists() and (
                not out.is_dir() or {path.name for path in out.iterdir()} - _BEFORE_MANIFEST):
            raise FileExistsError(f"'{out}' exists already and has no {MANIFEST}; choose another "
                                  'folder for -o: nothing is overwritten')
        out.mkdir(parents=True, exist_ok=True)
        self.lock = lock_result(out / LOCK, RecordingError, 'another folder')
        if self._path.exists():
            self._go_on()
        for entry in self.entries:
            if (out / entry.output).exists() and entry.state == WAITING:
                self._take_finished(entry)
        self.write()

    def _go_on(self) -> None:
        """Take over what the manifest of the run before says."""
        try:
            saved = json.loads(self._path.read_text())
            asked = saved['asked']
            before = {row['input']: Entry(**row) for row in saved['recordings']}
        except (ValueError, KeyError, TypeError) as error:
            raise RecordingError(f"'{self._path}' cannot be read ({error}); choose another folder "
                                 'for -o, or remove it to begin anew') from error
        changed = [name for name in self._asked if asked.get(name) != self._asked[name]]
        if changed:
            raise RecordingError(
                f"'{self._path}' is of a run with other options: " + ', '.join(
                    f'{name} was {asked.get(name)}, now {self._asked[name]}' for name in changed)
                + '; choose another folder for -o, or give the same options to go on')
        self._refuse_names_of(before)
        mine = {entry.input for entry in self.entries}
        self.entries = [before.get(entry.input, entry) for entry in self.entries] + [
            entry for name, entry in before.items() if name not in mine and entry.state == DONE]
        for entry in self.entries:
            if entry.input in mine and (entry.state == DONE or entry.error == CHANGED):
                self._compare_files(entry)
            has_result = (self._out / entry.output).exists()
            if entry.state == FAILED and not (has_result and entry.error in (NO_FRAME, CHANGED)):
                entry.state, entry.error = WAITING, ''

    def _compare_files(self, entry: Entry) -> None:
        """Take a recording that has grown or was replaced since it was labeled for failed.

        Manifests of earlier versions have no sizes.
        """
        if entry.files and entry.files != sizes_of(Path(entry.input)):
            entry.state, entry.error = FAILED, CHANGED
        elif (self._out / entry.output).exists():
            entry.state, entry.error = DONE, ''

    def _refuse_names_of(self, before: Mapping[str, Entry]) -> None:
        """Refuse a recording whose result would lie where that of another recording does.

        Raises:
            FileExistsError: There is one.
        """
        owners = {entry.output: entry.input for entry in before.values()}
        for entry in self.entries:
            owner, result = owners.get(entry.output, entry.input), self._out / entry.output
            if owner != entry.input and result.exists():
                raise FileExistsError(f"'{result}' belongs to '{owner}', so '{entry.input}' "
                                      'cannot be written there; choose another folder for -o')

    def _take_finished(self, entry: Entry) -> None:
        """Take over a result that was finished just before the run before was stopped.

        Raises:
            FileExistsError: It belongs to another recording, or its origin is not known.
        """
        if entry.attempts == 0:
            raise FileExistsError(f"'{self._out / entry.output}' exists already and is not in the "
                                  'manifest; move it away: nothing is overwritten')
        try:
            provenance = read_provenance(self._out / entry.output)
            entry.frames = int(provenance.pop('frames'))
            entry.unreadable = int(provenance.pop('unreadable'))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileExistsError(f"'{self._out / entry.output}' exists already and is not what "
                                  'this command has finished; move it away: nothing is '
                                  'overwritten') from error
        entry.state, entry.error = (DONE, '') if entry.frames else (FAILED, NO_FRAME)
        entry.facts, entry.warnings = provenance, [_LOST]

    def waiting(self) -> list[Entry]:
        """Return the recordings that are not done."""
        return [entry for entry in self.entries if entry.state == WAITING]

    def kinds(self) -> dict[str, list[str]]:
        """Return the recordings of each kind of machine: words for the kind -> inputs."""
        found: dict[str, list[str]] = {}
        for entry in self.entries:
            if entry.state == DONE and 'processor' in entry.facts:
                kind = ', '.join(f'{name} {entry.facts.get(name, "?")}' for name in KIND)
                found.setdefault(kind, []).append(entry.output)
        return found

    def close(self) -> None:
        """Let other runs write the folder."""
        self.lock.close()

    def write(self) -> None:
        """Write the manifest, whole or not at all."""
        kinds = self.kinds()
        write_whole(self._path, json.dumps({
            'asked': self._asked, 'is_mixed': len(kinds) > 1, 'kinds': kinds,
            'recordings': [asdict(entry) for entry in self.entries]}, indent=1).encode())
