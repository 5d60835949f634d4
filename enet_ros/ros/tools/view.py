"""A running node in the browser, from finding it to the end of the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import rclpy
import rerun as rr
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from enet_ros.common.one_line_error import printable
from enet_ros.network.class_map import ClassMap
from enet_ros.ros.tools.view_classes import ClassWatch
from enet_ros.ros.tools.view_node import CameraView, DiagnosticsView
from enet_ros.ros.tools.view_target import Target, find_target
from enet_ros.view.drawing import CameraDrawing, draw_legend
from enet_ros.view.layout import layout
from enet_ros.view.server import Address, ViewServer

CHECK_PERIOD_SEC = 1.0


@dataclass(frozen=True)
class Options:
    """What to show of which node. docs/view.md explains the options.

    Attributes:
        node: Name of the node.
        show: What is shown, of :data:`enet_ros.view.layout.SHOWN`.
        images: Topics of the images of the cameras, or none to find them.
        weights: Weights that name the classes, or '' to ask the node.
        rate_hz: Greatest number of frames a second that are drawn.
        opacity: Share of the class colors over the camera.
        wait_sec: Longest time to wait for the node.
    """

    node: str
    show: tuple[str, ...]
    images: tuple[str, ...]
    weights: str
    rate_hz: float
    opacity: float
    wait_sec: float


def serve(options: Options, address: Address) -> None:
    """Serve the page until a signal raises KeyboardInterrupt.

    Args:
        options: What to show.
        address: Where to listen.

    Raises:
        TargetError: The node did not come.
        ServerError: The server did not start, or ended.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node, executor = rclpy.create_node('view'), SingleThreadedExecutor()
    executor.add_node(node)
    server = recording = None
    try:
        target = find_target(node, executor, options.node, options.images, options.weights,
                             options.wait_sec, say)
        server = ViewServer(address)
        recording = _recording(server.data_url, options, target)
        drawings = [CameraDrawing(recording, camera.name, target.class_map, options.opacity)
                    for camera in target.cameras]
        for camera, drawing in zip(target.cameras, drawings):
            CameraView(node, camera, options.show, options.rate_hz, drawing)
        if 'diagnostics' in options.show:
            DiagnosticsView(node, target, drawings)
        if not options.weights:
            _watch_classes(node, executor, target, options, recording, drawings)
        node.create_timer(CHECK_PERIOD_SEC, server.check)
        _announce(target, address)
        executor.spin()
    finally:
        if recording is not None:
            recording.disconnect()
        if server is not None:
            server.stop()
        node.destroy_node()
        rclpy.try_shutdown()


def _recording(data_url: str, options: Options, target: Target) -> rr.RecordingStream:
    """Return where all is drawn, with the layout and the legend."""
    recording = rr.RecordingStream('enet_ros')
    recording.connect_grpc(data_url, default_blueprint=layout(
        [camera.name for camera in target.cameras], options.show, target.class_map))
    if 'labels' in options.show:
        draw_legend(recording, target.class_map)
    return recording


def _watch_classes(node: Node, executor: Executor, target: Target, options: Options,
                   recording: rr.RecordingStream, drawings: Sequence[CameraDrawing]) -> None:
    """Draw other classes as soon as the node has them."""
    def redraw(class_map: ClassMap, doubt: str) -> None:
        for drawing in drawings:
            drawing.classes(class_map)
        if 'labels' in options.show:
            draw_legend(recording, class_map)
            recording.send_blueprint(layout(  # The legend has another size.
                [camera.name for camera in target.cameras], options.show, class_map))
        say(f'{target.name} has other classes now: {", ".join(class_map.names)}')
        if doubt:
            say(f'warning: {doubt}')
    ClassWatch(node, executor, target.name, [f'{camera.outputs}labels' for camera in
                                             target.cameras], target.class_map, redraw)


def _announce(target: Target, address: Address) -> None:
    for camera in target.cameras:
        say(f'{target.name}{" camera " + camera.name if camera.name else ""}: images on '
            f'{camera.image}, labels on {camera.outputs}labels')
    if target.doubt:
        say(f'warning: {target.doubt}')
    if not address.is_local():
        say('warning: every machine that reaches this address sees the cameras; there is no '
            'password')
    say(f'open {address.page_url()}')


def say(text: str) -> None:
    """Print a line at once, since a launch file or a script may read it."""
    print(f'view: {printable(text)}', flush=True)
