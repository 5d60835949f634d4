"""Findings about the graph around a node: its state, its ends and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from rclpy.duration import Infinite
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, ReliabilityPolicy

from enet_ros.backends.tensorrt.engine import EngineState
from enet_ros.ros.graph_doctor.findings import Finding, Kind
from enet_ros.ros.graph_doctor.input_findings import input_findings
from enet_ros.ros.graph_doctor.nav2_file import Nav2Source
from enet_ros.ros.graph_doctor.observation import LABEL_INFO, Observation, node_of


def graph_findings(observation: Observation, nav2: Sequence[Nav2Source] = ()) -> list[Finding]:
    """Return all findings about a node, the worst first."""
    findings = [*_state_findings(observation), *_diagnostics_findings(observation),
                *_end_findings(observation), *input_findings(observation),
                *_nav2_findings(observation, nav2)]
    return sorted(findings, key=lambda finding: -finding.severity)


def _state_findings(observation: Observation) -> Iterator[Finding]:
    if observation.count > 1:
        yield Finding(Kind.SAME_NAME, f'{observation.count} nodes are named {observation.node}')
    if not observation.state:
        yield Finding(Kind.NO_ANSWER, f'{observation.node} does not answer '
                                      f'{observation.node}/get_state')
    elif observation.state != 'active' and not _is_configuring(observation):
        yield Finding(Kind.NOT_ACTIVE, f'{observation.node} is {observation.state}')


def _is_configuring(observation: Observation) -> bool:
    return any(value.key == 'state' and value.value == 'configuring'
               for status in observation.statuses.values() for value in status.values)


def _diagnostics_findings(observation: Observation) -> Iterator[Finding]:
    if not observation.statuses and observation.state == 'active':
        yield Finding(Kind.NO_DIAGNOSTICS, f'{observation.node} is active and silent on '
                                           '/diagnostics')
    for name, status in sorted(observation.statuses.items()):
        level, values = status.level[0], {value.key: value.value for value in status.values}
        if values.get('state') == 'configuring':
            yield Finding(Kind.ENGINE, f'{name}: {status.message}')
            continue
        if values.get('backend'):
            yield Finding(Kind.BACKEND, f"{name}: {values['backend']}, "
                          f"{values.get('precision', '')}, {values.get('resolution', '')}")
        if EngineState.BUILDING.value in values.get('engine', ''):
            yield Finding(Kind.ENGINE, f"{name}: {values['engine']}")
        if level:
            kind = Kind.NODE_FAILS if level > 1 else Kind.NODE_WARNS
            yield Finding(kind, f'{name}: {status.message}')


def _end_findings(observation: Observation) -> Iterator[Finding]:
    for topic in [*observation.inputs, *observation.outputs]:
        for publisher, subscriber in product(topic.publishers, topic.subscribers):
            if observation.node not in (node_of(publisher), node_of(subscriber)):
                continue
            for policy in mismatches(publisher.qos_profile, subscriber.qos_profile):
                yield Finding(Kind.QOS, f'{topic.name}: {node_of(publisher)} and '
                                        f'{node_of(subscriber)} cannot match: {policy}')
    for topic in observation.outputs:
        names = sorted({node_of(end) for end in topic.publishers})
        if len(names) > 1:
            yield Finding(Kind.TWO_NODES, f'{topic.name} is published by {", ".join(names)}')
    frames = [topic for topic in observation.outputs if topic.type_name != LABEL_INFO]
    if observation.state == 'active' and frames and not any(topic.subscribers for topic in frames):
        yield Finding(Kind.NO_SUBSCRIBER, f'nobody subscribes to {observation.node}/labels '
                                          'or to another output')


def mismatches(offered, requested) -> Iterator[str]:
    """Yield a sentence for each policy in which a publisher offers less than is requested."""
    if (offered.reliability is ReliabilityPolicy.BEST_EFFORT
            and requested.reliability is ReliabilityPolicy.RELIABLE):
        yield ('reliability is best_effort at the publisher and reliable at the subscriber; set '
               'best_effort at the subscriber')
    if (offered.durability is DurabilityPolicy.VOLATILE
            and requested.durability is DurabilityPolicy.TRANSIENT_LOCAL):
        yield ('durability is volatile at the publisher and transient_local at the subscriber; '
               'set volatile at the subscriber')
    if offered.deadline > requested.deadline and requested.deadline != Infinite:
        yield ('deadline of the publisher is longer than that of the subscriber; '
               'remove it at the subscriber')
    if (offered.liveliness is LivelinessPolicy.AUTOMATIC
            and requested.liveliness is LivelinessPolicy.MANUAL_BY_TOPIC):
        yield ('liveliness is automatic at the publisher and manual_by_topic at the subscriber; '
               'set automatic at the subscriber')


def _nav2_findings(observation: Observation, nav2: Sequence[Nav2Source]) -> Iterator[Finding]:
    for key, topic in observation.silent_topics:
        yield Finding(Kind.NAV2_TOPIC, f'{key} is {topic}, which nobody publishes')
    semantic = [source for source in nav2 if source.classes is not None]
    if semantic and observation.class_names is None:
        yield Finding(Kind.LABEL_INFO, f'no LabelInfo came on {observation.node}/label_info')
    for source in semantic if observation.class_names is not None else ():
        for name in sorted(set(observation.class_names) - source.classes):
            yield Finding(Kind.CLASS_MISSING, f"class '{name}' of {observation.node} is not in "
                                              'the file')
        for name in sorted(source.classes - set(observation.class_names)):
            yield Finding(Kind.CLASS_UNKNOWN, f"class '{name}' of the file is none of "
                                              f'{", ".join(observation.class_names)}')
