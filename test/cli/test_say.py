"""Names and messages of strangers reach the terminal as printable lines alone."""

import argparse
import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from enet_ros.cli import doctor, doctor_graph
from enet_ros.cli.main import main
from enet_ros.cli.say import say, say_error
from enet_ros.common.one_line_error import printable

EVIL = '\x1b[2J\x9b1m\nfine    all is well\r\u202e'
SHOWN = '\\x1b[2J\\x9b1m fine    all is well \\u202e'


def test_lines_stay_lines_and_lose_their_codes(capsys):
    say('  two  spaces', f'name {EVIL}', '', to_stdout=True)
    assert capsys.readouterr().out == f'  two  spaces\nname {SHOWN}\n\n'
    say_error('eval', 'error: 2 problems\n  one\n\x1b[1mtwo')
    assert capsys.readouterr().err == (
        'enet-ros eval: error: 2 problems\n  one\n  \\x1b[1mtwo\n')


@pytest.mark.parametrize('watch', [None, 5.0])
def test_the_doctor_prints_no_codes_and_its_json_is_as_it_was(capsys, monkeypatch, watch):
    finding = {'finding': 'node_fails', 'level': 'error', 'text': f'enet: {EVIL}', 'remedy': 'r'}
    look = doctor_graph.GraphLook(2, [f'/{EVIL}'], [finding])
    monkeypatch.setattr(doctor, 'look', lambda *_, **__: look)
    monkeypatch.setattr(doctor_graph, 'look', lambda *_, **__: look)

    def interrupt(_):
        raise KeyboardInterrupt
    monkeypatch.setattr(doctor_graph.time, 'sleep', interrupt)
    args = argparse.Namespace(gpu=False, no_trial=True, json=False, watch=watch)
    assert doctor.run(args) == 2
    said = capsys.readouterr().out
    assert f'\nerror            enet: {SHOWN} (node_fails)\n' in said
    assert all(line.isprintable() for line in said.split('\n'))
    args.json = True
    doctor.run(args)
    printed = json.loads(capsys.readouterr().out)
    assert (printed if watch else printed['graph'])['findings'] == [finding]


def test_bag_prints_topics_and_errors_of_recordings_without_codes(capsys, tmp_path):
    pytest.importorskip('rosbags', reason='the extra bag is not installed')
    from enet_ros.cli import bag, bag_fleet
    from enet_ros.recordings.manifest import FAILED
    report = SimpleNamespace(lines=[f'/{EVIL}: cut off'], frames=1, unreadable=0, parts=1,
                             resumed_parts=0)
    bag.tell(report, tmp_path)
    assert f'warning: /{SHOWN}: cut off\n' in capsys.readouterr().err
    entry = SimpleNamespace(state=FAILED, input=f'{EVIL}.mcap', attempts=1, error=EVIL,
                            warnings=[])
    written = io.StringIO()
    bag_fleet._tell(entry, SimpleNamespace(write=lambda text, _: written.write(text),
                                           update=lambda _: None))
    assert written.getvalue().count('\\x1b[2J') == 2 and written.getvalue().isprintable()
    bag_fleet._report(SimpleNamespace(entries=[entry], kinds=dict), Path('out'))
    assert f'\n  {SHOWN}.mcap: {SHOWN}\n' in capsys.readouterr().err


def test_segment_prints_names_of_files_without_codes(capsys, tmp_path):
    folder = tmp_path / EVIL.replace('/', '')
    folder.mkdir()
    (folder / 'a.png').write_bytes(b'')
    (folder / 'b.heic').write_bytes(b'')
    assert main(['segment', str(folder), '-o', str(tmp_path / 'out'), '--resolution', '160x96',
                 '--precision', 'float32']) == 1
    said = capsys.readouterr().err
    assert f"{SHOWN}/a.png' cannot be read as an image: it is empty" in said
    assert f"{SHOWN}/b.heic'" in said
    assert all(line.isprintable() for line in said.split('\n'))
    assert main(['segment', f'{folder}/none', '-o', str(tmp_path / 'out')]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith('\\x1b[2J\\x9b1m') and second.startswith('  fine')


def test_blanks_of_other_scripts_in_a_name_stay_visible():
    assert printable('in\u3000this\u00a0one\nline\t ') == r'in\u3000this\xa0one line'
