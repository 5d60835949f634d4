"""The server of ``enet-ros view``: what it tells rerun, how it ends, and its addresses."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.absence import import_or_skip

import_or_skip('rerun', 'rerun-sdk is not installed: scripts/setup.sh view')

from enet_ros.view import server as server_module  # noqa: E402
from enet_ros.view.server import Address, ServerError, ViewServer, checked_address  # noqa: E402


@pytest.fixture
def server():
    server = ViewServer(checked_address('127.0.0.1', 0, '64MB'))
    yield server
    if not server._log.closed:
        server.stop()


def gone(pid):
    """Tell whether a process ends within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z':
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_rerun_is_told_to_send_no_statistics(server):
    pairs = Path(f'/proc/{server.pid}/environ').read_bytes().split(b'\0')
    values = dict(os.fsdecode(pair).split('=', 1) for pair in pairs if b'=' in pair)
    config = Path(values['XDG_CONFIG_HOME'], 'rerun', 'analytics.json')
    assert json.loads(config.read_text())['analytics_enabled'] is False
    assert Path(values['XDG_DATA_HOME']).is_relative_to(values['XDG_CONFIG_HOME'])
    command = Path(f'/proc/{server.pid}/cmdline').read_bytes().split(b'\0')
    assert command[command.index(b'--server-memory-limit') + 1] == b'64MB'
    assert os.getsid(server.pid) == server.pid  # Ctrl-C ends the viewer, which ends rerun


def test_stopping_ends_rerun_and_the_page(server):
    pid, port = server.pid, server.address.port
    server.stop()
    assert gone(pid)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(('127.0.0.1', port), 2)
    assert not Path(server._settings.name).exists()


def test_rerun_ends_with_a_viewer_that_is_killed():
    code = ('from enet_ros.view.server import ViewServer, checked_address\n'
            "server = ViewServer(checked_address('127.0.0.1', 0, '64MB'))\n"
            'print(server.pid, flush=True)\ninput()')
    with subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as viewer:
        pid = int(viewer.stdout.readline())
        viewer.send_signal(signal.SIGKILL)
    assert gone(pid)


def test_a_rerun_that_has_ended_is_told(server):
    server.check()
    os.kill(server.pid, signal.SIGKILL)
    assert gone(server.pid)
    with pytest.raises(ServerError, match='ended with exit code -9'):
        server.check()


def test_hidden_addresses_differ():
    hosts = {server_module._hidden_loopback() for _ in range(50)}
    assert len(hosts) > 40 and '127.0.0.1' not in hosts
    assert all(host.startswith('127.') and socket.inet_aton(host) for host in hosts)


def test_the_url_is_one_that_a_browser_can_open():
    assert Address('0.0.0.0', 80).page_url() == f'http://{socket.gethostname()}:80/'
    assert Address('::1', 80).page_url() == 'http://[::1]:80/'


def test_only_this_machine_reaches_the_viewer_unless_it_is_asked_for():
    import argparse

    from enet_ros.cli import view
    parser = argparse.ArgumentParser()
    view.add_arguments(parser)
    given = parser.parse_args([])
    assert (given.bind, given.port) == ('127.0.0.1', 9090)


def test_a_port_that_was_just_used_can_be_used_again(server):
    """A connection that the server closed keeps its port in TIME_WAIT for a minute."""
    port = server.address.port
    with socket.create_connection(('127.0.0.1', port), 5) as connection:
        connection.sendall(b'GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n')
        while connection.recv(1000):
            pass
    server.stop()
    assert checked_address('127.0.0.1', port, '64MB').port == port
