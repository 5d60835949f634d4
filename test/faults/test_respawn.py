"""The launch file starts the node anew after a hang or a crash, and after nothing else."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('launch_ros', reason='launch and launch_ros are not installed: they are not '
                                         'among the ROS 2 wheels')

from support.launch_files import end_launch, start_launch  # noqa: E402

pytestmark = pytest.mark.ros
PARAMETERS = ('/**: {ros__parameters: {resolution: [160, 96], precision: float32, '
              'output_size: network, confidence_floor: 0.5, backend_timeout: 1.5, '
              'diagnostics_period: 0.2}}')
#: Python imports a module of this name at its start.
SITECUSTOMIZE = """
import sys
sys.path.insert(0, {support!r})
if any('segment_node' in argument for argument in sys.orig_argv):
    from pathlib import Path
    import faulty
    faulty.follow_orders(Path({order!r}))
"""


class Launched:
    """A launched node whose network obeys a file, and what launch and node said."""

    def __init__(self, folder: Path, parameters: str):
        self.order = folder / 'order'
        (folder / 'own.yaml').write_text(parameters)
        (folder / 'sitecustomize.py').write_text(SITECUSTOMIZE.format(
            support=str(Path(__file__).resolve().parents[1] / 'support'), order=str(self.order)))
        self.process = start_launch(
            'segment.launch.py', f'params_file:={folder}/own.yaml',
            PYTHONPATH=f'{folder}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
        self._lines = []
        threading.Thread(target=lambda: self._lines.extend(self.process.stdout),
                         daemon=True).start()

    def said(self):
        return ''.join(self._lines)

    def node_pids(self):
        """Return the process ids of the nodes that were started, in order."""
        return [int(line.rpartition('[')[2].split(']')[0]) for line in list(self._lines)
                if 'process started with pid' in line]


@pytest.fixture
def launched(tmp_path):
    made = []

    def make(parameters=PARAMETERS):
        made.append(Launched(tmp_path, parameters))
        return made[-1]

    yield make
    for one in made:
        end_launch(one.process)


def test_the_node_is_started_anew_after_a_hang_and_after_a_crash(
        launched, planner, road_frame, fresh):
    launch, sees = launched(), planner()
    sees.camera()
    sees.answers(road_frame)
    launch.order.write_text('hang')
    sees.send(road_frame)
    sees.wait(lambda: 'ended with exit code 70, and is started anew' in launch.said(), 'code 70')
    launch.order.write_text('')
    sees.camera()
    assert np.array_equal(sees.answers(road_frame, seconds=90.0), fresh(road_frame))
    os.kill(launch.node_pids()[-1], signal.SIGKILL)
    sees.wait(lambda: 'ended with exit code -9, and is started anew' in launch.said(), 'code -9')
    sees.wait(lambda: len(launch.node_pids()) == 3, 'the third node')
    assert np.array_equal(sees.answers(road_frame, seconds=90.0), fresh(road_frame))


def test_a_bad_parameter_and_a_stop_that_was_asked_for_start_nothing(launched):
    launch = launched('/**: {ros__parameters: {resolution: [161, 96]}}')
    assert launch.process.wait(60) is not None
    assert 'resolution is 161x96' in launch.said()
    time.sleep(0.2)
    assert len(launch.node_pids()) == 1 and 'anew' not in launch.said()
