"""Confidence floors and worst frames: hand-worked, and by the command on real files."""

import json

import cv2
import numpy as np
import pytest

from enet_ros.network.class_map import ClassMap
from enet_ros.perception.segmenter import Segmentation
from enet_ros.training.drivable_scores import DrivableScores
from enet_ros.training.label_sets import LabelSets
from enet_ros.training.metrics import without_nan

ROAD, PAVEMENT, OTHER, MIXED, NOT_ROAD = range(5)
CLASSES = ClassMap.from_names(('Road', 'Pavement', 'Other'), ('Road',))
SETS = LabelSets.of(CLASSES, {'ground': ('Road', 'Pavement'), 'no road': ('Pavement', 'Other')})


def seen(labels, confidence):
    return Segmentation(np.array([labels], np.uint8), np.array([confidence], np.float32))


def test_a_floor_trades_what_is_found_for_precision():
    scores = DrivableScores(CLASSES, SETS)
    truth = np.array([[ROAD, ROAD, ROAD, OTHER, NOT_ROAD, MIXED, 255, ROAD]], np.uint8)
    scores(0, truth, seen([ROAD] * 7 + [OTHER], [0.9, 0.8, 0.3, 0.4, 0.7, 0.99, 0.99, 0.99]))
    curve = scores.curve
    assert curve.drivable == 4
    assert curve.precision()[0] == pytest.approx(3 / 5)  # of 5 that can be judged
    assert curve.kept()[0] == pytest.approx(3 / 4)
    assert curve.precision()[50] == pytest.approx(2 / 3)
    assert curve.precision()[75] == 1
    assert curve.kept()[75] == pytest.approx(2 / 4)
    assert np.isnan(curve.precision()[95])  # nothing is left
    assert curve.least_floor(0.99) == pytest.approx(0.71)  # 0.70 itself keeps what is at 0.70
    assert curve.to_json()['0.50'] == {'precision': pytest.approx(2 / 3), 'kept': 0.5}
    assert ('99.0% precise from confidence_floor 0.71: precision 100.0 %, found 50.0 %'
            in str(curve))


def test_no_floor_helps_where_the_surest_pixel_is_wrong():
    scores = DrivableScores(CLASSES)
    scores(0, np.array([[OTHER, ROAD]], np.uint8), seen([ROAD, ROAD], [1.0, 0.5]))
    assert scores.curve.least_floor(0.9) is None
    assert '98.0% precise from no floor' in str(scores.curve)


@pytest.mark.parametrize(('truth', 'labels', 'text'), [
    ([OTHER, OTHER], [OTHER, OTHER],
     'drivable pixels  precision -, found -: no labeled pixel is predicted as drivable, no pixel '
     'is drivable by its label'),
    ([ROAD, OTHER], [OTHER, OTHER],
     'drivable pixels  precision -, found 0.0 %: no labeled pixel is predicted as drivable'),
    ([OTHER, OTHER], [ROAD, OTHER],
     'drivable pixels  precision 0.0 %, found -: no pixel is drivable by its label')])
def test_a_share_of_nothing_is_a_dash_with_its_reason(truth, labels, text):
    scores = DrivableScores(CLASSES)
    scores(0, np.array([truth], np.uint8), seen(labels, [0.9, 0.9]))
    assert str(scores.curve).splitlines()[0] == text
    assert 'nan' not in str(scores.curve)
    shares = without_nan(scores.curve.to_json())['0.00'].values()
    assert list(shares) == [0.0 if '0.0' in word else None for word in text.split(',')[:2]]


def test_the_worst_frames_come_first_and_a_frame_without_road_is_no_failure():
    scores = DrivableScores(CLASSES)
    frames = [([ROAD, ROAD], [ROAD, ROAD]), ([ROAD, ROAD], [OTHER, OTHER]),
              ([OTHER, OTHER], [OTHER, OTHER]), ([ROAD, OTHER], [ROAD, ROAD])]
    for index, (truth, labels) in enumerate(frames):
        scores(index, np.array([truth], np.uint8), seen(labels, [0.5, 0.5]))
    assert scores.iou == {0: 1.0, 1: 0.0, 2: 1.0, 3: 0.5}
    assert scores.worst(2) == [1, 3]


def test_the_labels_of_the_worst_frames_are_kept():
    scores = DrivableScores(CLASSES, keep=2)
    truth = np.array([[ROAD, ROAD]], np.uint8)
    for index, labels in enumerate(([ROAD, ROAD], [ROAD, OTHER], [OTHER, OTHER], [ROAD, OTHER])):
        scores(index, truth, seen(labels, [0.5, 0.5]))
    assert {index: labels.tolist() for index, labels in scores.worst_labels.items()} == {
        2: [[OTHER, OTHER]], 1: [[ROAD, OTHER]]}


@pytest.fixture
def several(tmp_path):
    """Return a data file of two sets of folders, in classes of their own."""
    for name, classes in (('a', ('Road', 'Hedge')), ('b', ('Track', 'Other'))):
        for split in ('val', 'valannot'):
            (tmp_path / name / split).mkdir(parents=True)
        (tmp_path / name / 'classes.json').write_text(json.dumps([{'name': c} for c in classes]))
        for number in range(2):
            rng = np.random.default_rng(number)
            cv2.imwrite(str(tmp_path / name / 'val' / f'{number}.png'),
                        rng.integers(0, 256, (40, 60, 3), np.uint8))
            cv2.imwrite(str(tmp_path / name / 'valannot' / f'{number}.png'),
                        rng.integers(0, 2, (40, 60), np.uint8))
    (tmp_path / 'data.yaml').write_text(f"""
sources:
  - {{dataset: folders, root: {tmp_path}/a, rename: {{Hedge: Tree}}}}
  - {{dataset: folders, root: {tmp_path}/b, rename: {{Track: Road, Other: [Building, Tree, Car]}}}}
""")
    return tmp_path


def test_eval_scores_several_sets_in_the_classes_of_the_weights(several, capsys):
    pytest.importorskip('matplotlib', reason='eval draws with matplotlib')
    from enet_ros.cli.main import main
    out = {name: several / f'{name}.png' for name in ('floors', 'worst')}
    assert main(['eval', '--data', str(several / 'data.yaml'), '--resolution', '64x48',
                 '--json', str(several / 's.json'), '--floors', str(out['floors']),
                 '--worst', str(out['worst'])]) == 0
    printed = capsys.readouterr().out
    assert printed.count('folders val, 2 images') == 2
    assert printed.count('99.0% precise from') == 2
    assert list(json.loads((several / 's.json').read_text())) == ['folders val',
                                                                  'folders val (2)']
    for path in out.values():
        assert cv2.imread(str(path)).std() > 5


def test_worst_draws_the_frames_as_they_were_scored(several, monkeypatch):
    pytest.importorskip('matplotlib', reason='eval draws with matplotlib')
    from enet_ros.cli.main import main
    from enet_ros.training import evaluate, result_images
    scored, drawn = {}, []
    segment = evaluate.Segmenter.segment

    def record(self, frames, **options):
        results = segment(self, frames, **options)
        scored[len(scored)] = frames[0], results[0].labels
        return results
    monkeypatch.setattr(evaluate.Segmenter, 'segment', record)
    monkeypatch.setattr(result_images, 'draw_samples',
                        lambda path, class_map, samples: drawn.extend(samples))
    assert main(['eval', '--data', str(several / 'data.yaml'), '--change', 'dusk',
                 '--resolution', '64x48', '--worst', str(several / 'worst.png')]) == 0
    assert len(scored) == 4
    assert len(drawn) == 2
    for frame, _, labels in drawn:
        assert any(np.array_equal(frame, shown) and np.array_equal(labels, seen)
                   for shown, seen in scored.values())


@pytest.mark.parametrize('arguments', [
    [], ['--dataset', 'camvid'], ['--root', '/tmp'], ['--data', 'x.yaml', '--dataset', 'camvid',
                                                     '--root', '/tmp']])
def test_eval_wants_one_way_to_name_the_data(arguments, capsys):
    from enet_ros.cli.main import main
    assert main(['eval', *arguments]) == 2
    assert 'wanted --dataset NAME --root DIR, or --data FILE alone' in capsys.readouterr().err
