"""Fixtures: the command on recordings of the drawn street."""

import pytest


@pytest.fixture
def bag(capsys):
    """Run ``enet-ros bag`` with a small network: bag(arguments) -> (exit code, text).

    With another number of threads the last digit of a confidence can differ.
    """
    pytest.importorskip('rosbags', reason='the extra bag is not installed')
    from enet_ros.cli.main import main

    def run(*arguments):
        code = main(['bag', *map(str, arguments), '--resolution', '160x96', '--precision',
                     'float32', '--threads', '1'])
        return code, capsys.readouterr().err

    return run


@pytest.fixture
def drives(tmp_path):
    """A folder of three recordings: two folders and a file."""
    pytest.importorskip('rosbags', reason='the extra bag is not installed')
    from support import recordings
    for i, name in enumerate(('monday', 'tuesday', 'wednesday')):
        recordings.write(tmp_path / 'drives' / name, recordings.street(2 + i))
    (tmp_path / 'drives' / 'wednesday' / 'wednesday.mcap').rename(
        tmp_path / 'drives' / 'wednesday.mcap')
    (tmp_path / 'drives' / 'wednesday' / 'metadata.yaml').unlink()
    (tmp_path / 'drives' / 'wednesday').rmdir()
    return tmp_path / 'drives'
