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
