"""The node: camera topics in, label images and drivable masks out."""

from __future__ import annotations

from functools import partial

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from enet_ros.network.checkpoint import Checkpoint, read_checkpoint, weights_path
from enet_ros.perception.pipeline import Frame, Pipeline
from enet_ros.perception.segmenter import Segmenter
from enet_ros.perception.settings import NodeSettings
from enet_ros.ros.camera_stream import (
    LATCHED_QOS,
    OUTPUT_QOS,
    CameraStream,
    copy_of,
    qos_overrides,
)
from enet_ros.ros.compat import LabelInfo, VisionClass
from enet_ros.ros.parameters import NodeParameters
from enet_ros.ros.process import Stages, StopSignals, process_start, run_node
from enet_ros.ros.receiver import Receiver

#: Least and most seconds between two looks for a stall. Each wakes the executor, for 1 ms.
STALL_CHECK_SEC = 0.05, 0.5


class SegmentNode(LifecycleNode):
    """Segments the frames of one or several cameras with one network (lifecycle node)."""

    def __init__(self, name: str = 'enet', stages: Stages | None = None, **node_options):
        """Declare the parameters; everything else waits for configure.

        Args:
            name: of the node.
            stages: of the start so far; None begins here.
            **node_options: of ``rclpy.node.Node``.
        """
        super().__init__(name, **node_options)
        self._stages: Stages | None = stages or Stages()  # until the first mask
        self._parameters_of_node = NodeParameters(self)
        self._streams: list[CameraStream] = []
        self._pipeline: Pipeline | None = None
        self._receiver: Receiver | None = None
        self._timers_while_active: list = []
        self._latched: dict = {}
        self._engine_status = ''
        # Rates and deadlines go by a clock that neither stops with a bag nor jumps.
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._stages.end('node')
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1),
                          on_clock_change=True),
            post_callback=self._on_clock_jump)

    def start(self) -> bool:
        """Configure and activate unless ``autostart`` is false; False if that failed."""
        if not self.get_parameter('autostart').value:
            return True
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read weights, compile the network, create the topics."""
        try:
            self._configure()
        except Exception as error:  # whatever it is, the node lives and says why
            expected = isinstance(error, ValueError)
            self.get_logger().error('configure failed: ' + (
                str(error) if expected else f'{type(error).__name__}: {error}'))
            self._release()
            return TransitionCallbackReturn.FAILURE
        if self._stages is not None:
            self._stages.end('configure')
        return super().on_configure(state)

    def _configure(self) -> None:
        stages = Stages()
        settings = self._parameters_of_node.settings()
        checkpoint = read_checkpoint(weights_path(settings.weights))
        self._parameters_of_node.configure(settings, checkpoint.class_map)
        for warning in self._parameters_of_node.unknown_overrides():
            self.get_logger().warning(warning)
        stages.end('weights')
        segmenter = Segmenter(checkpoint, settings.resolution, settings.backend,
                              settings.precision, settings.threads)
        stages.end('network')
        segmenter.warm_up()
        stages.end('warm-up')
        self._streams = [self._make_stream(i, name, settings, segmenter)
                         for i, name in enumerate(settings.cameras)]
        self._pipeline = Pipeline(segmenter, self._streams)
        self._receiver = Receiver(self, [stream.images for stream in self._streams],
                                  on_demand=[stream.camera_infos for stream in self._streams])
        self._make_latched(checkpoint)
        stages.end('topics')
        self._log_start(settings, checkpoint, segmenter, stages)

    def _make_stream(self, index: int, name: str, settings: NodeSettings,
                     segmenter: Segmenter) -> CameraStream:
        def on_frame(frame: Frame) -> None:
            pipeline = self._pipeline
            if pipeline is not None:  # else the topics are being removed
                pipeline.put(index, frame)

        return CameraStream(self, name, settings.image_transport, segmenter.resolution,
                            lambda: self._parameters_of_node.camera_settings.get(name), on_frame,
                            (segmenter.backend.name, segmenter.backend.precision))

    def _make_latched(self, checkpoint: Checkpoint) -> None:
        """Create /diagnostics, and the label info of each camera where vision_msgs is."""
        self._diagnostics = self.create_lifecycle_publisher(
            DiagnosticArray, '/diagnostics', copy_of(OUTPUT_QOS),
            qos_overriding_options=qos_overrides())
        if LabelInfo is None:
            self.get_logger().info('~/label_info is off: vision_msgs is not installed')
            return
        unlabeled = checkpoint.class_map.unlabeled
        self._label_classes = [VisionClass(class_id=i, class_name=name)
                               for i, name in enumerate(checkpoint.class_map.names)
                               if not unlabeled[i]]
        for stream in self._streams:
            prefix = f'{stream.name}/' if stream.name else ''
            self._latched[stream] = self.create_lifecycle_publisher(
                LabelInfo, f'~/{prefix}label_info', copy_of(LATCHED_QOS),
                qos_overriding_options=qos_overrides())

    def _log_start(self, settings: NodeSettings, checkpoint: Checkpoint, segmenter: Segmenter,
                   stages: Stages) -> None:
        width, height = segmenter.resolution
        drivable = ', '.join(self._parameters_of_node.drivable_names()) or 'nothing'
        self.get_logger().info(
            f'{segmenter.choice}; {width}x{height}, {len(checkpoint.class_map)} classes, '
            f'drivable: {drivable}; ready in {stages.total():.1f} s ({stages})')
        for stream in self._streams:
            self.get_logger().info(f'subscribed to {stream.topic}')

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start publishing."""
        result = super().on_activate(state)
        for stream in self._streams:
            stream.activate()
        for publisher in self._latched.values():
            message = LabelInfo(class_map=self._label_classes)
            message.header.stamp = self.get_clock().now().to_msg()
            publisher.publish(message)
        period = self.get_parameter('diagnostics_period').value
        self._stall_timer = self.create_timer(STALL_CHECK_SEC[0], self._check_stalls,
                                              clock=self._steady_clock)
        self._timers_while_active = [
            self._stall_timer,
            self.create_timer(period, self._publish_diagnostics, clock=self._steady_clock)]
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop publishing; does not wait for a frame that is being segmented."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release network and topics; does not wait for a frame that is being segmented."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything."""
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured after an exception in a transition."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Release everything, and the node itself."""
        self._release()
        self._state_machine.destroy_when_not_in_use()  # rclpy forgets it, and it keeps the rest
        super().destroy_node()

    def _stop(self) -> None:
        for timer in self._timers_while_active:
            self.destroy_timer(timer)
        self._timers_while_active = []
        for stream in self._streams:
            stream.deactivate()
        if self._pipeline is not None:
            self._pipeline.clear()

    def _release(self) -> None:
        self._stop()
        if self._receiver is not None:
            self._receiver.close()
        if self._pipeline is not None:
            self._pipeline.close()
        for stream in self._streams:
            stream.destroy()
        for publisher in (*self._latched.values(), getattr(self, '_diagnostics', None)):
            if publisher is not None:
                self.destroy_lifecycle_publisher(publisher)
        self._pipeline = self._receiver = self._diagnostics = None
        self._streams, self._latched = [], {}
        self._parameters_of_node.cleanup()

    # While active

    def _on_clock_jump(self, jump) -> None:
        for stream in self._streams:
            stream.forget_time()
            stream.forget_transforms()

    def _check_stalls(self) -> None:
        """Look for stalls, and again when the next one could be due."""
        least, most = STALL_CHECK_SEC
        due = min(stream.check_stall() for stream in self._streams)
        if self._stages is not None:
            self._log_first_frame(self._stages)
            due = least
        self._stall_timer.timer_period_ns = round(1e9 * min(max(due, least), most))
        self._stall_timer.reset()

    def _log_first_frame(self, stages: Stages) -> None:
        """Say once how long it took from the start of the process to the first message out."""
        first = [stream.first_published for stream in self._streams if stream.first_published]
        if first:
            self._stages = None
            stages.end('first frame', min(first))
            self.get_logger().info(f'first frame published {stages.total():.1f} s after the start '
                                   f'({stages})')

    def _publish_diagnostics(self) -> None:
        backend = self._pipeline.segmenter.backend
        before, self._engine_status = self._engine_status, getattr(backend, 'status', str)()
        if self._engine_status not in ('', before):
            self.get_logger().info(f'{backend.name}: {self._engine_status}')
        message = DiagnosticArray(status=[self._status(stream) for stream in self._streams])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _status(self, stream: CameraStream) -> DiagnosticStatus:
        backend = self._pipeline.segmenter.backend
        width, height = self._pipeline.segmenter.resolution
        level, text = stream.health()
        values = {'backend': backend.name, 'precision': backend.precision,
                  'device': backend.device, 'resolution': f'{width}x{height}',
                  **({'engine': self._engine_status} if self._engine_status else {}),
                  **stream.statistics()}
        return DiagnosticStatus(
            level=level, message=text, hardware_id=backend.device,
            name=f'{self.get_fully_qualified_name().lstrip("/")}: '
                 + (stream.name or 'segmentation'),
            values=[KeyValue(key=key, value=value) for key, value in values.items()])


def main(stop: StopSignals | None = None) -> None:
    """Run the node; does not return."""
    stages = Stages(process_start())
    stages.end('imports')
    run_node(partial(SegmentNode, stages=stages), SegmentNode.start, stop or StopSignals())
