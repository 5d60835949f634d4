"""Rerun's web server as a hidden child process with bounded memory, and the page before it.

``rerun.serve_grpc`` of the library listens on every address. The program of the same wheel has
``--bind``. It answers every web page of https://rerun.io and of local servers, and checks no
``Host``. So it listens where no page finds it, and :mod:`enet_ros.view.page` stands before it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import rerun

from enet_ros.common.child import tied_to_parent
from enet_ros.view.page import PageServer

START_TIMEOUT_SEC = 60.0
STOP_TIMEOUT_SEC = 5.0
MIN_BACKLOG_BYTES = 64 * 2**20  # rerun keeps the layout and the legend beyond its limit
LOOPBACK = '127.0.0.1'
_EVERY_ADDRESS = ('0.0.0.0', '::')
#: What rerun reads as memory.
_SIZE = re.compile(r'([1-9][0-9]{0,5}(?:\.[0-9]{1,3})?)([kMGT]B|[KMGT]iB)|([1-9][0-9]?|100)%')


class ServerError(RuntimeError):
    """The server cannot start, or has ended. The message says why."""


@dataclass(frozen=True)
class Address:
    """Where the server listens.

    Attributes:
        bind: IP address to listen on.
        port: TCP port of the page and its data.
        memory: Greatest memory of the server, such as 256MB. It drops the oldest data then.
    """

    bind: str = LOOPBACK
    port: int = 9090
    memory: str = '256MB'

    def is_local(self) -> bool:
        """Tell whether only this machine reaches the server."""
        return ipaddress.ip_address(self.bind).is_loopback

    def host(self) -> str:
        """Return the name by which a browser reaches the server."""
        if self.bind in _EVERY_ADDRESS:
            return socket.gethostname()
        return f'[{self.bind}]' if ':' in self.bind else self.bind

    def page_url(self) -> str:
        """Return the URL to open in a browser."""
        return f'http://{self.host()}:{self.port}/'


def checked_address(bind: str, port: int, memory: str) -> Address:
    """Return an address whose port is free; port 0 takes any free one.

    Raises:
        ValueError: The address is no IP address of this machine, the port is taken or impossible,
            or the memory is no size.
    """
    try:
        ipaddress.ip_address(bind)
    except ValueError:
        raise ValueError(f"--bind is '{bind}', wanted an IP address of this machine, such as "
                         f'{LOOPBACK} or 0.0.0.0') from None
    if not _SIZE.fullmatch(memory):
        raise ValueError(f"--memory is '{memory}', wanted a size such as 256MB, 1.5GiB or 25%")
    if not 0 <= port <= 65535:
        raise ValueError(f'--port is {port}, wanted 0 to 65535')
    try:
        return Address(bind, _free_port(bind, port), memory)
    except OSError as error:
        raise ValueError(f'cannot listen on {bind} port {port}: {error.strerror}; choose '
                         'another with --port, or --port 0 for any free one') from error


def memory_bytes(memory: str) -> int:
    """Return a size as rerun reads it, such as 256MB or 25% of this machine, in bytes."""
    number, unit, percent = _SIZE.fullmatch(memory).groups()
    if percent:
        return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') * int(percent) // 100
    power = 'KMGT'.index(unit[0].upper()) + 1
    return int(float(number) * (1024 if 'i' in unit else 1000) ** power)


def _free_port(bind: str, port: int = 0) -> int:
    family = socket.AF_INET6 if ':' in bind else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((bind, port))
        return trial.getsockname()[1]


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1.0).close()
        return True
    except OSError:
        return False


def _hidden_loopback() -> str:
    """Return one of the 16 million addresses by which Linux reaches itself, at random.

    With a random port, a web page that tries addresses needs 2**39 attempts to find rerun.
    """
    return '.'.join(('127', *(str(1 + secrets.randbelow(254)) for _ in range(3))))


class ViewServer:
    """The server, from its start until :meth:`stop`."""

    def __init__(self, address: Address):
        """Start it, and wait until it listens.

        Args:
            address: Where to listen.

        Raises:
            ServerError: It ended, or did not listen in time.
        """
        self.address = address
        self._page: PageServer | None = None
        self._settings = tempfile.TemporaryDirectory(prefix='enet_ros_view')
        self._log = tempfile.TemporaryFile('w+')
        host = _hidden_loopback()
        self._data, self._pages = (host, _free_port(host)), (host, _free_port(host))
        self._process = subprocess.Popen(
            tied_to_parent(self._command(), signal.SIGKILL), stdout=self._log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **self._without_analytics()})
        try:
            self._wait()
            self._page = PageServer(address.bind, address.port, self._pages, self._data,
                                    max(2 * memory_bytes(address.memory), MIN_BACKLOG_BYTES))
        except (ServerError, OSError):
            self.stop()
            raise

    @property
    def data_url(self) -> str:
        """Return the URL to which this process sends what is drawn."""
        host, port = self._data
        return f'rerun+http://{host}:{port}/proxy'

    def _command(self) -> list[str]:
        program = Path(rerun.__file__).resolve().parents[1] / 'rerun_cli' / 'rerun'
        return [str(program), '--serve-web', '--bind', self._data[0],
                '--port', str(self._data[1]), '--web-viewer-port', str(self._pages[1]),
                '--server-memory-limit', self.address.memory]

    def _without_analytics(self) -> dict[str, str]:
        """Return an environment in which Rerun's usage statistics are off."""
        folder, data = Path(self._settings.name, 'rerun'), Path(self._settings.name, 'data')
        folder.mkdir()
        config = folder / 'analytics.json'
        config.write_text(json.dumps({
            'analytics_enabled': False, 'analytics_id': '', 'metadata': {},
            'config_file_path': str(config), 'data_dir_path': str(data)}))
        return {'XDG_CONFIG_HOME': self._settings.name, 'XDG_DATA_HOME': str(data)}

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SEC
        for host, port in (self._pages, self._data):
            while not _answers(host, port):
                self.check()
                if time.monotonic() > deadline:
                    raise ServerError(f'rerun does not listen on {host}:{port} after '
                                      f'{START_TIMEOUT_SEC:.0f} s; rerun said:\n{self.tail()}')
                time.sleep(0.05)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise a ServerError if the server has ended."""
        code = self._process.poll()
        if code is not None:
            raise ServerError(f'the web server of rerun ended with exit code {code}; it said:\n'
                              f'{self.tail()}')

    def tail(self) -> str:
        """Return the last lines that the server wrote."""
        self._log.seek(0)
        return ''.join(self._log.readlines()[-10:]).rstrip()

    def stop(self) -> None:
        """End the server."""
        if self._page is not None:
            self._page.stop()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_SEC)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
        self._settings.cleanup()
