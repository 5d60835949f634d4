"""What configure needs before it can create topics: settings, weights and the network."""

from __future__ import annotations

from rclpy.node import Node

from enet_ros.network.checkpoint import Checkpoint, read_checkpoint, weights_path
from enet_ros.perception.parameters.settings import NodeSettings
from enet_ros.perception.segmenter import Segmenter
from enet_ros.ros.parameter_rows import given_values
from enet_ros.ros.parameters import NodeParameters
from enet_ros.ros.process import StartupTimer
from enet_ros.ros.progress import Progress
from enet_ros.ros.qos import check_qos_overrides


class Preparation:
    """Settings, weights and network of one configure.

    The executor's thread makes it and calls :meth:`result`. Any thread calls :meth:`build`
    between them. What goes wrong on the way is kept until :meth:`result`.

    Attributes:
        timer: Timer of the stages of this configure.
        settings: The parameters.
        checkpoint: The weights.
    """

    settings: NodeSettings
    checkpoint: Checkpoint

    def __init__(self, node: Node, parameters: NodeParameters):
        """Read the parameters and the weights, and declare the parameters of the class map.

        From now on, parameters that are read only at configure cannot change.

        Args:
            node: The node, for its log.
            parameters: Its parameters.
        """
        self.timer = StartupTimer()
        self._error: Exception | None = None
        self._segmenter: Segmenter | None = None
        self._progress: Progress | None = None
        try:
            self.settings = parameters.settings()
            check_qos_overrides(given_values(node))
            self.checkpoint = read_checkpoint(weights_path(self.settings.weights))
            parameters.configure(self.settings, self.checkpoint.class_map)
            for warning in parameters.unknown_overrides():
                node.get_logger().warning(warning)
            self._progress = Progress(node, self.settings.cameras)
        except Exception as error:
            self._error = error
        self.timer.end('weights')

    def build(self) -> None:
        """Compile the network, or load it, and run it once. It raises nothing."""
        if self._error is not None:
            return
        settings = self.settings
        try:
            self._segmenter = Segmenter(
                self.checkpoint, settings.resolution, settings.backend, settings.precision,
                settings.threads, report=self._progress.report)
            self.timer.end('network')
            self._segmenter.warm_up()
            self.timer.end('warm-up')
        except Exception as error:
            self._error = error

    def result(self) -> Segmenter:
        """Return the network, which is built now if that was not done.

        Raises:
            ValueError: A parameter or the weights cannot be used.
            Exception: Whatever a library raised.
        """
        if self._segmenter is None:
            self.build()
        if self._progress is not None:
            self._progress.end()
        if self._error is not None:
            raise self._error
        return self._segmenter
