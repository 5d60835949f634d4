"""Evaluation of tiny trees as the node segments, and by the official script of Cityscapes."""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('tqdm', reason='evaluation shows its progress with tqdm')

from enet_ros.cli import eval as eval_command  # noqa: E402
from enet_ros.network.checkpoint import Checkpoint, write_checkpoint  # noqa: E402
from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.network.classes import CAMVID_NAMES, CITYSCAPES_NAMES  # noqa: E402
from enet_ros.network.enet import ENet  # noqa: E402
from enet_ros.perception.segmenter import Segmenter  # noqa: E402
from enet_ros.training import evaluate as evaluation  # noqa: E402
from enet_ros.training.datasets import open_dataset  # noqa: E402
from enet_ros.training.evaluate import evaluate, in_classes_of, report  # noqa: E402
from enet_ros.training.labeled_frames import DatasetError  # noqa: E402
from enet_ros.training.metrics import ConfusionMatrix  # noqa: E402
from enet_ros.training.photometric import apply_change  # noqa: E402
from enet_ros.training.sources import Source, each_in_class_map, in_one_class_map  # noqa: E402

START = Path(__file__).resolve().parents[3] / 'shared'
SIZE = (48, 32)


def checkpoint(names=CAMVID_NAMES, drivable=('Road',), seed=0):
    """Return an untrained ENet."""
    torch.manual_seed(seed)
    tensors = {name: tensor.numpy() for name, tensor in ENet(len(names)).state_dict().items()
               if not name.endswith('num_batches_tracked')}
    return Checkpoint(tensors, ClassMap.from_names(names, drivable), (0.42,) * 3, (0.3,) * 3, SIZE)


def write_pair(frame_path, label_path, labels, seed=0):
    for path in (frame_path, label_path):
        path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    cv2.imwrite(str(frame_path), rng.integers(0, 256, (*labels.shape, 3), np.uint8))
    cv2.imwrite(str(label_path), labels)


@pytest.fixture
def camvid(tmp_path):
    """Return a CamVid tree of two frames, with void, in a size that is not the network's."""
    for i in range(2):
        labels = np.random.default_rng(i).integers(0, 12, (40, 60)).astype(np.uint8)
        write_pair(tmp_path / 'val' / f'{i}.png', tmp_path / 'valannot' / f'{i}.png', labels, i)
    return tmp_path


def test_figures_are_those_of_the_segmenter(camvid):
    weights, data = checkpoint(), open_dataset('camvid', camvid, 'val')
    scores = evaluate(weights, data, backend='torch', precision='float32')
    segmenter = Segmenter(weights, SIZE, 'torch', 'float32')
    hits = pixels = 0
    for frame, truth in data:
        labels = segmenter.segment([frame])[0].labels
        assert labels.shape == truth.shape == (40, 60)
        hits += ((labels == truth) & (truth != 255)).sum()
        pixels += (truth != 255).sum()
    assert scores['images'] == 2
    assert scores['global_avg'] == pytest.approx(hits / pixels)
    assert set(scores) == {'images', 'miou', 'class_avg', 'global_avg', 'drivable_iou',
                           'per_class', 'ece'}
    assert list(scores['per_class']) == list(CAMVID_NAMES)
    assert set(scores['per_class']['Road']) == {'iou', 'acc'}


def test_perfect_labels_score_one(tmp_path):
    weights = checkpoint()
    frame = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    labels = Segmenter(weights, SIZE, 'torch', 'float32').segment([frame])[0].labels
    for path, image in (('val/a.png', frame[..., ::-1]), ('valannot/a.png', labels)):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / path), image)
    scores = evaluate(weights, open_dataset('camvid', tmp_path, 'val'), backend='torch',
                      precision='float32')
    assert scores['miou'] == scores['class_avg'] == scores['global_avg'] == 1.0


def test_resolution_changes_the_network_not_the_labels(camvid):
    data = open_dataset('camvid', camvid, 'val')
    scores = evaluate(checkpoint(), data, (64, 40), 'torch', 'float32')
    assert scores['images'] == 2
    with pytest.raises(ValueError, match='multiples of 8'):
        evaluate(checkpoint(), data, (63, 40), 'torch', 'float32')


def test_frames_are_changed_before_the_network_sees_them(camvid):
    data, weights = open_dataset('camvid', camvid, 'val'), checkpoint()
    changed = [(apply_change('dusk', frame, i), truth) for i, (frame, truth) in enumerate(data)]
    segmenter = Segmenter(weights, weights.resolution, 'torch', 'float32')
    matrix = ConfusionMatrix(data.class_map)
    for frame, truth in changed:
        matrix.update(truth, segmenter.segment([frame])[0].labels)
    for _ in range(2):  # the same each time
        scores = evaluate(weights, data, backend='torch', precision='float32', change='dusk')
        assert scores['global_avg'] == matrix.compute()['global_avg']
    assert scores['global_avg'] != evaluate(weights, data, backend='torch',
                                            precision='float32')['global_avg']
    with pytest.raises(ValueError, match="change is 'snow', wanted one of shadow, fog, rain"):
        evaluate(weights, data, backend='torch', change='snow')


def test_evaluate_when_classes_differ(camvid):
    with pytest.raises(DatasetError, match='the weights know the classes a, b.*'
                                           r'in a --data file .*, such as rename: \{Sky: b\}'):
        evaluate(checkpoint(('a', 'b'), ('a',)), open_dataset('camvid', camvid, 'val'))


def test_data_that_lacks_a_class_of_the_weights_is_scored_by_a_data_file(camvid):
    class_map = ClassMap.from_names((*CAMVID_NAMES, 'Pot-hole'), ['Road'])
    data = open_dataset('camvid', camvid, 'val')
    with pytest.raises(DatasetError, match='A --data file of this data set is scored'):
        in_classes_of(class_map, data)
    assert each_in_class_map([data], [Source('camvid', '')], class_map)[0].class_map == class_map


def run_command(*arguments):
    parser = argparse.ArgumentParser()
    eval_command.add_arguments(parser)
    return eval_command.run(parser.parse_args([str(a) for a in arguments]))


def test_command_prints_a_table_and_writes_json(camvid, tmp_path, capsys):
    write_checkpoint(tmp_path / 'w.safetensors', checkpoint())
    assert run_command('--dataset', 'camvid', '--root', camvid, '--split', 'val', '--weights',
                       tmp_path / 'w.safetensors', '--backend', 'torch', '--precision', 'float32',
                       '--json', tmp_path / 'scores.json') == 0
    printed = capsys.readouterr().out
    assert 'camvid val, 2 images' in printed
    assert 'Bicyclist' in printed
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert f'{100 * scores["miou"]:.1f}' in printed


@pytest.mark.parametrize('option', ['--split', '--classes'])
def test_command_refuses_beside_a_data_file_what_the_file_says(tmp_path, option):
    write_checkpoint(tmp_path / 'w.safetensors', checkpoint())
    with pytest.raises(ValueError, match='so --classes and --split are refused beside it'):
        run_command('--data', 'site.yaml', option, 'test', '--weights', tmp_path / 'w.safetensors')


@pytest.mark.parametrize('which', ['data', 'weights'])
def test_command_says_that_one_class_is_too_few(tmp_path, which):
    names = {'data': (['path', 'rest'], ['path', 'void']), 'weights': (['path'], ['path'])}[which]
    write_checkpoint(tmp_path / 'w.safetensors', checkpoint(tuple(names[0]), ('path',)))
    labels = np.zeros((16, 24), np.uint8)
    labels[:8] = 255
    write_pair(tmp_path / 'val/a.png', tmp_path / 'valannot/a.png', labels)
    (tmp_path / 'classes.json').write_text(json.dumps([{'name': name} for name in names[1]]))
    said = f"{'folders' if which == 'data' else 'the weights'}: the only class is 'path', wanted"
    with pytest.raises(DatasetError, match=said):
        run_command('--dataset', 'folders', '--root', tmp_path, '--weights',
                    tmp_path / 'w.safetensors', '--backend', 'torch')


def test_command_says_how_the_frames_were_changed(camvid, tmp_path, capsys):
    write_checkpoint(tmp_path / 'w.safetensors', checkpoint())
    assert run_command('--dataset', 'camvid', '--root', camvid, '--weights',
                       tmp_path / 'w.safetensors', '--backend', 'torch', '--change', 'rain') == 0
    assert 'camvid val after rain, 2 images' in capsys.readouterr().out


@pytest.fixture
def cityscapes(tmp_path):
    """Return a Cityscapes tree of one frame with an instance."""
    labels = np.full((32, 48), 7, np.uint8)
    labels[:, 24:] = 26
    name = 'ulm_000000_000019'
    folder = tmp_path / 'gtFine/val/ulm'
    write_pair(tmp_path / f'leftImg8bit/val/ulm/{name}_leftImg8bit.png',
               folder / f'{name}_gtFine_labelIds.png', labels)
    instances = labels.astype(np.uint16)
    instances[:, 24:] = 26001
    cv2.imwrite(str(folder / f'{name}_gtFine_instanceIds.png'), instances)
    return tmp_path


def test_cityscapes_goes_through_the_official_script(cityscapes):
    pytest.importorskip('cityscapesscripts')
    weights = checkpoint(CITYSCAPES_NAMES, ('road',))
    scores, text = report(weights, open_dataset('cityscapes', cityscapes, 'val'), None, 'torch',
                          'float32')
    official = scores['cityscapes']
    assert set(official) == {'class_iou', 'class_iiou', 'category_iou', 'category_iiou'}
    # The official mean is over classes with pixels in the truth or claimed, as ours is.
    assert official['class_iou'] == pytest.approx(scores['miou'], abs=1e-6)
    assert 'class iIoU' in text
    assert 'cityscapesscripts' in text


OTHER_NAMES = ('Unlabeled', *(name.title().replace(' ', '') for name in CITYSCAPES_NAMES[::-1]))


def official_labels(monkeypatch, weights, tree):
    """Return the label images that go to the official script, and the printed text."""
    written = []

    def scores_of(script, data, folder):
        written.extend(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                       for path in sorted(folder.iterdir()))
        return {key: 0.5 for key, _ in evaluation.OFFICIAL_SCORES.values()}
    monkeypatch.setattr(evaluation, '_official_script', lambda: 'script')
    monkeypatch.setattr(evaluation, '_official_scores', scores_of)
    data = in_classes_of(weights.class_map, open_dataset('cityscapes', tree, 'val'))
    return written, *report(weights, data, None, 'torch', 'float32')


def test_official_label_ids_follow_the_names_of_the_weights(cityscapes, monkeypatch):
    weights = checkpoint(OTHER_NAMES, ('Road',))
    weights.tensors['fullconv.bias'][OTHER_NAMES.index('TrafficLight')] = 1e4
    (written,), scores, text = official_labels(monkeypatch, weights, cityscapes)
    assert np.unique(written).tolist() == [19]
    assert 'class IoU           50.0  (cityscapesscripts)' in text
    weights.tensors['fullconv.bias'][0] = 1e5  # Unlabeled
    (written,), _, _ = official_labels(monkeypatch, weights, cityscapes)
    assert np.unique(written).tolist() == [0]


def test_weights_of_other_classes_have_no_official_scores(cityscapes, monkeypatch):
    weights = checkpoint(('road', 'rest'), ('road',))
    data = in_one_class_map(
        [open_dataset('cityscapes', cityscapes, 'val')],
        [Source('cityscapes', '', rename={name: 'rest' for name in CITYSCAPES_NAMES[1:]})],
        weights.class_map)[0]
    monkeypatch.setattr(evaluation, '_official_script', lambda: pytest.fail('asked'))
    scores, text = report(weights, data, None, 'torch', 'float32')
    assert 'cityscapes' not in scores
    assert text.endswith("their class 'rest' is none of Cityscapes'.")


def test_weights_of_the_authors_classes_are_scored_on_cityscapes(cityscapes):
    weights = checkpoint(OTHER_NAMES, ('Road',))
    weights.tensors['fullconv.bias'][OTHER_NAMES.index('Road')] = 1e4
    data = in_classes_of(weights.class_map, open_dataset('cityscapes', cityscapes, 'val'))
    scores = evaluate(weights, data, backend='torch', precision='float32')
    assert scores['per_class']['Road'] == {'iou': 0.5, 'acc': 1}
    assert scores['per_class']['Car'] == {'iou': 0, 'acc': 0}
    assert scores['drivable_iou'] == 0.5


def test_weights_that_lack_a_class_of_the_data_are_refused(cityscapes):
    with pytest.raises(DatasetError, match='the weights know the classes Unlabeled, Bicycle'):
        in_classes_of(checkpoint(OTHER_NAMES[:-1], ()).class_map,
                      open_dataset('cityscapes', cityscapes, 'val'))


@pytest.mark.slow
@pytest.mark.skipif(not (START / 'camvid' / 'val').is_dir(), reason='CamVid is not here')
def test_start_weights_score_what_they_are_known_to():
    from enet_ros.network.checkpoint import read_checkpoint
    weights = read_checkpoint(START / 'weights' / 'enet_camvid_start.safetensors')
    scores = evaluate(weights, open_dataset('camvid', START / 'camvid', 'val'), (480, 360),
                      'torch', 'float32')
    assert scores['miou'] == pytest.approx(0.604, abs=0.01)
    assert scores['per_class']['Road']['iou'] == pytest.approx(0.950, abs=0.01)


@pytest.mark.parametrize('order', [['Road', 'Pavement'], ['Pavement', 'Road']])
def test_what_is_drivable_is_what_the_weights_say_whatever_the_order(tmp_path, capsys, order):
    rest = [name for name in CAMVID_NAMES if name not in order]
    labels = np.random.default_rng(0).integers(0, 11, (32, 48)).astype(np.uint8)
    write_pair(tmp_path / 'val/0.png', tmp_path / 'valannot/0.png', labels)
    classes = [{'name': name, 'drivable': name in order} for name in [*rest, *order]]
    (tmp_path / 'classes.json').write_text(json.dumps(classes))
    weights = checkpoint([*rest, 'Road', 'Pavement'])
    arguments = argparse.Namespace(dataset='folders', root=tmp_path, data=None, split='val',
                                   classes=None)
    [split] = eval_command._open(arguments, weights.class_map)
    assert split.class_map.drivable_names == ('Road',)
    assert ('drivable is what the weights call so (Road), and not what the data set does'
            in capsys.readouterr().err)
