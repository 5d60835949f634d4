"""The documents as a site: strict, whole, and reachable from an index."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.absence import import_or_skip

from enet_ros.common.child import module_command

for name in ('mkdocs', 'material'):
    import_or_skip(name, 'mkdocs or its theme is not installed: scripts/setup.sh docs')
REPOSITORY = Path(__file__).resolve().parent.parent
#: What a site is not made from.
ELSE = shutil.ignore_patterns('.*', 'site', 'test', 'runs', 'demo_out*', '__pycache__',
                              '*.safetensors')
TARGET = re.compile(r'(?:href|src)="([^"#?:]+)(?:#[^"]*)?"')


@pytest.fixture
def checkout(tmp_path):
    """A copy of the documents, to be changed."""
    checkout = shutil.copytree(REPOSITORY, tmp_path / 'checkout', ignore=ELSE)
    shutil.copytree(REPOSITORY / 'scripts' / 'site', checkout / 'scripts' / 'site')
    return checkout


def build(folder, site):
    """Build the site as make docs does; return the process.

    With --quiet mkdocs would count no warnings, and --strict would pass everything.
    """
    return subprocess.run(
        [*module_command('mkdocs'), 'build', '--strict', '--site-dir', site],
        cwd=folder, capture_output=True, text=True,
        env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'})


@pytest.mark.slow
def test_the_site_builds_strictly_and_every_link_leads_to_a_file(tmp_path):
    built = build(REPOSITORY, tmp_path / 'site')
    assert built.returncode == 0, built.stderr
    pages = sorted((tmp_path / 'site').rglob('*.html'))
    assert len(pages) > 35
    for page in pages:
        if page.name == '404.html':  # its links start at the root of a server
            continue
        for target in TARGET.findall(page.read_text()):
            assert (page.parent / target).exists(), f'{page.name} leads to {target}'


@pytest.mark.slow
@pytest.mark.parametrize(('text', 'complaint'), [
    ('[gone](gone.md)', 'gone.md'),
    ('[gone](view.md#gone)', "'#gone'|anchor 'gone'"),
    ('[gone](../config/gone.yaml)', 'gone.yaml'),
], ids=['a page', 'a heading', 'a file outside docs'])
def test_a_dead_link_stops_the_build(checkout, tmp_path, text, complaint):
    with (checkout / 'docs' / 'time.md').open('a') as page:
        page.write(f'\n{text}\n')
    built = build(checkout, tmp_path / 'site')
    assert built.returncode != 0
    assert re.search(complaint, built.stderr)


@pytest.mark.slow
def test_a_page_outside_the_index_stops_the_build(checkout, tmp_path):
    (checkout / 'docs' / 'lonely.md').write_text('# Lonely\n')
    built = build(checkout, tmp_path / 'site')
    assert built.returncode != 0
    assert 'docs/lonely.md' in built.stderr
