"""Steps of the walk that send something to the node, and the judgement of what comes back."""

from __future__ import annotations

import threading
import time

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from support.walk import frames
from support.walk.expected import ACTIVE, INACTIVE, UNCONFIGURED
from support.walk.outside import pixels_of
from support.walk.process import WalkFailed

CAMERAS = ('front', 'rear')
FRAME_SEC, TRIES = 3.0, 10   # A best-effort frame may be lost on a busy machine.
LEAST_EQUAL = 0.995          # of the labels; threads of the network may round differently


class Sender:
    """Sends frames and calibrations, good and bad, and judges every mask.

    Attributes:
        resent: Number of good frames that were sent once more, since no mask came.
        bad_stamps: Stamps of frames for which no mask may come, in nanoseconds.
    """

    def __init__(self, outside, node, expected):
        """Send over DDS; see :class:`support.walk.walk.Walk`."""
        self._outside, self._node, self._expected = outside, node, expected
        self.resent, self.bad_stamps = 0, set()
        self._last_stamp_ns, self._stamp_lock = 0, threading.Lock()
        outside.on_pair = self.judge_pair

    def next_stamp_ns(self):
        """Return a stamp of now that no frame has had."""
        with self._stamp_lock:
            now_ns = self._outside.node.get_clock().now().nanoseconds
            self._last_stamp_ns = max(now_ns, self._last_stamp_ns + 1)
            return self._last_stamp_ns

    def topic(self, camera):
        """Return type and name of the topic of a camera's frames."""
        if self._expected.values['image_transport'] == 'raw':
            return Image, f'/{camera}/image'
        return CompressedImage, f'/{camera}/image/compressed'

    def send_by_chance(self, walk):
        """Send a good frame of any size and encoding."""
        camera, size, number = walk.choice(CAMERAS), walk.choice(frames.SIZES), walk.randrange(6)
        encoding = walk.choice(frames.ENCODINGS)
        if encoding == 'nv12' and size[1] % 2 or self._expected.values['image_transport'] != 'raw':
            encoding = 'rgb8'
        if self._expected.values['bit_depth'] not in (0, 16) and encoding == 'rgb16':
            encoding = 'rgb8'  # Its 16 bits would be taken for fewer.
        return self.send_good(camera, size, number, encoding)

    def send_good(self, camera, size, number, encoding='rgb8'):
        """Send a good frame; while the node is active, wait for its labels and judge them."""
        kind, topic = self.topic(camera)
        what = f'good frame {size[0]}x{size[1]} {encoding} {number} on {topic}'
        rgb = frames.street(size, number)
        self._expected.loosen([])
        for attempt in range(TRIES if self._expected.state == ACTIVE else 1):
            stamp_ns = self.next_stamp_ns()
            message, meant = (frames.good_frame(rgb, encoding, stamp_ns) if kind is Image else
                              frames.good_file(rgb, stamp_ns))
            if self._expected.state != ACTIVE:
                if self._expected.state == INACTIVE:
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
                self._node.check()
                time.sleep(0.002)
        raise WalkFailed(f'{what}: no mask came for any of {TRIES} frames; the node said:\n'
                         f'{self._node.tail()}')

    def _judge_good(self, key, size, meant, pair):
        """Compare labels and mask with those of the network in this process."""
        labels, mask = pixels_of(pair['labels']), pixels_of(pair['drivable_mask'])
        out = size if self._expected.values['output_size'] == 'input' else None
        right = self._expected.reference().labels(key, meant, self._expected.values['rotate'], out)
        if labels.shape != right.shape:
            raise WalkFailed(f'the labels are {labels.shape}, wanted {right.shape}')
        if self._expected.values['suspect_frames'] == 'unknown' and (labels == 255).all():
            right = labels
        equal = float(np.mean(labels == right))
        if equal < LEAST_EQUAL:
            raise WalkFailed(f'only {100 * equal:.2f} % of the labels are right')
        settings = self._expected.values
        plain = (settings['confidence_floor'] == 0.0 and not settings['drivable.connected']
                 and settings['drivable.min_area'] == 0.0
                 and not self._expected.is_loose())
        if plain and not np.array_equal(mask == 255, self._expected.drivable()[labels]):
            raise WalkFailed('the mask differs from the drivable labels')

    def judge_pair(self, camera, stamp_ns, labels, mask):
        """Judge every pair that comes, in the thread that receives."""
        if stamp_ns in self.bad_stamps:
            self._outside.problems.append(f'a mask came for a bad frame of {camera}')
        if not set(np.unique(mask)) <= {0, 255}:
            self._outside.problems.append(f'a mask has the values {np.unique(mask)}')
        is_loose = self._expected.is_loose()
        unseen = labels == 255 if is_loose else ~self._expected.drivable()[labels]
        if (mask[unseen] != 0).any():
            self._outside.problems.append(
                f'a mask of {camera} calls {np.count_nonzero(mask[unseen])} pixels free that its '
                'labels do not')

    def send_bad(self, walk):
        """Send a frame that the node has to refuse."""
        camera = walk.choice(CAMERAS)
        kind, topic = self.topic(camera)
        damage = walk.choice(frames.BAD_KINDS if kind is Image else frames.BAD_FILES)
        stamp_ns = self.next_stamp_ns()
        self.bad_stamps.add(stamp_ns)
        if self._expected.state != UNCONFIGURED:
            make = frames.bad_frame if kind is Image else frames.bad_file
            self._outside.publish(kind, topic, make(damage, stamp_ns))
        return f'bad frame ({damage}) on {topic}'

    def send_info(self, walk):
        """Send a calibration, good or useless."""
        return self.send_calibration(walk.choice(CAMERAS), walk.choice(
            ['good', 'zero', 'nan', 'infinite', 'odd']))

    def send_calibration(self, camera, kind):
        """Send a calibration of one kind."""
        if self._expected.state != UNCONFIGURED:
            self._outside.publish(CameraInfo, f'/{camera}/camera_info',
                                  frames.camera_info(kind, self.next_stamp_ns()))
        return f'camera_info ({kind}) of {camera}'
