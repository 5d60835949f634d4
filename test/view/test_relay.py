"""How the data of the viewer get to pages of different speed. No rerun."""

import socket
import threading

import pytest

from enet_ros.view import relay

PIECE = bytes(range(256)) * 256


@pytest.fixture
def pages():
    """Start the relay of a page: return rerun's end, that of the page, and the thread."""
    ends, backlogs = [], relay.Backlogs(1 << 20)

    def start():
        upstream, client = socket.socketpair(), socket.socketpair()
        ends.extend(upstream + client)

        def serve():
            with upstream[1], client[0]:
                relay.relay(upstream[1], client[0], backlogs)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        client[1].settimeout(10)
        return upstream[0], client[1], thread

    yield start
    for end in ends:
        end.close()


def test_a_page_that_is_slow_for_a_moment_gets_every_byte_in_order(pages):
    upstream, client, _ = pages()
    for _ in range(12):
        upstream.sendall(PIECE)  # It does not wait for the page.
    received = b''
    while len(received) < 12 * len(PIECE):
        received += client.recv(1000)
    assert received == 12 * PIECE


def test_the_page_that_is_farthest_behind_is_given_up(pages):
    (first, _, first_thread), (second, client, second_thread) = pages(), pages()
    second.sendall(4 * PIECE)
    for _ in range(40):
        try:
            first.sendall(PIECE)
        except (BrokenPipeError, ConnectionResetError):
            break  # It is closed, as it should be.
    first_thread.join(10)
    assert not first_thread.is_alive() and second_thread.is_alive()
    second.sendall(4 * PIECE)
    count = 0
    while count < 8 * len(PIECE):
        count += len(client.recv(1 << 20))


def test_a_page_that_takes_nothing_for_long_is_given_up(pages, monkeypatch):
    monkeypatch.setattr(relay, 'STALLED_SEC', 0.3)
    upstream, _, thread = pages()
    upstream.sendall(12 * PIECE)
    thread.join(10)
    assert not thread.is_alive()
