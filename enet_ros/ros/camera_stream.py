"""One camera: its topics, its counters, and what becomes of its frames."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import OccupancyGrid
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2

from enet_ros.msg import DrivableArea, FrameTiming
from enet_ros.perception import drivable
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.encodings import EncodingError, Scratch
from enet_ros.perception.overlay import blend, color_mask
from enet_ros.perception.pipeline import Frame
from enet_ros.perception.resize import resize_labels
from enet_ros.perception.segmenter import Segmentation
from enet_ros.ros.ground_stream import GROUND_OUTPUTS, GroundError, GroundStream
from enet_ros.ros.messages import (
    ImageBuffer,
    check_size,
    image_message,
    pixels_of,
    polygons,
    read_image,
    scaled_camera_info,
)
from enet_ros.ros.receiver import take_newest

INPUT_QOS = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST,
                       reliability=ReliabilityPolicy.BEST_EFFORT,
                       durability=DurabilityPolicy.VOLATILE)
OUTPUT_QOS = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST,
                        reliability=ReliabilityPolicy.RELIABLE,
                        durability=DurabilityPolicy.VOLATILE)
LATCHED_QOS = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST,
                         reliability=ReliabilityPolicy.RELIABLE,
                         durability=DurabilityPolicy.TRANSIENT_LOCAL)

#: name of an output -> message type; the order of publishing, timing last
OUTPUTS = {'labels': Image, 'drivable_mask': Image, 'confidence': Image, 'overlay': Image,
           'camera_info': CameraInfo, 'drivable_area': DrivableArea, 'points': PointCloud2,
           'obstacles': PointCloud2, 'free_space': LaserScan, 'grid': OccupancyGrid,
           'timing': FrameTiming}
IMAGE_ENCODINGS = {'labels': 'mono8', 'drivable_mask': 'mono8', 'confidence': 'mono8',
                   'overlay': 'rgb8'}

NEED_GROUND = GROUND_OUTPUTS | {'drivable_area'}
NEED_CALIBRATION = NEED_GROUND | {'camera_info'}
NEED_MASK = GROUND_OUTPUTS | {'drivable_area', 'drivable_mask'}

WARNING_PERIOD_SEC = 5.0
TIME_JUMP_NS = 1_000_000_000  # stamps that fall back farther are of another time, as of a bag
STATISTICS_FRAMES = 200  # how many frames rates and percentiles look back


def copy_of(qos: QoSProfile) -> QoSProfile:
    """Return a profile of its own: an override writes into the one it is given."""
    return QoSProfile(depth=qos.depth, history=qos.history, reliability=qos.reliability,
                      durability=qos.durability)


def qos_overrides() -> QoSOverridingOptions:
    """Let ``qos_overrides.<topic>.*`` parameters change a topic's quality of service."""
    return QoSOverridingOptions((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH,
                                 QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY))


class CameraStream:
    """The topics of one camera and the work between them.

    Callbacks run in the receiving thread, :meth:`prepare` in the segmenting thread and
    :meth:`publish` in the publishing one. ``_lock`` guards counters, ``_gate`` the topics while
    messages are sent: receiving never waits for sending.
    """

    def __init__(self, node, name: str, transport: str, resolution: tuple[int, int],
                 policy: Callable[[], CameraSettings], on_frame: Callable[[Frame], None],
                 engine: tuple[str, str]):
        """Create the topics, silent until :meth:`activate`.

        Args:
            node: the lifecycle node.
            name: of the camera; empty for the only one.
            transport: 'raw' or 'compressed'.
            resolution: (width, height) of the network.
            policy: gives what the next frame is treated by.
            on_frame: takes every received frame.
            engine: (backend, precision), for timing messages.
        """
        self.name = name
        self._node, self._policy, self._on_frame = node, policy, on_frame
        self._resolution, self._engine = resolution, engine
        self._lock, self._gate = threading.Lock(), threading.Lock()
        self._active, self._activated = False, 0.0
        self._calibration: CameraInfo | None = None
        self._scaled: tuple[CameraInfo, CameraInfo] | None = None  # what came, and for the masks
        self._filter, self._forget = drivable.DrivableFilter(), False
        self._ground = GroundStream(node)
        self._overlay_rgb, self._scratch = Scratch(), Scratch()  # of the publishing thread
        prefix = f'{name}/' if name else ''
        self._publishers = {
            output: node.create_lifecycle_publisher(
                kind, f'~/{prefix}{output}', copy_of(OUTPUT_QOS),
                qos_overriding_options=qos_overrides())
            for output, kind in OUTPUTS.items()}
        self._images = {output: ImageBuffer(encoding)
                        for output, encoding in IMAGE_ENCODINGS.items()}
        topic = 'image' if transport == 'raw' else 'image/compressed'
        #: each frame's, and the calibrations', which are taken where an output needs one
        self.images, self.camera_infos = (
            node.create_subscription(kind, f'{prefix}{topic}', callback, copy_of(INPUT_QOS),
                                     qos_overriding_options=qos_overrides(), raw=kind is Image)
            for kind, topic, callback in (
                (Image if transport == 'raw' else CompressedImage, topic, self._on_image),
                (CameraInfo, 'camera_info', lambda message: None)))
        self.topic = self.images.topic_name
        self._reset()

    def _reset(self) -> None:
        self.received = self.published = self.dropped = 0
        self.last_error = ''
        self._trouble: dict[str, str] = {}  # what and why, since somebody asked for the health
        self._last_warning = -math.inf
        self.stalled = False
        self.first_published = 0.0  # by time.monotonic
        self._last_stamp_ns = 0
        self._last_finished = time.monotonic()
        self._last_frame: tuple[object, tuple[int, int]] | None = None  # header, mask size
        self._finish_times: deque[float] = deque(maxlen=STATISTICS_FRAMES)
        self._latencies_ms: deque[float] = deque(maxlen=STATISTICS_FRAMES)

    def activate(self) -> None:
        """Start counting and publishing."""
        with self._gate, self._lock:
            self._reset()
            self._activated = time.perf_counter()
            self._active = True

    def deactivate(self) -> None:
        """Stop publishing; a frame that is being segmented is not published."""
        with self._gate:
            self._active = False

    def destroy(self) -> None:
        """Remove the topics; waits for a message that is being published, for nothing else."""
        with self._gate:
            self._active = False
            publishers, self._publishers = self._publishers, {}
        for subscription in (self.images, self.camera_infos):
            self._node.destroy_subscription(subscription)
        for publisher in publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._ground.close()

    # Receiving: the receiving thread

    def _on_image(self, message: bytes | CompressedImage) -> None:
        """Take a serialised Image or a CompressedImage."""
        if not self._active:
            return
        received = time.perf_counter()
        with self._lock:
            self.received += 1
        try:
            if isinstance(message, bytes):
                message = read_image(message)
            stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
        except ValueError as error:  # of rclpy: a time before 1970
            self.drop(str(error) if isinstance(error, EncodingError) else
                      f'its stamp is {message.header.stamp.sec} s: {error}')
            return
        if stamp_ns < self._last_stamp_ns:
            self.forget_time()
            if stamp_ns < self._last_stamp_ns - TIME_JUMP_NS:
                self._ground.forget_transforms()
        self._last_stamp_ns = stamp_ns
        self._on_frame(Frame(message, received, self._age_ms(stamp_ns)))

    def _age_ms(self, stamp_ns: int) -> float:
        return (self._node.get_clock().now().nanoseconds - stamp_ns) / 1e6

    def forget_time(self) -> None:
        """Clear rates and votes after a jump of stamps or of the clock; frames go on."""
        self._forget = True
        with self._lock:
            self._finish_times.clear()
            self._latencies_ms.clear()

    def forget_transforms(self) -> None:
        """Forget what TF said, after a jump of the clock."""
        self._ground.forget_transforms()

    # Decoding: the segmenting thread

    def prepare(self, frame: Frame) -> bool:
        """Decode a frame; False if it is dropped or nobody wants it."""
        frame.started = time.perf_counter()
        frame.policy = self._policy()
        limit_sec = frame.policy.settings.max_frame_age if frame.policy else 0.0
        age_sec = frame.age_at_receive_ms / 1e3 + frame.started - frame.received
        if frame.policy is None or not self._is_current(frame):
            return False
        if limit_sec and age_sec > limit_sec:
            self.drop(f"frame is {age_sec:.3f} s old by the node's clock, wanted at most "
                      f'{limit_sec} s (max_frame_age)')
            return False
        frame.wanted = self._wanted(frame.policy)
        if not frame.wanted:
            self._finish(frame, published=False)
            return False
        try:
            frame.pixels = pixels_of(frame.message)
        except EncodingError as error:
            self.drop(str(error))
            return False
        return True

    def _is_current(self, frame: Frame) -> bool:
        """Tell whether the node is active, and was when the frame came."""
        return self._active and frame.received >= self._activated

    def _wanted(self, policy: CameraSettings) -> frozenset:
        wanted = frozenset(name for name, publisher in self._publishers.items()
                           if publisher.get_subscription_count())
        return wanted - GROUND_OUTPUTS if policy.settings.ground.pose == 'off' else wanted

    def drop(self, reason: str = '') -> None:
        """Count a frame that goes no further; a reason is also logged, now and then."""
        with self._lock:
            self.dropped += 1
            if reason:
                self.last_error = reason
                self._trouble['frames were dropped'] = reason
        if reason:
            self._warn(f'frame dropped: {reason}')

    def _complain(self, what: str, reason: str) -> None:
        """Keep for the health, and log, what a frame goes on without."""
        with self._lock:
            self._trouble[what] = reason
        self._warn(f'{what}: {reason}')

    def _warn(self, text: str) -> None:
        """Log a warning, now and then."""
        now = time.monotonic()
        if self._active and now - self._last_warning > WARNING_PERIOD_SEC:
            self._last_warning = now
            self._node.get_logger().warning(f'{self.topic}: {text}')

    # Publishing: the publishing thread

    def publish(self, frame: Frame) -> None:
        """Publish what is wanted of a segmented frame, if the node is still active."""
        settings, header = frame.policy.settings, frame.message.header
        size = (frame.pixels.size if settings.output_size == 'input' else self._resolution)
        messages = self._messages(frame, size)
        sending = time.perf_counter()
        with self._gate:
            if not self._is_current(frame):
                return
            for name, message in messages.items():
                if name not in GROUND_OUTPUTS:
                    message.header = header
                self._publishers[name].publish(message)
        self._finish(frame, published=True, header=header, size=size)
        if 'timing' in frame.wanted:
            self._publish_timing(frame, sending)

    def _messages(self, frame: Frame, size: tuple[int, int]) -> dict[str, object]:
        """Make the messages that are wanted, but for timing."""
        result, policy, wanted = frame.segmentation, frame.policy, frame.wanted
        messages: dict[str, object] = {}
        if 'labels' in wanted:
            messages['labels'] = self._stretched('labels', result.labels, size)
        if wanted & NEED_MASK:
            mask = self._mask(frame)
        if 'drivable_mask' in wanted:
            messages['drivable_mask'] = self._stretched('drivable_mask', mask, size)
        if 'confidence' in wanted:
            eight_bit = cv2.convertScaleAbs(result.confidence, alpha=255)
            messages['confidence'] = self._stretched('confidence', eight_bit, size)
        if 'overlay' in wanted:
            messages['overlay'] = self._overlay(frame, size)
        info, on_ground = self._calibrated(frame) if wanted & NEED_CALIBRATION else (None, False)
        if 'camera_info' in wanted and info is not None:
            messages['camera_info'] = self._scaled_info(info, size)
        if 'drivable_area' in wanted:
            messages['drivable_area'] = self._drivable_area(mask, result, size, on_ground, policy)
        if on_ground and wanted & GROUND_OUTPUTS:
            made, problem = self._ground.messages(wanted, frame.message.header, mask,
                                                  result.labels, size)
            messages.update(made)
            if problem:
                self._complain('no ~/grid', problem)
        return messages

    def _mask(self, frame: Frame) -> np.ndarray:
        """Return the drivable mask, at the network's size."""
        result, policy = frame.segmentation, frame.policy
        if self._forget:
            self._forget = False
            self._filter.clear()
        self._filter.policy = policy.settings.drivable
        labels = drivable.sure_labels(result.labels, result.confidence,
                                      policy.settings.confidence_floor)
        mask = drivable.drivable_mask(labels, policy.drivable_lut)
        return self._filter.update(mask, labels,
                                   Time.from_msg(frame.message.header.stamp).nanoseconds / 1e9)

    def _calibrated(self, frame: Frame) -> tuple[CameraInfo | None, bool]:
        """Find a frame's calibration, once, so that its outputs agree.

        Returns:
            The camera info, or None, and whether there are outputs in metres, for which all is
            ready then.
        """
        policy = frame.policy
        metres = bool(frame.wanted & NEED_GROUND) and policy.settings.ground.pose != 'off'
        if not metres and 'camera_info' not in frame.wanted:
            return None, False
        info = self.calibration()
        try:
            if info is not None:
                check_size(info, frame.pixels.size)
        except ValueError as error:
            self._complain('no ~/camera_info and no outputs in metres', str(error))
            return None, False
        if not metres:
            return info, False
        try:
            self._ground.prepare(info, policy, frame.message.header, self._resolution)
        except GroundError as error:
            self._complain('no outputs in metres', str(error))
            return info, False
        return info, True

    def _stretched(self, name: str, pixels: np.ndarray, size: tuple[int, int]) -> Image:
        buffer = self._images[name]
        resize_labels(pixels, size, buffer.pixels(size))
        return buffer.message

    def _overlay(self, frame: Frame, size: tuple[int, int]) -> Image:
        """Blend the class colours into the frame."""
        buffer = self._images['overlay']
        memory = self._overlay_rgb.of((size[1], size[0], 3))
        rgb = (frame.pixels.rgb(memory) if frame.pixels.size == size
               else frame.pixels.resized(size, memory, self._scratch))
        colors = color_mask(frame.segmentation.labels, frame.policy.color_lut)
        blend(rgb, colors, frame.policy.settings.overlay_opacity, buffer.pixels(size))
        return buffer.message

    def calibration(self) -> CameraInfo | None:
        """Return the newest camera info that came, or None."""
        self._calibration = take_newest(self.camera_infos) or self._calibration
        return self._calibration

    def _scaled_info(self, info: CameraInfo, size: tuple[int, int]) -> CameraInfo:
        known = self._scaled
        if known is None or known[0] is not info or (known[1].width, known[1].height) != size:
            known = self._scaled = info, scaled_camera_info(info, size)
        return known[1]

    def _drivable_area(self, mask: np.ndarray, result: Segmentation, size: tuple[int, int],
                       on_ground: bool, policy: CameraSettings) -> DrivableArea:
        area = DrivableArea(
            width=size[0], height=size[1], fraction=drivable.drivable_fraction(mask),
            confidence=drivable.drivable_confidence(mask, result.confidence),
            nearest_edge=float('nan'),
            contours_px=polygons(drivable.drivable_outlines(mask, size)))
        if on_ground:
            area.base_frame = policy.settings.base_frame
            area.nearest_edge = self._ground.nearest_edge(mask, result.labels)
            area.contours_m = polygons(self._ground.outlines(mask))
        return area

    def _finish(self, frame: Frame, published: bool, header=None, size=None) -> None:
        with self._lock:
            self._last_finished = time.monotonic()
            self.stalled = False
            self.published += published
            if published:
                self._last_frame = header, size
                self.first_published = self.first_published or self._last_finished
                self._finish_times.append(self._last_finished)
                self._latencies_ms.append((time.perf_counter() - frame.received) * 1e3)

    def _publish_timing(self, frame: Frame, sending: float) -> None:
        sent = time.perf_counter()
        age_ms = self._age_ms(Time.from_msg(frame.message.header.stamp).nanoseconds)
        message = FrameTiming(
            header=frame.message.header, camera=self.name,
            backend=self._engine[0], precision=self._engine[1],
            received=self.received, published=self.published, dropped=self.dropped,
            age_at_receive_ms=frame.age_at_receive_ms,
            wait_ms=(frame.started - frame.received) * 1e3,
            preprocess_ms=(frame.preprocessed - frame.started) * 1e3,
            inference_ms=(frame.inferred - frame.preprocessed) * 1e3,
            postprocess_ms=(sending - frame.publishing) * 1e3,
            publish_ms=(sent - sending) * 1e3, age_at_publish_ms=age_ms)
        with self._gate:
            if self._active:
                self._publishers['timing'].publish(message)

    # Watching: the executor's thread

    def check_stall(self) -> float:
        """After ``stall_timeout`` without a finished frame, publish one mask of unknown.

        Returns:
            Seconds before which the timeout cannot pass; infinite where nothing waits for it.
        """
        policy = self._policy()
        timeout = policy.settings.stall_timeout if policy else 0.0
        with self._lock:
            silent_sec = time.monotonic() - self._last_finished
            if not (self._active and timeout) or self.stalled:
                return math.inf
            if silent_sec <= timeout:
                return timeout - silent_sec
            self.stalled = True
            self.last_error = f'no frame finished for {silent_sec:.1f} s (stall_timeout {timeout})'
        if self._last_frame is not None:
            with self._gate:
                if self._active:
                    self._publishers['drivable_mask'].publish(self._unknown_mask())
        self._node.get_logger().error(f'{self.topic}: {self.last_error}',
                                      throttle_duration_sec=WARNING_PERIOD_SEC)
        return math.inf

    def _unknown_mask(self) -> Image:
        """Return a mask in which nothing is drivable, of the last one's size, stamped now."""
        last_header, (width, height) = self._last_frame
        message = image_message(type(last_header)(frame_id=last_header.frame_id),
                                np.zeros((height, width), np.uint8), 'mono8')
        message.header.stamp = self._node.get_clock().now().to_msg()
        return message

    def health(self) -> tuple[bytes, str]:
        """Return a diagnostics level and a sentence."""
        with self._lock:
            trouble, self._trouble = self._trouble, {}
        if self.stalled:
            return DiagnosticStatus.ERROR, self.last_error
        if not self.received:
            return DiagnosticStatus.WARN, f'no frame has come on {self.topic}'
        if trouble:
            return DiagnosticStatus.WARN, '; '.join(f'{what}: {reason}'
                                                    for what, reason in trouble.items())
        return DiagnosticStatus.OK, 'segmenting'

    def statistics(self) -> dict[str, str]:
        """Return what diagnostics say of this camera."""
        with self._lock:
            times, latencies = list(self._finish_times), sorted(self._latencies_ms)
        recent = [t for t in times if t > time.monotonic() - 5.0]
        rate = (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0
        percentile = partial(np.percentile, latencies) if latencies else lambda _: float('nan')
        return {'rate_hz': f'{rate:.1f}', 'latency_p50_ms': f'{percentile(50):.1f}',
                'latency_p95_ms': f'{percentile(95):.1f}', 'received': str(self.received),
                'published': str(self.published), 'dropped': str(self.dropped),
                'last_error': self.last_error}
