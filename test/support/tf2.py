"""A stand-in for tf2_ros, which the ROS 2 wheels lack."""

import sys


class Tf2:
    """Stands in for the module, its buffer and its listener. It counts who listens."""

    def __init__(self, monkeypatch):
        self.listening = 0
        monkeypatch.setitem(sys.modules, 'tf2_ros', self)

    def Buffer(self):  # noqa: N802
        return self

    def TransformListener(self, buffer, node):  # noqa: N802
        self.listening += 1
        return self

    def unregister(self):
        self.listening -= 1
