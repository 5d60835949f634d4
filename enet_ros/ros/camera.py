"""The topics of one camera, and the steps of its frames that need ROS."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from enet_ros.common.one_line_error import describe_error
from enet_ros.network.class_map import ClassMap
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.encodings import BitDepth, CompressedFile, EncodingError, Scratch
from enet_ros.perception.frame import DropCause, Dropped, FrameInFlight, FrameTimes
from enet_ros.perception.ground_locator import GroundLocator
from enet_ros.perception.message_types import Header
from enet_ros.perception.output_error import OutputError
from enet_ros.perception.outputs import find_requested, left_out
from enet_ros.perception.stamps import SECOND_NS, FrameClock, StampError, to_ns
from enet_ros.perception.steps import decode_frame
from enet_ros.ros.calibration import CalibrationTopic
from enet_ros.ros.cdr import read_image_message
from enet_ros.ros.compat import LabelInfo
from enet_ros.ros.frame_gate import FrameGate, sim_clock_of
from enet_ros.ros.health import CameraHealth
from enet_ros.ros.image_remarks import ImageRemarks
from enet_ros.ros.logs import WARNING_PERIOD_SEC
from enet_ros.ros.outputs import (
    OUTPUTS,
    Output,
    OutputContext,
    make_label_info,
    make_unknown_masks,
)
from enet_ros.ros.parameters import NodeParameters
from enet_ros.ros.qos import (
    INPUT_QOS,
    LATCHED_QOS,
    OUTPUT_QOS,
    compressed_topic,
    copy_of,
    qos_overrides,
)
from enet_ros.ros.suspects import SuspectReport
from enet_ros.ros.transforms import Transforms


@dataclass(frozen=True)
class CameraSetup:
    """What a camera is made from.

    Attributes:
        index: Index of the camera in the pipeline.
        name: Name of the camera, empty for the only one.
        transport: 'raw' or 'compressed'.
        resolution: (width, height) of the network.
        backend: Name of the backend.
        precision: Arithmetic of the network.
        class_map: Names of the classes, for ``~/label_info``.
    """

    index: int
    name: str
    transport: str
    resolution: tuple[int, int]
    backend: str
    precision: str
    class_map: ClassMap

    @property
    def prefix(self) -> str:
        """The part of a topic before the name of an input or output."""
        return f'{self.name}/' if self.name else ''


class Camera:
    """The topics of one camera: a :class:`enet_ros.perception.pipeline.CameraPort`.

    The receiving thread calls :meth:`receive`, the segmenting thread :meth:`decode`, and the
    publishing thread :meth:`locate` and :meth:`publish`. Any thread calls :meth:`drop`. The
    executor's thread calls the rest. ``_gate`` is locked while messages are sent.

    Attributes:
        health: Counters, rates and warnings.
        images: Subscription of the images, with the callback :meth:`receive`.
        calibration: The camera infos. They are taken when somebody asks for them.
        transforms: TF, which all cameras of the node share.
    """

    def __init__(self, node: LifecycleNode, setup: CameraSetup, parameters: NodeParameters,
                 transforms: Transforms, store: Callable[[FrameInFlight], bool]):
        """Create the topics, which are silent until :meth:`activate`.

        Args:
            node: The lifecycle node.
            setup: Name, topics and network.
            parameters: Source of the settings of each frame.
            transforms: TF, which all cameras of the node share.
            store: Stores a received frame for the pipeline. It returns whether the frame replaced
                one that was not decoded.
        """
        self.setup, self._node = setup, node
        self._parameters, self._store = parameters, store
        self._gate, self.transforms = FrameGate(), transforms
        self._time_epoch, self._has_points = 0, False
        self._clock = FrameClock()  # of the receiving thread
        self._scratch, self._bit_depth = Scratch(), BitDepth()  # of the segmenting thread
        self._last_frame: tuple[tuple[int, int], CameraSettings] | None = None  # size, settings
        self._subscribed_outputs: list[Output] = []  # at the last frame
        self._last_published: tuple[Header, tuple[int, int]] | None = None  # header, mask size
        self._context = OutputContext(setup.name, setup.backend, setup.precision, transforms)
        with ExitStack() as created:  # If a topic cannot be created, the others are removed.
            self._publishers = {output.name: publisher_of(
                created, node, output.message_type, f'{setup.prefix}{output.name}', OUTPUT_QOS)
                for output in OUTPUTS.values()}
            self._label_info = None if LabelInfo is None else publisher_of(
                created, node, LabelInfo, f'{setup.prefix}label_info', LATCHED_QOS)
            self.images = subscribe(
                created, node, setup, Image if setup.transport == 'raw' else CompressedImage,
                'image', self.receive)
            self.calibration = CalibrationTopic(subscribe(
                created, node, setup, CameraInfo, 'camera_info', lambda message: None))
            self._topics = created.pop_all()
        self.health = CameraHealth(self.images.topic_name, node.get_logger())
        self._suspects = SuspectReport(self.health)
        self._ground = GroundLocator(transforms, self.calibration, self.health.warnings,
                                     setup.resolution)
        self._remarks = ImageRemarks(self.images.topic_name, self.health, node.get_logger())
        self.forget_time()  # It takes the clock.

    def activate(self) -> None:
        """Start counting and publishing."""
        with self._gate.lock:
            self.health.activate()
            self._last_published = None
            self._clock = FrameClock()
            self._suspects.is_ok = False  # until a frame has come
            self._gate.open()
        if self._label_info is not None:
            self._label_info.publish(make_label_info(
                self.setup.class_map, self._node.get_clock().now().to_msg()))

    def deactivate(self) -> None:
        """Stop publishing. A frame that is being segmented is not published."""
        with self._gate.lock:
            self._gate.close()
        self.health.deactivate()

    def destroy(self) -> None:
        """Remove the topics. It waits only for a message that is being published."""
        self.deactivate()
        with self._gate.lock:
            self._publishers = {}
        self._topics.close()

    def receive(self, message: bytes | CompressedImage) -> None:
        """Take a serialized Image or a CompressedImage, and store it for the pipeline."""
        times = FrameTimes(received=time.perf_counter())
        if times.received < self._gate.activated_sec:
            return
        self.health.count_received()
        try:
            header, source = (read_image_message(message) if isinstance(message, bytes) else
                              (message.header, CompressedFile(message.data, message.format)))
            stamp_ns = header.stamp.sec * SECOND_NS + header.stamp.nanosec
            if header.stamp.sec < 0 or header.stamp.nanosec >= SECOND_NS:
                to_ns(header.stamp.sec, header.stamp.nanosec)  # It refuses the stamp.
        except (EncodingError, StampError) as error:
            self.drop(Dropped(DropCause.FAILED, str(error)))
            return
        order_sec, clock = stamp_ns / 1e9, self._clock
        if stamp_ns > clock.newest_ns:
            clock.newest_ns = stamp_ns
        else:
            place = clock.place_late(stamp_ns, times.received)
            order_sec = place.order_sec
            if place.jump_ns:
                self.forget_time()
                self.transforms.jumps.note(self.setup.name, stamp_ns + place.jump_ns, stamp_ns)
        age_ms = (self._node.get_clock().now().nanoseconds - stamp_ns) / 1e6
        if self._store(FrameInFlight(self.setup.index, header, source, stamp_ns, order_sec,
                                     age_ms, self._time_epoch, times)):
            self.drop(Dropped(DropCause.OVERTAKEN))

    def forget_time(self) -> None:
        """Clear rates and votes after a jump of stamps or of the clock. Frames go on."""
        with self._gate.lock:
            self._time_epoch += 1
        self._gate.sim_clock = sim_clock_of(self._node)
        self.health.forget_time(self._gate.sim_clock)

    def decode(self, frame: FrameInFlight, network_input: np.ndarray) -> Dropped | None:
        """Decode a frame into the input of the network, if an output has a subscriber."""
        frame.times.started = time.perf_counter()
        frame.camera_settings = self._parameters.camera_settings.get(self.setup.name)
        if frame.camera_settings is None:
            return Dropped(DropCause.INACTIVE)
        settings = frame.camera_settings.settings
        max_age_sec = -math.inf if self._gate.sim_clock else settings.max_frame_age or math.inf
        age_sec = frame.age_at_receive_ms / 1e3 + frame.times.started - frame.times.received
        frame.times.expires = frame.times.started - age_sec + max_age_sec
        if ((frame.times.received < self._gate.oldest_sec or abs(age_sec) > max_age_sec)
                and (refusal := self._gate.refusal(frame))):
            return refusal
        self._subscribed_outputs = [OUTPUTS[name] for name, publisher in self._publishers.items()
                                    if publisher.get_subscription_count()]
        frame.requested_outputs, frame.needs = find_requested(self._subscribed_outputs, settings)
        if not frame.requested_outputs:
            return Dropped(DropCause.UNREQUESTED, left_out(self._subscribed_outputs, ()))
        self._bit_depth.bits = settings.bit_depth
        try:
            decode_frame(frame, network_input, self._scratch, self._bit_depth)
        except EncodingError as error:
            return Dropped(DropCause.FAILED, str(error))
        if frame.image.remarks:
            self._remarks.tell(frame.image.remarks)
        self._last_frame = frame.image_size, frame.camera_settings
        frame.times.preprocessed = time.perf_counter()
        return None

    def drop(self, dropped: Dropped) -> None:
        """Count a frame that goes no further, and log the reason now and then."""
        self.health.drop(dropped)

    def locate(self, frame: FrameInFlight) -> Dropped | None:
        """Find the calibration and the ground of a frame, once, so that its outputs agree.

        What is not there is taken out of ``frame.needs``. A frame is dropped here if it
        would be too old once it is published.
        """
        if (refusal := self._gate.early_refusal(frame)) is None:
            self._ground.locate(frame)
        return refusal

    def facts(self) -> dict[str, str]:
        """Return what the diagnostics show of calibration, stamps and outputs left out."""
        facts, note = {}, self._clock.take_note()
        current = self._parameters.camera_settings.get(self.setup.name)
        if current is not None:
            requested, _ = find_requested(self._subscribed_outputs, current.settings)
            if lacking := left_out(self._subscribed_outputs, requested):
                facts['left_out'] = lacking
        if self._last_frame is not None:
            facts['calibration'] = self.calibration.describe(*self._last_frame)
        return {**facts, 'stamps': note} if note else facts

    def publish(self, frame: FrameInFlight) -> Dropped | None:
        """Make and send the messages of a perceived frame, if the node is still active."""
        if frame.suspicion is not None or not self._suspects.is_ok:
            self._suspects.tell(frame)
        had_points, self._has_points = self._has_points, 'points' in frame.requested_outputs
        if had_points and not self._has_points:  # They fill 90 MB at 1920x1080.
            self._ground.forget_points()
            self._context.cloud = None
        messages, late, failure = [], [], ''
        for name in frame.requested_outputs:
            output = OUTPUTS[name]
            if output.after_sending:
                late.append(output)
            elif output.needs in frame.needs:
                try:
                    messages.append((name, output.make(frame, self._context)))
                except Exception as error:  # The other outputs of the frame go on.
                    failure = self._warn_missing(name, error) or failure
        if failure and not messages:  # Otherwise such frames would end no stall.
            return Dropped(DropCause.FAILED, f'step publish failed: {failure}')
        with self._gate.lock:
            frame.times.sending, times = time.perf_counter(), frame.times
            if ((times.received < self._gate.oldest_sec or times.sending > times.expires)
                    and (refusal := self._gate.refusal(frame))):
                return refusal
            for name, message in messages:
                self._publishers[name].publish(message)
            self._last_published = frame.header, frame.output_size
        self.health.count_published(frame.times.received)
        frame.times.sent = time.perf_counter()
        for output in late:
            self._publish_late(frame, output)
        return None

    def _publish_late(self, frame: FrameInFlight, output: Output) -> None:
        """Make and send a message after the others have been sent."""
        if output.needs not in frame.needs:
            return
        self._context.counts = self.health.counts()
        now_ns = self._node.get_clock().now().nanoseconds
        self._context.age_at_publish_ms = (now_ns - frame.stamp_ns) / 1e6
        try:
            message = output.make(frame, self._context)
            with self._gate.lock:
                if (refusal := self._gate.refusal(frame)) is None:
                    self._publishers[output.name].publish(message)
                elif refusal.reason:  # The node is still active.
                    self.health.warnings.warn(f'no ~/{output.name}', refusal.reason)
        except Exception as error:  # The frame is published, and must not count as dropped.
            self._warn_missing(output.name, error)

    def _warn_missing(self, name: str, error: Exception) -> str:
        """Say why an output is missing. Return the reason if something failed, else ''."""
        failure = '' if isinstance(error, OutputError) else describe_error(error)
        self.health.warnings.warn(f'no ~/{name}', failure or str(error))
        return failure

    def publish_stall_if_due(self) -> float:
        """Publish one mask of unknown after ``stall_timeout`` without a finished frame.

        Returns:
            Seconds until the camera can stall at the earliest, or infinity if it cannot.
        """
        camera_settings = self._parameters.camera_settings.get(self.setup.name)
        timeout_sec = camera_settings.settings.stall_timeout if camera_settings else 0.0
        if self.health.note_stall(timeout_sec):
            self.publish_unknown()
            self._node.get_logger().error(f'{self.images.topic_name}: {self.health.last_error}',
                                          throttle_duration_sec=WARNING_PERIOD_SEC)
        return self.health.seconds_to_stall(timeout_sec)

    def publish_unknown(self) -> None:
        """Publish a mask of unknown, if a frame was published since the activation."""
        with self._gate.lock:
            if self._last_published is not None and self._gate.activated_sec < math.inf:
                for name, message in make_unknown_masks(
                        *self._last_published, self._node.get_clock().now().to_msg()).items():
                    self._publishers[name].publish(message)
                self._gate.mark_stall()


def publisher_of(created: ExitStack, node: LifecycleNode, message_type: type, name: str,
                 qos: QoSProfile) -> LifecyclePublisher:
    """Create the publisher of an output. Closing the stack destroys it."""
    publisher = node.create_lifecycle_publisher(
        message_type, f'~/{name}', copy_of(qos), qos_overriding_options=qos_overrides())
    created.callback(node.destroy_lifecycle_publisher, publisher)
    return publisher


def subscribe(created: ExitStack, node: LifecycleNode, setup: CameraSetup, message_type: type,
              topic: str, callback: Callable) -> Subscription:
    """Subscribe to a topic of a camera, or to its compressed images. Closing the stack ends it.

    An Image is taken serialized.
    """
    name = f'{setup.prefix}{topic}'
    if message_type is CompressedImage:
        name = compressed_topic(node, name)
    subscription = node.create_subscription(
        message_type, name, callback, copy_of(INPUT_QOS),
        qos_overriding_options=qos_overrides(), raw=message_type is Image)
    created.callback(node.destroy_subscription, subscription)
    return subscription
