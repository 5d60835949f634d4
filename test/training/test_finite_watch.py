"""A loss or weights that are no finite numbers end a run, and are never saved."""

from types import SimpleNamespace

import pytest
from support.training_runs import read_state, run_options

torch = pytest.importorskip('torch')
pytest.importorskip('pytorch_lightning', reason='training needs pytorch-lightning')
pytest.importorskip('matplotlib', reason='training draws its curves with matplotlib')

from enet_ros.training.module import SegmentationModule  # noqa: E402
from enet_ros.training.options import TrainingError  # noqa: E402
from enet_ros.training.train import train  # noqa: E402


def change_loss(monkeypatch, step, change):
    """Change the loss of one step: ``change(loss, module)`` returns the new one."""
    original = SegmentationModule.training_step

    def changed(self, batch, batch_idx):
        loss = original(self, batch, batch_idx)
        return change(loss, self) if self.global_step == step else loss
    monkeypatch.setattr(SegmentationModule, 'training_step', changed)


def spoil_gradient(loss, module):
    """Return the same loss with a gradient of NaN."""
    weight = module.network.initial.weight
    return loss + (weight - weight).sqrt().sum()


def test_a_learning_rate_that_is_far_too_high_ends_the_run(tree, tmp_path):
    with pytest.raises(TrainingError, match='since step 2: .* lower --lr') as error:
        train(run_options(tree, tmp_path, lr=1e30, precision='32-true'))
    assert 'it is 1e+30' in str(error.value)
    assert {path.name for path in tmp_path.iterdir()}.isdisjoint(
        {'last.ckpt', 'best.ckpt', 'model.safetensors'})


@pytest.mark.parametrize(('change', 'step', 'said'), [
    (lambda loss, module: loss * torch.nan, 4, 'the loss is no finite number since step 5'),
    (lambda loss, module: loss + torch.inf, 5, 'the loss is no finite number since step 6'),
    (spoil_gradient, 5, 'the weights are no finite numbers at step 6')])
def test_what_was_saved_before_stays(tree, tmp_path, monkeypatch, change, step, said):
    change_loss(monkeypatch, step, change)
    with pytest.raises(TrainingError, match=said):
        train(run_options(tree, tmp_path))
    assert not (tmp_path / 'model.safetensors').exists()
    for name, saved in (('last.ckpt', 4), ('best.ckpt', 3)):
        state = read_state(tmp_path, name)
        assert state['global_step'] == saved
        assert all(tensor.isfinite().all() for tensor in state['state_dict'].values())


def test_a_checkpoint_of_weights_that_are_not_finite_is_not_continued(tree, tmp_path):
    assert train(run_options(tree, tmp_path, hours=1e-6)) == 3
    state = read_state(tmp_path)
    state['state_dict']['network.initial.weight'][0] = torch.nan
    torch.save(state, tmp_path / 'last.ckpt')
    said = 'last.ckpt holds weights that are no finite numbers: delete it to begin anew'
    with pytest.raises(TrainingError, match=said):
        train(run_options(tree, tmp_path))
    torch.save(state, tmp_path / 'best.ckpt')
    with pytest.raises(TrainingError, match=f'numbers: copy {tmp_path}/best.ckpt over it'):
        train(run_options(tree, tmp_path))


def steps_of(losses, *, scaler):
    """Call the watch with the loss of each step, and check after each."""
    from pathlib import Path

    from enet_ros.training.finite_watch import FiniteWatch
    watch = FiniteWatch(Path('last.ckpt'))
    module = torch.nn.Module()
    module.network = module.evaluated = torch.nn.Linear(1, 1)
    module.recipe = SimpleNamespace(lr=1e-3)
    trainer = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=scaler), global_step=0)
    for loss in losses:
        trainer.global_step += 1
        watch.on_train_batch_end(trainer, module, {'loss': torch.tensor(loss)}, None, 0)
        watch.on_save_checkpoint(trainer, module, {})


def test_only_a_lasting_overflow_is_an_error_where_the_gradients_are_scaled():
    nan = float('nan')
    steps_of([1.0, *[nan] * 30, 1.0, *[nan] * 30, 1.0], scaler=object())
    with pytest.raises(TrainingError, match='since step 4'):
        steps_of([1.0, nan, 1.0, *[nan] * 50], scaler=object())
    with pytest.raises(TrainingError, match='since step 2'):
        steps_of([1.0, nan], scaler=None)
