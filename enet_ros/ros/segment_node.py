"""The node: camera topics in, label images and drivable masks out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from enet_ros.common.memory import explain, is_out_of_memory
from enet_ros.common.one_line_error import describe_error
from enet_ros.network.checkpoint import Checkpoint
from enet_ros.perception.parameters.settings import NodeSettings
from enet_ros.perception.pipeline import FrameSlots, Pipeline
from enet_ros.perception.segmenter import Segmenter
from enet_ros.ros.abandoned_ports import hold_abandoned_ports
from enet_ros.ros.arguments import check_arguments
from enet_ros.ros.camera import Camera, CameraSetup
from enet_ros.ros.compat import LabelInfo
from enet_ros.ros.given import log_given
from enet_ros.ros.parameter_rows import given_values
from enet_ros.ros.parameters import NodeParameters
from enet_ros.ros.preparation import Preparation
from enet_ros.ros.process import StartupTimer, StopSignals, process_start, run_node
from enet_ros.ros.qos import unused_qos_overrides
from enet_ros.ros.receiver import Receiver
from enet_ros.ros.services import guard_services
from enet_ros.ros.shared_memory import (
    SHARED_MEMORY,
    Leftovers,
    remove_leftovers,
    uses_fast_dds,
)
from enet_ros.ros.transforms import Transforms
from enet_ros.ros.transitions import (
    ACTIVATE,
    CONFIGURE,
    TransitionRefused,
    Transitions,
    never_raises,
)
from enet_ros.ros.watchdog import HELP, Watchdog


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
        log_given(self, [*sys.argv, *(node_options.get('cli_args') or ())])
        self._cameras: list[Camera] = []
        self._transforms: Transforms | None = None
        self._pipeline: Pipeline | None = None
        self._receiver: Receiver | None = None
        self._watchdog: Watchdog | None = None
        self._preparation: Preparation | None = None  # while a network is built
        guard_services(self)
        self._transitions = Transitions(self)
        self._startup.end('node')
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1),
                          on_clock_change=True),
            post_callback=self._on_clock_jump)

    async def start(self) -> bool:
        """Configure and activate unless ``autostart`` is false. Return False if that failed."""
        if not self.get_parameter('autostart').value:
            return True
        success = TransitionCallbackReturn.SUCCESS
        try:
            return (await self._transitions.change(CONFIGURE) is success
                    and await self._transitions.change(ACTIVATE) is success)
        except TransitionRefused as refusal:  # Somebody else was faster, and goes on.
            self.get_logger().warning(f'autostart: {refusal}')
            return True

    def prepare(self) -> Callable[[], None]:
        """Read parameters and weights. Return the function that builds the network in a thread."""
        self._preparation = Preparation(self, self._node_parameters)
        return self._preparation.build

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Create the topics, around a network that is built already or else now."""
        if self._preparation is None:
            self.prepare()
        preparation, self._preparation = self._preparation, None
        try:
            segmenter = preparation.result()
            self._create_topics(preparation.settings, preparation.checkpoint, segmenter)
            preparation.timer.end('topics')
            self._log_start(segmenter, preparation.timer)
        except Exception as error:  # Whatever it is, the node lives and says why.
            self.get_logger().error(f'configure failed: {_reason_of(error)} ({HELP})')
            self._release()
            return TransitionCallbackReturn.FAILURE
        self._startup.end('configure')
        return super().on_configure(state)

    def _create_topics(self, settings: NodeSettings, checkpoint: Checkpoint,
                       segmenter: Segmenter) -> None:
        """Create the cameras, and the threads that take their frames through the network."""
        slots = FrameSlots(len(settings.cameras), segmenter.backend.max_batch)
        self._transforms = Transforms(self)
        for index, name in enumerate(settings.cameras):
            setup = CameraSetup(index, name, settings.image_transport, segmenter.resolution,
                                segmenter.backend.name, segmenter.backend.precision,
                                checkpoint.class_map)
            self._cameras.append(Camera(self, setup, self._node_parameters, self._transforms,
                                        slots.put))
        self._node_parameters.on_change = partial(
            listen_to_transforms, self._transforms, self._node_parameters)
        self._node_parameters.on_change()
        self._pipeline = Pipeline(segmenter, self._cameras, slots)
        self._receiver = Receiver(self, [camera.images for camera in self._cameras],
                                  [camera.calibration.subscription for camera in self._cameras])
        self._watchdog = Watchdog(self, self._cameras, self._pipeline, self._startup)
        if LabelInfo is None:
            self.get_logger().info('~/label_info is off: vision_msgs is not installed')

    def _log_start(self, segmenter: Segmenter, timer: StartupTimer) -> None:
        width, height = segmenter.resolution
        drivable = ', '.join(self._node_parameters.drivable_names()) or 'nothing'
        self.get_logger().info(
            f'{segmenter.choice}; {width}x{height}, {len(segmenter.checkpoint.class_map)} '
            f'classes, drivable: {drivable}; ready in {timer.total():.1f} s ({timer})')
        for warning in unused_qos_overrides(self, given_values(self)):
            self.get_logger().warning(warning)
        for camera in self._cameras:
            self.get_logger().info(f'subscribed to {camera.images.topic_name}')

    @never_raises
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start publishing."""
        result = super().on_activate(state)
        for camera in self._cameras:
            camera.activate()
        self._watchdog.activate(self.get_parameter('diagnostics_period').value)
        return result

    @never_raises
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop publishing. It does not wait for a frame that is being segmented."""
        self._stop()
        return super().on_deactivate(state)

    @never_raises
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release network and topics. It does not wait for a frame that is being segmented."""
        self._release()
        return super().on_cleanup(state)

    @never_raises
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything."""
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured after an exception in a transition."""
        try:
            self._release()
        except Exception as error:  # The next configure begins anew.
            self.get_logger().error(f'cleanup failed: {describe_error(error)}')
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Release everything, and the node itself."""
        receiver = self._receiver
        self._release()
        if receiver is not None:
            receiver.join()
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
        """Remove network and topics, each of them even if another one cannot be removed."""
        with ExitStack() as rest:  # It goes backwards.
            rest.callback(self._node_parameters.cleanup)
            if self._transforms is not None:
                rest.callback(self._transforms.close)
            for topic_owner in (*self._cameras, self._watchdog):
                if topic_owner is not None:
                    rest.callback(topic_owner.destroy)
            for thread_owner in (self._receiver, self._pipeline):
                if thread_owner is not None:
                    rest.callback(thread_owner.close)
            try:
                self._stop()
            finally:
                self._pipeline = self._receiver = self._watchdog = self._transforms = None
                self._cameras = []

    def _on_clock_jump(self, jump) -> None:
        for camera in self._cameras:
            camera.forget_time()
        if self._transforms is not None:
            self._transforms.clear()
            now_ns = self.get_clock().now().nanoseconds
            self._transforms.jumps.note('/clock', now_ns - jump.delta.nanoseconds, now_ns,
                                        clears=1)


def _reason_of(error: Exception) -> str:
    """Return why the node cannot be configured. Other kinds than ValueError name themselves."""
    if isinstance(error, ValueError) or is_out_of_memory(error):
        return explain(error)
    return describe_error(error)


def listen_to_transforms(transforms: Transforms, parameters: NodeParameters) -> None:
    """Listen to TF before a frame does, if a camera needs it."""
    if any(settings.needs_transforms for settings in parameters.camera_settings.values()):
        transforms.listen()


USAGE = """\
usage: segment_node [--ros-args [-r FROM:=TO] [-p NAME:=VALUE] [--params-file FILE] ...]

Segment the images of cameras with ENet, and publish labels and the drivable area.

It subscribes to image and camera_info. 'enet-ros messages' describes its topics, 'enet-ros params'
its parameters, and 'enet-ros params --yaml' prints a parameter file with the defaults.

example:
  segment_node --ros-args -r image:=/camera/image_raw -p resolution:=[480,272]"""


def main(stop: StopSignals | None = None) -> None:
    """Run the node. It does not return."""
    check_arguments(USAGE)
    startup = StartupTimer(process_start())
    startup.end('imports')
    removed, held = Leftovers(), {}
    if uses_fast_dds():
        removed, held = remove_leftovers(), hold_abandoned_ports()

    def make_node() -> SegmentNode:
        node = SegmentNode(startup=startup)
        if removed.count:
            node.get_logger().info(f'removed {removed} that killed processes had left in '
                                   f'{SHARED_MEMORY}')
        if held:
            node.get_logger().info(f'kept {", ".join(held)} in {SHARED_MEMORY}: other '
                                   'processes still write to a killed reader there')
        return node

    run_node(make_node, stop or StopSignals(), SegmentNode.start)
