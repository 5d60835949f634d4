"""Training on tiny trees: recipes, exact resume, two processes, what is written at the end."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('pytorch_lightning', reason='training needs pytorch-lightning')
pytest.importorskip('matplotlib', reason='training draws its curves with matplotlib')

from enet_ros.network.checkpoint import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.network.enet import ENet  # noqa: E402
from enet_ros.perception.segmenter import Segmenter  # noqa: E402
from enet_ros.training.batches import DrawnFrames, Look, StepSampler  # noqa: E402
from enet_ros.training.calibrate import (  # noqa: E402
    best_offsets,
    best_temperature,
    sample_logits,
)
from enet_ros.training.datasets import open_dataset  # noqa: E402
from enet_ros.training.losses import SegmentationLoss, class_weights, soft_jaccard  # noqa: E402
from enet_ros.training.module import (  # noqa: E402
    MEAN,
    STD,
    Clock,
    SegmentationModule,
    refresh_batch_norm,
)
from enet_ros.training.train import (  # noqa: E402
    TrainingError,
    TrainOptions,
    build_module,
    train,
)

SIZE = (48, 32)


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """Return a data set of two classes that are told apart by brightness."""
    root = tmp_path_factory.mktemp('data')
    (root / 'classes.json').write_text(json.dumps(
        [{'name': 'path', 'drivable': True}, {'name': 'grass'}]))
    rng = np.random.default_rng(0)
    for split, count in (('train', 6), ('val', 5)):  # 5: a validation of two batches
        for folder in (split, f'{split}annot'):
            (root / folder).mkdir()
        for i in range(count):
            labels = np.kron(rng.integers(0, 2, (2, 3)), np.ones((16, 16))).astype(np.uint8)
            frame = np.repeat(labels[..., None] * 150 + 40, 3, axis=2)
            cv2.imwrite(str(root / split / f'{i}.png'), frame)
            cv2.imwrite(str(root / f'{split}annot' / f'{i}.png'), labels)
    return root


def options(tree, out, **changes):
    return TrainOptions(**{
        'dataset': 'folders', 'root': str(tree), 'out': str(out), 'steps': 6, 'batch_size': 2,
        'crop': (32, 32), 'resolution': SIZE, 'val_every': 3, 'save_every': 2, 'seed': 5,
        **changes})


def state(run, name='last.ckpt'):
    return torch.load(Path(run) / name, weights_only=True)


@pytest.fixture(scope='module')
def straight(tree, tmp_path_factory):
    """Return the folder of a run that nobody stopped."""
    run = tmp_path_factory.mktemp('runs') / 'straight'
    assert train(options(tree, run)) == 0
    return run


def test_run_leaves_model_pictures_and_log(straight, tree):
    for name in ('model.safetensors', 'curves.png', 'samples.png', 'scores.json', 'last.ckpt',
                 'best.ckpt'):
        assert (straight / name).stat().st_size > 100, name
    assert list((straight / 'log').glob('events*'))
    assert cv2.imread(str(straight / 'samples.png')).shape[0] > 100
    checkpoint = read_checkpoint(straight / 'model.safetensors')
    assert checkpoint.class_map.names == ('path', 'grass')
    assert checkpoint.resolution == SIZE
    assert all(a.dtype == np.float16 for a in checkpoint.tensors.values())
    scores = checkpoint.scores['val']
    assert scores['images'] == 5
    assert 0 <= scores['miou'] <= 1
    assert 0 <= scores['ece'] <= 1
    assert checkpoint.origin.startswith('enet-ros')
    frame = np.full((20, 30, 3), 90, np.uint8)
    segmenter = Segmenter(checkpoint, SIZE, 'torch', 'float32')
    assert segmenter.segment([frame])[0].labels.shape == (20, 30)


@pytest.fixture
def tree_with_void(tree, tmp_path):
    """Return the data set with a class for what is not labelled, on the left third."""
    root = shutil.copytree(tree, tmp_path / 'void')
    names = [{'name': 'path', 'drivable': True}, {'name': 'grass'}, {'name': 'void'}]
    (root / 'classes.json').write_text(json.dumps(names))
    for path in root.glob('*annot/*.png'):
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        labels[:, :16] = 2
        cv2.imwrite(str(path), labels)
    return root


def test_perfect_prediction_has_iou_one_when_a_class_means_not_labelled(
        tree_with_void, tmp_path, monkeypatch):
    data = open_dataset('folders', tree_with_void, 'val')
    module = build_module(options(tree_with_void, tmp_path).checked(), data, data)
    assert module.training_set.frames.pixel_counts()[2] == 0
    frame, truth = data.read(0)
    known = torch.from_numpy(np.where(truth == 255, 2, truth)).long()
    logits = torch.nn.functional.one_hot(known, 3).permute(2, 0, 1)[None].float()
    monkeypatch.setattr(module.average, 'forward', lambda x: logits)
    module.validation_step((torch.from_numpy(frame).permute(2, 0, 1)[None], [truth]), 0)
    scores = module.matrix.compute()
    assert scores['miou'] == scores['class_avg'] == scores['global_avg'] == 1
    assert np.isnan(scores['per_class']['void']['iou'])
    # What is called void and is not is missed, and claims nothing.
    logits[0, 2] = 2
    module.matrix.reset()
    module.validation_step((torch.from_numpy(frame).permute(2, 0, 1)[None], [truth]), 0)
    scores = module.matrix.compute()
    assert scores['miou'] == 0
    assert np.isnan(scores['per_class']['void']['iou'])


def test_run_when_a_class_means_not_labelled(tree_with_void, tmp_path):
    run = tmp_path / 'run'
    assert train(options(tree_with_void, run, steps=3)) == 0
    scores = json.loads((run / 'scores.json').read_text())
    assert scores['per_class']['void'] == {'iou': None, 'acc': None}
    shares = [scores['per_class'][name]['iou'] for name in ('path', 'grass')]
    assert scores['miou'] == pytest.approx(np.mean(shares))


def test_checkpoints_are_small(straight):
    assert (straight / 'last.ckpt').stat().st_size < 8e6


def crash_in(monkeypatch, hook, step):
    """Make the training or validation step of one number crash the run."""
    original = getattr(SegmentationModule, hook)

    def crashing(self, batch, batch_idx):
        if self.global_step == step:
            raise RuntimeError('power cut')
        return original(self, batch, batch_idx)
    monkeypatch.setattr(SegmentationModule, hook, crashing)


# A process of its own gets the signal: this one may hold other libraries' threads and stacks.
ASKED = """
import os, signal, sys
from enet_ros.training.module import SegmentationModule
from enet_ros.training.train import TrainOptions, train
original = SegmentationModule.{hook}
def asking(self, batch, batch_idx):
    if self.global_step == {step}:
        os.kill(os.getpid(), signal.SIGTERM)
    return original(self, batch, batch_idx)
SegmentationModule.{hook} = asking
sys.exit(train(TrainOptions(**{options!r})))
"""


@pytest.mark.parametrize(('how', 'hook', 'step', 'saved'), [
    ('asked', 'training_step', 3, 4), ('asked', 'training_step', 2, 3),
    ('asked', 'validation_step', 3, 3),
    ('crash', 'training_step', 5, 4), ('crash', 'validation_step', 6, 4)])
def test_resume_is_exact(straight, tree, tmp_path, monkeypatch, how, hook, step, saved):
    with monkeypatch.context() as patch:
        if how == 'crash':
            crash_in(patch, hook, step)
            with pytest.raises(RuntimeError, match='power cut'):
                train(options(tree, tmp_path))
        else:
            code = ASKED.format(options=vars(options(tree, tmp_path)), hook=hook, step=step)
            assert subprocess.run([sys.executable, '-P', '-c', code]).returncode == 3
        assert state(tmp_path)['global_step'] == saved
    assert train(options(tree, tmp_path)) == 0
    for name in ('best.ckpt', 'last.ckpt'):
        ours, theirs = state(tmp_path, name), state(straight, name)
        assert ours['global_step'] == theirs['global_step']
        assert ours['state_dict'].keys() == theirs['state_dict'].keys()
        for key, tensor in theirs['state_dict'].items():
            assert torch.equal(tensor, ours['state_dict'][key]), key
    assert ours['global_step'] == 6
    for name, moments in theirs['optimizer_states'][0]['state'].items():
        assert torch.equal(moments['exp_avg_sq'],
                           ours['optimizer_states'][0]['state'][name]['exp_avg_sq'])
    assert ours['enet_ros']['curves'] == theirs['enet_ros']['curves']
    assert [step for step, _ in ours['enet_ros']['curves']['miou']] == [3, 6]
    assert read_checkpoint(tmp_path / 'model.safetensors').fingerprint() \
        == read_checkpoint(straight / 'model.safetensors').fingerprint()


def test_a_stop_asked_in_the_last_validation_changes_nothing(straight, tree, tmp_path):
    code = ASKED.format(options=vars(options(tree, tmp_path)), hook='validation_step', step=6)
    assert subprocess.run([sys.executable, '-P', '-c', code]).returncode == 0
    assert state(tmp_path)['global_step'] == 6
    assert read_checkpoint(tmp_path / 'model.safetensors').fingerprint() \
        == read_checkpoint(straight / 'model.safetensors').fingerprint()


def test_continue_when_options_differ(straight, tree):
    with pytest.raises(TrainingError, match='seed was 5, now 6'):
        train(options(tree, straight, seed=6))
    with pytest.raises(TrainingError, match='finished'):
        train(options(tree, straight))


def test_hours_end_a_run_in_time(tree, tmp_path):
    assert train(options(tree, tmp_path, steps=100_000, hours=1e-4)) == 3
    assert 0 < state(tmp_path)['global_step'] < 1000
    assert not (tmp_path / 'model.safetensors').exists()


def test_paper_recipe_trains_the_encoder_first(tree, tmp_path):
    assert train(options(tree, tmp_path, recipe='paper', steps=4, save_every=1, val_every=4,
                         keep='last', precision='32-true')) == 0
    moments = state(tmp_path)['optimizer_states'][0]['state']
    names = [name for name, _ in ENet(2).named_parameters()]
    steps = {name: int(moments[i]['step']) for i, name in enumerate(names)}
    assert steps['initial.weight'] == 4
    assert steps['fullconv.weight'] == 2
    assert steps['stage3.7.expansion.weight'] == 4
    assert steps['up4.projection.weight'] == 2


def test_start_weights_of_other_classes_lend_all_but_the_last_layer(straight, tree, tmp_path):
    start = read_checkpoint(straight / 'model.safetensors')
    start.class_map = type(start.class_map).from_names(['a', 'b', 'c'], ['a'])
    last = ENet(3).fullconv.state_dict()
    start.tensors.update({f'fullconv.{k}': v.numpy() for k, v in last.items()})
    write_checkpoint(tmp_path / 'start.safetensors', start)
    data = open_dataset('folders', tree, 'train')
    module = build_module(options(tree, tmp_path / 'run',
                                  weights=str(tmp_path / 'start.safetensors')).checked(),
                          data, data)
    assert module.network.fullconv.out_channels == 2
    assert module.looks.crops.resolution == module.looks.whole.size == SIZE
    assert module.network.training
    assert not module.average.training
    assert np.array_equal(module.network.initial.weight.detach().numpy(),
                          start.tensors['initial.weight'].astype(np.float32))


@pytest.mark.parametrize(('changes', 'said'), [
    ({'recipe': 'old'}, 'recipe'), ({'drawn': 2.0}, 'drawn is 2.0'), ({'steps': -1}, 'steps'),
    ({'crop': (30, 32)}, '30x32'), ({'lr': 0.0}, 'lr'), ({'dataset': 'kitti'}, 'kitti'),
    ({'weights': 'nowhere.safetensors'}, 'nowhere')])
def test_train_when_an_option_is_wrong(tree, tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        train(options(tree, tmp_path / 'run', **changes))


@pytest.mark.parametrize(('changes', 'said'), [
    ({'steps': 0}, 'steps is 0, wanted a number above 0'),
    ({'hours': 0.0}, 'hours is 0.0, wanted a number above 0'),
    ({'lr': float('nan')}, 'lr is nan, wanted a number above 0'),
    ({'lr': float('inf')}, 'lr is inf, wanted a number above 0'),
    ({'class_weights': 1.0}, 'class_weights is 1.0, wanted a number above 1'),
    ({'class_weights': float('nan')}, 'class_weights is nan, wanted a number above 1'),
    ({'batch_size': 0}, 'batch_size is 0, wanted 1 to 4096'),
    ({'strength': -1.0}, 'strength is -1.0, wanted 0 to 10'),
    ({'strength': float('nan')}, 'strength is nan, wanted 0 to 10'),
    ({'jaccard': -0.5}, 'jaccard is -0.5, wanted 0 to 100'),
    ({'drawn': float('nan')}, 'drawn is nan, wanted 0 to 1'),
    ({'val_every': 0}, 'val_every is 0, wanted 1 to 1000000000')])
def test_checked_when_an_option_is_out_of_range(changes, said):
    with pytest.raises(TrainingError, match=f'^{re.escape(said)}$'):
        options('data', 'run', **changes).checked()


def test_checked_fills_in_defaults():
    bare = TrainOptions('camvid', 'data', 'run')
    filled = bare.checked()
    assert (filled.steps, filled.batch_size, filled.resolution) == (10_000, 8, (480, 360))
    assert bare.steps is None
    assert replace(bare, hours=2.0).checked().steps is None
    assert replace(bare, recipe='paper', strength=0.0).checked().batch_size == 10


@pytest.mark.slow
def test_two_processes_train_one_model(tree, tmp_path):
    script = tmp_path / 'two.py'
    script.write_text(
        'from enet_ros.training.train import TrainOptions, train\n'
        f'raise SystemExit(train(TrainOptions(**{vars(options(tree, tmp_path / "run"))!r})))\n')
    root = str(Path(sys.modules['enet_ros'].__path__[0]).parent)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '',
                   'PYTHONPATH': os.pathsep.join([root, os.environ.get('PYTHONPATH', '')])}
    result = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
         str(script)], env=environment, cwd=tmp_path, capture_output=True, text=True,
        timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    last = state(tmp_path / 'run')
    assert last['global_step'] == 6
    assert read_checkpoint(tmp_path / 'run' / 'model.safetensors').scores['val']['images'] == 5


def test_processes_share_the_samples_of_a_step():
    def keys(rank):
        return next(iter(StepSampler(7, 4, rank, lambda step: Look((32, 32), SIZE))))
    assert [key[1] for rank in (0, 1) for key in keys(rank)] == list(range(8))
    assert {key[0] for key in keys(0)} == {7}


def test_drawn_frames_have_the_ids_of_the_data_set():
    drawn = DrawnFrames(ClassMap.from_names(['car', 'road'], ['road']), SIZE)
    frame, labels = drawn[3]
    assert frame.shape == (SIZE[1], SIZE[0], 3)
    assert set(np.unique(labels)) <= {0, 1, 255}
    assert (labels == 1).mean() > 0.1
    assert drawn[3][0] is frame


def test_clock_by_steps_and_by_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    clock = Clock(steps=10)
    assert clock.progress(5) == 0.5
    assert not clock.time_is_up()
    clock = Clock(hours=1.0, elapsed_sec=900)
    clock.start()
    now[0] += 900
    assert clock.progress(12345) == 0.5
    now[0] += 1800
    assert clock.progress(0) == 1.0
    assert clock.time_is_up()


def test_class_weights_are_the_papers():
    weights = class_weights(np.array([300, 100, 0]), 1.02)
    assert weights == pytest.approx([1 / np.log(1.77), 1 / np.log(1.27), 1 / np.log(1.02)])
    with pytest.raises(ValueError, match='above 1'):
        class_weights(np.array([1, 1]), 1.0)


def test_loss_is_weighted_cross_entropy():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    labels[0, 0] = 255
    weights = np.float32([1, 5, 2])
    wanted = torch.nn.functional.cross_entropy(logits, labels, torch.from_numpy(weights),
                                               ignore_index=255)
    assert torch.allclose(SegmentationLoss(weights)(logits, labels), wanted, atol=1e-6)


def test_loss_of_nothing_is_zero_and_has_a_gradient():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = SegmentationLoss(np.ones(3, np.float32), 1.0)(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(logits.grad).all()


def test_soft_jaccard_of_certain_predictions_is_one_minus_iou():
    labels = torch.tensor([[[0, 0, 1, 255]]])
    predicted = torch.tensor([[[0, 1, 1, 0]]])
    probability = torch.nn.functional.one_hot(predicted, 3).permute(0, 3, 1, 2).float()
    # Class 0: 1 of 2; class 1: 1 of 2; class 2 does not occur.
    assert float(soft_jaccard(probability, labels)) == pytest.approx(0.5)


def test_refreshed_statistics_are_those_of_the_frames():
    torch.manual_seed(0)
    network = ENet(2)
    frames = torch.randint(0, 256, (4, 3, 32, 48), dtype=torch.uint8)
    network.norm.running_mean.fill_(1e6)
    refresh_batch_norm(network, [frames[:2], frames[2:]])
    seen = []
    network.norm.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    from enet_ros.training.module import normalize
    network(normalize(frames))
    assert torch.allclose(network.norm.running_mean, seen[0].mean((0, 2, 3)), atol=1e-4)
    assert not network.training
    assert network.norm.momentum == 0.1


@pytest.mark.parametrize(('count', 'used'), [(101, range(101)), (1000, [0, 5, 10, 993, 999])])
def test_sampled_logits_are_of_a_bounded_number_of_frames(count, used):
    frames = [(np.full((16, 16, 3), i % 256, np.uint8), np.full((16, 16), i // 256, np.uint8))
              for i in range(count)]
    seen = []

    def network(x):
        seen.append(round(float(x.mean() * STD[0] + MEAN[0]) * 255))
        return torch.zeros(1, 4, 16, 16)
    logits, truth = sample_logits(network, frames, (16, 16))
    assert logits.shape == (min(count, 200) * 256, 4)
    indices = truth[::256] * 256 + seen
    assert (np.diff(indices) > 0).all()
    assert set(used) <= set(indices.tolist())


def test_offsets_mend_a_class_that_is_claimed_too_rarely():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 4000)
    logits = rng.normal(0, 1, (4000, 2)).astype(np.float32)
    logits[np.arange(4000), truth] += 2
    logits[:, 1] -= 3
    offsets = best_offsets(logits, truth)
    assert offsets[1] - offsets[0] == pytest.approx(3, abs=0.8)
    assert ((logits + offsets).argmax(1) == truth).mean() > (logits.argmax(1) == truth).mean()


def test_the_class_average_lets_a_rare_class_claim_more():
    rng = np.random.default_rng(0)
    truth = (rng.random(20000) < 0.02).astype(int)
    logits = rng.normal(0, 1, (20000, 2)).astype(np.float32)
    logits[np.arange(20000), truth] += 1.5
    for_iou, for_both = (best_offsets(logits, truth, share) for share in (0.0, 4.0))
    assert for_both[1] - for_both[0] > for_iou[1] - for_iou[0] + 0.4


def test_offsets_when_a_class_never_occurs():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 4000)
    logits = rng.normal(0, 1, (4000, 3)).astype(np.float32)
    logits[np.arange(4000), truth] += 3
    logits[:, 2] += 3
    offsets = best_offsets(logits, truth)
    # It can only take pixels away from the others.
    assert offsets[2] - offsets[:2].max() < -1
    assert np.isfinite(offsets).all()
    assert ((logits + offsets).argmax(1) == truth).mean() > 0.9


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20000, 3)).astype(np.float32)
    noise = rng.gumbel(size=logits.shape)
    truth = (logits + noise).argmax(1)  # drawn from the softmax of the logits
    assert best_temperature(logits * 2.5, truth) == pytest.approx(2.5, rel=0.08)


def test_start_weights_of_another_network_are_refused(tree, tmp_path):
    path = tmp_path / 'relu.safetensors'
    network = ENet(2, 'relu')
    write_checkpoint(path, Checkpoint(
        {name: tensor.numpy() for name, tensor in network.state_dict().items()},
        ClassMap.from_names(['path', 'grass'], ['path']), (0.5,) * 3, (0.5,) * 3,
        decoder_activation='relu'))
    with pytest.raises(TrainingError, match='relu decoder, wanted enet and prelu'):
        train(options(tree, tmp_path / 'run', weights=str(path)))
