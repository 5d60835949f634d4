"""docs/training.md says of the recipes what the code does."""

import re
from pathlib import Path

import pytest

from enet_ros.network.enet import DECODER
from enet_ros.training.batches import Normalization
from enet_ros.training.geometric import Geometry
from enet_ros.training.options import BATCHES, TrainOptions
from enet_ros.training.recipes import RECIPES

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'training.md').read_text()


def column(recipe):
    """Return the column of a recipe: name of each row -> its cell."""
    table = PAGE[PAGE.index('## Recipes'):].split('\n\n')[1]
    rows = re.findall(r'^\|([^|]*)\|([^|]*)\|([^|]*)\|$', table, re.MULTILINE)
    index = next(i for i, head in enumerate(rows[0]) if f'--recipe {recipe}`' in head)
    return {row[0].strip(): row[index].strip() for row in rows}


def power(value):
    """Return 5e-4 for 0.0005."""
    return f'{value:.0e}'.replace('e-0', 'e-')


@pytest.mark.parametrize('name', RECIPES)
def test_the_table_of_recipes_holds_the_values_that_are_used(name):
    recipe, cells = RECIPES[name], column(name)
    kind = {'adam': 'Adam', 'adamw': 'AdamW'}[recipe.optimizer]
    assert cells['optimizer'].startswith(
        f'{kind}, {power(recipe.lr)}, weight decay {power(recipe.weight_decay)}, ')
    assert ('constant' in cells['optimizer']) == (not recipe.decay)
    assert (f'warm-up over {recipe.warmup} steps' in cells['optimizer']) == bool(recipe.warmup)
    assert cells['batch'] == str(BATCHES[name])
    assert f'c = {recipe.class_weight_c}' in cells['loss']
    assert ('soft Jaccard' in cells['loss']) == bool(recipe.jaccard)
    assert (f'({recipe.average})' in cells['weights kept']) == bool(recipe.average)
    assert ('rain' in cells['augmentation']) == bool(recipe.strength)


def test_the_page_says_how_the_recipe_differs_from_the_paper():
    assert not any(stage.dropout for stage in DECODER)
    assert '| spatial dropout in the decoder | 0.1 in the paper, none in `decoder.lua` | none |' \
        in PAGE
    normal, precision = Normalization(), TrainOptions.precision
    assert f'mean {normal.mean[0]:.2f} and standard deviation {normal.std[0]:.2f}, or' in PAGE
    assert f'| arithmetic | float32 | `{precision}`; ' in PAGE
    assert TrainOptions.keep == 'best'


def test_the_table_of_recipes_says_when_a_phase_ends():
    assert RECIPES['paper'].encoder_part == 0.5
    assert 'The first half trains only the encoder' in column('paper')['phases']
    phases = column('modern')['phases']
    assert f'The first {RECIPES["modern"].crops_part:.0%}'.replace('%', ' %') in phases
    assert '{}×{}'.format(*TrainOptions.crop) in phases
    least, most = Geometry.scale
    assert f'at {least:g} to {most:g} times' in phases
