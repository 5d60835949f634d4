"""Serves Rerun's page and its data at one address, to nobody but that page.

The page of the wheel asks for fonts, examples, the newest release and a script that counts
visitors, and sends usage statistics. Here the links are taken out, and a
Content-Security-Policy makes the browser refuse every address but this one. The page asks for the
data at the same address; Rerun's own ports are hidden (:mod:`enet_ros.view.server`), since Rerun
answers pages of https://rerun.io and of every local server, under any name.
"""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlencode

from enet_ros.view.access import host_of, is_from_own_page
from enet_ros.view.connections import REQUEST_TIMEOUT_SEC, BoundedServer
from enet_ros.view.reconnect import SCRIPT
from enet_ros.view.relay import Backlogs, relay

UPSTREAM_TIMEOUT_SEC = 30.0
#: Files of the page. All else is answered by 404.
FILES = ('/', '/index.html', '/favicon.ico', '/apple-touch-icon.png', '/re_viewer.js',
         '/re_viewer_bg.wasm')
#: What the page asks for: gRPC-Web, a short request and an answer without end. What sends data
#: (WriteMessages) or controls a viewer (ViewerControl) is not handed on.
READ_MESSAGES = '/rerun.sdk_comms.v1alpha1.MessageProxyService/ReadMessages'
GRPC_WEB = 'application/grpc-web+proto'
_MAX_REQUEST_BYTES = 4096
_KEPT_HEADERS = ('Content-Type', 'rerun-final-length')  # the latter is for the progress bar
_OUTSIDE_LINK = re.compile(rb'<link\b[^>]*\bhref="https?:[^>]*>')
_SAFETY_HEADERS = {
    'Content-Security-Policy':
        "default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; "
        "style-src 'unsafe-inline'; img-src 'self' data: blob:; font-src data:; "
        "worker-src 'self' blob:; connect-src 'self' data: blob:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin', 'X-Content-Type-Options': 'nosniff',
    'X-DNS-Prefetch-Control': 'off'}
_REFUSED = ('The viewer answers its own page only, opened by an IP address, localhost or the name '
            'of the machine.')


class PageServer:
    """The page, served by threads of its own until :meth:`stop`."""

    def __init__(self, bind: str, port: int, pages: tuple[str, int], data: tuple[str, int],
                 max_backlog_bytes: int):
        """Listen.

        Args:
            bind: IP address to listen on.
            port: TCP port.
            pages: Address and port at which rerun serves its own page.
            data: Address and port at which rerun serves its data.
            max_backlog_bytes: Greatest memory for data that pages have not taken yet. It has to
                hold what rerun keeps, since a new page gets that at once.

        Raises:
            OSError: The port is taken.
        """
        self._server = BoundedServer(bind, port, _Page)
        self._server.pages, self._server.data = pages, data
        self._server.backlogs = Backlogs(max_backlog_bytes)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


class _Page(BaseHTTPRequestHandler):
    """Answers one request."""

    timeout = REQUEST_TIMEOUT_SEC

    def parse_request(self) -> bool:
        """Read the head of a request, and refuse what is not from the own page."""
        if not super().parse_request():
            return False
        if host_of(self.headers) and is_from_own_page(self.headers):
            return True
        self.send_error(403, explain=_REFUSED)
        return False

    def do_GET(self) -> None:
        """Hand a file of the page on."""
        self.server.request_is_read(self.connection)
        path, _, query = self.path.partition('?')
        if path not in FILES:
            self.send_error(404)
        elif path in FILES[:2] and (place := self._elsewhere(query)):
            self.send_response(302)
            self.send_header('Location', place)
            self.end_headers()
        else:
            self._send_file(path)

    def _elsewhere(self, query: str) -> str:
        """Return where the page finds the data, or '' if its query names that already.

        The page takes the address of the data from its own. That is the host by which the browser
        has come: the name, the IP address or the end of a tunnel.
        """
        options = dict(parse_qsl(query))
        data = f'rerun+http://{host_of(self.headers)}/proxy'
        return '' if options.get('url') == data else f'/?{urlencode({**options, "url": data})}'

    def _send_file(self, path: str) -> None:
        upstream = http.client.HTTPConnection(*self.server.pages, timeout=UPSTREAM_TIMEOUT_SEC)
        try:
            upstream.request('GET', path)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            kept = {name: answer.getheader(name) for name in _KEPT_HEADERS}
            for name, value in {**kept, **_SAFETY_HEADERS}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            if path in FILES[:2]:
                page = _OUTSIDE_LINK.sub(b'', answer.read())
                self.wfile.write(page.replace(b'<head>', b'<head>' + SCRIPT, 1))
            else:
                shutil.copyfileobj(answer, self.wfile)
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # The browser went away, or rerun has ended.
        finally:
            upstream.close()

    def do_POST(self) -> None:
        """Hand the data on, until the browser goes away or rerun ends."""
        length = self.headers.get('Content-Length', '')
        if self.path != READ_MESSAGES:
            self.send_error(404)
        elif self.headers.get('Content-Type') != GRPC_WEB:
            self.send_error(415)
        elif not (length.isascii() and length.isdigit()) or len(length) > 4:
            self.send_error(411)
        elif int(length) > _MAX_REQUEST_BYTES:
            self.send_error(413)
        else:
            body = self.rfile.read(int(length))
            self.server.request_is_read(self.connection)
            self.close_connection = True
            self._stream(body)

    def _stream(self, body: bytes) -> None:
        host, port = self.server.data
        try:
            with socket.create_connection((host, port), UPSTREAM_TIMEOUT_SEC) as upstream:
                upstream.sendall(f'POST {READ_MESSAGES} HTTP/1.1\r\nHost: {host}:{port}\r\n'
                                 f'Content-Type: {GRPC_WEB}\r\nX-Grpc-Web: 1\r\n'
                                 f'Content-Length: {len(body)}\r\nConnection: close\r\n\r\n'
                                 .encode() + body)
                relay(upstream, self.connection, self.server.backlogs)
        except OSError:
            pass  # The browser went away, or rerun has ended.

    def log_message(self, *_) -> None:
        """Say nothing: a request is no news."""
