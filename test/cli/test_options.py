"""Options that several commands share say what the table of parameters says."""

from enet_ros.backends.base import PRECISION_NAMES
from enet_ros.backends.select import BACKEND_NAMES
from enet_ros.cli.options import BACKENDS, MAX_THREADS, PRECISIONS
from enet_ros.perception.parameters.settings import NodeSettings
from enet_ros.perception.parameters.table import table_of


def test_the_help_names_all_backends_and_precisions():
    assert tuple(BACKENDS.replace(' or ', ', ').split(', ')) == BACKEND_NAMES
    assert tuple(PRECISIONS.replace(' or ', ', ').split(', ')) == PRECISION_NAMES


def test_as_many_threads_are_taken_as_by_the_parameter():
    row, = (row for row in table_of(NodeSettings) if row.name == 'threads')
    assert row.range == (0, MAX_THREADS)
