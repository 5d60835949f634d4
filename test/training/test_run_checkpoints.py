"""Checkpoints of a run when a save fails, when they are damaged, and when the folder moved."""

import os
import shutil

import pytest
from support.training_runs import read_state, run_options

torch = pytest.importorskip('torch')
pl = pytest.importorskip('pytorch_lightning', reason='training needs pytorch-lightning')
pytest.importorskip('matplotlib', reason='training draws its curves with matplotlib')

from enet_ros.training.module import SegmentationModule  # noqa: E402
from enet_ros.training.options import TrainingError  # noqa: E402
from enet_ros.training.run_checkpoints import WholeCheckpoints  # noqa: E402
from enet_ros.training.train import train  # noqa: E402


def stop_at(monkeypatch, step):
    """Make the training step of one number crash the run."""
    original = SegmentationModule.training_step

    def crashing(self, batch, batch_idx):
        if self.global_step == step:
            raise RuntimeError('power cut')
        return original(self, batch, batch_idx)
    monkeypatch.setattr(SegmentationModule, 'training_step', crashing)


@pytest.fixture
def stopped(tree, tmp_path, monkeypatch):
    """Return the folder of a run that stopped after its validation at step 3, saved at step 4."""
    run = tmp_path / 'run'
    with monkeypatch.context() as patch:
        stop_at(patch, 5)
        with pytest.raises(RuntimeError, match='power cut'):
            train(run_options(tree, run))
    return run


def test_a_save_that_fails_leaves_the_checkpoint_before_it(tmp_path, monkeypatch):
    path, checkpoints = tmp_path / 'last.ckpt', WholeCheckpoints()
    checkpoints.save_checkpoint({'global_step': 2}, path)

    def full(number):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left on device; the same command .*last.ckpt'):
        checkpoints.save_checkpoint({'global_step': 4}, path)
    assert read_state(tmp_path)['global_step'] == 2
    assert os.listdir(tmp_path) == ['last.ckpt']


def test_every_checkpoint_of_a_run_is_renamed_within_its_folder(tree, tmp_path, monkeypatch):
    renamed, rename = [], os.replace
    monkeypatch.setattr('pathlib.Path.replace',
                        lambda old, new: (renamed.append((old, new)), rename(old, new)))
    run = tmp_path / 'run'
    assert train(run_options(tree, run, steps=3)) == 0
    assert {new.name for old, new in renamed if old.parent == new.parent} >= {'last.ckpt',
                                                                             'best.ckpt'}


def test_a_run_goes_on_by_what_every_lightning_understands(stopped, tree, monkeypatch):
    fit = pl.Trainer.fit

    def fit_of_2_5(self, model, datamodule=None, ckpt_path=None):
        fit(self, model, datamodule=datamodule, ckpt_path=ckpt_path)
    monkeypatch.setattr(pl.Trainer, 'fit', fit_of_2_5)
    assert train(run_options(tree, stopped)) == 0


@pytest.mark.parametrize('size', [0, 1000, 1_000_000])
def test_a_damaged_last_checkpoint_is_one_sentence(stopped, tree, size):
    os.truncate(stopped / 'last.ckpt', size)
    with pytest.raises(TrainingError, match=r'last.ckpt is damaged .*: copy .*best.ckpt over it'
                       ) as error:
        train(run_options(tree, stopped))
    assert '\n' not in str(error.value)
    shutil.copy(stopped / 'best.ckpt', stopped / 'last.ckpt')
    assert train(run_options(tree, stopped)) == 0
    assert read_state(stopped)['global_step'] == 6


def give_best_validation(path, miou):
    """Change the best class IoU that a checkpoint knows of."""
    state = torch.load(path, weights_only=True)
    best = next(value for value in state['callbacks'].values() if 'best_k_models' in value)
    best['best_model_score'] = best['kth_value'] = torch.tensor(miou)
    best['best_k_models'] = dict.fromkeys(best['best_k_models'], torch.tensor(miou))
    torch.save(state, path)


def test_a_run_in_a_renamed_folder_keeps_its_best_validation(stopped, tree, tmp_path):
    give_best_validation(stopped / 'last.ckpt', 2.0)  # none is better
    moved = stopped.rename(tmp_path / 'renamed')
    best = (moved / 'best.ckpt').read_bytes()
    assert train(run_options(tree, moved)) == 0
    assert (moved / 'best.ckpt').read_bytes() == best
    assert not stopped.exists()
    assert str(stopped) not in str(read_state(moved)['callbacks'])


def test_a_run_without_its_best_checkpoint_keeps_the_next_validation(stopped, tree):
    give_best_validation(stopped / 'last.ckpt', 2.0)
    (stopped / 'best.ckpt').unlink()
    assert train(run_options(tree, stopped)) == 0
    assert read_state(stopped, 'best.ckpt')['global_step'] == 6
