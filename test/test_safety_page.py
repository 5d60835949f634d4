"""docs/safety.md promises by tests that exist."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [path for path in (REPOSITORY / 'docs' / name for name in (
    'safety.md', 'safety_faults.md', 'security.md')) if path.exists()]
TEST = re.compile(r'`(test/[\w/]+\.py)(?:::(\w+))?`')


def functions_of(path):
    tree = ast.parse((REPOSITORY / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page):
    named = TEST.findall(page.read_text())
    assert named
    for path, test in named:
        assert (REPOSITORY / path).is_file(), path
        assert not test or test in functions_of(path), f'{path}::{test}'


def rows_below(heading):
    part = (REPOSITORY / 'docs' / 'safety.md').read_text().partition(f'\n## {heading}\n')[2]
    rows = [line for line in part.partition('\n## ')[0].splitlines() if line.startswith('|')]
    return rows[2:]


@pytest.mark.parametrize(('heading', 'least'), [('Promised', 8), ('Faults', 15)])
def test_every_promise_and_every_fault_has_a_test(heading, least):
    rows = rows_below(heading)
    assert len(rows) >= least
    for row in rows:
        assert any(test for _, test in TEST.findall(row.rpartition(' | ')[2])), row
