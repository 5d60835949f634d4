"""The programs with the rclpy of Humble, which lacks names that Jazzy has."""

import os
import subprocess
from pathlib import Path

import pytest
from support.absence import import_or_skip

import_or_skip('rclpy', 'rclpy is not installed: make setup')

pytestmark = pytest.mark.ros
SMALL = ['-p', 'resolution:=[160, 96]', '-p', 'precision:=float32']
HUMBLE = Path(__file__).parents[1] / 'support/humble'


@pytest.fixture
def humble():
    """The environment of a process whose rclpy has no name that Humble's lacks."""
    path = os.pathsep.join(filter(None, [str(HUMBLE), os.environ.get('PYTHONPATH')]))
    return {**os.environ, 'PYTHONPATH': path}


def read_until(process, words):
    """Return what a process said up to some words, and fail with all of it without them."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return ''.join(lines)
    pytest.fail(''.join(lines))


def test_the_node_starts_and_the_viewer_finds_its_classes(start, humble):
    import_or_skip('rerun', 'rerun-sdk is not installed: scripts/setup.sh view')
    node = start('segment_node', *SMALL, env=humble)
    read_until(node, 'subscribed to')
    view = subprocess.Popen(['enet-ros', 'view', '--port', '0', '--wait', '30'], text=True,
                            env=humble, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said = read_until(view, 'open http')
        assert 'view: /enet: images on /image, ' in said and 'warning' not in said
        assert node.poll() is None
    finally:
        view.terminate()
        view.communicate(timeout=30)


def test_the_policy_names_the_services(humble):
    done = subprocess.run(['enet-ros', 'policy', '--ros-args', *SMALL], text=True, env=humble,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(f'<service>/enet/{name}</service>' in done.stdout
               for name in ('change_state', 'set_parameters'))
