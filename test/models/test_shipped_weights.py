"""The weights that ship: where they come from, and the scores of the model card."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from enet_ros.network.build import build_network
from enet_ros.network.checkpoint import MODELS, read_checkpoint, weights_path
from enet_ros.training.datasets import open_dataset
from enet_ros.training.evaluate import evaluate
from enet_ros.training.sources import Source, in_one_class_map

#: Data sets whose terms allow weights for any use: LUMS (MIT, CC BY 4.0) and what we draw.
FREE_SOURCES = {'lums', 'synthetic'}
RESEARCH_SOURCES = {'camvid', 'idd_lite'}
CARD = (MODELS / 'README.md').read_text()
NO_ROAD = {name: 'Other' for name in ('Sky', 'Building', 'Pole', 'Tree', 'SignSymbol', 'Fence',
                                      'Car', 'Pedestrian', 'Bicyclist')}
HELD_OUT = {'camvid': 'camvid', 'idd_lite': 'roads/idd_lite', 'lums': 'roads/lums'}


def assert_free(checkpoint):
    """Check that nothing in the weights' past forbids any use."""
    assert checkpoint.sources, 'the weights do not say what they were trained on'
    others = set(checkpoint.sources) - FREE_SOURCES
    assert not others, f'trained on {sorted(others)}, whose terms do not allow every use'


def test_enet_road_comes_from_free_sources_alone():
    assert_free(read_checkpoint(weights_path('enet_road')))


@pytest.mark.parametrize('sources', [
    (), ('camvid', 'lums'), ('idd_lite', 'lums', 'synthetic'), ('folders',),
    ('lums', 'weights enet_camvid')])
def test_other_sources_are_refused(sources):
    with pytest.raises(AssertionError):
        assert_free(replace(read_checkpoint(weights_path('enet_road')), sources=sources))


@pytest.mark.parametrize('name', ['enet_camvid', 'enet_camvid_367'])
def test_enet_camvid_names_the_research_data_in_it(name):
    assert set(read_checkpoint(weights_path(name)).sources) == FREE_SOURCES | RESEARCH_SOURCES


@pytest.mark.parametrize(('name', 'terms'), [
    ('enet_camvid', 'CC BY-NC 4.0'), ('enet_camvid_367', 'CC BY-NC 4.0'),
    ('enet_camvid_start', 'CC BY-NC 4.0'), ('enet_road', 'CC BY 4.0')])
def test_each_file_card_readme_and_license_tell_the_same_terms(name, terms):
    assert terms in read_checkpoint(weights_path(name)).origin
    readme = (Path(__file__).resolve().parents[2] / 'README.md').read_text()
    for text in (CARD, readme, (MODELS / 'LICENSE').read_text()):
        line = next(line for line in text.splitlines() if f'`{name}`' in line and 'CC BY' in line)
        assert terms in line
        assert 'NC' in terms or 'NC' not in line


@pytest.mark.parametrize('name', ['enet_camvid', 'enet_camvid_367', 'enet_road'])
def test_shipped_weights_are_an_enet_with_a_limit_of_confidence(name):
    checkpoint = read_checkpoint(weights_path(name))
    assert checkpoint.architecture == 'enet'
    assert checkpoint.resolution == (640, 360)
    assert 0.3 < checkpoint.least_confidence < 0.95
    per_class = 16 * 4 + 1  # of the last layer
    parameters = sum(p.numel() for p in build_network(checkpoint).parameters())
    assert parameters == 364_712 - (20 - len(checkpoint.class_map)) * per_class


@pytest.mark.parametrize('name', [
    'enet_camvid', 'enet_camvid_367', 'enet_road', 'enet_camvid_start'])
def test_the_card_has_resolution_and_least_confidence_of_each_file(name):
    checkpoint = read_checkpoint(weights_path(name))
    row = re.search(rf'^\| `{name}` \|.*$', CARD, re.M)[0]
    width, height = checkpoint.resolution
    assert row.endswith(f'| {width}×{height} | {checkpoint.least_confidence:.3f} |')


def card_figure(weights, dataset, column):
    """Return a figure of the card's table of scores, in percent."""
    table = CARD[CARD.index('## Scores'):]
    header = [cell.strip() for cell in re.search(r'^\| weights .*$', table, re.M)[0].split('|')]
    row = re.search(rf'^\| `{weights}` \| `{dataset}` .*$', table, re.M)[0].split('|')
    return float(row[header.index(column)])


def scores_of(shared, weights, dataset):
    """Score weights on what is held out of a data set."""
    root = shared / HELD_OUT[dataset]
    if not root.is_dir():
        pytest.skip(f'{root} is absent')
    checkpoint = read_checkpoint(weights_path(weights))
    rename = NO_ROAD if weights == 'enet_road' else {}
    source = Source(dataset, str(root), rename=rename)
    data, = in_one_class_map([open_dataset(dataset, root, 'val')], [source],
                             checkpoint.class_map)
    # The card's figures are torch's. OpenVINO gives the same ones in a quarter of the time.
    # Other tests run beside this one, so two threads would wait for each other.
    return evaluate(checkpoint, data, (640, 360), 'auto', 'float32', threads=1)


@pytest.mark.parametrize(('weights', 'dataset'), [
    ('enet_camvid_367', 'camvid'), ('enet_camvid_367', 'idd_lite'), ('enet_road', 'camvid'),
    ('enet_road', 'lums')])
def test_the_card_has_the_scores_of_the_weights(shared, weights, dataset):
    scores = scores_of(shared, weights, dataset)
    assert 100 * scores['drivable_iou'] == pytest.approx(
        card_figure(weights, dataset, 'drivable IoU'), abs=0.1)
    assert scores['ece'] == pytest.approx(card_figure(weights, dataset, 'ECE'), abs=0.001)
    if dataset == 'camvid':
        assert 100 * scores['miou'] == pytest.approx(
            card_figure(weights, dataset, 'class IoU'), abs=0.1)


def test_no_score_is_printed_for_weights_that_saw_every_labeled_frame():
    shipped, measured = (read_checkpoint(weights_path(name))
                         for name in ('enet_camvid', 'enet_camvid_367'))
    assert not shipped.scores
    assert measured.scores['camvid_val']['miou'] > 0.7
    assert not re.search(r'^\| `enet_camvid` \| `', CARD, re.M)
    assert (shipped.temperature, shipped.least_confidence) == (
        measured.temperature, measured.least_confidence)


def test_more_frames_cost_nothing_on_roads_that_were_held_out(shared):
    scores = scores_of(shared, 'enet_camvid', 'idd_lite')
    assert 100 * scores['drivable_iou'] > card_figure(
        'enet_camvid_367', 'idd_lite', 'drivable IoU') - 1.0
    assert scores['ece'] < 0.03
