"""Who gets nothing from the viewer, beside what test/view/test_page.py asks."""

import socket

import pytest
from support.absence import import_or_skip

import_or_skip('rerun', 'rerun-sdk is not installed: scripts/setup.sh view')

from email.message import Message  # noqa: E402

from enet_ros.view.access import host_of, is_from_own_page  # noqa: E402


def headers(*pairs):
    message = Message()
    for name, value in pairs:
        message[name] = value
    return message


def test_two_hosts_or_two_origins_are_refused():
    port = 'localhost:9090'
    assert host_of(headers(('Host', port), ('Host', 'evil.example'))) == ''
    assert not is_from_own_page(headers(('Host', port), ('Origin', f'http://{port}'),
                                        ('Origin', 'http://evil.example')))


@pytest.mark.parametrize('origin', ['http://localhost.evil.example', 'http://localhost:8081',
                                    'https://localhost0'])
def test_a_page_whose_name_begins_like_ours_is_another_page(origin):
    """Behind a proxy on port 80 the Host header is the name alone."""
    for own in ('http://localhost', 'https://localhost'):  # the latter by a proxy with TLS
        assert is_from_own_page(headers(('Host', 'localhost'), ('Origin', own)))
    assert not is_from_own_page(headers(('Host', 'localhost'), ('Origin', origin)))


def test_capitals_of_a_host_do_not_count():
    host = ('Host', 'LOCALHOST:9090')
    assert host_of(headers(host)) == 'LOCALHOST:9090'
    assert is_from_own_page(headers(host, ('Origin', 'http://localhost:9090')))


@pytest.fixture
def three_places(monkeypatch):
    """The address of a page that takes three connections at a time."""
    from enet_ros.view import connections
    from enet_ros.view.page import PageServer
    monkeypatch.setattr(connections, 'MAX_CONNECTIONS', 3)
    with socket.socket() as trial:
        trial.bind(('127.0.0.1', 0))
        place = trial.getsockname()
    page = PageServer(*place, ('127.0.0.1', 1), ('127.0.0.1', 1), 1 << 20)
    yield place
    page.stop()


def is_closed(connection):
    """Tell whether the other end has closed a connection, within a second."""
    connection.settimeout(1.0)
    try:
        return connection.recv(1) == b''
    except TimeoutError:
        return False
    except OSError:
        return True


def is_answered(place):
    """Tell whether a request is answered, by 404 here."""
    with socket.create_connection(place, 5) as connection:
        connection.sendall(b'GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n')
        return connection.recv(12).endswith(b'404')


def test_a_connection_above_the_bound_is_closed_and_its_place_comes_back(three_places):
    """Opening a hundred takes so long that the first have ended before the last are open."""
    idle = [socket.create_connection(three_places, 5) for _ in range(4)]
    assert [is_closed(connection) for connection in idle] == [False, False, False, True]
    for connection in idle:
        connection.close()
    import time
    time.sleep(0.5)
    assert is_answered(three_places)


def test_a_system_that_gives_no_thread_does_not_use_the_places_up(three_places, monkeypatch):
    import threading

    def refuse(_):
        raise RuntimeError("can't start new thread")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, 'start', refuse)
        for _ in range(4):
            with socket.create_connection(three_places, 5) as connection:
                assert is_closed(connection)
    assert is_answered(three_places)


@pytest.fixture
def page(monkeypatch):
    """The address of a page before a stand-in for rerun, which serves a page and a slow stream."""
    import threading
    import time
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from enet_ros.view import connections
    from enet_ros.view.page import PageServer

    class Rerun(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'<html><link href="https://fonts.example/a.css" rel="x"><p>')

        def do_POST(self):
            self.rfile.read(int(self.headers['Content-Length']))
            self.send_response(200)
            self.end_headers()
            for _ in range(30):
                self.wfile.write(b'.')
                time.sleep(0.1)

        def log_message(self, *_):
            pass

    monkeypatch.setattr(connections, 'REQUEST_TIMEOUT_SEC', 1.0)
    rerun = ThreadingHTTPServer(('127.0.0.1', 0), Rerun)
    threading.Thread(target=rerun.serve_forever, daemon=True).start()
    with socket.socket() as trial:
        trial.bind(('127.0.0.1', 0))
        place = trial.getsockname()
    server = PageServer(*place, rerun.server_address, rerun.server_address, 1 << 20)
    yield place
    server.stop()
    rerun.shutdown()
    rerun.server_close()


def test_the_page_has_no_link_elsewhere_and_headers_that_forbid_the_browser_the_rest(page):
    import http.client
    connection = http.client.HTTPConnection(*page, timeout=5)
    connection.request('GET', f'/?url=rerun%2Bhttp%3A%2F%2F127.0.0.1%3A{page[1]}%2Fproxy')
    answer = connection.getresponse()
    assert answer.read() == b'<html><p>'
    assert answer.getheader('X-Content-Type-Options') == 'nosniff'
    assert answer.getheader('Cross-Origin-Resource-Policy') == 'same-origin'
    policy = dict(part.strip().split(' ', 1) for part in
                  answer.getheader('Content-Security-Policy').split(';'))
    assert {name: policy[name] for name in ('default-src', 'base-uri', 'form-action',
                                            'frame-ancestors')} == dict.fromkeys(
        ('default-src', 'base-uri', 'form-action', 'frame-ancestors'), "'none'")
    own = {"'self'", "'unsafe-inline'", "'wasm-unsafe-eval'", "'none'", 'data:', 'blob:'}
    assert set(' '.join(policy.values()).split()) <= own
    connection.request('GET', '/secret')
    assert connection.getresponse().status == 404


def test_data_go_on_when_the_time_for_a_request_is_over(page):
    from enet_ros.view.page import GRPC_WEB, READ_MESSAGES
    with socket.create_connection(page, 5) as connection:
        connection.sendall(f'POST {READ_MESSAGES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: '
                           f'{GRPC_WEB}\r\nContent-Length: 5\r\n\r\n'.encode() + bytes(5))
        data = b''
        while piece := connection.recv(1 << 16):
            data += piece
    assert data.endswith(b'.' * 30)


def test_the_page_of_a_machine_with_ipv6_alone():
    from enet_ros.view.page import PageServer
    from enet_ros.view.server import Address, checked_address
    try:
        port = checked_address('::1', 0, '64MB').port
    except ValueError as error:
        pytest.skip(str(error))
    page = PageServer('::1', port, ('127.0.0.1', 1), ('127.0.0.1', 1), 1 << 20)
    try:
        with socket.create_connection(('::1', port), 5) as connection:
            connection.sendall(b'GET /none HTTP/1.1\r\nHost: [::1]\r\n\r\n')
            assert connection.recv(12).endswith(b'404')
    finally:
        page.stop()
    assert Address('::1', 80).page_url() == 'http://[::1]:80/'
