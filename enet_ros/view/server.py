"""Rerun's web server as a child process, on one address and with bounded memory.

``rerun.serve_grpc`` of the library listens on every address. The program of the same wheel has
``--bind``, so it serves the page and the data here.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import rerun

from enet_ros.view.page import PageServer

START_TIMEOUT_SEC = 60.0
STOP_TIMEOUT_SEC = 5.0
LOOPBACK = '127.0.0.1'
_EVERY_ADDRESS = ('0.0.0.0', '::')

#: Runs the program of the wheel in this process's place, which dies with its parent.
_RUN = ('import ctypes, os, signal, sys; '
        'ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0); '  # PR_SET_PDEATHSIG
        'signal.pthread_sigmask(signal.SIG_SETMASK, set()); '
        'os.getppid() == int(sys.argv[1]) or sys.exit("the parent is gone"); '
        'os.execv(sys.argv[2], sys.argv[2:])')


class ServerError(RuntimeError):
    """The server cannot start, or has ended. The message says why."""


@dataclass(frozen=True)
class Address:
    """Where the server listens.

    Attributes:
        bind: IP address to listen on.
        page_port: TCP port of the page, for the browser.
        data_port: TCP port of the data, for the browser and for this process.
        memory: Greatest memory of the server, such as 256MB. It drops the oldest data then.
    """

    bind: str = LOOPBACK
    page_port: int = 9090
    data_port: int = 9876
    memory: str = '256MB'

    def is_local(self) -> bool:
        """Tell whether only this machine reaches the server."""
        return ipaddress.ip_address(self.bind).is_loopback

    def host(self) -> str:
        """Return the name by which a browser reaches the server."""
        if self.bind in _EVERY_ADDRESS:
            return socket.gethostname()
        return f'[{self.bind}]' if ':' in self.bind else self.bind

    def local_host(self) -> str:
        """Return the name by which this process reaches the server."""
        return LOOPBACK if self.bind in _EVERY_ADDRESS else self.host()

    def data_url(self, host: str) -> str:
        """Return the URL of the data."""
        return f'rerun+http://{host}:{self.data_port}/proxy'

    def page_url(self) -> str:
        """Return the URL to open in a browser."""
        host = self.host()
        return f'http://{host}:{self.page_port}/?url={quote(self.data_url(host), safe="")}'


def checked_address(bind: str, page_port: int, data_port: int, memory: str) -> Address:
    """Return an address whose ports are free; port 0 takes any free one.

    Raises:
        ValueError: The address is no IP address of this machine, or a port is taken or impossible.
    """
    try:
        ipaddress.ip_address(bind)
    except ValueError:
        raise ValueError(f"--bind is '{bind}', wanted an IP address of this machine, such as "
                         f'{LOOPBACK} or 0.0.0.0') from None
    if page_port == data_port != 0:
        raise ValueError(f'--port and --data-port are both {page_port}, wanted two ports')
    return Address(bind, _free_port(bind, '--port', page_port),
                   _free_port(bind, '--data-port', data_port), memory)


def _free_port(bind: str, option: str, port: int) -> int:
    if not 0 <= port <= 65535:
        raise ValueError(f'{option} is {port}, wanted 0 to 65535')
    family = socket.AF_INET6 if ':' in bind else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((bind, port))
        except OSError as error:
            raise ValueError(f'cannot listen on {bind} port {port}: {error.strerror}; choose '
                             f'another with {option}, or {option} 0 for any free one') from error
        return trial.getsockname()[1]


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
        self._own_page_port = _free_port(address.bind, '--port', 0)
        self._settings = tempfile.TemporaryDirectory(prefix='enet_ros_view')
        self._log = tempfile.TemporaryFile('w+')
        self._process = subprocess.Popen(
            [sys.executable, '-c', _RUN, str(os.getpid()), *self._command()], stdout=self._log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **self._without_analytics()})
        try:
            self._wait()
            self._page = PageServer(address.bind, address.page_port,
                                    (address.local_host().strip('[]'), self._own_page_port),
                                    (address.host(),), address.data_port)
        except (ServerError, OSError):
            self.stop()
            raise

    def _command(self) -> list[str]:
        address = self.address
        program = Path(rerun.__file__).resolve().parents[1] / 'rerun_cli' / 'rerun'
        command = [str(program), '--serve-web', '--bind', address.bind,
                   '--port', str(address.data_port), '--web-viewer-port', str(self._own_page_port),
                   '--server-memory-limit', address.memory]
        if not address.is_local():  # The page and the data have two ports: two origins.
            command += ['--cors-allow-origin', f'http://{address.host()}:{address.page_port}']
        return command

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
        for port in (self._own_page_port, self.address.data_port):
            while not self._answers(port):
                self.check()
                if time.monotonic() > deadline:
                    raise ServerError(f'nothing listens on port {port} after '
                                      f'{START_TIMEOUT_SEC:.0f} s; rerun said:\n{self.tail()}')
                time.sleep(0.05)

    def _answers(self, port: int) -> bool:
        try:
            host = self.address.local_host().strip('[]')
            socket.create_connection((host, port), 1.0).close()
            return True
        except OSError:
            return False

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
