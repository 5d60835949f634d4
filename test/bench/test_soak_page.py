"""README and docs/soak.md say of long runs what the files in docs/soak say."""

import re
from pathlib import Path

import pytest

from enet_ros.bench.soak_report import MOST_GROWTH_MB, MOST_P99_RATIO, read_soak
from enet_ros.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = [REPOSITORY / 'docs/soak/one.json', REPOSITORY / 'docs/soak/four.json']


@pytest.mark.parametrize('page', ['README.md', 'docs/soak.md'])
def test_the_table_of_a_page_is_what_the_command_prints(page, capsys):
    assert main(['soak', '--table', *map(str, FILES)]) == 0
    rows = capsys.readouterr().out
    assert len(rows.splitlines()) == 4
    assert rows in (REPOSITORY / page).read_text()


@pytest.mark.parametrize(('file', 'cameras'), list(zip(FILES, (1, 4))))
def test_the_soaks_that_are_shown_took_half_an_hour_and_passed(file, cameras):
    report = read_soak(file)
    assert len(report.cameras) == cameras
    assert report.minutes >= 29.9
    assert (report.failures, report.busy) == ([], '')
    assert all(camera.received == camera.published + camera.dropped for camera in report.cameras)
    assert report.memory_mb[1] - report.memory_mb[0] < MOST_GROWTH_MB
    assert report.p99_ms[1] <= MOST_P99_RATIO * report.p99_ms[0]
    assert file.with_suffix('.png').is_file()


def test_the_page_names_its_plots():
    shown = re.findall(r'!\[.*\]\((soak/.*)\)', (REPOSITORY / 'docs/soak.md').read_text())
    assert shown == ['soak/one.png', 'soak/four.png']
