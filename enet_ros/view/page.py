"""Serves Rerun's page without what it would load from the internet.

The page of the wheel asks for fonts, examples, the newest release and a script that counts
visitors, and sends usage statistics. Here the links are taken out, and a
Content-Security-Policy makes the browser refuse every address but this server and the data.
"""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UPSTREAM_TIMEOUT_SEC = 30.0
#: Files of the page. All else is answered by 404.
FILES = ('/', '/index.html', '/favicon.ico', '/apple-touch-icon.png', '/re_viewer.js',
         '/re_viewer_bg.wasm')
_KEPT_HEADERS = ('Content-Type', 'rerun-final-length')  # the latter is for the progress bar
_OUTSIDE_LINK = re.compile(rb'<link\b[^>]*\bhref="https?:[^>]*>')
_HOST_NAME = re.compile(r'[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]')


class PageServer:
    """The page, served by a thread of its own until :meth:`stop`."""

    def __init__(self, bind: str, port: int, upstream: tuple[str, int],
                 data_hosts: tuple[str, ...], data_port: int):
        """Listen.

        Args:
            bind: IP address to listen on.
            port: TCP port.
            upstream: Address and port at which rerun serves its own page.
            data_hosts: Names by which a browser may reach the data.
            data_port: Port of the data.

        Raises:
            OSError: The port is taken.
        """
        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ':' in bind else socket.AF_INET
            daemon_threads = True

        self._server = Server((bind, port), _Page)
        self._server.upstream, self._server.data = upstream, (data_hosts, data_port)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


class _Page(BaseHTTPRequestHandler):
    """Answers one request."""

    def do_GET(self) -> None:
        """Hand a file of the page on."""
        path = self.path.partition('?')[0]
        if path not in FILES:
            self.send_error(404)
            return
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=UPSTREAM_TIMEOUT_SEC)
        try:
            upstream.request('GET', path)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name in _KEPT_HEADERS:
                if value := answer.getheader(name):
                    self.send_header(name, value)
            self.send_header('Content-Security-Policy', self._policy())
            self.send_header('X-DNS-Prefetch-Control', 'off')
            self.end_headers()
            if path in FILES[:2]:
                self.wfile.write(_OUTSIDE_LINK.sub(b'', answer.read()))
            else:
                shutil.copyfileobj(answer, self.wfile)
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # The browser went away, or rerun has ended.
        finally:
            upstream.close()

    def _policy(self) -> str:
        hosts, port = self.server.data
        named = _HOST_NAME.match(self.headers.get('Host', ''))  # such as that of a tunnel
        hosts = dict.fromkeys([*hosts, *([named.group()] if named else [])])
        data = ' '.join(f'http://{host}:{port}' for host in hosts)
        return ("default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; "
                "style-src 'unsafe-inline'; img-src 'self' data: blob:; font-src data:; "
                f"worker-src 'self' blob:; connect-src 'self' data: blob: {data}; "
                "base-uri 'none'; form-action 'none'")

    def log_message(self, *_) -> None:
        """Say nothing: a request is no news."""
