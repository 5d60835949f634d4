"""Fixtures: the command on recordings of the drawn street."""

import pytest


@pytest.fixture
def bag(capsys):
    """Run ``enet-ros bag`` in this process with a small network: bag(arguments) -> (code, text)."""
    pytest.importorskip('rosbags', reason='the extra bag is not installed')
    from enet_ros.cli.main import main

    def run(*arguments):
        code = main(['bag', *map(str, arguments), '--resolution', '160x96', '--precision',
                     'float32'])
        return code, capsys.readouterr().err

    return run
