"""The walk: steps by chance, and the ways to a state in which nodes are compared."""

from __future__ import annotations

import random

from support.walk import frames, values
from support.walk.expected import ACTIVE, INACTIVE, Expected
from support.walk.outside import Outside
from support.walk.process import ProbedProcess, WalkFailed
from support.walk.requests import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE, SHUTDOWN, Requests
from support.walk.sender import CAMERAS, Sender
from support.walk.world import World

from enet_ros.ros.outputs import OUTPUTS

#: What the warm-up goes through: backend, precision, resolution, threads. A runtime keeps what it
#: made for a precision, a resolution or a number of threads, such as a pool of threads.
NETWORKS = [('openvino', 'bfloat16', values.SMALL, 0), ('openvino', 'float32', values.OTHER, 0),
            *((backend, 'float32', values.SMALL, threads)
              for backend in ('openvino', 'torch') for threads in values.THREADS)]


class Walk:
    """One node and the world around it, walked step by step.

    Attributes:
        node: The process of the node.
        expected: What the node has to be.
        requests, sender, world: What a step does.
    """

    def __init__(self, seed):
        """Start a node, which is unconfigured.

        Args:
            seed: Number that decides every step.
        """
        self._seed = seed
        self.node = ProbedProcess(CAMERAS, values.SMALL)
        self._outside = Outside(CAMERAS)
        self.expected = Expected(self._outside.parameters(self.node.check))
        self.requests = Requests(self._outside, self.node, self.expected)
        self.sender = Sender(self._outside, self.node, self.expected)
        self.world = World(self._outside, self.sender)
        requests, sender, world = self.requests, self.sender, self.world
        self._weights = {requests.change_by_chance: 28, requests.set_by_chance: 26,
                         requests.set_together: 6, requests.set_back: 4,
                         requests.burst: 4, sender.send_by_chance: 18,
                         sender.send_bad: 8, sender.send_info: 4, world.move_camera: 4,
                         world.toggle_stream: 3, world.toggle_subscriber: 5}

    def step(self, number):
        """Do a step, check the node, and return a line that says what was done."""
        walk = random.Random(f'{self._seed}/{number}')
        do = walk.choices(list(self._weights), list(self._weights.values()))[0]
        line = do(walk)
        self.requests.check()
        return f'{line}; {self.expected.label}'

    def go_home(self):
        """Take the node to unconfigured, with the values of its start."""
        self.world.stop_stream()
        ways = {ACTIVE: (DEACTIVATE, CLEANUP), INACTIVE: (CLEANUP,)}
        for number in ways.get(self.expected.state, ()):
            self.requests.change(number)
        if changes := self.expected.changed_values():
            self.requests.request(changes, atomically=False)
        self.requests.check()

    def warm_up(self):
        """Go through every state and network once, and through every encoding and output."""
        self._make_every_output()
        for backend, precision, size, threads in NETWORKS:
            self.requests.request([('backend', backend), ('precision', precision),
                                   ('resolution', list(size)), ('threads', threads)],
                                  atomically=True)
            self.requests.change(CONFIGURE)
            if self.expected.state == INACTIVE:  # The processor may lack bfloat16.
                self.requests.change(ACTIVATE)
                self.sender.send_good('front', frames.SIZES[0], 0)
                self.sender.send_good('rear', frames.SIZES[1], 1)
            self.go_home()

    def _make_every_output(self):
        """Let the node make every output once. OpenCV starts its threads when one is large."""
        self.requests.request([('ground.pose', 'parameters')], atomically=False)
        self.requests.change(CONFIGURE)
        self.requests.change(ACTIVATE)
        self._toggle_every_output()
        for camera in CAMERAS:
            self.sender.send_calibration(camera, 'good')
            for encoding in frames.ENCODINGS:
                self.sender.send_good(camera, frames.SIZES[0], 0, encoding)
        self._toggle_every_output()
        self.go_home()

    def _toggle_every_output(self):
        for camera in CAMERAS:
            for output in OUTPUTS:
                self._outside.toggle_subscriber(output, camera)

    def shut_down(self):
        """Finalize the node, after which it refuses everything, and end its process."""
        self.requests.change(SHUTDOWN[self.expected.state])
        for number in range(9):
            self.requests.change(number)
        self.requests.check()
        code = self.node.stop()
        if code != 0:
            raise WalkFailed(f'the process ended with exit code {code}:\n{self.node.tail()}')

    def close(self):
        """Leave the graph, and end what still runs."""
        self.world.stop_stream()
        self._outside.close()
        self.node.stop()

    def held(self):
        """Return what the node holds now, and its memory in MB, once its threads have ended."""
        held = {**self.node.counts(), **{f'graph: {key}': count for key, count
                                         in self._outside.graph().items()}}
        return held, self.node.rss_mb()
