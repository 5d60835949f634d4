"""Two trainings in one folder: the second is refused, and a killed one leaves no lock."""

import errno
import fcntl
import os
import signal
import subprocess

import pytest
from support.training_runs import run_options

pytest.importorskip('torch')
pytest.importorskip('pytorch_lightning', reason='training needs pytorch-lightning')
pytest.importorskip('matplotlib', reason='training draws its curves with matplotlib')

from enet_ros.common.child import python_command  # noqa: E402
from enet_ros.training.options import TrainingError  # noqa: E402
from enet_ros.training.run_lock import lock_run  # noqa: E402
from enet_ros.training.train import train  # noqa: E402

# It forks a process that stays, as loading processes may for a while after a kill.
HOLDER = """
import os, pathlib, sys, time
from enet_ros.training.run_lock import lock_run
with lock_run(pathlib.Path(sys.argv[1])):
    worker = os.fork()
    if worker:
        print(worker, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def held(tmp_path):
    """Return a folder, the process that holds it, and the number of the process it forked."""
    run = tmp_path / 'run'
    run.mkdir()
    holder = subprocess.Popen([*python_command(), '-c', HOLDER, str(run)],
                              stdout=subprocess.PIPE, text=True)
    worker = int(holder.stdout.readline())
    yield run, holder, worker
    holder.kill()
    os.kill(worker, signal.SIGKILL)
    holder.stdout.close()
    holder.wait(timeout=60)


def test_a_second_training_is_refused_and_changes_nothing(held, tree):
    run, holder, _ = held
    with pytest.raises(TrainingError, match='in use by another training') as error:
        train(run_options(tree, run))
    assert str(error.value).startswith(f'{run} is in use')
    assert f'process {holder.pid} on ' in str(error.value)
    assert 'choose another --out' in str(error.value)
    assert os.listdir(run) == ['.lock']


def test_a_killed_training_leaves_no_lock_though_its_workers_live(held):
    run, holder, worker = held
    holder.kill()
    holder.wait(timeout=60)
    os.kill(worker, 0)  # It lives.
    with lock_run(run):
        pass


def test_the_processes_of_a_run_do_not_lock_each_other_out(held):
    run, *_ = held
    with lock_run(run, rank=1):
        pass
    with pytest.raises(TrainingError, match='in use'), lock_run(run, rank=0):
        pass


def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, 'No locks available')
    monkeypatch.setattr(fcntl, 'lockf', refuse)
    with lock_run(tmp_path):
        assert 'without locks' in capsys.readouterr().out


def test_a_folder_of_something_else_gets_no_lock_file(tree, tmp_path):
    (tmp_path / 'model.safetensors').touch()
    with pytest.raises(TrainingError, match='no run to continue'):
        train(run_options(tree, tmp_path))
    assert os.listdir(tmp_path) == ['model.safetensors']
