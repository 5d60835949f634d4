"""Files of other projects that several tests read."""

import pytest
from support.other_weights import CLASSES, as_modules, as_torch7, randomized

from enet_ros.network.enet import ENet


@pytest.fixture(scope='module')
def torch7_bytes():
    """A Torch7 file of a random ENet."""
    return as_torch7(as_modules(randomized(ENet(CLASSES))))
