"""The weights that ship, read once for a file of tests."""

import pytest

from enet_ros.network.checkpoint import read_checkpoint, weights_path


@pytest.fixture(scope='module')
def shipped():
    return read_checkpoint(weights_path(''))
