"""``view:=true`` of the launch files starts the viewer with the node's name, and ends it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.launch_files import end_launch, start_launch, write_bringup

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.mark.timeout(200)
@pytest.mark.parametrize(('arguments', 'node'), [
    (('segment.launch.py', 'view:=true', 'namespace:=robot', 'backend:=torch'), '/robot/enet'),
    (('demo.launch.py', 'view:=true', 'rate:=5.0'), '/enet'),
    ((), '/robot1/enet')])
def test_the_launch_file_shows_its_node_and_leaves_no_process(tmp_path, arguments, node):
    pytest.importorskip('launch_ros', reason='launch and launch_ros are not installed: they are '
                                             'not among the ROS 2 wheels')
    process = start_launch(
        *arguments or [write_bringup(tmp_path, view='true', backend='torch')])
    try:
        lines, deadline = '', time.monotonic() + 120
        while 'view: open http://127.0.0.1:' not in lines:
            lines += process.stdout.readline()
            assert time.monotonic() < deadline, lines
        assert f'view: {node}: images on ' in lines
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        end_launch(process)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.timeout(200)
def test_the_demo_prints_the_url_and_leaves_no_process(tmp_path):
    mark = f'ENET_ROS_TEST_MARK={tmp_path}'
    done = subprocess.run(['demo', '--view', '--duration', '4', '--out', str(tmp_path)],
                          env={**os.environ, 'ENET_ROS_TEST_MARK': str(tmp_path)},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=150)
    assert done.returncode == 0, done.stdout
    assert 'view: open http://127.0.0.1:9090/' in done.stdout, done.stdout
    assert processes_with(mark) == []


def processes_with(mark):
    """Return the command lines of the processes whose environment has a mark."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            if mark.encode() in (folder / 'environ').read_bytes():
                found.append((folder / 'cmdline').read_bytes())
        except (OSError, ProcessLookupError):
            pass  # it ended meanwhile
    return found
