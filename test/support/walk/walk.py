"""The walk: steps by chance, and what has to hold after each of them."""

from __future__ import annotations

import random
import threading
import time

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from enet_ros.ros.outputs import OUTPUTS
from support.walk import frames, values
from support.walk.outside import Outside
from support.walk.process import ProbedProcess, WalkFailed

CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4
UNCONFIGURED, INACTIVE, ACTIVE, FINALIZED = 1, 2, 3, 4
STATES = {1: 'unconfigured', 2: 'inactive', 3: 'active', 4: 'finalized'}
#: (state, transition) -> state, for every transition that the design of ROS 2 allows
ALLOWED = {(UNCONFIGURED, CONFIGURE): INACTIVE, (INACTIVE, CLEANUP): UNCONFIGURED,
           (INACTIVE, ACTIVATE): ACTIVE, (ACTIVE, DEACTIVATE): INACTIVE,
           (UNCONFIGURED, 5): FINALIZED, (INACTIVE, 6): FINALIZED, (ACTIVE, 7): FINALIZED}
SHUTDOWN = {UNCONFIGURED: 5, INACTIVE: 6, ACTIVE: 7}
IMPOSSIBLE = [0, 8, 9, 10, 11, 15, 30, 31, 40, 50, 60, 61, 62, 99, 200, 255]

CAMERAS = ('front', 'rear')
FRAME_SEC, TRIES = 3.0, 10   # A best-effort frame may be lost on a busy machine.
FORGET_SEC = 5.0             # after which no frame with the settings before is on its way
STREAM_HZ = 5.0
LEAST_EQUAL = 0.995          # of the labels; threads of the network may round differently
#: What the warm-up goes through: backend, precision, resolution.
NETWORKS = [('openvino', 'float32', values.SMALL), ('openvino', 'bfloat16', values.SMALL),
            ('openvino', 'float32', values.OTHER), ('torch', 'float32', values.SMALL)]


class Walk:
    """One node and the world around it, walked step by step.

    Attributes:
        state: State that the node has to be in.
        resent: Number of good frames that were sent once more, since no mask came.
    """

    def __init__(self, seed, *, node=None):
        """Start a node that is unconfigured.

        Args:
            seed: Number that decides every step.
            node: A started :class:`ProbedProcess`, or None to start one.
        """
        self.seed, self.state, self.resent = seed, UNCONFIGURED, 0
        self.node = node or ProbedProcess(CAMERAS, values.SMALL)
        self._outside = Outside(CAMERAS)
        self._outside.on_pair = self._judge_pair
        self._bad_stamps: set[int] = set()
        self._loose_until_sec = 0.0  # while votes or closed holes may differ from the labels
        self._last_stamp_ns = 0
        self._stamp_lock = threading.Lock()
        self._stream_stop: threading.Event | None = None
        self.values = self._outside.parameters(self.node.check)
        self._start_values = dict(self.values)
        self._class_maps = {}

    # What a step does. Each returns a line that says what was done.

    def step(self, number):
        """Do a step, check the node, and return a line that says what was done."""
        walk = random.Random(f'{self.seed}/{number}')
        kinds = {self._change: 28, self._set: 26, self._set_together: 6, self._send_good: 18,
                 self._send_bad: 8, self._send_info: 4, self._move_camera: 4,
                 self._toggle_stream: 3, self._toggle_subscriber: 5, self._burst: 4}
        do = walk.choices(list(kinds), list(kinds.values()))[0]
        line = do(walk)
        self.check()
        return f'{line}; {STATES[self.state]}'

    def _change(self, walk):
        possible = [number for state, number in ALLOWED if state == self.state and number < 5]
        number = (walk.choice(possible) if walk.random() < 0.6 else
                  walk.choice([*range(1, 5), *IMPOSSIBLE]))
        return self.change(number)

    def change(self, number):
        """Ask for a transition, and check the answer."""
        target = ALLOWED.get((self.state, number))
        reason = self._refusal() if target == INACTIVE and number == CONFIGURE else ''
        answer = self._outside.end(self._outside.request_change(number), f'transition {number}',
                                   self.node.check).success
        if answer != (target is not None and not reason):
            raise WalkFailed(f'transition {number} from {STATES[self.state]} was answered '
                             f'{answer}; {reason or "no reason is known"}')
        if answer:
            self._enter(target)
        return f'transition {number}: {answer}'

    def _enter(self, state):
        """Note that the node is in another state."""
        if state == INACTIVE and self.state == UNCONFIGURED:
            self._declared_class_map()
        if state in (UNCONFIGURED, FINALIZED):
            self.values = {name: value for name, value in self.values.items()
                           if not name.startswith('class_map.')}
        self.state = state

    def _declared_class_map(self):
        """Expect the class map of the weights, whose rows configure declares."""
        now = self._outside.parameters(self.node.check)
        self.values.update({name: value for name, value in now.items()
                            if name.startswith('class_map.')})

    def _refusal(self):
        """Return why configure has to fail, or ''."""
        if self.values['scan.range_min'] >= self.values['scan.range_max']:
            return 'scan.range_min is beyond scan.range_max'
        return self._reference().refusal

    def _reference(self):
        return frames.reference(self.values['weights'], tuple(self.values['resolution']),
                                self.values['backend'], self.values['precision'])

    def _set(self, walk):
        return self._request([values.choose(walk, refused=walk.random() < 0.4)], atomically=False)

    def _set_together(self, walk):
        changes = [values.choose(walk, refused=walk.random() < 0.3) for _ in range(3)]
        changes = list(dict(reversed(changes)).items())
        return self._request(changes, atomically=walk.random() < 0.5)

    def _request(self, changes, *, atomically):
        """Set parameters, one by one or all or none, and check the answers."""
        before = dict(self.values)
        self._loosen(changes)
        result = self._outside.end(self._outside.request_set(changes, atomically=atomically),
                                   'set_parameters', self.node.check)
        answers = ([result.result] * len(changes) if atomically else result.results)
        taken = [self._is_taken(name, value) for name, value in changes]
        if atomically:
            taken = [all(taken) and self._fit_together(changes)] * len(changes)
        for (name, value), is_taken, answer in zip(changes, taken, answers):
            if answer.successful != is_taken:
                raise WalkFailed(f'{name} = {value!r} was answered {answer}, wanted {is_taken} '
                                 f'while {STATES[self.state]}')
            if not answer.successful and not 10 < len(answer.reason) < 1000:
                raise WalkFailed(f'{name} = {value!r}: no reason was given: {answer.reason!r}')
            if answer.successful:
                self.values[name] = value
        if not any(taken) and self.values != before:
            raise WalkFailed('the walk itself is wrong')
        return f'{"all or none of " if atomically else ""}' + ', '.join(
            f'{name} = {value!r}: {answer}' for (name, value), answer in zip(changes, taken))

    def _is_taken(self, name, value):
        if name == 'scan.range_max' and self.state != UNCONFIGURED:
            return self.values['scan.range_min'] < value if name in values.ANY_TIME and \
                value in values.ANY_TIME[name] else False
        return values.is_taken(name, value, configured=self.state != UNCONFIGURED,
                               current=self.values)

    def _fit_together(self, changes):
        """Tell whether the scan's two ranges still fit while the node is configured."""
        new = {**self.values, **dict(changes)}
        return self.state == UNCONFIGURED or new['scan.range_min'] < new['scan.range_max']

    def _loosen(self, changes):
        """Judge masks less strictly while votes or closed holes may be in them."""
        names = {'drivable.majority': 1, 'drivable.max_hole': 0.0, values.PAVEMENT: False}
        if any(name in names for name, _ in changes) or any(
                self.values.get(name, plain) != plain for name, plain in names.items()):
            self._loose_until_sec = time.monotonic() + FORGET_SEC

    def next_stamp_ns(self):
        """Return a stamp of now that no frame has had."""
        with self._stamp_lock:
            now_ns = self._outside.node.get_clock().now().nanoseconds
            self._last_stamp_ns = max(now_ns, self._last_stamp_ns + 1)
            return self._last_stamp_ns

    def _topic(self, camera):
        if self.values['image_transport'] == 'raw':
            return Image, f'/{camera}/image'
        return CompressedImage, f'/{camera}/image/compressed'

    def _send_good(self, walk):
        camera, size, number = walk.choice(CAMERAS), walk.choice(frames.SIZES), walk.randrange(6)
        encoding = walk.choice(frames.ENCODINGS)
        if encoding == 'nv12' and size[1] % 2 or self.values['image_transport'] != 'raw':
            encoding = 'rgb8'
        if self.values['bit_depth'] not in (0, 16) and encoding == 'rgb16':
            encoding = 'rgb8'  # Its 16 bits would be taken for fewer.
        return self.send_good(camera, size, number, encoding)

    def send_good(self, camera, size, number, encoding='rgb8'):
        """Send a good frame; while the node is active, wait for its labels and judge them."""
        kind, topic = self._topic(camera)
        what = f'good frame {size[0]}x{size[1]} {encoding} {number} on {topic}'
        rgb = frames.street(size, number)
        self._loosen([])
        for attempt in range(TRIES if self.state == ACTIVE else 1):
            stamp_ns = self.next_stamp_ns()
            message, meant = (frames.good_frame(rgb, encoding, stamp_ns) if kind is Image else
                              frames.good_file(rgb, stamp_ns))
            if self.state != ACTIVE:
                if self.state == INACTIVE:
                    self._outside.publish(kind, topic, message)
                return what
            self._outside.publish(kind, topic, message)
            deadline = time.monotonic() + FRAME_SEC
            while time.monotonic() < deadline:
                pair = self._outside.pairs.get((camera, stamp_ns), {})
                if len(pair) == 2:
                    self._judge_good((size, number, encoding, kind), size, meant, pair)
                    self.resent += attempt
                    return what + (f', sent {attempt + 1} times' if attempt else '')
                self.node.check()
                time.sleep(0.002)
        raise WalkFailed(f'{what}: no mask came for any of {TRIES} frames')

    def _judge_good(self, key, size, meant, pair):
        """Compare labels and mask with those of the network in this process."""
        labels, mask = (np.frombuffer(pair[name].data, np.uint8).reshape(
            pair[name].height, pair[name].width) for name in ('labels', 'drivable_mask'))
        out = size if self.values['output_size'] == 'input' else None
        right = self._reference().labels(key, meant, self.values['rotate'], out)
        if labels.shape != right.shape:
            raise WalkFailed(f'the labels are {labels.shape}, wanted {right.shape}')
        if self.values['suspect_frames'] == 'unknown' and (labels == 255).all():
            right = labels
        equal = float(np.mean(labels == right))
        if equal < LEAST_EQUAL:
            raise WalkFailed(f'only {100 * equal:.2f} % of the labels are right')
        settings = self.values
        plain = (settings['confidence_floor'] == 0.0 and not settings['drivable.connected']
                 and settings['drivable.min_area'] == 0.0
                 and time.monotonic() > self._loose_until_sec)
        if plain and not np.array_equal(mask == 255, self._drivable()[labels]):
            raise WalkFailed('the mask differs from the drivable labels')

    def _drivable(self):
        """Return which label is drivable, (256,) bool."""
        lut = np.zeros(256, bool)
        class_map = self._reference().class_map
        lut[:len(class_map)] = class_map.drivable
        if values.PAVEMENT in self.values:
            lut[class_map.names.index('Pavement')] = self.values[values.PAVEMENT]
        return lut

    def _judge_pair(self, camera, stamp_ns, labels, mask):
        """Judge every pair that comes, in the thread that receives."""
        if stamp_ns in self._bad_stamps:
            self._outside.problems.append(f'a mask came for a bad frame of {camera}')
        if not set(np.unique(mask)) <= {0, 255}:
            self._outside.problems.append(f'a mask has the values {np.unique(mask)}')
        is_loose = time.monotonic() < self._loose_until_sec
        unseen = labels == 255 if is_loose else ~self._drivable()[labels]
        if (mask[unseen] != 0).any():
            self._outside.problems.append(
                f'a mask of {camera} calls {np.count_nonzero(mask[unseen])} pixels free that its '
                'labels do not')

    def _send_bad(self, walk):
        camera = walk.choice(CAMERAS)
        kind, topic = self._topic(camera)
        damage = walk.choice(frames.BAD_KINDS if kind is Image else frames.BAD_FILES)
        stamp_ns = self.next_stamp_ns()
        self._bad_stamps.add(stamp_ns)
        if self.state != UNCONFIGURED:
            make = frames.bad_frame if kind is Image else frames.bad_file
            self._outside.publish(kind, topic, make(damage, stamp_ns))
        return f'bad frame ({damage}) on {topic}'

    def _send_info(self, walk):
        camera, kind = walk.choice(CAMERAS), walk.choice(['good', 'zero', 'nan', 'infinite', 'odd'])
        if self.state != UNCONFIGURED:
            self._outside.publish(CameraInfo, f'/{camera}/camera_info',
                                  frames.camera_info(kind, self.next_stamp_ns()))
        return f'camera_info ({kind}) of {camera}'

    def _move_camera(self, walk):
        camera = walk.choice(CAMERAS)
        kind, topic = self._topic(camera)
        if walk.random() < 0.5:
            self._outside.leave(topic)
            return f'the camera of {topic} goes'
        self._outside.come(kind, topic, walk)
        return f'a camera comes on {topic}'

    def _toggle_subscriber(self, walk):
        return self._outside.toggle_subscriber(walk.choice([*OUTPUTS, None]),
                                               walk.choice(CAMERAS))

    def _toggle_stream(self, walk):
        """Start or stop a camera of its own that sends to rear whatever the node does."""
        if self._stream_stop is not None:
            self._stop_stream()
            return 'the stream on /rear/image stops'
        self._stream_stop = threading.Event()
        threading.Thread(target=self._stream, args=(self._stream_stop,), daemon=True).start()
        return 'a stream on /rear/image starts'

    def _stop_stream(self):
        if self._stream_stop is not None:
            self._stream_stop.set()
        self._stream_stop = None

    def _stream(self, stop):
        publisher, number = self._outside.node.create_publisher(Image, '/rear/image', 1), 0
        while not stop.wait(1.0 / STREAM_HZ):
            number += 1
            publisher.publish(frames.good_frame(
                frames.street(frames.SIZES[0], number % 6), 'bgr8', self.next_stamp_ns())[0])
        self._outside.node.destroy_publisher(publisher)

    def _burst(self, walk):
        """Ask for several things at once. Their answers have to fit the order of the requests."""
        numbers = [walk.choice([1, 2, 3, 4, 3, 99]) for _ in range(4)]
        change = [('overlay_opacity', walk.choice([0.25, 0.75, values.NAN]))]
        futures = [self._outside.request_change(number) for number in numbers]
        setting = self._outside.request_set(change, atomically=False)
        answers = [self._outside.end(future, 'a burst', self.node.check).success
                   for future in futures]
        is_set = self._outside.end(setting, 'a burst', self.node.check).results[0].successful
        for number, answer in zip(numbers, answers):
            target = ALLOWED.get((self.state, number))
            if answer and target is None:
                raise WalkFailed(f'transition {number} was answered True in the state '
                                 f'{STATES[self.state]} of the burst {numbers}: {answers}')
            if answer:
                self._enter(target)
        if is_set != (change[0][1] == change[0][1]):
            raise WalkFailed(f'{change} was answered {is_set} in a burst')
        self.values.update(change if is_set else [])
        if self.state != UNCONFIGURED:
            self._declared_class_map()
        return f'burst {numbers}: {answers}, {change}: {is_set}'

    # What has to hold.

    def check(self):
        """Check that the node answers, is where it has to be, and has the values that it has to.

        Raises:
            WalkFailed: It does not.
        """
        self.node.check()
        state = self._outside.state(self.node.check)
        if state != self.state:
            raise WalkFailed(f'the node is {state}, wanted {self.state} ({STATES[self.state]})')
        now = self._outside.parameters(self.node.check)
        differing = {name: (now.get(name), self.values.get(name))
                     for name in now.keys() | self.values.keys()
                     if now.get(name) != self.values.get(name)
                     and not name.startswith('qos_overrides.')}
        if differing:
            raise WalkFailed(f'parameters (node, wanted): {differing}')
        if self._outside.problems:
            raise WalkFailed('; '.join(self._outside.problems))

    # The way to a state, and what is held there.

    def go_home(self):
        """Take the node to unconfigured, with the values of its start."""
        self._stop_stream()
        for number in {ACTIVE: (DEACTIVATE, CLEANUP), INACTIVE: (CLEANUP,)}.get(self.state, ()):
            self.change(number)
        changes = [(name, value) for name, value in self._start_values.items()
                   if self.values.get(name) != value]
        if changes:
            self._outside.end(self._outside.request_set(changes, atomically=False), 'home',
                              self.node.check)
            self.values.update(changes)
        self._loose_until_sec = time.monotonic() + FORGET_SEC
        self.check()

    def warm_up(self):
        """Go through every state and precision once, with a frame each."""
        for backend, precision, size in NETWORKS:
            self._request([('backend', backend), ('precision', precision),
                           ('resolution', list(size))], atomically=True)
            self.change(CONFIGURE)
            if self.state == INACTIVE:  # The processor may lack bfloat16.
                self.change(ACTIVATE)
                self.send_good('front', frames.SIZES[0], 0)
                self.send_good('rear', frames.SIZES[1], 1)
            self.go_home()

    def shut_down(self):
        """Finalize the node, after which it refuses everything, and end its process."""
        self.change(SHUTDOWN[self.state])
        for number in range(9):
            self.change(number)
        self.check()
        code = self.node.stop()
        if code != 0:
            raise WalkFailed(f'the process ended with exit code {code}:\n{self.node.tail()}')

    def close(self):
        """Leave the graph, and end what still runs."""
        self._stop_stream()
        self._outside.close()
        self.node.stop()

    def held(self):
        """Return what the node holds now, and its memory in MB, once its threads have ended."""
        held = {**self.node.counts(), **{f'graph: {key}': count for key, count
                                         in self._outside.graph().items()}}
        return held, self.node.rss_mb()
