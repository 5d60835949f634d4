"""Names and quality of service of the node's topics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from enet_ros.perception.parameters.table import ConfigError, shown

#: Inputs: matches every publisher, and keeps only the newest message.
INPUT_QOS = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST,
                       reliability=ReliabilityPolicy.BEST_EFFORT,
                       durability=DurabilityPolicy.VOLATILE)
#: Outputs: matches the defaults of RViz and Nav2.
OUTPUT_QOS = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST,
                        reliability=ReliabilityPolicy.RELIABLE,
                        durability=DurabilityPolicy.VOLATILE)
#: Outputs that a late subscriber receives, too.
LATCHED_QOS = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST,
                         reliability=ReliabilityPolicy.RELIABLE,
                         durability=DurabilityPolicy.TRANSIENT_LOCAL)


def copy_of(qos: QoSProfile) -> QoSProfile:
    """Return a copy of a profile. rclpy writes an override into the profile that it is given."""
    return QoSProfile(depth=qos.depth, history=qos.history, reliability=qos.reliability,
                      durability=qos.durability)


def compressed_topic(node: Node, topic: str) -> str:
    """Return the topic of the compressed images that belong to a topic of raw images.

    image_transport appends /compressed to the name of the raw topic, remapped as it is. A
    remapping of the compressed topic itself comes first.

    Args:
        node: The node that has the remappings.
        topic: Name of the raw topic, before remapping.
    """
    own = f'{topic}/compressed'
    if node.resolve_topic_name(own) != node.resolve_topic_name(own, only_expand=True):
        return own
    return f'{node.resolve_topic_name(topic)}/compressed'


def qos_overrides() -> QoSOverridingOptions:
    """Let ``qos_overrides.<topic>.*`` parameters change the quality of service of a topic."""
    return QoSOverridingOptions((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH,
                                 QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY))


QOS_OVERRIDES = 'qos_overrides.'

#: policy -> the values of an override, or None for a number
_OVERRIDES = {'history': HistoryPolicy, 'reliability': ReliabilityPolicy,
              'durability': DurabilityPolicy, 'depth': None}
_MAX_DEPTH = 10_000


def check_qos_overrides(given: Mapping[str, object]) -> None:
    """Check the values of ``qos_overrides.<topic>.<publisher or subscription>.<policy>``.

    Args:
        given: Values of all parameters that the node was started with, by name.

    Raises:
        ConfigError: A value cannot be used.
    """
    for name, value in given.items():
        policy = name.rpartition('.')[2]
        if not name.startswith(QOS_OVERRIDES) or policy not in _OVERRIDES:
            continue
        kinds = _OVERRIDES[policy]
        if kinds is None:
            fits = type(value) is int and 0 <= value <= _MAX_DEPTH
            wanted = f'a whole number, 0 to {_MAX_DEPTH}'
        else:
            names = [kind for kind in kinds.__members__ if kind != 'UNKNOWN']
            fits = isinstance(value, str) and value.upper() in names
            wanted = 'one of ' + ', '.join(kind.lower() for kind in names)
        if not fits:
            raise ConfigError(f'{name} is {shown(value)}, wanted {wanted}')


def unused_qos_overrides(node: Node, given: Iterable[str]) -> list[str]:
    """Return a sentence for every override that no topic of the node has read.

    Args:
        node: The node, with its topics.
        given: Names of all parameters that it was started with.
    """
    return [f"parameter '{name}' has no effect: no topic of this node has that name, or its "
            f'{name.rpartition(".")[2]} cannot be changed (only {", ".join(_OVERRIDES)} can)'
            for name in given if name.startswith(QOS_OVERRIDES) and not node.has_parameter(name)]
