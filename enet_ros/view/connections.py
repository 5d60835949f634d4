"""An HTTP server that strangers cannot exhaust: bounded connections, and a deadline for requests.

Each connection has a thread and carries one request.
"""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_CONNECTIONS = 32
REQUEST_TIMEOUT_SEC = 10.0  # for a whole request, and for each piece of an answer


class BoundedServer(ThreadingHTTPServer):
    """Closes connections above MAX_CONNECTIONS, and those whose request does not come."""

    daemon_threads = True

    def __init__(self, bind: str, port: int, handler: type[BaseHTTPRequestHandler]):
        """Listen.

        Args:
            bind: IP address.
            port: TCP port.
            handler: Answers one request. It calls :meth:`request_is_read`.

        Raises:
            OSError: The port is taken.
        """
        self.address_family = socket.AF_INET6 if ':' in bind else socket.AF_INET
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._since_sec: dict[socket.socket, float] = {}  # of connections without a request yet
        super().__init__((bind, port), handler)

    def request_is_read(self, connection: socket.socket) -> None:
        """Let a connection live on, since its request has come."""
        self._since_sec.pop(connection, None)

    def process_request(self, request: socket.socket, client_address) -> None:
        """Start a thread for a connection, or close it."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._since_sec[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # The system gives no thread.
            self._since_sec.pop(request, None)
            self._places.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: socket.socket, client_address) -> None:
        """Answer, and make room for another connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._since_sec.pop(request, None)
            self._places.release()

    def service_actions(self) -> None:
        """End connections that are late. The server calls this twice a second."""
        now_sec = time.monotonic()
        for connection, since_sec in list(self._since_sec.items()):
            if now_sec - since_sec > REQUEST_TIMEOUT_SEC:
                self._since_sec.pop(connection, None)
                try:
                    connection.shutdown(socket.SHUT_RDWR)  # Its thread reads the end, and closes.
                except OSError:
                    pass  # It has ended by itself.

    def handle_error(self, request: socket.socket, client_address) -> None:
        """Say nothing: a browser that goes away is no news."""
