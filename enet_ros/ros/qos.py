"""Quality of service of the node's topics."""

from __future__ import annotations

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

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


def qos_overrides() -> QoSOverridingOptions:
    """Let ``qos_overrides.<topic>.*`` parameters change the quality of service of a topic."""
    return QoSOverridingOptions((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH,
                                 QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY))
