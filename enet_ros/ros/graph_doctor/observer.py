"""Looks at a node from outside: a node of short life that only listens and asks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from enet_ros.perception.stamps import ns_of_stamp
from enet_ros.ros.compat import LabelInfo
from enet_ros.ros.graph_doctor.observation import (
    COMPRESSED,
    IMAGE,
    INFO,
    KEPT,
    LABEL_INFO,
    Observation,
    Topic,
    full_name,
    gets_latched,
)
from enet_ros.ros.guarded import Guarded
from enet_ros.ros.qos import INPUT_QOS, LATCHED_QOS, copy_of

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # They are not among the ROS 2 wheels.
    TFMessage = None

DISCOVERY_SEC = 2.0
ANSWER_SEC = 2.0
MOST_FRAMES = 1000  # pairs of frames of TF that are kept
NAMELESS = '_NODE_NAME_UNKNOWN_'  # what rmw says of the node of a publisher
#: Parameters that findings depend on. A node that has the first is one of ours.
PARAMETERS = ('suspect_frames', 'use_sim_time', 'max_frame_age', 'ground.pose', 'base_frame',
              'odom_frame', 'rectified')
#: Types that every managed node publishes. Topics of other types are outputs, remapped or not.
NODE_TYPES = ('rcl_interfaces/msg/Log', 'rcl_interfaces/msg/ParameterEvent',
              'lifecycle_msgs/msg/TransitionEvent', 'diagnostic_msgs/msg/DiagnosticArray')
INPUT_TYPES = {IMAGE: Image, INFO: CameraInfo, COMPRESSED: CompressedImage}
TF_QOS = QoSProfile(depth=100, history=HistoryPolicy.KEEP_LAST,
                    reliability=ReliabilityPolicy.BEST_EFFORT,
                    durability=DurabilityPolicy.VOLATILE)
STATIC_TF_QOS = QoSProfile(depth=100, history=HistoryPolicy.KEEP_LAST,
                           reliability=ReliabilityPolicy.RELIABLE,
                           durability=DurabilityPolicy.TRANSIENT_LOCAL)


@contextmanager
def open_observer() -> Iterator[Observer]:
    """Take part in the graph for a moment, in a context of our own."""
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(f'_enet_doctor_{os.getpid()}', context=context,
                             enable_rosout=False, start_parameter_services=False)
    try:
        yield Observer(node, context)
    finally:
        node.destroy_node()
        context.try_shutdown()


class Observer:
    """Asks and listens. One thread uses it."""

    def __init__(self, node, context):
        """Take a node of our own, which nobody else spins."""
        self._node = node
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(node)
        self._clock_ns = -1

    def names(self) -> list[str]:
        """Return the full names of all other nodes, each as often as it is there."""
        return sorted(full_name(namespace, name)
                      for name, namespace in self._node.get_node_names_and_namespaces()
                      if name != self._node.get_name())

    def nameless_topics(self) -> list[str]:
        """Return topics of our types whose publisher is discovered without its node.

        Discovery comes by multicast, and node names like all messages. So these do not arrive if
        the publisher has another ``/dev/shm``, or one that this user may not open.
        """
        return [topic for topic, (kind, *_) in self._node.get_topic_names_and_types()
                if kind.startswith('enet_ros/msg/')
                and any(publisher.node_name == NAMELESS
                        for publisher in self._node.get_publishers_info_by_topic(topic))]

    def find(self, node_name: str = '') -> list[str]:
        """Return the names of our nodes, or of the one that is asked for if it is there."""
        deadline = time.monotonic() + DISCOVERY_SEC
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.1)
        names = sorted(set(self.names()))
        if node_name:
            return [name for name in names if name == f'/{node_name.strip("/")}']
        return [name for name in names if self._is_ours(name)]

    def _is_ours(self, name: str) -> bool:
        services = dict(self._services(name))
        if 'lifecycle_msgs/srv/GetState' not in services.get(f'{name}/get_state', ()):
            return False
        outputs = self._topics(self._node.get_publisher_names_and_types_by_node, name)
        return f'{name}/drivable_mask' in outputs or bool(self._parameters(name))

    def _services(self, name: str) -> list[tuple[str, list[str]]]:
        return _by_node(self._node.get_service_names_and_types_by_node, name)

    def _topics(self, ask, name: str) -> dict[str, str]:
        return {topic: types[0] for topic, types in _by_node(ask, name)}

    def _call(self, kind: type, service: str, request: object):
        """Return the answer of a service, or None if none came in time."""
        client = self._node.create_client(kind, service)
        try:
            if not client.wait_for_service(timeout_sec=ANSWER_SEC):
                return None
            future = client.call_async(request)
            self._executor.spin_until_future_complete(future, timeout_sec=ANSWER_SEC)
            return future.result() if future.done() else None
        finally:
            self._node.destroy_client(client)

    def _parameters(self, name: str) -> dict[str, object]:
        values = {}
        for parameter in PARAMETERS:  # One by one: an unknown name spoils the whole answer.
            answer = self._call(GetParameters, f'{name}/get_parameters',
                                GetParameters.Request(names=[parameter]))
            if answer is None or not answer.values or not answer.values[0].type:
                if not values:
                    return {}
                continue
            values[parameter] = parameter_value_to_python(answer.values[0])
        return values

    def observe(self, name: str, seconds: float, nav2_topics: Iterable[tuple[str, str]] = ()
                ) -> Observation:
        """Look at a node and listen to its topics.

        Args:
            name: Full name.
            seconds: How long to listen.
            nav2_topics: Keys and topics of a Nav2 file, which somebody must publish.
        """
        observation = Observation(name, self.names().count(name))
        answer = self._call(GetState, f'{name}/get_state', GetState.Request())
        observation.state = answer.current_state.label if answer else ''
        observation.parameters = self._parameters(name)
        observation.inputs = self._ends(self._node.get_subscriber_names_and_types_by_node, name)
        observation.outputs = [topic for topic in self._ends(
            self._node.get_publisher_names_and_types_by_node, name)
            if topic.type_name not in NODE_TYPES]
        observation.image_topics = self._image_topics(
            {topic.name for topic in observation.outputs})
        observation.clock_publishers = self._node.count_publishers('/clock')
        observation.silent_topics = [(key, topic) for key, topic in dict.fromkeys(nav2_topics)
                                     if not self._node.count_publishers(topic)]
        self._listen(observation, seconds)
        observation.has_clock = self._clock_ns >= 0
        return observation

    def _image_topics(self, own: set[str]) -> dict[str, list[str]]:
        """Return the topics of images that somebody publishes, by type, without our own ones."""
        topics: dict[str, list[str]] = {}
        for topic, (kind, *_) in self._node.get_topic_names_and_types():
            if kind in (IMAGE, COMPRESSED) and topic not in own \
                    and self._node.count_publishers(topic):
                topics.setdefault(kind, []).append(topic)
        return topics

    def _ends(self, ask, name: str) -> list[Topic]:
        return [Topic(topic, kind, self._node.get_publishers_info_by_topic(topic),
                      self._node.get_subscriptions_info_by_topic(topic))
                for topic, kind in sorted(self._topics(ask, name).items())]

    def _listen(self, observation: Observation, seconds: float) -> None:
        self._clock_ns = -1
        uses_clock = bool(observation.parameters.get('use_sim_time'))

        def subscribe(kind, topic: str, keep, qos, **options):
            return self._node.create_subscription(
                kind, topic, Guarded(self._node, topic, keep), qos, **options)
        subscriptions = [
            subscribe(INPUT_TYPES[topic.type_name], topic.name,
                      partial(self._keep, topic, uses_clock),
                      copy_of(LATCHED_QOS if gets_latched(topic, observation.node) else INPUT_QOS),
                      raw=True)
            for topic in observation.inputs if topic.type_name in INPUT_TYPES]
        subscriptions += [
            subscribe(Clock, '/clock', self._keep_clock, copy_of(INPUT_QOS)),
            subscribe(DiagnosticArray, '/diagnostics', partial(_keep_statuses, observation),
                      TF_QOS)]
        if TFMessage is None:
            observation.frames = None
        else:
            subscriptions += [
                subscribe(TFMessage, topic, partial(_keep_frames, observation),
                          STATIC_TF_QOS if topic.endswith('_static') else TF_QOS)
                for topic in observation.tf_topics]
        if LabelInfo is not None:
            subscriptions += [subscribe(LabelInfo, topic.name, partial(_keep_names, observation),
                                        copy_of(LATCHED_QOS))
                              for topic in observation.outputs if topic.type_name == LABEL_INFO]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.05)
        for subscription in subscriptions:
            self._node.destroy_subscription(subscription)

    def _keep(self, topic: Topic, uses_clock: bool, message: bytes) -> None:
        topic.arrivals_sec.append(time.monotonic())
        if len(topic.messages) < KEPT:
            topic.messages.append((self._clock_ns if uses_clock else time.time_ns(), message))

    def _keep_clock(self, message: Clock) -> None:
        self._clock_ns = ns_of_stamp(message.clock)


def _by_node(ask, name: str) -> list[tuple[str, list[str]]]:
    namespace, _, base = name.rpartition('/')
    try:
        return ask(base, namespace or '/')
    except Exception as error:  # rclpy's own kinds; the node has just gone
        if 'NodeNameNonExistent' not in type(error).__name__:
            raise
        return []


def _keep_statuses(observation: Observation, message: DiagnosticArray) -> None:
    prefix = f'{observation.node.lstrip("/")}: '
    observation.statuses.update({status.name: status for status in message.status
                                 if status.name.startswith(prefix)})


def _keep_frames(observation: Observation, message) -> None:
    if len(observation.frames) < MOST_FRAMES:
        observation.frames.update((transform.header.frame_id.lstrip('/'),
                                   transform.child_frame_id.lstrip('/'))
                                  for transform in message.transforms[:MOST_FRAMES])


def _keep_names(observation: Observation, message) -> None:
    observation.class_names = [entry.class_name for entry in message.class_map]
