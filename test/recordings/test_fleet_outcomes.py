"""What a fleet's manifest says of results that nobody has told of, and the exit codes."""

import json
import threading
from types import SimpleNamespace

import pytest

pytest.importorskip('rosbags', reason='the extra bag is not installed')

from enet_ros.cli import bag_fleet  # noqa: E402
from enet_ros.common.child import SAYS  # noqa: E402
from enet_ros.recordings import fleet, local_jobs  # noqa: E402
from enet_ros.recordings import manifest as manifest_module  # noqa: E402
from enet_ros.recordings.manifest import DONE, FAILED, NO_FRAME, Entry, Manifest  # noqa: E402
from enet_ros.recordings.segment import BagOptions  # noqa: E402


def gone_on(tmp_path, monkeypatch, attempts, frames, unreadable):
    """Go on with a manifest whose recording waits, and has a finished result already."""
    monkeypatch.setattr(manifest_module, 'read_provenance', lambda out: {
        'frames': str(frames), 'unreadable': str(unreadable), 'backend': 'openvino'})
    out, path = tmp_path / 'out', tmp_path / 'a'
    made = Manifest(out, [path], {})
    made.entries[0].attempts = attempts
    made.write()
    made.close()
    (out / made.entries[0].output).mkdir()
    return Manifest(out, [path], {}).entries[0]


def test_a_finished_result_is_taken_over_with_what_it_says(tmp_path, monkeypatch):
    entry = gone_on(tmp_path, monkeypatch, 1, 7, 3)
    assert (entry.state, entry.frames, entry.unreadable, entry.error) == (DONE, 7, 3, '')


def test_a_finished_result_without_a_frame_has_failed(tmp_path, monkeypatch):
    entry = gone_on(tmp_path, monkeypatch, 1, 0, 3)
    assert (entry.state, entry.error) == (FAILED, NO_FRAME)


def test_a_result_of_a_recording_that_was_never_tried_is_somebody_elses(tmp_path, monkeypatch):
    with pytest.raises(FileExistsError, match='exists already and is not in the manifest'):
        gone_on(tmp_path, monkeypatch, 0, 7, 0)


@pytest.mark.parametrize(('error', 'is_final'), [
    (ValueError('no camera'), True), (OSError(28, 'No space left on device'), False),
    (MemoryError('memory'), False)])
def test_what_another_try_cannot_change_is_final_and_a_full_disk_is_not(monkeypatch, error,
                                                                       is_final):
    def fail(*_):
        raise error
    monkeypatch.setattr(fleet, 'open_segmenter', lambda values: None)
    monkeypatch.setattr(fleet, 'segment_recording', fail)
    outcome = fleet.run_job(fleet.Job(3, 'in', 'out', BagOptions()))
    assert (outcome.index, outcome.is_final) == (3, is_final) and str(error) in outcome.error


def test_frames_that_could_not_be_read_are_told(monkeypatch):
    monkeypatch.setattr(fleet, 'open_segmenter', lambda values: None)
    monkeypatch.setattr(fleet, 'segment_recording', lambda *_: SimpleNamespace(
        frames=5, unreadable=2, lines=['x'], provenance={}))
    outcome = fleet.run_job(fleet.Job(3, 'in', 'out', BagOptions()))
    assert (outcome.changes['frames'], outcome.changes['unreadable']) == (5, 2)


def test_no_more_jobs_run_at_a_time_than_were_asked_for(monkeypatch):
    running = []

    def start(self, job):
        self._running[job.index] = job
        running.append(len(self._running))

    def ended(self):
        yield fleet.Outcome(self._running.popitem()[0])
    monkeypatch.setattr(local_jobs.LocalRunner, '_start', start)
    monkeypatch.setattr(local_jobs.LocalRunner, '_ended', ended)
    jobs = [fleet.Job(index, 'in', 'out', BagOptions()) for index in range(5)]
    assert len(list(local_jobs.LocalRunner(2)(jobs))) == 5
    assert max(running) == 2


def test_a_machine_that_starts_no_process_ends_the_run(monkeypatch):
    def refuse(*_):
        raise OSError(12, 'Cannot allocate memory')
    monkeypatch.setattr(local_jobs, 'start_child', refuse)
    jobs, outcomes = [fleet.Job(i, 'in', 'out', BagOptions()) for i in range(2)], []
    thread = threading.Thread(target=lambda: outcomes.extend(local_jobs.LocalRunner(2)(jobs)),
                              daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert ['cannot be started' in outcome.error for outcome in outcomes] == [True, True]


def test_the_last_word_of_a_process_is_its_outcome():
    lines = [SAYS + json.dumps({'index': 7, 'error': error}) for error in ('first', '')]
    outcome = local_jobs.outcome_of(fleet.Job(7, 'in', 'out', BagOptions()), 0, '\n'.join(lines))
    assert outcome.error == ''


@pytest.mark.parametrize(('entries', 'code'), [
    ([Entry('a', 'a', DONE)], 0), ([Entry('a', 'a', DONE, unreadable=1)], 1),
    ([Entry('a', 'a', DONE), Entry('b', 'b', FAILED)], 1), ([Entry('b', 'b', FAILED)], 2)])
def test_the_exit_code_of_a_fleet(tmp_path, capsys, entries, code):
    found = SimpleNamespace(entries=entries, kinds=lambda: {})
    assert bag_fleet._report(found, tmp_path) == code
