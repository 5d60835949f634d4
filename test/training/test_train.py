"""Runs on tiny trees: exact resume, recipes, two processes, and what is written at the end."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.training_runs import SIZE, read_state, run_options

torch = pytest.importorskip('torch')
pytest.importorskip('pytorch_lightning', reason='training needs pytorch-lightning')
pytest.importorskip('matplotlib', reason='training draws its curves with matplotlib')

from enet_ros.common.child import python_command  # noqa: E402
from enet_ros.network.checkpoint import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.network.enet import ENet  # noqa: E402
from enet_ros.perception.segmenter import Segmenter  # noqa: E402
from enet_ros.training.data_survey import survey  # noqa: E402
from enet_ros.training.datasets import open_dataset  # noqa: E402
from enet_ros.training.module import SegmentationModule  # noqa: E402
from enet_ros.training.options import TrainingError  # noqa: E402
from enet_ros.training.train import build_run, train  # noqa: E402


@pytest.fixture(scope='module')
def straight(tree, tmp_path_factory):
    """Return the folder of a run that nobody stopped."""
    run = tmp_path_factory.mktemp('runs') / 'straight'
    assert train(run_options(tree, run)) == 0
    return run


def test_run_leaves_model_images_and_log(straight, tree):
    for name in ('model.safetensors', 'curves.png', 'samples.png', 'scores.json', 'last.ckpt',
                 'best.ckpt'):
        assert (straight / name).stat().st_size > 100, name
    assert list((straight / 'log').glob('events*'))
    assert cv2.imread(str(straight / 'samples.png')).shape[0] > 100
    checkpoint = read_checkpoint(straight / 'model.safetensors')
    assert checkpoint.class_map.names == ('path', 'grass')
    assert checkpoint.resolution == SIZE
    assert all(a.dtype == np.float16 for a in checkpoint.tensors.values())
    assert 0 < checkpoint.least_confidence < 1  # An untrained network is sure of something, too.
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
    """Return the data set with a class for what is not labeled, on the left third."""
    root = shutil.copytree(tree, tmp_path / 'void')
    names = [{'name': 'path', 'drivable': True}, {'name': 'grass'}, {'name': 'void'}]
    (root / 'classes.json').write_text(json.dumps(names))
    for path in root.glob('*annot/*.png'):
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        labels[:, :16] = 2
        cv2.imwrite(str(path), labels)
    return root


def test_perfect_prediction_has_iou_one_when_a_class_means_not_labeled(
        tree_with_void, tmp_path, monkeypatch):
    data = open_dataset('folders', tree_with_void, 'val')
    class_pixels = survey(data).class_pixels
    assert class_pixels[2] == 0
    module, _ = build_run(run_options(tree_with_void, tmp_path).checked(), [data], data,
                          class_pixels)
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


def test_run_when_a_class_means_not_labeled(tree_with_void, tmp_path):
    run = tmp_path / 'run'
    assert train(run_options(tree_with_void, run, steps=3)) == 0
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
from enet_ros.training.options import TrainOptions
from enet_ros.training.train import train
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
                train(run_options(tree, tmp_path))
        else:
            code = ASKED.format(options=vars(run_options(tree, tmp_path)), hook=hook, step=step)
            assert subprocess.run([*python_command(), '-c', code]).returncode == 3
        assert read_state(tmp_path)['global_step'] == saved
    assert train(run_options(tree, tmp_path)) == 0
    for name in ('best.ckpt', 'last.ckpt'):
        ours, theirs = read_state(tmp_path, name), read_state(straight, name)
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
    code = ASKED.format(options=vars(run_options(tree, tmp_path)), hook='validation_step', step=6)
    assert subprocess.run([*python_command(), '-c', code]).returncode == 0
    assert read_state(tmp_path)['global_step'] == 6
    assert read_checkpoint(tmp_path / 'model.safetensors').fingerprint() \
        == read_checkpoint(straight / 'model.safetensors').fingerprint()


def test_continue_when_options_differ(straight, tree):
    with pytest.raises(TrainingError, match='seed was 5, now 6'):
        train(run_options(tree, straight, seed=6))
    with pytest.raises(TrainingError, match='finished'):
        train(run_options(tree, straight))


def test_a_run_that_is_stopped_at_its_images_is_finished_by_the_same_command(tree, tmp_path,
                                                                             monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr('enet_ros.training.finish.draw_samples', stop)
        with pytest.raises(KeyboardInterrupt):
            train(run_options(tree, tmp_path, steps=1))
    assert train(run_options(tree, tmp_path, steps=1)) == 0
    for name in ('model.safetensors', 'curves.png', 'samples.png'):
        assert (tmp_path / name).is_file()


def test_an_image_that_cannot_be_drawn_does_not_cost_the_weights(tree, tmp_path, monkeypatch,
                                                                 capsys):
    def fail(*_):
        raise RuntimeError('no font')
    monkeypatch.setattr('enet_ros.training.finish.draw_samples', fail)
    assert train(run_options(tree, tmp_path, steps=1)) == 0
    assert 'could not be drawn: no font' in capsys.readouterr().err
    assert (tmp_path / 'model.safetensors').is_file()


def test_hours_end_a_run_in_time(tree, tmp_path):
    assert train(run_options(tree, tmp_path, steps=100_000, hours=1e-4)) == 3
    assert 0 < read_state(tmp_path)['global_step'] < 1000
    assert not (tmp_path / 'model.safetensors').exists()


def test_hours_count_anew_at_each_start_of_a_run_with_steps(tree, tmp_path):
    assert train(run_options(tree, tmp_path, steps=100_000, hours=1e-4)) == 3
    first = read_state(tmp_path)['global_step']
    assert read_state(tmp_path)['enet_ros']['elapsed_sec'] >= 0.36
    assert train(run_options(tree, tmp_path, steps=100_000, hours=0.5e-3)) == 3
    assert read_state(tmp_path)['global_step'] > first + 1


def test_hours_do_not_change_the_weights_of_a_run_with_steps(straight, tree, tmp_path):
    assert train(run_options(tree, tmp_path, hours=1e-6)) == 3
    assert read_state(tmp_path)['global_step'] == 1
    assert train(run_options(tree, tmp_path, hours=1.0)) == 0
    assert read_checkpoint(tmp_path / 'model.safetensors').fingerprint() \
        == read_checkpoint(straight / 'model.safetensors').fingerprint()


def test_paper_recipe_trains_the_encoder_first(tree, tmp_path):
    assert train(run_options(tree, tmp_path, recipe='paper', steps=4, save_every=1, val_every=4,
                         keep='last', precision='32-true')) == 0
    moments = read_state(tmp_path)['optimizer_states'][0]['state']
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
    options = run_options(tree, tmp_path / 'run', weights=str(tmp_path / 'start.safetensors'))
    module, run_data = build_run(options.checked(), [data], data, np.ones(2))
    assert module.network.fullconv.out_channels == 2
    assert run_data.schedule.crops.resolution == run_data.schedule.whole_frames.size == SIZE
    assert module.network.training
    assert not module.average.training
    assert np.array_equal(module.network.initial.weight.detach().numpy(),
                          start.tensors['initial.weight'].astype(np.float32))


def test_start_weights_lend_the_last_layer_of_classes_that_they_know_by_name(
        straight, tree, tmp_path, capsys):
    start = read_checkpoint(straight / 'model.safetensors')
    trained = [start.tensors[f'fullconv.{name}'].astype(np.float32) for name in ('weight', 'bias')]
    start.class_map = ClassMap.from_names(['P_ath', 'sky'], ['P_ath'])
    write_checkpoint(tmp_path / 'start.safetensors', start)
    split = replace(open_dataset('folders', tree, 'train'),
                    class_map=ClassMap.from_names(['grass', 'path', 'Sky'], ['path']))
    options = run_options(tree, tmp_path / 'run', weights=str(tmp_path / 'start.safetensors'))
    last = build_run(options.checked(), [split], split, np.ones(3))[0].network.fullconv
    assert np.array_equal(last.weight.detach().numpy()[:, 1:], trained[0])
    assert np.array_equal(last.bias.detach().numpy()[1:], trained[1])
    assert 'have no class grass: the last layer starts untrained there' in capsys.readouterr().out


@pytest.mark.parametrize('older', [False, True])
def test_start_weights_keep_their_normalization(straight, tree, tmp_path, monkeypatch, older):
    """Such as those of ENet's authors, whose input is RGB in [0, 1]."""
    start, inputs, forward = read_checkpoint(straight / 'model.safetensors'), [], ENet.forward
    start.mean, start.std = (0.0,) * 3, (1.0,) * 3
    write_checkpoint(tmp_path / 'start.safetensors', start)
    options = run_options(tree, tmp_path / 'run', weights=str(tmp_path / 'start.safetensors'),
                          steps=2, save_every=1)

    def remember(self, x):
        inputs.append((float(x.min()), float(x.max())))
        return forward(self, x)
    monkeypatch.setattr(ENet, 'forward', remember)
    with monkeypatch.context() as patch:
        crash_in(patch, 'training_step', 1)
        with pytest.raises(RuntimeError, match='power cut'):
            train(options)
    if older:  # Older runs normalized as random start weights, whatever their start weights.
        state = read_state(tmp_path / 'run')
        del state['enet_ros']['normalization']
        torch.save(state, tmp_path / 'run' / 'last.ckpt')
    assert train(options) == 0
    model = read_checkpoint(tmp_path / 'run' / 'model.safetensors')
    assert (model.mean, model.std) == (((0.42,) * 3, (0.3,) * 3) if older
                                       else (start.mean, start.std))
    assert (min(inputs)[0] >= 0) != older  # in all steps, validations and fits of the logits


def test_start_weights_of_another_network_are_refused(tree, tmp_path):
    path = tmp_path / 'relu.safetensors'
    network = ENet(2, 'relu')
    write_checkpoint(path, Checkpoint(
        {name: tensor.numpy() for name, tensor in network.state_dict().items()},
        ClassMap.from_names(['path', 'grass'], ['path']), (0.5,) * 3, (0.5,) * 3,
        decoder_activation='relu'))
    with pytest.raises(TrainingError, match='relu decoder, wanted enet and prelu'):
        train(run_options(tree, tmp_path / 'run', weights=str(path)))


@pytest.mark.parametrize(('changes', 'said'), [
    ({'recipe': 'old'}, 'recipe'), ({'drawn': 2.0}, 'drawn is 2.0'), ({'steps': -1}, 'steps'),
    ({'crop': (30, 32)}, '30x32'), ({'lr': 0.0}, 'lr'), ({'dataset': 'kitti'}, 'kitti'),
    ({'weights': 'nowhere.safetensors'}, 'nowhere')])
def test_train_when_an_option_is_wrong(tree, tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        train(run_options(tree, tmp_path / 'run', **changes))


@pytest.mark.parametrize(('text', 'kind', 'said'), [
    ('unable to allocate shared memory(shm): No space left on device (28)', TrainingError,
     r'have too little shared memory .*No space left on device \(28\)\): start the container'),
    ('unable to open shared memory object </torch_1>: Too many open files (24)', RuntimeError,
     'Too many open files'),
    ('out of cheese', RuntimeError, 'out of cheese')])
def test_an_error_of_a_loading_process(tree, tmp_path, monkeypatch, text, kind, said):
    def stack(samples):
        raise RuntimeError(text)
    monkeypatch.setattr('enet_ros.training.batches.stack_samples', stack)
    with pytest.raises(kind, match=said) as error:
        train(run_options(tree, tmp_path / 'run', workers=1))
    assert ('\n' in str(error.value)) == (kind is RuntimeError)


@pytest.mark.parametrize(('processes', 'batch', 'said'), [
    (4, 6, 'batch_size is 6, wanted a multiple of the 4 processes'),
    (6, 6, 'validation split has 5 frames, wanted at least one for each of the 6 processes')])
def test_more_processes_than_there_is_work_for(tree, tmp_path, monkeypatch, processes, batch,
                                               said):
    monkeypatch.setenv('WORLD_SIZE', str(processes))
    options = run_options(tree, tmp_path / 'run', batch_size=batch)
    with pytest.raises(TrainingError, match=said):
        train(options)


@pytest.mark.slow
def test_two_processes_train_one_model(tree, tmp_path):
    script, values = tmp_path / 'two.py', vars(run_options(tree, tmp_path / 'run'))
    script.write_text(
        'from enet_ros.training.options import TrainOptions\n'
        'from enet_ros.training.train import train\n'
        f'raise SystemExit(train(TrainOptions(**{values!r})))\n')
    root = str(Path(sys.modules['enet_ros'].__path__[0]).parent)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '',
                   'PYTHONPATH': os.pathsep.join([root, os.environ.get('PYTHONPATH', '')])}
    result = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
         str(script)], env=environment, cwd=tmp_path, capture_output=True, text=True,
        timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    last = read_state(tmp_path / 'run')
    assert last['global_step'] == 6
    assert read_checkpoint(tmp_path / 'run' / 'model.safetensors').scores['val']['images'] == 5
