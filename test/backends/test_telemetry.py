"""Nothing that the package does reports to anybody, though OpenVINO would by itself."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.damaged import street

from enet_ros.media import write_image

REPOSITORY = Path(__file__).resolve().parents[2]
BARE = 'import openvino, time; time.sleep(3)'  # the control
NODE = ('import enet_ros.perception.segmenter as s, numpy as np, time;'
        'g = s.Segmenter.from_file(resolution=(160, 96), backend="openvino");'
        'g.segment([np.zeros((96, 160, 3), np.uint8)]); time.sleep(3)')


@pytest.fixture
def proxy():
    """Listen as a proxy that never answers; gives its address and what it was asked."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        asked, kept = [], []

        def listen():
            try:
                while True:
                    connection, _ = server.accept()
                    kept.append(connection)
                    asked.append(connection.recv(200))
            except OSError:  # closed at the end
                pass
        threading.Thread(target=listen, daemon=True).start()
        yield f'http://127.0.0.1:{server.getsockname()[1]}', asked
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


def run(command, home, address):
    """Run a command as a user with an empty home, on a machine that is no CI."""
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name not in (
        'CI', 'NNCF_CI', 'XDG_CACHE_HOME', 'no_proxy', 'NO_PROXY')}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env={
        **kept, 'HOME': str(home), 'ENET_ROS_CACHE': str(home / 'cache'),
        **dict.fromkeys(('https_proxy', 'HTTPS_PROXY', 'http_proxy'), address)})
    assert done.returncode == 0, done.stderr
    return done


def test_the_control_is_seen(proxy, tmp_path):
    address, asked = proxy
    run([sys.executable, '-c', BARE], tmp_path / 'home', address)
    if not asked:
        pytest.skip('OpenVINO reports nothing here')
    assert b'google-analytics' in asked[0]


def test_the_network_reports_nothing(proxy, tmp_path):
    address, asked = proxy
    run([sys.executable, '-c', NODE], tmp_path / 'home', address)
    write_image(tmp_path / 'a.png', street(64, 48))
    run([sys.executable, REPOSITORY / 'bin' / 'enet-ros', 'segment', tmp_path / 'a.png',
         '-o', tmp_path / 'out'], tmp_path / 'home', address)
    assert asked == [] and not (tmp_path / 'home' / 'intel').exists()
