"""What was observed of one node and its topics, from which the findings are made."""

from __future__ import annotations

from dataclasses import dataclass, field

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
INFO = 'sensor_msgs/msg/CameraInfo'
LABEL_INFO = 'vision_msgs/msg/LabelInfo'
KEPT = 10  # messages of a topic that are kept; the others are only counted


def full_name(namespace: str, name: str) -> str:
    """Return the full name of a node."""
    return f'{namespace.rstrip("/")}/{name}'


def node_of(end: TopicEndpointInfo) -> str:
    """Return the full name of the node that a publisher or subscriber belongs to."""
    return full_name(end.node_namespace, end.node_name)


@dataclass
class Topic:
    """One topic of the node.

    Attributes:
        name: Full name.
        type_name: Type of the messages, such as 'sensor_msgs/msg/Image'.
        publishers, subscribers: Its ends in the graph.
        messages: The first messages that came, serialized, each with the time of its arrival in
            nanoseconds by the clock that the node uses, or -1 while /clock is silent.
        arrivals_sec: When messages came, by ``time.monotonic``.
    """

    name: str
    type_name: str
    publishers: list[TopicEndpointInfo] = field(default_factory=list)
    subscribers: list[TopicEndpointInfo] = field(default_factory=list)
    messages: list[tuple[int, bytes]] = field(default_factory=list)
    arrivals_sec: list[float] = field(default_factory=list)

    def rate_hz(self) -> float:
        """Return the rate of the messages, or 0 if fewer than two came."""
        if len(self.arrivals_sec) < 2:
            return 0.0
        seconds = self.arrivals_sec[-1] - self.arrivals_sec[0]
        return (len(self.arrivals_sec) - 1) / seconds if seconds > 0 else 0.0


def gets_latched(topic: Topic, node: str) -> bool:
    """Tell whether a node gets the last message of a topic that keeps it."""
    return any(node_of(end) == node
               and end.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL
               and end.qos_profile.reliability is ReliabilityPolicy.RELIABLE
               for end in topic.subscribers)


@dataclass
class Observation:
    """What was observed of one node.

    Attributes:
        node: Full name.
        count: Number of nodes of that name.
        state: Label of the lifecycle state, or '' if the node did not answer.
        parameters: Values of the parameters that were asked for.
        inputs, outputs: Its topics.
        image_topics: Topics of images that somebody publishes, by type, without its outputs.
        statuses: Last DiagnosticStatus of each camera, by name.
        clock_publishers: Number of publishers of /clock.
        has_clock: Whether /clock came.
        frames: Pairs of frames that TF connects, or None if the TF messages are not installed.
        class_names: Names in LabelInfo, or None if none came.
        silent_topics: Keys and topics of the Nav2 file that nobody publishes.
    """

    node: str
    count: int = 1
    state: str = ''
    parameters: dict[str, object] = field(default_factory=dict)
    inputs: list[Topic] = field(default_factory=list)
    outputs: list[Topic] = field(default_factory=list)
    image_topics: dict[str, list[str]] = field(default_factory=dict)
    statuses: dict[str, object] = field(default_factory=dict)
    clock_publishers: int = 0
    has_clock: bool = False
    frames: set[tuple[str, str]] | None = field(default_factory=set)
    class_names: list[str] | None = None
    silent_topics: list[tuple[str, str]] = field(default_factory=list)

    def of_type(self, *type_names: str) -> list[Topic]:
        """Return the inputs of some types."""
        return [topic for topic in self.inputs if topic.type_name in type_names]

    @property
    def tf_topics(self) -> list[str]:
        """Names of the topics of TF that the node reads, in a namespace as well."""
        return [topic.name for topic in self.of_type('tf2_msgs/msg/TFMessage')] or [
            '/tf', '/tf_static']
