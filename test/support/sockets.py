"""Which process listens at which TCP port, by /proc."""

import os
from pathlib import Path


def tree(pid):
    """Return a process and its children."""
    return [pid, *map(int, Path(f'/proc/{pid}/task/{pid}/children').read_text().split())]


def listening(pids):
    """Return the addresses and ports at which some processes listen over TCP."""
    sockets = set()
    for pid in pids:
        for entry in Path(f'/proc/{pid}/fd').iterdir():
            try:
                sockets.add(os.readlink(entry))
            except FileNotFoundError:
                pass  # closed meanwhile
    return {(host, port) for host, port, inode in _listeners() if f'socket:[{inode}]' in sockets}


def anyone_listens(places):
    """Tell whether any process listens at one of some addresses and ports."""
    return bool(set(places) & {(host, port) for host, port, _ in _listeners()})


def _listeners():
    """Yield address, port and inode of all that listens."""
    for path in ('/proc/net/tcp', '/proc/net/tcp6'):
        for line in Path(path).read_text().splitlines()[1:]:
            parts = line.split()
            host, port = parts[1].split(':')
            if parts[3] == '0A':  # LISTEN, include/net/tcp_states.h
                yield _with_dots(host), int(port, 16), parts[9]


def _with_dots(host):
    """Return an IPv4 address of /proc/net/tcp with dots. Others are returned as they are."""
    return '.'.join(map(str, reversed(bytes.fromhex(host)))) if len(host) == 8 else host
