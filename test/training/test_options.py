"""Options of a run: ranges and defaults."""

import os
import re
from dataclasses import replace

import pytest
from support.training_runs import run_options

pytest.importorskip('torch')

from enet_ros.training.options import TrainingError, TrainOptions  # noqa: E402
from enet_ros.training.run_folder import prepare_run_folder  # noqa: E402


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
    ({'val_every': 0}, 'val_every is 0, wanted 1 to 1000000000'),
    ({'seed': -1}, 'seed is -1, wanted 0 to 4294967295')])
def test_checked_when_an_option_is_out_of_range(changes, said):
    with pytest.raises(TrainingError, match=f'^{re.escape(said)}$'):
        run_options('data', 'run', **changes).checked()


@pytest.mark.parametrize('text', ['', '[]', '{"recipe":', '[' * 100_000, '\xff'])
def test_damaged_options_of_a_run_are_named(tmp_path, text):
    (tmp_path / 'last.ckpt').touch()
    (tmp_path / 'options.json').write_text(text, encoding='latin-1')
    with pytest.raises(TrainingError, match='options.json is damaged: restore it to continue'):
        prepare_run_folder(tmp_path, run_options('data', tmp_path).checked())


def test_options_that_cannot_be_written_leave_those_from_before(tmp_path, monkeypatch):
    options = run_options('data', tmp_path).checked()
    prepare_run_folder(tmp_path, options)
    before = (tmp_path / 'options.json').read_bytes()

    def full(number):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        prepare_run_folder(tmp_path, replace(options, workers=1))
    assert (tmp_path / 'options.json').read_bytes() == before
    assert os.listdir(tmp_path) == ['options.json']


def test_checked_fills_in_defaults():
    bare = TrainOptions('camvid', 'data', 'run')
    filled = bare.checked()
    assert (filled.steps, filled.batch_size, filled.resolution) == (10_000, 8, (480, 360))
    assert bare.steps is None
    assert replace(bare, hours=2.0).checked().steps is None
    assert replace(bare, recipe='paper', strength=0.0).checked().batch_size == 10
