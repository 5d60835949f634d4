"""Several data sets in one run: their options, shares and classes."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest

pytest.importorskip('torch')

from support.training_runs import run_options  # noqa: E402

from enet_ros.cli.main import main  # noqa: E402
from enet_ros.network.checkpoint import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.network.enet import ENet  # noqa: E402
from enet_ros.training.batches import Frames, MixedFrames, Normalization  # noqa: E402
from enet_ros.training.datasets import open_dataset  # noqa: E402
from enet_ros.training.finish import _certain_logits  # noqa: E402
from enet_ros.training.label_sets import LabelSets  # noqa: E402
from enet_ros.training.labeled_frames import DatasetError, SegmentationData  # noqa: E402
from enet_ros.training.options import TrainingError  # noqa: E402
from enet_ros.training.sources import (  # noqa: E402
    SharePattern,
    Source,
    in_one_class_map,
    other_drivable,
    parse_source,
)
from enet_ros.training.train import open_sources, train  # noqa: E402


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """Return folders with classes of their own: a track, a hedge, and a coarse label."""
    root = tmp_path_factory.mktemp('site')
    (root / 'classes.json').write_text(json.dumps(
        [{'name': 'track'}, {'name': 'void'}, {'name': 'hedge'},
         {'name': 'clutter', 'one_of': ['track', 'hedge']}]))
    for split, count in (('train', 4), ('val', 2)):
        (root / split).mkdir()
        (root / f'{split}annot').mkdir()
        for i in range(count):
            labels = np.repeat(np.uint8([0, 1, 2, 3, 255]), 8)[None].repeat(24, 0)
            frame = np.full((*labels.shape, 3), 40 * i + 20, np.uint8)
            cv2.imwrite(str(root / split / f'{i}.png'), frame)
            cv2.imwrite(str(root / f'{split}annot' / f'{i}.png'), labels)
    return root


def data_of(names, sets=None, name='data'):
    """Return a split whose label images are decoded as they are."""
    class_map = ClassMap.from_names(names, names[:1])
    table = LabelSets.of(class_map, sets) if sets else None
    return SegmentationData(name, 'train', class_map, (), lambda stored: stored, table)


@pytest.mark.parametrize(('text', 'wanted'), [
    ('camvid=/data', ('camvid', '/data', 1.0)), ('lums=a/b:0.25', ('lums', 'a/b', 0.25)),
    ('folders=C:/data:2', ('folders', 'C:/data', 2.0)),
    ('folders=a:b', ('folders', 'a:b', 1.0))])
def test_a_source_on_the_command_line(text, wanted):
    source = parse_source(text)
    assert (source.dataset, source.root, source.share) == wanted


@pytest.mark.parametrize('text', ['camvid', 'camvid=', 'bdd=/data', 'camvid=/d:0', 'camvid=/d:nan',
                                  'camvid=/d:-1', 'camvid=:0.5', '=x'])
def test_a_source_that_makes_no_sense_is_refused(text):
    with pytest.raises(DatasetError, match='wanted NAME=FOLDER'):
        parse_source(text)


def test_labels_of_all_sources_mean_the_same():
    first = data_of(['Road', 'Car', 'Tree'])
    other = data_of(['tree', 'lane', 'thing', 'void'], {'far': ['tree', 'thing']})
    rename = {'lane': 'Road', 'thing': ['Car', 'Tree']}
    road, coarse = in_one_class_map([first, other], [
        Source('folders', 'a'), Source('folders', 'b', rename=rename)])
    assert coarse.class_map is road.class_map
    assert coarse.sets is road.sets
    assert coarse.sets.members == ((1, 2),)
    # tree, lane, thing (Car or Tree: the first set), void, far (also Car or Tree), unknown
    assert coarse.decode(np.uint8([0, 1, 2, 3, 4, 255])).tolist() == [2, 0, 3, 255, 3, 255]
    assert road.decode(np.uint8([0, 1, 2, 255])).tolist() == [0, 1, 2, 255]


def test_a_set_with_a_class_that_does_not_count_says_nothing():
    other = data_of(['Road', 'Car', 'mud'], {'low': ['Road', 'mud']})
    split = in_one_class_map([data_of(['Road', 'Car', 'Tree']), other], [
        Source('folders', 'a'), Source('folders', 'b', rename={'mud': None})])[1]
    assert split.decode(np.uint8([0, 1, 2, 3])).tolist() == [0, 1, 255, 255]


@pytest.mark.parametrize(('rename', 'part'), [
    ({}, "its class 'lane' would be 'lane'.*rename"), ({'lane': 'Street'}, "would be 'Street'"),
    ({'lan': 'Road'}, "rename names the class 'lan'")])
def test_a_class_that_the_run_does_not_know_is_named(rename, part):
    with pytest.raises(DatasetError, match=part):
        in_one_class_map([data_of(['Road', 'Car']), data_of(['lane', 'Car'], name='site')],
                         [Source('folders', 'a'), Source('folders', 'b', rename=rename)])


@pytest.mark.parametrize(('names', 'rename'), [
    (['track', 'mud'], {'track': None, 'mud': None}), (['void', 'unknown'], {}),
    (['track', 'mud'], {'track': ['Road', 'Car'], 'mud': None})])
def test_a_source_of_which_no_class_counts_is_refused(names, rename):
    with pytest.raises(DatasetError, match=f'site: none of its classes {", ".join(names)} says '
                                           "anything about the run's classes Road, Car"):
        in_one_class_map([data_of(['Road', 'Car']), data_of(names, name='site')],
                         [Source('folders', 'a'), Source('folders', 'b', rename=rename)])


def test_a_run_on_one_class_is_refused_and_a_second_source_may_have_one():
    source = Source('folders', 'a')
    for names in (['path'], ['path', 'void']):
        with pytest.raises(DatasetError, match="data: the only class is 'path', wanted at least "):
            in_one_class_map([data_of(names)], [source])
    with pytest.raises(DatasetError, match='data: void means not labeled, wanted at least two'):
        in_one_class_map([data_of(['void'])], [source])
    split = in_one_class_map([data_of(['Road', 'Car']), data_of(['Car'])], [source] * 2)[1]
    assert split.decode(np.uint8([0, 255])).tolist() == [1, 255]


@pytest.mark.parametrize('names', [['void', 'yard'], ['yard']])
@pytest.mark.parametrize('by_file', [False, True])
def test_training_on_one_class_is_refused_before_the_first_step(tree, tmp_path, names, by_file):
    classes, data = tmp_path / 'one.json', tmp_path / 'data.yaml'
    classes.write_text(json.dumps([{'name': name} for name in names]))
    data.write_text(f'sources: [{{dataset: folders, root: {tree}, classes: {classes}}}]')
    changes = ({'dataset': (), 'root': None, 'data': str(data)} if by_file
               else {'classes': str(classes)})
    with pytest.raises(DatasetError, match="folders: the only class is 'yard', wanted at least"):
        train(run_options(tree, tmp_path / 'run', **changes))


def test_synthetic_roads_without_a_class_of_the_run_are_refused(tree, tmp_path):
    with pytest.raises(DatasetError, match='none of the classes path, grass; wanted some of Sky'):
        train(run_options(tree, tmp_path / 'run', drawn=0.5))


@pytest.mark.parametrize(('names', 'rename', 'differs'), [
    (['track', 'Car'], {'track': 'Road'}, False), (['Car', 'Road'], {}, True),
    (['track', 'Car'], {'track': 'Car'}, True), (['track', 'Car'], {'track': None}, False),
    (['track', 'Car'], {'track': ['Road', 'Car']}, False), (['Road', 'void'], {}, False),
    (['track', 'lane'], {'track': 'Road', 'lane': 'Road'}, False),
    (['track', 'Road'], {'track': None}, True)])
def test_what_is_drivable_is_compared_in_the_classes_of_the_run(names, rename, differs):
    run = ClassMap.from_names(['Road', 'Car', 'Tree'])  # Road is drivable, and names[0]
    sentence = other_drivable(run, 'the weights call', data_of(names),
                              Source('folders', 'H\udcf6fe', rename=rename))
    wanted = (r'data in H\udcf6fe: drivable is what the weights call so (Road), and not what the '
              f'data set does ({names[0]})')
    assert sentence == (wanted if differs else '')


def test_sources_that_disagree_about_what_is_drivable_are_named(tree, tmp_path, capsys):
    other, data = tmp_path / 'other.json', tmp_path / 'data.yaml'
    other.write_text(json.dumps([{'name': 'path'}, {'name': 'grass', 'drivable': True}]))
    data.write_text(f'sources: [{{dataset: folders, root: {tree}}}, '
                    f'{{dataset: folders, root: {tree}, classes: {other}}}]')
    options = run_options(tree, tmp_path / 'run', dataset=(), root=None, data=str(data), steps=1)
    assert train(options) == 0
    said = 'what the first data set calls so (path), and not what the data set does (grass)'
    assert capsys.readouterr().out.count(said) == 1
    assert (tmp_path / 'run/data.txt').read_text().count(said) == 1
    assert main(['eval', '--data', str(data), '--weights',
                 str(tmp_path / 'run/model.safetensors')]) == 0
    said = f'folders in {tree}: drivable is what the weights call so (path), and not what the'
    assert capsys.readouterr().err.count(said) == 1


def test_shares_are_even_in_every_stretch():
    pattern = SharePattern([3, 1, 0.5])
    places = [pattern.locate(n) for n in range(900)]
    counts = Counter(source for source, _ in places[450:900])
    assert [counts[source] for source in range(3)] == pytest.approx([300, 100, 50], abs=2)
    for start in range(0, 880, 9):
        counts = Counter(source for source, _ in places[start:start + 18])
        assert abs(counts[0] - 12) <= 1 and abs(counts[1] - 4) <= 1 and abs(counts[2] - 2) <= 1
    for source in range(3):
        assert [number for s, number in places if s == source] == list(
            range(sum(s == source for s, _ in places)))


def test_each_epoch_of_a_source_shows_every_frame_once(tree, site):
    parts = [Frames(open_dataset('folders', root, 'train'), source)
             for source, root in enumerate((tree, site))]
    mixed = MixedFrames(parts, [1, 1])
    shown = [mixed.shuffled(n, seed=3)[0].tobytes() for n in range(24)]
    assert Counter(shown[0:12:2]) == Counter(parts[0][i][0].tobytes() for i in range(6))
    assert set(shown[1:9:2]) == {parts[1][i][0].tobytes() for i in range(4)}
    assert mixed.reference is parts[0]


def test_a_run_on_two_sources_scores_both(tree, site, tmp_path):
    path = tmp_path / 'data.yaml'
    path.write_text(json.dumps({'sources': [
        {'dataset': 'folders', 'root': str(tree), 'share': 2},
        {'dataset': 'folders', 'root': str(site), 'rename': {
            'track': 'path', 'hedge': 'grass'}}]}))
    out = tmp_path / 'run'
    options = run_options(tree, out, dataset=(), root=None, data=str(path), jaccard=0.5)
    assert train(options) == 0
    checkpoint = read_checkpoint(out / 'model.safetensors')
    assert checkpoint.class_map.names == ('path', 'grass')
    assert set(checkpoint.scores) == {'val', 'folders val'}
    assert json.loads((out / 'scores.json').read_text())['others']['folders val']['images'] == 2


@pytest.fixture
def three_sets(tmp_path):
    """Return sources of the same frames and classes; the labels of the second are coarse."""
    classes = [{'name': name, 'drivable': name == 'road'} for name in ('road', 'car', 'tree')]
    rng, sources = np.random.default_rng(0), []
    for name in ('first', 'coarse', 'third'):
        root = tmp_path / name
        one_of = [{'name': 'object', 'one_of': ['car', 'tree']}] * (name == 'coarse')
        for folder in ('train', 'trainannot', 'val', 'valannot'):
            (root / folder).mkdir(parents=True)
        (root / 'classes.json').write_text(json.dumps([*classes, *one_of]))
        for split in ('train', 'val'):
            cv2.imwrite(str(root / split / '0.png'), rng.integers(0, 256, (24, 40, 3), np.uint8))
            cv2.imwrite(str(root / f'{split}annot' / '0.png'),
                        rng.integers(0, 3 + len(one_of), (24, 40), np.uint8))
        sources.append(Source('folders', str(root)))
    return sources


def test_coarse_labels_of_one_source_change_no_score_of_another(three_sets):
    training, validation = open_sources(three_sets)
    assert [split.sets is training[0].sets for split in training] == [True] * 3
    assert len(training[0].sets) == 1
    assert [len(split.sets or ()) for split in validation] == [0, 1, 0]


def test_sources_whose_labels_are_certain_give_the_temperature_beside_a_coarse_one(three_sets):
    _, validation = open_sources(three_sets)
    logits, truth = _certain_logits(ENet(3).eval(), Normalization(), Frames(validation[0]),
                                    validation[1:], (40, 24))
    assert len(logits) == len(truth) == 2 * 24 * 40  # of the first and the third


def test_eval_scores_a_data_set_as_if_it_were_alone(three_sets, tmp_path):
    weights = tmp_path / 'weights.safetensors'
    network = ENet(3)
    write_checkpoint(weights, Checkpoint(
        {name: tensor.numpy() for name, tensor in network.state_dict().items()},
        ClassMap.from_names(['road', 'car', 'tree'], ['road']), (0.5,) * 3, (0.5,) * 3))
    (tmp_path / 'data.yaml').write_text(json.dumps({'sources': [
        {'dataset': 'folders', 'root': source.root} for source in three_sets]}))
    common = ['--weights', str(weights), '--resolution', '40x24', '--json']
    assert main(['eval', '--data', str(tmp_path / 'data.yaml'), *common,
                 str(tmp_path / 'all.json')]) == 0
    assert main(['eval', '--dataset', 'folders', '--root', three_sets[0].root, *common,
                 str(tmp_path / 'first.json')]) == 0
    together = json.loads((tmp_path / 'all.json').read_text())
    assert together['folders val'] == json.loads((tmp_path / 'first.json').read_text())


def test_the_command_takes_several_data_sets(tree, site, tmp_path, capsys):
    command = ['train', '--dataset', f'folders={tree}', '--dataset', f'folders={site}:0.5',
               '--out', str(tmp_path / 'run')]
    assert main(command) == 2
    assert "its class 'track' would be 'track'" in capsys.readouterr().err


@pytest.mark.parametrize(('changes', 'part'), [
    ({'dataset': (), 'root': None}, 'no data set'), ({'root': None}, 'wants its folder'),
    ({'dataset': ['camvid=/a', 'lums=/b']}, '--root and --classes'),
    ({'data': 'file.yaml'}, '--data names the data sets'),
    *(({'data': 'file.yaml', 'dataset': (), 'root': None, split: 'val'}, f'--{option} ')
      for split, option in (('train_split', 'train-split'), ('val_split', 'val-split')))])
def test_options_that_contradict_each_other_are_refused(tree, tmp_path, changes, part):
    with pytest.raises(TrainingError, match=part):
        run_options(tree, tmp_path, **changes).checked()


def test_a_data_file_whose_first_source_has_no_validation_is_refused(tree, tmp_path):
    (tmp_path / 'site.yaml').write_text(
        f'sources: [{{dataset: folders, root: {tree}, val_split: null}}, '
        f'{{dataset: folders, root: {tree}}}]')
    with pytest.raises(TrainingError, match='site.yaml: val_split of source 1 is null, wanted a'):
        run_options(None, tmp_path, dataset=(), root=None,
                    data=str(tmp_path / 'site.yaml')).checked()


def test_a_frame_that_is_trained_on_does_not_validate(tree, site):
    with pytest.raises(DatasetError, match='folders val: 5 of its 5 frames are trained on as well '
                                           r'\(first .*/val/0.png\), wanted others'):
        open_sources([Source('folders', str(tree), train_split='val')])
    (site / 'link').symlink_to(tree)
    with pytest.raises(DatasetError, match='5 of its 5 frames are trained on as well'):
        open_sources([Source('folders', str(tree)), Source(
            'folders', str(site / 'link'), train_split='val', val_split=None)])


def test_a_share_that_would_give_no_sample_is_refused():
    with pytest.raises(DatasetError, match=r'has 0\.2 % of the shares, wanted at least 0\.5 %'):
        SharePattern([1, 0.002])
