"""What a running node says of itself: stalls, diagnostics, and how long the start took."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.timer import Timer

from enet_ros.perception.pipeline import Pipeline
from enet_ros.ros.camera import Camera
from enet_ros.ros.diagnostics import make_diagnostics, make_status
from enet_ros.ros.hang import HangClock, hang_problem, loss_problem
from enet_ros.ros.health import Level
from enet_ros.ros.process import EXIT_NETWORK, ProcessFailure, StartupTimer
from enet_ros.ros.qos import OUTPUT_QOS, copy_of, qos_overrides

#: Where a user finds reasons and remedies.
HELP = 'docs/troubleshooting.md of enet_ros says what to do'
#: Least and greatest time between two looks for a stall. Each costs the executor 1 ms.
STALL_CHECK_SEC = 0.05, 0.5


class Watchdog:
    """Watches the cameras of an active node. The executor's thread calls every method."""

    def __init__(self, node: LifecycleNode, cameras: Sequence[Camera], pipeline: Pipeline,
                 startup: StartupTimer):
        """Create ``/diagnostics``, which is silent until :meth:`activate`.

        Args:
            node: The lifecycle node.
            cameras: The cameras.
            pipeline: The pipeline, with the network.
            startup: Timer of the start, which ends with the first frame.
        """
        self._node, self._cameras = node, list(cameras)
        self._startup, self._hang = startup, HangClock()
        self._pipeline: Pipeline | None = pipeline  # until the end
        # Rates and deadlines go by a clock that neither stops with a bag nor jumps.
        self._clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._stall_timer: Timer | None = None
        self._timers: list[Timer] = []
        self._engine_status = ''
        self._diagnostics = node.create_lifecycle_publisher(
            DiagnosticArray, '/diagnostics', copy_of(OUTPUT_QOS),
            qos_overriding_options=qos_overrides())

    def activate(self, diagnostics_period_sec: float) -> None:
        """Start to look for stalls and to publish diagnostics."""
        self._stall_timer = self._node.create_timer(STALL_CHECK_SEC[0], self._check_stalls,
                                                    clock=self._clock)
        self._timers = [self._stall_timer, self._node.create_timer(
            diagnostics_period_sec, self._publish_diagnostics, clock=self._clock)]

    def deactivate(self) -> None:
        """Stop both."""
        for timer in self._timers:
            self._node.destroy_timer(timer)
        self._timers = []

    def destroy(self) -> None:
        """Remove the topic."""
        self.deactivate()
        # rclpy's timers hold their callbacks, and so this object, until the garbage collector
        # comes by. The network and its threads shall end now.
        self._pipeline = None
        self._node.destroy_lifecycle_publisher(self._diagnostics)

    def _check_stalls(self) -> None:
        """Look at the network and for stalls, and again when the next stall could be due."""
        if self._pipeline is None:  # The executor had noticed the timer before the end.
            return
        self._check_network()
        least, greatest = STALL_CHECK_SEC
        due_sec = greatest
        for camera in self._cameras:
            due_sec = min(due_sec, camera.publish_stall_if_due())
        if not self._startup.is_finished:
            self._log_first_frame()
            due_sec = least
        self._stall_timer.timer_period_ns = round(1e9 * max(due_sec, least))
        self._stall_timer.reset()

    def _check_network(self) -> None:
        """Say what is wrong, and end the process, if the network hangs or is lost.

        Raises:
            ProcessFailure: The network has had a frame for ``backend_timeout``, or cannot run
                again in this process.
        """
        backend = self._pipeline.segmenter.backend.name
        hang_sec = self._hang.look(self._pipeline.network_since_sec)
        timeout_sec = self._node.get_parameter('backend_timeout').value
        if self._pipeline.loss:
            reason = loss_problem(backend, self._pipeline.loss)
        elif timeout_sec and hang_sec > timeout_sec:
            reason = hang_problem(backend, hang_sec, timeout_sec)
        else:
            return
        self._node.get_logger().fatal(f'{reason} ({HELP})')
        for camera in self._cameras:
            camera.publish_unknown()
            camera.deactivate()  # so that no mask follows
            camera.health.fail(reason)
        self._publish_diagnostics()
        raise ProcessFailure(reason, EXIT_NETWORK)

    def _log_first_frame(self) -> None:
        """Log once how long it took from the start of the process to the first message."""
        published_sec = [camera.health.first_published_sec for camera in self._cameras
                         if camera.health.first_published_sec]
        if published_sec:
            self._startup.end('first frame', min(published_sec))
            self._startup.is_finished = True
            self._node.get_logger().info(
                f'first frame published {self._startup.total():.1f} s after the start '
                f'({self._startup})')

    def _publish_diagnostics(self) -> None:
        if self._pipeline is None:  # The executor had noticed the timer before the end.
            return
        backend = self._pipeline.segmenter.backend
        last, self._engine_status = self._engine_status, backend.status()
        if self._engine_status not in ('', last):
            self._node.get_logger().info(f'{backend.name}: {self._engine_status}')
        self._diagnostics.publish(make_diagnostics(
            self._node, [self._status(camera) for camera in self._cameras]))

    def _status(self, camera: Camera) -> DiagnosticStatus:
        segmenter = self._pipeline.segmenter
        backend, (width, height) = segmenter.backend, segmenter.resolution
        level, text = camera.health.summary()
        values = {'image_topic': camera.images.topic_name, 'backend': backend.name,
                  'precision': backend.precision, 'device': backend.device,
                  'resolution': f'{width}x{height}',
                  **({'engine': self._engine_status} if self._engine_status else {}),
                  'confidence_check': segmenter.confidence_check,
                  **camera.facts(), **camera.health.statistics(),
                  **({} if level is Level.OK else {'help': HELP})}
        return make_status(self._node, camera.setup.name, level, text, values, backend.device)
