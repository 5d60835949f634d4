"""A node in a process of its own whose network fails as a test orders it to.

    python -P test/support/faulty.py ORDER --ros-args ...

ORDER is a file. Before each frame the network looks into it: ``hang`` never returns, ``raise``
fails, ``lost`` fails as a dead CUDA context does, ``greedy`` takes more memory than there is, and
no file or another text changes nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from enet_ros.common.child import python_command

SMALL = ['-p', 'resolution:=[160, 96]', '-p', 'precision:=float32', '-p', 'backend:=openvino',
         '-p', 'output_size:=network', '-p', 'confidence_floor:=0.5',
         '-p', 'diagnostics_period:=0.2']


def follow_orders(path: Path):
    """Let every segmenter of this process look into a file before it runs its network."""
    from enet_ros.backends.openvino import OpenVinoBackend
    infer = OpenVinoBackend.infer

    def obey(*arguments, **options):
        order = path.read_text() if path.is_file() else ''
        if order == 'hang':
            threading.Event().wait()
        if order == 'raise':
            raise RuntimeError('ordered to fail')
        if order == 'lost':
            OpenVinoBackend.is_lost = lambda backend: True
            raise RuntimeError('CUDA error: an illegal memory access was encountered')
        if order == 'greedy':
            bytearray(1 << 46)
        return infer(*arguments, **options)

    OpenVinoBackend.infer = obey


class NodeProcess:
    """A node in a process of its own, and what it said.

    Attributes:
        process: The process.
        order: File with the order for the network; see the top of this module.
    """

    def __init__(self, *arguments, order: Path | None = None, wait: bool = True, **environment):
        self.order = order
        command = ['segment_node'] if order is None else [*python_command(), __file__,
                                                          str(order)]
        self.process = subprocess.Popen(
            [*command, '--ros-args', *SMALL, *arguments], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment})
        self._lines = []
        threading.Thread(target=lambda: self._lines.extend(self.process.stdout),
                         daemon=True).start()
        if wait:
            self.wait_for('subscribed to')

    def said(self) -> str:
        return ''.join(self._lines)

    def wait_for(self, text: str, seconds: float = 120.0):
        deadline = time.monotonic() + seconds
        while text not in self.said():
            assert self.process.poll() is None or text in self.said(), self.said()
            assert time.monotonic() < deadline, f'no {text!r} in: {self.said()}'
            time.sleep(0.02)

    def lives(self) -> bool:
        return self.process.poll() is None

    def close(self):
        self.process.kill()
        self.process.wait()


if __name__ == '__main__':
    from enet_ros.ros.process import StopSignals
    stop = StopSignals()
    follow_orders(Path(sys.argv.pop(1)))
    from enet_ros.ros.segment_node import main
    main(stop)
