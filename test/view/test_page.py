"""What the server of ``enet-ros view`` answers to whom, by real HTTP to a real rerun."""

import http.client
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.absence import import_or_skip
from support.browser import Browser
from support.sockets import listening

rr = import_or_skip('rerun', 'rerun-sdk is not installed: scripts/setup.sh view')

from enet_ros.view import access, connections, page  # noqa: E402
from enet_ros.view.page import FILES, GRPC_WEB, READ_MESSAGES  # noqa: E402
from enet_ros.view.server import ViewServer, checked_address  # noqa: E402

PIXEL = 173  # of the frame that is sent
REQUEST = (f'POST {READ_MESSAGES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {GRPC_WEB}\r\n'
           'Content-Length: 5\r\n\r\n').encode() + bytes(5)


@pytest.fixture(scope='module')
def server():
    """A server with one frame in it."""
    server = ViewServer(checked_address('127.0.0.1', 0, '64MB'))
    recording = rr.RecordingStream('enet_ros')
    recording.connect_grpc(server.data_url)
    recording.log('frame', rr.Image(np.full((64, 64, 3), PIXEL, np.uint8)))
    recording.flush()
    yield server
    recording.disconnect()
    server.stop()


def ask(server, method, path, headers=(), body=None):
    """Return status, headers and the first bytes of an answer. Host is added where it lacks."""
    port = server.address.port
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    headers = {'Host': f'127.0.0.1:{port}', **dict(headers)}
    if body is not None:
        headers.setdefault('Content-Type', GRPC_WEB)
        headers.setdefault('Content-Length', str(len(body)))
    for name, value in headers.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    start = answer.read1(1 << 16) if answer.status == 200 else b''
    connection.close()
    return answer.status, dict(answer.getheaders()), start


def read_data(server, **headers):
    """Ask for the data as the page does."""
    return ask(server, 'POST', READ_MESSAGES, headers, bytes(5))


@pytest.mark.parametrize('host', ['127.0.0.1', 'localhost', '[::1]', '192.0.2.7',
                                  socket.gethostname(),
                                  f'{socket.gethostname().split(".")[0]}.local'])
def test_the_own_page_gets_files_and_data_under_each_name_of_the_machine(server, host):
    host = f'{host}:{server.address.port}'
    status, headers, text = ask(server, 'GET', f'/?url=rerun%2Bhttp%3A%2F%2F{host}%2Fproxy',
                                {'Host': host})
    assert status == 200 and b'<html' in text
    assert "connect-src 'self' data: blob:;" in headers['Content-Security-Policy']
    status, headers, data = read_data(server, Host=host, Origin=f'http://{host}')
    assert (status, headers['content-type']) == (200, GRPC_WEB) and len(data) > 100
    assert 'access-control-allow-origin' not in {name.lower() for name in headers}


def test_a_host_name_with_a_domain_is_known_by_its_first_label_too(monkeypatch):
    monkeypatch.setattr(socket, 'gethostname', lambda: 'Robot.lan')
    assert access.own_names() == {'localhost', 'robot', 'robot.lan', 'robot.local'}


@pytest.mark.parametrize('host', ['evil.example', 'evil.example:9090', '127.0.0.1.evil.example',
                                  'localhost.evil.example', 'x.localhost', '', None,
                                  'localhost evil.example', '[::1', '2130706433'])
def test_a_name_that_a_stranger_can_point_here_gets_nothing(server, host):
    """A page of another site is served under its own name (DNS rebinding)."""
    for path in FILES:
        assert ask(server, 'GET', path, {'Host': host})[0] == 403
    assert read_data(server, Host=host)[0] == 403
    assert read_data(server, Host=host, Origin=f'http://{host}')[0] == 403


@pytest.mark.parametrize('origin', [
    'https://rerun.io', 'https://app.rerun.io', 'http://localhost:1', 'http://127.0.0.1:9999',
    'https://evil.example', 'null', '', 'http://127.0.0.1'])
def test_pages_of_other_origins_get_no_data(server, origin):
    assert read_data(server, Origin=origin)[0] == 403
    status, headers, _ = ask(server, 'OPTIONS', READ_MESSAGES, {
        'Origin': origin, 'Access-Control-Request-Method': 'POST'})
    assert status >= 400 and 'access-control-allow-origin' not in {key.lower() for key in headers}


@pytest.mark.parametrize(('path', 'headers', 'body', 'status'), [
    (READ_MESSAGES.replace('Read', 'Write'), {}, b'', 404),
    ('/rerun.viewer_control.v1alpha1.ViewerControlService/EguiInspect', {}, bytes(5), 404),
    (READ_MESSAGES, {'Content-Type': 'text/plain'}, bytes(5), 415),
    (READ_MESSAGES, {'Content-Length': None}, bytes(5), 411),
    (READ_MESSAGES, {'Content-Length': '-1'}, b'', 411),
    (READ_MESSAGES, {'Content-Length': '9999'}, b'', 413)])
def test_nothing_but_reading_is_handed_on(server, path, headers, body, status):
    assert ask(server, 'POST', path, headers, body)[0] == status


def test_http_2_which_rerun_speaks_to_programs_is_refused(server):
    with socket.create_connection(('127.0.0.1', server.address.port), 5) as connection:
        connection.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
        assert b'505' in connection.recv(1000).partition(b'\r\n')[0]


def reader_of(server):
    """Return a connection that has asked for the data."""
    connection = socket.create_connection(('127.0.0.1', server.address.port), 5)
    connection.sendall(REQUEST)
    return connection


def test_each_connection_carries_one_request(server):
    """A second head behind a stream would not be checked."""
    with reader_of(server) as connection:
        assert connection.recv(12) == b'HTTP/1.1 200'
        connection.sendall(REQUEST.replace(b'localhost', b'evil.example'))
        deadline = time.monotonic() + 5
        while connection.recv(1 << 20):
            assert time.monotonic() < deadline, 'the stream went on'


def test_the_page_finds_the_data_under_the_name_by_which_it_was_opened(server):
    for path, host, place in (
            ('/', 'localhost:8080', '/?url=rerun%2Bhttp%3A%2F%2Flocalhost%3A8080%2Fproxy'),
            ('/?renderer=webgl&url=http://evil.example/a.rrd', '[::1]',
             '/?renderer=webgl&url=rerun%2Bhttp%3A%2F%2F%5B%3A%3A1%5D%3A80%2Fproxy')):
        status, headers, _ = ask(server, 'GET', path, {'Host': host})
        assert (status, headers['Location']) == (302, place)


def test_rerun_itself_listens_at_a_random_loopback_address_alone(server):
    places = listening([server.pid])
    [hidden] = {host for host, _ in places}
    assert len(places) == 2 and hidden.startswith('127.') and hidden != '127.0.0.1'


@pytest.fixture
def impatient(monkeypatch, server):
    """Let connections wait a second for their request."""
    monkeypatch.setattr(connections, 'REQUEST_TIMEOUT_SEC', 1.0)
    return server


def test_connections_without_a_request_are_bounded_and_closed(impatient):
    place = '127.0.0.1', impatient.address.port
    threads = Path('/proc/self/task')
    before = len(list(threads.iterdir()))
    idle = [socket.create_connection(place, 5) for _ in range(100)]
    for connection in idle[:connections.MAX_CONNECTIONS]:
        connection.sendall(b'GET / HTTP/1.1\r\nX: ')
    time.sleep(0.5)
    assert len(list(threads.iterdir())) - before <= connections.MAX_CONNECTIONS
    deadline = time.monotonic() + 15
    try:
        while not answers(impatient):
            assert time.monotonic() < deadline, 'idle connections keep the page away'
            trickle(idle)
            time.sleep(0.3)
    finally:
        for connection in idle:
            connection.close()


def trickle(sockets):
    """Send a byte on each connection that is open, as slow clients do."""
    for connection in sockets:
        try:
            connection.sendall(b'x')
        except OSError:
            pass  # closed, as it should be


def answers(server):
    """Tell whether the page is served."""
    try:
        return ask(server, 'GET', '/favicon.ico')[0] == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.timeout(120)
def test_a_page_that_reads_nothing_is_closed_and_holds_up_no_other():
    """Rerun waits for its slowest reader once 128 MiB lie before it."""
    server = ViewServer(checked_address('127.0.0.1', 0, '20MB'))
    recording = rr.RecordingStream('enet_ros')
    recording.connect_grpc(server.data_url)
    received = bytearray(1 << 20)
    stalled, reader = reader_of(server), reader_of(server)
    try:
        assert stalled.recv(12) == b'HTTP/1.1 200'
        noise = np.random.default_rng(0).integers(0, 256, (1000, 1000), np.uint8)

        def send():
            for _ in range(220):
                recording.log('frame', rr.Image(noise))
        threading.Thread(target=send, daemon=True).start()
        count, deadline = 0, time.monotonic() + 40
        while count < 210e6 and time.monotonic() < deadline:
            count += reader.recv_into(received)
        assert count >= 210e6
        assert has_ended(stalled)
    finally:
        stalled.close()
        reader.close()
        server.stop()
        recording.disconnect()


def has_ended(connection):
    """Tell whether a connection ends behind what lies in it."""
    try:
        while connection.recv(1 << 20):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_page_whose_data_stop_says_so_and_loads_anew(tmp_path, monkeypatch):
    asked, relay = threading.Event(), page.relay
    monkeypatch.setattr(page, 'relay', lambda *ends: (asked.set(), relay(*ends)))
    server = ViewServer(checked_address('127.0.0.1', 0, '20MB'))
    browser = Browser(server.address.page_url(), tmp_path / 'profile', (800, 500))
    try:
        assert asked.wait(120)
        assert not has_notice(browser)
        server.stop()
        until(lambda: has_notice(browser))
        asked.clear()
        server = ViewServer(server.address)
        assert asked.wait(120), 'the page did not load anew'  # No screenshot while it loads.
        until(lambda: not has_notice(browser))
    finally:
        browser.close()
        server.stop()


def has_notice(browser):
    """Tell whether there is a red bar at the lower border of a page."""
    return (browser.screenshot()[-20:, :100] == (187, 0, 0)).all(axis=2).mean() > 0.5


def until(condition):
    """Wait for a condition."""
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1)
