"""The node: camera topics in, label images and drivable masks out."""

from __future__ import annotations

from functools import partial

from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from enet_ros.network.checkpoint import Checkpoint, read_checkpoint, weights_path
from enet_ros.perception.pipeline import FrameSlots, Pipeline
from enet_ros.perception.segmenter import Segmenter
from enet_ros.perception.settings import NodeSettings
from enet_ros.ros.camera import Camera, CameraSetup
from enet_ros.ros.compat import LabelInfo
from enet_ros.ros.parameters import NodeParameters
from enet_ros.ros.process import StartupTimer, StopSignals, process_start, run_node
from enet_ros.ros.receiver import Receiver
from enet_ros.ros.watchdog import Watchdog


class SegmentNode(LifecycleNode):
    """Segments the frames of one or several cameras with one network (lifecycle node).

    The executor's thread calls every method.
    """

    def __init__(self, name: str = 'enet', startup: StartupTimer | None = None, **node_options):
        """Declare the parameters. Everything else waits for configure.

        Args:
            name: Name of the node.
            startup: Timer of the start so far, or None to begin now.
            **node_options: Options of ``rclpy.node.Node``.
        """
        super().__init__(name, **node_options)
        self._startup = startup or StartupTimer()
        self._node_parameters = NodeParameters(self)
        self._cameras: list[Camera] = []
        self._pipeline: Pipeline | None = None
        self._receiver: Receiver | None = None
        self._watchdog: Watchdog | None = None
        self._startup.end('node')
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1),
                          on_clock_change=True),
            post_callback=self._on_clock_jump)

    def start(self) -> bool:
        """Configure and activate unless ``autostart`` is false. Return False if that failed."""
        if not self.get_parameter('autostart').value:
            return True
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the weights, compile the network and create the topics."""
        try:
            self._configure()
        except Exception as error:  # Whatever it is, the node lives and says why.
            expected = isinstance(error, ValueError)
            self.get_logger().error('configure failed: ' + (
                str(error) if expected else f'{type(error).__name__}: {error}'))
            self._release()
            return TransitionCallbackReturn.FAILURE
        self._startup.end('configure')
        return super().on_configure(state)

    def _configure(self) -> None:
        timer = StartupTimer()
        settings = self._node_parameters.settings()
        checkpoint = read_checkpoint(weights_path(settings.weights))
        self._node_parameters.configure(settings, checkpoint.class_map)
        for warning in self._node_parameters.unknown_overrides():
            self.get_logger().warning(warning)
        timer.end('weights')
        segmenter = Segmenter(checkpoint, settings.resolution, settings.backend,
                              settings.precision, settings.threads)
        timer.end('network')
        segmenter.warm_up()
        timer.end('warm-up')
        self._create_topics(settings, checkpoint, segmenter)
        timer.end('topics')
        self._log_start(segmenter, timer)

    def _create_topics(self, settings: NodeSettings, checkpoint: Checkpoint,
                       segmenter: Segmenter) -> None:
        """Create the cameras, and the threads that take their frames through the network."""
        slots = FrameSlots(len(settings.cameras), segmenter.backend.max_batch)
        for index, name in enumerate(settings.cameras):
            setup = CameraSetup(index, name, settings.image_transport, segmenter.resolution,
                                segmenter.backend.name, segmenter.backend.precision,
                                checkpoint.class_map)
            self._cameras.append(Camera(self, setup, self._node_parameters, slots.put))
        self._node_parameters.on_change = partial(
            listen_to_transforms, self._cameras, self._node_parameters)
        self._node_parameters.on_change()
        self._pipeline = Pipeline(segmenter, self._cameras, slots,
                                  segmenter.least_confidence)
        self._receiver = Receiver(self, [camera.images for camera in self._cameras],
                                  [camera.calibration.subscription for camera in self._cameras])
        self._watchdog = Watchdog(self, self._cameras, segmenter, self._startup)
        if LabelInfo is None:
            self.get_logger().info('~/label_info is off: vision_msgs is not installed')

    def _log_start(self, segmenter: Segmenter, timer: StartupTimer) -> None:
        width, height = segmenter.resolution
        drivable = ', '.join(self._node_parameters.drivable_names()) or 'nothing'
        self.get_logger().info(
            f'{segmenter.choice}; {width}x{height}, {len(segmenter.checkpoint.class_map)} '
            f'classes, drivable: {drivable}; ready in {timer.total():.1f} s ({timer})')
        for camera in self._cameras:
            self.get_logger().info(f'subscribed to {camera.images.topic_name}')

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start publishing."""
        result = super().on_activate(state)
        for camera in self._cameras:
            camera.activate()
        self._watchdog.activate(self.get_parameter('diagnostics_period').value)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop publishing. It does not wait for a frame that is being segmented."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release network and topics. It does not wait for a frame that is being segmented."""
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
        # rclpy forgets the state machine, which keeps the rest of the node.
        self._state_machine.destroy_when_not_in_use()
        super().destroy_node()

    def _stop(self) -> None:
        if self._watchdog is not None:
            self._watchdog.deactivate()
        for camera in self._cameras:
            camera.deactivate()
        if self._pipeline is not None:
            self._pipeline.clear()

    def _release(self) -> None:
        self._stop()
        for thread_owner in (self._receiver, self._pipeline):
            if thread_owner is not None:
                thread_owner.close()
        for topic_owner in (*self._cameras, self._watchdog):
            if topic_owner is not None:
                topic_owner.destroy()
        self._pipeline = self._receiver = self._watchdog = None
        self._cameras = []
        self._node_parameters.cleanup()

    def _on_clock_jump(self, jump) -> None:
        for camera in self._cameras:
            camera.forget_time()
            camera.transforms.clear()


def listen_to_transforms(cameras: list[Camera], parameters: NodeParameters) -> None:
    """Listen to TF for the cameras that need it, before a frame does."""
    for camera in cameras:
        if parameters.camera_settings[camera.setup.name].needs_transforms:
            camera.transforms.listen()


def main(stop: StopSignals | None = None) -> None:
    """Run the node. It does not return."""
    startup = StartupTimer(process_start())
    startup.end('imports')
    run_node(partial(SegmentNode, startup=startup), SegmentNode.start, stop or StopSignals())
