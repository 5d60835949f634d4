"""Hands Rerun's data on to pages, so that a slow page holds up no other.

Rerun sends every message to all who read, and waits for the slowest of them once 128 MiB or 1024
messages lie before it. So what rerun sends is read at once. What a page does not take yet waits
here, in a memory that all pages share.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque

STALLED_SEC = 60.0  # after which a page that reads no data is cut off


class Backlogs:
    """How much waits for each page, within a limit for all of them."""

    def __init__(self, max_bytes: int):
        """Let at most ``max_bytes`` wait, and the last piece that was read."""
        self._max_bytes = max_bytes
        self._waiting_bytes: dict[socket.socket, int] = {}

    def set(self, client: socket.socket, waiting_bytes: int) -> None:
        """Note how much waits for a page; 0 once it has all, or has gone."""
        if waiting_bytes:
            self._waiting_bytes[client] = waiting_bytes
        else:
            self._waiting_bytes.pop(client, None)

    def has_to_go(self, client: socket.socket) -> bool:
        """Tell whether too much waits, and most of it for this page."""
        own_bytes = self._waiting_bytes.get(client, 0)
        others = list(self._waiting_bytes.values())  # Other threads change the dict.
        return sum(others) > self._max_bytes and own_bytes >= max(others)


class _Backlog:
    """What one page has not taken yet."""

    def __init__(self, client: socket.socket):
        self._client, self._pieces = client, deque()
        self.waiting_bytes = 0
        self._taken_sec = time.monotonic()

    def add(self, piece: bytes) -> None:
        """Let a piece wait behind the others."""
        if not self._pieces:
            self._taken_sec = time.monotonic()
        self._pieces.append(piece)
        self.waiting_bytes += len(piece)

    def send(self) -> None:
        """Send as much as the page takes."""
        try:
            while self._pieces:
                piece = self._pieces[0]
                sent = self._client.send(piece)
                self.waiting_bytes -= sent
                self._taken_sec = time.monotonic()
                if sent < len(piece):
                    self._pieces[0] = memoryview(piece)[sent:]
                else:
                    self._pieces.popleft()
        except BlockingIOError:
            pass

    def is_stalled(self) -> bool:
        """Tell whether the page has taken nothing for too long."""
        return bool(self._pieces) and time.monotonic() - self._taken_sec > STALLED_SEC


def relay(upstream: socket.socket, client: socket.socket, backlogs: Backlogs) -> None:
    """Copy an answer as it is, until its end or that of the client, which asks no more.

    A client that stalls, or that is farthest behind when too much waits, is given up. So is what
    a slow one has not taken when rerun ends: the page loads anew then.
    """
    client.setblocking(False)
    backlog = _Backlog(client)
    with selectors.DefaultSelector() as ready:
        for end in (upstream, client):
            ready.register(end, selectors.EVENT_READ)
        try:
            while not (backlogs.has_to_go(client) or backlog.is_stalled()):
                events = {key.fileobj: mask for key, mask in ready.select(
                    STALLED_SEC if backlog.waiting_bytes else None)}
                if events.get(client, 0) & selectors.EVENT_READ:
                    return
                if upstream in events:
                    data = upstream.recv(1 << 16)
                    if not data:
                        return
                    backlog.add(data)
                backlog.send()
                backlogs.set(client, backlog.waiting_bytes)
                ready.modify(client, selectors.EVENT_READ | (
                    selectors.EVENT_WRITE if backlog.waiting_bytes else 0))
        finally:
            backlogs.set(client, 0)
