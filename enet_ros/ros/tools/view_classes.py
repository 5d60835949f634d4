"""The classes of a running node: asked for at the start, and again when they may have changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rcl_interfaces.msg import ParameterEvent, ParameterType
from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.executors import Executor
from rclpy.node import Node
from rclpy.qos import qos_profile_parameter_events

from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.network.class_map import ClassMap
from enet_ros.network.class_names import parameter_name
from enet_ros.ros.guarded import Guarded, reason_of

ANSWER_SEC = 10.0
LOOK_PERIOD_SEC = 1.0
PROPERTIES = ('color', 'drivable')
MAX_CLASSES = 64  # that are numbered where no names can be had
_FIELDS = {ParameterType.PARAMETER_BOOL: 'bool_value',
           ParameterType.PARAMETER_STRING: 'string_value',
           ParameterType.PARAMETER_STRING_ARRAY: 'string_array_value',
           ParameterType.PARAMETER_INTEGER_ARRAY: 'integer_array_value'}


def parameter_client(node: Node, name: str) -> Client:
    """Return a client for the parameters of the node with a full name."""
    return node.create_client(GetParameters, f'{name}/get_parameters')


async def ask_parameters(client: Client, names: Sequence[str]) -> dict[str, object]:
    """Return the values of some parameters, without those that are not set."""
    answer = await client.call_async(GetParameters.Request(names=list(names)))
    return {name: getattr(value, _FIELDS[value.type])
            for name, value in zip(names, answer.values) if value.type in _FIELDS}


async def ask_classes(client: Client) -> tuple[ClassMap, str]:
    """Return the classes of a node, and why they may be others, or ''.

    Raises:
        ClassMapError: The parameters of the node do not fit its weights on this machine.
    """
    weights = str((await ask_parameters(client, ['weights'])).get('weights') or '')
    try:
        class_map = read_checkpoint(weights_path(weights)).class_map
    except (ValueError, OSError) as error:
        return (ClassMap.from_names([f'class {i}' for i in range(MAX_CLASSES)]),
                f"the node's weights cannot be read here, so classes have numbers and other "
                f'colors: {error}; name a copy of the file by --weights')
    rows = {f'class_map.{parameter_name(name)}.{what}': (parameter_name(name), what)
            for name in class_map.names for what in PROPERTIES}
    changes: dict[str, dict[str, object]] = {}
    for row, value in (await ask_parameters(client, list(rows))).items():
        name, what = rows[row]
        changes.setdefault(name, {})[what] = (bool(value) if what == 'drivable'
                                              else [int(part) for part in value])
    return class_map.override(changes), ''


class ClassWatch:
    """Asks a node for its classes after it was configured anew, or changed a parameter.

    A node that is started or configured makes a new publisher of ``~/labels``. So that is looked
    for. The topic ``~/label_info`` has no colors, and is off where vision_msgs is missing.
    """

    def __init__(self, node: Node, executor: Executor, name: str, labels: Sequence[str],
                 class_map: ClassMap, on_change: Callable[[ClassMap, str], object]):
        """Begin to look.

        Args:
            node: Looks and asks.
            executor: Spins ``node``.
            name: Full name of the node to look at.
            labels: Its topics of labels.
            class_map: Its classes now.
            on_change: Is called with other classes, and why they may be others still, or ''.
        """
        self._node, self._executor, self._name, self._labels = node, executor, name, labels
        self._class_map, self._on_change = class_map, on_change
        self._client = parameter_client(node, name)
        self._publishers = self._find_publishers()
        self._due, self._round, self._asked_sec = False, 0, None
        node.create_subscription(
            ParameterEvent, '/parameter_events',
            Guarded(node, '/parameter_events', self._on_event), qos_profile_parameter_events)
        node.create_timer(LOOK_PERIOD_SEC, self._look)

    def _find_publishers(self) -> set[bytes]:
        return {bytes(end.endpoint_gid) for topic in self._labels
                for end in self._node.get_publishers_info_by_topic(topic)}

    def _on_event(self, event: ParameterEvent) -> None:
        self._due |= event.node == self._name and any(
            parameter.name.startswith('class_map.')
            for parameter in (*event.new_parameters, *event.changed_parameters))

    def _look(self) -> None:
        publishers = self._find_publishers()
        self._due |= bool(publishers - self._publishers)
        self._publishers = publishers
        if self._asked_sec is not None and time.monotonic() - self._asked_sec > ANSWER_SEC:
            self._asked_sec, self._due = None, True  # The node ended before it answered.
        if self._due and self._asked_sec is None and self._client.service_is_ready():
            self._due, self._asked_sec, self._round = False, time.monotonic(), self._round + 1
            self._executor.create_task(self._ask, self._round)

    async def _ask(self, number: int) -> None:
        try:
            class_map, doubt = await ask_classes(self._client)
            if number != self._round:  # A later round has begun.
                return
            self._asked_sec = None
            if class_map != self._class_map:
                self._class_map = class_map
                self._on_change(class_map, doubt)
        except Exception as error:  # The next change may bring classes that can be used.
            self._asked_sec = None
            self._node.get_logger().warning(
                f'the classes of {self._name} stay as they were: {reason_of(error)}')
