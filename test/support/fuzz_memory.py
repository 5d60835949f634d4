"""Memory for fuzzing: buffers that end at a page without access, and how much one case takes."""

from __future__ import annotations

import ctypes
import mmap
import resource
from pathlib import Path

_PROT_NONE, _PROT_READ, _PROT_READ_WRITE = 0, 1, 3
_libc = ctypes.CDLL(None, use_errno=True)


def protect(address, length, access):
    """Set the access to whole pages.

    Raises:
        OSError: The system refuses it.
    """
    if _libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(length), access):
        raise OSError(ctypes.get_errno(), 'mprotect')


class GuardedBuffer:
    """Read-only memory whose last byte lies before a page that nobody may touch.

    A reader that goes one byte too far ends the process with SIGSEGV, in C and in Python.
    """

    def __init__(self, capacity):
        """Take pages for at most ``capacity`` bytes, and the page without access after them."""
        self._room = -(-capacity // mmap.PAGESIZE) * mmap.PAGESIZE
        self._pages = mmap.mmap(-1, self._room + mmap.PAGESIZE)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._pages))
        protect(self._address + self._room, mmap.PAGESIZE, _PROT_NONE)
        self._view = memoryview(self._pages).toreadonly()

    def hold(self, content):
        """Return a read-only view of a copy of ``content`` that ends at the guard."""
        if len(content) > self._room:
            raise ValueError(f'{len(content)} bytes, wanted at most {self._room}')
        start = self._room - len(content)
        protect(self._address, self._room, _PROT_READ_WRITE)
        self._pages[start:self._room] = content
        protect(self._address, self._room, _PROT_READ)
        return self._view[start:self._room]


class PeakMemory:
    """How much the resident memory of this process grew at most since a moment."""

    def __init__(self):
        """Begin with the memory of now."""
        self._before = 0
        self.start()

    def start(self):
        """Forget the peak so far (proc(5), clear_refs)."""
        Path('/proc/self/clear_refs').write_text('5')
        self._before = _status_kib('VmHWM')

    def grown_mb(self):
        """Return the greatest growth since the start, in MB."""
        return (_status_kib('VmHWM') - self._before) / 1000


def _status_kib(key):
    """Return a number of /proc/self/status, in KiB."""
    with open('/proc/self/status') as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f'{key}:'))


def limit_growth(megabytes):
    """Let further memory above a limit end as a MemoryError instead of a machine that swaps."""
    limit = _status_kib('VmSize') * 1024 + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
