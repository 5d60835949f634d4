"""What a training says of its data before it starts."""

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('matplotlib')

from support.training_runs import run_options  # noqa: E402

from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.training.data_survey import (  # noqa: E402
    draw_contact_sheet,
    label_colors,
    label_names,
    survey,
)
from enet_ros.training.drivable_scores import DrivableScores  # noqa: E402
from enet_ros.training.label_sets import LabelSets  # noqa: E402
from enet_ros.training.labeled_frames import (  # noqa: E402
    DatasetError,
    SegmentationData,
    id_decoder,
)
from enet_ros.training.result_images import draw_floors, draw_samples  # noqa: E402
from enet_ros.training.train import train  # noqa: E402

CLASSES = ClassMap.from_names(('Road', 'Car', 'Tree'))
SETS = LabelSets.of(CLASSES, {'things': ['Car', 'Tree']})


@pytest.fixture
def split(tmp_path):
    """Return two pairs of different sizes, with a coarse label and no tree for certain."""
    pairs = []
    for i, width in enumerate((40, 40, 60)):
        labels = np.zeros((20, width), np.uint8)
        labels[:5], labels[5:10], labels[10:12] = 3, 255, 1
        paths = tmp_path / f'{i}.jpg', tmp_path / f'{i}.png'
        cv2.imwrite(str(paths[0]), np.full((20, width, 3), 90, np.uint8))
        cv2.imwrite(str(paths[1]), labels)
        pairs.append(paths)
    decode = id_decoder({0: 0, 1: 1, 3: 3, 255: 255})
    return SegmentationData('site', 'train', CLASSES, tuple(pairs), decode, SETS)


def test_a_survey_says_pairs_sizes_shares_and_what_is_coarse(split):
    text = str(survey(split))
    assert 'site train: 3 pairs, 40x20 (2), 60x20 (1)' in text
    shares = {line[:-8].strip(): float(line.split()[-2]) for line in text.splitlines()
              if line.endswith('%')}
    assert shares == pytest.approx({'Road': 40, 'Car': 10, 'one of Car, Tree': 25,
                                    'not labeled': 25})
    assert 'never labeled for certain: Tree' in text


def test_a_survey_names_files_that_cannot_be_used(split):
    split.pairs[1][1].write_bytes(b'no image')
    with pytest.raises(DatasetError, match=r'1 problem.*\n.*1\.png'):
        survey(split)


def test_a_contact_sheet_shows_frames_beside_labels(split, tmp_path):
    draw_contact_sheet(tmp_path / 'sheet.png', [split, split])
    sheet = cv2.cvtColor(cv2.imread(str(tmp_path / 'sheet.png')), cv2.COLOR_BGR2RGB)
    colors = label_colors(split)
    for label in label_names(split):
        seen = (sheet == colors[label]).all(2).sum()
        assert seen > 100 if label in (0, 1, 3) else True
    assert len(np.unique(colors[:4], axis=0)) == 4
    assert (sheet == 90).all(2).sum() > 1000  # the frames


def test_names_that_matplotlib_reads_as_formulas_are_drawn_as_they_are(split, tmp_path):
    classes = ClassMap.from_names(('Road', 'pay $_{$', '$1'))
    frame, labels = split.read(0)
    draw_samples(tmp_path / 'samples.png', classes, [(frame, labels, labels)])
    draw_contact_sheet(tmp_path / 'sheet.png', [
        replace(split, name='$_{$', class_map=classes, sets=None)])
    curve = DrivableScores(classes, None, 0).curve
    draw_floors(tmp_path / 'floors.png', {'$_{$': curve})


def test_a_run_writes_both_before_it_trains(tree, tmp_path, capsys):
    out = tmp_path / 'run'
    assert train(run_options(tree, out, steps=1)) == 0
    assert 'folders train: 6 pairs, 48x32' in (out / 'data.txt').read_text()
    assert (out / 'data.png').stat().st_size > 1000
    assert 'folders val: 5 pairs' in capsys.readouterr().out


def test_frames_that_do_not_fit_in_memory_are_read_once_before_the_first_step(
        tree, tmp_path, monkeypatch, capsys):
    reads, read = Counter(), SegmentationData._open

    def count(self, index):
        reads[self.split, index] += 1
        return read(self, index)
    monkeypatch.setattr(SegmentationData, '_open', count)
    monkeypatch.setattr('enet_ros.training.batches.MAX_CACHED_BYTES', 1)
    monkeypatch.setattr('enet_ros.training.train.draw_contact_sheet', lambda *_: None)
    monkeypatch.setattr('enet_ros.training.train.fit', lambda *_: False)
    assert train(run_options(tree, tmp_path / 'run')) == 3
    assert len(reads) == 11
    assert {pair for pair, times in reads.items() if times > 1} == {('train', 0), ('val', 0)}
    assert capsys.readouterr().out.startswith('reading all 11 pairs of frames and labels once\n')


def test_a_contact_sheet_that_cannot_be_drawn_does_not_cost_the_run(tree, tmp_path, monkeypatch,
                                                                    capsys):
    def fail(*_):
        raise ValueError("'outside lower center' is not a valid value for loc")
    monkeypatch.setattr('enet_ros.training.train.draw_contact_sheet', fail)
    out = tmp_path / 'run'
    assert train(run_options(tree, out, steps=1)) == 0
    assert (out / 'model.safetensors').is_file()
    printed = capsys.readouterr()
    assert "data.png could not be drawn: 'outside lower center' is not" in printed.err
    assert 'shows frames beside their labels' not in printed.out
