"""Ports of shared memory whose reader was killed while others still write into them.

Fast DDS gives each reader of a machine ports by number. The port 7411 is a file in ``/dev/shm``,
``fastrtps_port7411`` (``fastdds_port7411`` from version 3), and its reader holds
``flock(LOCK_EX)`` on ``fastrtps_port7411_el`` as long as it lives. The process that is started
after a killed one takes the same number. It finds the lock free, deletes the file and makes a new
one of that name (``open_port_internal`` in ``SharedMemGlobal.hpp``), without a word to those who
still have the deleted file open. Their watchdog finds out within two seconds where the killed
reader was waiting for a message or working on one. Where it was between the two, they write into
the deleted file for ever, and the new process gets no frame (issue 5469 of eProsima/Fast-DDS, and
its pull request 4728, which was not merged).

So a node that starts takes other numbers. It holds the locks of such ports, which to Fast DDS are
then in use, and Fast DDS takes the next free number. The kernel releases the locks at the end of
the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

from enet_ros.ros.shared_memory import OPEN_LOCK, SHARED_MEMORY, opened_folder

PROCESSES = Path('/proc')
_PORT = re.compile(r'/(fast(?:rtps|dds)_port[0-9]+)(?: \(deleted\))?$', re.MULTILINE)


def hold_abandoned_ports(folder: Path = SHARED_MEMORY,
                         processes: Path = PROCESSES) -> dict[str, int]:
    """Hold the lock of each port that has no reader while another process has it open.

    The locks are held until the end of the process, or until their descriptors are closed.

    It does not raise. It sees only the processes of this user.

    Args:
        folder: Folder of the shared memory.
        processes: Folder of the process information, as ``/proc``.

    Returns:
        The names of the ports that are held, each with the file descriptor of its lock.
    """
    held = {}
    with opened_folder(folder) as folder_fd:
        for name in _ports_in_use(processes) if folder_fd is not None else ():
            # Only the lock of a single reader counts. A port of many readers has another one, and
            # a lock file of this name beside it would make Fast DDS take it for abandoned.
            with contextlib.suppress(OSError):
                descriptor = os.open(f'{name}_el', OPEN_LOCK, dir_fd=folder_fd)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # Its reader lives.
                    os.close(descriptor)
                else:
                    held[name] = descriptor
    return held


def _ports_in_use(processes: Path) -> list[str]:
    """Return the names of the ports that any process has in its memory, deleted ones too."""
    names = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(processes):
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):  # It has ended, or is of another user.
                    maps = Path(entry.path, 'maps').read_text(errors='replace')
                    names.update(_PORT.findall(maps))
    return sorted(names)
