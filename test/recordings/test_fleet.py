"""Many recordings: one after the other, at a time in processes, and on a cluster of two nodes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip('rosbags', reason='the extra bag is not installed')

from support import recordings  # noqa: E402

from enet_ros.recordings import fleet, local_jobs  # noqa: E402
from enet_ros.recordings.inputs import find_recordings  # noqa: E402
from enet_ros.recordings.manifest import Manifest  # noqa: E402
from enet_ros.recordings.reader import RecordingError  # noqa: E402
from enet_ros.recordings.segment import BagOptions  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = 'monday', 'tuesday', 'wednesday'  # of the fixture drives


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_file()
            and path.name not in ('manifest.json', '.lock')}


def manifest(out):
    return json.loads((out / 'manifest.json').read_text())


def spoil(drives):
    """Cut a recording short; returns its path."""
    path = drives / 'tuesday' / 'tuesday.mcap'
    path.write_bytes(path.read_bytes()[:100_000])
    return drives / 'tuesday'


def test_a_folder_of_recordings_gives_one_of_each_and_a_manifest(bag, tmp_path, drives):
    out = tmp_path / 'out'
    code, text = bag(drives, '-o', out)
    assert code == 0, text
    found = manifest(out)
    assert [(row['output'], row['state'], row['attempts'], row['frames'])
            for row in found['recordings']] == [
        ('monday', 'done', 1, 2), ('tuesday', 'done', 1, 3), ('wednesday', 'done', 1, 4)]
    for row in found['recordings']:
        assert len(recordings.decoded(out / row['output'])['/enet/labels']) == row['frames']
        assert (row['facts']['backend'], row['facts']['precision']) == ('openvino', 'float32')
        assert row['facts']['processor']
    assert not found['is_mixed']
    code, text = bag(drives, '-o', out)
    assert code == 0
    assert '3 recordings, 3 done before' in text


def test_what_was_finished_before_the_run_was_stopped_counts_as_done(bag, tmp_path, drives):
    out = tmp_path / 'out'
    assert bag(drives, '-o', out)[0] == 0
    content = manifest(out)
    content['recordings'][1] |= {'state': 'waiting', 'frames': 0, 'facts': {}, 'warnings': [],
                                 'host': '', 'error': 'its process ended'}
    (out / 'manifest.json').write_text(json.dumps(content))
    code, text = bag(drives, '-o', out)
    assert code == 0, text
    assert '3 recordings, 3 done before' in text and 'several kinds' not in text
    assert 'warning: tuesday: it was finished just before the run was stopped' in text
    row = manifest(out)['recordings'][1]
    assert (row['state'], row['frames'], row['unreadable'], row['error']) == ('done', 3, 0, '')
    assert row['facts'] == {name: value for name, value in
                            content['recordings'][0]['facts'].items()
                            if name not in ('processor', 'versions')}
    content['recordings'][1]['output'] = 'others'
    (out / 'manifest.json').write_text(json.dumps(content))
    (out / 'others').mkdir()
    code, text = bag(drives, '-o', out)
    assert code == 2
    assert "others' exists already and is not what this command has finished" in text


def test_a_recording_that_cannot_be_read_is_named_and_the_rest_is_done(bag, tmp_path, drives):
    out, bad = tmp_path / 'out', spoil(drives)
    code, text = bag(drives, '-o', out)
    assert code == 1
    assert '1 of 3 recordings failed' in text
    assert f"the recording '{bad}' cannot be read: " in text
    assert "'mcap recover FILE'" in text
    states = {row['output']: (row['state'], row['attempts'])
              for row in manifest(out)['recordings']}
    assert states == {'monday': ('done', 1), 'tuesday': ('failed', 1), 'wednesday': ('done', 1)}
    before = contents(out)
    (bad / 'tuesday.mcap').unlink()
    (bad / 'metadata.yaml').unlink()
    bad.rmdir()
    recordings.write(bad, recordings.street(1))
    assert bag(drives, '-o', out)[0] == 0
    after = contents(out)
    assert {name: after[name] for name in before} == before
    assert 'tuesday/metadata.yaml' in after


def test_a_recording_without_a_labeled_frame_has_failed_and_stays_so(bag, tmp_path, drives):
    rows = recordings.street(2)
    for row in rows:
        if row[1] == 'sensor_msgs/msg/Image':
            row[3].data = row[3].data[:10]
    recordings.write(drives / 'sunday', rows)
    out = tmp_path / 'out'
    for _ in range(2):
        code, text = bag(drives, '-o', out)
        assert code == 1 and '3 recordings done, 1 failed' in text
        assert 'sunday: no frame was labeled' in text
        assert 'sunday: /image: frames that could not be read (2 times): data has 10' in text
        entry, = (entry for entry in json.loads((out / 'manifest.json').read_text())['recordings']
                  if entry['output'] == 'sunday')
        assert entry['state'] == 'failed' and entry['frames'] == 0


def test_a_failure_is_tried_again_and_counted(tmp_path, drives):
    out, tries, told = tmp_path / 'out', [], []
    paths, _ = find_recordings([drives])
    options = BagOptions(values={'resolution': [160, 96], 'precision': 'float32'})

    def runner(jobs):
        for job in jobs:
            tries.append(job.index)
            lost = job.index == 2 or job.index == 1 and tries.count(1) < 3
            yield (fleet.Outcome(job.index, 'its process ended') if lost else fleet.run_job(job))

    fleet.run_all(Manifest(out, paths, {}), out, options, runner, 2, told.append)
    assert {row['output']: (row['state'], row['attempts'], row['error'])
            for row in manifest(out)['recordings']} == {
        'monday': ('done', 1, ''), 'tuesday': ('done', 3, ''),
        'wednesday': ('failed', 3, 'its process ended')}
    assert [entry.output for entry in told] == ['monday', 'tuesday', 'wednesday']


def test_a_mixed_cluster_is_named(bag, tmp_path, drives, monkeypatch):
    out, kinds = tmp_path / 'out', iter(('old', 'new', 'new'))
    monkeypatch.setattr(fleet, 'machine_kind', lambda: {'processor': next(kinds), 'versions': '1'})
    code, text = bag(drives, '-o', out)
    assert code == 0
    assert 'warning: the machines are of several kinds' in text
    assert 'processor old, versions 1: monday' in text
    assert 'processor new, versions 1: tuesday, wednesday' in text
    assert 'give --backend and --precision, or machines of one kind' in text
    assert manifest(out)['is_mixed']


def test_a_folder_that_is_not_ours_is_not_written_into(bag, tmp_path, drives):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'mine').write_text('mine')
    code, text = bag(drives, '-o', tmp_path / 'out')
    assert code == 2
    assert 'exists already and has no manifest.json' in text
    assert contents(tmp_path / 'out') == {'mine': b'mine'}


def test_other_options_do_not_go_on_with_a_manifest(bag, tmp_path, drives):
    out = tmp_path / 'out'
    assert bag(drives, '-o', out)[0] == 0
    before = contents(out)
    code, text = bag(drives, '-o', out, '--outputs', 'labels')
    assert code == 2
    assert 'is of a run with other options: outputs was [' in text
    assert contents(out) == before


def test_which_recordings_are_meant(tmp_path, drives):
    assert find_recordings([drives / 'monday']) == ([drives / 'monday'], True)
    assert find_recordings([drives])[0] == [drives / 'monday', drives / 'tuesday',
                                            drives / 'wednesday.mcap']
    parts = tmp_path / 'parts'
    parts.mkdir()
    for i in range(2):
        (parts / f'drive_{i}.mcap').write_bytes(b'')
    assert find_recordings([parts]) == ([parts], True)
    (parts / 'other.mcap').write_bytes(b'')
    assert len(find_recordings([parts])[0]) == 3
    (tmp_path / 'monday.mcap').write_bytes(b'')
    with pytest.raises(RecordingError, match="would both be written as 'monday'"):
        find_recordings([drives / 'monday', tmp_path / 'monday.mcap'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(RecordingError, match='holds no recording'):
        find_recordings([tmp_path / 'empty'])


@pytest.mark.parametrize('address', [
    '127.0.0.1:9', 'nowhere', '127.0.0.1:99999', 'ray://127.0.0.1:9'])
def test_a_cluster_that_does_not_answer_is_named_at_once(bag, tmp_path, drives, address):
    pytest.importorskip('ray', reason='the extra fleet is not installed')
    began_sec = time.monotonic()
    code, text = bag(drives, '-o', tmp_path / 'out', '--cluster', address)
    assert code == 2
    assert f"no Ray cluster answers at '{address}': " in text
    assert "start one by 'ray start --head', or give --jobs and no --cluster" in text
    assert time.monotonic() - began_sec < 20.0


@pytest.fixture(autouse=True, scope='module')
def shared_memory():
    """Keep Ray from killing workers because other programs of this machine fill its memory."""
    os.environ['RAY_memory_monitor_refresh_ms'] = '0'


@pytest.fixture(scope='module')
def cluster():
    """A Ray cluster of two nodes, each with a raylet process of its own."""
    pytest.importorskip('ray', reason='the extra fleet is not installed')
    os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
    from ray.cluster_utils import Cluster
    made = Cluster(initialize_head=True, head_node_args={'num_cpus': 1,
                                                         'include_dashboard': False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cluster_of_two_nodes_gives_the_bytes_of_one_process(bag, tmp_path, drives, cluster):
    assert bag(drives, '-o', tmp_path / 'one')[0] == 0
    bad = spoil(drives)
    code, text = bag(drives, '-o', tmp_path / 'many', '--cluster', cluster.address)
    assert code == 1
    assert 'runs by Ray, 2 nodes, 2 CPUs' in text
    assert f"the recording '{bad}' cannot be read: " in text
    one, many = contents(tmp_path / 'one'), contents(tmp_path / 'many')
    assert many == {name: data for name, data in one.items() if not name.startswith('tuesday/')}
    assert not manifest(tmp_path / 'many')['is_mixed']


@pytest.mark.timeout(300)
def test_jobs_on_one_machine_give_the_bytes_of_one_process_without_ray(
        bag, tmp_path, drives, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    assert bag(drives, '-o', tmp_path / 'one')[0] == 0
    bad = spoil(drives)
    code, text = bag(drives, '-o', tmp_path / 'many', '--jobs', 2)
    assert code == 1, text
    assert 'runs by 2 processes of this machine\n' in text
    assert f"the recording '{bad}' cannot be read: " in text
    one, many = contents(tmp_path / 'one'), contents(tmp_path / 'many')
    assert many == {name: data for name, data in one.items() if not name.startswith('tuesday/')}
    for row in manifest(tmp_path / 'many')['recordings']:
        assert (row['attempts'], row['host'] != '') == (1, True)
        assert bool(row['facts']) == (row['output'] != 'tuesday')


@pytest.mark.timeout(300)
@pytest.mark.parametrize('where', ['jobs', pytest.param('cluster', marks=pytest.mark.slow)])
def test_a_worker_that_is_killed_is_tried_again_and_goes_on(bag, tmp_path, request, where):
    """The first try is killed after a part; the second ends in the bytes of a whole run."""
    path = recordings.write(tmp_path / 'drives' / 'long', recordings.street(60))
    recordings.write(tmp_path / 'drives' / 'short', recordings.street(2))
    out, folder = tmp_path / 'many', tmp_path / 'many' / 'long.partial'
    options = (('--jobs', 2) if where == 'jobs' else
               ('--cluster', request.getfixturevalue('cluster').address))
    killed = []

    def kill():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            if len(list(folder.glob('*.mcap'))) >= 2:
                killed.extend(pid_of_lock(folder / 'lock'))
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    code, text = bag(tmp_path / 'drives', '-o', out, *options, '--part-size', '0.6')
    killer.join()
    assert killed, 'no worker was found'
    assert code == 0, text
    assert [(row['state'], row['attempts']) for row in manifest(out)['recordings']] == [
        ('done', 2), ('done', 1)]
    assert bag(path, '-o', tmp_path / 'one' / 'long', '--part-size', '0.6')[0] == 0
    assert contents(out / 'long') == contents(tmp_path / 'one' / 'long')


@pytest.mark.timeout(300)
@pytest.mark.parametrize(('sent', 'code'), [
    (signal.SIGTERM, 130), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_ends_its_processes_and_opens_no_port(bag, tmp_path, sent, code):
    """Recordings are compressed as files, so each process has a temporary copy."""
    for name in NAMES[:2]:
        recordings.write(tmp_path / 'drives' / name, recordings.street(60), compression='file')
    (tmp_path / 'tmp').mkdir()
    arguments = (tmp_path / 'drives', '-o', tmp_path / 'out', '--jobs', 2, '--part-size', 0.6)
    process = subprocess.Popen(
        [sys.executable, REPOSITORY / 'bin' / 'enet-ros', 'bag', *map(str, arguments),
         '--resolution', '160x96', '--precision', 'float32', '--threads', '1'],
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, 'TMPDIR': str(tmp_path / 'tmp')})
    deadline = time.monotonic() + 120
    while not all([*tmp_path.glob(f'out/{name}.partial/*.mcap')] for name in NAMES[:2]):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, 'no parts within 120 s'
        time.sleep(0.01)
    children = children_of(process.pid)
    assert len(children) >= 2 and not listening([process.pid, *children])
    assert [*(tmp_path / 'tmp').iterdir()]
    began_sec = time.monotonic()
    process.send_signal(sent)
    text = process.communicate(timeout=30)[1]
    while any(Path(f'/proc/{pid}').exists() for pid in children):
        assert time.monotonic() < began_sec + 10.0, 'a process is still there after 10 s'
        time.sleep(0.01)
    assert process.returncode == code and 'Traceback' not in text, text
    assert not [*(tmp_path / 'tmp').iterdir()]
    if sent != signal.SIGKILL:
        assert (f"what is done stays in {tmp_path / 'out'}; the same command goes on from there"
                in text) and text.endswith('\nstopped\n')
    assert bag(*arguments)[0] == 0
    assert [row['frames'] for row in manifest(tmp_path / 'out')['recordings']] == [60, 60]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_on_a_cluster_that_is_stopped_ends_in_a_sentence(tmp_path, cluster):
    recordings.write(tmp_path / 'drives' / 'long', recordings.street(60))
    process = subprocess.Popen(
        [sys.executable, REPOSITORY / 'bin' / 'enet-ros', 'bag', str(tmp_path / 'drives'), '-o',
         str(tmp_path / 'out'), '--cluster', cluster.address, '--part-size', '0.6',
         '--resolution', '160x96', '--precision', 'float32'], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not [*tmp_path.glob('out/long.partial/*.mcap')]:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, 'no part within 120 s'
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    text = process.communicate(timeout=30)[1]
    assert process.returncode == 130, text
    assert 'the same command goes on from there' in text and text.endswith('\nstopped\n')


@pytest.mark.parametrize(('returncode', 'output', 'error'), [
    (-9, '', 'its process ended (SIGKILL, out of memory?)'),
    (-11, 'x\n', 'its process ended (SIGSEGV): x'),
    (3, 'a\n b \n\n', 'its process ended (exit code 3): b')])
def test_a_process_without_an_outcome_says_how_it_ended(returncode, output, error):
    job = fleet.Job(7, 'in', 'out', BagOptions())
    outcome = local_jobs.outcome_of(job, returncode, output)
    assert (outcome.index, outcome.error, outcome.is_final) == (7, error, False)


def children_of(pid):
    """Return the children of a process."""
    found = Path(f'/proc/{pid}/task').glob('*/children')
    return [int(child) for path in found for child in path.read_text().split()]


def listening(pids):
    """Return the ports on which processes listen."""
    inode_of = {}
    for path in ('/proc/net/tcp', '/proc/net/tcp6'):
        for line in Path(path).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == '0A':
                inode_of[f'socket:[{fields[9]}]'] = fields[1]
    links = {os.readlink(link) for pid in pids for link in Path(f'/proc/{pid}/fd').iterdir()
             if link.is_symlink()}
    return [inode_of[link] for link in links & {*inode_of}]


def pid_of_lock(lock):
    """Return the processes, other than this one, that have a file open."""
    found = []
    for folder in Path('/proc').glob('[0-9]*/fd'):
        if int(folder.parent.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if any(entry.resolve() == lock for entry in folder.iterdir()):
                found.append(int(folder.parent.name))
    return found
