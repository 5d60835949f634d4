"""Fixtures: data that may be absent, a cache of one's own, and a spinning node."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.node_bench import NodeBench, pixels

from enet_ros.ros import shared_memory

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / 'shared'
#: Files that take more than half a minute. They come first, so that no process is left with one of
#: them at the end.
LONGEST = ('ros/test_own_site.py', 'training/test_train.py', 'ros/test_view_node.py',
           'ros/test_graph_doctor.py', 'ros/test_executables.py', 'models/test_shipped_weights.py',
           'ros/test_start.py', 'bench/test_bench.py', 'faults/test_files.py',
           'recordings/test_fleet.py', 'recordings/test_resume.py', 'export/test_export.py',
           'ros/test_walk.py', 'comparison/test_compare.py', 'faults/test_process.py',
           'perception/test_segmenter.py', 'training/test_run_checkpoints.py')
NETWORK = (160, 96)  # a resolution that compiles and runs in moments

# A domain of one's own: other tests, demos and robots may be on this network.
os.environ['ROS_DOMAIN_ID'] = str(1 + (os.getpid() + 50) % 100)

# A shell has its background jobs ignore SIGINT, and nohup has them ignore SIGHUP. So do their
# children, which tests stop by these signals.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest."""
    rank = {REPOSITORY / 'test' / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(scope='session', autouse=True)
def cache(tmp_path_factory):
    """Keep compiled networks for this run, apart from the user's."""
    os.environ['ENET_ROS_CACHE'] = str(tmp_path_factory.mktemp('cache'))


@pytest.fixture(scope='session', autouse=True)
def leave_no_shared_memory():
    """Remove the shared memory of processes that these tests kill, and that of earlier ones."""
    shared_memory.remove_leftovers()
    before = {path.name.removesuffix('_el') for path in shared_memory.SHARED_MEMORY.glob('*_el')}
    yield
    # Other processes may make segments at this moment. Theirs are locked after microseconds.
    shared_memory.remove_leftovers(least_age_sec=2.0, except_names=before)


@pytest.fixture(scope='session')
def shared():
    """The folder of data beside the checkout, or a skip."""
    if not SHARED.is_dir():
        pytest.skip(f'{SHARED} is absent')
    return SHARED


@pytest.fixture(scope='session')
def road_frame():
    """A drawn street, (H, W, 3) uint8 RGB."""
    from enet_ros.scene.road_scene import RoadScene
    return RoadScene(320, 192).render(1.0)[0]


@pytest.fixture
def bench():
    """A maker of benches: ``bench(parameter=value)``; all are closed at the end."""
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    made = []

    def make(start=True, make_node=None, **parameters):
        values = {'resolution': list(NETWORK), 'precision': 'float32', **{
            name.replace('__', '.'): value for name, value in parameters.items()}}
        made.append(NodeBench(values, start, make_node))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(name='pixels', scope='session')
def pixels_fixture():
    return pixels
